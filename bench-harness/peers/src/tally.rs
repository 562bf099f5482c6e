//! What a peer was given and what it wrote, counted outside of it: its own counters would cost it time, and not every peer has any.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use terrace_bench::meter;
use terrace_bench::store::{BatchWrite, StoreStats};

const STRIPES: usize = 16;

/// A counter on a cache line of its own, so that clients do not wait for each other's.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// Bytes given and written since the store was opened.
pub(crate) struct Tally {
    given: [Stripe; STRIPES],
    written_before: Option<u64>,
}

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Tally {
    /// Begins to count.
    pub(crate) fn begin() -> Self {
        Tally { given: Default::default(), written_before: meter::written_bytes() }
    }

    /// Notes an accepted pair or deletion.
    pub(crate) fn add(&self, key: &[u8], value: Option<&[u8]>) {
        self.add_bytes((key.len() + value.map_or(0, <[u8]>::len)) as u64);
    }

    /// Notes an accepted batch.
    pub(crate) fn add_all(&self, writes: &[BatchWrite<'_>]) {
        let bytes = |(key, value): &BatchWrite<'_>| key.len() + value.map_or(0, <[u8]>::len);
        self.add_bytes(writes.iter().map(bytes).sum::<usize>() as u64);
    }

    fn add_bytes(&self, bytes: u64) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let stripe = STRIPE.get().unwrap_or_else(|| {
            let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            STRIPE.set(Some(stripe));
            stripe
        });
        self.given[stripe].0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The figures that can be told from outside; all that a peer writes goes through calls, none through a mapping.
    pub(crate) fn stats(&self) -> StoreStats {
        let given: u64 = self.given.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum();
        let written =
            meter::written_bytes().zip(self.written_before).map(|(now, then)| now.saturating_sub(then));
        StoreStats {
            user_bytes_written: Some(given),
            file_bytes_written: written,
            write_amp: written.filter(|_| given > 0).map(|written| written as f64 / given as f64),
            ..StoreStats::default()
        }
    }
}
