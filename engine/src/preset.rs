//! The stock parts: the one file with a cfg for each slot.
//!
//! Precedence. Memtable: `memtable-hash`, else `memtable-btree`, else `memtable-skiplist`, else the hash index (against the B-tree, over whole
//! databases on two cores: loads 1.2 times as fast, YCSB-A and D 1.5 times, F 1.2 times, scans with inserts as fast, peak memory some
//! twentieth more; the skiplist is a third of the B-tree). Picker: `picker-tiered`, else
//! `picker-universal`, `picker-fluid`, `picker-windowed`, `picker-fifo`,
//! `picker-hybrid`, `picker-guards` in this order, else `picker-leveled`, else leveled. An explicit request beats the stock part, and of several requests for one slot the one named
//! first here wins, so that every subset of the features, and all of them together, builds.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use terrace_compaction::stock::{Sizes, StockPicker};
use terrace_compaction::{CompactionPicker, TriggerOptions};
use terrace_memtable::MemTable;
use terrace_sstable::{BlockCache, BlockTable, SlotCache};
use terrace_vfs::{Chore, Vfs};
use terrace_wal::{AnyLog, CreateLog, LogKind, LogWriter};

use crate::{Engine, Options, Parts};

/// Fills a slot with the first part whose feature is on, or else with the last.
macro_rules! slot {
    ($about:literal $slot:ident: $($rest:tt)*) => { slot! { @after [] $about $slot: $($rest)* } };
    (@after [$($earlier:literal)*] $about:literal $slot:ident: $feature:literal => $part:ty, $($rest:tt)*) => {
        #[doc = $about]
        #[cfg(all(feature = $feature, not(any($(feature = $earlier),*))))]
        pub type $slot = $part;
        slot! { @after [$($earlier)* $feature] $about $slot: $($rest)* }
    };
    (@after [$($earlier:literal)*] $about:literal $slot:ident: else $part:ty) => {
        #[doc = $about]
        #[cfg(not(any($(feature = $earlier),*)))]
        pub type $slot = $part;
    };
}

slot! {
    "The memtable of [`DefaultParts`]."
    DefaultMemTable:
    "memtable-hash" => terrace_memtable::HashMemTable,
    "memtable-btree" => terrace_memtable::BTreeMemTable,
    "memtable-skiplist" => terrace_memtable::SkipListMemTable,
    else terrace_memtable::HashMemTable
}

slot! {
    "The compaction policy of [`DefaultParts`]."
    DefaultPicker:
    "picker-tiered" => terrace_compaction::TieredPicker,
    "picker-universal" => terrace_compaction::UniversalPicker,
    "picker-fluid" => terrace_compaction::FluidPicker,
    "picker-windowed" => terrace_compaction::WindowedPicker,
    "picker-fifo" => terrace_compaction::FifoPicker,
    "picker-hybrid" => terrace_compaction::HybridPicker,
    "picker-guards" => terrace_compaction::GuardsPicker,
    else terrace_compaction::LeveledPicker
}

/// The stock parts.
#[derive(Clone, Copy, Debug)]
pub enum DefaultParts {}

/// The log of [`DefaultParts`]: any of the stock logs, chosen by [`Options::log`] when the database is opened. They
/// write one format, so a database may change its log at every open.
#[derive(Debug)]
pub struct StockLog(AnyLog);

impl LogWriter for StockLog {
    const NAME: &'static str = "stock";
    const KEEPS: bool = true;

    /// Without an option to say otherwise: the mapped log.
    fn create(vfs: &Arc<dyn Vfs>, path: &Path, create: CreateLog) -> terrace_wal::Result<Self> {
        AnyLog::create(LogKind::Mapped, vfs, path, create).map(StockLog)
    }

    #[inline]
    fn append(&mut self, parts: &[&[u8]]) -> terrace_wal::Result<u64> {
        self.0.append(parts)
    }

    #[inline]
    fn chore(&mut self) -> Option<Chore> {
        self.0.chore()
    }

    fn last_chore(&mut self) -> Option<Chore> {
        self.0.last_chore()
    }

    #[inline]
    fn hand_over(&mut self) -> terrace_wal::Result<()> {
        self.0.hand_over()
    }

    fn sync(&mut self) -> terrace_wal::Result<()> {
        self.0.sync()
    }

    fn len_bytes(&self) -> u64 {
        self.0.len_bytes()
    }

    fn synced_bytes(&self) -> u64 {
        self.0.synced_bytes()
    }

    fn close(self) -> terrace_wal::Result<u64> {
        self.0.close()
    }
}

/// The engine of stock parts: what most people use.
pub type Db = Engine<DefaultParts>;

impl Parts for DefaultParts {
    type MemTable = DefaultMemTable;
    type Log = StockLog;
    type Cache = SlotCache;
    type Table = BlockTable;
    type Picker = DefaultPicker;

    fn picker(options: &Options) -> DefaultPicker {
        stock_picker(options)
    }

    fn create_log(
        options: &Options,
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        create: CreateLog,
    ) -> terrace_wal::Result<StockLog> {
        AnyLog::create(options.log, vfs, path, create).map(StockLog)
    }

    fn log_keeps(options: &Options) -> bool {
        options.log != LogKind::Null
    }
}

/// The stock parts with a memtable, a cache and a policy of one's choice, the policy being a value in a box: leveled, if the builder is given none.
///
/// ```
/// use terrace::{AnyPolicy, Engine};
/// use terrace_compaction::{LeveledOptions, LeveledPicker};
///
/// # let folder = tempfile::tempdir()?;
/// let picker = LeveledPicker::new(LeveledOptions { size_ratio: 4, ..LeveledOptions::default() });
/// let db = Engine::<AnyPolicy>::builder(folder.path()).picker(Box::new(picker)).open()?;
/// db.put("key", "value")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AnyPolicy<M = DefaultMemTable, C = SlotCache>(PhantomData<fn() -> (M, C)>);

impl<M, C> fmt::Debug for AnyPolicy<M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyPolicy")
    }
}

impl<M: MemTable + 'static, C: BlockCache> Parts for AnyPolicy<M, C> {
    type MemTable = M;
    type Log = StockLog;
    type Cache = C;
    type Table = BlockTable;
    type Picker = Box<dyn CompactionPicker>;

    fn picker(options: &Options) -> Self::Picker {
        Box::new(leveled_picker(options))
    }

    fn create_log(
        options: &Options,
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        create: CreateLog,
    ) -> terrace_wal::Result<StockLog> {
        DefaultParts::create_log(options, vfs, path, create)
    }

    fn log_keeps(options: &Options) -> bool {
        DefaultParts::log_keeps(options)
    }
}

/// A policy whose sizes follow from the options. Bounds that follow from no size stay what they are, since the data does not shrink with the memtable.
fn stock_picker<P: StockPicker>(options: &Options) -> P {
    let memtable_bytes = options.memtable_bytes as u64;
    P::with_sizes(&Sizes {
        memtable_bytes,
        usual_memtable_bytes: memtable_bytes,
        table_bytes: options.table_bytes,
        triggers: TriggerOptions { vain_read_bytes: options.vain_read_bytes, ..TriggerOptions::default() },
        ..Sizes::default()
    })
}

/// A leveled policy whose sizes follow from the options: tables of `table_bytes`, a base level of four memtables.
#[must_use]
pub fn leveled_picker(options: &Options) -> terrace_compaction::LeveledPicker {
    stock_picker(options)
}

/// A size-tiered policy whose sizes follow from the options.
#[cfg(feature = "picker-tiered")]
#[must_use]
pub fn tiered_picker(options: &Options) -> terrace_compaction::TieredPicker {
    stock_picker(options)
}

/// Universal compaction, with tables of `table_bytes`.
#[cfg(feature = "picker-universal")]
#[must_use]
pub fn universal_picker(options: &Options) -> terrace_compaction::UniversalPicker {
    stock_picker(options)
}

/// Lazy leveling with a size ratio of 10: level 1 has room for ten arrivals of four memtables each.
#[cfg(feature = "picker-fluid")]
#[must_use]
pub fn fluid_picker(options: &Options) -> terrace_compaction::FluidPicker {
    stock_picker(options)
}

/// A run for each hour, kept for ever: how long to keep them is for the user to say, through the builder.
#[cfg(feature = "picker-windowed")]
#[must_use]
pub fn windowed_picker(options: &Options) -> terrace_compaction::WindowedPicker {
    stock_picker(options)
}

/// First in, first out without a bound, which keeps everything: how much to keep is for the user to say, through the builder.
#[cfg(feature = "picker-fifo")]
#[must_use]
pub fn fifo_picker(options: &Options) -> terrace_compaction::FifoPicker {
    stock_picker(options)
}

/// Two tiers of four runs over leveled levels, the first of which has room for one arrival from the tiers: sixteen memtables.
#[cfg(feature = "picker-hybrid")]
#[must_use]
pub fn hybrid_picker(options: &Options) -> terrace_compaction::HybridPicker {
    stock_picker(options)
}

/// Guards, with tables of `table_bytes` between them.
#[cfg(feature = "picker-guards")]
#[must_use]
pub fn guards_picker(options: &Options) -> terrace_compaction::GuardsPicker {
    stock_picker(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_from_the_options_and_debt_does_not() {
        let options = Options { memtable_bytes: 1 << 20, table_bytes: 2 << 20, ..Options::default() };
        let expected = terrace_compaction::LeveledOptions {
            base_level_bytes: 4 << 20,
            l0_full_bytes: (8 << 20) / 3,
            triggers: TriggerOptions { vain_read_bytes: Some(512), ..TriggerOptions::default() },
            ..terrace_compaction::LeveledOptions::for_table_bytes(2 << 20)
        };
        let expected = terrace_compaction::LeveledPicker::new(expected);
        assert_eq!(format!("{:?}", leveled_picker(&options)), format!("{expected:?}"));
    }
}
