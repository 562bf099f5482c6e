//! The queues of each shard: which block gives way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, Weak};

use super::kept::Kept;
use super::lock::{Mutex, MutexGuard};
use super::{Places, Row};

/// A small queue of one block in so many is what new blocks get.
const SMALL_SHARE: usize = 10;

/// Uses beyond this are not told apart.
pub(super) const USES_MAX: u8 = 3;

/// A share of the cache: some blocks of every table.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Shard {
    queues: Mutex<Queues>,
    /// What dropped tables held, since somebody last had the lock.
    left_bytes: AtomicU64,
    left_blocks: AtomicUsize,
    pub(super) kept: Kept,
}

impl Shard {
    /// Says that a block went with its table. No lock of the queues: this may be the thread that holds it, and upgraded the last share for a moment.
    pub(super) fn leave(&self, weight: u64) {
        self.left_bytes.fetch_add(weight, Ordering::Relaxed);
        self.left_blocks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queues> {
        let mut queues = self.lock_as_it_is();
        self.settle(&mut queues);
        queues
    }

    /// Bytes held and bytes kept.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let mut queues = self.lock_as_it_is();
        // Before what left is subtracted: a table that is dropped meanwhile shall count in one of them and not in both.
        let kept_bytes = self.kept.bytes();
        self.settle(&mut queues);
        (queues.used_bytes, kept_bytes)
    }

    fn lock_as_it_is(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, queues: &mut Queues) {
        queues.used_bytes -= self.left_bytes.swap(0, Ordering::Relaxed);
        queues.stale += self.left_blocks.swap(0, Ordering::Relaxed);
        queues.forget_stale();
    }
}

/// Where a block is, as long as its table is open.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) row: Weak<Row>,
    pub(super) number: u32,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) small: VecDeque<Place>,
    pub(super) main: VecDeque<Place>,
    /// How many of both are of dropped tables.
    stale: usize,
    pub(super) used_bytes: u64,
    pub(super) capacity_bytes: u64,
    /// Blocks that went out so far: the shard's time.
    evicted: u64,
}

impl Queues {
    pub(super) fn len(&self) -> usize {
        self.small.len() + self.main.len()
    }

    /// What may be held beyond what is.
    pub(super) fn room_bytes(&self) -> u64 {
        self.capacity_bytes.saturating_sub(self.used_bytes)
    }

    /// Evicts until so many bytes more fit. False when they do not.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
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
            let Places { slots, left_at, .. } =
                row.places.get().expect("a table with a queued block has slots");
            let slot = &slots[number];
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
                    left_at[number].store(self.now(), Ordering::Relaxed);
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
    pub(super) fn left_lately(&self, tick: u8) -> bool {
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
