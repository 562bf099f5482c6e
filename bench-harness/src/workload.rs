//! What is done to a store: workloads as data (which operations in which proportion, on which records), apart from how they are run.
//!
//! # Who writes what
//!
//! In a run with t threads, the record of rank r is written by thread r mod t only (inserts: of index r). So no lock of the harness
//! ever stands between two writers, and a reader knows what it may see (see [`crate::ledger`]). A drawn rank is moved to the nearest one
//! that its thread owns, which changes a distribution over many records by nothing that matters.
//!
//! # Sources and departures
//!
//! The fill, read, seek and overwrite loads are named after those of LevelDB's `db_bench`; random fills and deletes use a shuffle and so
//! touch each key exactly once. `ycsb-a` to `ycsb-f` are the core workloads of YCSB (Cooper et al., Benchmarking cloud serving systems with
//! YCSB, SoCC 2010): zipfian with 0.99 for A, B, C, E and F, latest for D, scans of 1 to 100 entries for E. Two departures: hot records
//! are spread over the key space by a bijective shuffle where YCSB hashes (and loses some records to collisions), and "latest" keeps the
//! skew of the loaded count while the count grows. `mixgraph` is described in [`crate::mixgraph`].

mod check;
mod client;
mod prepare;
mod run;

use crate::mixgraph::{self, HotRanges};
use crate::random::{Rng, Shuffle, Zipf};
use crate::record::{KEY_BYTES_MIN, RecordShape, VALUE_BYTES_MIN};
use crate::store::{Direction, Durability, Parts, Settings};

pub use prepare::load;
pub use run::{BenchError, Outcome, Session, check_all, run};

/// One thing done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Looks up a record.
    Read(u64),
    /// Looks up the key after this rank's, which no record has.
    ReadMissing(u64),
    /// Writes a record's next generation.
    Update(u64),
    /// Writes the records of these consecutive insertion indices in one batch, the first time.
    Insert {
        /// The first index.
        first: u64,
        /// The distance from one index to the next.
        stride: u64,
        /// How many.
        count: u64,
    },
    /// Reads a record and writes its next generation.
    ReadModifyWrite(u64),
    /// Positions at a record and reads so many.
    Scan {
        /// Where.
        rank: u64,
        /// How many.
        count: u64,
    },
    /// Deletes a record.
    Delete(u64),
}

/// Which records the operations of a mix go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Each once, by ascending key.
    InOrder,
    /// Each once, shuffled.
    Shuffled,
    /// Any, all alike.
    Uniform,
    /// YCSB's zipfian, hot records spread over the key space.
    Zipfian,
    /// The newest most often.
    Latest,
    /// By hot ranges of keys, as measured at Facebook.
    HotRanges,
}

/// Operations by their share in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mix {
    choice: Choice,
    read: u8,
    missing: u8,
    update: u8,
    insert: u8,
    scan: u8,
    read_modify_write: u8,
    delete: u8,
    /// Most entries of a scan; scans are uniform in length from one, or of just this length when `scan_fixed`.
    scan_max: u64,
    scan_fixed: bool,
    /// Scans have the lengths of [`mixgraph::scan_entries`].
    scan_mixed: bool,
}

const NOTHING: Mix = Mix {
    choice: Choice::Uniform,
    read: 0,
    missing: 0,
    update: 0,
    insert: 0,
    scan: 0,
    read_modify_write: 0,
    delete: 0,
    scan_max: 0,
    scan_fixed: false,
    scan_mixed: false,
};

macro_rules! workloads {
    ($($variant:ident $name:literal $what:literal)*) => {
        /// A workload by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Workload {
            $(#[doc = $what] $variant,)*
        }

        impl Workload {
            /// All of them, in the order in which they are listed.
            pub const ALL: &[Workload] = &[$(Workload::$variant,)*];

            /// The name used on command lines and in reports.
            pub fn name(self) -> &'static str {
                match self { $(Workload::$variant => $name,)* }
            }

            /// What it does, in a line.
            pub fn what(self) -> &'static str {
                match self { $(Workload::$variant => $what,)* }
            }
        }
    };
}

workloads! {
    FillSequential "fill-seq" "Loads an empty store by ascending key."
    FillRandom "fill-random" "Loads an empty store in shuffled order, each key once."
    FillBatch "fill-batch" "As fill-random, in batches."
    FillSync "fill-sync" "As fill-random, each write synced; a hundredth of the records."
    Overwrite "overwrite" "Writes existing records again, uniformly."
    ReadRandom "read-random" "Looks up existing records, uniformly."
    ReadMissing "read-missing" "Looks up keys that lie between the existing ones."
    ReadMemtable "read-memtable" "Looks up existing records, uniformly, in a store that has written no table: as many as fill half of the memtable at most."
    ReadHot "read-hot" "Looks up existing records, zipfian."
    Seek "seek" "Positions at an existing record and reads it."
    SeekNext10 "seek-next10" "Positions at an existing record and reads ten more."
    ScanForward "scan-forward" "Reads everything by ascending key, and checks it in a pass that is not measured."
    ScanBackward "scan-backward" "Reads everything by descending key, and checks it in a pass that is not measured."
    Delete "delete" "Deletes every record, shuffled."
    YcsbA "ycsb-a" "50 % reads, 50 % updates, zipfian."
    YcsbB "ycsb-b" "95 % reads, 5 % updates, zipfian."
    YcsbC "ycsb-c" "Reads only, zipfian."
    YcsbD "ycsb-d" "95 % reads of the latest, 5 % inserts."
    YcsbE "ycsb-e" "95 % scans of 1 to 100, 5 % inserts, zipfian."
    YcsbF "ycsb-f" "50 % reads, 50 % read-modify-writes, zipfian."
    MixGraph "mixgraph" "83 % reads, 14 % updates, 3 % scans by hot key ranges, values of mixed lengths: the model of FAST'20."
    ReadWhileWriting "read-while-writing" "Uniform reads while one further thread overwrites."
    Compact "compact" "Merges a run of all records and three younger ones into one, compressed on all levels, by one background thread; MB/s are keys and values that go in."
    OpenAfterKill "open-after-kill" "Opens what a killed process left in its log, and reads one record; five times. A record counts each time."
}

impl Workload {
    /// The workload of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|w| w.name() == name)
    }

    /// Whether it begins with an empty store.
    pub fn fills(self) -> bool {
        matches!(self, Self::FillSequential | Self::FillRandom | Self::FillBatch | Self::FillSync)
    }

    /// Whether it leaves the store as it found it.
    pub fn only_reads(self) -> bool {
        let mix = self.mix();
        let writes = mix.update + mix.insert + mix.read_modify_write + mix.delete > 0;
        !writes && !self.has_background_writer() && self != Self::Compact
    }

    /// Whether it reads, be it among other things.
    pub fn reads(self) -> bool {
        let mix = self.mix();
        mix.read + mix.missing + mix.scan + mix.read_modify_write > 0 || self.whole_scan().is_some()
    }

    /// Whether it runs on a store that is loaded and at rest, and leaves it so for the next workload.
    pub fn shares_store(self) -> bool {
        self.only_reads() && self != Self::ReadMemtable
    }

    /// What a store must have for it.
    pub fn needs(self) -> Need {
        match self {
            Self::OpenAfterKill => Need::Log,
            Self::Compact => Need::Tables,
            _ => Need::Nothing,
        }
    }

    /// The settings of a store that it runs on, where these are asked for.
    pub fn settings(self, asked: Settings) -> Settings {
        match self {
            Self::Compact => Settings { background_threads: 1, uncompressed_levels: 0, ..asked },
            _ => asked,
        }
    }

    /// Whether it takes a process that can be killed. Only the command line has one: [`Session::new`] and [`run`] refuse it.
    pub fn kills(self) -> bool {
        self == Self::OpenAfterKill
    }

    /// Whether it ranges over more than one key, be it among other things.
    fn scans(self) -> bool {
        self.mix().scan > 0 || self.whole_scan().is_some()
    }

    pub(crate) fn has_background_writer(self) -> bool {
        self == Self::ReadWhileWriting
    }

    fn whole_scan(self) -> Option<Direction> {
        match self {
            Self::ScanForward => Some(Direction::Forward),
            Self::ScanBackward => Some(Direction::Backward),
            _ => None,
        }
    }

    fn mix(self) -> Mix {
        use Choice::{HotRanges, InOrder, Latest, Shuffled, Uniform, Zipfian};
        match self {
            Self::FillSequential => Mix { choice: InOrder, insert: 100, ..NOTHING },
            Self::FillRandom | Self::FillBatch | Self::FillSync => {
                Mix { choice: Shuffled, insert: 100, ..NOTHING }
            }
            Self::Overwrite => Mix { choice: Uniform, update: 100, ..NOTHING },
            Self::ReadRandom | Self::ReadMemtable | Self::ReadWhileWriting => {
                Mix { choice: Uniform, read: 100, ..NOTHING }
            }
            Self::ReadMissing => Mix { choice: Uniform, missing: 100, ..NOTHING },
            Self::ReadHot | Self::YcsbC => Mix { choice: Zipfian, read: 100, ..NOTHING },
            Self::Seek => Mix { choice: Uniform, scan: 100, scan_max: 1, scan_fixed: true, ..NOTHING },
            Self::SeekNext10 => Mix { choice: Uniform, scan: 100, scan_max: 11, scan_fixed: true, ..NOTHING },
            Self::ScanForward | Self::ScanBackward | Self::Compact | Self::OpenAfterKill => NOTHING,
            Self::Delete => Mix { choice: Shuffled, delete: 100, ..NOTHING },
            Self::YcsbA => Mix { choice: Zipfian, read: 50, update: 50, ..NOTHING },
            Self::YcsbB => Mix { choice: Zipfian, read: 95, update: 5, ..NOTHING },
            Self::YcsbD => Mix { choice: Latest, read: 95, insert: 5, ..NOTHING },
            Self::YcsbE => Mix { choice: Zipfian, scan: 95, insert: 5, scan_max: 100, ..NOTHING },
            Self::MixGraph => {
                Mix { choice: HotRanges, read: 83, update: 14, scan: 3, scan_mixed: true, ..NOTHING }
            }
            Self::YcsbF => Mix { choice: Zipfian, read: 50, read_modify_write: 50, ..NOTHING },
        }
    }
}

/// What a workload asks of a store. One that has it not has no row of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing but that it is a store.
    Nothing,
    /// A log that keeps what is written.
    Log,
    /// Tables that can be merged.
    Tables,
}

impl Need {
    /// Whether a store of these parts has it.
    pub fn is_met_by(self, parts: &Parts) -> bool {
        match self {
            Need::Nothing => true,
            Need::Log => parts.log_keeps,
            Need::Tables => parts.table != "-",
        }
    }

    /// Why a store that has it not has no row.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Need::Nothing => "it needs nothing",
            Need::Log => "its log keeps nothing",
            Need::Tables => "it has no tables",
        }
    }
}

/// Sizes and seeds of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Records of the loaded store.
    pub records: u64,
    /// Operations of the measured run, over all threads; fills and deletes take `records`.
    pub ops: u64,
    /// Length of a key.
    pub key_bytes: usize,
    /// Length of a value.
    pub value_bytes: usize,
    /// The share of a value that compresses to nearly nothing.
    pub compressible: f64,
    /// Clients at once.
    pub threads: u32,
    /// The most that the further thread of `read-while-writing` writes, in records a second. Without it that thread writes as fast as the store lets it, so
    /// that readers of a store that takes writes faster share their processors with more of them.
    pub write_rate: Option<u64>,
    /// Of every write, except in `fill-sync`.
    pub durability: Durability,
    /// Records of one batch in `fill-batch` and in unmeasured loads.
    pub batch_records: u64,
    /// The memtable of the store under test, which says how many records are in it in `read-memtable`.
    pub memtable_bytes: usize,
    /// Whether a workload that reads begins when everything was read once ([`run`]).
    pub warm: bool,
    /// Bytes of the keys and values that are in the log in `open-after-kill`, to one record.
    pub log_bytes: u64,
    /// Seed of the loaded records and their order.
    pub load_seed: u64,
    /// Seed of the measured run. Another than the load's: with the same, reads would follow the order of the writes.
    pub run_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            records: 1_000_000,
            ops: 1_000_000,
            key_bytes: 16,
            value_bytes: 100,
            compressible: 0.5,
            threads: 1,
            write_rate: None,
            durability: Durability::PageCache,
            batch_records: 100,
            memtable_bytes: Settings::STOCK.memtable_bytes,
            warm: false,
            log_bytes: 32_000_000,
            load_seed: 1,
            run_seed: 2,
        }
    }
}

impl Config {
    /// Records of the loaded store for this workload.
    pub fn records_for(&self, workload: Workload) -> u64 {
        match workload {
            Workload::ReadMemtable => self.records.min(self.half_memtable()).max(u64::from(self.threads)),
            _ => self.records,
        }
    }

    /// As many records as fill half of the memtable, whatever it takes beside a record.
    fn half_memtable(&self) -> u64 {
        /// More than a skip list's tower, a hash index's slot or an entry of a tree with the links of a version.
        const BESIDE_RECORD_BYTES: usize = 64;
        let bytes_each = self.key_bytes + self.value_bytes + BESIDE_RECORD_BYTES;
        (self.memtable_bytes / 2 / bytes_each) as u64
    }

    /// The records, all of one length.
    pub(crate) fn shape(&self) -> RecordShape {
        RecordShape {
            key_bytes: self.key_bytes,
            value_bytes: self.value_bytes,
            mixed_lengths: false,
            compressible: self.compressible,
            seed: self.load_seed,
        }
    }

    /// Checks that the sizes go together in a store that grows to `capacity` records.
    pub(crate) fn go_together(&self, capacity: u64) -> Result<(), BenchError> {
        let problem = if self.records == 0
            || self.threads == 0
            || self.batch_records == 0
            || self.write_rate == Some(0)
        {
            "records, threads and batch size must be at least one".to_owned()
        } else if self.records < u64::from(self.threads) {
            "there must be at least one record for each thread".to_owned()
        } else if self.key_bytes < KEY_BYTES_MIN || self.value_bytes < VALUE_BYTES_MIN {
            format!("keys need {KEY_BYTES_MIN} bytes and values {VALUE_BYTES_MIN}")
        } else if capacity > self.shape().records_max() {
            format!("{capacity} records need longer keys than {} bytes", self.key_bytes)
        } else if !(0.0..=1.0).contains(&self.compressible) {
            "the compressible share lies between 0 and 1".to_owned()
        } else {
            return Ok(());
        };
        Err(BenchError::Config(problem))
    }
}

/// Draws the operations of one thread: a pure function of seed and thread, except that `latest` looks at how far inserts are.
#[derive(Debug)]
struct Source<'a> {
    mix: Mix,
    rng: Rng,
    records: u64,
    thread: u64,
    threads: u64,
    batch: u64,
    /// Indices are handed out so far: inserts, or positions of a pass over all records.
    next: u64,
    zipf: Option<&'a Zipf>,
    hot_ranges: Option<&'a HotRanges>,
    spread: &'a Shuffle,
}

impl Source<'_> {
    /// The next operation; `inserted` is how many insertion indices are all acknowledged.
    fn next(&mut self, inserted: u64, rank_of: impl Fn(u64) -> u64) -> Op {
        let mix = self.mix;
        let mut roll = self.rng.below(100) as u8;
        let mut falls_on = |share: u8| {
            let hit = roll < share;
            roll = roll.wrapping_sub(share);
            hit
        };
        if falls_on(mix.read) {
            Op::Read(self.draw(inserted, &rank_of))
        } else if falls_on(mix.missing) {
            Op::ReadMissing(self.draw(inserted, &rank_of))
        } else if falls_on(mix.update) {
            let rank = self.draw(inserted, &rank_of);
            Op::Update(self.own(rank))
        } else if falls_on(mix.insert) {
            let first = self.next * self.threads + self.thread;
            self.next += self.batch;
            Op::Insert { first, stride: self.threads, count: self.batch }
        } else if falls_on(mix.scan) {
            let count = match mix {
                Mix { scan_fixed: true, .. } => mix.scan_max,
                Mix { scan_mixed: true, .. } => mixgraph::scan_entries(&mut self.rng),
                _ => 1 + self.rng.below(mix.scan_max),
            };
            Op::Scan { rank: self.draw(inserted, &rank_of), count }
        } else if falls_on(mix.read_modify_write) {
            let rank = self.draw(inserted, &rank_of);
            Op::ReadModifyWrite(self.own(rank))
        } else {
            let index = self.next * self.threads + self.thread;
            self.next += 1;
            Op::Delete(self.spread.apply(index))
        }
    }

    /// The rank of an existing record.
    fn draw(&mut self, inserted: u64, rank_of: impl Fn(u64) -> u64) -> u64 {
        // Hot ranges are ranges of keys: drawn by rank, whatever the order of insertion.
        if let Some(hot) = self.hot_ranges {
            return hot.draw(&mut self.rng);
        }
        match (self.mix.choice, self.zipf) {
            (Choice::Zipfian, Some(zipf)) => rank_of(self.spread.apply(zipf.draw(&mut self.rng))),
            (Choice::Latest, Some(zipf)) => {
                rank_of(inserted.saturating_sub(1).saturating_sub(zipf.draw(&mut self.rng)))
            }
            _ => rank_of(self.rng.below(self.records)),
        }
    }

    /// The nearest rank at or below that this thread may write (or the first one above).
    fn own(&self, rank: u64) -> u64 {
        let owned = rank - rank % self.threads + self.thread;
        if owned < self.records { owned } else { owned - self.threads }
    }
}

#[cfg(test)]
mod tests;
