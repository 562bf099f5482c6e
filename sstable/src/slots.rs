//! A cache of blocks in the tables that they belong to: each open table has a slot for each of its blocks, and the block is in its slot or nowhere.
//!
//! Algorithm: a look-up is a load from a row of pointers by the block's number, which the index has just found; there is no hash, no probe and no
//! lock. Which block gives way is decided as by S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new block enters a
//! small queue, from which it goes on to the main queue if it was asked for again, and out if not; one that comes back soon after it went out enters the
//! main queue at once; at the head of the main queue a block that was used goes to the end again. Queues hold (table, number) and are under a
//! lock that only insertion and eviction take. The pointer in place of a look-up is *swizzling*, as in Leis et al., "LeanStore" (ICDE 2018).
//!
//! *Nearness*: a row beside the slots says where each block is, so that who is about to read it asks for the lines of its holder and of its end at once, and several
//! cursors ask before the first of them waits. What it says of a stretch of blocks is asked for while the index is still searched for the one among them. A miss of
//! the processor's cache takes as long as some 300 instructions; one after another, those of slot, holder and block were a third of a look-up.
//!
//! Departures: the queues are counted in blocks, the capacity in bytes; what went out lately is not a third queue but one byte beside the slot, the
//! time in evictions.
//!
//! Costs: a hit is a load of the slot (protected by arc-swap, which writes to the thread's own memory only), a count up of the block, and at most one
//! store to note the use. A miss that is filled takes one shard's lock. Memory: 25 bytes for each block of an open table, cached or not, from when the first of
//! them is offered (a table that only merges read has none), and 144 for each cached one. Blocks of a table go when its reader does; their memory may be kept for
//! the blocks that come next, in `kept`.
//!
//! Invariants: *Held*: the sum of the weights held and of the memory kept is at most the capacity, in each shard; what is kept gives way first. *Queued*: a
//! block is in its slot exactly if its table and number stand in one of the queues of its shard, once; both change under the shard's lock, except that the slots
//! of a dropped table go without one: its places in the queues are then passed over.

mod kept;
mod lock;
mod lookups;
mod queues;
#[cfg(test)]
mod tests;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use core::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::lock::OnceLock;
use self::lookups::Lookups;
use self::queues::{Place, Queues, Shard, USES_MAX};
use crate::prefetch::prefetch;
use crate::{BlockCache, CacheStats, TableBlocks};

/// What a block costs beyond its bytes: what holds it, its place in a queue, the share of the buffer.
const OVERHEAD_BYTES: u64 = 144;

/// Below this a shard would refuse blocks of ordinary size.
const SHARD_BYTES_MIN: u64 = 512 << 10;

/// More than this many threads seldom meet.
const SHARDS_MAX: u64 = 64;

/// The stock block cache: a slot for each block in the table that it belongs to, scan-resistant, bounded in bytes.
///
/// A block larger than a shard (a sixty-fourth of the capacity, or more where that is less than 512 KiB) is not kept. The number of shards is fixed
/// by the first capacity.
#[derive(Debug)]
pub struct SlotCache {
    shards: Box<[Shard]>,
    capacity_bytes: AtomicU64,
    lookups: Lookups,
    /// Who wants the memory of blocks kept; the lock is held while shards are told, so that the last to go and a new one come one after the other.
    keepers: Mutex<usize>,
    /// Whether anybody does, for tables that are dropped. It may lag: shards know for certain.
    keeps: AtomicBool,
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
            keepers: Mutex::new(0),
            keeps: AtomicBool::new(false),
        };
        cache.set_capacity(capacity_bytes);
        cache
    }

    fn table(self: &Arc<Self>, file_number: u64, blocks: usize) -> Slots {
        Slots(Arc::new(Row { places: OnceLock::new(), blocks, file_number, cache: Arc::clone(self) }))
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        for shard in &self.shards {
            let mut queues = shard.lock();
            queues.capacity_bytes = self.shard_bytes(capacity_bytes);
            queues.make_room(0);
            shard.kept.shrink_to(queues.room_bytes());
        }
    }

    fn stats(&self) -> CacheStats {
        let (hits, misses) = self.lookups.sums();
        let capacity_bytes = self.capacity_bytes.load(Ordering::Relaxed);
        let mut stats = CacheStats { hits, misses, capacity_bytes, ..CacheStats::default() };
        for shard in &self.shards {
            let (used_bytes, kept_bytes) = shard.sizes();
            stats.used_bytes += used_bytes;
            stats.kept_bytes += kept_bytes;
        }
        stats
    }

    fn keep_memory(&self, keep: bool) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *keepers;
        *keepers = if keep { before + 1 } else { before.saturating_sub(1) };
        debug_assert!(keep || before > 0, "nobody lets go of memory who did not have it kept");
        if (before == 0) == (*keepers == 0) {
            return;
        }
        for shard in &self.shards {
            if keep {
                shard.kept.open();
            } else {
                shard.kept.close();
            }
        }
        self.keeps.store(keep, Ordering::Relaxed);
    }
}

impl SlotCache {
    fn shard_bytes(&self, capacity_bytes: u64) -> u64 {
        capacity_bytes / self.shards.len() as u64
    }
}

/// The slots of one open table.
#[derive(Debug)]
pub struct Slots(Arc<Row>);

#[derive(Debug)]
struct Row {
    places: OnceLock<Places>,
    cache: Arc<SlotCache>,
    file_number: u64,
    blocks: usize,
}

/// What a table has once a block of it was offered.
#[derive(Debug)]
struct Places {
    slots: Box<[Slot]>,
    near: Box<[NearLine]>,
    /// When each block went out, in the time of its shard; zero: never.
    left_at: Box<[AtomicU8]>,
}

/// The place of a block.
type Slot = ArcSwapOption<Held>;

/// Where the block of a slot is, for the processor's sake only: nothing is read through it, and it may be out of date.
#[derive(Debug, Default)]
struct Near {
    held: AtomicUsize,
    block_end: AtomicUsize,
}

/// Those of a line of the processor's cache. Apart from the slots, so that those of a stretch of blocks are few lines, which are asked for before it is known which of them
/// is needed.
#[derive(Debug, Default)]
#[repr(align(64))]
struct NearLine([Near; LINE_BLOCKS]);

const LINE_BYTES: usize = 64;
const LINE_BLOCKS: usize = LINE_BYTES / size_of::<Near>();

/// Where a search of a block begins: its restarts and entries lie at the end, the values before them. With values of a hundred bytes all of them; each line by itself, since
/// not every processor brings the one beside it.
const SEARCHED_BYTES: usize = 640;

impl Near {
    fn note(&self, held: &Arc<Held>) {
        self.held.store(Arc::as_ptr(held).addr(), Ordering::Relaxed);
        self.block_end.store(held.block.as_ptr_range().end.addr(), Ordering::Relaxed);
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.held.load(Ordering::Relaxed));
        let end = self.block_end.load(Ordering::Relaxed);
        for behind in (0..SEARCHED_BYTES).step_by(LINE_BYTES) {
            prefetch(end.wrapping_sub(behind + 1));
        }
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

impl Places {
    fn new(blocks: usize) -> Self {
        Places {
            slots: (0..blocks).map(|_| Slot::default()).collect(),
            near: (0..blocks.div_ceil(LINE_BLOCKS)).map(|_| NearLine::default()).collect(),
            left_at: (0..blocks).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    #[inline]
    fn near(&self, number: usize) -> Option<&Near> {
        Some(&self.near.get(number / LINE_BLOCKS)?.0[number % LINE_BLOCKS])
    }

    /// Puts a block into its slot.
    fn fill(&self, number: usize, held: Held) {
        let held = Arc::new(held);
        if let Some(near) = self.near(number) {
            near.note(&held);
        }
        self.slots[number].store(Some(held));
    }

    fn memory_bytes(&self) -> usize {
        self.slots.len() * (size_of::<Slot>() + size_of::<AtomicU8>())
            + self.near.len() * size_of::<NearLine>()
    }
}

impl Row {
    fn shard(&self, number: usize) -> &Shard {
        // Blocks side by side, and those of tables of one length, go to different shards.
        let mixed = self.file_number.wrapping_mul(31).wrapping_add(number as u64);
        &self.cache.shards[(mixed % self.cache.shards.len() as u64) as usize]
    }

    #[inline]
    fn slot(&self, number: usize) -> Option<&Slot> {
        self.places.get()?.slots.get(number)
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let Some(places) = self.places.get() else { return };
        let keeps = self.cache.keeps.load(Ordering::Relaxed);
        for (number, slot) in places.slots.iter().enumerate() {
            if let Some(held) = slot.swap(None) {
                let shard = self.shard(number);
                let weight = held.weight();
                shard.leave(weight);
                if keeps && let Some(held) = Arc::into_inner(held) {
                    shard.kept.keep(held.block, weight);
                }
            }
        }
    }
}

impl TableBlocks for Slots {
    #[inline]
    fn get(&self, number: usize) -> Option<Bytes> {
        let row = &*self.0;
        let Some(places) = row.places.get() else {
            row.cache.lookups.count(false);
            return None;
        };
        let slot = places.slots.get(number)?;
        if let Some(near) = places.near(number) {
            near.prefetch();
        }
        let slot = slot.load();
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
        if let Some(places) = self.0.places.get()
            && let (Some(near), Some(slot)) = (places.near(number), places.slots.get(number))
        {
            prefetch(core::ptr::from_ref(slot).addr());
            near.prefetch();
        }
    }

    #[inline]
    fn approach_one_of(&self, numbers: Range<usize>) {
        if let Some(places) = self.0.places.get() {
            let lines = numbers.start / LINE_BLOCKS..numbers.end.div_ceil(LINE_BLOCKS);
            for line in places.near.get(lines).unwrap_or_default() {
                prefetch(core::ptr::from_ref(line).addr());
            }
        }
    }

    fn insert(&self, number: usize, block: Bytes) {
        self.put(number, block, Queues::make_room);
    }

    fn holds(&self, number: usize) -> bool {
        self.0.slot(number).is_some_and(|slot| slot.load().is_some())
    }

    fn insert_if_room(&self, number: usize, block: Bytes) -> bool {
        self.put(number, block, |queues, bytes| bytes <= queues.room_bytes())
    }

    /// Of the block's own shard, which counts it: what was kept there and what is held there trade places.
    #[inline]
    fn memory_for(&self, number: usize, bytes: usize) -> Vec<u8> {
        self.0.shard(number).kept.take(bytes)
    }

    fn memory_bytes(&self) -> usize {
        self.0.places.get().map_or(0, Places::memory_bytes)
    }
}

impl Slots {
    /// Puts a block into its slot if there is room, which `room` looks for. True if it is there then.
    fn put(&self, number: usize, block: Bytes, room: impl FnOnce(&mut Queues, u64) -> bool) -> bool {
        let row = &*self.0;
        let held = Held { block, uses: AtomicU8::new(0) };
        let weight = held.weight();
        let capacity_bytes = row.cache.capacity_bytes.load(Ordering::Relaxed);
        // Before there are slots for it: a cache without capacity shall cost none.
        if number >= row.blocks || weight > row.cache.shard_bytes(capacity_bytes) {
            return false;
        }
        let places = row.places.get_or_init(|| Places::new(row.blocks));
        let shard = row.shard(number);
        let mut queues = shard.lock();
        let old = places.slots[number].load_full().map_or(0, |old| old.weight());
        if weight > queues.capacity_bytes {
            return false;
        }
        if old > 0 {
            places.fill(number, held);
            queues.used_bytes = queues.used_bytes - old + weight;
            queues.make_room(0);
        } else {
            if !room(&mut queues, weight) {
                return false;
            }
            let place = Place { row: Arc::downgrade(&self.0), number: number as u32 };
            if queues.left_lately(places.left_at[number].load(Ordering::Relaxed)) {
                queues.main.push_back(place);
            } else {
                queues.small.push_back(place);
            }
            queues.used_bytes += weight;
            places.fill(number, held);
        }
        // What is kept gives way to what is held.
        shard.kept.shrink_to(queues.room_bytes());
        true
    }
}
