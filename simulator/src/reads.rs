//! What a read costs in the tree of the moment, by the filter model.
//!
//! A filter of b bits a key lets a key pass that is not there with a chance of e^(-b ln²2). A look-up asks the runs from the newest to the oldest; in
//! each at most one table covers the key. When it holds the key it is read and the look-up ends, else it is read if the filter errs. Whether a
//! run holds a key is taken to be independent of whether the others do.

use std::collections::BTreeMap;
use terrace_compaction::TableId;

use crate::content::{SPACE, position};
use crate::tree::Tree;
use crate::workload::Stream;

/// What a read costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadCost {
    /// Runs that cover a key: tables that a range read opens, or a look-up reads without filters.
    pub runs: f64,
    /// Tables that a look-up reads for a key that is not there.
    pub absent_reads: f64,
    /// Tables that a look-up reads for a key that is there, keys being read as often as they are written.
    pub present_reads: f64,
}

/// The chance that a filter of so many bits a key passes a key that is not in its table.
#[must_use]
pub fn filter_false_positives(bits_per_key: f64) -> f64 {
    (-bits_per_key.max(0.0) * core::f64::consts::LN_2.powi(2)).exp()
}

/// The cost in this tree.
pub(crate) fn read_cost(tree: &Tree, stream: &Stream, bits_per_key: f64) -> ReadCost {
    let passes = filter_false_positives(bits_per_key);
    let (from, to) = stream.live_span();
    let (from, to) = (from * SPACE, to * SPACE);
    let live = stream.live_entries();
    let mut cost = ReadCost { present_reads: 1.0, ..ReadCost::default() };
    // For each class the chance that the look-up has not found the key yet.
    let mut searching = vec![1.0; live.len()];
    for (_, run) in tree.shape.runs() {
        let (mut covered, mut entries) = (0.0, vec![0.0; live.len()]);
        for table in &run.tables {
            let begin = (position(&table.smallest_key) as f64).max(from);
            let end = (position(&table.largest_key) as f64 + 1.0).min(to);
            let width = (end - begin).max(0.0);
            covered += width;
            let Some(held) = tree.contents.get(&table.id) else { continue };
            for ((entries, held), keys) in entries.iter_mut().zip(held).zip(&tree.keys.classes) {
                *entries += width / SPACE * keys * (held.values + held.tombstones);
            }
        }
        let covers = covered / (to - from).max(1.0);
        cost.runs += covers;
        cost.absent_reads += covers * passes;
        for (class, entries) in entries.iter().enumerate() {
            let holds = (entries / live[class].max(1.0)).min(1.0);
            let in_vain = (covers - holds).max(0.0) * passes;
            cost.present_reads += stream.popularity[class] * searching[class] * in_vain;
            searching[class] *= 1.0 - holds;
        }
    }
    cost
}

/// Counts how often each table is read in vain by so many look-ups of keys that are there, of each class its share of them.
pub(crate) fn count_vain_reads(
    tree: &Tree,
    popularity: &[f64],
    bits_per_key: f64,
    lookups: f64,
    counts: &mut BTreeMap<TableId, f64>,
) {
    let passes = filter_false_positives(bits_per_key);
    // For each class the chance that the look-up has not found the key yet, whichever key it is.
    let mut searching = vec![1.0; popularity.len()];
    for (_, run) in tree.shape.runs() {
        let mut found = vec![0.0; popularity.len()];
        for table in &run.tables {
            let Some(held) = tree.contents.get(&table.id) else { continue };
            let width = (position(&table.largest_key) - position(&table.smallest_key)) as f64 + 1.0;
            let share = width / SPACE;
            let mut in_vain = 0.0;
            for (class, held) in held.iter().enumerate() {
                let holds = held.values + held.tombstones;
                in_vain += popularity[class] * searching[class] * share * (1.0 - holds).max(0.0) * passes;
                found[class] += share * holds;
            }
            if in_vain > 0.0 {
                *counts.entry(table.id).or_default() += in_vain * lookups;
            }
        }
        for (searching, found) in searching.iter_mut().zip(found) {
            *searching *= (1.0 - found).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bits_let_one_key_in_a_hundred_and_twenty_pass() {
        assert!((filter_false_positives(10.0) - 0.00819).abs() < 0.00001);
        assert_eq!(filter_false_positives(0.0), 1.0);
        assert_eq!(filter_false_positives(-3.0), 1.0);
    }
}
