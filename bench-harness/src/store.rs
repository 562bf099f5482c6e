//! What the harness asks of a database, so that one workload can drive any.
//!
//! The trait is object safe on purpose: one indirect call per operation is a few nanoseconds, equal for every store, and keeps a
//! matrix of some hundred combinations of parts from compiling every workload again for each engine.

#[cfg(test)]
pub(crate) mod faulty;
mod memory;
mod terrace;

use ::terrace::BackgroundOrder;
use std::path::Path;
use std::time::Duration;
use terrace_throttle::QuietHours;

pub use memory::{MemoryFactory, MemoryStore};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// As soon as it is visible; it may die with the process.
    None,
    /// Once the operating system has it: it survives the death of the process.
    #[default]
    PageCache,
    /// Once the disk has it: it survives the loss of power.
    Synced,
}

impl Durability {
    /// The name used on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::PageCache => "page-cache",
            Durability::Synced => "synced",
        }
    }

    /// The durability of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Durability::None, Durability::PageCache, Durability::Synced].into_iter().find(|d| d.name() == name)
    }
}

/// What went wrong in a store: its own error, as text and as a source.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub struct StoreError {
    /// What the harness asked for.
    pub operation: &'static str,
    /// What the store said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// Wraps a store's own error.
    pub fn new(operation: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StoreError { operation, source: source.into() }
    }
}

/// The result of an operation on a store.
pub type StoreResult<T> = Result<T, StoreError>;

/// What a store has counted since it was opened. A figure that the store does not know is `None` and shows as `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreStats {
    /// Bytes of keys and values accepted from the caller.
    pub user_bytes_written: Option<u64>,
    /// Bytes written to files: log, flushes, compactions.
    pub file_bytes_written: Option<u64>,
    /// Bytes read from files.
    pub file_bytes_read: Option<u64>,
    /// Bytes of files in the database's folder now.
    pub file_bytes_held: Option<u64>,
    /// Tables that hold its content now, as far as it is not in memory alone.
    pub tables: Option<u64>,
    /// Their bytes.
    pub table_bytes: Option<u64>,
    /// File bytes written per byte accepted.
    pub write_amp: Option<f64>,
    /// Sorted runs that one look-up may have to ask, now.
    pub read_amp: Option<f64>,
    /// File bytes held per byte of live data.
    pub space_amp: Option<f64>,
    /// Time that writers were slowed or stopped, summed over writers.
    pub stall: Option<Duration>,
}

/// Which way a whole scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// One write of a batch: a key and its new value, or `None` to delete it.
pub type BatchWrite<'a> = (&'a [u8], Option<&'a [u8]>);

/// A key and value as a scan shows them; borrowed until the visitor returns.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) + 'a;

/// A database under test.
///
/// # Laws for implementers
///
/// 1. A read that begins after a write returned sees it, from any thread.
/// 2. Scans show each live key once, in strict key order, as of one moment.
/// 3. [`Store::close`] leaves everything acknowledged, whatever its durability, to the next open.
///
/// Errors are passed on as they are; the harness stops at the first.
pub trait Store: Send + Sync {
    /// Stores one pair.
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()>;

    /// Deletes one key, present or not.
    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()>;

    /// Applies all of `writes` atomically.
    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()>;

    /// Shows the key's value to `visit`, or returns `false` without calling it when there is none.
    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool>;

    /// Shows up to `count` pairs from the first key at or after `from`; returns how many it showed. A count of zero positions and
    /// shows nothing.
    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize>;

    /// Shows every pair; returns how many.
    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64>;

    /// Moves what is in memory to files.
    fn flush(&self) -> StoreResult<()>;

    /// Waits until background work has nothing left to do: the debt of the writes so far is paid.
    fn wait_idle(&self) -> StoreResult<()>;

    /// Merges everything as far as it goes.
    fn compact(&self) -> StoreResult<()>;

    /// What the store has counted.
    fn stats(&self) -> StoreStats;

    /// Ends it in good order.
    fn close(self: Box<Self>) -> StoreResult<()>;
}

/// The parts that a store is made of, by the names that their crates give them. A peer that has no such part says `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The whole: `terrace`, or a peer's name.
    pub engine: &'static str,
    /// The version of the library under test.
    pub version: &'static str,
    /// The memtable.
    pub memtable: &'static str,
    /// The compaction policy.
    pub picker: &'static str,
    /// The write-ahead log.
    pub log: &'static str,
    /// The filter.
    pub filter: &'static str,
    /// The block cache.
    pub cache: &'static str,
    /// The compression of blocks.
    pub compression: &'static str,
    /// The table format.
    pub table: &'static str,
    /// Whether the log keeps what is written. Where it does not, no write is more durable than [`Durability::None`].
    pub log_keeps: bool,
}

/// Sizes that every store of a comparison is given alike, so that parts and not settings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A memtable is sealed at this size.
    pub memtable_bytes: usize,
    /// The block cache's capacity.
    pub cache_bytes: usize,
    /// Filter bits for each key.
    pub filter_bits_per_key: u32,
    /// Threads for flushes and compactions, where a store can be told.
    pub background_threads: usize,
    /// So many levels, from the youngest on, are not compressed: they are rewritten soonest.
    pub uncompressed_levels: usize,
    /// What terrace's writers pay while compaction is behind: a stock throttle by its name. Other stores have ways of their own.
    pub throttle: &'static str,
    /// How fast terrace's compaction may go: a stock limiter by its name, and its rate in bytes a second.
    pub limiter: Option<(&'static str, u64)>,
    /// Hours of the day in which the limiter is lifted.
    pub quiet_hours: Option<QuietHours>,
    /// How much terrace's threads for compaction yield the processor: their nice value.
    pub niceness: u8,
    /// In which order terrace's flushes and merges go.
    pub order: BackgroundOrder,
    /// Terrace's keyspaces, over which records are spread evenly.
    pub keyspaces: usize,
}

impl Settings {
    /// What is measured unless something else is asked for.
    pub const STOCK: Settings = Settings {
        memtable_bytes: 64 << 20,
        cache_bytes: 64 << 20,
        filter_bits_per_key: 10,
        background_threads: 2,
        uncompressed_levels: 2,
        throttle: "ramp",
        limiter: None,
        quiet_hours: None,
        niceness: 0,
        order: BackgroundOrder::UrgentFirst,
        keyspaces: 1,
    };
}

impl Default for Settings {
    fn default() -> Self {
        Settings::STOCK
    }
}

/// Opens one combination of parts, again and again.
pub trait StoreFactory: Send + Sync {
    /// What it opens.
    fn parts(&self) -> Parts;

    /// Opens the database in `dir`, making it when there is none.
    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>>;
}

/// Every combination that can be measured, the stock parts first, [`MemoryFactory`] last.
pub fn factories() -> Vec<Box<dyn StoreFactory>> {
    let mut all = terrace::factories();
    all.push(Box::new(MemoryFactory::default()));
    all
}
