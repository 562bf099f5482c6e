//! Damaged bytes: an error that names file and offset, or no harm; never a panic, a wrong value or a silent loss.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

mod sim;

use sim::Sim;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use terrace::{Db, Durability, Error};
use terrace_vfs::MemVfs;
use terrace_wal::LogKind;

fn open(mem: &MemVfs) -> Result<Db, Error> {
    Sim::over(mem)
        .builder()
        .memtable_bytes(1 << 20)
        .block_bytes(128)
        .log(LogKind::Buffered)
        .log_preallocate_bytes(256)
        .open()
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A database with tables, a log, two keyspaces, tombstones; closed or killed.
fn small_database(closed: bool) -> (MemVfs, State) {
    let mem = MemVfs::new();
    let mut state = State::new();
    let db = open(&mem).unwrap();
    let other = db.keyspace("other").unwrap();
    let put = |state: &mut State, number: u32, round: u32| {
        let key = format!("key{number:03}").into_bytes();
        let value = format!("value {number} of round {round}").into_bytes();
        db.put(&key, &value).unwrap();
        state.insert(key, value);
    };
    for number in 0..14 {
        put(&mut state, number, 0);
    }
    db.flush().unwrap();
    for number in 6..18 {
        put(&mut state, number, 1);
    }
    db.delete("key001").unwrap();
    state.remove(b"key001".as_slice());
    db.flush().unwrap();
    for number in 10..15 {
        put(&mut state, number, 2);
    }
    other.put_with("k", "other", Durability::Synced).unwrap();
    if closed {
        db.close().unwrap();
        return (mem, state);
    }
    let found = mem.crash_keeping_everything();
    (found, state)
}

/// What a damaged database does: opens with everything right, or fails with an error that names the file.
fn judge(mem: &MemVfs, path: &Path, state: &State, what: &str) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let check = |error: &Error| {
        let text = error.to_string();
        // A manifest cut between two records is one of an earlier time, and what no longer fits it is named.
        let names_it = what.contains(" cut to ")
            || text.contains(&name)
            || text.contains("CURRENT")
            || text.contains("MANIFEST");
        assert!(names_it, "{what}: the error does not name {name}: {text}");
    };
    let db = match open(mem) {
        Ok(db) => db,
        Err(error) => {
            check(&error);
            return true;
        }
    };
    let scanned: Result<State, Error> =
        db.iter().map(|kv| kv.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect();
    let mut failed = false;
    match scanned {
        Ok(found) => assert!(
            found == *state,
            "{what}: a scan gives another answer in silence: {} keys in place of {}; dropped {:?}",
            found.len(),
            state.len(),
            db.recovery().dropped
        ),
        Err(error) => {
            check(&error);
            failed = true;
        }
    }
    for number in 0..20 {
        let key = format!("key{number:03}").into_bytes();
        match db.get(&key) {
            Ok(found) => assert_eq!(
                found.as_deref(),
                state.get(&key).map(Vec::as_slice),
                "{what}: get of key {number}"
            ),
            Err(error) => {
                check(&error);
                failed = true;
            }
        }
    }
    failed
}

fn flip_every_bit(closed: bool) {
    let (mem, state) = small_database(closed);
    assert!(!judge(&mem.crash_keeping_everything(), Path::new("/db/CURRENT"), &state, "undamaged"));
    let files: Vec<(PathBuf, usize)> =
        mem.files().into_iter().map(|(path, bytes)| (path, bytes.len())).collect();
    let (mut flips, mut errors) = (0, 0);
    for (path, len) in files {
        for bit in 0..8 * len {
            let damaged = mem.crash_keeping_everything();
            damaged.corrupt(&path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
            let what = format!("{} offset {} bit {}, closed: {closed}", path.display(), bit / 8, bit % 8);
            errors += u64::from(judge(&damaged, &path, &state, &what));
            flips += 1;
        }
    }
    println!("{flips} flips, {errors} reported, {} harmless, 0 silent", flips - errors);
    assert!(errors > flips / 3, "most flips must be noticed: {errors} of {flips}");
}

#[test]
fn every_flipped_bit_of_a_closed_database_is_noticed_or_harmless() {
    flip_every_bit(true);
}

#[test]
fn every_flipped_bit_of_a_killed_database_is_noticed_or_harmless() {
    flip_every_bit(false);
}

#[test]
fn a_file_cut_at_any_length_is_noticed_or_harmless() {
    let (mem, state) = small_database(true);
    let (mut cuts, mut errors) = (0, 0);
    for (path, bytes) in mem.files() {
        for len in 0..bytes.len() {
            let damaged = mem.crash_keeping_everything();
            damaged.corrupt(&path, |bytes| bytes.truncate(len)).unwrap();
            let what = format!("{} cut to {len} of {}", path.display(), bytes.len());
            let noticed = judge(&damaged, &path, &state, &what);
            // A manifest that lacks only its last record, or a log only its trailer, says nothing wrong.
            let is_table = path.extension().is_some_and(|ext| ext == "sst");
            assert!(noticed || !is_table, "{what}: nothing said");
            errors += u64::from(noticed);
            cuts += 1;
        }
    }
    println!("{cuts} cuts, {errors} reported, {} harmless, 0 silent", cuts - errors);
    assert!(errors > cuts * 9 / 10, "most cuts must be noticed: {errors} of {cuts}");
}

#[test]
fn a_missing_file_is_noticed() {
    use terrace_vfs::Vfs;
    for closed in [true, false] {
        let (mem, _) = small_database(closed);
        for path in mem.files().into_keys().filter(|path| !path.ends_with("LOCK")) {
            let damaged = mem.crash_keeping_everything();
            damaged.remove(&path).unwrap();
            let opened = open(&damaged);
            let empty_spare = opened.is_ok() && path.extension().is_some_and(|ext| ext == "log");
            if empty_spare {
                // A log made ahead of need and never used.
                let db = opened.unwrap();
                assert_eq!(db.get("key014").unwrap().as_deref(), Some(b"value 14 of round 2".as_slice()));
                continue;
            }
            assert!(opened.is_err(), "{} is gone and nothing said", path.display());
        }
    }
}

#[test]
fn an_older_table_under_a_newer_name_is_noticed() {
    let (mem, _) = small_database(true);
    let tables: Vec<_> = mem
        .files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|ext| ext == "sst"))
        .collect();
    let [(_, first), (second, _), ..] = tables.as_slice() else { panic!("two tables expected") };
    mem.corrupt(second, |bytes| bytes.clone_from(first)).unwrap();
    let opened = open(&mem);
    assert!(matches!(opened, Err(Error::Corruption { .. })), "{opened:?}");
}
