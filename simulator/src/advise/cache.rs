//! Cache misses for all sizes of a cache at once, from reuse distances (Mattson et al., "Evaluation techniques for storage hierarchies", 1970).
//!
//! Under LRU a read hits when fewer distinct blocks were read since the last read of the same block than the cache holds. So one pass that counts
//! distinct blocks between two reads of a block, with a tree of sums (Fenwick, 1994) over the times of last reads, answers for every size. With a trace
//! sampled by key this is SHARDS; the curve is that of the small database, so sizes are to be scaled by its rate.
//!
//! Costs: O(log n) for each of n reads.

use std::collections::HashMap;

/// Reads of blocks, as they come.
#[derive(Debug, Default)]
pub(super) struct BlockReads {
    numbers: HashMap<(u64, u32), u32>,
    reads: Vec<u32>,
}

impl BlockReads {
    pub(super) fn read(&mut self, table: u64, block: u32) {
        let next = self.numbers.len() as u32;
        self.reads.push(*self.numbers.entry((table, block)).or_insert(next));
    }

    pub(super) fn len(&self) -> u64 {
        self.reads.len() as u64
    }

    pub(super) fn curve(&self) -> MissCurve {
        MissCurve::of(&self.reads, self.numbers.len())
    }
}

/// How many reads miss in a cache under LRU, by the number of things that it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MissCurve {
    reads: u64,
    /// At `n`: reads that hit when the cache holds `n` things or more, and not when it holds fewer.
    hits_from: Vec<u64>,
}

impl MissCurve {
    /// The curve of a sequence of reads of things numbered below `things`.
    #[must_use]
    pub fn of(reads: &[u32], things: usize) -> Self {
        let mut last_read: Vec<Option<usize>> = vec![None; things];
        let mut marks = Sums::new(reads.len());
        let mut hits_from = vec![0; things + 1];
        for (now, &thing) in reads.iter().enumerate() {
            if let Some(last) = last_read[thing as usize] {
                // Distinct things since, and the thing itself.
                let since = marks.below(now) - marks.below(last + 1);
                hits_from[since as usize + 1] += 1;
                marks.add(last, -1);
            }
            marks.add(now, 1);
            last_read[thing as usize] = Some(now);
        }
        for n in 1..hits_from.len() {
            hits_from[n] += hits_from[n - 1];
        }
        MissCurve { reads: reads.len() as u64, hits_from }
    }

    /// Reads that miss when the cache holds so many things.
    #[must_use]
    pub fn misses(&self, held: u64) -> u64 {
        let most = self.hits_from.len().saturating_sub(1);
        let held = usize::try_from(held).unwrap_or(most).min(most);
        self.reads - self.hits_from.get(held).copied().unwrap_or(0)
    }

    /// The share of reads that miss; 0 when there are none.
    #[must_use]
    pub fn miss_ratio(&self, held: u64) -> f64 {
        self.misses(held) as f64 / self.reads.max(1) as f64
    }
}

/// Sums over the beginning of a sequence, of which any element may change.
struct Sums(Vec<i64>);

impl Sums {
    fn new(len: usize) -> Self {
        Sums(vec![0; len + 1])
    }

    fn add(&mut self, at: usize, change: i64) {
        let mut node = at + 1;
        while let Some(sum) = self.0.get_mut(node) {
            *sum += change;
            node += node & node.wrapping_neg();
        }
    }

    /// The sum of all before `end`.
    fn below(&self, end: usize) -> i64 {
        let (mut node, mut sum) = (end, 0);
        while node > 0 {
            sum += self.0[node];
            node &= node - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache that is a list, the last used in front.
    fn misses_of_lru(reads: &[u32], held: usize) -> u64 {
        let (mut list, mut misses): (Vec<u32>, u64) = (Vec::new(), 0);
        for &thing in reads {
            match list.iter().position(|&other| other == thing) {
                Some(at) => drop(list.remove(at)),
                None => misses += 1,
            }
            list.insert(0, thing);
            list.truncate(held);
        }
        misses
    }

    #[test]
    fn the_curve_is_that_of_a_cache_of_each_size() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        // Some often, many seldom, and a scan.
        let mut reads: Vec<u32> =
            (0..2_000).map(|n| if n % 3 == 0 { draw(100) as u32 } else { draw(12) as u32 }).collect();
        reads.extend(0..100);
        let curve = MissCurve::of(&reads, 100);
        for held in [0, 1, 2, 5, 12, 13, 50, 99, 100, 200] {
            assert_eq!(curve.misses(held), misses_of_lru(&reads, held as usize), "{held}");
        }
    }

    #[test]
    fn a_sample_by_key_has_nearly_the_curve_of_the_whole() {
        // Of 20,000 keys the more popular ones by far more often, but none so often that it matters whether the sample has it.
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
            (20_000.0 * uniform.powi(2)) as u32
        };
        let reads: Vec<u32> = (0..200_000).map(|_| draw()).collect();
        let sampled = |key: &u32| terrace_trace::Sampling::of_rate(0.25).takes(hash(*key));
        fn hash(key: u32) -> u64 {
            terrace_trace::key_hash(0, &key.to_le_bytes())
        }
        let sample: Vec<u32> = reads.iter().copied().filter(sampled).collect();
        let (whole, part) = (MissCurve::of(&reads, 20_000), MissCurve::of(&sample, 20_000));
        for held in [2_000, 8_000, 16_000] {
            let (whole, part) = (whole.miss_ratio(held), part.miss_ratio(held / 4));
            assert!((whole - part).abs() < 0.04, "{held}: {whole} and {part}");
        }
    }

    #[test]
    fn nothing_read_misses_nothing() {
        assert_eq!(MissCurve::default().miss_ratio(5), 0.0);
        assert_eq!(MissCurve::of(&[], 0).misses(0), 0);
    }
}
