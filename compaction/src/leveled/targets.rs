//! Level targets, from the largest level upwards.
//!
//! The last level's target is what the largest level holds; each level above has the `size_ratio`-th part, up to the *base level*. A level is put above
//! the base when the base's target passes `base_level_bytes` by as much as `size_ratio` passes `base_ratio_min`, and has at least the `base_ratio_min`-th
//! part of what is below, up to `base_level_bytes`. A base with less room than what comes from the top at once would only have every byte written once
//! more: with B bytes arriving and T below, a base of S costs 1 + S/B and 1 + T/S writes for each byte where none costs 1 + T/B. RocksDB's rule, under
//! which a new base has a tenth of `base_level_bytes`, is a `base_ratio_min` of `size_ratio`. Levels above the base have no target: they should be empty.
//!
//! A tree that shrinks would move its base one level down each time its size falls below such a bound, and back again when it
//! grows. So a level in use just above the base stays the base until the one below is a quarter of what sets a base off: the tree's own shape is the
//! hysteresis, since a picker has no memory.

use super::LeveledOptions;
use crate::shape::Shape;

/// What each level should hold.
pub(crate) struct Targets {
    /// Bytes for each level, levels past the shape's included; 0 for the top, which is judged by its runs, and all down to the base.
    pub(super) bytes: Vec<u64>,
    /// The highest level with a target.
    pub(super) base: usize,
    /// The level above the leveled ones.
    top: usize,
    /// The level that the top is compacted into: the base, or one above it that is still in use and in the way.
    pub(super) top_into: usize,
    /// The deepest level.
    pub(super) last: usize,
}

impl Targets {
    pub(super) fn of(shape: &Shape, options: &LeveledOptions, top: usize) -> Self {
        // By what is in use: whether a shape lists empty levels at its end must make no difference.
        let deepest = shape.runs().next_back().map_or(0, |(level, _)| level);
        let last = (options.levels_max - 1).max(deepest).max(top + 1);
        let level_bytes: Vec<u64> = shape.levels.iter().map(|level| level.file_bytes()).collect();
        let largest = level_bytes.iter().skip(top + 1).copied().max().unwrap_or(0);
        let in_use = (top + 1..=deepest).find(|&level| !shape.runs_of(level).is_empty());
        let (ratio, base_bytes) = (options.size_ratio, options.base_level_bytes);
        let without_base_bytes = options.without_base_bytes();
        let mut bytes = vec![0; last + 1];
        bytes[last] = largest.max(base_bytes);
        let mut base = last;
        while base > top + 1 && bytes[base] > without_base_bytes {
            bytes[base - 1] = bytes[base] / ratio;
            base -= 1;
        }
        if let Some(in_use) = in_use
            && in_use + 1 == base
            && largest > 0
            && bytes[base] >= without_base_bytes / 4
        {
            bytes[in_use] = bytes[base] / ratio;
            base = in_use;
        }
        if base < last {
            let wanted = (bytes[base + 1] / options.base_ratio_min).min(base_bytes);
            bytes[base] = bytes[base].max(wanted).max(base_bytes / ratio);
        }
        // With more data than the levels were laid out for, the first level takes its share, if that is more than wanted.
        bytes[base] = bytes[base].max(1);
        Targets { bytes, base, top, top_into: in_use.map_or(base, |in_use| in_use.min(base)), last }
    }

    /// Bytes to be read and written until every level is within its target, as RocksDB estimates them: what overflows a level, times one
    /// plus the ratio to the level below, carried on downwards.
    pub(crate) fn debt_bytes(&self, shape: &Shape, options: &LeveledOptions) -> u64 {
        let level_bytes = |level: usize| shape.levels.get(level).map_or(0, |level| level.file_bytes());
        let (mut debt, mut carried) = (0_u64, 0_u64);
        if shape.runs_of(self.top).len() >= options.trigger_at(level_bytes(self.top)) {
            carried = level_bytes(self.top);
            debt = carried.saturating_add(level_bytes(self.top_into));
        }
        for level in self.top_into..self.last {
            let bytes = level_bytes(level).saturating_add(carried);
            carried = bytes.saturating_sub(self.bytes[level]);
            if carried > 0 {
                let below = level_bytes(level + 1) as f64 / bytes.max(1) as f64;
                debt = debt.saturating_add((carried as f64 * (1.0 + below)) as u64);
            }
        }
        debt
    }
}
