//! Step 6: merge.
//!
//! What the last step could not do: keep the number of tables in bounds as the data grows.
//!
//! Idea: tables are sorted, so several of them are made one by reading all from the front at once and always taking the least key: a merge, in one
//! pass and in order, with a few blocks of each in memory. Of several versions of a key only the newest goes on. Here, whenever there are
//! four tables, all are merged into one.
//!
//! What it gives: a look-up asks at most four tables, and replaced values leave the disk.
//! What it costs: each merge writes everything again. With twice the data there are twice as many merges, and each is twice as long: bytes written
//! for each byte given grow with the data, and writes get slower and slower.
//!
//! `cargo run --release -p terrace-journey --example 06_merge [KEYS]`

use terrace_compaction::{Output, Survivors, TableId};
use terrace_entry::{Cursor, MergeCursor};
use terrace_journey::{Disk, Outcome, Row, Store, Tree, TreeOptions, Workload};

const READS: u64 = 1_000;
const TABLES_MAX: usize = 4;

struct Merging(Tree);

impl Store for Merging {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        self.0.put(key, value)?;
        if self.0.shape().totals().tables == TABLES_MAX { merge_all(&mut self.0) } else { Ok(()) }
    }

    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        self.0.get(key)
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// Makes all tables one.
fn merge_all(tree: &mut Tree) -> Outcome {
    let inputs: Vec<TableId> = tree.shape().tables().map(|(_, table)| table.id).collect();
    let mut merged = MergeCursor::new(tree.cursors(&inputs));
    merged.seek_to_first()?;
    // Nobody reads at a sequence number before the last one, so of each key one version survives. Nothing older than these tables is outside of
    // the merge, so a deleted key could go altogether.
    let mut survivors = Survivors::new(merged, &[tree.last_seqno()], |_key| true);
    let mut table = tree.new_table(1)?;
    while let Some(version) = survivors.next()? {
        table.add(version.key, version.value)?;
    }
    let table = tree.finish_table(table)?;
    tree.replace(inputs, Output::NewRun { level: 1, run: None }, vec![table])
}

fn measure(label: &str, keys: u64) -> Outcome<Row> {
    let disk = Disk::new()?;
    let mut store = Merging(Tree::create(&disk, TreeOptions::default())?);
    let row = Row::measure(label, &disk, Workload::of(keys), READS, &mut store)?;
    row.print();
    Ok(row)
}

fn main() -> Outcome {
    let keys = Workload::from_arguments()?.keys();
    Row::print_header();
    let quarter = measure("merge all, a quarter of the keys", keys / 4)?;
    measure("merge all, half of the keys", keys / 2)?;
    let whole = measure("merge all", keys)?;

    assert!(whole.files_absent < TABLES_MAX as f64 && whole.space < 1.5);
    // The next step answers to this.
    assert!(whole.written > 1.5 * quarter.written, "what is written grows with the data");
    Ok(())
}
