//! The stock parts in every combination, as values: for checks and tables that go over all of them.

use std::fmt;
use std::marker::PhantomData;
use terrace_compaction::CompactionPicker;
use terrace_memtable::MemTable;

use super::crash_points::{CrashPoints, crash_points};
use super::fault_sites::{FaultSites, fault_sites};
use super::{Counts, Failure};
use crate::{Options, Parts};

/// A compaction policy that can be set up from the options alone.
pub trait PickerFor: CompactionPicker {
    /// The policy for these options.
    fn for_options(options: &Options) -> Self;
}

/// The stock parts but for the memtable and the policy.
pub struct SwapParts<M, K>(PhantomData<fn() -> (M, K)>);

impl<M, K> fmt::Debug for SwapParts<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SwapParts")
    }
}

#[cfg(feature = "preset")]
impl<M: MemTable + 'static, K: PickerFor + 'static> Parts for SwapParts<M, K> {
    type MemTable = M;
    type Log = crate::StockLog;
    type Cache = terrace_sstable::QuickCache;
    type Table = terrace_sstable::BlockTable;
    type Picker = K;

    fn picker(options: &Options) -> K {
        K::for_options(options)
    }

    fn create_log(
        options: &Options,
        vfs: &std::sync::Arc<dyn terrace_vfs::Vfs>,
        path: &std::path::Path,
        create: terrace_wal::CreateLog,
    ) -> terrace_wal::Result<Self::Log> {
        crate::DefaultParts::create_log(options, vfs, path, create)
    }

    fn log_keeps(options: &Options) -> bool {
        crate::DefaultParts::log_keeps(options)
    }
}

#[cfg(feature = "preset")]
impl PickerFor for terrace_compaction::LeveledPicker {
    fn for_options(options: &Options) -> Self {
        crate::leveled_picker(options)
    }
}

#[cfg(all(feature = "preset", feature = "picker-tiered"))]
impl PickerFor for terrace_compaction::TieredPicker {
    fn for_options(options: &Options) -> Self {
        crate::tiered_picker(options)
    }
}

/// The checks of this module for one choice of parts.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Combination {
    /// `memtable x picker`.
    pub name: &'static str,
    /// [`super::simulate`].
    pub simulate: fn(u64, usize) -> Result<Counts, Failure>,
    /// [`super::metamorphic`].
    pub metamorphic: fn(u64, usize, u64) -> Result<u64, Failure>,
    /// [`super::fingerprint`].
    pub fingerprint: fn(u64, usize) -> Result<u64, Failure>,
    /// [`super::crash_points`].
    pub crash_points: fn(&CrashPoints) -> Result<Counts, Failure>,
    /// [`super::fault_sites`].
    pub fault_sites: fn(&FaultSites) -> Result<Counts, Failure>,
}

impl fmt::Debug for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Combination({})", self.name)
    }
}

impl Combination {
    /// The checks for some parts.
    #[must_use]
    pub fn of<P: Parts>(name: &'static str) -> Self {
        Combination {
            name,
            simulate: super::simulate::<P>,
            metamorphic: super::metamorphic::<P>,
            fingerprint: super::fingerprint::<P>,
            crash_points: crash_points::<P>,
            fault_sites: fault_sites::<P>,
        }
    }
}

/// Every combination of the stock memtables and policies that are compiled in.
#[must_use]
pub fn combinations() -> Vec<Combination> {
    #[cfg(feature = "preset")]
    use terrace_compaction::LeveledPicker;
    #[cfg(all(feature = "preset", feature = "picker-tiered"))]
    use terrace_compaction::TieredPicker;
    #[cfg(feature = "preset")]
    use terrace_memtable::BTreeMemTable;
    #[cfg(all(feature = "preset", feature = "memtable-hash"))]
    use terrace_memtable::HashMemTable;
    #[cfg(all(feature = "preset", feature = "memtable-skiplist"))]
    use terrace_memtable::SkipListMemTable;
    vec![
        #[cfg(feature = "preset")]
        Combination::of::<SwapParts<BTreeMemTable, LeveledPicker>>("btree x leveled"),
        #[cfg(all(feature = "preset", feature = "picker-tiered"))]
        Combination::of::<SwapParts<BTreeMemTable, TieredPicker>>("btree x tiered"),
        #[cfg(all(feature = "preset", feature = "memtable-skiplist"))]
        Combination::of::<SwapParts<SkipListMemTable, LeveledPicker>>("skiplist x leveled"),
        #[cfg(all(feature = "preset", feature = "memtable-skiplist", feature = "picker-tiered"))]
        Combination::of::<SwapParts<SkipListMemTable, TieredPicker>>("skiplist x tiered"),
        #[cfg(all(feature = "preset", feature = "memtable-hash"))]
        Combination::of::<SwapParts<HashMemTable, LeveledPicker>>("hash x leveled"),
        #[cfg(all(feature = "preset", feature = "memtable-hash", feature = "picker-tiered"))]
        Combination::of::<SwapParts<HashMemTable, TieredPicker>>("hash x tiered"),
    ]
}
