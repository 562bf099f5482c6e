//! Any bytes as a whole folder: the fuzz target `folder`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_sstable::testing::reseal_table;
use terrace_sstable::{BlockCache, BlockTableReader, NullCache, OpenTable, TableReader};
use terrace_vfs::{CreateOptions, Existing, MemVfs, Vfs};
use terrace_wal::testing::reseal_log;
use terrace_wal::{LogKind, RecoveryMode};

use super::RESEAL;
use crate::names::FileName;
use crate::{Clock, Db, Error, Executor, Result, SimClock, SimExecutor};

const DIR: &str = "/db";

/// The bits of the first byte that choose the mode of recovery.
const MODES: [RecoveryMode; 4] =
    [RecoveryMode::DropTornTail, RecoveryMode::DropTornTail, RecoveryMode::Salvage, RecoveryMode::RefuseAny];

/// A database folder: a byte that says how (bit 0: put checksums right; bits 1 and 2: the mode of recovery), then files, each
/// `kind u8 | number u8 | length u24, little-endian | bytes`; kinds: 0 `CURRENT`, 1 a manifest, 2 a log, 3 a table, 4 a sound
/// `CURRENT` that points at the manifest of this number.
///
/// What is checked: nothing panics and everything ends; an open that fails leaves every file as it was; where all of the
/// database can be read, it can be written, flushed and compacted, and after a close it opens again with the same content.
///
/// # Panics
///
/// With the property.
pub fn check_folder_bytes(input: &[u8]) {
    let Some((&how, files)) = input.split_first() else { return };
    let mem = MemVfs::new();
    mem.create_dir_all(Path::new(DIR)).expect("memory takes it");
    for (name, mut bytes) in parse(files) {
        if how & RESEAL != 0 {
            match name {
                FileName::Manifest(number) | FileName::Log(number) => reseal_log(&mut bytes, number),
                FileName::Table(_) => reseal_table(&mut bytes),
                _ => {}
            }
        }
        write_file(&mem, name, &bytes);
    }
    let before = files_of(&mem);
    let mode = MODES[usize::from(how >> 1) % MODES.len()];
    let tables_are_sound = tables_are_sound(&mem);
    let db = match open(&mem, mode) {
        Ok(db) => db,
        Err(_) => {
            assert_eq!(files_of(&mem), before, "an open that failed changed the folder");
            return;
        }
    };
    use_it(&mem, db, tables_are_sound);
}

/// Goes through everything that a user could do.
fn use_it(mem: &MemVfs, db: Db, tables_are_sound: bool) {
    let _ = (db.stats(), db.shape().to_string(), db.recovery().clone());
    let read = contents(&db);
    for key in ["", "key", "key001", "k"] {
        let _ = db.get(key);
    }
    let Ok(mut expected) = read else {
        // Damage was found. What else is tried may fail, and nothing more.
        let _ = (db.put("key", "value"), db.flush(), db.compact(), db.close());
        return;
    };
    let work = |db: &Db| -> Result<()> {
        db.put("written", "now")?;
        db.flush()?;
        db.compact()?;
        db.put("written", "last")?;
        db.close()
    };
    if work(&db).is_err() {
        return;
    }
    drop(db);
    if !tables_are_sound {
        // Under forged checksums a table may hold what its properties deny. Opening does not read it all; a compaction does.
        let _ = open(mem, RecoveryMode::RefuseAny).map(|db| contents(&db));
        return;
    }
    let default = expected.entry(crate::DEFAULT_KEYSPACE.to_owned()).or_default();
    default.insert(b"written".to_vec(), b"last".to_vec());
    let db = open(mem, RecoveryMode::RefuseAny).expect("what was closed opens in the strictest mode");
    assert_eq!(contents(&db).expect("and reads"), expected, "another content after a close");
}

/// Whether every table holds what it says of itself.
fn tables_are_sound(mem: &MemVfs) -> bool {
    mem.files().keys().filter(|path| path.extension().is_some_and(|extension| extension == "sst")).all(
        |path| {
            let file = mem.open(path).expect("it is there");
            let source = OpenTable { file, file_number: 1, cache: Arc::new(NullCache::new(0)) };
            BlockTableReader::<NullCache>::open(source).and_then(|table| Arc::new(table).verify()).is_ok()
        },
    )
}

type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// All keyspaces, read forward and backward; look-ups of what was found must find it.
fn contents(db: &Db) -> Result<Contents> {
    let mut contents = Contents::new();
    for name in db.keyspaces() {
        let keyspace = db.keyspace(&name)?;
        let forward: Result<Vec<_>> = keyspace.iter().collect();
        let backward: Result<Vec<_>> = keyspace.iter().rev().collect();
        let (forward, backward) = (forward?, backward?);
        if !forward.iter().eq(backward.iter().rev()) || !forward.is_sorted_by(|a, b| a.0 < b.0) {
            // Under forged checksums a table may be out of order; `verify` is for finding that.
            return Err(Error::Closed);
        }
        for (key, value) in &forward {
            if keyspace.get(key)?.as_ref() != Some(value) {
                return Err(Error::Closed);
            }
        }
        let pairs = forward.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec()));
        contents.insert(name, pairs.collect());
    }
    Ok(contents)
}

fn open(mem: &MemVfs, mode: RecoveryMode) -> Result<Db> {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    let executor: Arc<dyn Executor> = Arc::new(SimExecutor::new(1, Arc::clone(&clock)));
    let builder = Db::builder(DIR).vfs(Arc::new(mem.clone())).clock(clock).executor(executor).recovery(mode);
    builder.memtable_bytes(1 << 20).block_bytes(256).log(LogKind::Buffered).log_preallocate_bytes(0).open()
}

/// All files but the lock, which a failed open may leave.
fn files_of(mem: &MemVfs) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = mem.files();
    files.retain(|path, _| !path.ends_with("LOCK"));
    files
}

fn write_file(mem: &MemVfs, name: FileName, bytes: &[u8]) {
    let options = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
    let file = mem.create(&name.in_dir(Path::new(DIR)), options);
    file.and_then(|mut file| file.append(bytes)).expect("memory takes it");
}

/// The greatest numbers, which a counter must not run over.
fn number_of(byte: u8) -> u64 {
    if byte >= 0xf0 { u64::MAX - u64::from(u8::MAX - byte) } else { u64::from(byte) }
}

fn parse(mut rest: &[u8]) -> Vec<(FileName, Vec<u8>)> {
    let mut files = Vec::new();
    while let Some((&[kind, number, l0, l1, l2], tail)) = rest.split_first_chunk::<5>() {
        let len = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
        let (bytes, tail) = tail.split_at(len.min(tail.len()));
        rest = tail;
        let number = number_of(number);
        files.push(match kind % 5 {
            0 => (FileName::Current, bytes.to_vec()),
            1 => (FileName::Manifest(number), bytes.to_vec()),
            2 => (FileName::Log(number), bytes.to_vec()),
            3 => (FileName::Table(number), bytes.to_vec()),
            _ => (FileName::Current, crate::manifest::pointer_text(number).into_bytes()),
        });
    }
    files
}

/// The form of a folder that [`check_folder_bytes`] reads.
pub(super) fn encode(how: u8, files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<u8> {
    let mut out = vec![how];
    for (path, bytes) in files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (kind, number) = match FileName::parse(&name) {
            Some(FileName::Current) => (0, 0),
            Some(FileName::Manifest(number)) => (1, number),
            Some(FileName::Log(number)) => (2, number),
            Some(FileName::Table(number)) => (3, number),
            _ => continue,
        };
        let [l0, l1, l2, ..] = (bytes.len() as u32).to_le_bytes();
        out.extend([kind, number as u8, l0, l1, l2]);
        out.extend_from_slice(bytes);
    }
    out
}
