//! Step 3: a log with a memory.
//!
//! What the last step could not do: find a key without reading everything.
//!
//! Idea: keep in memory, for each key, where its newest value stands in the log. A read is then one look into a hash map and one read of a file, however
//! much data there is. After a restart the map is made again from the log. This is Bitcask.
//!
//! What it gives: writes as fast as the log, and reads that read one value and nothing else.
//! What it costs: every key must fit into memory, however seldom it is asked for; a restart reads the whole log; values that were
//! replaced stay on the disk; and the keys have no order still.
//!
//! `cargo run --release -p terrace-journey --example 03_log_with_memory [KEYS]`

use std::collections::HashMap;
use std::sync::Arc;
use terrace_journey::{BEFORE_KEY_BYTES, Disk, Outcome, Row, Store, Workload};
use terrace_journey::{append_pair, create_log, log_path, note, read_pairs, seconds};
use terrace_vfs::ReadFile;
use terrace_wal::BufferedLog;

/// Where a value stands in the log.
struct Place {
    offset: u64,
    bytes: u32,
}

type Index = HashMap<Vec<u8>, Place>;

struct IndexedLog {
    log: BufferedLog,
    file: Arc<dyn ReadFile>,
    index: Index,
}

fn place(record_offset: u64, key: &[u8], value: &[u8]) -> Place {
    Place { offset: record_offset + (BEFORE_KEY_BYTES + key.len()) as u64, bytes: value.len() as u32 }
}

/// What a restart does. Later records replace earlier ones.
fn read_index(disk: &Disk) -> Outcome<Index> {
    let mut index = Index::new();
    read_pairs(disk, 1, |offset, key, value| {
        index.insert(key.to_vec(), place(offset, key, value));
        Ok(())
    })?;
    Ok(index)
}

impl IndexedLog {
    fn create(disk: &Disk) -> Outcome<Self> {
        let log = create_log(disk, 1)?;
        Ok(IndexedLog { log, file: disk.vfs().open(&log_path(disk, 1))?, index: Index::new() })
    }
}

impl Store for IndexedLog {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        let offset = append_pair(&mut self.log, key, value)?;
        self.index.insert(key.to_vec(), place(offset, key, value));
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let Some(place) = self.index.get(key) else { return Ok(None) };
        let mut value = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut value, place.offset)?;
        Ok(Some(value))
    }

    fn memory_bytes(&self) -> usize {
        let buckets = self.index.capacity() * 8 / 7 * (size_of::<(Vec<u8>, Place)>() + 1);
        buckets + self.index.keys().map(Vec::capacity).sum::<usize>()
    }
}

fn main() -> Outcome {
    let (work, disk) = (Workload::from_arguments()?, Disk::new()?);
    let mut store = IndexedLog::create(&disk)?;
    Row::print_header();
    let row = Row::measure("log and index in memory", &disk, work, work.keys(), &mut store)?;
    row.print();

    // The process dies here, and the next one makes the index again.
    let before = disk.counts().read_bytes;
    let (index, took) = seconds(|| read_index(&disk))?;
    store.index = index;
    let read_bytes = disk.counts().read_bytes - before;
    note(format!("a restart reads {} KiB and takes {took:.1?}", read_bytes >> 10));
    row.clone().measure_gets(&disk, work.reads(0..1_000), &store)?;

    // The next step answers to these.
    assert!(row.files == 1.0 && row.files_absent == 0.0);
    assert!(disk.bytes()? > 2 * work.live_bytes(), "replaced values stay");
    assert!(read_bytes > 2 * work.live_bytes(), "a restart reads all that was ever written");
    assert!(row.memory > 40.0, "every key is in memory");
    Ok(())
}
