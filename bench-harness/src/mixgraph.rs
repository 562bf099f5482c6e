//! The workload model `mixgraph`: what Facebook measured of its own databases, as distributions.
//!
//! Source: Cao, Dong, Vemuri, Du: Characterizing, Modeling, and Benchmarking RocksDB Key-Value Workloads at Facebook (FAST 2020), with the
//! parameters of its `Prefix_dist` and of RocksDB's `db_bench`. YCSB spreads hot keys evenly over the key space; here they lie together
//! in ranges, so that blocks are hot or cold as a whole.
//!
//! Departures: the rate of requests is not modulated by a sine (clients are closed-loop), and a value is at least eight bytes long, since
//! it carries its generation.

use crate::random::{Rng, Shuffle, mix};
use crate::record::VALUE_BYTES_MIN;

/// How many ranges the key space is divided into.
const RANGES: u64 = 30;

/// Share of the accesses on the range of popularity i: a e^(bi) + c e^(di).
const PREFIX_DIST: [f64; 4] = [14.18, -2.917, 0.0164, -0.08082];

/// Within a range, keys are accessed by the power law P(x) = a x^b.
const KEY_DIST: [f64; 2] = [0.002312, 0.3467];

const VALUE_SHAPE: f64 = 0.2615;
const VALUE_SCALE: f64 = 25.45;
const VALUE_BYTES_MAX: usize = 1024;
const SCAN_SHAPE: f64 = 2.517;
const SCAN_SCALE: f64 = 14.236;
const SCAN_ENTRIES_MAX: u64 = 10_000;

/// The value of a generalised Pareto distribution at the probability `unit`, in `[0, 1)`.
fn pareto(unit: f64, shape: f64, scale: f64) -> f64 {
    (scale * ((1.0 - unit).powf(-shape) - 1.0) / shape).ceil()
}

/// The length of a value; `word` chooses it. Some 36 bytes on average, at most 1024.
pub fn value_bytes(word: u64) -> usize {
    let unit = (word >> 11) as f64 / (1u64 << 53) as f64;
    (pareto(unit, VALUE_SHAPE, VALUE_SCALE) as usize).clamp(VALUE_BYTES_MIN, VALUE_BYTES_MAX)
}

/// The length of a scan, from 1 to 10,000; most are short, some hundred on average.
pub fn scan_entries(rng: &mut Rng) -> u64 {
    // A remainder and no bound, as in db_bench: a bound would make the longest scan a common one.
    (pareto(rng.unit(), SCAN_SHAPE, SCAN_SCALE) as u64 % SCAN_ENTRIES_MAX).max(1)
}

/// Draws ranks: hot ranges of keys, and within each some hot keys.
#[derive(Clone, Debug)]
pub struct HotRanges {
    records: u64,
    ranges: u64,
    /// For each popularity, the share of all accesses on ranges up to it.
    shares: Vec<f64>,
    /// From popularity to place.
    places: Shuffle,
}

impl HotRanges {
    /// Over the ranks `0..records`; `seed` decides where the hot ranges lie.
    pub fn new(records: u64, seed: u64) -> Self {
        let ranges = RANGES.min(records).max(1);
        let [a, b, c, d] = PREFIX_DIST;
        let mut sum = 0.0;
        let sums = (1..=ranges).map(|i| {
            sum += a * (b * i as f64).exp() + c * (d * i as f64).exp();
            sum
        });
        let mut shares: Vec<f64> = sums.collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        HotRanges { records, ranges, shares, places: Shuffle::new(ranges, seed) }
    }

    /// Draws one.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let popularity = self.shares.partition_point(|share| *share <= unit).min(self.shares.len() - 1);
        let place = self.places.apply(popularity as u64);
        let [begin, end] = [place, place + 1].map(|place| place * self.records / self.ranges);
        let [a, b] = KEY_DIST;
        let key = (rng.unit() / a).powf(1.0 / b).ceil() as u64;
        begin + mix(key) % (end - begin).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_model() {
        let mut rng = Rng::new(1, 0);
        let draws = 200_000;
        let bytes: usize = (0..draws).map(|_| value_bytes(rng.next_u64())).sum();
        let mean = bytes as f64 / f64::from(draws);
        // scale / (1 - shape) is 34.5; rounding up adds half a byte, the least length one more.
        assert!((34.0..38.0).contains(&mean), "{mean}");
        let scans: Vec<u64> = (0..draws).map(|_| scan_entries(&mut rng)).collect();
        assert!(scans.iter().all(|&n| (1..SCAN_ENTRIES_MAX).contains(&n)));
        let mean = scans.iter().sum::<u64>() as f64 / f64::from(draws);
        assert!((250.0..1000.0).contains(&mean), "{mean}");
    }

    #[test]
    fn most_accesses_fall_on_one_range_and_all_ranks_exist() {
        let hot = HotRanges::new(3_000, 7);
        let mut rng = Rng::new(2, 0);
        let mut ranges = [0u32; 30];
        for _ in 0..100_000 {
            let rank = hot.draw(&mut rng);
            ranges[(rank / 100) as usize] += 1;
        }
        ranges.sort_unstable();
        let [a, b, c, d] = PREFIX_DIST;
        let weight = |i: f64| a * (b * i).exp() + c * (d * i).exp();
        let share = weight(1.0) / (1..=30).map(|i| weight(f64::from(i))).sum::<f64>();
        assert!((f64::from(ranges[29]) / 100_000.0 - share).abs() < 0.01, "{ranges:?}, {share}");
        assert!(ranges[0] > 0, "{ranges:?}");
    }

    #[test]
    fn few_records_are_enough() {
        let mut rng = Rng::new(3, 0);
        for records in 1..40 {
            let hot = HotRanges::new(records, 1);
            assert!((0..200).all(|_| hot.draw(&mut rng) < records));
        }
    }
}
