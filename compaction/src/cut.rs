//! Where a merge ends one output table and begins the next.
//!
//! Rules, in this order, asked before a version is added:
//!
//! 1. never between two versions of one user key (a look-up searches one table of a run only);
//! 2. always at `file_bytes_max`, twice the target unless told otherwise;
//! 3. when the tables of the next level that the output overlaps hold more than `overlap_bytes_max`: compacting it further would cost too much
//!    at once (LevelDB's `ShouldStopBefore`);
//! 4. at a boundary of a next-level table, once the output has a share of its target that rises with the boundaries it has
//!    seen: `50 + 5 * min(seen, 8)` percent (RocksDB, PR 10655, which measured some 12 % less compaction for it: a table that ends
//!    where the next level's tables end drags no half-overlapped neighbour into its own compaction);
//! 5. at the target, when no more boundary is ahead to wait for.
//!
//! Costs: O(1) amortised for each version, one comparison with the last key and one with a boundary; the key is copied once for each
//! distinct user key into a buffer that is reused.

use std::sync::Arc;
use terrace_entry::KeyBuffer;

use crate::shape::TableMeta;

/// When to cut. All sizes in bytes of the file, as its writer estimates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOptions {
    /// The size wanted.
    pub target_file_bytes: u64,
    /// The size not to pass, but for the versions of one user key.
    pub file_bytes_max: u64,
    /// Bytes of next-level tables that one output may overlap.
    pub overlap_bytes_max: u64,
}

impl CutOptions {
    /// The usual limits around a target: twice it at most, and ten times it in the next level.
    #[must_use]
    pub fn for_target(target_file_bytes: u64) -> Self {
        CutOptions {
            target_file_bytes,
            file_bytes_max: target_file_bytes.saturating_mul(2),
            overlap_bytes_max: target_file_bytes.saturating_mul(10),
        }
    }
}

/// Decides where outputs are cut. One for each task, fed with every version that is kept.
///
/// ```
/// use terrace_compaction::{CutOptions, OutputCutter};
///
/// let mut cutter = OutputCutter::new(CutOptions::for_target(100), Vec::new());
/// assert!(!cutter.cut_before(b"a", 0));
/// assert!(!cutter.cut_before(b"b", 60));
/// assert!(!cutter.cut_before(b"b", 110)); // the same user key: never
/// assert!(cutter.cut_before(b"c", 170));
/// ```
#[derive(Clone, Debug)]
pub struct OutputCutter {
    options: CutOptions,
    grandparents: Vec<Arc<TableMeta>>,
    /// The first grandparent that does not end before the last key.
    at: usize,
    /// Whether the last key is within grandparent `at` rather than before it.
    inside: bool,
    /// Boundaries passed and grandparent bytes met since the current output began.
    boundaries: u64,
    overlap_bytes: u64,
    /// Keys that begin an output in any case, and the first of them that was not passed.
    cuts: Vec<Vec<u8>>,
    cut_at: usize,
    last_key: KeyBuffer,
    begun: bool,
}

impl OutputCutter {
    /// A cutter. `grandparents` are the tables of the level below the output's, ascending and disjoint ([`crate::Shape::grandparents`]); none if
    /// there is no such level.
    #[must_use]
    pub fn new(options: CutOptions, grandparents: Vec<Arc<TableMeta>>) -> Self {
        OutputCutter {
            options,
            grandparents,
            at: 0,
            inside: false,
            boundaries: 0,
            overlap_bytes: 0,
            cuts: Vec::new(),
            cut_at: 0,
            last_key: KeyBuffer::new(),
            begun: false,
        }
    }

    /// Ends outputs before these keys, ascending, too: [`crate::Task::cuts`].
    #[must_use]
    pub fn with_cuts(mut self, cuts: Vec<Vec<u8>>) -> Self {
        debug_assert!(cuts.is_sorted(), "cuts ascend");
        self.cuts = cuts;
        self
    }

    /// Whether to end the current output before adding a version of `user_key`. `file_bytes` is the size the current output would have if
    /// it ended now, zero when nothing is in it. When the answer is yes the version is taken to begin the next output.
    ///
    /// To be asked exactly once for each version that is added, in their order.
    #[inline]
    pub fn cut_before(&mut self, user_key: &[u8], file_bytes: u64) -> bool {
        if self.begun && self.last_key.holds(user_key) {
            return false;
        }
        let passed = self.advance(user_key);
        let passed_cut = self.passes_cut(user_key);
        let cut = file_bytes > 0 && self.begun && (passed_cut || self.wants_cut(passed, file_bytes));
        if cut {
            self.boundaries = 0;
            self.overlap_bytes = if self.inside { self.grandparents[self.at].file_bytes } else { 0 };
        }
        self.last_key.set(user_key);
        self.begun = true;
        cut
    }

    /// Walks the cuts up to `user_key`; whether there was one since the last key.
    #[inline]
    fn passes_cut(&mut self, user_key: &[u8]) -> bool {
        let before = self.cut_at;
        while self.cuts.get(self.cut_at).is_some_and(|cut| cut.as_slice() <= user_key) {
            self.cut_at += 1;
        }
        self.cut_at > before
    }

    #[inline]
    fn wants_cut(&self, passed: u64, file_bytes: u64) -> bool {
        let options = &self.options;
        if file_bytes >= options.file_bytes_max {
            return true;
        }
        if passed > 0 {
            let percent = 50 + 5 * self.boundaries.min(8);
            let enough =
                u128::from(file_bytes) * 100 >= u128::from(options.target_file_bytes) * u128::from(percent);
            if enough || self.overlap_bytes > options.overlap_bytes_max {
                return true;
            }
        }
        let boundary_ahead = self.at < self.grandparents.len();
        !boundary_ahead && file_bytes >= options.target_file_bytes
    }

    /// Walks the grandparents up to `user_key`; how many of their ends and beginnings lie between the last key and it.
    #[inline]
    fn advance(&mut self, user_key: &[u8]) -> u64 {
        let mut passed = 0;
        while let Some(table) = self.grandparents.get(self.at) {
            if self.inside {
                if user_key <= table.largest_key.as_slice() {
                    break;
                }
                self.inside = false;
                self.at += 1;
            } else {
                if user_key < table.smallest_key.as_slice() {
                    break;
                }
                self.inside = true;
                self.overlap_bytes = self.overlap_bytes.saturating_add(table.file_bytes);
            }
            passed += 1;
        }
        // Before the first key there is no output yet whose boundaries they could be.
        if self.begun {
            self.boundaries = self.boundaries.saturating_add(passed);
        } else {
            self.overlap_bytes = if self.inside { self.grandparents[self.at].file_bytes } else { 0 };
        }
        passed
    }
}
