//! The order of background work: what is urgent first, and the plain order in which it comes.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use terrace::{
    BackgroundOrder, Clock, Engine, Executor, Job, Keyspace, Lane, Options, Parts, SimClock, Step, StockLog,
    SystemClock, ThreadPool,
};
use terrace_compaction::{CompactionPicker, Output, PickContext, Plan, Reason, Shape, Task, TaskKind};
use terrace_memtable::{BTreeMemTable, HashMemTable, MemTable};
use terrace_sstable::{BlockTable, SlotCache};
use terrace_vfs::MemVfs;

/// Merges the runs of a level into the next one as soon as there are two.
#[derive(Debug)]
struct TwoRuns;

impl CompactionPicker for TwoRuns {
    fn name(&self) -> &'static str {
        "two-runs"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let mut plan = Plan::default();
        for level in 0..2 {
            let tables = || shape.runs_of(level).iter().flat_map(|run| &run.tables);
            let is_free = tables().all(|table| !context.busy.contains(&table.id));
            if shape.runs_of(level).len() >= 2 && is_free && plan.tasks.len() < context.tasks_max {
                plan.tasks.push(Task {
                    kind: TaskKind::Merge,
                    inputs: tables().map(|table| table.id).collect(),
                    output: Output::NewRun { level: level + 1, run: None },
                    target_table_bytes: 1 << 20,
                    cuts: Vec::new(),
                    reason: Reason::Other("two runs".to_owned()),
                });
            }
        }
        plan
    }
}

struct Own<M>(PhantomData<M>);

impl<M: MemTable> Parts for Own<M> {
    type MemTable = M;
    type Log = StockLog;
    type Cache = SlotCache;
    type Table = BlockTable;
    type Picker = TwoRuns;

    fn picker(_options: &Options) -> TwoRuns {
        TwoRuns
    }
}

/// One thread that keeps to lanes as a pool does, and takes a step when the test says so.
struct OneThread {
    lanes: Mutex<[VecDeque<Job>; 4]>,
    clock: Arc<SimClock>,
    /// As though each merge had a thread of its own and was as far as it can get whenever a flush takes a step.
    merges_first: bool,
}

impl std::fmt::Debug for OneThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneThread")
    }
}

impl OneThread {
    fn step(&self) -> bool {
        if self.merges_first
            && let Some((lane, job)) = self.take(|lanes| lanes.rev())
            && !self.run(lane, job)
        {
            return true;
        }
        self.take(|lanes| lanes).map(|(lane, job)| self.run(lane, job)).is_some()
    }

    fn take<I: Iterator<Item = usize>>(
        &self,
        ordered: impl FnOnce(std::ops::Range<usize>) -> I,
    ) -> Option<(usize, Job)> {
        let mut lanes = self.lanes.lock().unwrap();
        ordered(0..lanes.len()).find_map(|lane| lanes[lane].pop_front().map(|job| (lane, job)))
    }

    /// Takes a step; true if the job wants to wait before the next one.
    fn run(&self, lane: usize, mut job: Job) -> bool {
        match job() {
            Step::Again => self.lanes.lock().unwrap()[lane].push_front(job),
            Step::After(pause) => {
                self.clock.sleep(pause);
                self.lanes.lock().unwrap()[lane].push_back(job);
                return true;
            }
            Step::Done => {}
        }
        false
    }
}

impl Executor for OneThread {
    fn spawn(&self, lane: Lane, job: Job) {
        self.lanes.lock().unwrap()[lane as usize].push_back(job);
    }

    fn wait(&self, ready: &dyn Fn() -> bool) {
        while !ready() {
            assert!(self.step(), "a thread waits and no job is left to run");
        }
    }

    fn notify(&self) {}

    fn stop(&self) {
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap());
        drop(lanes);
    }
}

/// A database whose background work is done by steps of the test, or by a writer that has to wait.
struct SteppedOn<M: MemTable> {
    db: Engine<Own<M>>,
    executor: Arc<OneThread>,
}

/// Its memory is in proportion to what is in it.
type Stepped = SteppedOn<BTreeMemTable>;

impl<M: MemTable> SteppedOn<M> {
    fn new(order: BackgroundOrder, memtables_max: usize) -> Self {
        Self::with_memtables_of(8 << 10, order, memtables_max)
    }

    fn with_memtables_of(bytes: usize, order: BackgroundOrder, memtables_max: usize) -> Self {
        Self::open(bytes, order, memtables_max, false)
    }

    fn open(bytes: usize, order: BackgroundOrder, memtables_max: usize, merges_first: bool) -> Self {
        let clock = Arc::new(SimClock::new());
        let lanes = Mutex::default();
        let executor = Arc::new(OneThread { lanes, clock: Arc::clone(&clock), merges_first });
        let db = Engine::builder("/db")
            .vfs(Arc::new(MemVfs::new()))
            .clock(clock as Arc<dyn Clock>)
            .executor(Arc::clone(&executor) as Arc<dyn Executor>)
            .memtable_bytes(bytes)
            .memtables_max(memtables_max)
            .log_preallocate_bytes(0)
            .background_order(order)
            .open()
            .unwrap();
        SteppedOn { db, executor }
    }

    fn keyspaces(&self) -> [Keyspace<Own<M>>; 2] {
        ["first", "second"].map(|name| self.db.keyspace(name).unwrap())
    }

    fn shape_of<T>(&self, keyspace: &Keyspace<Own<M>>, ask: impl Fn(&terrace::KeyspaceShape) -> T) -> T {
        let shape = self.db.shape();
        ask(shape.keyspaces.iter().find(|shape| shape.name == keyspace.name()).unwrap())
    }

    fn runs(&self, keyspace: &Keyspace<Own<M>>, level: usize) -> usize {
        self.shape_of(keyspace, |keyspace| keyspace.shape.runs_of(level).len())
    }

    /// Writes until one more memtable of the keyspace is sealed, and says how many writes that took.
    fn seal(&self, keyspace: &Keyspace<Own<M>>) -> u32 {
        let memtables = || self.shape_of(keyspace, |keyspace| keyspace.memtables.len());
        let before = memtables();
        let mut writes = 0;
        while memtables() == before {
            write(keyspace, writes);
            writes += 1;
        }
        writes
    }

    fn step_until(&self, ready: impl Fn() -> bool) {
        while !ready() {
            assert!(self.executor.step(), "{}", self.db.shape());
        }
    }
}

fn write<M: MemTable>(keyspace: &Keyspace<Own<M>>, number: u32) {
    keyspace.put(number.to_be_bytes(), [7; 100]).unwrap();
}

fn of_each<T>(ask: impl Fn(BackgroundOrder) -> T) -> [T; 3] {
    [BackgroundOrder::UrgentFirst, BackgroundOrder::FlushesFirst, BackgroundOrder::Plain].map(ask)
}

#[test]
fn a_flush_passes_merges_that_came_before_it_unless_the_order_is_plain() {
    let passes = of_each(|order| {
        let stepped = Stepped::new(order, 8);
        let [first, second] = stepped.keyspaces();
        stepped.seal(&first);
        stepped.seal(&first);
        stepped.step_until(|| stepped.db.stats().flushes == 2);
        // Now two runs wait to be merged.
        assert_eq!((stepped.runs(&first, 0), stepped.db.stats().compactions), (2, 0));
        stepped.seal(&second);
        stepped.step_until(|| stepped.db.stats().flushes == 3 || stepped.db.stats().compactions == 1);
        stepped.db.stats().flushes == 3
    });
    assert_eq!(passes, [true, true, false]);
}

#[test]
fn a_merge_out_of_level_0_passes_a_deeper_one_only_where_the_urgent_goes_first() {
    let passes = of_each(|order| {
        let stepped = Stepped::new(order, 8);
        let [first, second] = stepped.keyspaces();
        for merges in 1..=2 {
            stepped.seal(&first);
            stepped.seal(&first);
            stepped.step_until(|| stepped.db.stats().compactions == merges);
        }
        // Two runs of level 1 wait to be merged when the other keyspace begins.
        assert_eq!((stepped.runs(&first, 0), stepped.runs(&first, 1)), (0, 2));
        stepped.seal(&second);
        stepped.seal(&second);
        stepped.step_until(|| stepped.db.stats().compactions == 3);
        let passed = stepped.runs(&second, 1) == 1;
        assert_ne!(passed, stepped.runs(&first, 2) == 1, "{}", stepped.db.shape());
        passed
    });
    assert_eq!(passes, [true, false, false]);
}

#[test]
fn a_keyspace_lines_up_again_after_each_memtable_only_in_the_plain_order() {
    let turns = of_each(|order| {
        let stepped = Stepped::new(order, 8);
        let [first, second] = stepped.keyspaces();
        for _ in 0..3 {
            stepped.seal(&first);
        }
        stepped.seal(&second);
        stepped.step_until(|| stepped.db.stats().flushes == 2);
        (stepped.runs(&first, 0), stepped.runs(&second, 0))
    });
    assert_eq!(turns, [(2, 0), (2, 0), (1, 1)]);
}

#[test]
fn a_memtable_is_sealed_early_only_after_writers_were_fast_beside_a_flush() {
    let stepped = Stepped::with_memtables_of(1 << 20, BackgroundOrder::default(), 8);
    let [keyspace, _] = stepped.keyspaces();
    // The first one is sealed early, since nobody knows how fast writers will be.
    let first = f64::from(stepped.seal(&keyspace));
    stepped.step_until(|| stepped.db.stats().flushes == 1);
    let whole = f64::from(stepped.seal(&keyspace));
    assert!((0.55..0.7).contains(&(first / whole)), "sealed at {:.3} of a memtable", first / whole);
    // As much as 0.6 of a memtable comes while one is flushed: 1 / 1.6 of a memtable and 0.6 of that again would be a whole one.
    let meanwhile = (whole * 0.6) as u32;
    (0..meanwhile).for_each(|number| write(&keyspace, number));
    stepped.step_until(|| stepped.db.stats().flushes == 2);
    let early = f64::from(meanwhile + stepped.seal(&keyspace)) / whole;
    assert!((0.58..0.68).contains(&early), "sealed at {early:.3} of a memtable");
    stepped.step_until(|| stepped.db.stats().flushes == 3);
    let late = f64::from(stepped.seal(&keyspace)) / whole;
    assert!(late > 0.97, "nobody wrote beside the flush: sealed at {late:.3} of a memtable");
}

#[test]
fn the_order_in_which_a_memtable_is_written_is_a_part_of_it() {
    const ORDER_BYTES: u64 = if cfg!(target_pointer_width = "64") { 16 } else { 12 };
    let memtable_bytes = 1 << 20;
    let stepped = SteppedOn::<HashMemTable>::with_memtables_of(memtable_bytes, BackgroundOrder::default(), 8);
    let [keyspace, _] = stepped.keyspaces();
    // Values of nothing, so that the order is much of what a version takes.
    let seal = || {
        let memtables = || stepped.shape_of(&keyspace, |keyspace| keyspace.memtables.clone());
        let (before, mut number) = (memtables().len(), 0_u32);
        while memtables().len() == before {
            keyspace.put(number.to_be_bytes(), []).unwrap();
            number += 1;
        }
        memtables()[1]
    };
    seal();
    stepped.step_until(|| stepped.db.stats().flushes == 1);
    let (versions, bytes) = seal();
    let order = versions as u64 * ORDER_BYTES;
    assert!(order > bytes / 8, "{versions} versions in {bytes} bytes: the order must be seen");
    let share = (bytes + order) as f64 / memtable_bytes as f64;
    assert!((0.88..1.0).contains(&share), "sealed with {bytes} bytes and {order} for its order: {share:.3}");
}

#[test]
fn a_merge_waits_for_a_flush_only_while_memtables_have_more_than_one_shall_have() {
    let waits = |meanwhile: f64| {
        of_each(|order| {
            let stepped = Stepped::open(1 << 20, order, 8, true);
            let [keyspace, _] = stepped.keyspaces();
            let mut whole = 0.0;
            for flushes in 1..=2 {
                whole = f64::from(stepped.seal(&keyspace));
                if flushes == 2 {
                    // So that the next one is sealed at 1 / 1.6 of a memtable.
                    (0..(whole * 0.6) as u32).for_each(|number| write(&keyspace, number));
                }
                stepped.step_until(|| stepped.db.stats().flushes == flushes);
            }
            // Two runs wait to be merged when a third memtable is sealed.
            assert_eq!((stepped.runs(&keyspace, 0), stepped.db.stats().compactions), (2, 0));
            stepped.seal(&keyspace);
            (0..(whole * meanwhile) as u32).for_each(|number| write(&keyspace, number));
            stepped.step_until(|| stepped.db.stats().flushes == 3 || stepped.db.stats().compactions == 1);
            stepped.db.stats().flushes == 3
        })
    };
    assert_eq!(waits(0.2), [false; 3]);
    assert_eq!(waits(0.5), [true, true, false]);
}

#[test]
fn in_no_order_do_writers_wait_for_ever() {
    for order in BackgroundOrder::ALL {
        // The least that there can be: one memtable is written to while one waits, and one thread does everything.
        let stepped = Stepped::new(order, 2);
        let keyspaces = stepped.keyspaces();
        for number in 0..6_000_u32 {
            let key = number.wrapping_mul(2_654_435_761).to_be_bytes();
            keyspaces[number as usize % 2].put(key, [7; 100]).unwrap();
        }
        stepped.db.wait_for_background().unwrap();
        let stats = stepped.db.stats();
        assert!(stats.stalls > 0 && stats.flushes > 50 && stats.compactions > 2, "{order:?}: {stats}");
        assert_eq!(keyspaces.each_ref().map(|keyspace| keyspace.iter().count()), [3000, 3000]);
    }
}

#[test]
fn jobs_of_a_lane_begin_in_the_order_of_their_coming_and_go_on_to_the_end() {
    let pool = ThreadPool::new(1, Arc::new(SystemClock::new()));
    let (all_came, done) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(Vec::new())));
    for name in ["first", "second", "third"] {
        let (all_came, done) = (Arc::clone(&all_came), Arc::clone(&done));
        let mut steps = 0;
        let job = move || {
            if !*all_came.lock().unwrap() {
                return Step::Again;
            }
            done.lock().unwrap().push(name);
            steps += 1;
            if steps < 3 { Step::Again } else { Step::Done }
        };
        pool.spawn(Lane::Compaction, Box::new(job));
    }
    *all_came.lock().unwrap() = true;
    pool.wait(&|| done.lock().unwrap().len() == 9);
    let one_by_one = ["first", "second", "third"].map(|name| [name; 3]);
    assert_eq!(done.lock().unwrap().as_slice(), one_by_one.as_flattened());
}

/// Where a job ran: the nice value of its thread.
#[cfg(target_os = "linux")]
fn niceness() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name of the thread is in brackets and may hold anything; the nice value is the 17th field after it.
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_ascii_whitespace().nth(16).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn compaction_yields_the_processor_and_a_flush_does_not() {
    let own = niceness();
    let yielding = (own + 7).min(19);
    let clock = Arc::new(SystemClock::new());
    let pool = ThreadPool::with_niceness(1, yielding as u8, clock);
    let seen = Arc::new(Mutex::new(Vec::new()));
    // Each job waits for the other, so that they are on two threads, whichever comes first.
    for lane in [Lane::Compaction, Lane::Flush] {
        let told_here = Arc::clone(&seen);
        let mut told = false;
        let job = move || {
            if !std::mem::replace(&mut told, true) {
                told_here.lock().unwrap().push((lane, niceness()));
            }
            if told_here.lock().unwrap().len() == 2 { Step::Done } else { Step::Again }
        };
        pool.spawn(lane, Box::new(job));
        pool.wait(&|| seen.lock().unwrap().iter().any(|&(told, _)| told == lane));
    }
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [(Lane::Flush, own), (Lane::Compaction, yielding)]);
}
