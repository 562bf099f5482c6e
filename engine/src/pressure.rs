//! Write pressure: writers are slowed early and smoothly, and stopped only when memory would run out.
//!
//! The picker says how far compaction is behind, from 0 to 1. At pressure p a writer is charged `p / (1 - p)` times what it costs compaction to absorb its bytes, as
//! measured since the database was opened: at one half, writers go exactly as fast as compaction can follow; below it faster, above it
//! slower. The charge runs against one clock for all writers, so that it does not depend on how many there are or how large their writes.

use std::time::Duration;

use crate::batch::Ops;
use crate::shared::Shared;
use crate::stats::read;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::{Options, Parts, Result};

/// What compaction is taken to absorb before anything was measured, in bytes a second.
const ABSORBED_AT_FIRST: f64 = 64e6;
/// A delay shorter than this is left to add up: waking a thread costs as much.
const DELAY_MIN: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(crate) struct Throttle {
    /// Whether a writer must look closer before it goes on.
    tight: AtomicBool,
    /// Nanoseconds charged for a MiB; zero at ease.
    nanos_per_mib: AtomicU64,
    pressure: AtomicU64,
    /// Until when, on the engine's clock, writes so far are paid for, in nanoseconds.
    paid_until: AtomicU64,
    delay_max: Duration,
}

impl Throttle {
    pub(crate) fn new(options: &Options) -> Self {
        Throttle {
            tight: AtomicBool::new(false),
            nanos_per_mib: AtomicU64::new(0),
            pressure: AtomicU64::new(0),
            paid_until: AtomicU64::new(0),
            delay_max: options.write_delay_max,
        }
    }

    pub(crate) fn pressure(&self) -> f64 {
        f64::from_bits(self.pressure.load(Ordering::Relaxed))
    }

    /// A memtable was sealed.
    pub(crate) fn sealed<P: Parts>(&self, shared: &Shared<P>) {
        self.update(shared);
    }

    /// The shape, the memtables or the picker's mind changed.
    pub(crate) fn update<P: Parts>(&self, shared: &Shared<P>) {
        let most = shared.options.memtables_max - 1;
        let (mut pressure, mut sealed_max, mut memory) = (0.0_f64, 0, 0);
        for tree in shared.trees.load().values() {
            let view = tree.view();
            pressure = pressure.max(tree.pressure());
            sealed_max = sealed_max.max(view.sealed.len());
            memory += view.mem_bytes();
        }
        // The last free memtable is being filled: slow down to the pace of the flush, but do not stop yet.
        if most > 1 && sealed_max + 1 >= most {
            pressure = pressure.max(0.3 * (sealed_max + 2 - most) as f64);
        }
        let pressure = pressure.clamp(0.0, 1.0);
        self.pressure.store(pressure.to_bits(), Ordering::Relaxed);
        let charge = charge_nanos_per_mib(pressure.min(0.97), absorbed_per_second(shared));
        self.nanos_per_mib.store(charge, Ordering::Relaxed);
        let tight = sealed_max >= most || pressure >= 1.0 || memory > shared.options.memory_bytes * 5 / 8;
        self.tight.store(tight, Ordering::Release);
        shared.executor.notify();
    }
}

fn charge_nanos_per_mib(pressure: f64, absorbed: f64) -> u64 {
    let nanos = pressure / (1.0 - pressure) / absorbed * 1e9 * f64::from(1 << 20);
    nanos as u64
}

/// User bytes that compaction has absorbed for each second that it ran, with all its threads.
fn absorbed_per_second<P: Parts>(shared: &Shared<P>) -> f64 {
    let seconds = read(&shared.counters.compaction_nanos) as f64 / 1e9;
    if seconds < 0.2 {
        return ABSORBED_AT_FIRST;
    }
    let threads = shared.options.background_threads.max(1) as f64;
    (read(&shared.counters.flush_bytes) as f64 / seconds * threads).clamp(1e6, 1e9)
}

impl<P: Parts> Shared<P> {
    /// Delays or stops a write as the pressure asks. At ease it costs two relaxed loads.
    #[inline]
    pub(crate) fn slow_down(&self, ops: &Ops<'_>) -> Result<()> {
        let charge = self.throttle.nanos_per_mib.load(Ordering::Relaxed);
        if charge == 0 && !self.throttle.tight.load(Ordering::Acquire) {
            return Ok(());
        }
        let begun = self.clock.now();
        let stopped = self.must_stop(ops);
        if stopped {
            tracing::debug!("writers wait for a flush or for compaction");
            self.executor.wait(&|| self.is_ending() || !self.must_stop(ops));
        }
        let delay = self.charge(charge, ops.bytes(), begun);
        if !delay.is_zero() {
            self.clock.sleep(delay);
        }
        if stopped || !delay.is_zero() {
            self.counters.stalled(self.clock.now().saturating_sub(begun));
        }
        self.check_writable()
    }

    /// Puts the write on the bill, and says how long to wait for it to be paid.
    fn charge(&self, nanos_per_mib: u64, bytes: usize, now: Duration) -> Duration {
        let cost = (bytes as u64).saturating_mul(nanos_per_mib) >> 20;
        let now = now.as_nanos() as u64;
        let pay = |paid: u64| Some(paid.max(now).saturating_add(cost));
        let paid = self.throttle.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
        let due = paid.unwrap_or(now).max(now).saturating_add(cost) - now;
        let due = Duration::from_nanos(due);
        if due < DELAY_MIN { Duration::ZERO } else { due.min(self.throttle.delay_max) }
    }

    fn must_stop(&self, ops: &Ops<'_>) -> bool {
        if !self.throttle.tight.load(Ordering::Acquire) {
            return false;
        }
        let compacting = self.options.compaction && self.throttle.pressure() >= 1.0;
        let trees = self.trees.load();
        let full = |tree: &crate::tree::Tree<P>| {
            let view = tree.view();
            view.sealed.len() + 1 >= self.options.memtables_max
                && view.active.memory_bytes() >= self.options.memtable_bytes as u64
        };
        let memory: u64 = trees.values().map(|tree| tree.view().mem_bytes()).sum();
        let flushing = trees.values().any(|tree| !tree.view().sealed.is_empty());
        compacting
            || ops.keyspaces().iter().filter_map(|id| trees.get(id)).any(|tree| full(tree))
            || (flushing && memory > self.options.memory_bytes * 3 / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charge_rises_smoothly_and_is_the_measured_cost_at_one_half() {
        let absorbed = f64::from(64 << 20);
        assert_eq!(charge_nanos_per_mib(0.0, absorbed), 0);
        assert_eq!(charge_nanos_per_mib(0.5, absorbed), 1_000_000_000 / 64);
        let charges: Vec<u64> =
            (0..=97).map(|percent| charge_nanos_per_mib(f64::from(percent) / 100.0, absorbed)).collect();
        assert!(charges.is_sorted(), "the charge falls as pressure rises");
        let steepest =
            charges.windows(2).skip(10).map(|pair| pair[1] as f64 / pair[0] as f64).fold(0.0, f64::max);
        assert!(steepest < 1.6, "a step of one percent of pressure multiplies the charge by {steepest}");
    }
}
