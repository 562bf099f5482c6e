//! Hours of the day in which compaction may go as fast as it can.

use crate::{Limiter, Load, Since};

/// Hours of the day, UTC, from one full hour until another; may span midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// The first hour, 0 to 23.
    pub from: u8,
    /// The hour that is no longer quiet, 0 to 23. Equal to `from`: none is.
    pub until: u8,
}

impl QuietHours {
    /// Whether an hour of the day is one of them.
    #[must_use]
    pub fn contain(self, hour: u8) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&hour)
        } else {
            hour >= self.from || hour < self.until
        }
    }

    /// Whether a point in time lies in one of them.
    #[must_use]
    pub fn contain_time(self, unix_seconds: u64) -> bool {
        self.contain((unix_seconds / 3600 % 24) as u8)
    }
}

/// A limiter that is lifted in quiet hours.
#[derive(Clone, Copy, Debug)]
pub struct InQuietHours<L> {
    /// The limiter of the other hours.
    pub otherwise: L,
    /// When it is lifted.
    pub hours: QuietHours,
}

impl<L: Limiter> Limiter for InQuietHours<L> {
    fn name(&self) -> &'static str {
        self.otherwise.name()
    }

    fn rate(&self, load: &Load, since: &Since) -> Option<f64> {
        match self.hours.contain_time(load.unix_seconds) {
            true => None,
            false => self.otherwise.rate(load, since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_span_midnight() {
        let night = QuietHours { from: 22, until: 4 };
        let hours: Vec<u8> = (0..24).filter(|&hour| night.contain(hour)).collect();
        assert_eq!(hours, [0, 1, 2, 3, 22, 23]);
        assert!(!QuietHours { from: 5, until: 5 }.contain(5));
        assert!(night.contain_time(86_400 * 3 + 23 * 3600) && !night.contain_time(4 * 3600));
    }

    #[cfg(feature = "steady")]
    #[test]
    fn a_limit_is_lifted_in_them() {
        let otherwise = crate::SteadyLimiter { bytes_per_second: 100.0 };
        let limiter = InQuietHours { otherwise, hours: QuietHours { from: 22, until: 4 } };
        let at = |hour: u64| {
            limiter.rate(&Load { unix_seconds: hour * 3600, ..Load::default() }, &Since::default())
        };
        assert_eq!((at(12), at(23), at(3), at(4)), (Some(100.0), None, None, Some(100.0)));
    }
}
