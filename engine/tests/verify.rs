//! Verify: it finds whatever is wrong, all of it, and nothing where nothing is.

mod sim;

use sim::Sim;
use std::path::{Path, PathBuf};
use terrace::{Db, Durability, Error, VerifyReport, WriteBatch};
use terrace_vfs::{CreateOptions, MemVfs, Vfs};
use terrace_wal::LogKind;

fn builder(mem: &MemVfs) -> terrace::Builder<terrace::DefaultParts> {
    Sim::over(mem)
        .builder()
        .memtable_bytes(1 << 20)
        .block_bytes(256)
        .log(LogKind::Buffered)
        .log_preallocate_bytes(2048)
        .compaction(false)
}

fn verify(mem: &MemVfs) -> VerifyReport {
    builder(mem).verify(|_| {}).unwrap()
}

/// Two runs of the default keyspace that share keys, a second keyspace, tombstones, a log.
fn database() -> (MemVfs, Db) {
    let mem = MemVfs::new();
    let db = builder(&mem).open().unwrap();
    let other = db.keyspace("other").unwrap();
    for number in 0..40 {
        db.put(format!("key{number:03}"), format!("value {number} of round 0")).unwrap();
    }
    db.flush().unwrap();
    for number in 20..50 {
        db.put(format!("key{number:03}"), format!("value {number} of round 1")).unwrap();
    }
    db.delete("key001").unwrap();
    db.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.put("key002", "in the log").put_in(&other, "k", "other");
    db.write_with(batch, Durability::Synced).unwrap();
    (mem, db)
}

fn closed() -> MemVfs {
    let (mem, db) = database();
    db.close().unwrap();
    mem
}

fn path_of(mem: &MemVfs, ending: &str) -> PathBuf {
    mem.files().into_keys().find(|path| path.to_string_lossy().contains(ending)).unwrap()
}

/// The report names the file and says this of it.
fn assert_found(report: &VerifyReport, file: &Path, what: &str) {
    let found = report.problems.iter().any(|problem| problem.file == file && problem.what.contains(what));
    assert!(found, "{} and `{what}` are not in\n{report}", file.display());
}

#[test]
fn a_sound_database_has_no_problems_closed_open_or_killed() {
    let (mem, db) = database();
    let open = db.verify(|_| {}).unwrap();
    assert!(open.is_sound() && open.remarks.is_empty(), "{open}");
    let killed = verify(&mem.crash_keeping_everything());
    assert!(killed.is_sound(), "{killed}");
    db.close().unwrap();
    let report = verify(&mem);
    assert!(report.is_sound() && report.remarks.is_empty(), "{report}");
    assert_eq!((report.tables, report.entries, report.shared_keys), (2, 71, 21));
    assert!(report.logs >= 1 && report.records > 3 && report.blocks > 4, "{report}");
    let bytes: usize = mem.files().values().map(Vec::len).sum();
    assert!(report.bytes > bytes as u64 / 2 && report.bytes <= bytes as u64, "{report}");
}

#[test]
fn progress_grows_up_to_its_total() {
    let mem = closed();
    let mut seen = Vec::new();
    builder(&mem).verify(|progress| seen.push(progress.clone())).unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].files_done < pair[1].files_done));
    assert!(seen.iter().all(|at| at.files_done < at.files_total && at.bytes_done <= at.bytes_total));
}

#[test]
fn every_flipped_byte_of_a_closed_database_is_found() {
    let mem = closed();
    let mut flips = 0;
    for (path, bytes) in mem.files() {
        for offset in 0..bytes.len() {
            let damaged = mem.crash_keeping_everything();
            let mask = [0xff, 1 << (offset % 8)][offset % 2];
            damaged.corrupt(&path, |bytes| bytes[offset] ^= mask).unwrap();
            let report = verify(&damaged);
            let named = report.problems.iter().any(|problem| problem.file == path);
            assert!(named, "{} offset {offset} ^ {mask:#x} is not found\n{report}", path.display());
            flips += 1;
        }
    }
    println!("{flips} flipped bytes, all found");
    assert!(flips > 3000, "{flips}");
}

#[test]
fn every_missing_file_is_found() {
    let mem = closed();
    for path in mem.files().into_keys().filter(|path| !path.ends_with("LOCK")) {
        let damaged = mem.crash_keeping_everything();
        damaged.remove(&path).unwrap();
        let report = verify(&damaged);
        assert!(report.problems.iter().any(|problem| problem.file == path), "{}\n{report}", path.display());
    }
}

#[test]
fn all_damage_is_listed_and_not_only_the_first() {
    let mem = closed();
    let tables: Vec<PathBuf> =
        mem.files().into_keys().filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    let log = path_of(&mem, ".log");
    for path in &tables {
        mem.corrupt(path, |bytes| {
            bytes[10] ^= 1;
            bytes[600] ^= 1;
        })
        .unwrap();
    }
    mem.corrupt(&log, |bytes| bytes[60] ^= 1).unwrap();
    let report = verify(&mem);
    for path in &tables {
        let found = report.problems.iter().filter(|problem| problem.file == *path).count();
        assert_eq!(found, 2, "two blocks of {}\n{report}", path.display());
    }
    assert_found(&report, &tables[0], "are lost");
    assert_found(&report, &log, "checksum");
}

#[test]
fn damage_under_an_open_database_is_found() {
    let (mem, db) = database();
    let table = path_of(&mem, ".sst");
    mem.corrupt(&table, |bytes| bytes[10] ^= 1).unwrap();
    let report = db.verify(|_| {}).unwrap();
    assert_found(&report, &table, "checksum");
    assert_eq!(report.problems.len(), 1, "{report}");
}

#[test]
fn a_table_that_is_not_the_manifests_is_found() {
    let mem = closed();
    let tables: Vec<(PathBuf, Vec<u8>)> =
        mem.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "sst")).collect();
    mem.corrupt(&tables[1].0, |bytes| bytes.clone_from(&tables[0].1)).unwrap();
    assert_found(&verify(&mem), &tables[1].0, "not the one that the manifest describes");
}

#[test]
fn files_that_nothing_names_are_remarks() {
    let mem = closed();
    let stray = Path::new("/db/000777.sst");
    mem.create(stray, CreateOptions::default()).unwrap();
    let report = verify(&mem);
    assert!(report.is_sound(), "{report}");
    assert!(report.remarks.iter().any(|remark| remark.file == stray), "{report}");
}

#[test]
fn an_open_database_is_locked_and_a_closed_one_is_left_as_it_is() {
    let (mem, db) = database();
    assert!(matches!(builder(&mem).verify(|_| {}), Err(Error::Locked { .. })));
    db.close().unwrap();
    assert!(matches!(db.verify(|_| {}), Err(Error::Closed)));
    let before = mem.files();
    verify(&mem);
    assert_eq!(mem.files(), before);
}

#[test]
fn an_open_database_verifies_while_it_is_written_to_flushed_and_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path()).memtable_bytes(32 << 10).table_bytes(16 << 10);
    let db = db.log_preallocate_bytes(1 << 16).log_bytes_max(1 << 18).open().unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2_u32 {
            let (db, ended) = (&db, &ended);
            scope.spawn(move || {
                let keyspace = db.keyspace(["default", "other"][writer as usize]).unwrap();
                for number in 0_u32.. {
                    if ended.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    keyspace.put(format!("key {:05}", number * 7 % 5000), [b'v'; 100]).unwrap();
                    match number % 20_000 {
                        9_000 => db.flush().unwrap(),
                        19_000 => db.compact().unwrap(),
                        _ => {}
                    }
                }
            });
        }
        let mut looked_at = 0;
        let mut verified = Ok(());
        // The writers fill it meanwhile, so it ends.
        while looked_at < 600 && verified.is_ok() {
            verified = match db.verify(|_| {}) {
                Ok(report) if report.is_sound() => {
                    looked_at += report.tables + report.logs;
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            };
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        verified.unwrap();
    });
    assert!(db.verify(|_| {}).unwrap().is_sound());
}
