//! A write-ahead log of opaque records: rival writers behind one trait, and one reader that tells a torn tail from damage.
//!
//! This crate never looks into a record, starts no thread and keeps no state between files.
//!
//! * [`LogWriter`]: append records to one file, hand them to the operating system, make them durable. Writers:
//!   `BufferedLog` (one system call for a group of records), `MappedLog` (stores into a memory map; no system call),
//!   `NullLog` (keeps nothing), and `AnyLog`, which is one of them chosen by name at run time.
//! * [`LogReader`]: the records of one file in order, and a [`RecoveryReport`] of exactly what is not there. A torn tail is
//!   dropped; bytes that were once whole and are not now are [`Error::Corruption`] (see [`RecoveryMode`]).
//! * [`dump`]: a log file as text.
//!
//! # Example
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use terrace_vfs::{MemVfs, Vfs};
//! use terrace_wal::{BufferedLog, CreateLog, LogReader, LogWriter, ReadLogOptions};
//!
//! let disk = MemVfs::new();
//! let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
//! let path = Path::new("000001.log");
//!
//! let options = CreateLog { number: 1, preallocate_bytes: 1 << 20, recycle: None };
//! let mut log = BufferedLog::create(&vfs, path, options)?;
//! vfs.sync_dir(Path::new(""))?;
//! log.append(&[b"key", b"value"])?; // one record of two parts
//! log.sync()?;
//! log.append(&[b"never synced"])?;
//!
//! // The power goes.
//! let vfs: Arc<dyn Vfs> = Arc::new(disk.crash_losing_everything_unsynced());
//! let mut reader = LogReader::open(&vfs, path, 1, ReadLogOptions::default())?;
//! assert_eq!(reader.next()?.unwrap().payload, b"keyvalue");
//! assert!(reader.next()?.is_none());
//! assert!(reader.report().dropped.is_empty());
//! # Ok::<(), terrace_wal::Error>(())
//! ```
//!
//! # What recovery promises
//!
//! After a power cut, every synced record is there, and of the others a prefix. Where a record is damaged, the reader
//! asks whether anything proves that it was once whole: what the caller knows ([`ReadLogOptions::durable_bytes`]), a
//! durable mark in a later record's header, or the fact that one changed byte alone explains the failed checksum. If so
//! it is corruption, named by file and offset; if not, a torn tail, dropped and reported. One wrong byte anywhere in a log
//! that was not recycled is therefore never a silently missing record.
//!
//! Who closes logs and remembers their final lengths (as a manifest does) should pass them back as `durable_bytes`: it closes the
//! last gap, damage of many bytes in the last records of a log.
//!
//! # Your own log
//!
//! Implement [`LogWriter`]; the record format is in `FORMAT.md`, and [`RecordEncoder`] makes the headers, so that
//! [`LogReader`] reads what you write. With the feature `testing`, one call checks it:
//!
//! ```no_run
//! # use {std::sync::Arc, terrace_vfs::{RealVfs, Vfs}, terrace_wal::BufferedLog as MyLog};
//! let folder = tempfile::tempdir().unwrap();
//! let real: Arc<dyn Vfs> = Arc::new(RealVfs::new());
//! terrace_wal::testing::check_log_writer::<MyLog>(&real, folder.path());
//! ```
//!
//! and a line in `benches/log_writer.rs` measures it beside the others.
//!
//! # Features
//!
//! `buffered`, `mapped`, `null` (all on by default): one implementation each. `testing`: the conformance suite, in the
//! module `testing`. Without any, this crate is the trait and the reader. Files written by one log are read with any
//! features: there is one format.
//!
//! # Papers
//!
//! Mohan et al., "ARIES" (TODS 1992) for the log; Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014) for what a
//! power cut leaves of un-synced writes; Rebello et al., "Can Applications Recover from fsync Failures?" (ATC 2020) for why
//! a failed sync is final.
#![deny(unsafe_code)]

#[cfg(any(feature = "buffered", feature = "mapped", feature = "null"))]
mod any;
#[cfg(feature = "buffered")]
mod buffered;
mod checksum;
#[cfg(any(feature = "buffered", feature = "mapped"))]
mod create;
mod dump;
mod encode;
mod error;
mod judge;
#[cfg(feature = "mapped")]
mod mapped;
#[cfg(feature = "null")]
mod null;
mod reader;
mod record;
mod rot;
mod survey;
#[cfg(feature = "testing")]
pub mod testing;
mod window;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::{Chore, Vfs};

#[cfg(any(feature = "buffered", feature = "mapped", feature = "null"))]
pub use any::{AnyLog, LogKind};
#[cfg(feature = "buffered")]
pub use buffered::BufferedLog;
pub use dump::dump;
pub use encode::RecordEncoder;
pub use error::{Error, Result};
#[cfg(feature = "mapped")]
pub use mapped::MappedLog;
#[cfg(feature = "null")]
pub use null::NullLog;
pub use reader::{DroppedBytes, LogReader, ReadLogOptions, Record, RecoveryMode, RecoveryReport};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

/// How a log file is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLog {
    /// The log's number. It stands in every record's header, so that the old tail of a recycled file is never replayed. Numbers must
    /// not repeat within a folder.
    pub number: u64,
    /// Space to reserve, in bytes. A mapped log grows by further reservations of this size when it is full.
    pub preallocate_bytes: u64,
    /// A finished log file to rename to the new path and write over, instead of making one. Its old records are never replayed.
    /// What recycling costs: in such a file a damaged last record without a later durable mark is reported as dropped
    /// and not refused, because an earlier log's bytes may look like one wrong byte.
    pub recycle: Option<PathBuf>,
}

/// Appends records to one log file. One owner; the caller serialises calls.
///
/// # What is true when a call returns
///
/// * `append`: the record is part of the log, in order; it may still be in the process.
/// * `hand_over`: every appended record survives the death of the process (`kill -9`), not of the machine.
/// * `sync`: every appended record survives the loss of power.
/// * `close`: as `sync`; the file also ends with a trailer, so that any damage in it is seen as damage.
///
/// # Errors
///
/// After any `Err` the log is dead: every later call returns [`Error::Dead`]. A failed sync is never retried: on Linux the
/// pages are marked clean though they never reached the disk.
///
/// # Cost
///
/// For a record of b bytes: `append` copies b bytes at most once and computes one crc32c over them; `hand_over` is at
/// most one system call for all records since the last; `sync` is one `fdatasync`, or nothing if all is durable already;
/// `close` is a `sync`, and another one for the trailer. Nothing allocates per record.
///
/// # For implementers, as laws
///
/// * `append` returns what `len_bytes` was before it; a record's header and payload are contiguous in the file.
/// * `synced_bytes <= len_bytes`; it is 0 at first and grows only by a successful `sync`. Each header carries it.
/// * A death of the process between any two of its steps leaves whole records and then at most one torn one.
/// * `close` syncs before it writes the trailer: the trailer's mark says that everything before it is durable.
/// * With [`CreateLog::recycle`] the file header is of the kind that says so (`FORMAT.md`).
pub trait LogWriter: Send + Sized + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// Whether the log leaves a file behind; `false` only for a log that keeps nothing.
    const KEEPS: bool;

    /// Makes the log at `path`, where no file may be. The folder entry is not synced; the caller does that before it relies
    /// on the file.
    fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: CreateLog) -> Result<Self>;

    /// Appends one record made of `parts` one after the other, and returns the offset it begins at.
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`] above [`RECORD_BYTES_MAX`], before anything is written and without killing the log.
    fn append(&mut self, parts: &[&[u8]]) -> Result<u64>;

    /// Work that appends have left behind, if there is enough of it; see [`Chore`]. To be asked for after an append, and of a fresh log by who
    /// would rather wait now than at the first appends.
    fn chore(&mut self) -> Option<Chore> {
        None
    }

    /// The work of giving back memory, for when no more will be appended.
    fn last_chore(&mut self) -> Option<Chore> {
        None
    }

    /// Hands everything appended to the operating system.
    fn hand_over(&mut self) -> Result<()>;

    /// Makes everything appended durable.
    fn sync(&mut self) -> Result<()>;

    /// Bytes of log so far: where the next record begins.
    fn len_bytes(&self) -> u64;

    /// How much of it is known to be durable.
    fn synced_bytes(&self) -> u64;

    /// Ends the log: trailer, cut to length, sync. Returns the final length in bytes.
    fn close(self) -> Result<u64>;
}

/// Length of a record's header.
pub const RECORD_HEADER_BYTES: usize = 24;

/// Length of a log's first record, the file header: where the first record appended begins.
pub const FILE_HEADER_BYTES: usize = RECORD_HEADER_BYTES + 20;

/// The longest record: 1 GiB.
pub const RECORD_BYTES_MAX: usize = 1 << 30;
