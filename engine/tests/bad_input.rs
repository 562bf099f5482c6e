//! Bad input: a clear typed error, nothing lost, no panic.

use std::path::Path;
use std::sync::Arc;
use terrace::{Db, DefaultParts, Durability, Error, KEY_BYTES_MAX, Options, VALUE_BYTES_MAX, WriteBatch};
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation, RealVfs, Vfs};
use terrace_wal::LogKind;

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = walk(dir).into_iter().filter(|(name, _)| name != "LOCK").collect();
    files.sort();
    files
}

fn walk(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let vfs = RealVfs::new();
    let entries = vfs.list(dir).unwrap();
    let files = entries.into_iter().filter(|entry| !entry.is_dir);
    files
        .map(|entry| {
            let file = vfs.open(&dir.join(&entry.name)).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            (entry.name, bytes)
        })
        .collect()
}

fn write_file(path: &Path, bytes: &[u8]) {
    let mut file = RealVfs::new().create(path, terrace_vfs::CreateOptions::default()).unwrap();
    file.append(bytes).unwrap();
}

#[test]
fn keys_and_values_up_to_the_limits_work_and_beyond_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path()).memtable_bytes(1 << 20).open().unwrap();
    let key = vec![b'k'; KEY_BYTES_MAX];
    let big = vec![b'v'; 100 << 20];
    db.put("", "").unwrap();
    db.put(&key, &big).unwrap();
    db.put("after", vec![b'w'; 64 << 10]).unwrap();
    let too_long = vec![b'k'; KEY_BYTES_MAX + 1];
    assert!(matches!(db.put(&too_long, "v"), Err(Error::TooLarge { what: "key", .. })));
    assert!(matches!(db.put(&big, "v"), Err(Error::TooLarge { what: "key", .. })));
    let mut batch = WriteBatch::new();
    batch.put("first", "v").put(&too_long, "v");
    assert!(matches!(db.write(batch), Err(Error::TooLarge { .. })));
    assert_eq!(db.get("first").unwrap(), None, "a refused batch wrote something");
    assert_eq!(db.get(&too_long).unwrap(), None);
    for _ in 0..2 {
        assert_eq!(db.get("").unwrap().as_deref(), Some(b"".as_slice()));
        assert_eq!(db.get(&key).unwrap().map(|v| v.len()), Some(big.len()));
        assert_eq!(db.get("after").unwrap().map(|v| v.len()), Some(64 << 10));
        db.flush().unwrap();
    }
    drop(db);
    let db = Db::open(dir.path()).unwrap();
    assert_eq!(db.get(&key).unwrap().as_deref(), Some(big.as_slice()));
    assert_eq!(db.iter().count(), 3);
}

#[test]
fn a_value_above_the_limit_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    // Zeroed pages that nobody touches cost no memory.
    let too_big = vec![0; VALUE_BYTES_MAX + 1];
    assert!(matches!(db.put("k", &too_big), Err(Error::TooLarge { what: "value", .. })));
    assert_eq!(db.stats().writes, 0);
    db.put("k", "small").unwrap();
}

#[test]
fn a_range_with_its_start_after_its_end_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for key in ["a", "b", "c"] {
        db.put(key, "v").unwrap();
    }
    assert_eq!(db.range("c".."a").count(), 0);
    assert_eq!(db.range("c".."a").rev().count(), 0);
    assert_eq!(db.range("b".."b").count(), 0);
    assert_eq!(db.range("b"..="b").count(), 1);
    assert_eq!(db.range("b"..="b").rev().count(), 1);
    assert_eq!(db.prefix("").count(), 3);
    assert_eq!(db.prefix([0xff]).count(), 0);
}

#[test]
fn everything_fails_with_closed_after_close() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("k", "v").unwrap();
    let keyspace = db.keyspace("other").unwrap();
    let snapshot = db.snapshot();
    let mut iter = db.iter();
    db.close().unwrap();
    db.close().unwrap();
    assert!(matches!(db.put("k", "v"), Err(Error::Closed)));
    assert!(matches!(db.get("k"), Err(Error::Closed)));
    assert!(matches!(db.flush(), Err(Error::Closed)));
    assert!(matches!(db.compact(), Err(Error::Closed)));
    assert!(matches!(db.sync(), Err(Error::Closed)));
    assert!(matches!(db.keyspace("new"), Err(Error::Closed)));
    assert!(matches!(db.remove_keyspace("other"), Err(Error::Closed)));
    assert!(matches!(keyspace.delete("k"), Err(Error::Closed)));
    assert!(matches!(snapshot.get("k"), Err(Error::Closed)));
    assert!(matches!(iter.next(), Some(Err(Error::Closed))));
    assert!(matches!(db.iter().next(), Some(Err(Error::Closed))));
    // The folder is free although handles live on.
    let again = Db::open(dir.path()).unwrap();
    assert_eq!(again.get("k").unwrap().as_deref(), Some(b"v".as_slice()));
}

#[test]
fn a_second_open_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("k", "v").unwrap();
    for _ in 0..3 {
        let second = Db::open(dir.path());
        assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    }
    db.put("k", "w").unwrap();
    drop(db);
    assert_eq!(Db::open(dir.path()).unwrap().get("k").unwrap().as_deref(), Some(b"w".as_slice()));
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    write_file(&path, b"text");
    assert!(matches!(Db::open(&path), Err(Error::NotADatabase { .. })));
    assert!(Db::open(path.join("below")).is_err());
    assert_eq!(files(dir.path()), [("file".to_owned(), b"text".to_vec())]);
}

#[test]
fn another_programs_folder_is_refused_and_left_as_it_was() {
    let leveldb: &[(&str, &[u8])] =
        &[("CURRENT", b"MANIFEST-000004\n"), ("MANIFEST-000004", b"xx"), ("000003.log", b"yy")];
    let other: &[(&str, &[u8])] = &[("data.mdb", b"zz")];
    for content in [leveldb, other] {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in content {
            write_file(&dir.path().join(name), bytes);
        }
        let before = walk(dir.path());
        let opened = Db::open(dir.path());
        assert!(matches!(opened, Err(Error::NotADatabase { .. })), "{opened:?}");
        assert_eq!(walk(dir.path()), before);
    }
}

#[test]
fn hidden_files_do_not_matter_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    write_file(&dir.path().join(".DS_Store"), b"desk");
    Db::open(dir.path()).unwrap().put("k", "v").unwrap();
    write_file(&dir.path().join("notes.txt"), b"mine");
    let db = Db::open(dir.path()).unwrap();
    assert_eq!(db.get("k").unwrap().as_deref(), Some(b"v".as_slice()));
    drop(db);
    let names: Vec<_> = files(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&".DS_Store".to_owned()) && names.contains(&"notes.txt".to_owned()));
}

#[test]
fn a_folder_without_permission_is_an_error_that_names_it() {
    // Tests may run as root, whom permissions do not stop, so the refusal is the file system's own.
    for operation in [Operation::Exists, Operation::Lock, Operation::Create, Operation::CreateDir] {
        let mem: Arc<dyn Vfs> = Arc::new(MemVfs::new());
        let faults = FaultVfs::new(mem);
        let denied = Fault::Error(std::io::ErrorKind::PermissionDenied);
        faults.add(FaultRule::new(denied).on(operation));
        let opened = Db::builder("/some/db").vfs(Arc::new(faults)).open();
        let Err(Error::Io(error)) = &opened else {
            panic!("{operation:?}: {opened:?}");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("/some/db"), "{error}");
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |options: Options| {
        let opened = Db::builder(dir.path()).options(options).open();
        assert!(matches!(opened, Err(Error::InvalidArgument(_))), "{opened:?}");
    };
    refused(Options { memtable_bytes: 0, ..Options::default() });
    refused(Options { memtables_max: 1, ..Options::default() });
    refused(Options { block_bytes: 0, ..Options::default() });
    refused(Options { restart_interval: 0, ..Options::default() });
    refused(Options { compression: vec![], ..Options::default() });
    refused(Options { memory_bytes: 1, ..Options::default() });
    assert!(files(dir.path()).is_empty());
}

#[test]
fn create_and_exists_options_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    assert!(matches!(Db::builder(&path).create_if_missing(false).open(), Err(Error::Exists { .. })));
    Db::open(&path).unwrap();
    Db::builder(&path).create_if_missing(false).open().unwrap();
    assert!(matches!(Db::builder(&path).error_if_exists(true).open(), Err(Error::Exists { .. })));
}

#[test]
fn keyspace_names_have_limits() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    assert!(matches!(db.keyspace(""), Err(Error::InvalidArgument(_))));
    assert!(matches!(db.keyspace(&"x".repeat(256)), Err(Error::InvalidArgument(_))));
    assert!(matches!(db.remove_keyspace("default"), Err(Error::InvalidArgument(_))));
    assert!(matches!(db.remove_keyspace("never made"), Err(Error::KeyspaceRemoved(_))));
    db.keyspace("ключ/..\u{0}").unwrap().put("k", "v").unwrap();
}

#[test]
fn a_snapshot_of_one_database_does_not_read_another() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (Db::open(a.path()).unwrap(), Db::open(b.path()).unwrap());
    let theirs = b.keyspace("default").unwrap();
    assert!(matches!(a.snapshot().get_in(&theirs, "k"), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_log_that_keeps_nothing_refuses_synced_writes_and_syncs_by_flushing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = Db::builder(dir.path()).log(LogKind::Null).open().unwrap();
        db.put("a", "1").unwrap();
        let mut batch = WriteBatch::new();
        batch.put("b", "2");
        let refused = db.write_with(&batch, Durability::Synced);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))));
        db.sync().unwrap();
        db.put("kept at close", "3").unwrap();
    }
    let db: Db = terrace::Engine::<DefaultParts>::open(dir.path()).unwrap();
    assert_eq!(db.iter().count(), 2);
    db.put("kept", "4").unwrap();
    drop(db);
    let db = Db::builder(dir.path()).log(LogKind::Null).open().unwrap();
    assert_eq!(db.iter().count(), 3, "what another log kept is there for one that keeps nothing");
}

#[test]
fn a_future_format_version_is_refused_and_nothing_changes() {
    let mem = MemVfs::new();
    let open = |mem: &MemVfs| Db::builder("/db").vfs(Arc::new(mem.clone())).open();
    open(&mem).unwrap().put("k", "v").unwrap();
    let manifest = mem.files().into_keys().find(|path| path.to_string_lossy().contains("MANIFEST"));
    let manifest = manifest.unwrap();
    rewrite_manifest_with_version(&mem, &manifest, 77);
    let before = mem.files();
    let opened = open(&mem);
    let Err(Error::UnsupportedVersion { found: 77, supported: 1, file }) = opened else {
        panic!("{opened:?}");
    };
    assert_eq!(file, manifest);
    assert_eq!(mem.files(), before);
}

/// A manifest whose first record says another version, and whose second is of a kind that nobody knows yet.
fn rewrite_manifest_with_version(mem: &MemVfs, path: &Path, version: u8) {
    use terrace_wal::{BufferedLog, CreateLog, LogWriter};
    let number: u64 = path.to_string_lossy().rsplit('-').next().unwrap().parse().unwrap();
    mem.remove(path).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(mem.clone());
    let create = CreateLog { number, preallocate_bytes: 0, recycle: None };
    let mut log = BufferedLog::create(&vfs, path, create).unwrap();
    let mut identity = vec![1, version, 5];
    identity.extend_from_slice(b"block");
    log.append(&[&identity]).unwrap();
    log.append(&[&[99, 1, 2, 3]]).unwrap();
    log.close().unwrap();
}
