//! Step 5: too many files.
//!
//! What the last step could not do: stay as it is. Here it runs on while the data grows.
//!
//! Nothing is new but the figures. The store is that of step 4 (from here on `journey/src/tree.rs`), and nobody merges anything: for the
//! same memtable, four times as much data is four times as many tables, and a look-up asks four times as many of them. Values that were replaced stay
//! on the disk. The last row buys relief with memory: a memtable four times as large, and a quarter of the tables; but also four times the
//! memory and, after a crash, four times the log to replay.
//!
//! `cargo run --release -p terrace-journey --example 05_too_many_files [KEYS]`

use terrace_journey::{Disk, Outcome, Row, Tree, TreeOptions, Workload};

const READS: u64 = 1_000;

fn measure(label: &str, keys: u64, memtable_bytes: usize) -> Outcome<Row> {
    let disk = Disk::new()?;
    let mut tree = Tree::create(&disk, TreeOptions { memtable_bytes, ..TreeOptions::default() })?;
    let row = Row::measure(label, &disk, Workload::of(keys), READS, &mut tree)?;
    row.print();
    Ok(row)
}

fn main() -> Outcome {
    let keys = Workload::from_arguments()?.keys();
    let memtable_bytes = TreeOptions::default().memtable_bytes;
    Row::print_header();
    let quarter = measure("tables, a quarter of the keys", keys / 4, memtable_bytes)?;
    measure("tables, half of the keys", keys / 2, memtable_bytes)?;
    let whole = measure("tables", keys, memtable_bytes)?;
    let large = measure("tables, a memtable of 512 KiB", keys, 4 * memtable_bytes)?;

    // The next step answers to these.
    assert!(whole.files_absent > 3.0 * quarter.files_absent, "files grow with the data");
    assert!(whole.space > 1.4, "replaced values stay");
    assert!(large.files_absent < whole.files_absent / 3.0);
    Ok(())
}
