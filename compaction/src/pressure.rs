//! How pressure rises: one ramp for all pickers.
//!
//! From 0 at `start` to a quarter at `slow`, then to 1 at `stop`, straight lines both. Early and gentle first, so that writers
//! are slowed a little long before they would have to stop; steeper when slowing a little did not help.

/// Pressure reached at `slow`.
const AT_SLOW: f64 = 0.25;

/// The ramp; needs `start <= slow <= stop`. Never falls with `value`, never leaves 0 to 1.
pub(crate) fn ramp(value: f64, start: f64, slow: f64, stop: f64) -> f64 {
    if value <= start {
        0.0
    } else if value < slow {
        AT_SLOW * (value - start) / (slow - start)
    } else if value < stop {
        AT_SLOW + (1.0 - AT_SLOW) * (value - slow) / (stop - slow)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::ramp;

    #[test]
    fn ramp_rises_from_zero_to_one_and_never_falls() {
        let values: Vec<f64> = (0..50).map(|value| ramp(f64::from(value), 4.0, 12.0, 30.0)).collect();
        assert_eq!((values[4], values[12], values[30], values[49]), (0.0, 0.25, 1.0, 1.0));
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(values[5] > 0.0 && values[29] < 1.0);
    }

    #[test]
    fn ramp_without_width_is_a_step() {
        assert_eq!((ramp(3.0, 3.0, 3.0, 3.0), ramp(3.5, 3.0, 3.0, 3.0)), (0.0, 1.0));
    }
}
