//! Writers pay for the work that is ahead of compaction: the measured cost of a byte times the bytes of debt.
//!
//! Debt over what compaction merges in a second is the time that it needs for what it already has. Up to `ease` of that nothing is charged: some debt is how
//! every policy works. At `horizon` a byte pays exactly what it costs compaction to absorb it, so writers are as fast as compaction, and the debt stays; in between
//! and beyond the price rises in a straight line. So writers settle at the debt at which their own rate is the price, there is no threshold that they could swing
//! around, and on a slow device, where the same debt takes longer, they are slowed sooner.
//!
//! Debt does not tell all: thirty small runs of level 0 are little to merge and much to read. Above one half of the policy's pressure p, q = 2p - 1 adds q / (1 - q) to the
//! price, so that writers are slow before they are stopped.

use core::time::Duration;

use crate::price::{pressure_of_memtables, times};
use crate::{Charge, Load, Throttle};

/// However far compaction is behind, a byte costs no more than this many times what it costs to absorb it.
const TIMES_MAX: f64 = 64.0;

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedThrottle {
    /// Time that compaction may be behind before anything is charged.
    pub ease: Duration,
    /// Time behind at which writers go as fast as compaction absorbs; at least `ease`.
    pub horizon: Duration,
}

impl Default for PricedThrottle {
    /// Ease of 5 seconds, horizon of 20.
    fn default() -> Self {
        PricedThrottle { ease: Duration::from_secs(5), horizon: Duration::from_secs(20) }
    }
}

impl PricedThrottle {
    /// The price of the debt, in times of what it costs compaction to absorb a byte.
    fn of_debt(&self, load: &Load) -> f64 {
        let ease = self.ease.as_secs_f64();
        let width = (self.horizon.as_secs_f64() - ease).max(1e-3);
        ((load.debt_seconds() - ease) / width).clamp(0.0, TIMES_MAX)
    }
}

impl Throttle for PricedThrottle {
    fn name(&self) -> &'static str {
        "priced"
    }

    fn charge(&self, load: &Load) -> Charge {
        let of_runs = times(2.0 * load.pressure.min(1.0) - 1.0);
        let of_memory = times(pressure_of_memtables(load));
        let times = self.of_debt(load) + of_runs + of_memory;
        Charge {
            seconds_per_byte: times * load.absorb_seconds_per_byte(),
            stop: load.working && load.pressure >= 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compaction merges 100 bytes a second and absorbs 10.
    fn times(debt_bytes: u64, pressure: f64) -> f64 {
        let load = Load {
            pressure,
            debt_bytes,
            absorbed_per_second: Some(10.0),
            merged_per_second: Some(100.0),
            ..Load::default()
        };
        PricedThrottle::default().charge(&load).seconds_per_byte * 10.0
    }

    #[test]
    fn the_price_is_measured_cost_times_bytes_ahead() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(times(500, 0.0), 0.0);
        close(times(1250, 0.0), 0.5);
        close(times(2000, 0.0), 1.0);
        close(times(3500, 0.0), 2.0);
    }

    #[test]
    fn many_runs_with_little_in_them_slow_writers_before_they_stop_them() {
        assert_eq!(times(0, 0.5), 0.0);
        assert!((times(0, 0.75) - 1.0).abs() < 1e-9);
        assert!(times(0, 0.9) > 3.0);
    }

    #[test]
    fn a_slower_device_makes_the_same_debt_dearer() {
        let charge = |merged| {
            let load = Load { debt_bytes: 1000, merged_per_second: Some(merged), ..Load::default() };
            PricedThrottle::default().charge(&load).seconds_per_byte
        };
        assert!(charge(50.0) > charge(100.0) && charge(100.0) > charge(150.0));
    }
}
