//! The cache of decompressed, checked blocks.

use bytes::Bytes;
use core::fmt::Debug;
use core::ops::Range;
use std::sync::Arc;

/// Hits, misses and size of a cache, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups that found their block.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Bytes of blocks held.
    pub used_bytes: u64,
    /// Bytes of memory without a block, kept for blocks to come: see [`BlockCache::keep_memory`].
    pub kept_bytes: u64,
    /// Bytes that it may hold.
    pub capacity_bytes: u64,
}

/// Keeps checked, decompressed blocks for every table of a database.
///
/// # Contract
///
/// Whatever `insert` was given for a block of a table is what `get` returns for it, or nothing. Calls come from many threads. The bytes held, with those
/// kept, stay at or below the capacity, except for one block being inserted. A block is freed when the cache and the last reader let go of it.
pub trait BlockCache: Debug + Send + Sync + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// The cache as one open table sees it.
    type Table: TableBlocks;

    /// A cache that may hold `capacity_bytes` of blocks.
    fn new(capacity_bytes: u64) -> Self;

    /// The way to the blocks of a table that has so many. `file_number` names the table while the cache lives; a table that is opened twice
    /// at a time may share its blocks or not.
    fn table(self: &Arc<Self>, file_number: u64, blocks: usize) -> Self::Table;

    /// Changes the capacity, evicting as needed: how a memory budget reaches the cache.
    fn set_capacity(&self, capacity_bytes: u64);

    /// Says that many tables are about to be dropped and as many blocks to come in their place, or (`false`) that they came. Calls come in pairs, from any thread,
    /// and pairs may overlap.
    ///
    /// Meanwhile a cache may keep the memory of blocks that go with their tables, and hand it out in [`TableBlocks::memory_for`]. It counts towards the
    /// capacity and gives way before any block does. After the last `false` none is kept. The provided method does nothing.
    fn keep_memory(&self, keep: bool) {
        let _ = keep;
    }

    /// Counters since it was made.
    fn stats(&self) -> CacheStats;

    /// Whether so many more bytes would fit without another block giving way: what a long scan asks before it fills the cache. An estimate; it
    /// may cost a look at every shard.
    fn has_room(&self, bytes: u64) -> bool {
        let CacheStats { used_bytes, capacity_bytes, .. } = self.stats();
        used_bytes.saturating_add(bytes) <= capacity_bytes
    }
}

/// The blocks of one open table, as far as the cache holds them. A block is named by its number in the table, from 0.
///
/// Why not one look-up for all tables: who knows the table and the number needs no hash and no probe (see `SlotCache`).
pub trait TableBlocks: Debug + Send + Sync + 'static {
    /// The block, if held. Cost: O(1), a clone of [`Bytes`].
    fn get(&self, number: usize) -> Option<Bytes>;

    /// Says that a block will be asked for soon, so that a cache may bring it nearer to the processor. The provided method does nothing.
    #[inline]
    fn approach(&self, number: usize) {
        let _ = number;
    }

    /// Says that one of these blocks, few that lie side by side, will be asked for at once; which of them is not known yet. The provided method does nothing.
    #[inline]
    fn approach_one_of(&self, numbers: Range<usize>) {
        let _ = numbers;
    }

    /// Memory for a block of so many bytes that is about to be read: a buffer of at least that capacity, or one of none, which is left to the caller to
    /// allocate. What is in it means nothing. The provided method has none.
    fn memory_for(&self, number: usize, bytes: usize) -> Vec<u8> {
        let _ = (number, bytes);
        Vec::new()
    }

    /// Offers a block.
    fn insert(&self, number: usize, block: Bytes);

    /// Whether the block is held. It counts as no look-up. The provided method does not know of any.
    fn holds(&self, number: usize) -> bool {
        let _ = number;
        false
    }

    /// Offers a block that nobody has asked for yet: it is kept only where no other gives way for it. True if it is. The provided method keeps none.
    fn insert_if_room(&self, number: usize, block: Bytes) -> bool {
        let _ = (number, block);
        false
    }

    /// Memory that it takes now, for as long as the table is open, beyond the blocks that the cache counts. It may grow when a block is offered.
    fn memory_bytes(&self) -> usize {
        0
    }
}

/// Keeps nothing; every read goes to the file (and the system's page cache).
#[derive(Debug)]
pub struct NullCache;

impl BlockCache for NullCache {
    const NAME: &'static str = "none";

    type Table = NullCache;

    fn new(_capacity_bytes: u64) -> Self {
        NullCache
    }

    fn table(self: &Arc<Self>, _file_number: u64, _blocks: usize) -> NullCache {
        NullCache
    }

    fn set_capacity(&self, _capacity_bytes: u64) {}

    fn stats(&self) -> CacheStats {
        CacheStats::default()
    }
}

impl TableBlocks for NullCache {
    fn get(&self, _number: usize) -> Option<Bytes> {
        None
    }

    fn insert(&self, _number: usize, _block: Bytes) {}
}
