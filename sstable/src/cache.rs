//! The cache of decompressed, checked blocks.

use bytes::Bytes;
use core::fmt::Debug;

/// What names a block: its file and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The file's number, unique while the cache lives.
    pub file_number: u64,
    /// Where the block begins in the file.
    pub offset: u64,
}

/// Hits, misses and size of a cache, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups that found their block.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Bytes of blocks held.
    pub used_bytes: u64,
    /// Bytes that it may hold.
    pub capacity_bytes: u64,
}

/// Keeps checked, decompressed blocks for every table of a database.
///
/// # Contract
///
/// Whatever `insert` was given for a key is what `get` returns for it, or nothing. Calls come from many threads. The bytes held stay at or below the
/// capacity, except for one block being inserted. A block is freed when the cache and the last reader let go of it.
pub trait BlockCache: Debug + Send + Sync + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// A cache that may hold `capacity_bytes` of blocks.
    fn new(capacity_bytes: u64) -> Self;

    /// The block, if held. Cost: O(1), a clone of [`Bytes`].
    fn get(&self, key: BlockKey) -> Option<Bytes>;

    /// Offers a block.
    fn insert(&self, key: BlockKey, block: Bytes);

    /// Changes the capacity, evicting as needed: how a memory budget reaches the cache.
    fn set_capacity(&self, capacity_bytes: u64);

    /// Counters since it was made.
    fn stats(&self) -> CacheStats;

    /// Whether so many more bytes would fit without another block giving way: what a long scan asks before it fills the cache. An estimate; it
    /// may cost a look at every shard.
    fn has_room(&self, bytes: u64) -> bool {
        let CacheStats { used_bytes, capacity_bytes, .. } = self.stats();
        used_bytes.saturating_add(bytes) <= capacity_bytes
    }
}

/// Keeps nothing; every read goes to the file (and the system's page cache).
#[derive(Debug)]
pub struct NullCache;

impl BlockCache for NullCache {
    const NAME: &'static str = "none";

    fn new(_capacity_bytes: u64) -> Self {
        NullCache
    }

    fn get(&self, _key: BlockKey) -> Option<Bytes> {
        None
    }

    fn insert(&self, _key: BlockKey, _block: Bytes) {}

    fn set_capacity(&self, _capacity_bytes: u64) {}

    fn stats(&self) -> CacheStats {
        CacheStats::default()
    }
}
