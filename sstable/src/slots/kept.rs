//! Memory of blocks that went with their tables, kept for the blocks that come in their place.
//!
//! Why: an allocator gives what is freed to whoever frees or had asked for it, a thread or a group of them (glibc's arenas, the heaps of others). Blocks are
//! read by the threads that ask for them; after a merge one background thread reads as many again, finds nothing in its own part, and the process
//! grows to nearly twice the blocks that it holds. Memory that is handed over is in nobody's part meanwhile.
//!
//! Algorithm: buffers by their capacity; who asks gets the least that fits, if it is hardly too large.
//!
//! Costs: a lock, and a search of a small tree, for a buffer that comes or goes; where nothing is kept, one relaxed load. No byte is copied.
//!
//! Invariant: *Covered*: a buffer counts here for no more than its block counted for in the cache. So what leaves a table and comes here takes no room that was not
//! taken, and needs nobody's lock to know that.

use bytes::Bytes;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock::{Mutex, MutexGuard};

/// What keeping a buffer costs beyond its bytes.
const BUFFER_BYTES: u64 = size_of::<Vec<u8>>() as u64;

/// How much larger than its block a buffer may be, by *Covered*. Where many blocks are kept there is one as near to any
/// length; where there are few, little is lost.
const SLACK_BYTES: usize = (super::OVERHEAD_BYTES - BUFFER_BYTES) as usize;

/// The kept memory of one shard.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// As in `buffers`, for who need not know it to the byte: where it is zero nobody takes the lock.
    bytes: AtomicU64,
    buffers: Mutex<Buffers>,
}

#[derive(Debug, Default)]
struct Buffers {
    /// Whether any more are kept. Under the lock, so that none comes in after the last has gone.
    is_open: bool,
    bytes: u64,
    by_capacity: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Kept {
    /// From now on memory is kept.
    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// From now on none is, and what is kept goes.
    pub(super) fn close(&self) {
        let mut buffers = self.lock();
        let all = core::mem::take(&mut *buffers);
        self.bytes.store(0, Ordering::Relaxed);
        drop(buffers);
        // Without the lock: there may be many.
        drop(all);
    }

    /// Keeps the memory of a block that the cache counted as `weight`, if nobody else has a share of it.
    pub(super) fn keep(&self, block: Bytes, weight: u64) {
        // What is shared would be copied, and its own memory freed all the same.
        if !block.is_unique() {
            return;
        }
        // The very buffer: its bytes are moved to its beginning, where they are. They stay in it, so that it need not be zeroed again.
        let buffer = Vec::from(block);
        if counted(buffer.capacity()) > weight {
            return;
        }
        let mut buffers = self.lock();
        if buffers.is_open {
            buffers.put(buffer);
            self.bytes.store(buffers.bytes, Ordering::Relaxed);
        }
    }

    /// A buffer for so many bytes, with something or other in it; one without capacity if none fits.
    #[inline]
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        if self.bytes.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut buffers = self.lock();
        let fit = buffers.least(bytes..=bytes.saturating_add(SLACK_BYTES));
        let buffer = fit.map(|capacity| buffers.take(capacity));
        self.bytes.store(buffers.bytes, Ordering::Relaxed);
        buffer.unwrap_or_default()
    }

    /// Frees memory until no more than `bytes_max` is kept.
    #[inline]
    pub(super) fn shrink_to(&self, bytes_max: u64) {
        if self.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut buffers = self.lock();
        while buffers.bytes > bytes_max {
            // The largest first: fewest of them go.
            let largest = buffers.by_capacity.last_key_value().map(|(&capacity, _)| capacity);
            drop(buffers.take(largest.expect("bytes that are kept are in buffers")));
        }
        self.bytes.store(buffers.bytes, Ordering::Relaxed);
    }

    /// What is kept. All of it was reported to the shard as left before.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffers {
    fn put(&mut self, buffer: Vec<u8>) {
        self.bytes += counted(buffer.capacity());
        self.by_capacity.entry(buffer.capacity()).or_default().push(buffer);
    }

    /// The least capacity in the range that there is a buffer of.
    fn least(&self, range: RangeInclusive<usize>) -> Option<usize> {
        self.by_capacity.range(range).next().map(|(&capacity, _)| capacity)
    }

    /// Takes a buffer of this very capacity out, of which there is one.
    fn take(&mut self, capacity: usize) -> Vec<u8> {
        let Entry::Occupied(mut alike) = self.by_capacity.entry(capacity) else {
            panic!("no buffer of {capacity} bytes is kept");
        };
        let buffer = alike.get_mut().pop().expect("no capacity is listed without a buffer");
        if alike.get().is_empty() {
            alike.remove();
        }
        self.bytes -= counted(capacity);
        buffer
    }
}

/// What a buffer counts for.
fn counted(capacity: usize) -> u64 {
    capacity as u64 + BUFFER_BYTES
}
