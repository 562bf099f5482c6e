//! What mutations begin from, for every fuzz target of the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_sstable::testing::{data_block_seeds, part_seeds, table_seeds};
use terrace_vfs::{MemVfs, Vfs};
use terrace_wal::{LogKind, LogReader, ReadLogOptions, RecoveryMode};

use super::{RESEAL, folder};
use crate::{Clock, Db, Durability, Executor, Result, SimClock, SimExecutor, WriteBatch};

/// The inputs to begin with, for the fuzz target of this name; empty for a name that is none.
///
/// # Panics
///
/// When a small database can not be made in memory.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let led = |how: u8, bytes: &[u8]| [&[how], bytes].concat();
    let both_ways = |bytes: &[u8]| [led(0, bytes), led(RESEAL, bytes)];
    match target {
        "log" => terrace_wal::testing::log_seeds(),
        "table" => table_seeds().iter().flat_map(|table| both_ways(table)).collect(),
        "data_block" => data_block_seeds(),
        "index_block" => table_seeds().iter().map(|table| part_seeds(table).0).collect(),
        "properties" => table_seeds().iter().map(|table| part_seeds(table).1).collect(),
        "footer" => table_seeds().iter().map(|table| part_seeds(table).2).collect(),
        "filter" => terrace_bloom::testing::filter_seeds(),
        "current" => vec![b"MANIFEST-000002 00000000\n".to_vec(), file(&closed(), "CURRENT")],
        // The manifest of the folder has another number; a right checksum makes it that of the target.
        "manifest" => folders().iter().flat_map(|files| both_ways(&renumbered(files))).collect(),
        "edits" => folders().iter().flat_map(|files| payloads(files, "MANIFEST-")).collect(),
        "batch" => folders().iter().flat_map(|files| payloads(files, ".log")).collect(),
        "folder" => folders()
            .iter()
            .flat_map(|files| [0, RESEAL, 4 | RESEAL].map(|how| folder::encode(how, files)))
            .collect(),
        _ => Vec::new(),
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn open(mem: &MemVfs) -> Result<Db> {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    let executor: Arc<dyn Executor> = Arc::new(SimExecutor::new(1, Arc::clone(&clock)));
    let builder = Db::builder("/db").vfs(Arc::new(mem.clone())).clock(clock).executor(executor);
    builder.memtable_bytes(1 << 20).block_bytes(128).log(LogKind::Buffered).log_preallocate_bytes(0).open()
}

/// A database with two keyspaces, tables, tombstones and a log.
fn made(mem: &MemVfs) -> Result<Db> {
    let db = open(mem)?;
    let other = db.keyspace("other")?;
    for number in 0..12 {
        db.put(format!("key{number:03}"), format!("value {number}"))?;
    }
    db.flush()?;
    db.delete("key003")?;
    other.put("k", "v")?;
    db.flush()?;
    let mut batch = WriteBatch::new();
    batch.put("key001", "in the log").put_in(&other, "k2", "v2").delete("key002");
    db.write_with(batch, Durability::Synced)?;
    db.put("key004", "last")?;
    Ok(db)
}

fn closed() -> Files {
    let mem = MemVfs::new();
    made(&mem).and_then(|db| db.close()).expect("memory takes it");
    mem.files()
}

fn killed() -> Files {
    let mem = MemVfs::new();
    let db = made(&mem).expect("memory takes it");
    let files = mem.files();
    drop(db);
    files
}

fn compacted() -> Files {
    let mem = MemVfs::new();
    let work = || -> Result<()> {
        let db = made(&mem)?;
        db.compact()?;
        db.remove_keyspace("other")?;
        db.close()
    };
    work().expect("memory takes it");
    mem.files()
}

fn folders() -> [Files; 3] {
    [closed(), killed(), compacted()]
}

fn file(files: &Files, name: &str) -> Vec<u8> {
    files.get(&Path::new("/db").join(name)).cloned().unwrap_or_default()
}

/// The manifest of a folder as the one that the target `manifest` reads.
fn renumbered(files: &Files) -> Vec<u8> {
    let manifest = files.iter().find(|(path, _)| path.to_string_lossy().contains("MANIFEST-"));
    let mut bytes = manifest.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
    // The low half of the log's number stands in every header, and the whole in the payload of the first record.
    let mut at = 0;
    while let Some(head) = bytes.get_mut(at..at + 24) {
        let payload_bytes = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        head[12] = 1;
        at += 24 + payload_bytes;
    }
    if let Some(number) = bytes.get_mut(36) {
        *number = 1;
    }
    terrace_wal::testing::reseal_log(&mut bytes, super::MANIFEST);
    bytes
}

/// The payloads of all records in the files of this name.
fn payloads(files: &Files, named: &str) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for (path, bytes) in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(named) {
            continue;
        }
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        let vfs: Arc<dyn Vfs> = super::in_memory(&name, bytes);
        let options = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
        let number = digits.parse().expect("the name has a number");
        let mut reader = LogReader::open(&vfs, Path::new(&name), number, options).expect("the file is there");
        while let Some(record) = reader.next().expect("the file is whole") {
            payloads.push(record.payload.to_vec());
        }
    }
    payloads
}
