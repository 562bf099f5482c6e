//! What the database says of its compaction: what runs, what is next and why, why a table is left alone, and what holds space.

mod sim;

use sim::Sim;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use terrace::{
    AnyPolicy, Clock, Db, Executor, Job, Lane, Pause, SimClock, SimExecutor, Step, TableColour, TableId,
    TableState,
};
use terrace_compaction::{LeveledOptions, LeveledPicker, TieredOptions, TieredPicker};
use terrace_vfs::{MemVfs, Vfs};

type BoxedDb = terrace::Engine<AnyPolicy>;

fn leveled() -> Box<dyn terrace_compaction::CompactionPicker> {
    Box::new(LeveledPicker::new(LeveledOptions::for_table_bytes(16 << 10)))
}

/// A database whose background work waits until it is asked to go on.
struct Paused {
    db: BoxedDb,
    executor: Arc<SimExecutor>,
}

fn paused() -> Paused {
    let sim = Sim::over(&MemVfs::new());
    sim.clock.advance(Duration::from_secs(1_000_000));
    let db = sim.builder().picker(leveled()).background_threads(2).open().unwrap();
    Paused { db, executor: sim.executor }
}

/// Writes a run of level 0 over all keys.
fn flush(db: &BoxedDb, round: u32) {
    for number in 0..50 {
        db.put(format!("key{number:03}"), format!("{round:060}")).unwrap();
    }
    db.flush().unwrap();
}

#[test]
fn below_its_triggers_a_tree_says_what_it_waits_for() {
    let Paused { db, .. } = paused();
    flush(&db, 0);
    let report = db.explain_compaction().unwrap();
    let default = &report.keyspaces[0];
    assert!(default.running.is_empty() && default.next.is_empty() && default.pause.is_none(), "{report}");
    let words = report.to_string();
    assert!(words.contains("nothing is to be done"), "{words}");
    assert!(words.contains("level 0 holds 1 run, due from 4 on: not due"), "{words}");

    let table = db.shape().keyspaces[0].shape.tables().next().unwrap().1.id;
    let why = db.why(table).unwrap();
    let TableState::Resting { weighed, .. } = &why.state else { panic!("{why}") };
    assert_eq!(weighed.len(), 1, "{why}");
    assert_eq!(why.place.as_ref().map(|place| place.level), Some(0));
    assert!(why.to_string().contains("is left alone"), "{why}");
    assert_eq!(db.why(TableId(9999)).unwrap().state, TableState::Unknown);
    assert!(db.dry_run_compaction(10).unwrap().to_string().contains("nothing is to be done"));
}

#[test]
fn a_task_is_next_then_runs_and_is_then_done() {
    let Paused { db, executor } = paused();
    let mut round = 0;
    // A flush waits for its own job alone, so the merge that the fourth one asks for may run at any time; look for each state as it comes.
    let (mut running, mut hatched) = (false, false);
    while round < 40 {
        flush(&db, round);
        round += 1;
        let report = db.explain_compaction().unwrap();
        let default = &report.keyspaces[0];
        if let Some(task) = default.running.first() {
            running = true;
            assert!(task.task.inputs.len() >= 4 && task.cost.read_bytes > 0, "{report}");
            assert!(task.cost.runs_after < task.cost.runs_before, "{report}");
            let why = db.why(task.task.inputs[0]).unwrap();
            assert!(matches!(why.state, TableState::Running(_)), "{why}");
            assert!(report.to_string().contains("runs: merge"), "{report}");
            let shape = db.shape();
            assert!(shape.to_string().contains("being compacted"), "{shape}");
            hatched |= shape.to_svg(TableColour::Age).contains("url(#busy)");
            let dry = db.dry_run_compaction(50).unwrap();
            assert!(dry.keyspaces[0].run.at_rest, "{dry}");
            break;
        }
    }
    assert!(running && hatched, "no task was seen to run in {round} flushes");
    while executor.run_one() {}
    assert!(db.explain_compaction().unwrap().keyspaces[0].running.is_empty());
}

#[test]
fn what_is_switched_off_says_so() {
    let db = Sim::over(&MemVfs::new()).builder().picker(leveled()).compaction(false).open().unwrap();
    (0..6).for_each(|round| flush(&db, round));
    let report = db.explain_compaction().unwrap();
    let default = &report.keyspaces[0];
    assert_eq!(default.pause, Some(Pause::Off));
    assert_eq!(default.next.len(), 1, "{report}");
    let reason = &default.next[0].task.reason;
    assert_eq!(reason.to_string(), "level 0 holds 6 runs, trigger 4");
    let why = db.why(default.next[0].task.inputs[0]).unwrap();
    assert!(why.to_string().contains("would be compacted, but compaction is switched off"), "{why}");

    // A dry run goes to the end all the same, and nothing has moved.
    let before = db.shape().keyspaces[0].shape.clone();
    let dry = db.dry_run_compaction(50).unwrap();
    let run = &dry.keyspaces[0].run;
    assert!(run.at_rest && !run.steps.is_empty(), "{dry}");
    assert_eq!((run.cost.runs_before, run.cost.runs_after), (6, 1), "{dry}");
    assert_eq!(db.shape().keyspaces[0].shape, before);
    assert_eq!(db.stats().compactions, 0);
}

#[test]
fn a_dry_run_foretells_what_then_happens() {
    let tiered = || TieredPicker::new(TieredOptions { small_run_bytes: 0, ..TieredOptions::default() });
    let mem = MemVfs::new();
    let open = |sim: &Sim, compaction: bool| {
        sim.builder::<AnyPolicy>().picker(Box::new(tiered())).compaction(compaction).open().unwrap()
    };
    let db = open(&Sim::over(&mem), false);
    // Disjoint keys, so that a merge writes what it reads.
    for round in 0..9 {
        (0..40).for_each(|number| db.put(format!("{:03}", number * 9 + round), vec![7; 50]).unwrap());
        db.flush().unwrap();
    }
    let foretold = db.dry_run_compaction(50).unwrap().keyspaces[0].run.clone();
    db.close().unwrap();
    let sim = Sim::over(&mem);
    let db = open(&sim, true);
    db.put("zzz", "").unwrap();
    while sim.executor.run_one() {}
    db.wait_for_background().unwrap();
    let runs = db.shape().keyspaces[0].shape.runs().count();
    assert_eq!(runs, foretold.shape.runs().count(), "{foretold}\n{}", db.shape());
}

#[test]
fn snapshots_and_iterators_that_hold_space_are_named() {
    let Paused { db, executor } = paused();
    flush(&db, 0);
    let snapshot = db.snapshot();
    let also = snapshot.clone();
    for number in 0..50 {
        db.delete(format!("key{number:03}")).unwrap();
    }
    db.compact().unwrap();
    let report = db.explain_compaction().unwrap();
    assert_eq!(
        (report.snapshots.len(), report.snapshots[0].handles, report.snapshots[0].writes_since),
        (1, 2, 50)
    );
    let held = report.keyspaces[0].held;
    assert_eq!((held.snapshot_versions_max, held.tombstones_in_oldest_run), (50, 50), "{report}");
    assert!(report.to_string().contains("2 snapshots are held from 50 writes ago"), "{report}");

    let mut iter = db.iter();
    assert!(iter.next().is_none(), "all is deleted");
    let before = db.stats().table_bytes;
    drop((snapshot, also));
    // The tree is one run already, and still a merge of it frees what the snapshot kept.
    db.compact().unwrap();
    while executor.run_one() {}
    assert_eq!(db.stats().tables, 0, "{}", db.shape());
    let report = db.explain_compaction().unwrap();
    assert!(report.snapshots.is_empty());
    assert_eq!((report.files.read_bytes, report.files.read_tables), (before, 1), "{report}");
    assert!(report.to_string().contains("1 obsolete table is still read"), "{report}");

    drop(iter);
    let files = db.explain_compaction().unwrap().files;
    assert_eq!((files.read_tables, files.waiting_tables, files.waiting_bytes), (0, 1, before));
    while executor.run_one() {}
    assert_eq!(db.explain_compaction().unwrap().files, Default::default());
}

#[test]
fn a_database_at_rest_has_removed_what_nobody_reads() {
    for by_hand in [true, false] {
        let Paused { db, .. } = paused();
        (0..20).for_each(|round| flush(&db, round));
        if by_hand {
            db.compact().unwrap();
        }
        db.wait_for_background().unwrap();
        assert!(db.stats().compactions > 0);
        assert_eq!(db.explain_compaction().unwrap().files, Default::default());
    }
}

/// Keeps every job that is done, as a thread does for a moment.
#[derive(Debug)]
struct Hoarder {
    executor: SimExecutor,
    done: Arc<Hoard>,
}

#[derive(Default)]
struct Hoard(Mutex<Vec<Job>>);

impl std::fmt::Debug for Hoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hoard")
    }
}

impl Executor for Hoarder {
    fn spawn(&self, lane: Lane, job: Job) {
        let (mut job, done) = (Some(job), Arc::clone(&self.done));
        let step = move || {
            let step = job.as_mut().map_or(Step::Done, |job| job());
            if step == Step::Done {
                done.0.lock().unwrap().extend(job.take());
            }
            step
        };
        self.executor.spawn(lane, Box::new(step));
    }

    fn wait(&self, ready: &dyn Fn() -> bool) {
        self.executor.wait(ready);
    }

    fn notify(&self) {
        self.executor.notify();
    }

    fn stop(&self) {
        self.executor.stop();
    }
}

#[test]
fn a_merge_lets_go_of_its_inputs_before_the_database_is_at_rest() {
    let clock = Arc::new(SimClock::new());
    let executor = SimExecutor::new(1, Arc::clone(&clock) as Arc<dyn Clock>);
    let done = Arc::new(Hoard::default());
    let db = BoxedDb::builder("/db")
        .vfs(Arc::new(MemVfs::new()) as Arc<dyn Vfs>)
        .clock(clock as Arc<dyn Clock>)
        .executor(Arc::new(Hoarder { executor, done: Arc::clone(&done) }))
        .picker(leveled())
        .open()
        .unwrap();
    (0..3).for_each(|round| flush(&db, round));
    db.compact().unwrap();
    db.wait_for_background().unwrap();
    assert!(db.stats().compactions > 0 && !done.0.lock().unwrap().is_empty());
    assert_eq!(db.explain_compaction().unwrap().files, Default::default());
    done.0.lock().unwrap().clear();
}

#[test]
fn what_an_iterator_reads_is_not_waited_for() {
    let Paused { db, .. } = paused();
    flush(&db, 0);
    let mut iter = db.iter();
    assert!(iter.next().is_some());
    flush(&db, 1);
    db.compact().unwrap();
    db.wait_for_background().unwrap();
    let files = db.explain_compaction().unwrap().files;
    assert_eq!((files.read_tables, files.waiting_tables), (1, 0));
    drop(iter);
    db.wait_for_background().unwrap();
    assert_eq!(db.explain_compaction().unwrap().files, Default::default());
}

#[test]
fn a_compacted_tree_is_not_compacted_again() {
    let Paused { db, .. } = paused();
    (0..3).for_each(|round| flush(&db, round));
    db.compact().unwrap();
    let merges = db.stats().compactions;
    assert!(merges > 0);
    db.compact().unwrap();
    assert_eq!(db.stats().compactions, merges);
}

#[test]
fn a_real_database_explains_itself_while_it_works() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path()).memtable_bytes(64 << 10).table_bytes(64 << 10).open().unwrap();
    for number in 0..20_000_u32 {
        db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [0; 64]).unwrap();
        if number % 1000 == 0 {
            let report = db.explain_compaction().unwrap();
            assert!(report.to_string().starts_with("keyspace `default`"));
            for (_, table) in db.shape().keyspaces[0].shape.tables().take(5) {
                assert!(db.why(table.id).unwrap().to_string().contains(&format!("table {}", table.id)));
            }
        }
    }
    db.wait_for_background().unwrap();
    assert!(db.explain_compaction().unwrap().keyspaces[0].running.is_empty());
    assert!(db.dry_run_compaction(100).unwrap().keyspaces[0].run.steps.is_empty());
}
