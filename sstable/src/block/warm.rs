//! Which blocks of a merged table are worth having in the cache: those whose keys were in cached blocks before.
//!
//! Algorithm: the separators of the new table and of an old one are walked side by side. An old block lies over some new blocks, one after another, and gives each
//! of them an equal share of itself; a new block is warm when at least half of what it was given comes from cached blocks. So a small table that nobody
//! reads hardly changes how warm the large one under it was.
//!
//! Costs: O(n + m) comparisons of separators for n new and m old blocks that overlap, and eight bytes for each new block meanwhile. Nothing is read.

use terrace_bloom::FilterSet;

use super::index::Index;
use super::reader::BlockTableReader;
use crate::{BlockCache, TableBlocks};

/// What a new block was given.
#[derive(Clone, Copy, Default)]
struct Given {
    /// In blocks of old tables.
    all: f32,
    /// Of it, in cached ones.
    cached: f32,
}

/// The blocks of `new` that are warm after it took the place of `old` tables, ascending.
pub(super) fn warm_blocks<'a, C: BlockCache, F: FilterSet + 'a>(
    new: &BlockTableReader<C, F>,
    old: impl Iterator<Item = &'a BlockTableReader<C, F>>,
) -> Vec<usize> {
    let mut given = vec![Given::default(); new.index.len()];
    for old in old {
        give(&mut given, new, old);
    }
    let is_warm = |given: &Given| given.cached > 0.0 && given.cached * 2.0 >= given.all;
    (0..given.len()).filter(|&number| is_warm(&given[number])).collect()
}

fn give<C: BlockCache, F: FilterSet>(
    given: &mut [Given],
    new: &BlockTableReader<C, F>,
    old: &BlockTableReader<C, F>,
) {
    let Some(last) = given.len().checked_sub(1) else { return };
    // The user key that the walk has come to: all keys of the old block are after it, or (the first one's) at it.
    let mut from = old.counted().smallest_key.as_slice();
    let mut first = first_not_before(&new.index, 0, from);
    let begin = first_not_before(&old.index, 0, &new.counted().smallest_key);
    if begin > 0 {
        from = old.index.separator(begin - 1);
    }
    for number in begin..old.index.len() {
        while first < last && number > 0 && new.index.separator(first) <= from {
            first += 1;
        }
        if first > last || from > new.counted().largest_key.as_slice() {
            return;
        }
        let to = old.index.separator(number);
        let mut end = first;
        while end < last && new.index.separator(end) < to {
            end += 1;
        }
        let share = 1.0 / (end - first + 1) as f32;
        let cached = if old.blocks().holds(number) { share } else { 0.0 };
        for given in &mut given[first..=end] {
            given.all += share;
            given.cached += cached;
        }
        (from, first) = (to, end);
    }
}

/// The first block from `start` on whose separator is at or after `key`.
fn first_not_before(index: &Index, start: usize, key: &[u8]) -> usize {
    let (mut low, mut high) = (start, index.len());
    while low < high {
        let middle = low.midpoint(high);
        if index.separator(middle) < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
