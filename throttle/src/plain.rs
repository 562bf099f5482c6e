//! Thresholds: nothing is charged up to the first, a fixed rate is kept to above it, and above the second writers stop.
//!
//! What LevelDB and RocksDB do, the first by runs of level 0 alone (8 and 12 there), the second also by debt (64 and 256 GiB) and with a rate of 16 MB a second. What the
//! policy reports as pressure counts as far as the picker's trait has it: at 1 writers stop. Simple to reason about, and known for what happens at
//! the thresholds: writers that are faster than compaction are slowed to a crawl and released, again and again.

use crate::{Charge, Load, Throttle};

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlainThrottle {
    /// Runs of level 0 from which on writers are slowed.
    pub level0_runs_slow: usize,
    /// Runs of level 0 from which on they stop.
    pub level0_runs_stop: usize,
    /// Debt from which on writers are slowed.
    pub debt_bytes_slow: u64,
    /// Debt from which on they stop.
    pub debt_bytes_stop: u64,
    /// What slowed writers keep to.
    pub slowed_bytes_per_second: f64,
}

impl Default for PlainThrottle {
    /// Slowed at 20 runs or 64 GiB, to 16 MiB a second; stopped at 30 runs, where the stock leveled policy wants it, or 256 GiB.
    fn default() -> Self {
        PlainThrottle {
            level0_runs_slow: 20,
            level0_runs_stop: 30,
            debt_bytes_slow: 64 << 30,
            debt_bytes_stop: 256 << 30,
            slowed_bytes_per_second: f64::from(16 << 20),
        }
    }
}

impl Throttle for PlainThrottle {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn charge(&self, load: &Load) -> Charge {
        let stop = load.level0_runs >= self.level0_runs_stop
            || load.debt_bytes >= self.debt_bytes_stop
            || load.pressure >= 1.0;
        let slow = stop
            || load.level0_runs >= self.level0_runs_slow
            || load.debt_bytes >= self.debt_bytes_slow
            || (load.sealed_max > 1 && load.sealed >= load.sealed_max - 1);
        let seconds_per_byte = if slow { 1.0 / self.slowed_bytes_per_second.max(1.0) } else { 0.0 };
        Charge { seconds_per_byte, stop: stop && load.working }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_go_free_then_at_the_set_rate_then_not_at_all() {
        let charge = |level0_runs| {
            PlainThrottle::default().charge(&Load { level0_runs, working: true, ..Load::default() })
        };
        let slowed = 1.0 / f64::from(16 << 20);
        assert_eq!(charge(19), Charge::default());
        assert_eq!(charge(20), Charge { seconds_per_byte: slowed, stop: false });
        assert_eq!(charge(30), Charge { seconds_per_byte: slowed, stop: true });
    }
}
