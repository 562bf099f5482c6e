//! How often a processor is taken from who runs on it, before any store has a part in it.

use crate::meter;
use std::time::Duration;

/// How often a second a loop that does nothing but read the clock finds that `pause` or more has passed since it looked last, when it is watched for so long.
///
/// Ticks of the system, other programs, and in a virtual machine whatever its host does with the processor. What takes a microsecond meets them as often as its share of the
/// second: where there are a thousand of five microseconds, one in a thousand operations of a microsecond takes that much longer, whatever store does it.
#[must_use]
pub fn pauses_per_second(pause: Duration, watched: Duration) -> f64 {
    let begin = meter::now();
    let (mut last, mut pauses) = (begin, 0_u64);
    while last - begin < watched {
        let now = meter::now();
        pauses += u64::from(now - last >= pause);
        last = now;
    }
    pauses as f64 / (last - begin).as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_is_a_pause_of_no_length_and_none_is_of_an_hour() {
        let watched = Duration::from_millis(2);
        assert!(pauses_per_second(Duration::ZERO, watched) > 1e3);
        assert!(pauses_per_second(Duration::from_secs(3600), watched).abs() < f64::EPSILON);
    }
}
