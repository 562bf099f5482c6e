//! What only the real file system can be asked.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "looks at the files from outside")]

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use terrace_vfs::{CreateOptions, Existing, RealVfs, Vfs};

fn with(preallocate_bytes: u64, existing: Existing) -> CreateOptions {
    CreateOptions { preallocate_bytes, existing }
}

#[test]
fn impossible_reservations_fail_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (vfs, path) = (RealVfs::new(), dir.path().join("f"));
    for existing in [Existing::Refuse, Existing::Truncate, Existing::Reuse] {
        vfs.create(&path, with(u64::MAX, existing)).unwrap_err();
        vfs.create_mapped(&path, with(u64::MAX, existing)).unwrap_err();
        if existing == Existing::Refuse {
            assert!(!path.exists(), "a file that was made for it is gone");
        } else {
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        }
    }
    std::fs::write(&path, b"old").unwrap();
    vfs.create(&path, with(u64::MAX, Existing::Reuse)).unwrap_err();
    vfs.create(&path, with(u64::MAX, Existing::Refuse)).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"old", "a file that was there is as it was");
}

#[test]
fn pipes_and_devices_are_errors_and_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (vfs, pipe) = (RealVfs::new(), dir.path().join("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/null")] {
        assert_eq!(vfs.open(path).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(vfs.create(path, with(0, Existing::Reuse)).unwrap_err().kind(), ErrorKind::InvalidInput);
        vfs.create_mapped(path, with(10, Existing::Truncate)).unwrap_err();
        vfs.sync_dir(path).unwrap_err();
        vfs.list(path).unwrap_err();
    }
}

#[test]
fn preallocated_space_is_reserved_on_disk_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (vfs, path) = (RealVfs::new(), dir.path().join("f"));
    let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
    // Where the file system reserves nothing, the length alone is checked by the suite.
    let probe = std::fs::File::create(dir.path().join("probe")).unwrap();
    let reserves = Command::new("fallocate")
        .args(["-l", "1048576"])
        .arg(dir.path().join("probe"))
        .status()
        .is_ok_and(|status| status.success());
    drop(probe);
    let expected = if reserves { 1 << 20 } else { 0 };
    let mut file = vfs.create(&path, with(1 << 20, Existing::Refuse)).unwrap();
    assert!(blocks() >= expected, "{}", blocks());
    file.append(b"short").unwrap();
    file.truncate(5).unwrap();
    assert!(blocks() < 1 << 20);
    let file = vfs.create_mapped(&path, with(1 << 20, Existing::Truncate)).unwrap();
    assert!(blocks() >= expected);
    file.finish(0).unwrap();
    assert_eq!(blocks(), 0);
}

#[test]
fn lists_follow_links_and_survive_dangling_ones() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = RealVfs::new();
    vfs.create_dir_all(&dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("folder"), dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    let found: Vec<(String, bool)> =
        vfs.list(dir.path()).unwrap().into_iter().map(|entry| (entry.name, entry.is_dir)).collect();
    let expected = [("dangling", false), ("folder", true), ("link", true)];
    assert_eq!(found, expected.map(|(name, is_dir)| (name.to_owned(), is_dir)));
    assert!(vfs.open(&dir.path().join("dangling")).unwrap_err().is_not_found());
}

#[test]
fn relative_paths_of_one_part_work() {
    // No file is made: the folder that the tests run in is not theirs.
    let vfs = RealVfs::new();
    vfs.sync_dir(Path::new("")).unwrap();
    vfs.create_dir_all(Path::new("")).unwrap();
    let here = vfs.list(Path::new("")).unwrap();
    assert!(here.iter().any(|entry| entry.name == "Cargo.toml"), "{here:?}");
}

/// Not a test of its own: what the next test runs in a process that it kills.
#[test]
fn child_that_holds_a_lock() {
    use std::io::{Read, Write};
    let Ok(dir) = std::env::var("TERRACE_VFS_TEST_LOCK") else { return };
    let dir = Path::new(&dir);
    let vfs = RealVfs::new();
    let _lock = vfs.lock(&dir.join("lock")).unwrap();
    let mut file = vfs.create(&dir.join("written"), CreateOptions::default()).unwrap();
    file.append(b"written").unwrap();
    let mut map = vfs.create_mapped(&dir.join("stored"), with(6, Existing::Refuse)).unwrap();
    map.store(0, b"stored").unwrap();
    std::io::stdout().write_all(b"\nready\n").unwrap();
    let _ = std::io::stdin().read(&mut [0]); // until killed
}

#[test]
fn a_killed_process_keeps_no_lock_and_loses_no_written_byte() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let vfs = RealVfs::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_lock", "--nocapture"])
        .env("TERRACE_VFS_TEST_LOCK", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "the child came up");
    let held = vfs.lock(&dir.path().join("lock"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(held.unwrap_err().is_locked(), "another process's lock is seen");
    vfs.lock(&dir.path().join("lock")).unwrap();
    assert_eq!(std::fs::read(dir.path().join("written")).unwrap(), b"written");
    assert_eq!(std::fs::read(dir.path().join("stored")).unwrap(), b"stored");
}
