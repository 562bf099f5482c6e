//! A cache of blocks in the tables that they belong to: each open table has a slot for each of its blocks, and the block is in its slot or nowhere.
//!
//! Algorithm: a look-up is a load from a row of pointers by the block's number, which the index has just found; there is no hash, no probe and no
//! lock. Which block gives way is decided as by S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new block enters a
//! small queue, from which it goes on to the main queue if it was asked for again, and out if not; one that comes back soon after it went out enters the
//! main queue at once; at the head of the main queue a block that was used goes to the end again. Queues hold (table, number) and are under a
//! lock that only insertion and eviction take. The pointer in place of a look-up is *swizzling*, as in Leis et al., "LeanStore" (ICDE 2018).
//!
//! *Nearness*: beside the slot stands where the block is, so that who is about to read it asks for the lines of its holder and of its end at once, and several
//! cursors ask before the first of them waits. A miss of the processor's cache takes as long as some 300 instructions; one after another, those of slot,
//! holder and block were a third of a look-up.
//!
//! Departures: the queues are counted in blocks, the capacity in bytes; what went out lately is not a third queue but one byte beside the slot, the
//! time in evictions.
//!
//! Costs: a hit is a load of the slot (protected by arc-swap, which writes to the thread's own memory only), a count up of the block, and at most one
//! store to note the use. A miss that is filled takes one shard's lock. Memory: 25 bytes for each block of an open table, cached or not, and 144
//! for each cached one. Blocks of a table go when its reader does.
//!
//! Invariants: *Held*: the sum of the weights held is at most the capacity. *Queued*: a block is in its slot exactly if its table and number stand
//! in one of the queues of its shard, once; both change under the shard's lock, except that the slots of a dropped table go without one: its places in the queues
//! are then passed over.

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::prefetch::prefetch;
use crate::{BlockCache, CacheStats, TableBlocks};

/// What a block costs beyond its bytes: what holds it, its place in a queue, the share of the buffer.
const OVERHEAD_BYTES: u64 = 144;

/// Below this a shard would refuse blocks of ordinary size.
const SHARD_BYTES_MIN: u64 = 512 << 10;

/// More than this many threads seldom meet.
const SHARDS_MAX: u64 = 64;

/// A small queue of one block in so many is what new blocks get.
const SMALL_SHARE: usize = 10;

/// Uses beyond this are not told apart.
const USES_MAX: u8 = 3;

/// The stock block cache: a slot for each block in the table that it belongs to, scan-resistant, bounded in bytes.
///
/// A block larger than a shard (a sixty-fourth of the capacity, or more where that is less than 512 KiB) is not kept. The number of shards is fixed
/// by the first capacity.
#[derive(Debug)]
pub struct SlotCache {
    shards: Box<[Shard]>,
    capacity_bytes: AtomicU64,
    lookups: Lookups,
}

impl BlockCache for SlotCache {
    const NAME: &'static str = "slots";

    type Table = Slots;

    fn new(capacity_bytes: u64) -> Self {
        let shards = (capacity_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let cache = SlotCache {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            capacity_bytes: AtomicU64::new(0),
            lookups: Lookups::default(),
        };
        cache.set_capacity(capacity_bytes);
        cache
    }

    fn table(self: &Arc<Self>, file_number: u64, blocks: usize) -> Slots {
        Slots(Arc::new(Row {
            slots: (0..blocks).map(|_| Slot::default()).collect(),
            left_at: (0..blocks).map(|_| AtomicU8::new(0)).collect(),
            file_number,
            cache: Arc::clone(self),
        }))
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        for shard in &self.shards {
            let mut queues = shard.lock();
            queues.capacity_bytes = capacity_bytes / self.shards.len() as u64;
            queues.make_room(0);
        }
    }

    fn stats(&self) -> CacheStats {
        let (hits, misses) = self.lookups.sums();
        CacheStats {
            hits,
            misses,
            used_bytes: self.shards.iter().map(|shard| shard.lock().used_bytes).sum(),
            capacity_bytes: self.capacity_bytes.load(Ordering::Relaxed),
        }
    }
}

/// The slots of one open table.
#[derive(Debug)]
pub struct Slots(Arc<Row>);

#[derive(Debug)]
struct Row {
    slots: Box<[Slot]>,
    /// When each block went out, in the time of its shard; zero: never.
    left_at: Box<[AtomicU8]>,
    file_number: u64,
    cache: Arc<SlotCache>,
}

/// The place of a block.
#[derive(Debug, Default)]
struct Slot {
    held: ArcSwapOption<Held>,
    near: Near,
}

/// Where the block of a slot is, for the processor's sake only: nothing is read through it, and it may be out of date.
#[derive(Debug, Default)]
struct Near {
    held: AtomicUsize,
    block_end: AtomicUsize,
}

/// Where a search of a block begins: its restarts and entries lie at the end, the values before them.
const SEARCHED_BYTES: usize = 512;

/// A line of the processor's cache, and the one that comes with it.
const LINES_BYTES: usize = 128;

impl Near {
    fn note(&self, held: &Arc<Held>) {
        self.held.store(Arc::as_ptr(held).addr(), Ordering::Relaxed);
        self.block_end.store(held.block.as_ptr_range().end.addr(), Ordering::Relaxed);
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.held.load(Ordering::Relaxed));
        let end = self.block_end.load(Ordering::Relaxed);
        for behind in (0..SEARCHED_BYTES).step_by(LINES_BYTES) {
            prefetch(end.wrapping_sub(behind + 1));
        }
    }
}

impl Slot {
    /// Puts a block in.
    fn fill(&self, held: Held) {
        let held = Arc::new(held);
        self.near.note(&held);
        self.held.store(Some(held));
    }
}

/// A block in its slot.
#[derive(Debug)]
struct Held {
    block: Bytes,
    /// How often it was asked for since somebody last looked, up to [`USES_MAX`]. Races lose counts, which costs nothing.
    uses: AtomicU8,
}

impl Held {
    fn weight(&self) -> u64 {
        self.block.len() as u64 + OVERHEAD_BYTES
    }
}

impl Row {
    fn shard(&self, number: usize) -> &Shard {
        // Blocks side by side, and those of tables of one length, go to different shards.
        let mixed = self.file_number.wrapping_mul(31).wrapping_add(number as u64);
        &self.cache.shards[(mixed % self.cache.shards.len() as u64) as usize]
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        for (number, slot) in self.slots.iter().enumerate() {
            if let Some(held) = slot.held.swap(None) {
                // No lock: this may be the thread that holds it, and upgraded the last share for a moment.
                let shard = self.shard(number);
                shard.left_bytes.fetch_add(held.weight(), Ordering::Relaxed);
                shard.left_blocks.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl TableBlocks for Slots {
    #[inline]
    fn get(&self, number: usize) -> Option<Bytes> {
        let row = &*self.0;
        let slot = row.slots.get(number)?;
        slot.near.prefetch();
        let slot = slot.held.load();
        let Some(held) = &*slot else {
            row.cache.lookups.count(false);
            return None;
        };
        let uses = held.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            held.uses.store(uses + 1, Ordering::Relaxed);
        }
        row.cache.lookups.count(true);
        Some(held.block.clone())
    }

    #[inline]
    fn approach(&self, number: usize) {
        if let Some(slot) = self.0.slots.get(number) {
            slot.near.prefetch();
        }
    }

    fn insert(&self, number: usize, block: Bytes) {
        self.put(number, block, Queues::make_room);
    }

    fn holds(&self, number: usize) -> bool {
        self.0.slots.get(number).is_some_and(|slot| slot.held.load().is_some())
    }

    fn insert_if_room(&self, number: usize, block: Bytes) -> bool {
        self.put(number, block, |queues, bytes| queues.used_bytes + bytes <= queues.capacity_bytes)
    }

    fn memory_bytes(&self) -> usize {
        self.0.slots.len() * (size_of::<Slot>() + size_of::<AtomicU8>())
    }
}

impl Slots {
    /// Puts a block into its slot if there is room, which `room` looks for. True if it is there then.
    fn put(&self, number: usize, block: Bytes, room: impl FnOnce(&mut Queues, u64) -> bool) -> bool {
        let row = &*self.0;
        let Some(slot) = row.slots.get(number) else { return false };
        let held = Held { block, uses: AtomicU8::new(0) };
        let weight = held.weight();
        let mut queues = row.shard(number).lock();
        let old = slot.held.load_full().map_or(0, |old| old.weight());
        if weight > queues.capacity_bytes {
            return false;
        }
        if old > 0 {
            slot.fill(held);
            queues.used_bytes = queues.used_bytes - old + weight;
            queues.make_room(0);
            return true;
        }
        if !room(&mut queues, weight) {
            return false;
        }
        let place = Place { row: Arc::downgrade(&self.0), number: number as u32 };
        if queues.left_lately(row.left_at[number].load(Ordering::Relaxed)) {
            queues.main.push_back(place);
        } else {
            queues.small.push_back(place);
        }
        queues.used_bytes += weight;
        slot.fill(held);
        true
    }
}

/// A share of the cache: some blocks of every table.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    queues: Mutex<Queues>,
    /// What dropped tables held, since somebody last had the lock.
    left_bytes: AtomicU64,
    left_blocks: AtomicUsize,
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.used_bytes -= self.left_bytes.swap(0, Ordering::Relaxed);
        queues.stale += self.left_blocks.swap(0, Ordering::Relaxed);
        queues.forget_stale();
        queues
    }
}

/// Where a block is, as long as its table is open.
#[derive(Debug)]
struct Place {
    row: Weak<Row>,
    number: u32,
}

#[derive(Debug, Default)]
struct Queues {
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    /// How many of both are of dropped tables.
    stale: usize,
    used_bytes: u64,
    capacity_bytes: u64,
    /// Blocks that went out so far: the shard's time.
    evicted: u64,
}

impl Queues {
    fn len(&self) -> usize {
        self.small.len() + self.main.len()
    }

    /// Evicts until so many bytes more fit. False when they do not.
    fn make_room(&mut self, bytes: u64) -> bool {
        while self.used_bytes + bytes > self.capacity_bytes {
            if !self.evict() {
                return false;
            }
        }
        true
    }

    /// Evicts one block. False when there is none.
    fn evict(&mut self) -> bool {
        // Readers may use blocks faster than they are passed over; at some time one goes nevertheless.
        let mut patience = self.len() * usize::from(USES_MAX);
        loop {
            let is_small = self.main.is_empty() || self.small.len() * SMALL_SHARE > self.len();
            let queue = if is_small { &mut self.small } else { &mut self.main };
            let Some(place) = queue.pop_front() else { return false };
            let Some(row) = place.row.upgrade() else {
                self.stale = self.stale.saturating_sub(1);
                continue;
            };
            let number = place.number as usize;
            let slot = &row.slots[number].held;
            let uses = match &*slot.load() {
                Some(held) => held.uses.load(Ordering::Relaxed),
                None => continue,
            };
            if uses > 0 && patience > 0 {
                patience -= 1;
                if let Some(held) = &*slot.load() {
                    held.uses.store(if is_small { 0 } else { uses - 1 }, Ordering::Relaxed);
                }
                self.main.push_back(place);
                continue;
            }
            if let Some(held) = slot.swap(None) {
                self.used_bytes -= held.weight();
                self.evicted += 1;
                if is_small {
                    row.left_at[number].store(self.now(), Ordering::Relaxed);
                }
                return true;
            }
        }
    }

    /// The time as it is noted beside slots: an eighth of the blocks held now take one tick to go. Never zero.
    fn now(&self) -> u8 {
        let tick = (self.len() as u64 / 8).max(1);
        ((self.evicted / tick) % 255) as u8 + 1
    }

    /// Whether what went out at `tick` did so within the time in which as many blocks as there are now go out. After 255 ticks an old note looks new
    /// again for a while, which only puts a block into the other queue.
    fn left_lately(&self, tick: u8) -> bool {
        tick != 0 && (u16::from(self.now()) + 255 - u16::from(tick)) % 255 <= 8
    }

    /// Takes places of dropped tables out of the queues when they are the most of them.
    fn forget_stale(&mut self) {
        if self.stale > 64 && self.stale * 2 > self.len() {
            self.small.retain(|place| place.row.strong_count() > 0);
            self.main.retain(|place| place.row.strong_count() > 0);
            self.stale = 0;
        }
    }
}

/// So many threads, the first of the process, count look-ups in a place of their own; later ones share as many others.
const OWNED: usize = 16;

/// Counts of look-ups, spread so that threads do not meet.
#[derive(Debug, Default)]
struct Lookups([LookupShard; 2 * OWNED]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct LookupShard {
    hits: AtomicU64,
    misses: AtomicU64,
}

thread_local! {
    static LOOKUP_SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        if number < OWNED { number } else { OWNED + number % OWNED }
    };
}

impl Lookups {
    #[inline]
    fn count(&self, is_hit: bool) {
        let number = LOOKUP_SHARD.try_with(|number| *number).unwrap_or(OWNED);
        let shard = &self.0[number];
        let count = if is_hit { &shard.hits } else { &shard.misses };
        if number < OWNED {
            // Nobody else writes to it: no locked instruction is needed.
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        } else {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sums(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(hits, misses), shard| {
            (hits + shard.hits.load(Ordering::Relaxed), misses + shard.misses.load(Ordering::Relaxed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ops::Range;

    const BLOCK_BYTES: usize = 4000;
    const WEIGHT: u64 = BLOCK_BYTES as u64 + OVERHEAD_BYTES;

    fn block() -> Bytes {
        Bytes::from(vec![1; BLOCK_BYTES])
    }

    /// A cache of one shard for a hundred blocks.
    fn cache() -> Arc<SlotCache> {
        let cache = Arc::new(SlotCache::new(100 * WEIGHT));
        assert_eq!(cache.shards.len(), 1);
        cache
    }

    fn look_up(slots: &Slots, number: usize) -> bool {
        let held = slots.get(number).is_some();
        if !held {
            slots.insert(number, block());
        }
        held
    }

    fn look_up_all(slots: &Slots, numbers: Range<usize>) {
        for number in numbers {
            look_up(slots, number);
        }
    }

    #[test]
    fn blocks_in_use_outlast_a_scan() {
        let cache = cache();
        let slots = cache.table(1, 2000);
        for _ in 0..3 {
            look_up_all(&slots, 0..50);
        }
        for scanned in 100..2000 {
            assert!(!look_up(&slots, scanned));
            // Half of them are asked for as often as the scan takes forty steps.
            if scanned % 40 == 0 {
                (0..25).for_each(|number| assert!(slots.get(number).is_some(), "{number} at {scanned}"));
            }
        }
        assert_eq!(cache.stats().used_bytes, 100 * WEIGHT);
    }

    #[test]
    fn a_block_that_comes_back_soon_is_kept_longer() {
        let cache = cache();
        let slots = cache.table(1, 2000);
        look_up_all(&slots, 0..100);
        // Number 0 goes out, comes back, and outlasts those that came once.
        look_up_all(&slots, 100..110);
        assert!(!look_up(&slots, 0));
        look_up_all(&slots, 200..290);
        assert!(slots.get(0).is_some());
        assert!(slots.get(50).is_none());
    }

    #[test]
    fn dropped_tables_leave_nothing_behind() {
        let cache = cache();
        let kept = cache.table(1, 10);
        look_up_all(&kept, 0..10);
        for file_number in 2..200 {
            let slots = cache.table(file_number, 50);
            look_up_all(&slots, 0..50);
            (0..10).for_each(|number| assert!(kept.get(number).is_some()));
        }
        assert_eq!(cache.stats().used_bytes, 10 * WEIGHT);
        let queues = cache.shards[0].lock();
        assert!(queues.len() < 200, "{} places for 10 blocks", queues.len());
    }
}
