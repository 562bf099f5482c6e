//! A write-ahead log of opaque records: rival writers behind one trait, and one reader that tells a torn tail from damage.
//!
//! This crate never looks into a record, starts no thread and keeps no state between files.
#![forbid(unsafe_code)]

#[cfg(any(feature = "buffered", feature = "mapped", feature = "null"))]
mod any;
#[cfg(feature = "buffered")]
mod buffered;
#[cfg(any(feature = "buffered", feature = "mapped"))]
mod create;
mod dump;
#[cfg(any(feature = "buffered", feature = "mapped", feature = "null"))]
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
use terrace_vfs::Vfs;

#[cfg(any(feature = "buffered", feature = "mapped", feature = "null"))]
pub use any::{AnyLog, LogKind};
pub use dump::dump;
pub use error::{Error, Result};
pub use reader::{DroppedBytes, LogReader, ReadLogOptions, Record, RecoveryMode, RecoveryReport};
#[cfg(feature = "buffered")]
pub use buffered::BufferedLog;
#[cfg(feature = "mapped")]
pub use mapped::MappedLog;
#[cfg(feature = "null")]
pub use null::NullLog;

/// How a log file is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLog {
    /// The log's number. It stands in every record's header, so that the old tail of a recycled file is never replayed. Numbers must
    /// not repeat within a folder.
    pub number: u64,
    /// Space to reserve, in bytes. A mapped log grows by further reservations of this size when it is full.
    pub preallocate_bytes: u64,
    /// A finished log file to rename to the new path and write over, instead of making one.
    pub recycle: Option<PathBuf>,
}

/// Appends records to one log file. One owner; the engine serialises calls.
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
/// most one system call for all records since the last; `sync` is one `fdatasync`.
pub trait LogWriter: Send + Sized + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// Whether the log leaves a file behind; `false` only for a log that keeps nothing.
    const KEEPS: bool;

    /// Makes the log at `path`. The folder entry is not synced; the caller does that before it relies on the file.
    fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: CreateLog) -> Result<Self>;

    /// Appends one record made of `parts` one after the other, and returns the offset it begins at.
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`] above [`RECORD_BYTES_MAX`], before anything is written and without killing the log.
    fn append(&mut self, parts: &[&[u8]]) -> Result<u64>;

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

/// The longest record: 1 GiB.
pub const RECORD_BYTES_MAX: usize = 1 << 30;
