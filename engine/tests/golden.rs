//! Folders written by each version of the formats, which every later build must read.
//!
//! `TERRACE_GOLDEN_WRITE=1 cargo test -p terrace --test golden` makes the folder of the present version anew; do that only when a format's version
//! has gone up.
#![expect(clippy::disallowed_methods, reason = "the golden files belong to the test, not to a database")]

mod sim;

use sim::Sim;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace::{Db, Durability, WriteBatch};
use terrace_vfs::{CreateOptions, MemVfs, Vfs};

/// The folders by version. Version 2: tables carry a note.
const VERSIONS: [&str; 2] = ["v1", "v2"];
const TODAY: &str = VERSIONS[1];

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

fn open(mem: &MemVfs) -> terrace::Result<Db> {
    Sim::over(mem).builder().block_bytes(256).log_preallocate_bytes(0).open()
}

fn key(number: u32) -> String {
    format!("key{number:03}")
}

/// What the golden folder was made by.
fn write() -> MemVfs {
    let mem = MemVfs::new();
    let db = open(&mem).unwrap();
    let users = db.keyspace("users").unwrap();
    for number in 0..60 {
        db.put(key(number), format!("value {number} ").repeat(3)).unwrap();
    }
    db.flush().unwrap();
    for number in (0..60).step_by(3) {
        db.delete(key(number)).unwrap();
    }
    users.put_with("ada", "lovelace", Durability::Synced).unwrap();
    db.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.put("only in the log", "yes").put_in(&users, "grace", "hopper").delete(key(1));
    db.write(batch).unwrap();
    mem.crash_keeping_everything()
}

fn check(db: &Db) {
    for number in 2..60 {
        let expected = (number % 3 != 0).then(|| format!("value {number} ").repeat(3));
        let found = db.get(key(number)).unwrap();
        assert_eq!(found.as_deref(), expected.as_ref().map(|value| value.as_bytes()), "key {number}");
    }
    assert_eq!(db.get("only in the log").unwrap().as_deref(), Some(b"yes".as_slice()));
    assert_eq!(db.get(key(1)).unwrap(), None);
    let users = db.keyspace("users").unwrap();
    let names: Vec<_> = users.iter().map(|kv| kv.unwrap().0).collect();
    assert_eq!(names, ["ada", "grace"]);
    assert_eq!(db.iter().count(), 40);
}

/// The dumps of all files, one after the other.
fn dumps(mem: &MemVfs) -> String {
    let vfs: Arc<dyn Vfs> = Arc::new(mem.clone());
    let paths = mem.files().into_keys();
    let one = |path: PathBuf| format!("== {}\n{}\n", path.display(), terrace::dump(&vfs, &path).unwrap());
    paths.map(one).collect()
}

fn load(version: &str) -> MemVfs {
    let mem = MemVfs::new();
    mem.create_dir_all(Path::new("/db")).unwrap();
    for entry in std::fs::read_dir(golden(version)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == "dumps.txt" {
            continue;
        }
        let mut file = mem.create(&Path::new("/db").join(name), CreateOptions::default()).unwrap();
        file.append(&std::fs::read(entry.path()).unwrap()).unwrap();
        file.sync().unwrap();
    }
    mem.sync_dir(Path::new("/db")).unwrap();
    mem
}

#[test]
fn the_golden_folders_of_all_versions_still_read() {
    if std::env::var_os("TERRACE_GOLDEN_WRITE").is_some() {
        let mem = write();
        std::fs::create_dir_all(golden(TODAY)).unwrap();
        for (path, bytes) in mem.files() {
            std::fs::write(golden(TODAY).join(path.file_name().unwrap()), bytes).unwrap();
        }
        std::fs::write(golden(TODAY).join("dumps.txt"), dumps(&mem)).unwrap();
    }
    for version in VERSIONS {
        let mem = load(version);
        let expected = std::fs::read_to_string(golden(version).join("dumps.txt")).unwrap();
        assert_eq!(dumps(&mem), expected, "the dump of a golden file of {version} has changed");
        check(&open(&mem).unwrap());
    }
}

#[test]
fn what_is_written_today_is_of_the_golden_form() {
    let expected = std::fs::read_to_string(golden(TODAY).join("dumps.txt")).unwrap();
    assert_eq!(dumps(&write()), expected, "a format has changed: its version must go up");
}
