//! The rate limiter of compaction: a budget of bytes a second that rises with the pressure and is lifted in quiet hours.
//!
//! Each merge keeps its own account against the shared rate divided by the merges that may run at once; over a few seconds that comes to the rate set,
//! and no merge has to wait for another's lock.

use std::time::Duration;

use crate::Parts;
use crate::compact::PAUSE_MAX;
use crate::options::CompactionRate;
use crate::shared::Shared;

/// How much faster than set compaction may go when writers are about to be stopped.
const RISE_MAX: f64 = 8.0;

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
        let rate = shared.options.compaction_rate.as_ref()?;
        let allowed = bytes_per_second(rate, shared.throttle.pressure(), shared.clock.unix_seconds())?;
        let threads = shared.options.background_threads.max(1) as f64;
        let now = shared.clock.now();
        let since = *self.since.get_or_insert(now);
        let due = Duration::from_secs_f64(self.spent_bytes as f64 / (allowed / threads));
        let ahead = (since + due).checked_sub(now)?;
        if ahead.is_zero() {
            // What was not used is not saved up for a burst.
            self.since = Some(now);
            self.spent_bytes = 0;
            return None;
        }
        Some(ahead.min(PAUSE_MAX))
    }
}

/// The rate in force; `None` where there is no limit.
fn bytes_per_second(rate: &CompactionRate, pressure: f64, unix_seconds: u64) -> Option<f64> {
    let hour = (unix_seconds / 3600 % 24) as u8;
    let quiet = rate.quiet_hours.is_some_and(|hours| hours.contain(hour));
    if quiet || pressure >= 1.0 {
        return None;
    }
    Some(rate.bytes_per_second as f64 * (1.0 + (RISE_MAX - 1.0) * pressure.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QuietHours;

    #[test]
    fn the_rate_rises_with_pressure_and_is_lifted_in_quiet_hours() {
        let rate =
            CompactionRate { bytes_per_second: 100, quiet_hours: Some(QuietHours { from: 22, until: 4 }) };
        let at = |hour: u64, pressure| bytes_per_second(&rate, pressure, hour * 3600);
        assert_eq!(at(12, 0.0), Some(100.0));
        assert_eq!(at(12, 0.5), Some(450.0));
        assert_eq!(at(12, 1.0), None);
        assert_eq!((at(23, 0.0), at(3, 0.0)), (None, None));
        assert_eq!(at(4, 0.0), Some(100.0));
    }
}
