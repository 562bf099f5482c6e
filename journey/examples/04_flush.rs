//! Step 4: sort in memory, flush to a table.
//!
//! What the last step could not do: hold more keys than memory, restart without reading everything, or give keys in order.
//!
//! Idea: keep the newest writes in memory, sorted (the memtable), with a log beside them for a crash. When there are enough of them, write them out in
//! order as one file (the table), and forget the log. A table is sorted, so one key for each block of 4 KiB is all that memory must know of it, and
//! a look-up reads one block. It is never changed, so readers need no lock and a crash can not harm it.
//!
//! What it gives: memory no longer holds every key; a restart replays one memtable's log and reads the tables' indexes.
//! What it costs: every byte is written twice, to the log and to a table; and a key may be in any table, so that a look-up asks one after the other.
//!
//! `cargo run --release -p terrace-journey --example 04_flush [KEYS]`

use std::sync::Arc;
use terrace_bloom::KeyHash;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_journey::{Disk, Outcome, Row, Store, Workload};
use terrace_journey::{append_pair, create_log, log_path, note, read_pairs, seconds};
use terrace_memtable::{BTreeMemTable, MemTable};
use terrace_sstable::{BlockCache, BlockTableReader, BlockTableWriter, NullCache, OpenTable, TableOptions};
use terrace_sstable::{TableReader, TableWriter};
use terrace_vfs::{CreateOptions, Existing};
use terrace_wal::BufferedLog;

const MEMTABLE_BYTES: usize = 128 << 10;
const READS: u64 = 1_000;

struct Flushing {
    disk: Disk,
    last_seqno: u64,
    log: BufferedLog,
    memtable: Arc<BTreeMemTable>,
    /// From the oldest to the newest. The log of number n becomes the table of number n.
    tables: Vec<BlockTableReader<NullCache>>,
}

impl Flushing {
    fn create(disk: &Disk) -> Outcome<Self> {
        let (log, memtable) = (create_log(disk, 0)?, Arc::new(BTreeMemTable::new(MEMTABLE_BYTES)));
        Ok(Flushing { disk: disk.clone(), last_seqno: 0, log, memtable, tables: Vec::new() })
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.last_seqno += 1;
        self.memtable.insert(InternalKey::new(key, SeqNo::new(self.last_seqno), Kind::Put), value);
    }

    /// The log goes last, when its table is durable: while there is a log, the table of its number may be torn.
    fn flush(&mut self) -> Outcome {
        let (vfs, number) = (self.disk.vfs(), self.tables.len() as u64);
        let path = self.disk.path(&format!("{number:06}.sst"));
        let options = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
        let file = vfs.create(&path, options)?;
        let mut table: BlockTableWriter = BlockTableWriter::create(file, &TableOptions::default())?;
        let mut cursor = Arc::clone(&self.memtable).cursor();
        cursor.seek_to_first()?;
        while let Some(version) = cursor.current() {
            table.add(version.key, version.value)?;
            cursor.next()?;
        }
        table.finish()?;
        vfs.sync_dir(self.disk.folder())?;
        self.open_table(number)?;
        self.memtable = Arc::new(BTreeMemTable::new(MEMTABLE_BYTES));
        self.log = create_log(&self.disk, number + 1)?;
        Ok(vfs.remove(&log_path(&self.disk, number))?)
    }

    fn open_table(&mut self, number: u64) -> Outcome {
        let file = self.disk.vfs().open(&self.disk.path(&format!("{number:06}.sst")))?;
        let cache = Arc::new(NullCache::new(0));
        self.tables.push(BlockTableReader::open(OpenTable { file, file_number: number, cache })?);
        Ok(())
    }

    /// After the death of the process: opens the tables up to the one whose log is still there, and makes that one from the log.
    fn recover(&mut self) -> Outcome {
        (self.tables, self.last_seqno) = (Vec::new(), 0);
        self.memtable = Arc::new(BTreeMemTable::new(MEMTABLE_BYTES));
        while !self.disk.vfs().exists(&log_path(&self.disk, self.tables.len() as u64))? {
            self.open_table(self.tables.len() as u64)?;
        }
        self.last_seqno = self.tables.last().map_or(0, |table| table.properties().seqno_max.get());
        read_pairs(&self.disk.clone(), self.tables.len() as u64, |_, key, value| {
            self.insert(key, value);
            Ok(())
        })?;
        self.flush()
    }
}

impl Store for Flushing {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        append_pair(&mut self.log, key, value)?;
        self.insert(key, value);
        if self.memtable.memory_bytes() >= MEMTABLE_BYTES { self.flush() } else { Ok(()) }
    }

    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        if let Some(found) = self.memtable.get(key, SeqNo::MAX) {
            return Ok(Some(found.value.to_vec()));
        }
        let hash = KeyHash::of(key);
        for table in self.tables.iter().rev() {
            if let Some(found) = table.get(key, hash, SeqNo::MAX)? {
                return Ok(Some(found.value.to_vec()));
            }
        }
        Ok(None)
    }

    fn memory_bytes(&self) -> usize {
        MEMTABLE_BYTES + self.tables.iter().map(TableReader::memory_bytes).sum::<usize>()
    }
}

fn main() -> Outcome {
    let (work, disk) = (Workload::from_arguments()?, Disk::new()?);
    let mut store = Flushing::create(&disk)?;
    Row::print_header();
    let row = Row::measure("memtable, log and tables", &disk, work, READS, &mut store)?;
    row.print();
    note(format!("tables: {}", store.tables.len()));

    // The process dies: what is in memory is gone, and nothing was closed.
    let before = disk.counts().read_bytes;
    let ((), took) = seconds(|| store.recover())?;
    let read_bytes = disk.counts().read_bytes - before;
    note(format!("a restart reads {} KiB and takes {took:.1?}", read_bytes >> 10));
    row.clone().measure_gets(&disk, work.reads(0..READS), &store)?;
    assert!(read_bytes < work.live_bytes() / 2, "a restart reads one log and the indexes");

    // The next step answers to this: a key that is nowhere is looked for in every table, three quarters of them on the average of the second round.
    assert!(row.files_absent > store.tables.len() as f64 * 0.6);
    Ok(())
}
