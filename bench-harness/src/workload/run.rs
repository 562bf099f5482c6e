//! Runs a workload against a store: threads, meters, progress, and the outcome.
//!
//! A measured run begins in a known state (`prepare.rs`). After a measured run that wrote, the time to come to rest again is
//! reported apart from the run's own, and amplifications are read at rest. What whole scans saw is confirmed by a checked pass after all clocks
//! have stopped.
//!
//! # How long a run took
//!
//! Clients work in chunks (`client.rs`). A run of one thread that only reads took as long as its stretches of operations: no store
//! has work of its own left then, so it is none the faster for the time between. A run that writes, or of several threads, took all its
//! wall time, chunks made ready and checked too: there a store goes on with flushes and merges while its clients do not ask it, and a clock
//! that stops meanwhile would give it this work for nothing, and most of it to the fastest.

use crate::ledger::Ledger;
use crate::meter::{self, Latency, Progress, Usage};
use crate::mixgraph::HotRanges;
use crate::random::{Rng, Shuffle, Zipf};
use crate::record::RecordShape;
use crate::store::{Direction, Durability, Store, StoreError, StoreStats};
use crate::workload::check::Pass;
use crate::workload::client::{Chunk, Client, Writers};
use crate::workload::prepare;
use crate::workload::{Choice, Config, Op, Source, Workload};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store gave a wrong answer.
    #[error("wrong answer at key {key:?}: {what}")]
    Wrong {
        /// The key, as text where it is text.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// The sizes asked for do not go together.
    #[error("{0}")]
    Config(String),
    /// A child process did something else than it was to.
    #[error("the process that was to be killed: {0}")]
    Child(String),
    /// A user's file of pairs is none.
    #[error("{path}: {source}")]
    Data {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        source: crate::datafile::DataError,
    },
    /// A file of the harness's own: data to load, a report.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl BenchError {
    pub(crate) fn wrong(key: &[u8], what: &str) -> Self {
        BenchError::Wrong { key: String::from_utf8_lossy(key).into_owned(), what: what.to_owned() }
    }
}

/// What a run measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Operations done, each with one latency.
    pub ops: u64,
    /// Records that they read or wrote.
    pub records: u64,
    /// Bytes of keys and values that they read or wrote.
    pub bytes: u64,
    /// Time of the run, without the load before and the drain after: of its stretches of operations where it only reads, else all wall time.
    pub elapsed: Duration,
    /// Time until background work was at rest after the run.
    pub drain: Duration,
    /// Latencies of the operations.
    pub latency: Latency,
    /// Processor time and memory, of the run and its drain.
    pub usage: Usage,
    /// The store's counters at rest.
    pub stats: StoreStats,
    /// Writer time stalled during the run.
    pub stall: Option<Duration>,
    /// Operations of the background writer, where there is one.
    pub background_ops: u64,
    /// Bytes of the keys and values that are there after the run.
    pub live_bytes: u64,
    /// Whether everything was read once before the run.
    pub warm: bool,
    /// Bytes of the tables that a compaction began with.
    pub input_table_bytes: Option<u64>,
}

/// What is known of a store's content between the runs on it.
#[derive(Debug)]
pub struct Session {
    /// What it was made for.
    pub(super) workload: Workload,
    pub(super) config: Config,
    shape: RecordShape,
    pub(super) ledger: Ledger,
    /// Insertion index to rank.
    order: Option<Shuffle>,
    /// Insertion indices that are all acknowledged.
    pub(super) inserted: u64,
    /// Records that were written a second time before the run.
    pub(super) rewritten: u64,
}

impl Session {
    /// A session on an empty store, filled by `workload` or for it.
    ///
    /// # Errors
    ///
    /// [`BenchError::Config`] when the sizes do not go together.
    pub fn new(config: &Config, workload: Workload) -> Result<Self, BenchError> {
        refuse_kills(workload)?;
        let config = &Config { records: config.records_for(workload), ..config.clone() };
        let shape = RecordShape { mixed_lengths: workload == Workload::MixGraph, ..config.shape() };
        // Room for the records that a run inserts beyond those loaded; a run of inserts only is a fill and loads none.
        let growth = if workload.mix().insert > 0 && !workload.fills() {
            config.ops.saturating_add(2 * u64::from(config.threads))
        } else {
            0
        };
        let capacity = config.records.saturating_add(growth);
        config.go_together(capacity)?;
        let sorted = workload.mix().choice == Choice::InOrder;
        Ok(Session {
            workload,
            config: config.clone(),
            shape,
            ledger: Ledger::new(capacity),
            order: (!sorted).then(|| Shuffle::new(capacity, config.load_seed)),
            inserted: 0,
            rewritten: 0,
        })
    }

    pub(super) fn live_bytes(&self) -> u64 {
        let there = |rank: &u64| !self.ledger.state(*rank).absent;
        let bytes = |rank| self.shape.key_bytes + self.shape.len(rank, self.ledger.state(rank).generation);
        (0..self.ledger.records()).filter(there).map(|rank| bytes(rank) as u64).sum()
    }

    /// Where an insertion index lies in key order.
    pub(super) fn rank_of(&self, index: u64) -> u64 {
        self.order.as_ref().map_or(index, |order| order.apply(index))
    }
}

fn refuse_kills(workload: Workload) -> Result<(), BenchError> {
    match workload.kills() {
        true => Err(BenchError::Config(format!("{} runs from the command line only", workload.name()))),
        false => Ok(()),
    }
}

/// Runs a workload on a session's store and measures it. With [`Config::warm`] one that reads begins when each record was read once by its key and,
/// if it scans, the whole store was gone through.
///
/// # Errors
///
/// The store's, or [`BenchError::Wrong`] at the first wrong answer.
pub fn run(
    session: &mut Session,
    store: &dyn Store,
    workload: Workload,
    progress: &Progress,
) -> Result<Outcome, BenchError> {
    refuse_kills(workload)?;
    let warm = session.config.warm && workload.reads();
    if warm {
        prepare::warm(session, store, workload, progress)?;
    }
    let plan = Plan::new(session, workload);
    progress.begin(workload.name(), plan.shares.iter().sum());
    let before = store.stats();
    let usage = Usage::begin();
    let mut sum = run_threads(session, store, &plan, progress)?;
    let elapsed = sum.elapsed;
    progress.end();
    let drain_start = meter::now();
    if !workload.only_reads() {
        store.flush()?;
        store.wait_idle()?;
    }
    let drain = drain_start.elapsed();
    session.inserted = sum.inserted.max(session.inserted);
    let usage = usage.end();
    let stats = store.stats();
    match workload {
        Workload::ReadMemtable => prepare::check_memtable(&stats)?,
        Workload::Compact => check_compaction(&before, &stats)?,
        _ => {}
    }
    if let Some(direction) = workload.whole_scan() {
        confirm(session, store, direction, &sum.passes)?;
    }
    Ok(Outcome {
        ops: sum.latency.count(),
        records: sum.records,
        bytes: sum.bytes,
        elapsed,
        drain,
        latency: std::mem::take(&mut sum.latency),
        usage,
        stall: stats.stall.map(|after| after.saturating_sub(before.stall.unwrap_or_default())),
        stats,
        background_ops: sum.background_ops,
        live_bytes: session.live_bytes(),
        warm,
        input_table_bytes: before.table_bytes.filter(|_| workload == Workload::Compact),
    })
}

/// Checks that a compaction wrote about what there was: a store may know ways to leave alone what is merged already.
fn check_compaction(before: &StoreStats, after: &StoreStats) -> Result<(), BenchError> {
    let written =
        after.file_bytes_written.zip(before.file_bytes_written).map(|(after, before)| after - before);
    match before.table_bytes.zip(written) {
        Some((input, written)) if written < input / 2 => {
            Err(BenchError::Config(format!("a compaction of {input} bytes wrote {written}")))
        }
        _ => Ok(()),
    }
}

/// Checks that what whole scans saw is what was acknowledged.
fn confirm(
    session: &Session,
    store: &dyn Store,
    direction: Direction,
    passes: &[Pass],
) -> Result<(), BenchError> {
    let rank_of = |index| session.rank_of(index);
    let client = client(session, store, &rank_of, Durability::PageCache, Writers::Nobody);
    let checked = client.check_all(direction)?;
    match passes.iter().all(|pass| *pass == checked) {
        true => Ok(()),
        false => Err(BenchError::wrong(b"", "a scan that shows something else the second time")),
    }
}

/// Goes through a store that is at rest and checks that it holds just what was acknowledged; returns how many records those are.
///
/// # Errors
///
/// The store's, or [`BenchError::Wrong`] at the first wrong answer.
pub fn check_all(session: &Session, store: &dyn Store) -> Result<u64, BenchError> {
    let rank_of = |index| session.rank_of(index);
    let client = client(session, store, &rank_of, Durability::PageCache, Writers::Nobody);
    Ok(client.check_all(Direction::Forward)?.records)
}

pub(super) fn client<'a>(
    session: &'a Session,
    store: &'a dyn Store,
    rank_of: &'a (dyn Fn(u64) -> u64 + Sync),
    durability: Durability,
    writers: Writers,
) -> Client<'a> {
    Client {
        store,
        ledger: &session.ledger,
        shape: session.shape,
        durability,
        rank_of,
        writers,
        chunk: Chunk::default(),
    }
}

/// What the threads of a run share.
struct Plan {
    workload: Workload,
    durability: Durability,
    /// Operations of each thread.
    shares: Vec<u64>,
    batch: u64,
    zipf: Option<Zipf>,
    hot_ranges: Option<HotRanges>,
    spread: Shuffle,
}

impl Plan {
    fn new(session: &Session, workload: Workload) -> Self {
        let config = &session.config;
        let records = match workload {
            Workload::FillSync => (config.records / 100).max(u64::from(config.threads)),
            _ => config.records,
        };
        let batch = if workload == Workload::FillBatch { config.batch_records } else { 1 };
        let threads = u64::from(config.threads);
        let shares = if workload.fills() || workload == Workload::Delete {
            // Every record once: a thread's are those whose index leaves its number as remainder.
            split(records, threads).map(|records| records.div_ceil(batch)).collect()
        } else if workload.whole_scan().is_some() {
            vec![1; config.threads as usize]
        } else if workload == Workload::Compact {
            // One client asks for it, whatever others there are.
            (0..threads).map(|thread| u64::from(thread == 0)).collect()
        } else {
            split(config.ops, threads).collect()
        };
        let skewed = matches!(workload.mix().choice, Choice::Zipfian | Choice::Latest);
        Plan {
            workload,
            durability: if workload == Workload::FillSync { Durability::Synced } else { config.durability },
            shares,
            batch,
            zipf: skewed.then(|| Zipf::new(config.records, Zipf::THETA)),
            hot_ranges: (workload == Workload::MixGraph)
                .then(|| HotRanges::new(config.records, config.run_seed)),
            spread: Shuffle::new(config.records, config.run_seed),
        }
    }

    fn source<'a>(&'a self, session: &Session, thread: u64) -> Source<'a> {
        let threads = u64::from(session.config.threads);
        Source {
            mix: self.workload.mix(),
            rng: Rng::new(session.config.run_seed, thread),
            records: session.config.records,
            thread,
            threads,
            batch: self.batch,
            // Loaded indices are taken: inserts go on after them. A pass over all records begins at the first.
            next: if self.workload == Workload::Delete { 0 } else { session.inserted.div_ceil(threads) },
            zipf: self.zipf.as_ref(),
            hot_ranges: self.hot_ranges.as_ref(),
            spread: &self.spread,
        }
    }
}

/// `total` in as many nearly equal parts.
fn split(total: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| total / parts + u64::from(part < total % parts))
}

#[derive(Default)]
struct Sum {
    latency: Latency,
    records: u64,
    bytes: u64,
    inserted: u64,
    background_ops: u64,
    elapsed: Duration,
    /// What each whole scan saw.
    passes: Vec<Pass>,
}

fn run_threads(
    session: &Session,
    store: &dyn Store,
    plan: &Plan,
    progress: &Progress,
) -> Result<Sum, BenchError> {
    let threads = u64::from(session.config.threads);
    let stop = AtomicBool::new(false);
    let fronts: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(session.inserted)).collect();
    let reads_only = plan.workload.only_reads() && plan.workload.whole_scan().is_none();
    let shared = Shared { session, store, plan, progress, stop: &stop, fronts: &fronts };
    let start = meter::now();
    let (parts, elapsed, background) = std::thread::scope(|scope| {
        let shared = &shared;
        let writer = plan.workload.has_background_writer().then(|| scope.spawn(move || shared.background()));
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || shared.worker(thread))).collect();
        let parts: Vec<_> = workers.into_iter().map(join).collect();
        let elapsed = start.elapsed();
        shared.stop.store(true, Ordering::Release);
        (parts, elapsed, writer.map(join))
    });
    let mut sum = Sum { background_ops: background.transpose()?.unwrap_or(0), elapsed, ..Sum::default() };
    for part in parts {
        let part = part?;
        sum.latency.merge(&part.latency);
        sum.records += part.records;
        sum.bytes += part.bytes;
        sum.passes.extend(part.passes);
        if reads_only && threads == 1 {
            sum.elapsed = part.elapsed;
        }
    }
    sum.inserted = fronts.iter().map(|front| front.load(Ordering::Acquire)).max().unwrap_or(0);
    Ok(sum)
}

fn join<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Shared<'a> {
    session: &'a Session,
    store: &'a dyn Store,
    plan: &'a Plan,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    /// For each thread, the insertion index that it will take next: all its lower ones are acknowledged.
    fronts: &'a [AtomicU64],
}

/// Operations of the background writer between two looks at whether it is to stop.
const BACKGROUND_OPS: u64 = 64;

impl Shared<'_> {
    /// One client thread from its first operation to its last.
    fn worker(&self, thread: u64) -> Result<Sum, BenchError> {
        let session = self.session;
        let threads = u64::from(session.config.threads);
        let rank_of = |index| session.rank_of(index);
        let writers = match self.plan.workload.only_reads() {
            true => Writers::Nobody,
            false if threads > 1 || self.plan.workload.has_background_writer() => Writers::Others,
            false => Writers::Itself,
        };
        if self.plan.workload == Workload::Compact {
            return if self.plan.shares[thread as usize] == 0 { Ok(Sum::default()) } else { self.compact() };
        }
        let mut client = client(session, self.store, &rank_of, self.plan.durability, writers);
        if let Some(direction) = self.plan.workload.whole_scan() {
            return self.scan_all(&client, direction);
        }
        let done = self.work(&mut client, thread);
        if done.is_err() {
            self.stop.store(true, Ordering::Release);
        }
        done
    }

    /// All operations of a client thread, chunk by chunk.
    fn work(&self, client: &mut Client<'_>, thread: u64) -> Result<Sum, BenchError> {
        let threads = u64::from(self.session.config.threads);
        let mut source = self.plan.source(self.session, thread);
        let mut sum = Sum::default();
        let mut left = self.plan.shares[thread as usize];
        while left > 0 && !self.stop.load(Ordering::Relaxed) {
            let before = left;
            while left > 0 && !client.is_full() {
                let front = self.front(thread, source.next * threads + thread);
                client.prepare(source.next(front, client.rank_of));
                left -= 1;
            }
            sum.elapsed += client.perform()?;
            self.fronts[thread as usize].store(source.next * threads + thread, Ordering::Release);
            client.check(|done| {
                sum.latency.record(done.latency);
                sum.records += done.records;
                sum.bytes += done.bytes;
            })?;
            self.progress.add(before - left);
        }
        Ok(sum)
    }

    /// One client thread whose work is a whole scan.
    fn scan_all(&self, client: &Client<'_>, direction: Direction) -> Result<Sum, BenchError> {
        let (latency, pass) = client.scan_all(direction)?;
        self.progress.add(1);
        let mut sum = Sum { records: pass.records, bytes: pass.bytes, passes: vec![pass], ..Sum::default() };
        sum.latency.record(latency);
        Ok(sum)
    }

    /// The one client that asks for a compaction. What goes in are all versions that were written.
    fn compact(&self) -> Result<Sum, BenchError> {
        let start = meter::now();
        self.store.compact()?;
        let latency = start.elapsed();
        self.progress.add(1);
        let Config { records, key_bytes, value_bytes, .. } = &self.session.config;
        let records = records + self.session.rewritten;
        let bytes = records * (key_bytes + value_bytes) as u64;
        let mut sum = Sum { records, bytes, ..Sum::default() };
        sum.latency.record(latency);
        Ok(sum)
    }

    /// Overwrites records, unmeasured, until the clients are done; owns all records.
    fn background(&self) -> Result<u64, BenchError> {
        let session = self.session;
        let rank_of = |index| session.rank_of(index);
        let mut client = client(session, self.store, &rank_of, self.plan.durability, Writers::Others);
        let mut rng = Rng::new(session.config.run_seed, u64::MAX);
        let mut ops = 0;
        let at_once =
            session.config.write_rate.map_or(BACKGROUND_OPS, |rate| (rate / 1000).clamp(1, BACKGROUND_OPS));
        let start = meter::now();
        while !self.stop.load(Ordering::Acquire) {
            if let Some(rate) = session.config.write_rate {
                // What a slow store left undone is made up for as soon as it can be: the clients of a service do not go away.
                let due = Duration::from_secs_f64(ops as f64 / rate as f64);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a client waits for its own time and not the database's"
                )]
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            for _ in 0..at_once {
                client.prepare(Op::Update(session.rank_of(rng.below(session.config.records))));
            }
            let done = client.perform().and_then(|_| client.check(|_| ops += 1));
            if let Err(error) = done {
                self.stop.store(true, Ordering::Release);
                return Err(error);
            }
        }
        Ok(ops)
    }

    /// All insertion indices below this are acknowledged when a thread comes to what it makes ready now; `own` is the one that it takes next.
    fn front(&self, thread: u64, own: u64) -> u64 {
        if self.plan.workload.mix().choice != Choice::Latest {
            return self.session.inserted;
        }
        let others = self.fronts.iter().enumerate().filter(|(other, _)| *other as u64 != thread);
        let lowest = others.map(|(_, front)| front.load(Ordering::Acquire)).fold(own, u64::min);
        lowest.max(self.session.inserted)
    }
}
