//! Compaction gives way to users: while they read or write, it keeps to a share of what it has shown that it can do; in the troughs it runs free.
//!
//! SILK's rule that compaction takes the bandwidth that users leave, without a measure of the device: what compaction can do is measured while it
//! works. The share rises with the pressure, for compaction that is put off too long costs users more than it takes from them.

use crate::{Limiter, Load, Since};

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CourteousLimiter {
    /// The share that compaction keeps to while users are at work, from 0 to 1.
    pub share: f64,
    /// From how many operations a second on users count as at work.
    pub user_operations_per_second: f64,
}

impl Default for CourteousLimiter {
    /// Half, from a hundred operations a second on.
    fn default() -> Self {
        CourteousLimiter { share: 0.5, user_operations_per_second: 100.0 }
    }
}

impl Limiter for CourteousLimiter {
    fn name(&self) -> &'static str {
        "courteous"
    }

    fn rate(&self, load: &Load, _since: &Since) -> Option<f64> {
        if load.pressure >= 1.0 || load.user_operations_per_second < self.user_operations_per_second {
            return None;
        }
        let share = self.share.clamp(0.01, 1.0);
        let share = share + (1.0 - share) * load.pressure;
        // Before anything was measured there is nothing to take a share of.
        load.merged_per_second.map(|merged| (merged * share).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_gives_way_to_users_and_not_when_it_is_behind() {
        let rate = |user_operations_per_second, pressure| {
            let merged_per_second = Some(100.0);
            let load = Load { user_operations_per_second, pressure, merged_per_second, ..Load::default() };
            CourteousLimiter::default().rate(&load, &Since::default())
        };
        assert_eq!(rate(0.0, 0.0), None);
        assert_eq!((rate(1e4, 0.0), rate(1e4, 0.5), rate(1e4, 1.0)), (Some(50.0), Some(75.0), None));
    }
}
