//! Histograms with a bucket for each power of two: a few atomic adds to fill, exact enough to see a tail.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::bump_locked;

const BUCKETS: usize = 64;

/// A histogram being filled, from any thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    buckets: [AtomicU64; BUCKETS],
    max: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { buckets: [const { AtomicU64::new(0) }; BUCKETS], max: AtomicU64::new(0) }
    }
}

/// The bucket of values from 2^(n-1) up to below 2^n; zero has its own.
fn bucket_of(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

impl Recorder {
    pub(crate) fn record(&self, value: u64) {
        self.buckets[bucket_of(value)].fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// As [`Recorder::record`], without a locked instruction: for one that is filled only while some lock is held.
    pub(crate) fn record_locked(&self, value: u64) {
        bump_locked(&self.buckets[bucket_of(value)], 1);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        Histogram { counts, max: self.max.load(Ordering::Relaxed) }
    }
}

/// How often values of each size were seen. Sizes are known to a factor of two; the greatest exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Histogram {
    /// How many values were seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The greatest value; 0 when there was none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// A bound that the share `q` (0 to 1) of all values does not exceed: the top of the bucket in which that value lies, at most twice the
    /// value itself. 0 when there was none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = (self.count() as f64 * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (1_u64 << bucket).saturating_sub(1).min(self.max);
            }
        }
        self.max
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "{} values, p50 {p50}, p99 {p99}, max {}", self.count(), self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_bound_the_values_within_a_factor_of_two() {
        let recorder = Recorder::default();
        for value in 0..1000 {
            recorder.record(value);
        }
        let histogram = recorder.snapshot();
        assert_eq!((histogram.count(), histogram.max()), (1000, 999));
        for (q, exact) in [(0.5, 499), (0.9, 899), (0.99, 989), (1.0, 999)] {
            let bound = histogram.quantile(q);
            assert!(bound >= exact && bound <= 2 * exact, "quantile {q}: {bound} for {exact}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0);
        recorder.record(u64::MAX);
        assert_eq!(recorder.snapshot().max(), u64::MAX);
    }
}
