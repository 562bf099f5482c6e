//! A rate that follows the demand between two bounds.
//!
//! After RocksDB's auto-tuned rate limiter: when compaction was held back nearly all the time, the rate rises by a twentieth; when it was held back less than half of
//! it, the rate falls by as much; in between it stays. There it is done every ten seconds; here for each second that has passed, so that a rate follows a load that
//! doubles within a quarter of a minute. Pressure does not wait for that: at pressure p the rate is at least the share p of the way from the lower
//! to the upper bound.

use crate::{Limiter, Load, Since};

/// What a rate changes by within a second.
const STEP: f64 = 1.05;
/// Held back for a larger share of the time: faster.
const HELD_HIGH: f64 = 0.9;
/// For a smaller share: slower.
const HELD_LOW: f64 = 0.5;
/// An answer is not carried further than this by one question.
const SECONDS_MAX: f64 = 10.0;

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveLimiter {
    /// The lower bound, at which it begins.
    pub bytes_per_second_min: f64,
    /// The upper bound; at least the lower one.
    pub bytes_per_second_max: f64,
}

impl AdaptiveLimiter {
    /// Between a twentieth of a rate and the rate.
    #[must_use]
    pub fn up_to(bytes_per_second: f64) -> Self {
        AdaptiveLimiter {
            bytes_per_second_min: bytes_per_second / 20.0,
            bytes_per_second_max: bytes_per_second,
        }
    }
}

impl Limiter for AdaptiveLimiter {
    fn name(&self) -> &'static str {
        "adaptive"
    }

    fn rate(&self, load: &Load, since: &Since) -> Option<f64> {
        if load.pressure >= 1.0 {
            return None;
        }
        let lowest = self.bytes_per_second_min.max(1.0);
        let highest = self.bytes_per_second_max.max(lowest);
        let change = STEP.powf(since.seconds.clamp(0.0, SECONDS_MAX));
        let before = since.rate.unwrap_or(lowest);
        let tuned = match since.held_share {
            held if held > HELD_HIGH => before * change,
            held if held < HELD_LOW => before / change,
            _ => before,
        };
        let at_least = lowest + (highest - lowest) * load.pressure;
        Some(tuned.clamp(at_least.min(highest), highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rate: f64, held_share: f64, seconds: usize, pressure: f64) -> f64 {
        let limiter = AdaptiveLimiter::up_to(1000.0);
        let load = Load { pressure, ..Load::default() };
        (0..seconds).fold(rate, |rate, _| {
            let since = Since { rate: Some(rate), seconds: 1.0, held_share };
            limiter.rate(&load, &since).expect("a limit below a pressure of 1")
        })
    }

    #[test]
    fn the_rate_follows_the_demand_between_its_bounds() {
        assert!((after(100.0, 1.0, 15, 0.0) / 100.0 - 2.0).abs() < 0.1, "doubles within 15 seconds");
        assert_eq!(after(100.0, 1.0, 600, 0.0), 1000.0);
        assert_eq!(after(100.0, 0.7, 600, 0.0), 100.0);
        assert_eq!(after(100.0, 0.0, 600, 0.0), 50.0);
    }

    #[test]
    fn pressure_raises_it_at_once() {
        assert_eq!(after(50.0, 0.0, 1, 0.8), 810.0);
    }
}
