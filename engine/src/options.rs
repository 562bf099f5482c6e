//! How a database is set up. Plain data with documented defaults; [`Options::check`] says what does not fit together.

use std::time::Duration;
use terrace_bloom::FilterId;
use terrace_sstable::{Compression, FilterOptions};
use terrace_throttle::QuietHours;
use terrace_wal::{LogKind, RecoveryMode};

use crate::seam::executor::{Lane, Step};
use crate::{Error, Result};

/// The longest key: 64 KiB.
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// The longest value: 512 MiB.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// The longest batch, all its keys and values and a few bytes for each: 768 MiB.
pub const BATCH_BYTES_MAX: usize = 768 << 20;

/// What is true of a write when its call returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Durability {
    /// Readers see it. It is in no log: any crash may lose it until its memtable is flushed.
    Off,
    /// It survives the death of the process (`kill -9`), not of the machine. After a loss of power the database holds
    /// some prefix of such writes in commit order.
    #[default]
    PageCache,
    /// It survives the loss of power, and so does every `PageCache` write committed before it.
    Synced,
}

/// A limit for the bytes that compaction writes.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionRate {
    /// The rate while writers feel no pressure, in bytes a second. It rises with the pressure up to eight times this, so that
    /// compaction catches up before writers must wait.
    pub bytes_per_second: u64,
    /// Hours of the day in which there is no limit.
    pub quiet_hours: Option<QuietHours>,
}

/// In which order flushes and merges go when there are more of them than threads. Whatever the order, a job that has a thread goes on until it is done or a more urgent
/// one comes; one that a limiter holds back lets others pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackgroundOrder {
    /// Flushes, then merges out of level 0, then deeper ones; what is more urgent passes what is under way. One thread is kept free of merges, and they wait
    /// for a flush while memtables have more than [`Options::memtable_bytes`], unless the tree is under pressure itself.
    #[default]
    UrgentFirst,
    /// Flushes as in [`BackgroundOrder::UrgentFirst`]; merges in the order of their coming, out of whichever level.
    FlushesFirst,
    /// Flushes and merges in one line in the order of their coming, on [`Options::background_threads`] threads: a flush waits for the merges that came
    /// before it. A keyspace lines up again after each memtable. This is the plain way, there to be measured against.
    Plain,
}

impl BackgroundOrder {
    /// All orders, the default first.
    pub const ALL: [BackgroundOrder; 3] = [Self::UrgentFirst, Self::FlushesFirst, Self::Plain];

    /// The name used on command lines and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UrgentFirst => "urgent-first",
            Self::FlushesFirst => "flushes-first",
            Self::Plain => "plain",
        }
    }

    /// Whether merges under way wait while a flush is late, since it has to share processors and disk with them.
    pub(crate) fn merges_wait_for_memory(self) -> bool {
        self != Self::Plain
    }

    /// Where a flush lines up.
    pub(crate) fn lane_of_flush(self) -> Lane {
        match self {
            Self::UrgentFirst | Self::FlushesFirst => Lane::Flush,
            Self::Plain => Lane::Compaction,
        }
    }

    /// Where a merge lines up. What takes from level 0 is urgent: there flushes arrive, and its runs are what each read opens and what stops writers.
    pub(crate) fn lane_of_merge(self, from_level0: bool) -> Lane {
        if from_level0 && self == Self::UrgentFirst { Lane::Level0 } else { Lane::Compaction }
    }

    /// What a flush wants when a memtable is done and another may be sealed.
    pub(crate) fn step_after_flush(self) -> Step {
        match self {
            Self::UrgentFirst | Self::FlushesFirst => Step::Again,
            // To the end of the line.
            Self::Plain => Step::After(Duration::ZERO),
        }
    }
}

/// What becomes of a write that the throttle would delay or stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenBusy {
    /// It waits.
    #[default]
    Wait,
    /// It fails at once with [`Error::Busy`], and nothing is written. What the throttle charges for a write that goes through is paid by those that come after it.
    Refuse,
}

/// How one write is to be made; what is not said is as the database's [`Options`] say. A [`Durability`] or a [`WhenBusy`] alone will do where
/// these are asked for.
///
/// ```
/// # #[cfg(feature = "preset")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use terrace::{Db, Durability, WhenBusy, WriteOptions};
///
/// # let dir = tempfile::tempdir()?;
/// let db = Db::open(dir.path())?;
/// db.put_with("a", "1", Durability::Synced)?;
/// db.put_with("b", "2", WhenBusy::Refuse)?;
/// db.put_with("c", "3", WriteOptions { durability: Some(Durability::Off), when_busy: Some(WhenBusy::Wait) })?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "preset"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WriteOptions {
    /// What is true of it when its call returns.
    pub durability: Option<Durability>,
    /// What becomes of it when compaction is behind.
    pub when_busy: Option<WhenBusy>,
}

impl From<Durability> for WriteOptions {
    fn from(durability: Durability) -> Self {
        WriteOptions { durability: Some(durability), ..WriteOptions::default() }
    }
}

impl From<WhenBusy> for WriteOptions {
    fn from(when_busy: WhenBusy) -> Self {
        WriteOptions { when_busy: Some(when_busy), ..WriteOptions::default() }
    }
}

/// How a database is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// A memtable is sealed and flushed when it has a sixteenth less than this; or earlier, down to half of it, when writers are fast, so that this one with its order
    /// and what the next one has when this one is flushed are together no more than that. The sixteenth is for memory that is taken and not yet used. Default 64 MiB.
    pub memtable_bytes: usize,
    /// Memtables of a keyspace held at once, the active one included; writers wait when all are full. Default 4.
    pub memtables_max: usize,
    /// The most the block cache may hold. Default 256 MiB.
    pub cache_bytes: u64,
    /// The budget for memtables, block cache and table metadata together: the cache gives way to the other two, and memtables are sealed early
    /// when they alone would pass half of it. Default 768 MiB.
    pub memory_bytes: u64,
    /// Tables are cut at this size. Default 64 MiB.
    pub table_bytes: u64,
    /// Blocks are cut at this size, before compression. Default 4 KiB.
    pub block_bytes: usize,
    /// Versions between restart points of a block. Default 16.
    pub restart_interval: usize,
    /// The compression of each level; deeper levels use the last entry. Default: none for levels 0 and 1, LZ4 below (none without the
    /// feature `lz4`).
    pub compression: Vec<Compression>,
    /// The filter that tables carry. Default: blocked Bloom, 10 bits a key.
    pub filter: Option<FilterOptions>,
    /// Bits for each key in the filters of each level, in place of those in `filter`; deeper levels use the last entry, and 0 is no filter. The fewer
    /// keys a level has, the less do bits cost there (Monkey, SIGMOD 2017). Default: empty, which is `filter` for all levels.
    pub filter_bits_by_level: Vec<f64>,
    /// Which log the stock log slot writes. Default: mapped, which survives the death of the process as the buffered one does and takes no system
    /// call for a write. Where a file system can not promise reserved space, its stores are plain writes.
    pub log: LogKind,
    /// Space reserved for a log file at once, and by how much it grows. Two such are held at rest. Default 16 MiB.
    pub log_preallocate_bytes: u64,
    /// Finished log files kept to be written over. Default 0: on Linux a fresh preallocated file is faster than an old one in the page cache.
    pub log_recycle_files_max: usize,
    /// Logs together hold at most this much before the keyspace that keeps the oldest one alive is flushed. Default 512 MiB.
    pub log_bytes_max: u64,
    /// The manifest is begun anew when it is longer than this (and than four times what a new one would be). Default 1 MiB.
    pub manifest_bytes_max: u64,
    /// The durability of writes that do not say. Default [`Durability::PageCache`].
    pub durability: Durability,
    /// What to do about damage found in a log on opening. Default [`RecoveryMode::DropTornTail`].
    pub recovery: RecoveryMode,
    /// Threads for compaction; one more takes flushes alone. Default 2.
    pub background_threads: usize,
    /// How much the threads for compaction yield the processor to others, callers of this database among them: their nice value, from 0 (as others)
    /// to 19. The thread for flushes does not. With 10, on a machine whose processors are all busy, reads beside a writer were a fifth faster; the price is that
    /// compaction falls behind where others never leave the processors, until writers are slowed. Linux and Android only. Default 0.
    pub background_niceness: u8,
    /// The order of background work. Default [`BackgroundOrder::UrgentFirst`].
    pub background_order: BackgroundOrder,
    /// The limit for compaction, if any. Default none.
    pub compaction_rate: Option<CompactionRate>,
    /// The longest that one write is delayed while compaction is behind but not stopped. Default 20 ms.
    pub write_delay_max: Duration,
    /// What becomes of writes that do not say when compaction is behind. Default [`WhenBusy::Wait`].
    pub when_busy: WhenBusy,
    /// Make the database when there is none. Default true.
    pub create_if_missing: bool,
    /// Refuse to open a database that is there. Default false.
    pub error_if_exists: bool,
    /// Bytes of a table for each read of it that finds nothing there, which is what such a read may cost in merging: then the stock policies that merge by size bring
    /// it down although it is within its bounds, so that a tree that is only read becomes one run. Such a read takes about a microsecond from the cache,
    /// in which a core merges some 350 bytes (so with what is rewritten below, reading buys some five times its time of merging, which nobody waits for); a filter asked in
    /// vain counts a sixteenth. Nothing is merged for it while nobody reads. Default 512; `None` never
    /// merges for reads.
    pub vain_read_bytes: Option<u64>,
    /// Whether blocks that a merge writes come into the cache when it held most of what they were made of, as far as there is room: a tree that is merged stays as
    /// warm as it was, for some two microseconds of a background thread for each block, and nothing while nobody reads. Default true.
    pub warm_cache_after_merge: bool,
    /// Whether compaction runs by itself. Default true; `compact()` works either way.
    pub compaction: bool,
}

impl Default for Options {
    fn default() -> Self {
        let deep = if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None };
        let filter =
            cfg!(feature = "preset").then_some(FilterOptions { id: FilterId::BLOCKED, bits_per_key: 10.0 });
        Options {
            memtable_bytes: 64 << 20,
            memtables_max: 4,
            cache_bytes: 256 << 20,
            memory_bytes: 768 << 20,
            table_bytes: 64 << 20,
            block_bytes: 4096,
            restart_interval: 16,
            compression: vec![Compression::None, Compression::None, deep],
            filter,
            filter_bits_by_level: Vec::new(),
            log: LogKind::Mapped,
            log_preallocate_bytes: 16 << 20,
            log_recycle_files_max: 0,
            log_bytes_max: 512 << 20,
            manifest_bytes_max: 1 << 20,
            durability: Durability::PageCache,
            recovery: RecoveryMode::DropTornTail,
            background_threads: 2,
            background_niceness: 0,
            background_order: BackgroundOrder::UrgentFirst,
            compaction_rate: None,
            write_delay_max: Duration::from_millis(20),
            when_busy: WhenBusy::Wait,
            create_if_missing: true,
            error_if_exists: false,
            vain_read_bytes: Some(512),
            warm_cache_after_merge: true,
            compaction: true,
        }
    }
}

impl Options {
    /// Whether the options fit together.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] with the first thing that does not.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: &str| Err(Error::InvalidArgument(what.to_owned()));
        if self.memtable_bytes < 4 << 10 {
            return refuse("memtable_bytes must be 4 KiB or more");
        }
        if self.memtables_max < 2 {
            return refuse("memtables_max must be 2 or more: one is written to while another is flushed");
        }
        if self.table_bytes < 4 << 10 {
            return refuse("table_bytes must be 4 KiB or more");
        }
        if !(64..=16 << 20).contains(&self.block_bytes) {
            return refuse("block_bytes must be between 64 bytes and 16 MiB");
        }
        if self.restart_interval == 0 {
            return refuse("restart_interval must be 1 or more");
        }
        if self.compression.is_empty() {
            return refuse("compression must name at least one level");
        }
        if self.filter_bits_by_level.iter().any(|bits| !(0.0..=64.0).contains(bits)) {
            return refuse("filter_bits_by_level must be between 0 and 64 bits");
        }
        if !cfg!(feature = "lz4") && self.compression.contains(&Compression::Lz4) {
            return refuse("LZ4 compression needs the feature `lz4`");
        }
        if self.memory_bytes < 2 * self.memtable_bytes as u64 {
            return refuse("memory_bytes must hold two memtables at least");
        }
        if self.compaction_rate.as_ref().is_some_and(|rate| rate.bytes_per_second == 0) {
            return refuse("compaction_rate must allow at least a byte a second");
        }
        if self.vain_read_bytes == Some(0) {
            return refuse("vain_read_bytes must be positive, or none");
        }
        if self.background_niceness > 19 {
            return refuse("background_niceness must be between 0 and 19");
        }
        if self.log_bytes_max == 0 {
            return refuse("log_bytes_max must be positive");
        }
        Ok(())
    }

    /// The filter of tables written to a level.
    pub(crate) fn filter_at(&self, level: usize) -> Option<FilterOptions> {
        let last = self.filter_bits_by_level.len().saturating_sub(1);
        match self.filter_bits_by_level.get(level.min(last)) {
            None => self.filter,
            Some(0.0) => None,
            Some(&bits_per_key) => self.filter.map(|filter| FilterOptions { bits_per_key, ..filter }),
        }
    }

    pub(crate) fn compression_at(&self, level: usize) -> Compression {
        let last = self.compression.len().saturating_sub(1);
        self.compression.get(level.min(last)).copied().unwrap_or_default()
    }
}
