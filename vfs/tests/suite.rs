//! The conformance suite itself must notice what is wrong. In a process of its own, since it silences panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once};
use terrace_vfs::testing::check_vfs;
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation, Vfs};

fn suite_passes(vfs: &dyn Vfs) -> bool {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| std::panic::set_hook(Box::new(|_| {}))); // hundreds of expected panics
    catch_unwind(AssertUnwindSafe(|| check_vfs(vfs, Path::new("d")))).is_ok()
}

#[test]
fn the_suite_notices_the_failure_of_any_one_operation() {
    let counting = FaultVfs::new(Arc::new(MemVfs::new()));
    check_vfs(&counting, Path::new("d"));
    let mut unnoticed = Vec::new();
    for number in 0..counting.operations() {
        let vfs = FaultVfs::new(Arc::new(MemVfs::new()));
        vfs.add(FaultRule::new(Fault::Error(io::ErrorKind::Interrupted)).nth(number));
        if suite_passes(&vfs) {
            unnoticed.push(number);
        }
    }
    let _ = std::panic::take_hook();
    assert_eq!(unnoticed, []);
}

#[test]
fn the_suite_notices_wrong_bytes() {
    for rule in [
        FaultRule::new(Fault::BitFlip { byte: 4095, bit: 3 }).on(Operation::Read),
        FaultRule::new(Fault::ShortWrite { bytes: 1, kind: io::ErrorKind::StorageFull }).on(Operation::Store),
    ] {
        let vfs = FaultVfs::new(Arc::new(MemVfs::new()));
        vfs.add(rule);
        assert!(!suite_passes(&vfs));
    }
}
