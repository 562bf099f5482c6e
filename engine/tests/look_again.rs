//! What becomes due by time alone is done in a database that nobody writes to.

mod sim;

use sim::Sim;
use std::sync::Arc;
use std::time::Duration;
use terrace::{AnyPolicy, Clock, Engine, Executor, SystemClock, ThreadPool};
use terrace_compaction::{
    CompactionPicker, FifoOptions, FifoPicker, LeveledOptions, LeveledPicker, TieredOptions, TieredPicker,
    TriggerOptions, WindowedOptions, WindowedPicker,
};
use terrace_vfs::MemVfs;

type Db = Engine<AnyPolicy>;

impl Sim {
    fn new() -> Self {
        Sim::over(&MemVfs::new())
    }

    fn open(&self, picker: impl CompactionPicker) -> Db {
        self.builder::<AnyPolicy>().log_preallocate_bytes(0).picker(Box::new(picker)).open().unwrap()
    }

    /// Lets time pass a second at a time, as it does, and what is due be done; nobody else does anything.
    fn idle(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            while self.executor.run_one() {}
        }
    }
}

fn flush(db: &Db, keys: std::ops::Range<u32>, delete: bool) {
    for key in keys {
        match delete {
            false => db.put(key.to_be_bytes(), [0; 100]).unwrap(),
            true => db.delete(key.to_be_bytes()).unwrap(),
        }
    }
    db.flush().unwrap();
    db.wait_for_background().unwrap();
}

fn tombstones(db: &Db) -> u64 {
    db.shape().keyspaces[0].shape.totals().tombstones
}

/// A delete is to be gone within a hundred seconds; it gets going after 75.
const TRIGGERS: TriggerOptions = TriggerOptions {
    tombstone_age_seconds_max: Some(100),
    tombstone_percent_max: None,
    vain_read_bytes: None,
};

fn leveled() -> LeveledPicker {
    LeveledPicker::new(LeveledOptions { triggers: TRIGGERS, ..LeveledOptions::default() })
}

#[test]
fn old_tombstones_go_while_nobody_writes() {
    let tiered = TieredPicker::new(TieredOptions { triggers: TRIGGERS, ..TieredOptions::default() });
    for picker in [Box::new(leveled()) as Box<dyn CompactionPicker>, Box::new(tiered)] {
        let sim = Sim::new();
        let db = sim.open(picker);
        flush(&db, 0..1000, false);
        flush(&db, 0..500, true);
        sim.idle(70);
        assert_eq!(tombstones(&db), 500, "not before it is due");
        sim.idle(10);
        assert_eq!(tombstones(&db), 0, "{}", db.shape());
        assert_eq!(db.iter().count(), 500);
        assert_eq!(sim.executor.pending(), 0);
    }
}

#[test]
fn what_a_snapshot_needs_goes_soon_after_the_snapshot() {
    let sim = Sim::new();
    let db = sim.open(leveled());
    flush(&db, 0..1000, false);
    let snapshot = db.snapshot();
    flush(&db, 0..500, true);
    sim.idle(1000);
    assert_eq!((tombstones(&db), snapshot.iter().count()), (500, 1000));
    drop(snapshot);
    sim.idle(30);
    assert_eq!(tombstones(&db), 0, "{}", db.shape());
}

#[test]
fn a_database_that_was_closed_meanwhile_goes_on_from_where_it_was() {
    let sim = Sim::new();
    let db = sim.open(leveled());
    flush(&db, 0..1000, false);
    flush(&db, 0..500, true);
    db.close().unwrap();
    sim.idle(50);
    let db = sim.open(leveled());
    assert_eq!(tombstones(&db), 500);
    sim.idle(30);
    assert_eq!(tombstones(&db), 0, "{}", db.shape());
}

#[test]
fn runs_expire_while_nobody_writes() {
    let sim = Sim::new();
    let db = sim.open(FifoPicker::new(FifoOptions { bytes_max: None, age_seconds_max: Some(60) }));
    flush(&db, 0..100, false);
    sim.idle(30);
    flush(&db, 100..200, false);
    let runs = |seconds| {
        sim.idle(seconds);
        db.stats().runs
    };
    assert_eq!([runs(29), runs(3), runs(26), runs(5)], [2, 1, 1, 0]);
    assert_eq!(db.iter().count(), 0);
}

#[test]
fn windows_are_closed_and_expire_while_nobody_writes() {
    let sim = Sim::new();
    let options =
        WindowedOptions { window_seconds: 3600, keep_seconds: Some(7200), ..WindowedOptions::default() };
    let db = sim.open(WindowedPicker::new(options));
    flush(&db, 0..100, false);
    flush(&db, 50..150, false);
    let levels = || -> Vec<usize> {
        db.shape().keyspaces[0].shape.levels.iter().map(|level| level.runs.len()).collect()
    };
    assert_eq!(levels(), [2]);
    sim.idle(3601);
    assert_eq!(levels(), [0, 1], "the window is past");
    sim.idle(2 * 3600 + 2);
    assert_eq!(db.stats().runs, 0, "counted from when it was closed");
}

#[test]
fn nothing_waits_where_time_makes_nothing_due() {
    let sim = Sim::new();
    let db = sim.open(LeveledPicker::default());
    flush(&db, 0..1000, false);
    flush(&db, 0..500, true);
    let steps = sim.executor.steps();
    sim.idle(10_000);
    assert_eq!((sim.executor.steps(), tombstones(&db)), (steps, 500));
}

#[test]
fn threads_look_again_too() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let executor: Arc<dyn Executor> = Arc::new(ThreadPool::new(1, Arc::clone(&clock)));
    let sim = Sim::new();
    let picker = FifoPicker::new(FifoOptions { bytes_max: None, age_seconds_max: Some(0) });
    let builder = sim.builder::<AnyPolicy>().clock(Arc::clone(&clock)).executor(Arc::clone(&executor));
    let db = builder.picker(Box::new(picker)).open().unwrap();
    flush(&db, 0..100, false);
    let limit = clock.now() + Duration::from_secs(20);
    executor.wait(&|| db.stats().runs == 0 || clock.now() > limit);
    assert_eq!(db.stats().runs, 0);
}
