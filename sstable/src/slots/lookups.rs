//! Hits and misses, counted without threads meeting.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// So many threads, the first of the process, count look-ups in a place of their own; later ones share as many others.
const OWNED: usize = 16;

/// Counts of look-ups, spread so that threads do not meet.
#[derive(Debug, Default)]
pub(super) struct Lookups([LookupShard; 2 * OWNED]);

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
    pub(super) fn count(&self, is_hit: bool) {
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

    pub(super) fn sums(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(hits, misses), shard| {
            (hits + shard.hits.load(Ordering::Relaxed), misses + shard.misses.load(Ordering::Relaxed))
        })
    }
}
