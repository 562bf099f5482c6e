//! An LSM storage engine that comes as parts: an embedded, ordered key-value store composed of a log, a memtable, a table
//! format, filters and a compaction policy, each a crate of its own behind one trait.
//!
//! This crate composes; it never defines a record, a block or a policy. It reaches files, time and threads only through three seams
//! ([`terrace_vfs::Vfs`], [`Clock`], [`Executor`]), so that a whole database can run on one thread under one seed.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "preset")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let db = terrace::Db::builder(dir.path()).memtable_bytes(16 << 20).open()?;
//! db.put("k", "v")?;
//! assert_eq!(db.get("k")?.as_deref(), Some(b"v".as_slice()));
//! db.close()?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "preset"))]
//! # fn main() {}
//! ```
//!
//! # An engine of your own
//!
//! [`Engine`] is generic over [`Parts`], which names one type for each stage:
//!
//! * a memtable: `terrace_memtable::MemTable`, checked by `terrace_memtable::testing::check`;
//! * a log: `terrace_wal::LogWriter`, checked by its `testing` module;
//! * a table format: `terrace_sstable::TableFormat`, and a cache: `terrace_sstable::BlockCache`, likewise;
//! * a compaction policy: `terrace_compaction::CompactionPicker`, checked by `terrace_compaction::testing::check_picker`.
//!
//! What is asked seldom is no type but given to the [`Builder`]: what writers pay when compaction is behind (`terrace_throttle::Throttle`), and how fast compaction
//! may go (`terrace_throttle::Limiter`).
//!
//! The example `custom_engine` writes two of them and takes the rest from stock; `AnyPolicy` is the stock
//! parts with a policy that is chosen while the program runs. `Parts` and [`Engine`] do not need the feature `preset`.
//!
//! # How a write and a read go
//!
//! A write joins a group; the group goes into the log as one record, handed to the system or synced once for all; then each
//! writer inserts its batch into the memtables, in parallel, and groups become visible in the order of their sequence numbers. A read takes one
//! immutable view (no lock) and asks memtables and runs, newest first: key ranges, then filters, then blocks.
//!
//! # Features
//!
//! `preset` (the stock parts, `DefaultParts`, `Db`), `lz4`, and one selection feature for each implementation of a slot: `memtable-skiplist`,
//! `memtable-btree`, `memtable-hash`, `picker-leveled`, `picker-tiered`, `picker-universal`, `picker-fluid`, `picker-windowed`, `picker-fifo`,
//! `picker-hybrid`, `picker-guards`. All of them together build; which wins is written in `preset.rs`. `testing`: the kit that
//! puts an engine of any parts to the test, and checks of the decoders on any bytes, for the fuzz targets.
//!
//! # Sources
//!
//! O'Neil, Cheng, Gawlick, O'Neil: The log-structured merge-tree (1996). Group commit: DeWitt et al. (1984). The leveled policy and dynamic level
//! sizes: RocksDB. On disk formats: docs/FORMAT.md in the repository.
#![deny(unsafe_code)]

#[cfg(all(doctest, feature = "preset"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

mod batch;
mod builder;
mod commit;
mod compact;
mod cursor;
mod db;
#[cfg(feature = "preset")]
mod dump;
mod error;
mod explain;
mod fences;
mod flush;
mod histogram;
mod iter;
mod keyspace;
mod limiter;
mod logs;
mod look_again;
mod manifest;
mod names;
mod options;
mod origin;
mod outputs;
mod parts;
mod pinned;
#[cfg(feature = "preset")]
mod preset;
mod pressure;
mod read;
mod recover;
mod repair;
mod seam;
mod shape;
mod shared;
mod snapshot;
mod stats;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod trash;
mod tree;
mod vain;
mod verify;
mod version;
mod warm;

pub use batch::WriteBatch;
pub use builder::Builder;
pub use db::{DEFAULT_KEYSPACE, Engine, KEYSPACE_NAME_BYTES_MAX};
#[cfg(feature = "preset")]
pub use dump::dump;
pub use error::{Error, Result};
pub use explain::{
    CompactionReport, DryRunReport, HeldByVersions, HeldFiles, KeyspaceCompaction, KeyspaceDryRun, Pause,
    PlannedTask, SnapshotHeld, TablePlace, TableReport, TableState,
};
pub use histogram::Histogram;
pub use iter::{Iter, Pinned};
pub use keyspace::Keyspace;
pub use options::{
    BATCH_BYTES_MAX, BackgroundOrder, CompactionRate, Durability, KEY_BYTES_MAX, Options, VALUE_BYTES_MAX,
    WhenBusy, WriteOptions,
};
pub use parts::Parts;
#[cfg(all(feature = "preset", feature = "picker-fifo"))]
pub use preset::fifo_picker;
#[cfg(all(feature = "preset", feature = "picker-fluid"))]
pub use preset::fluid_picker;
#[cfg(all(feature = "preset", feature = "picker-guards"))]
pub use preset::guards_picker;
#[cfg(all(feature = "preset", feature = "picker-hybrid"))]
pub use preset::hybrid_picker;
#[cfg(all(feature = "preset", feature = "picker-tiered"))]
pub use preset::tiered_picker;
#[cfg(all(feature = "preset", feature = "picker-universal"))]
pub use preset::universal_picker;
#[cfg(all(feature = "preset", feature = "picker-windowed"))]
pub use preset::windowed_picker;
#[cfg(feature = "preset")]
pub use preset::{AnyPolicy, Db, DefaultMemTable, DefaultParts, DefaultPicker, StockLog, leveled_picker};
pub use recover::RecoverySummary;
pub use repair::report::{Loss, RepairReport};
pub use seam::clock::{Clock, SimClock, SystemClock};
pub use seam::executor::{Executor, Job, Lane, SimExecutor, Step, ThreadPool};
pub use shape::{KeyspaceShape, TreeShape};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use terrace_compaction::{TableColour, TableId};
pub use terrace_entry::SeqNo;
pub use terrace_throttle::QuietHours;
pub use trace::{TraceOptions, TraceSummary};
pub use verify::report::{Problem, VerifyProgress, VerifyReport};
