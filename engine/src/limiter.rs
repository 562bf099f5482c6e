//! The rate of compaction: a budget of bytes a second, set by the [`Limiter`].
//!
//! Each merge keeps its own account against the shared rate divided by the merges that may run at once; over a few seconds that comes to the rate set,
//! and no merge has to wait for another's lock. The limiter is asked by the merges themselves, some times a second and whenever the load has changed. Whether users
//! are at work is read off the counters that reads and writes keep anyway, so courtesy costs users nothing.

use std::time::Duration;
use terrace_throttle::{InQuietHours, Limiter, RisingLimiter, Since};

use crate::Parts;
use crate::compact::PAUSE_MAX;
use crate::options::CompactionRate;
use crate::shared::Shared;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, PoisonError};

/// The limiter is asked again after this time at the latest.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What [`CompactionRate`] asks for.
pub(crate) fn limiter_of(rate: &CompactionRate) -> Box<dyn Limiter> {
    let rising = RisingLimiter { bytes_per_second: rate.bytes_per_second as f64 };
    match rate.quiet_hours {
        Some(hours) => Box::new(InQuietHours { otherwise: rising, hours }),
        None => Box::new(rising),
    }
}

/// The limiter, if any, and what it said last.
#[derive(Debug)]
pub(crate) struct Pacer {
    limiter: Option<Box<dyn Limiter>>,
    /// The bits of the rate in force; infinity where there is no limit.
    rate: AtomicU64,
    /// When it is to be asked again, in nanoseconds on the engine's clock.
    ask_at: AtomicU64,
    /// Time that merges were held back since it was asked last, summed over merges.
    held_nanos: AtomicU64,
    asked: Mutex<Asked>,
}

/// The moment at which the limiter was asked.
#[derive(Debug, Default)]
struct Asked {
    at: Duration,
    rate: Option<f64>,
    user_operations: u64,
    user_operations_at: Duration,
    user_operations_per_second: f64,
}

impl Pacer {
    pub(crate) fn new(limiter: Option<Box<dyn Limiter>>) -> Self {
        Pacer {
            limiter,
            rate: AtomicU64::new(f64::INFINITY.to_bits()),
            ask_at: AtomicU64::new(0),
            held_nanos: AtomicU64::new(0),
            asked: Mutex::default(),
        }
    }

    /// The load has changed.
    pub(crate) fn ask_again(&self) {
        self.ask_at.store(0, Ordering::Relaxed);
    }

    /// Bytes a second that one merge may write now; `None` for no limit.
    fn rate_of_one<P: Parts>(&self, shared: &Shared<P>, now: Duration) -> Option<f64> {
        let limiter = self.limiter.as_ref()?;
        if now.as_nanos() as u64 >= self.ask_at.load(Ordering::Relaxed) {
            self.ask(limiter.as_ref(), shared, now);
        }
        let rate = f64::from_bits(self.rate.load(Ordering::Relaxed));
        rate.is_finite().then(|| (rate / shared.options.background_threads.max(1) as f64).max(1.0))
    }

    fn ask<P: Parts>(&self, limiter: &dyn Limiter, shared: &Shared<P>, now: Duration) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now.saturating_sub(asked.at).as_secs_f64();
        let held = self.held_nanos.swap(0, Ordering::Relaxed) as f64 / 1e9;
        let threads = shared.options.background_threads.max(1) as f64;
        let held_share = if seconds > 0.0 { (held / threads / seconds).min(1.0) } else { 0.0 };
        let passed = now.saturating_sub(asked.user_operations_at);
        // Over a moment a rate says nothing.
        if passed >= ASK_EVERY {
            let done = shared.counters.gets.get() + shared.counters.writes.get();
            let new = done.saturating_sub(asked.user_operations);
            asked.user_operations_per_second = new as f64 / passed.as_secs_f64();
            (asked.user_operations, asked.user_operations_at) = (done, now);
        }
        let mut load = shared.throttle.load();
        load.user_operations_per_second = asked.user_operations_per_second;
        load.unix_seconds = shared.clock.unix_seconds();
        let since = Since { rate: asked.rate, seconds, held_share };
        // A limiter may be anybody's; when it panics the database is read-only and this merge ends at its next step.
        let rate = shared.guarded(|| Ok(limiter.rate(&load, &since))).unwrap_or(None);
        (asked.at, asked.rate) = (now, rate);
        self.rate.store(rate.unwrap_or(f64::INFINITY).to_bits(), Ordering::Relaxed);
        self.ask_at.store((now + ASK_EVERY).as_nanos() as u64, Ordering::Relaxed);
    }
}

/// The account of one merge.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    spent_bytes: u64,
    since: Option<Duration>,
}

impl Allowance {
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.spent_bytes += bytes;
    }

    /// How long to pause so that the bytes spent keep to the rate; `None` to go on.
    pub(crate) fn pause<P: Parts>(&mut self, shared: &Shared<P>) -> Option<Duration> {
        let now = shared.clock.now();
        let allowed = shared.pacer.rate_of_one(shared, now);
        let since = *self.since.get_or_insert(now);
        let due = allowed.map_or(0.0, |allowed| self.spent_bytes as f64 / allowed);
        let ahead = (since + Duration::from_secs_f64(due.min(1e6))).saturating_sub(now);
        if ahead.is_zero() {
            // What was not used is not saved up for a burst.
            self.since = Some(now);
            self.spent_bytes = 0;
            return None;
        }
        let pause = ahead.min(PAUSE_MAX);
        shared.pacer.held_nanos.fetch_add(pause.as_nanos() as u64, Ordering::Relaxed);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_throttle::{Load, QuietHours};

    #[test]
    fn the_option_is_a_rate_that_rises_with_pressure_and_is_lifted_in_quiet_hours() {
        let quiet_hours = Some(QuietHours { from: 22, until: 4 });
        let limiter = limiter_of(&CompactionRate { bytes_per_second: 100, quiet_hours });
        let at = |hour: u64, pressure| {
            let load = Load { pressure, unix_seconds: hour * 3600, ..Load::default() };
            limiter.rate(&load, &Since::default())
        };
        assert_eq!(at(12, 0.0), Some(100.0));
        assert_eq!(at(12, 0.5), Some(450.0));
        assert_eq!(at(12, 1.0), None);
        assert_eq!((at(23, 0.0), at(3, 0.0)), (None, None));
        assert_eq!(at(4, 0.0), Some(100.0));
    }
}
