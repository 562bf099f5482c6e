//! How many bits for each key at which level.
//!
//! A bit spares the more look-ups the fewer keys a level has. Monkey (Dayan, Athanassoulis and Idreos, SIGMOD 2017) divides bits such that a further bit is
//! worth the same everywhere: with v look-ups in vain at a level of n keys, its filter may err with a chance p in proportion to n / v, up to 1, which is no filter.
//! Here v is what the trace asks, so that levels which look-ups seldom come to, or where they find their key, get fewer bits.

use crate::filter_false_positives;

/// A level as filters see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilterLevel {
    /// Keys in it.
    pub keys: f64,
    /// Look-ups that a filter here could spare.
    pub in_vain: f64,
}

/// Bits beyond these are of no use: at them a filter errs less than once in ten thousand times.
const BITS_MAX: f64 = 20.0;
const STEPS: usize = 60;

/// Bits for each key of each level that together take `bits_per_key` in the mean, and let as few look-ups through as any.
#[must_use]
pub fn monkey_bits(levels: &[FilterLevel], bits_per_key: f64) -> Vec<f64> {
    let keys: f64 = levels.iter().map(|level| level.keys).sum();
    let wanted = bits_per_key.clamp(0.0, BITS_MAX) * keys;
    let (mut low, mut high) = (f64::MIN_POSITIVE.ln(), 50.0);
    // A greater factor lets more through and takes fewer bits.
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        let taken: f64 = levels.iter().map(|level| level.keys * bits_at(level, middle)).sum();
        if taken > wanted { low = middle } else { high = middle }
    }
    levels.iter().map(|level| bits_at(level, high)).collect()
}

/// Bits such that the filter errs with a chance of e^`factor` times keys over look-ups in vain.
fn bits_at(level: &FilterLevel, factor: f64) -> f64 {
    if level.keys <= 0.0 || level.in_vain <= 0.0 {
        return 0.0;
    }
    let chance_ln = factor + (level.keys / level.in_vain).ln();
    (-chance_ln / core::f64::consts::LN_2.powi(2)).clamp(0.0, BITS_MAX)
}

/// Look-ups that filters of these bits let through in vain.
pub(super) fn let_through(levels: &[FilterLevel], bits: &[f64]) -> f64 {
    levels.iter().zip(bits).map(|(level, bits)| level.in_vain * filter_false_positives(*bits)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leveled(levels: i32, ratio: f64) -> Vec<FilterLevel> {
        let level = |n: i32| FilterLevel { keys: 1e4 * ratio.powi(n), in_vain: 1e6 };
        (0..levels).map(level).collect()
    }

    #[test]
    fn equal_look_ups_get_the_bits_of_the_paper() {
        // Leveling at a ratio of 10 with 10 bits: 0.0118 reads in vain for a look-up, where equal bits give 0.0246 at three levels.
        let levels = leveled(3, 10.0);
        let bits = monkey_bits(&levels, 10.0);
        let per_get = let_through(&levels, &bits) / 1e6;
        assert!((per_get - 0.0118).abs() < 0.0003, "{per_get}");
        assert!((let_through(&levels, &[10.0; 3]) / 1e6 - 0.0246).abs() < 0.0003);
        // ln T / ln² 2 bits more at each level up.
        assert!(bits.is_sorted_by(|upper, lower| (upper - lower - 4.79).abs() < 0.01), "{bits:?}");
    }

    #[test]
    fn the_bits_are_spent_and_no_other_division_is_better() {
        let levels =
            [(1e3, 5e4), (5e4, 2e5), (1e6, 1e4)].map(|(keys, in_vain)| FilterLevel { keys, in_vain });
        let bits = monkey_bits(&levels, 4.0);
        let spent =
            |bits: &[f64]| levels.iter().zip(bits).map(|(level, bits)| level.keys * bits).sum::<f64>();
        let keys: f64 = levels.iter().map(|level| level.keys).sum();
        assert!((spent(&bits) / keys - 4.0).abs() < 0.01 || bits[..2] == [BITS_MAX; 2], "{bits:?}");
        let best = let_through(&levels, &bits);
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0)] {
            if bits[to] >= BITS_MAX {
                continue;
            }
            let mut other = bits.clone();
            let moved = (0.1 * levels[from].keys).min(bits[from] * levels[from].keys);
            other[from] -= moved / levels[from].keys;
            other[to] += moved / levels[to].keys;
            assert!(let_through(&levels, &other) >= best * 0.999, "{from} to {to}");
        }
    }

    #[test]
    fn levels_without_keys_or_look_ups_get_none() {
        let levels = [FilterLevel { keys: 0.0, in_vain: 5.0 }, FilterLevel { keys: 9.0, in_vain: 0.0 }];
        assert_eq!(monkey_bits(&levels, 10.0), [0.0, 0.0]);
        assert!(monkey_bits(&[], 10.0).is_empty());
        assert_eq!(monkey_bits(&leveled(2, 10.0), 0.0), [0.0, 0.0]);
    }
}
