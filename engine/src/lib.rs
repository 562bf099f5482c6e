//! An LSM storage engine that comes as parts.
#![deny(unsafe_code)]

mod batch;
mod builder;
mod commit;
mod compact;
mod cursor;
mod db;
#[cfg(feature = "preset")]
mod dump;
mod error;
mod flush;
mod iter;
mod keyspace;
mod limiter;
mod logs;
mod manifest;
mod names;
mod options;
mod outputs;
mod parts;
mod pinned;
#[cfg(feature = "preset")]
mod preset;
mod pressure;
mod read;
mod recover;
mod seam;
mod shape;
mod shared;
mod snapshot;
mod stats;
mod trash;
mod tree;
mod version;

pub use batch::WriteBatch;
pub use builder::Builder;
pub use db::{DEFAULT_KEYSPACE, Engine, KEYSPACE_NAME_BYTES_MAX};
#[cfg(feature = "preset")]
pub use dump::dump;
pub use error::{Error, Result};
pub use iter::{Iter, Pinned};
pub use keyspace::Keyspace;
pub use options::{
    BATCH_BYTES_MAX, CompactionRate, Durability, KEY_BYTES_MAX, Options, QuietHours, VALUE_BYTES_MAX,
};
pub use parts::Parts;
#[cfg(all(feature = "preset", feature = "picker-tiered"))]
pub use preset::tiered_picker;
#[cfg(feature = "preset")]
pub use preset::{Db, DefaultMemTable, DefaultParts, DefaultPicker, StockLog, leveled_picker};
pub use recover::RecoverySummary;
pub use seam::clock::{Clock, SimClock, SystemClock};
pub use seam::executor::{Executor, Job, Lane, SimExecutor, Step, ThreadPool};
pub use shape::{KeyspaceShape, TreeShape};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use terrace_entry::SeqNo;
