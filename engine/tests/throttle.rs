//! Back-pressure as a part: throttles and limiters from outside, writes that are refused rather than wait, and the order of background work.

mod sim;

use sim::Sim;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use terrace::{
    BackgroundOrder, Clock, CompactionRate, Db, Error, Executor, Lane, QuietHours, Step, SystemClock,
    ThreadPool, WhenBusy, WriteBatch,
};
use terrace_throttle::{Charge, InQuietHours, Limiter, Load, Since, Throttle};
use terrace_vfs::MemVfs;

impl Sim {
    fn new() -> Self {
        Sim::over(&MemVfs::new())
    }

    /// A database in which nobody runs a job but `run_all`, or a writer that has to wait.
    fn small(&self) -> terrace::Builder<terrace::DefaultParts> {
        self.builder().memtable_bytes(32 << 10).table_bytes(16 << 10).log_preallocate_bytes(16 << 10)
    }

    fn run_all(&self) {
        while self.executor.run_one() {}
    }
}

/// A throttle that is whatever its function says.
struct Any<F>(F);

impl<F> std::fmt::Debug for Any<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Any")
    }
}

impl<F: Fn(&Load) -> Charge + Send + Sync + 'static> Throttle for Any<F> {
    fn name(&self) -> &'static str {
        "any"
    }

    fn charge(&self, load: &Load) -> Charge {
        (self.0)(load)
    }
}

impl<F: Fn(&Load) -> Option<f64> + Send + Sync + 'static> Limiter for Any<F> {
    fn name(&self) -> &'static str {
        "any"
    }

    fn rate(&self, load: &Load, _since: &Since) -> Option<f64> {
        (self.0)(load)
    }
}

fn is_stopped(result: &terrace::Result<()>) -> bool {
    matches!(result, Err(Error::Busy { retry_after: None }))
}

/// Writes without waiting until writers are stopped, each write again when its time has come; the number of the one that is refused for good.
fn fill(sim: &Sim, db: &Db) -> u32 {
    for number in 0..20_000_u32 {
        loop {
            match db.put_with(number.to_be_bytes(), [7; 100], WhenBusy::Refuse) {
                Ok(()) => break,
                Err(Error::Busy { retry_after: Some(after) }) => sim.clock.advance(after),
                Err(Error::Busy { retry_after: None }) => return number,
                Err(error) => panic!("{error}"),
            }
        }
    }
    panic!("memory does not run out while nothing is flushed");
}

#[test]
fn a_refused_write_leaves_no_trace_and_goes_through_once_there_is_room() {
    let sim = Sim::new();
    let db = sim.small().open().unwrap();
    let refused = fill(&sim, &db);
    let before = db.stats();
    let seqno = db.snapshot().seqno();
    assert!(is_stopped(&db.put_with(refused.to_be_bytes(), "again", WhenBusy::Refuse)));
    let mut batch = WriteBatch::new();
    batch.put("a", "1").put("b", "2");
    assert!(is_stopped(&db.write_with(&batch, WhenBusy::Refuse)));
    assert!(is_stopped(&db.delete_with(0_u32.to_be_bytes(), WhenBusy::Refuse)));
    let after = db.stats();
    assert_eq!(
        (after.log_bytes, after.writes, after.stalls),
        (before.log_bytes, before.writes, before.stalls)
    );
    assert_eq!(after.refused, before.refused + 3);
    assert_eq!(db.snapshot().seqno(), seqno, "a refused write took a place in the order");
    assert_eq!(db.get(refused.to_be_bytes()).unwrap(), None);
    assert_eq!(db.get("a").unwrap(), None);
    assert!(db.get(0_u32.to_be_bytes()).unwrap().is_some());
    sim.run_all();
    db.put_with(refused.to_be_bytes(), "at last", WhenBusy::Refuse).unwrap();
    db.close().unwrap();
    let db = Db::builder("/db").vfs(Arc::new(sim.mem.clone())).open().unwrap();
    assert_eq!(db.get(refused.to_be_bytes()).unwrap().as_deref(), Some(b"at last".as_slice()));
    assert_eq!(db.iter().count(), refused as usize + 1);
}

#[test]
fn where_one_write_is_refused_another_may_wait() {
    let sim = Sim::new();
    let db = sim.small().when_busy(WhenBusy::Refuse).open().unwrap();
    fill(&sim, &db);
    assert!(is_stopped(&db.put("refused", "1")), "the option holds for writes that do not say");
    // Waiting lets the simulated executor run the flush.
    db.put_with("waits", "1", WhenBusy::Wait).unwrap();
    assert_eq!(db.stats().stalls, 1);
    assert!(db.get("waits").unwrap().is_some());
}

#[test]
fn what_a_write_costs_is_paid_by_those_after_it_and_named_in_the_refusal() {
    let sim = Sim::new();
    let waiting = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&waiting);
    let charge = move |load: &Load| {
        told.store(load.sealed as u64, Ordering::Relaxed);
        Charge { seconds_per_byte: if load.sealed > 0 { 1e-6 } else { 0.0 }, stop: false }
    };
    let db = sim.small().throttle(Any(charge)).open().unwrap();
    // Until a memtable is sealed that nobody flushes: from there on a byte costs a microsecond.
    let mut number = 0_u32;
    while waiting.load(Ordering::Relaxed) == 0 {
        db.put(number.to_be_bytes(), [7; 1000]).unwrap();
        number += 1;
    }
    db.put_with("first", [7; 2000], WhenBusy::Refuse).unwrap();
    let refused = db.put_with("second", [7; 2000], WhenBusy::Refuse);
    let Err(Error::Busy { retry_after: Some(after) }) = refused else { panic!("{refused:?}") };
    assert!(after > Duration::from_millis(1) && after < Duration::from_millis(4), "{after:?}");
    assert_eq!(db.get("second").unwrap(), None);
    sim.clock.advance(after);
    db.put_with("second", [7; 2000], WhenBusy::Refuse).unwrap();
    // One that waits is delayed for its own cost and what is owed.
    let begun = sim.clock.now();
    db.put_with("third", [7; 2000], WhenBusy::Wait).unwrap();
    let waited = sim.clock.now() - begun;
    assert!(waited > Duration::from_millis(3) && waited < Duration::from_millis(6), "{waited:?}");
}

#[test]
fn a_throttle_that_stops_writers_for_ever_stops_none_while_nothing_works() {
    let sim = Sim::new();
    let db =
        sim.small().throttle(Any(|_: &Load| Charge { seconds_per_byte: 0.0, stop: true })).open().unwrap();
    let mut stopped = 0;
    for number in 0..2000_u32 {
        let written = db.put_with(number.to_be_bytes(), [7; 100], WhenBusy::Refuse);
        if is_stopped(&written) {
            stopped += 1;
            sim.run_all();
            db.put_with(number.to_be_bytes(), [7; 100], WhenBusy::Refuse).unwrap();
        } else {
            written.unwrap();
        }
    }
    assert!(stopped > 3, "a sealed memtable is work, and the throttle was not heard: {stopped}");
    assert_eq!(db.iter().count(), 2000);
}

#[test]
fn a_throttle_sees_what_goes_on() {
    let sim = Sim::new();
    let seen = Arc::new([const { AtomicU64::new(0) }; 3]);
    let told = Arc::clone(&seen);
    let watch = move |load: &Load| {
        told[0].fetch_max(load.level0_runs as u64, Ordering::Relaxed);
        told[1].fetch_max(load.debt_bytes, Ordering::Relaxed);
        told[2].fetch_max(load.sealed as u64, Ordering::Relaxed);
        assert_eq!(load.sealed_max, 3);
        Charge::default()
    };
    let db = sim.small().throttle(Any(watch)).open().unwrap();
    for number in 0..20_000_u32 {
        db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [7; 100]).unwrap();
    }
    let [runs, debt, sealed] = [0, 1, 2].map(|index| seen[index].load(Ordering::Relaxed));
    assert!(runs >= 4 && debt > 100_000 && sealed >= 2, "{runs} runs, {debt} bytes of debt, {sealed} sealed");
    assert!(db.failure().is_none());
}

#[test]
fn a_throttle_or_a_limiter_that_panics_makes_the_database_read_only() {
    let write = |db: &Db| {
        (0..20_000_u32)
            .try_for_each(|number| db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [7; 100]))
    };
    let sim = Sim::new();
    let panics = |load: &Load| if load.sealed > 1 { panic!("planted") } else { Charge::default() };
    let db = sim.small().throttle(Any(panics)).open().unwrap();
    let failed = write(&db);
    assert!(matches!(failed, Err(Error::ReadOnly { .. } | Error::Panicked(_))), "{failed:?}");
    let sim = Sim::new();
    let db = sim.small().limiter(Any(|_: &Load| -> Option<f64> { panic!("planted") })).open().unwrap();
    let failed = write(&db);
    assert!(matches!(failed, Err(Error::ReadOnly { .. } | Error::Panicked(_))), "{failed:?}");
}

#[test]
fn a_limiter_from_outside_paces_merges_and_hears_of_users() {
    let sim = Sim::new();
    let most = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&most);
    let limiter = move |load: &Load| {
        heard.fetch_max(load.user_operations_per_second as u64, Ordering::Relaxed);
        Some(1e6)
    };
    let db = sim.small().limiter(Any(limiter)).open().unwrap();
    for number in 0..40_000_u32 {
        db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [7; 100]).unwrap();
    }
    db.wait_for_background().unwrap();
    let stats = db.stats();
    // The simulated clock stands still but for pauses: two merges at once, each held to half of the rate, may overlap.
    let least = stats.compaction_written_bytes as f64 / 1e6 / 2.0;
    assert!(stats.compactions > 5, "{stats}");
    assert!(sim.clock.now().as_secs_f64() > 0.5 * least, "{:?} for {stats}", sim.clock.now());
    assert!(most.load(Ordering::Relaxed) > 0, "it heard of no user");
}

/// Merges with the clock moved on a tenth of a second before each step of a job, from `begun` seconds of the day on; which seconds of the day it was
/// whenever a merge was held back.
fn held_back_at(begun: u64, hours: QuietHours) -> Vec<f64> {
    let sim = Sim::new();
    let otherwise = Any(|_: &Load| Some(100e3));
    let db = sim
        .small()
        .memtable_bytes(1 << 20)
        .table_bytes(1 << 20)
        // In the others merges also wait for late flushes.
        .background_order(BackgroundOrder::Plain)
        .limiter(InQuietHours { otherwise, hours })
        .open()
        .unwrap();
    let seconds_of_day =
        || (sim.clock.unix_seconds() % 86_400) as f64 + sim.clock.now().subsec_nanos() as f64 / 1e9;
    for number in 0..100_000_u32 {
        db.put(number.wrapping_mul(2_654_435_761).to_be_bytes(), [7; 10]).unwrap();
        if db.stats().flushes == 4 {
            break;
        }
    }
    sim.clock.advance(Duration::from_secs((begun + 86_400 - sim.clock.unix_seconds() % 86_400) % 86_400));
    let mut held = Vec::new();
    loop {
        sim.clock.advance(Duration::from_millis(100));
        let (before, at) = (sim.clock.now(), seconds_of_day());
        if !sim.executor.run_one() {
            break;
        }
        if sim.clock.now() > before {
            held.push(at);
        }
    }
    assert!(db.stats().compactions > 0, "{}", db.stats());
    held
}

#[test]
fn a_limiter_holds_outside_of_quiet_hours_and_is_lifted_in_them_to_the_second() {
    let (hours, none) = (QuietHours { from: 22, until: 4 }, QuietHours { from: 22, until: 22 });
    // Merges from some seconds before the hour on: whether they are held back before it and after it, with quiet hours and without.
    let around = |hour: u64, seconds_before: u64| {
        let second = (hour * 3600) as f64;
        [hours, none].map(|hours| {
            let held = held_back_at(hour * 3600 - seconds_before, hours);
            // The limiter is asked every twentieth of a second.
            (held.iter().any(|at| *at < second), held.iter().any(|at| *at >= second + 0.2))
        })
    };
    assert_eq!(around(12, 5), [(true, true), (true, true)]);
    assert_eq!(around(22, 5), [(true, false), (true, true)]);
    assert_eq!(around(23, 5), [(false, false), (true, true)]);
    assert_eq!(around(4, 1)[0], (false, true));
}

#[test]
fn a_limiter_and_a_rate_are_one_too_many() {
    let rate = CompactionRate { bytes_per_second: 1 << 20, quiet_hours: None };
    let opened = Sim::new().small().limiter(Any(|_: &Load| None)).compaction_rate(Some(rate)).open();
    assert!(matches!(opened, Err(Error::InvalidArgument(_))), "{opened:?}");
}

#[test]
fn work_on_level_0_passes_deeper_work_under_way() {
    let pool = ThreadPool::new(1, Arc::new(SystemClock::new()));
    let (begun, passed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (steps, flag) = (Arc::clone(&begun), Arc::clone(&passed));
    // Ends only when the other has run, for which the one thread must be taken from it between two steps.
    let deep = move || {
        steps.fetch_add(1, Ordering::Relaxed);
        if flag.load(Ordering::Relaxed) > 0 { Step::Done } else { Step::Again }
    };
    pool.spawn(Lane::Compaction, Box::new(deep));
    pool.wait(&|| begun.load(Ordering::Relaxed) > 0);
    let flag = Arc::clone(&passed);
    pool.spawn(
        Lane::Level0,
        Box::new(move || {
            flag.fetch_add(1, Ordering::Relaxed);
            Step::Done
        }),
    );
    pool.wait(&|| passed.load(Ordering::Relaxed) > 0);
    pool.stop();
}
