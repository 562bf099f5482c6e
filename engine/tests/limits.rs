//! What is kept within bounds, and what happens after a failure.

use std::sync::Arc;
use terrace::{Clock, Db, Durability, Error, Executor, SimClock, SimExecutor, WriteBatch};
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation, Vfs};

struct Sim {
    mem: MemVfs,
    faults: FaultVfs,
    clock: Arc<SimClock>,
}

impl Sim {
    fn new() -> Self {
        let mem = MemVfs::new();
        let faults = FaultVfs::new(Arc::new(mem.clone()) as Arc<dyn Vfs>);
        Sim { mem, faults, clock: Arc::new(SimClock::new()) }
    }

    fn builder(&self) -> terrace::Builder<terrace::DefaultParts> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let executor: Arc<dyn Executor> = Arc::new(SimExecutor::new(1, Arc::clone(&clock)));
        Db::builder("/db").vfs(Arc::new(self.faults.clone())).clock(clock).executor(executor)
    }

    fn small(&self) -> Db {
        let builder = self.builder().memtable_bytes(32 << 10).table_bytes(16 << 10);
        builder.log_preallocate_bytes(16 << 10).open().unwrap()
    }
}

#[test]
fn memory_stays_within_the_budget_with_many_keyspaces() {
    let budget: u64 = 2 << 20;
    let sim = Sim::new();
    let db = sim
        .builder()
        .memtable_bytes(256 << 10)
        .memory_bytes(budget)
        .cache_bytes(64 << 20)
        .log_preallocate_bytes(16 << 10)
        .open()
        .unwrap();
    let keyspaces: Vec<_> = (0..20).map(|n| db.keyspace(&format!("k{n}")).unwrap()).collect();
    for number in 0..30_000_u32 {
        let keyspace = &keyspaces[number as usize % keyspaces.len()];
        keyspace.put(number.to_be_bytes(), [7; 100]).unwrap();
        if number % 500 == 0 {
            assert!(keyspaces[0].get(0_u32.to_be_bytes()).unwrap().is_some());
            let stats = db.stats();
            assert!(stats.memory_bytes() <= budget, "after {number} writes: {stats}");
        }
    }
    assert!(db.stats().flushes > 0);
}

#[test]
fn logs_stay_within_their_limit_beside_a_quiet_keyspace() {
    let sim = Sim::new();
    let limit = 256 << 10;
    let db = sim.builder().memtable_bytes(64 << 10).log_bytes_max(limit).open().unwrap();
    let quiet = db.keyspace("quiet").unwrap();
    quiet.put("k", "v").unwrap();
    for number in 0..20_000_u32 {
        db.put(number.to_be_bytes(), [7; 100]).unwrap();
    }
    db.wait_for_background().unwrap();
    let stats = db.stats();
    assert!(stats.live_log_bytes < 2 * limit, "{stats}");
    assert_eq!(quiet.get("k").unwrap().as_deref(), Some(b"v".as_slice()));
}

#[test]
fn writers_wait_rather_than_fill_memory_and_go_on_when_a_flush_is_done() {
    let sim = Sim::new();
    let db = sim.small();
    // Nobody runs a job but a writer that has to wait.
    for number in 0..20_000_u32 {
        db.put(number.to_be_bytes(), [7; 100]).unwrap();
    }
    let stats = db.stats();
    assert!(stats.stalls > 0 && stats.stall_micros.count() == stats.stalls, "{stats}");
    assert!(stats.memtable_bytes < 8 * (32 << 10), "{stats}");
    assert_eq!(db.iter().count(), 20_000);
}

#[test]
fn a_failed_sync_is_final_and_reads_go_on() {
    let sim = Sim::new();
    let db = sim.small();
    db.put("kept", "1").unwrap();
    let mut batch = WriteBatch::new();
    batch.put("synced", "1");
    db.write_with(&batch, Durability::Synced).unwrap();
    sim.faults.add(FaultRule::new(Fault::SyncLosesData).on(Operation::Sync).nth(0));
    batch.clear();
    batch.put("refused", "1");
    let failed = db.write_with(&batch, Durability::Synced);
    assert!(matches!(failed, Err(Error::Io(_))), "{failed:?}");
    let after = db.put("later", "1");
    let Err(Error::ReadOnly { cause }) = &after else { panic!("{after:?}") };
    assert!(cause.to_string().contains("Sync"), "{cause}");
    assert!(db.failure().is_some());
    assert_eq!(db.get("refused").unwrap(), None, "a write that failed is visible");
    assert_eq!(db.get("kept").unwrap().as_deref(), Some(b"1".as_slice()));
    assert!(matches!(db.flush(), Err(Error::ReadOnly { .. })));
    assert!(matches!(db.close(), Err(Error::ReadOnly { .. })));
    drop(db);
    sim.faults.clear();
    let power_cut = sim.mem.crash_losing_everything_unsynced();
    let db = Db::builder("/db").vfs(Arc::new(power_cut)).open().unwrap();
    assert_eq!(db.get("kept").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(db.get("synced").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(db.get("later").unwrap(), None);
}

#[test]
fn a_full_disk_in_the_background_makes_the_database_read_only_and_loses_nothing() {
    let sim = Sim::new();
    let db = sim.small();
    let full = Fault::Error(std::io::ErrorKind::StorageFull);
    sim.faults.add(FaultRule::new(full).when(|attempt| {
        attempt.operation == Operation::Append && attempt.path.extension().is_some_and(|end| end == "sst")
    }));
    let mut written = 0_u32;
    let failed = loop {
        match db.put(written.to_be_bytes(), [7; 100]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(failed.to_string().contains(".sst"), "{failed}");
    assert_eq!(db.iter().count() as u32, written);
    drop(db);
    sim.faults.clear();
    let db = sim.small();
    assert_eq!(db.iter().count() as u32, written);
    db.put("again", "writable").unwrap();
    db.flush().unwrap();
}

#[test]
fn a_read_error_fails_that_read_and_nothing_else() {
    let sim = Sim::new();
    let db = sim.builder().cache_bytes(0).open().unwrap();
    for number in 0..1000_u32 {
        db.put(number.to_be_bytes(), [7; 100]).unwrap();
    }
    db.flush().unwrap();
    sim.faults.add(FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).on(Operation::Read).nth(0));
    let failed = db.get(5_u32.to_be_bytes());
    assert!(matches!(failed, Err(Error::Io(_))), "{failed:?}");
    assert!(db.get(5_u32.to_be_bytes()).unwrap().is_some());
    db.put("still", "writable").unwrap();
    assert!(db.failure().is_none());
}

#[test]
fn compaction_keeps_to_its_rate() {
    use terrace::CompactionRate;
    let sim = Sim::new();
    let rate = CompactionRate { bytes_per_second: 1 << 20, quiet_hours: None };
    let db = sim
        .builder()
        .memtable_bytes(256 << 10)
        .table_bytes(128 << 10)
        .compaction_rate(Some(rate))
        .background_threads(1)
        .compaction(false)
        .open()
        .unwrap();
    for number in 0..40_000_u32 {
        db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [7; 100]).unwrap();
    }
    db.flush().unwrap();
    let begun = sim.clock.now();
    db.compact().unwrap();
    let written = db.stats().compaction_written_bytes;
    let seconds = (sim.clock.now() - begun).as_secs_f64();
    let per_second = written as f64 / seconds;
    // The rate is in bytes before compression; no pressure raises it here.
    assert!(written > 1 << 20 && per_second < 1.2 * f64::from(1 << 20), "{written} bytes in {seconds} s");
}

#[test]
fn closing_and_syncing_keep_what_bypassed_the_log() {
    for close in [false, true] {
        let sim = Sim::new();
        let db = sim.small();
        db.put_with("k", "in no log", Durability::Off).unwrap();
        if close {
            db.close().unwrap()
        } else {
            db.sync().unwrap()
        }
        let after = sim.mem.crash_losing_everything_unsynced();
        let db = Db::builder("/db").vfs(Arc::new(after)).open().unwrap();
        assert_eq!(db.get("k").unwrap().as_deref(), Some(b"in no log".as_slice()), "close: {close}");
    }
}

#[test]
fn a_database_whose_creation_was_cut_short_is_created_again() {
    let mut cuts = 0;
    for at in 0.. {
        let mem = MemVfs::new();
        let faults = FaultVfs::new(Arc::new(mem.clone()));
        faults.add(FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).from_nth(at));
        if Db::builder("/db").vfs(Arc::new(faults)).open().is_ok() {
            break;
        }
        for left in [mem.crash_keeping_everything(), mem.crash_losing_everything_unsynced()] {
            cuts += 1;
            let db = Db::builder("/db").vfs(Arc::new(left)).open();
            let db = db.unwrap_or_else(|error| panic!("cut at file operation {at}: {error}"));
            db.put("k", "v").unwrap();
        }
    }
    assert!(cuts > 20, "{cuts} cuts");
}
