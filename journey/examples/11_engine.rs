//! Step 11: the engine.
//!
//! What the last steps could not do: do several things at once, and survive anything in between.
//!
//! The same workload on `terrace::Db`, which is made of the same parts: that log, that memtable, those tables, filters, cache and picker. What it adds is
//! what makes a tree an engine: flushes and merges in the background while writers go on, slowed only when merges fall behind; a manifest, so that a
//! crash between any two steps leaves one whole tree; views that never change, so that readers need no lock; snapshots, batches, ranges in both
//! directions, keyspaces.
//!
//! The sizes are those of the steps before, so that the row can be laid beside theirs; the last row is the engine as it comes, whose
//! memtable of 64 MiB holds the whole of so small a workload.
//!
//! `cargo run --release -p terrace-journey --features engine --example 11_engine [KEYS]`

use terrace::Db;
use terrace_journey::{Disk, Outcome, Row, Store, Workload, leveled, note};

const READS: u64 = 5_000;

struct Engine(Db);

impl Store for Engine {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        Ok(self.0.put(key, value)?)
    }

    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.0.get(key)?.map(Vec::from))
    }

    fn memory_bytes(&self) -> usize {
        self.0.stats().memory_bytes() as usize
    }
}

fn main() -> Outcome {
    let work = Workload::from_arguments()?;
    Row::print_header();

    let disk = Disk::new()?;
    let small = Db::builder(disk.folder()).memtable_bytes(128 << 10).cache_bytes(0).picker(leveled(4));
    let db = small.log_preallocate_bytes(0).vfs(disk.vfs()).open()?;
    let row = Row::measure("Db, sizes of these steps", &disk, work, READS, &mut Engine(db.clone()))?;
    row.print();
    assert!(row.files < 1.2 && row.files_absent < 0.3);
    let (stats, shape) = (db.stats(), db.shape());
    db.close()?;

    let disk = Disk::new()?;
    let db = Db::builder(disk.folder()).log_preallocate_bytes(0).vfs(disk.vfs()).open()?;
    Row::measure("Db, its own sizes", &disk, work, READS, &mut Engine(db.clone()))?.print();
    db.close()?;

    note(format!("the first of the two:\n{shape}{stats}"));
    Ok(())
}
