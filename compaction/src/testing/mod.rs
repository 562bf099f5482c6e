//! For tests of pickers, this crate's and yours: the conformance suite, trees as text, and a model tree.
//!
//! * [`check_picker`] runs the laws of [`crate::CompactionPicker`] over small, random, hostile and living trees.
//! * [`shape`], [`fixture`], [`render`] and [`transcript`]: write a tree as text, pick, see the picks as text.
//! * [`ModelTree`]: a small tree with real versions, flushes, snapshots and tasks that overlap in time; the oracle of the order law.
//!
//! What a picker costs on large trees is told by the crate `terrace-simulator`.
//!
//! Everything panics with words when what it checks is not so, as tests do.

mod model;
mod suite;
mod text;

pub use model::ModelTree;
pub use suite::{check_picker, merge_metadata};
pub use text::{Fixture, fixture, render, shape, transcript};

/// A stream of pseudo-random numbers that is the same on every machine (splitmix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; zero when `end` is.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end.max(1)
    }

    /// An index into something of `len` items.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
