//! The laws about failing operations: after any error the log is dead, and what it acknowledged before is there.

use super::{payload, read_log};
use crate::{CreateLog, Error, LogWriter, ReadLogOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Vfs};

const PATH: &str = "log";

/// Fails every single file operation of a small script in turn, in memory.
///
/// # Panics
///
/// At the first law that does not hold.
pub fn check_faults<L: LogWriter>() {
    if !L::KEEPS {
        return;
    }
    let faults = [
        Fault::Error(io::ErrorKind::StorageFull),
        Fault::ShortWrite { bytes: 30, kind: io::ErrorKind::StorageFull },
        Fault::SyncLosesData,
    ];
    for fault in faults {
        let whole = run::<L>(&fault, None);
        assert!(whole.failed.is_none(), "without a fault: {:?}", whole.failed);
        for n in 0..whole.operations {
            let context = format!("operation {n} fails with {fault:?}");
            let outcome = run::<L>(&fault, Some(n));
            assert!(outcome.failed.is_some(), "{context}: nobody was told");
            check(&outcome, &context);
        }
    }
}

struct Outcome {
    disk: MemVfs,
    operations: u64,
    failed: Option<Error>,
    appended: Vec<Vec<u8>>,
    /// Records whose sync succeeded.
    synced: usize,
}

/// Appends, hands over, syncs, outgrows the reservation, closes; stops at the first error.
fn run<L: LogWriter>(fault: &Fault, nth: Option<u64>) -> Outcome {
    let disk = MemVfs::new();
    let faulty = FaultVfs::new(Arc::new(disk.clone()));
    if let Some(n) = nth {
        faulty.add(FaultRule::new(fault.clone()).nth(n));
    }
    let mut outcome = Outcome { disk, operations: 0, failed: None, appended: Vec::new(), synced: 0 };
    let vfs: Arc<dyn Vfs> = Arc::new(faulty.clone());
    let result = drive::<L>(&vfs, &mut outcome);
    outcome.failed = result.err();
    outcome.operations = faulty.operations();
    outcome
}

fn drive<L: LogWriter>(vfs: &Arc<dyn Vfs>, outcome: &mut Outcome) -> Result<(), Error> {
    let create = CreateLog { number: 2, preallocate_bytes: 1 << 16, recycle: None };
    let mut log = L::create(vfs, Path::new(PATH), create)?;
    outcome.disk.sync_dir(Path::new("")).expect("sync the folder");
    for (step, bytes) in [100, 4_000, 66_000, 10].into_iter().enumerate() {
        let record = payload(step as u64, bytes);
        outcome.appended.push(record.clone());
        let result =
            log.append(&[&record]).and_then(|_| if step % 2 == 0 { log.hand_over() } else { log.sync() });
        if let Err(error) = result {
            stays_dead(log);
            return Err(error);
        }
        if step % 2 == 1 {
            outcome.synced = outcome.appended.len();
        }
    }
    log.append(&[b"unsynced when closed"])?;
    outcome.appended.push(b"unsynced when closed".to_vec());
    log.close()?;
    outcome.synced = outcome.appended.len();
    Ok(())
}

/// The disk is well again, and yet every call says that the log is dead.
fn stays_dead<L: LogWriter>(mut log: L) {
    fn is_dead<T>(result: &Result<T, Error>) -> bool {
        matches!(result, Err(Error::Dead { .. }))
    }
    for _ in 0..2 {
        assert!(is_dead(&log.append(&[b"late"])), "append to a dead log");
        assert!(is_dead(&log.hand_over()), "hand over of a dead log");
        assert!(is_dead(&log.sync()), "sync of a dead log");
    }
    assert!(is_dead(&log.close()), "close of a dead log");
}

fn check(outcome: &Outcome, context: &str) {
    let disk: Arc<dyn Vfs> = Arc::new(outcome.disk.crash_losing_everything_unsynced());
    if !disk.exists(Path::new(PATH)).expect("exists") {
        assert_eq!(outcome.synced, 0, "{context}: the file is gone");
        return;
    }
    let (records, report) = read_log(&disk, Path::new(PATH), 2, ReadLogOptions::default())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(outcome.appended.starts_with(&records), "{context}: not a prefix");
    assert!(
        records.len() >= outcome.synced,
        "{context}: {} of {}: {report:?}",
        records.len(),
        outcome.synced
    );
}
