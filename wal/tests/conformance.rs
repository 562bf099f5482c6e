//! The conformance suite over this crate's own logs.

use std::sync::Arc;
use terrace_vfs::{RealVfs, Vfs};
use terrace_wal::testing::check_log_writer;
use terrace_wal::{BufferedLog, LogWriter, MappedLog, NullLog};

fn conforms<L: LogWriter>() {
    let dir = tempfile::tempdir().expect("a folder");
    let real: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    check_log_writer::<L>(&real, dir.path());
}

#[test]
fn buffered_conforms() {
    conforms::<BufferedLog>();
}

#[test]
fn mapped_conforms() {
    conforms::<MappedLog>();
}

#[test]
fn null_conforms() {
    conforms::<NullLog>();
}
