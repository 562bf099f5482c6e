//! The fences of a run: where among its tables a key belongs, found without touching a table.
//!
//! The heads (see [`heads`]) of all first and all last keys lie side by side. A binary search over the tables themselves would follow three pointers for
//! each of its steps. Keys are read only where heads are equal.

use std::cmp::Ordering;
use terrace_entry::heads;

/// Ranges of keys, ascending and disjoint.
pub(crate) trait KeyRanges {
    fn count(&self) -> usize;
    /// The first key of a range.
    fn smallest(&self, number: usize) -> &[u8];
    /// The last key of a range, at or after the first.
    fn largest(&self, number: usize) -> &[u8];
}

/// Heads of [`KeyRanges`]; every method takes those that it was made of.
#[derive(Debug)]
pub(crate) struct Fences {
    /// What all keys begin with.
    prefix: Box<[u8]>,
    smallest: Box<[u64]>,
    largest: Box<[u64]>,
}

impl Fences {
    pub(crate) fn of<R: KeyRanges + ?Sized>(ranges: &R) -> Self {
        let prefix = match ranges.count().checked_sub(1) {
            // In order, so what the first and the last have in common all have.
            Some(last) => {
                let first = ranges.smallest(0);
                &first[..heads::common_prefix(first, ranges.largest(last))]
            }
            None => &[],
        };
        let head = |key: &[u8]| heads::head(key, prefix.len());
        Fences {
            smallest: (0..ranges.count()).map(|number| head(ranges.smallest(number))).collect(),
            largest: (0..ranges.count()).map(|number| head(ranges.largest(number))).collect(),
            prefix: prefix.into(),
        }
    }

    /// The first range whose last key is at or after `key`; the count when none is.
    pub(crate) fn at_or_after<R: KeyRanges + ?Sized>(&self, ranges: &R, key: &[u8]) -> usize {
        match heads::against_prefix(key, &self.prefix) {
            Ordering::Less => 0,
            Ordering::Equal => self.among(ranges, key, heads::head(key, self.prefix.len())),
            Ordering::Greater => self.largest.len(),
        }
    }

    /// The range that holds `key`.
    #[inline]
    pub(crate) fn find<R: KeyRanges + ?Sized>(&self, ranges: &R, key: &[u8]) -> Option<usize> {
        if heads::against_prefix(key, &self.prefix).is_ne() {
            return None;
        }
        let head = heads::head(key, self.prefix.len());
        let at = self.among(ranges, key, head);
        let begins = match self.smallest.get(at)?.cmp(&head) {
            Ordering::Less => true,
            Ordering::Equal => ranges.smallest(at) <= key,
            Ordering::Greater => false,
        };
        begins.then_some(at)
    }

    /// As [`Fences::at_or_after`], for a key with the common prefix and this head.
    #[inline]
    fn among<R: KeyRanges + ?Sized>(&self, ranges: &R, key: &[u8], head: u64) -> usize {
        let mut at = self.largest.partition_point(|&largest| largest < head);
        while self.largest.get(at) == Some(&head) && ranges.largest(at) < key {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_entry::testing::next_random;

    type Range = (Vec<u8>, Vec<u8>);

    impl KeyRanges for Vec<Range> {
        fn count(&self) -> usize {
            self.len()
        }

        fn smallest(&self, number: usize) -> &[u8] {
            &self[number].0
        }

        fn largest(&self, number: usize) -> &[u8] {
            &self[number].1
        }
    }

    /// Short, and of few letters, so that keys are often equal or prefixes of each other; some beyond eight bytes alike.
    fn random_key(state: &mut u64) -> Vec<u8> {
        let start: &[u8] = [&b""[..], b"k", b"kk", b"kkkkkkkkkkk"][next_random(state) as usize % 4];
        let len = next_random(state) as usize % 4;
        let tail = (0..len).map(|_| [0, b'k', 0xff][next_random(state) as usize % 3]);
        start.iter().copied().chain(tail).collect()
    }

    #[test]
    fn fences_find_what_a_walk_over_all_ranges_finds() {
        let mut state = 7;
        for _ in 0..2000 {
            let count = 2 * (next_random(&mut state) as usize % 8);
            let mut keys: Vec<_> = (0..count).map(|_| random_key(&mut state)).collect();
            keys.sort();
            keys.dedup();
            let ranges: Vec<Range> =
                keys.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            let fences = Fences::of(&ranges);
            for _ in 0..20 {
                let key = random_key(&mut state);
                let at_or_after = ranges.iter().take_while(|range| range.1 < key).count();
                assert_eq!(fences.at_or_after(&ranges, &key), at_or_after, "{key:x?} in {ranges:x?}");
                let holds = ranges.iter().position(|range| range.0 <= key && key <= range.1);
                assert_eq!(fences.find(&ranges, &key), holds, "{key:x?} in {ranges:x?}");
            }
        }
    }
}
