//! The suite on this crate's own file systems.

use std::path::Path;
use std::sync::Arc;
use terrace_vfs::testing::check_vfs;
use terrace_vfs::{FaultVfs, MemVfs, RealVfs};

#[test]
fn real_files_conform() {
    let dir = tempfile::tempdir().unwrap();
    check_vfs(&RealVfs::new(), dir.path());
}

#[test]
fn files_in_memory_conform() {
    check_vfs(&MemVfs::new(), Path::new("/some/where"));
    check_vfs(&MemVfs::new(), Path::new("relative"));
}

#[test]
fn files_in_memory_conform_after_a_crash() {
    let before = MemVfs::new();
    check_vfs(&before, Path::new("a"));
    let after = before.crash_losing_everything_unsynced();
    check_vfs(&after, Path::new("b"));
    check_vfs(&before.crash_keeping_everything(), Path::new("b"));
    check_vfs(&before, Path::new("b"));
}

#[test]
fn files_without_faults_conform() {
    let dir = tempfile::tempdir().unwrap();
    check_vfs(&FaultVfs::new(Arc::new(RealVfs::new())), dir.path());
    check_vfs(&FaultVfs::new(Arc::new(MemVfs::new())), Path::new("d"));
    let twice = FaultVfs::new(Arc::new(FaultVfs::new(Arc::new(MemVfs::new()))));
    check_vfs(&twice, Path::new("d"));
    assert!(twice.operations() > 300);
    assert_eq!(twice.injected(), 0);
}
