//! A sharded cache of blocks on quick_cache (Clock-PRO: new blocks prove themselves before they push out those in use, so that a scan does not empty the
//! cache).
//!
//! Departures: capacity is in bytes, each block counted with what the cache needs to keep it; the shards' capacities add up to at
//! most the capacity (quick_cache rounds them up); keys are hashed by one multiplication, since file numbers and
//! blocks' numbers are nobody's to choose.
//!
//! Costs: a hit takes the read lock of one shard, a probe, and a count up of the block. Hits and misses are counted in the shard
//! that was locked anyway.
//!
//! Invariant: *Held*: the sum of the weights held is at most `capacity_bytes`.

use bytes::Bytes;
use core::hash::{BuildHasher, Hasher};
use core::hint::black_box;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BlockCache, CacheStats, TableBlocks};

/// What a block costs beyond its bytes: the entry, its slot in the table, the share of the buffer.
const OVERHEAD_BYTES: u64 = 160;

/// Below this a shard would refuse blocks of ordinary size.
const SHARD_BYTES_MIN: u64 = 512 << 10;

/// More than this many threads seldom meet.
const SHARDS_MAX: u64 = 64;

/// The size of a block for the first estimate of how many will be held.
const BLOCK_BYTES_EXPECTED: u64 = 4096;

/// A block cache in one table of all blocks: sharded, scan-resistant, bounded in bytes.
///
/// A block larger than a shard (a sixty-fourth of the capacity, or more where that is less than 512 KiB) is not kept. The number of
/// shards is fixed by the first capacity.
#[derive(Debug)]
pub struct QuickCache {
    cache: Cache<BlockKey, Block, ByBytes, ByMultiplication>,
    capacity_bytes: AtomicU64,
}

impl BlockCache for QuickCache {
    const NAME: &'static str = "quick";

    type Table = QuickBlocks;

    fn new(capacity_bytes: u64) -> Self {
        let shards = (capacity_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        // A power of two, rounded down: quick_cache would round up.
        let shards = 1usize << shards.ilog2();
        let expected = (capacity_bytes / BLOCK_BYTES_EXPECTED).clamp(1, 1 << 32) as usize;
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(expected.max(shards * 32))
            .weight_capacity(capacity_bytes)
            .build()
            .expect("capacities are set");
        let cache = Cache::with_options(options, ByBytes, ByMultiplication, DefaultLifecycle::default());
        let quick = QuickCache { cache, capacity_bytes: AtomicU64::new(0) };
        quick.set_capacity(capacity_bytes);
        quick
    }

    fn table(self: &Arc<Self>, file_number: u64, _blocks: usize) -> QuickBlocks {
        QuickBlocks { cache: Arc::clone(self), file_number }
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        // A multiple of the shards, so that their shares, rounded up, add up to no more.
        let shards = self.cache.num_shards() as u64;
        self.cache.set_capacity(capacity_bytes / shards * shards);
    }

    fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.cache.hits(),
            misses: self.cache.misses(),
            used_bytes: self.cache.weight(),
            kept_bytes: 0,
            capacity_bytes: self.capacity_bytes.load(Ordering::Relaxed),
        }
    }
}

/// The blocks of one table in a [`QuickCache`].
#[derive(Debug)]
pub struct QuickBlocks {
    cache: Arc<QuickCache>,
    file_number: u64,
}

impl TableBlocks for QuickBlocks {
    #[inline]
    fn get(&self, number: usize) -> Option<Bytes> {
        let key = BlockKey { file_number: self.file_number, number };
        let found = self.cache.cache.get(&key).map(|block| block.0);
        // The locks within are compiled into the standard library, whose orders the thread sanitizer does not see.
        #[cfg(thread_sanitizer)]
        self.cache.capacity_bytes.load(Ordering::Acquire);
        found
    }

    fn insert(&self, number: usize, block: Bytes) {
        #[cfg(thread_sanitizer)]
        self.cache.capacity_bytes.fetch_add(0, Ordering::Release);
        self.cache.cache.insert(BlockKey { file_number: self.file_number, number }, Block(block));
    }

    fn holds(&self, number: usize) -> bool {
        self.cache.cache.contains_key(&BlockKey { file_number: self.file_number, number })
    }

    /// What dropped tables leave behind goes only when other blocks come, so that a cache that was full once has no room any more.
    fn insert_if_room(&self, number: usize, block: Bytes) -> bool {
        let key = BlockKey { file_number: self.file_number, number };
        // Of its shard, in which alone others could have to give way.
        let share = self.cache.capacity_bytes.load(Ordering::Relaxed) / self.cache.cache.num_shards() as u64;
        let weight = ByBytes.weight(&key, &Block(block.clone()));
        let has_room = self.cache.has_room(weight.max(share));
        if has_room {
            self.insert(number, block);
        }
        has_room
    }
}

/// What names a block: its file and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BlockKey {
    file_number: u64,
    number: usize,
}

/// A cached block.
#[derive(Debug)]
struct Block(Bytes);

impl Clone for Block {
    /// Touches the end of the block, where a search of it begins, before the count goes up: both are misses of the processor's cache, and
    /// a locked instruction lets no later load begin before it is done.
    #[inline]
    fn clone(&self) -> Self {
        black_box(self.0.last().copied());
        Block(self.0.clone())
    }
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<BlockKey, Block> for ByBytes {
    #[inline]
    fn weight(&self, _key: &BlockKey, block: &Block) -> u64 {
        block.0.len() as u64 + OVERHEAD_BYTES
    }
}

/// Folds file number and offset through one wide multiplication each.
#[derive(Clone, Copy, Debug, Default)]
struct ByMultiplication;

impl BuildHasher for ByMultiplication {
    type Hasher = Folded;

    #[inline]
    fn build_hasher(&self) -> Folded {
        Folded(0x243f_6a88_85a3_08d3)
    }
}

#[derive(Clone, Copy, Debug)]
struct Folded(u64);

impl Hasher for Folded {
    #[inline]
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
