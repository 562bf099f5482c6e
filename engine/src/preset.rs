//! The stock parts: the one file with a cfg for each slot.
//!
//! Precedence. Memtable: `memtable-hash`, else `memtable-btree`, else `memtable-skiplist`, else the hash index (against the B-tree, over whole
//! databases on two cores: loads 1.2 times as fast, YCSB-A and D 1.5 times, F 1.2 times, scans with inserts as fast, peak memory some
//! twentieth more; the skiplist is a third of the B-tree). Picker: `picker-tiered`, else
//! `picker-universal`, `picker-fluid`, `picker-windowed`, `picker-fifo`,
//! `picker-hybrid`, `picker-guards` in this order, else `picker-leveled`, else leveled. An explicit request beats the stock part, and of several requests for one slot the one named
//! first here wins, so that every subset of the features, and all of them together, builds.

use std::path::Path;
use std::sync::Arc;
use terrace_sstable::{BlockTable, SlotCache};
use terrace_vfs::Vfs;
use terrace_wal::{AnyLog, CreateLog, LogKind, LogWriter};

use crate::{Engine, Options, Parts};

/// The memtable of [`DefaultParts`].
#[cfg(any(feature = "memtable-hash", not(any(feature = "memtable-btree", feature = "memtable-skiplist"))))]
pub type DefaultMemTable = terrace_memtable::HashMemTable;
/// The memtable of [`DefaultParts`].
#[cfg(all(feature = "memtable-btree", not(feature = "memtable-hash")))]
pub type DefaultMemTable = terrace_memtable::BTreeMemTable;
/// The memtable of [`DefaultParts`].
#[cfg(all(feature = "memtable-skiplist", not(any(feature = "memtable-hash", feature = "memtable-btree"))))]
pub type DefaultMemTable = terrace_memtable::SkipListMemTable;

macro_rules! picker_slot {
    ($($condition:meta => $picker:ident by $make:ident;)*) => {$(
        /// The compaction policy of [`DefaultParts`].
        #[cfg($condition)]
        pub type DefaultPicker = terrace_compaction::$picker;
        #[cfg($condition)]
        use self::$make as default_picker;
    )*};
}

picker_slot! {
    feature = "picker-tiered" => TieredPicker by tiered_picker;
    all(feature = "picker-universal", not(feature = "picker-tiered")) => UniversalPicker by universal_picker;
    all(
        feature = "picker-fluid",
        not(any(feature = "picker-tiered", feature = "picker-universal"))
    ) => FluidPicker by fluid_picker;
    all(
        feature = "picker-windowed",
        not(any(feature = "picker-tiered", feature = "picker-universal", feature = "picker-fluid"))
    ) => WindowedPicker by windowed_picker;
    all(
        feature = "picker-fifo",
        not(any(
            feature = "picker-tiered",
            feature = "picker-universal",
            feature = "picker-fluid",
            feature = "picker-windowed"
        ))
    ) => FifoPicker by fifo_picker;
    all(
        feature = "picker-hybrid",
        not(any(
            feature = "picker-tiered",
            feature = "picker-universal",
            feature = "picker-fluid",
            feature = "picker-windowed",
            feature = "picker-fifo"
        ))
    ) => HybridPicker by hybrid_picker;
    all(
        feature = "picker-guards",
        not(any(
            feature = "picker-tiered",
            feature = "picker-universal",
            feature = "picker-fluid",
            feature = "picker-windowed",
            feature = "picker-fifo",
            feature = "picker-hybrid"
        ))
    ) => GuardsPicker by guards_picker;
    not(any(
        feature = "picker-tiered",
        feature = "picker-universal",
        feature = "picker-fluid",
        feature = "picker-windowed",
        feature = "picker-fifo",
        feature = "picker-hybrid",
        feature = "picker-guards"
    )) => LeveledPicker by leveled_picker;
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
        default_picker(options)
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

/// A leveled policy whose sizes follow from the options: tables of `table_bytes`, a base level of four memtables.
#[must_use]
pub fn leveled_picker(options: &Options) -> terrace_compaction::LeveledPicker {
    terrace_compaction::LeveledPicker::new(terrace_compaction::LeveledOptions {
        base_level_bytes: 4 * options.memtable_bytes as u64,
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}

/// A size-tiered policy whose sizes follow from the options.
#[cfg(feature = "picker-tiered")]
#[must_use]
pub fn tiered_picker(options: &Options) -> terrace_compaction::TieredPicker {
    terrace_compaction::TieredPicker::new(terrace_compaction::TieredOptions {
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}

/// Universal compaction, with tables of `table_bytes`.
#[cfg(feature = "picker-universal")]
#[must_use]
pub fn universal_picker(options: &Options) -> terrace_compaction::UniversalPicker {
    terrace_compaction::UniversalPicker::new(terrace_compaction::UniversalOptions {
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}

/// Lazy leveling with a size ratio of 10: level 1 has room for ten arrivals of four memtables each.
#[cfg(feature = "picker-fluid")]
#[must_use]
pub fn fluid_picker(options: &Options) -> terrace_compaction::FluidPicker {
    terrace_compaction::FluidPicker::new(terrace_compaction::FluidOptions {
        base_level_bytes: 40 * options.memtable_bytes as u64,
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}

/// A run for each hour, kept for ever: how long to keep them is for the user to say, through the builder.
#[cfg(feature = "picker-windowed")]
#[must_use]
pub fn windowed_picker(options: &Options) -> terrace_compaction::WindowedPicker {
    terrace_compaction::WindowedPicker::new(terrace_compaction::WindowedOptions {
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}

/// First in, first out without a bound, which keeps everything: how much to keep is for the user to say, through the builder.
#[cfg(feature = "picker-fifo")]
#[must_use]
pub fn fifo_picker(_options: &Options) -> terrace_compaction::FifoPicker {
    terrace_compaction::FifoPicker::default()
}

/// Two tiers of four runs over leveled levels, the first of which has room for one arrival from the tiers: sixteen memtables.
#[cfg(feature = "picker-hybrid")]
#[must_use]
pub fn hybrid_picker(options: &Options) -> terrace_compaction::HybridPicker {
    terrace_compaction::HybridPicker::new(terrace_compaction::HybridOptions {
        leveled: terrace_compaction::LeveledOptions {
            base_level_bytes: 16 * options.memtable_bytes as u64,
            ..terrace_compaction::LeveledOptions::for_table_bytes(options.table_bytes)
        },
        ..Default::default()
    })
}

/// Guards, with tables of `table_bytes` between them.
#[cfg(feature = "picker-guards")]
#[must_use]
pub fn guards_picker(options: &Options) -> terrace_compaction::GuardsPicker {
    terrace_compaction::GuardsPicker::new(terrace_compaction::GuardsOptions {
        target_table_bytes: options.table_bytes,
        ..Default::default()
    })
}
