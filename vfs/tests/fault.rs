//! What each fault does, and that rules fire on what they say.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use terrace_vfs::{
    CreateOptions, Error, Existing, Fault, FaultRule, FaultVfs, MemVfs, Operation, RealVfs, Vfs,
};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn over_mem() -> (FaultVfs, MemVfs) {
    let mem = MemVfs::new();
    (FaultVfs::new(Arc::new(mem.clone())), mem)
}

fn full() -> Fault {
    Fault::Error(io::ErrorKind::StorageFull)
}

/// Tries every operation once and returns what failed.
fn everything(vfs: &dyn Vfs) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut check = |result: Result<(), Error>| errors.extend(result.err());
    let reserve = CreateOptions { preallocate_bytes: 8, existing: Existing::Reuse };
    match vfs.create(p("w"), CreateOptions { existing: Existing::Reuse, ..CreateOptions::default() }) {
        Ok(mut file) => {
            check(file.append(b"bytes"));
            check(file.sync());
            check(file.truncate(file.offset()));
        }
        Err(e) => check(Err(e)),
    }
    for _ in 0..2 {
        match vfs.create_mapped(p("m"), reserve) {
            Ok(mut file) => {
                check(file.store(0, b"12345678"));
                check(file.sync());
                check(file.finish(8));
            }
            Err(e) => check(Err(e)),
        }
    }
    match vfs.open(p("m")) {
        Ok(file) => {
            check(file.len().map(drop));
            check(file.read_exact_at(&mut [0; 4], 0));
        }
        Err(e) => check(Err(e)),
    }
    check(vfs.list(p("")).map(drop));
    check(vfs.exists(p("w")).map(drop));
    check(vfs.create_dir_all(p("d")));
    check(vfs.rename(p("w"), p("d/w")));
    check(vfs.sync_dir(p("")));
    check(vfs.lock(p("l")).map(drop));
    check(vfs.remove(p("d/w")));
    errors
}

const ALL: [Operation; 16] = [
    Operation::Create,
    Operation::CreateMapped,
    Operation::Open,
    Operation::List,
    Operation::Exists,
    Operation::Rename,
    Operation::Remove,
    Operation::CreateDir,
    Operation::SyncDir,
    Operation::Lock,
    Operation::Append,
    Operation::Store,
    Operation::Sync,
    Operation::Truncate,
    Operation::Read,
    Operation::Len,
];

#[test]
fn every_operation_can_fail_and_names_itself() {
    for operation in ALL {
        let (vfs, _) = over_mem();
        assert_eq!(everything(&vfs).len(), 0);
        // 28 is ENOSPC on every Unix.
        vfs.add(FaultRule::new(Fault::Errno(28)).on(operation).nth(0));
        let errors = everything(&vfs);
        assert_eq!(vfs.injected(), 1, "{operation:?}");
        assert_eq!(errors[0].operation, operation);
        assert_eq!(errors[0].source.raw_os_error(), Some(28), "{operation:?}");
    }
}

#[test]
fn each_operation_by_number_can_fail_once() {
    let (vfs, _) = over_mem();
    everything(&vfs);
    let operations = vfs.operations();
    assert!(operations >= 20);
    for number in 0..operations {
        let (vfs, _) = over_mem();
        vfs.add(FaultRule::new(full()).nth(number));
        let errors = everything(&vfs);
        assert_eq!(vfs.injected(), 1);
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull, "number {number}");
    }
}

#[test]
fn rules_count_what_they_match() {
    let (vfs, mem) = over_mem();
    vfs.add(FaultRule::new(full()).on(Operation::Append).path_ends_with("log").nth(1));
    let mut log = vfs.create(p("log"), CreateOptions::default()).unwrap();
    let mut other = vfs.create(p("catalog"), CreateOptions::default()).unwrap();
    other.append(b"a").unwrap();
    log.append(b"1").unwrap();
    other.append(b"b").unwrap();
    log.append(b"2").unwrap_err();
    log.append(b"3").unwrap();
    assert_eq!(mem.files()[p("log")], b"13");
    assert_eq!(mem.files()[p("catalog")], b"ab");
    assert_eq!((vfs.operations(), vfs.injected()), (7, 1));
}

#[test]
fn a_dying_disk_stays_dead_until_the_rules_are_cleared() {
    let (vfs, _) = over_mem();
    vfs.add(FaultRule::new(full()).on(Operation::Exists).from_nth(2));
    let answers: Vec<bool> = (0..5).map(|_| vfs.exists(p("f")).is_ok()).collect();
    assert_eq!(answers, [true, true, false, false, false]);
    assert_eq!(vfs.clone().injected(), 3);
    vfs.clear();
    assert!(!vfs.exists(p("f")).unwrap());
}

#[test]
fn the_first_rule_wins_and_the_others_still_count() {
    let (vfs, _) = over_mem();
    vfs.add(FaultRule::new(full()).nth(0));
    vfs.add(FaultRule::new(Fault::Error(io::ErrorKind::PermissionDenied)).nth(1));
    assert_eq!(vfs.exists(p("f")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(vfs.exists(p("f")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    vfs.exists(p("f")).unwrap();
}

#[test]
fn short_writes_write_a_part_and_fail() {
    for (bytes, written) in [(0, ""), (2, "ab"), (9, "abcd")] {
        let (vfs, mem) = over_mem();
        let fault = Fault::ShortWrite { bytes, kind: io::ErrorKind::StorageFull };
        vfs.add(FaultRule::new(fault.clone()).on(Operation::Append));
        vfs.add(FaultRule::new(fault).on(Operation::Store));
        let mut file = vfs.create(p("f"), CreateOptions::default()).unwrap();
        let error = file.append(b"abcd").unwrap_err();
        assert_eq!((error.kind(), error.offset), (io::ErrorKind::StorageFull, Some(0)));
        assert_eq!(mem.files()[p("f")], written.as_bytes());

        let options = CreateOptions { preallocate_bytes: 4, existing: Existing::Refuse };
        let mut file = vfs.create_mapped(p("m"), options).unwrap();
        let error = file.store(0, b"abcd").unwrap_err();
        assert_eq!((error.operation, error.offset), (Operation::Store, Some(0)));
        assert_eq!(&mem.files()[p("m")][..written.len()], written.as_bytes());
        assert!(mem.files()[p("m")][written.len()..].iter().all(|b| *b == 0));
    }
}

fn readable(vfs: &FaultVfs) -> Arc<dyn terrace_vfs::ReadFile> {
    vfs.create(p("f"), CreateOptions::default()).unwrap().append(b"abcd").unwrap();
    vfs.open(p("f")).unwrap()
}

#[test]
fn short_reads_are_the_end_of_the_file() {
    let (vfs, _) = over_mem();
    let file = readable(&vfs);
    vfs.add(FaultRule::new(Fault::ShortRead { bytes: 2 }).nth(0));
    let mut bytes = *b"....";
    let error = file.read_exact_at(&mut bytes, 0).unwrap_err();
    assert_eq!((error.kind(), error.offset), (io::ErrorKind::UnexpectedEof, Some(0)));
    assert_eq!(&bytes, b"ab..");
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abcd");
}

#[test]
fn flipped_bits_are_read_and_not_stored() {
    let (vfs, mem) = over_mem();
    let file = readable(&vfs);
    vfs.add(FaultRule::new(Fault::BitFlip { byte: 5, bit: 8 + 1 }).nth(0));
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [b'a', b'b' ^ 2, b'c', b'd']);
    assert_eq!(mem.files()[p("f")], b"abcd");
    vfs.add(FaultRule::new(Fault::BitFlip { byte: 0, bit: 0 }));
    file.read_exact_at(&mut [], 0).unwrap();
    assert_eq!(file.len().unwrap(), 4);
    assert_eq!(vfs.injected(), 3);
}

#[test]
fn a_failed_sync_may_lose_what_was_written_for_ever() {
    let (vfs, mem) = over_mem();
    let mut file = vfs.create(p("f"), CreateOptions::default()).unwrap();
    vfs.sync_dir(p("")).unwrap();
    file.append(b"one").unwrap();
    file.sync().unwrap();
    file.append(b"two").unwrap();
    vfs.add(FaultRule::new(Fault::SyncLosesData).on(Operation::Sync).nth(0));
    assert_eq!(file.sync().unwrap_err().operation, Operation::Sync);
    assert_eq!(mem.files()[p("f")], b"onetwo", "still in the page cache");
    file.append(b"three").unwrap();
    file.sync().unwrap(); // a wrong retry is told that all is well
    let after = mem.crash_losing_everything_unsynced();
    assert_eq!(after.files()[p("f")], b"one\0\0\0three");
}

#[test]
fn a_failed_sync_loses_stores_and_follows_a_renamed_file() {
    let (vfs, mem) = over_mem();
    let options = CreateOptions { preallocate_bytes: 4, existing: Existing::Refuse };
    let mut file = vfs.create_mapped(p("f"), options).unwrap();
    file.sync().unwrap();
    file.store(0, b"ab").unwrap();
    vfs.rename(p("f"), p("g")).unwrap();
    let mut other = vfs.create(p("f"), CreateOptions::default()).unwrap();
    other.append(b"other").unwrap();
    vfs.sync_dir(p("")).unwrap();
    vfs.add(FaultRule::new(Fault::SyncLosesData).on(Operation::Sync).nth(0));
    file.sync().unwrap_err();
    other.sync().unwrap();
    let files = mem.crash_losing_everything_unsynced().files();
    assert_eq!((files[p("g")].as_slice(), files[p("f")].as_slice()), (&[0; 4][..], &b"other"[..]));
}

#[test]
fn a_plainly_failed_sync_leaves_the_bytes_pending() {
    let (vfs, mem) = over_mem();
    let mut file = vfs.create(p("f"), CreateOptions::default()).unwrap();
    vfs.sync_dir(p("")).unwrap();
    file.append(b"one").unwrap();
    vfs.add(FaultRule::new(Fault::Error(io::ErrorKind::Other)).on(Operation::Sync).nth(0));
    file.sync().unwrap_err();
    assert_eq!(mem.crash_losing_everything_unsynced().files()[p("f")], b"");
    file.sync().unwrap();
    assert_eq!(mem.crash_losing_everything_unsynced().files()[p("f")], b"one");
}

#[test]
fn calls_see_the_attempt_and_let_it_go_on() {
    let (vfs, mem) = over_mem();
    let delays = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (count, list, world) = (Arc::clone(&delays), Arc::clone(&seen), mem.clone());
    let inner = vfs.clone();
    vfs.add(
        FaultRule::new(Fault::Call(Arc::new(move |attempt| {
            count.fetch_add(1, Ordering::Relaxed);
            let bytes_before = world.files().values().map(Vec::len).sum::<usize>();
            list.lock().unwrap().push((attempt.operation, attempt.number, bytes_before));
            inner.add(FaultRule::new(full()).on(Operation::List)); // rules may be added from within
        })))
        .when(|attempt| attempt.number < 3),
    );
    let mut file = vfs.create(p("f"), CreateOptions::default()).unwrap();
    file.append(b"12345").unwrap();
    file.append(b"67").unwrap();
    file.append(b"8").unwrap();
    assert_eq!(mem.files()[p("f")], b"12345678");
    let expected = [(Operation::Create, 0, 0), (Operation::Append, 1, 0), (Operation::Append, 2, 5)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(delays.load(Ordering::Relaxed), 3);
    vfs.list(p("")).unwrap_err();
}

#[test]
fn failed_operations_have_no_effect() {
    let (vfs, mem) = over_mem();
    everything(&vfs);
    vfs.create(p("w"), CreateOptions::default()).unwrap().append(b"w").unwrap();
    let before = mem.files();
    let operations = mem.operations();
    vfs.add(FaultRule::new(full()));
    everything(&vfs);
    assert_eq!(mem.files(), before);
    assert_eq!(mem.operations(), operations, "nothing got through");
}

#[test]
fn real_files_can_be_made_to_fail() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = FaultVfs::new(Arc::new(RealVfs::new()));
    let path = dir.path().join("f");
    let mut file = vfs.create(&path, CreateOptions::default()).unwrap();
    vfs.add(FaultRule::new(Fault::ShortWrite { bytes: 1, kind: io::ErrorKind::StorageFull }).nth(0));
    vfs.add(FaultRule::new(Fault::SyncLosesData).on(Operation::Sync));
    file.append(b"abc").unwrap_err();
    file.sync().unwrap_err();
    assert_eq!(RealVfs::new().open(&path).unwrap().len().unwrap(), 1);
    assert_eq!(vfs.injected(), 2);
}
