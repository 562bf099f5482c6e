//! Writers are slowed early and smoothly, by the pressure that the compaction policy reports.
//!
//! At pressure p a byte costs p / (1 - p) times what it costs compaction to absorb it. At one half, writers go exactly as fast as compaction can follow;
//! below it faster, above it slower; so for any rate of writers there is a pressure at which they and compaction are even, and the charge moves there by
//! itself. When the last free memtable is being filled, the pressure counts as three tenths at least, and as six when none is free.

use crate::price::{pressure_of_memtables, times};
use crate::{Charge, Load, Throttle};

/// See the head of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RampThrottle;

impl Throttle for RampThrottle {
    fn name(&self) -> &'static str {
        "ramp"
    }

    fn charge(&self, load: &Load) -> Charge {
        let pressure = load.pressure.max(pressure_of_memtables(load));
        Charge {
            seconds_per_byte: times(pressure) * load.absorb_seconds_per_byte(),
            stop: load.working && load.pressure >= 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pressure: f64) -> f64 {
        let load = Load { pressure, absorbed_per_second: Some(64e6), ..Load::default() };
        RampThrottle.charge(&load).seconds_per_byte * 64e6
    }

    #[test]
    fn the_charge_rises_smoothly_and_is_the_measured_cost_at_one_half() {
        assert_eq!((at(0.0), at(0.5)), (0.0, 1.0));
        let charges: Vec<f64> = (0..=97).map(|percent| at(f64::from(percent) / 100.0)).collect();
        assert!(charges.is_sorted(), "the charge falls as pressure rises");
        let steepest = charges.windows(2).skip(10).map(|pair| pair[1] / pair[0]).fold(0.0, f64::max);
        assert!(steepest < 1.6, "a step of one percent of pressure multiplies the charge by {steepest}");
    }

    #[test]
    fn the_last_free_memtable_slows_writers_and_does_not_stop_them() {
        let charge = |sealed| {
            let load = Load { sealed, sealed_max: 3, working: true, ..Load::default() };
            RampThrottle.charge(&load)
        };
        assert_eq!(charge(1).seconds_per_byte, 0.0);
        assert!(charge(2).seconds_per_byte > 0.0 && !charge(2).stop);
        assert!(charge(3).seconds_per_byte > charge(2).seconds_per_byte && !charge(3).stop);
    }
}
