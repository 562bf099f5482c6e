//! A set rate that rises with the pressure, so that compaction catches up before writers must wait.

use crate::{Limiter, Load, Since};

/// How much faster than set compaction may go when writers are about to be stopped.
const RISE_MAX: f64 = 8.0;

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RisingLimiter {
    /// The rate without pressure.
    pub bytes_per_second: f64,
}

impl Limiter for RisingLimiter {
    fn name(&self) -> &'static str {
        "rising"
    }

    fn rate(&self, load: &Load, _since: &Since) -> Option<f64> {
        if load.pressure >= 1.0 {
            return None;
        }
        Some(self.bytes_per_second.max(1.0) * (1.0 + (RISE_MAX - 1.0) * load.pressure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_eightfold_and_is_lifted_at_the_end() {
        let at = |pressure| {
            let load = Load { pressure, ..Load::default() };
            RisingLimiter { bytes_per_second: 100.0 }.rate(&load, &Since::default())
        };
        assert_eq!((at(0.0), at(0.5), at(1.0)), (Some(100.0), Some(450.0), None));
    }
}
