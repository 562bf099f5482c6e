//! A set rate, whatever the load; lifted only while writers stand still.

use crate::{Limiter, Load, Since};

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteadyLimiter {
    /// The rate.
    pub bytes_per_second: f64,
}

impl Limiter for SteadyLimiter {
    fn name(&self) -> &'static str {
        "steady"
    }

    fn rate(&self, load: &Load, _since: &Since) -> Option<f64> {
        (load.pressure < 1.0).then_some(self.bytes_per_second.max(1.0))
    }
}
