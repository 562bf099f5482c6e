//! Write pressure: writers are slowed early and smoothly, and stopped only when memory would run out or the throttle says so.
//!
//! What a write costs while compaction is behind is the [`Throttle`]'s business; here it is asked whenever the load changes, and here writers pay. The charge runs
//! against one clock for all writers, so that it does not depend on how many there are or how large their writes.

use std::time::Duration;
use terrace_throttle::{Charge, Load, Throttle};

use crate::batch::Ops;
use crate::options::WhenBusy;
use crate::shared::Shared;
use crate::stats::{bump, read};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, PoisonError};
use crate::{Error, Options, Parts, Result};

/// A delay shorter than this is left to add up: waking a thread costs as much.
const DELAY_MIN: Duration = Duration::from_micros(500);
/// Writes are never charged further ahead than this, so that what a passing load cost is soon forgotten.
const BILL_MAX: Duration = Duration::from_secs(1);
/// Compaction must have worked for this long before its speed counts as measured.
const MEASURED_SECONDS_MIN: f64 = 0.2;

/// The throttle, and what it said last.
#[derive(Debug)]
pub(crate) struct Backpressure {
    throttle: Box<dyn Throttle>,
    /// Whether a writer must look closer before it goes on.
    tight: AtomicBool,
    /// Nanoseconds charged for a MiB; zero at ease.
    nanos_per_mib: AtomicU64,
    /// Whether the throttle stops writers.
    stop: AtomicBool,
    pressure: AtomicU64,
    /// Until when, on the engine's clock, writes so far are paid for, in nanoseconds.
    paid_until: AtomicU64,
    delay_max: Duration,
    /// The load as it was last. Held while it is looked at and the answer is stored, so that the last answer is that to the last load.
    load: Mutex<Load>,
}

impl Backpressure {
    pub(crate) fn new(throttle: Box<dyn Throttle>, options: &Options) -> Self {
        Backpressure {
            throttle,
            tight: AtomicBool::new(false),
            nanos_per_mib: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            pressure: AtomicU64::new(0),
            paid_until: AtomicU64::new(0),
            delay_max: options.write_delay_max,
            load: Mutex::default(),
        }
    }

    pub(crate) fn pressure(&self) -> f64 {
        f64::from_bits(self.pressure.load(Ordering::Relaxed))
    }

    /// The load when something last changed.
    pub(crate) fn load(&self) -> Load {
        *self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A memtable was sealed.
    pub(crate) fn sealed<P: Parts>(&self, shared: &Shared<P>) {
        self.update(shared);
    }

    /// The shape, the memtables or the picker's mind changed.
    pub(crate) fn update<P: Parts>(&self, shared: &Shared<P>) {
        let mut last = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let (load, memory) = load_of(shared);
        *last = load;
        // A throttle may be anybody's.
        let Ok(charge) = shared.guarded(|| Ok(self.throttle.charge(&load))) else { return };
        self.pressure.store(load.pressure.to_bits(), Ordering::Relaxed);
        self.nanos_per_mib.store(nanos_per_mib(charge), Ordering::Relaxed);
        self.stop.store(charge.stop && load.working, Ordering::Relaxed);
        let tight = load.sealed >= load.sealed_max
            || (charge.stop && load.working)
            || memory > shared.options.memory_bytes * 5 / 8;
        self.tight.store(tight, Ordering::Release);
        drop(last);
        shared.pacer.ask_again();
        shared.executor.notify();
    }
}

/// The load, and the memory of all memtables.
fn load_of<P: Parts>(shared: &Shared<P>) -> (Load, u64) {
    let mut load = Load {
        sealed_max: shared.options.memtables_max - 1,
        absorbed_per_second: measured(
            shared,
            &shared.counters.flush_bytes,
            &shared.counters.compaction_nanos,
        )
        .map(|absorbed| absorbed.clamp(1e6, 1e9)),
        merged_per_second: measured(
            shared,
            &shared.counters.compaction_read_bytes,
            &shared.counters.merged_nanos,
        ),
        unix_seconds: shared.clock.unix_seconds(),
        ..Load::default()
    };
    let mut memory = 0;
    for tree in shared.trees.load().values() {
        let view = tree.view();
        load.pressure = load.pressure.max(tree.pressure());
        load.debt_bytes = load.debt_bytes.saturating_add(tree.debt_bytes());
        load.level0_runs = load.level0_runs.max(view.version.shape.runs_of(0).len());
        load.sealed = load.sealed.max(view.sealed.len());
        load.working |= !view.sealed.is_empty() || tree.is_compacting();
        memory += view.mem_bytes();
    }
    (load, memory)
}

/// Bytes for each second of work of all threads for compaction together; `None` while too little was done to tell.
fn measured<P: Parts>(shared: &Shared<P>, bytes: &AtomicCounter, nanos: &AtomicCounter) -> Option<f64> {
    let seconds = read(nanos) as f64 / 1e9;
    let threads = shared.options.background_threads.max(1) as f64;
    (seconds >= MEASURED_SECONDS_MIN).then(|| (read(bytes) as f64 / seconds * threads).max(1.0))
}

type AtomicCounter = std::sync::atomic::AtomicU64;

/// A charge from anybody's throttle as a number that the clock of all writers bears.
fn nanos_per_mib(charge: Charge) -> u64 {
    // A conversion that saturates: what is not a number costs nothing, and what is too much the most.
    (charge.seconds_per_byte * 1e9 * f64::from(1 << 20)) as u64
}

impl<P: Parts> Shared<P> {
    /// Delays, stops or refuses a write as the throttle asks. At ease it costs two relaxed loads.
    #[inline]
    pub(crate) fn slow_down(&self, ops: &Ops<'_>, when_busy: Option<WhenBusy>) -> Result<()> {
        let charge = self.throttle.nanos_per_mib.load(Ordering::Relaxed);
        if charge == 0 && !self.throttle.tight.load(Ordering::Acquire) {
            return Ok(());
        }
        match when_busy.unwrap_or(self.options.when_busy) {
            WhenBusy::Wait => self.wait_and_pay(ops, charge),
            WhenBusy::Refuse => self.pay_or_refuse(ops, charge),
        }
    }

    fn wait_and_pay(&self, ops: &Ops<'_>, charge: u64) -> Result<()> {
        let begun = self.clock.now();
        let stopped = self.must_stop(ops);
        if stopped {
            tracing::debug!("writers wait for a flush or for compaction");
            self.executor.wait(&|| self.is_ending() || !self.must_stop(ops));
        }
        let due = self.charge(charge, ops.bytes(), begun);
        let delay = if due < DELAY_MIN { Duration::ZERO } else { due.min(self.throttle.delay_max) };
        if !delay.is_zero() {
            self.clock.sleep(delay);
        }
        if stopped || !delay.is_zero() {
            self.counters.stalled(self.clock.now().saturating_sub(begun));
        }
        self.check_writable()
    }

    /// Lets a write go on without waiting when what was written before it is paid for; it then pays by delaying those that come after. Were it to wait
    /// for itself as well, a large write would be refused for ever.
    fn pay_or_refuse(&self, ops: &Ops<'_>, charge: u64) -> Result<()> {
        self.check_writable()?;
        let now = self.clock.now();
        let paid = Duration::from_nanos(self.throttle.paid_until.load(Ordering::Relaxed));
        let before = paid.saturating_sub(now);
        let stopped = self.must_stop(ops);
        if stopped || (charge > 0 && before >= DELAY_MIN) {
            bump(&self.counters.refused, 1);
            return Err(Error::Busy { retry_after: (!stopped).then_some(before) });
        }
        self.charge(charge, ops.bytes(), now);
        Ok(())
    }

    /// Puts the write on the bill, and says how long it is until that is paid.
    fn charge(&self, nanos_per_mib: u64, bytes: usize, now: Duration) -> Duration {
        let cost = (bytes as u64).saturating_mul(nanos_per_mib) >> 20;
        let now = now.as_nanos() as u64;
        let bill_max = now.saturating_add(BILL_MAX.as_nanos() as u64);
        let pay = |paid: u64| paid.max(now).saturating_add(cost).min(bill_max);
        let paid = self
            .throttle
            .paid_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(pay(paid)));
        Duration::from_nanos(pay(paid.unwrap_or(now)) - now)
    }

    fn must_stop(&self, ops: &Ops<'_>) -> bool {
        if !self.throttle.tight.load(Ordering::Acquire) {
            return false;
        }
        let trees = self.trees.load();
        let full = |tree: &crate::tree::Tree<P>| {
            let view = tree.view();
            view.sealed.len() + 1 >= self.options.memtables_max
                && view.active.memory_bytes() >= self.options.memtable_bytes as u64
        };
        let memory: u64 = trees.values().map(|tree| tree.view().mem_bytes()).sum();
        let flushing = trees.values().any(|tree| !tree.view().sealed.is_empty());
        self.throttle.stop.load(Ordering::Relaxed)
            || ops.keyspaces().iter().filter_map(|id| trees.get(id)).any(|tree| full(tree))
            || (flushing && memory > self.options.memory_bytes * 3 / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_that_is_no_number_costs_nothing_and_one_without_end_the_most() {
        let nanos = |seconds_per_byte| nanos_per_mib(Charge { seconds_per_byte, stop: false });
        assert_eq!(nanos(1.0 / f64::from(64 << 20)), 1_000_000_000 / 64);
        assert_eq!((nanos(0.0), nanos(f64::NAN), nanos(-1.0), nanos(f64::INFINITY)), (0, 0, 0, u64::MAX));
    }
}
