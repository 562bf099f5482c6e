//! Latencies of operations in an HDR histogram: three significant digits from a nanosecond to a minute, O(1) to record.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

const NANOS_MAX: u64 = 60_000_000_000;

/// A histogram of latencies. One for each thread, merged at the end: threads share nothing while they measure.
#[derive(Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Latency(
            Histogram::new_with_bounds(1, NANOS_MAX, 3)
                .expect("1 ns to 60 s at three digits are valid bounds"),
        )
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latency({} operations, p50 {:?}, max {:?})", self.count(), self.quantile(0.5), self.max())
    }
}

impl Latency {
    /// Notes one latency; above a minute it counts as a minute.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(NANOS_MAX).min(NANOS_MAX));
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("all latency histograms have the same bounds");
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of all operations did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The longest, to three digits.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_distribution_have_three_digits() {
        let (mut odd, mut even) = (Latency::default(), Latency::default());
        for micros in 1..=10_000u64 {
            let half = if micros % 2 == 1 { &mut odd } else { &mut even };
            half.record(Duration::from_micros(micros));
        }
        odd.merge(&even);
        assert_eq!(odd.count(), 10_000);
        for (share, micros) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let seen = odd.quantile(share).as_secs_f64() * 1e6;
            assert!((seen / micros - 1.0).abs() < 0.002, "{share}: {seen} against {micros}");
        }
        assert!(odd.max() >= Duration::from_micros(10_000));
    }

    #[test]
    fn hours_count_as_a_minute() {
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(7200));
        assert_eq!(latency.max().as_secs(), 60);
    }
}
