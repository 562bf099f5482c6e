//! Step 2: an append-only log.
//!
//! What the last step could not do: outlive the process.
//!
//! Idea: the simplest file there is. Each write is a record at its end, with a checksum; nothing in it is ever changed, so that a crash can only
//! tear its tail. A read goes through the file, and the last record of the key counts.
//!
//! What it gives: every write survives the death of the process for one system call, at the speed of appending. A write that is to survive
//! the loss of power must wait for the device: the second row.
//! What it costs: a read reads the whole log. It costs four times as much when there is four times as much data.
//!
//! `cargo run --release -p terrace-journey --example 02_append_only_log [KEYS]`

use std::path::PathBuf;
use terrace_journey::{Disk, Outcome, Row, Store, Workload, note, seconds};
use terrace_wal::{BufferedLog, CreateLog, LogReader, LogWriter, ReadLogOptions};

const READS: u64 = 10;
/// Writes that wait for the device.
const SYNCED_WRITES: u32 = 100;

struct Log {
    disk: Disk,
    path: PathBuf,
    log: BufferedLog,
}

impl Log {
    fn create(disk: &Disk) -> Outcome<Self> {
        let path = disk.path("1.log");
        let options = CreateLog { number: 1, preallocate_bytes: 0, recycle: None };
        Ok(Log { log: BufferedLog::create(&disk.vfs(), &path, options)?, path, disk: disk.clone() })
    }
}

impl Store for Log {
    /// One system call. Once it returned, the record is with the system, which outlives the process.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        self.log.append(&[&(key.len() as u32).to_le_bytes(), key, value])?;
        Ok(self.log.hand_over()?)
    }

    /// Opens the file anew, as another process would: what it finds is what outlives this one.
    fn get(&self, wanted: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut log = LogReader::open(&self.disk.vfs(), &self.path, 1, ReadLogOptions::default())?;
        let mut newest = None;
        while let Some(record) = log.next()? {
            let (key_len, pair) = record.payload.split_first_chunk().ok_or("a record without a length")?;
            let (key, value) = pair.split_at(u32::from_le_bytes(*key_len) as usize);
            if key == wanted {
                newest = Some(value.to_vec());
            }
        }
        Ok(newest)
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

fn measure(label: &str, work: Workload) -> Outcome<Row> {
    let disk = Disk::new()?;
    let row = Row::measure(label, &disk, work, READS, &mut Log::create(&disk)?)?;
    row.print();
    Ok(row)
}

fn main() -> Outcome {
    let work = Workload::from_arguments()?;
    Row::print_header();
    let quarter = measure("log, a quarter of the keys", Workload::of(work.keys() / 4))?;
    let whole = measure("log", work)?;

    let mut store = Log::create(&Disk::new()?)?;
    let ((), took) = seconds(|| {
        work.writes().take(SYNCED_WRITES as usize).try_for_each(|(key, value)| {
            store.put(&key, &value)?;
            Ok(store.log.sync()?)
        })
    })?;
    note(format!("a write that waits until the device has it takes {:.1?}", took / SYNCED_WRITES));
    assert_eq!(store.log.synced_bytes(), store.log.len_bytes());

    // The next step answers to this: a read reads all that was ever written.
    assert!(whole.kib > 1.5 * work.live_bytes() as f64 / 1024.0);
    assert!(whole.kib > 3.5 * quarter.kib);
    Ok(())
}
