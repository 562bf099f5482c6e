//! Step 11: the engine.
//!
//! What the last steps could not do: do several things at once, and survive anything in between.
//!
//! The same workload on an engine of the same parts, named one by one: that memtable, log, cache, table and picker (`terrace::Db` is such an engine ready-made).
//! What it adds is what makes a tree an engine: flushes and merges in the background while writers go on, slowed only when merges fall behind; a manifest, so that a
//! crash between any two steps leaves one whole tree; views that never change, so that readers need no lock; snapshots, batches, ranges in both
//! directions, keyspaces.
//!
//! The sizes are those of the steps before, so that the row can be laid beside theirs; the last row is the engine as it comes, whose
//! memtable of 64 MiB holds the whole of so small a workload.
//!
//! `cargo run --release -p terrace-journey --features engine --example 11_engine [KEYS]`

use terrace::{Options, Parts, StockLog};
use terrace_compaction::LeveledPicker;
use terrace_journey::{Disk, Outcome, Row, Store, Workload, leveled, note};
use terrace_memtable::BTreeMemTable;
use terrace_sstable::{BlockTable, QuickCache};
use terrace_wal::LogKind;

const READS: u64 = 5_000;

/// The parts of the steps before.
enum Steps {}

impl Parts for Steps {
    type MemTable = BTreeMemTable;
    type Log = StockLog;
    type Cache = QuickCache;
    type Table = BlockTable;
    type Picker = LeveledPicker;

    fn picker(options: &Options) -> LeveledPicker {
        terrace::leveled_picker(options)
    }
}

type Db = terrace::Engine<Steps>;

struct Database(Db);

impl Store for Database {
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
    let db = small.log(LogKind::Buffered).log_preallocate_bytes(0).vfs(disk.vfs()).open()?;
    let row = Row::measure("Db, sizes of these steps", &disk, work, READS, &mut Database(db.clone()))?;
    row.print();
    assert!(row.files < 1.2 && row.files_absent < 0.3);
    let (stats, shape) = (db.stats(), db.shape());
    db.close()?;

    let disk = Disk::new()?;
    let db = Db::builder(disk.folder()).log_preallocate_bytes(0).vfs(disk.vfs()).open()?;
    Row::measure("Db, its own sizes", &disk, work, READS, &mut Database(db.clone()))?.print();
    db.close()?;

    note(format!("the first of the two:\n{shape}{stats}"));
    Ok(())
}
