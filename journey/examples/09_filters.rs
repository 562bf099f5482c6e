//! Step 9: filters.
//!
//! What the last step could not do: pass by a run that does not hold the key without reading it.
//!
//! Idea: each table keeps in memory a few bits for each of its keys (a Bloom filter), which say "not here", or "perhaps". They are never wrong when they
//! say "not here"; with ten bits a key they say "perhaps" for no reason about once in a hundred times. So a look-up reads the one table that
//! holds the key, and for a key that is nowhere, none.
//!
//! What it gives: the price of many runs falls away for look-ups, and tiers, which write less, read as little as levels. (A range still
//! reads every run: a filter knows single keys only.)
//! What it costs: memory, for each key that is on disk. The last two rows spend the same memory in two ways. One gives each key five bits. The other
//! (Monkey) takes one from each key of the largest level, which has most of the keys, and can give many to those of the small ones above.
//!
//! `cargo run --release -p terrace-journey --example 09_filters [KEYS]`

use terrace_compaction::CompactionPicker;
use terrace_journey::{Disk, Outcome, Row, Tree, TreeOptions, Workload, leveled, tiered};

/// Ten bits let one in a hundred through: much fewer reads would not show it.
const READS: u64 = 2_000;

fn measure(label: &str, work: Workload, picker: impl CompactionPicker, filter_bits: &[f64]) -> Outcome<Row> {
    let disk = Disk::new()?;
    let options = TreeOptions { filter_bits: filter_bits.to_vec(), ..TreeOptions::default() };
    let mut tree = Tree::create(&disk, options)?.with_picker(picker);
    let row = Row::measure(label, &disk, work, READS, &mut tree)?;
    row.print();
    Ok(row)
}

fn main() -> Outcome {
    let work = Workload::from_arguments()?;
    Row::print_header();
    let bare = measure("tiers, no filter", work, tiered(4), &[])?;
    let tiers = measure("tiers, 10 bits a key", work, tiered(4), &[10.0])?;
    measure("levels, no filter", work, leveled(4), &[])?;
    let levels = measure("levels, 10 bits a key", work, leveled(4), &[10.0])?;
    let even = measure("levels, 5 bits a key", work, leveled(4), &[5.0])?;
    // The picker numbers its last level 6 and leaves out those above that it does not need.
    let by_level = [12.4, 12.4, 12.4, 12.4, 9.7, 6.8, 3.9];
    let uneven = measure("levels, 4 to 12 bits by level", work, leveled(4), &by_level)?;

    for row in [&levels, &tiers] {
        assert!(row.files < 1.1 && row.files_absent < 0.2, "{row:?}");
    }
    assert!(tiers.files_absent < bare.files_absent / 10.0);
    assert!(uneven.files_absent < even.files_absent && uneven.memory < 1.1 * even.memory);
    // The next step answers to this: each look-up still reads a block from a file.
    assert!(tiers.files > 0.8);
    Ok(())
}
