use super::client::{Done, Writers};
use super::run::client;
use super::*;
use crate::meter::{self, Progress, Usage};
use crate::store::faulty::{FaultyStore, Lie};
use crate::store::{
    BatchWrite, Direction, Durability, MemoryFactory, MemoryStore, Store, StoreFactory, StoreResult,
    StoreStats, Visitor,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn config(threads: u32) -> Config {
    Config { records: 2_000, ops: 3_000, threads, batch_records: 7, ..Config::default() }
}

fn run_on(store: &dyn Store, workload: Workload, config: &Config) -> Result<Outcome, BenchError> {
    let progress = Progress::new(true);
    let mut session = Session::new(config, workload)?;
    if !workload.fills() {
        load(&mut session, store, &progress)?;
    }
    run(&mut session, store, workload, &progress)
}

fn count(store: &dyn Store) -> u64 {
    store.scan_all(Direction::Forward, &mut |_, _| {}).expect("a map can be read")
}

#[test]
fn every_workload_passes_on_an_honest_store_with_one_thread_and_with_three() {
    for threads in [1, 3] {
        for workload in Workload::ALL.iter().filter(|workload| !workload.kills()) {
            let store = MemoryStore::default();
            let outcome = run_on(&store, *workload, &config(threads));
            let outcome = outcome.unwrap_or_else(|error| panic!("{} by {threads}: {error}", workload.name()));
            assert_eq!(outcome.ops, outcome.latency.count());
            assert!(outcome.ops > 0, "{}", workload.name());
        }
    }
}

#[test]
fn fills_write_each_record_once() {
    for threads in [1, 3, 8] {
        for workload in [Workload::FillSequential, Workload::FillRandom, Workload::FillBatch] {
            let store = MemoryStore::default();
            let outcome = run_on(&store, workload, &config(threads)).expect("a map does not lie");
            assert_eq!((count(&store), outcome.records), (2_000, 2_000), "{} by {threads}", workload.name());
        }
    }
}

#[test]
fn deletes_leave_nothing() {
    for threads in [1, 3] {
        let store = MemoryStore::default();
        run_on(&store, Workload::Delete, &config(threads)).expect("a map does not lie");
        assert_eq!(count(&store), 0);
    }
}

#[test]
fn whole_scans_touch_every_record_in_each_thread() {
    let outcome =
        run_on(&MemoryStore::default(), Workload::ScanBackward, &config(2)).expect("a map does not lie");
    assert_eq!((outcome.ops, outcome.records), (2, 4_000));
}

#[test]
fn a_whole_scan_is_measured_without_the_pass_that_checks_it() {
    const CHECK: Duration = Duration::from_millis(30);
    for workload in [Workload::ScanForward, Workload::ScanBackward] {
        let mut store = FaultyStore::new(Lie::Nothing);
        let progress = Progress::new(true);
        let mut session = Session::new(&config(1), workload).expect("the sizes go together");
        load(&mut session, &store, &progress).expect("a map does not lie");
        let before_check = Arc::new(OnceLock::new());
        let notes = Arc::clone(&before_check);
        let (start, usage) = (meter::now(), Usage::begin());
        store.before_scan = Some(Box::new(move |scan| {
            if scan == 1 {
                notes.set((start.elapsed(), usage.end().processor())).expect("there is one check");
                let (check, usage) = (meter::now(), Usage::begin());
                while check.elapsed() < CHECK || usage.end().processor().is_some_and(|time| time < CHECK) {}
            }
        }));
        let outcome = run(&mut session, &store, workload, &progress).expect("a map does not lie");
        // The run begins after `start`: what it measured ends before the check begins, or is longer than all this.
        let (elapsed, processor) = before_check.get().expect("the scan was checked");
        assert!(outcome.elapsed <= *elapsed, "{:?} of {elapsed:?}", outcome.elapsed);
        assert!(outcome.usage.processor() <= *processor, "{:?} of {processor:?}", outcome.usage);
    }
}

/// Counts what is asked of it.
#[derive(Default)]
struct Counting {
    store: MemoryStore,
    gets: AtomicU64,
    scans: AtomicU64,
    tables: Option<u64>,
}

impl Store for Counting {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        self.store.put(key, value, durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        self.store.delete(key, durability)
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        self.store.write_batch(writes, durability)
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.store.get(key, visit)
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        self.store.scan_from(from, count, visit)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.store.scan_all(direction, visit)
    }

    fn flush(&self) -> StoreResult<()> {
        self.store.flush()
    }

    fn wait_idle(&self) -> StoreResult<()> {
        self.store.wait_idle()
    }

    fn compact(&self) -> StoreResult<()> {
        self.store.compact()
    }

    fn stats(&self) -> StoreStats {
        StoreStats { tables: self.tables, ..self.store.stats() }
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}

#[test]
fn a_warm_run_begins_when_everything_was_read_once() {
    use Workload::{Delete, FillRandom, Overwrite, ReadRandom, ScanBackward, SeekNext10, YcsbC, YcsbE};
    for (workload, reads, scans) in [
        (ReadRandom, 2_000, 0),
        (YcsbC, 2_000, 0),
        (SeekNext10, 2_000, 1),
        (YcsbE, 2_000, 1),
        (ScanBackward, 2_000, 1),
        (Overwrite, 0, 0),
        (Delete, 0, 0),
        (FillRandom, 0, 0),
    ] {
        let [cold, warm] = [false, true].map(|warm| {
            let store = Counting::default();
            let outcome =
                run_on(&store, workload, &Config { warm, ..config(1) }).expect("a map does not lie");
            assert_eq!(outcome.warm, warm && workload.reads(), "{}", workload.name());
            (store.gets.into_inner(), store.scans.into_inner(), outcome.ops, outcome.records, outcome.bytes)
        });
        assert_eq!((warm.0 - cold.0, warm.1 - cold.1), (reads, scans), "{}", workload.name());
        assert_eq!((warm.2, warm.3, warm.4), (cold.2, cold.3, cold.4), "{}", workload.name());
    }
}

#[test]
fn a_lie_told_while_warming_is_found() {
    let store = FaultyStore::new(Lie::FlipsBit);
    let result = run_on(&store, Workload::ScanForward, &Config { warm: true, ..config(1) });
    assert!(matches!(result, Err(BenchError::Wrong { .. })), "{result:?}");
}

#[test]
fn a_read_from_the_memtable_has_as_many_records_as_fill_half_of_it() {
    let records = |memtable_bytes| Config { memtable_bytes, ..config(1) }.records_for(Workload::ReadMemtable);
    assert_eq!((records(36_000), records(64 << 20), records(0)), (100, 2_000, 1));
    let outcome = run_on(
        &MemoryStore::default(),
        Workload::ReadMemtable,
        &Config { memtable_bytes: 36_000, ..config(2) },
    );
    assert_eq!(outcome.expect("a map does not lie").live_bytes, 100 * 116);
    let store = Counting { tables: Some(1), ..Counting::default() };
    let refused = run_on(&store, Workload::ReadMemtable, &config(1));
    assert!(matches!(refused, Err(BenchError::Config(_))), "{refused:?}");
}

#[test]
fn a_store_that_has_not_what_a_workload_needs_has_no_row_of_it() {
    let memory = MemoryFactory::default().parts();
    let wanting = Workload::ALL.iter().filter(|workload| !workload.needs().is_met_by(&memory));
    assert_eq!(wanting.copied().collect::<Vec<_>>(), [Workload::Compact, Workload::OpenAfterKill]);
}

#[test]
fn inserts_of_ycsb_go_on_after_the_load() {
    let store = MemoryStore::default();
    let outcome = run_on(&store, Workload::YcsbD, &config(3)).expect("a map does not lie");
    let inserted = count(&store) - 2_000;
    assert!((90..220).contains(&inserted), "{inserted} of {} operations; 5 % are asked for", outcome.ops);
}

#[test]
fn a_scan_that_shows_other_values_when_nobody_checks_them_is_found() {
    for workload in [Workload::ScanForward, Workload::ScanBackward] {
        // One thread, two passes: the first is timed, and it alone shows a value of its own.
        let result = run_on(&FaultyStore::new(Lie::ChangesFirstScan), workload, &config(1));
        assert!(matches!(result, Err(BenchError::Wrong { .. })), "{}", workload.name());
    }
}

#[test]
fn the_same_seeds_leave_the_same_store() {
    for workload in [Workload::YcsbA, Workload::YcsbF, Workload::Overwrite] {
        let content = |run_seed| {
            let store = MemoryStore::default();
            run_on(&store, workload, &Config { run_seed, ..config(2) }).expect("a map does not lie");
            let mut pairs = Vec::new();
            store
                .scan_all(Direction::Forward, &mut |k, v| pairs.push((k.to_vec(), v.to_vec())))
                .expect("a map can be read");
            pairs
        };
        assert!(content(5) == content(5), "{}", workload.name());
        assert!(content(5) != content(6), "{}", workload.name());
    }
}

#[test]
fn every_lie_is_found() {
    let caught = |lie, workload| {
        let result = run_on(&FaultyStore::new(lie), workload, &config(1));
        matches!(result, Err(BenchError::Wrong { .. }))
    };
    for workload in [Workload::ScanForward, Workload::ScanBackward] {
        for lie in [
            Lie::LosesWrite(0),
            Lie::LosesWrite(1_999),
            Lie::EndsScansEarly,
            Lie::OvercountsScans,
            Lie::RepeatsEntries,
        ] {
            assert!(caught(lie, workload), "{lie:?} in {}", workload.name());
        }
    }
    for workload in [Workload::Seek, Workload::SeekNext10, Workload::YcsbE] {
        for lie in [Lie::EndsScansEarly, Lie::OvercountsScans, Lie::RepeatsEntries] {
            assert!(caught(lie, workload), "{lie:?} in {}", workload.name());
        }
    }
    for workload in [Workload::ReadRandom, Workload::YcsbA, Workload::YcsbF, Workload::ReadWhileWriting] {
        assert!(caught(Lie::FlipsBit, workload), "{}", workload.name());
    }
    assert!(caught(Lie::InventsValue, Workload::ReadMissing));
    for workload in [Workload::YcsbA, Workload::YcsbD, Workload::YcsbF] {
        assert!(caught(Lie::ShowsPutsLate, workload), "{}", workload.name());
    }
    // Write 2,000 is the first after the load: the next read of that record must notice, in any of 3,000 zipfian operations.
    assert!((2_000..2_400).any(|write| caught(Lie::LosesWrite(write), Workload::YcsbA)));
}

/// Does these as one chunk on a store with 2,000 loaded records.
fn chunk_on(store: &dyn Store, writers: Writers, ops: &[Op]) -> Result<(Duration, Vec<Done>), BenchError> {
    let mut session = Session::new(&config(1), Workload::YcsbA)?;
    load(&mut session, store, &Progress::new(true))?;
    let rank_of = |index| session.rank_of(index);
    let mut client = client(&session, store, &rank_of, Durability::PageCache, writers);
    ops.iter().for_each(|op| client.prepare(*op));
    let stretch = client.perform()?;
    let mut done = Vec::new();
    client.check(|each| done.push(each))?;
    Ok((stretch, done))
}

#[test]
fn a_read_after_a_write_of_the_same_record_in_the_same_chunk_must_show_it() {
    const OPS: [Op; 4] = [Op::Read(5), Op::Update(5), Op::Read(6), Op::Read(5)];
    for writers in [Writers::Itself, Writers::Others] {
        assert!(chunk_on(&MemoryStore::default(), writers, &OPS).is_ok(), "{writers:?}");
        let result = chunk_on(&FaultyStore::new(Lie::ShowsPutsLate), writers, &OPS);
        assert!(matches!(result, Err(BenchError::Wrong { .. })), "{writers:?}: {result:?}");
    }
    let first = [Op::Update(5), Op::ReadModifyWrite(5), Op::Update(5)];
    assert!(chunk_on(&FaultyStore::new(Lie::ShowsPutsLate), Writers::Itself, &first).is_err());
}

#[test]
fn a_record_may_be_written_again_and_again_in_a_chunk() {
    use Op::{Delete, Read, ReadModifyWrite, Scan, Update};
    let ops = [
        Update(5),
        Update(5),
        Read(5),
        ReadModifyWrite(5),
        Read(5),
        Delete(5),
        Read(5),
        Delete(5),
        Read(5),
        Update(5),
        Update(6),
        Read(5),
        Scan { rank: 5, count: 3 },
    ];
    let (_, done) = chunk_on(&MemoryStore::default(), Writers::Itself, &ops).expect("a map does not lie");
    let records: Vec<u64> = done.iter().map(|done| done.records).collect();
    assert_eq!(records, [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
}

#[test]
fn the_latencies_of_a_chunk_are_all_of_its_stretch() {
    let ops: Vec<Op> = (0..100)
        .flat_map(|rank| [Op::Read(rank), Op::ReadMissing(rank), Op::ReadModifyWrite(rank)])
        .collect();
    let (stretch, done) =
        chunk_on(&MemoryStore::default(), Writers::Nobody, &ops[..200]).expect("a map does not lie");
    assert_eq!(done.iter().map(|done| done.latency).sum::<Duration>(), stretch);
}

#[test]
fn a_chunk_is_bounded_in_operations_and_in_bytes_and_ends_with_a_scan_where_its_client_writes() {
    let store = MemoryStore::default();
    let ops_until_full = |value_bytes, writers, op: Op| {
        let session = Session::new(&Config { value_bytes, ..config(1) }, Workload::YcsbE);
        let session = session.expect("the sizes go together");
        let rank_of = |index| session.rank_of(index);
        let mut client = client(&session, &store, &rank_of, Durability::PageCache, writers);
        (1..).find(|_| {
            client.prepare(op);
            client.is_full()
        })
    };
    let scan = Op::Scan { rank: 3, count: 100 };
    let batch = Op::Insert { first: 0, stride: 1, count: 100 };
    assert_eq!(ops_until_full(100, Writers::Nobody, Op::Read(3)), Some(1024));
    assert_eq!(ops_until_full(4_000, Writers::Nobody, Op::Read(3)), Some(262_144usize.div_ceil(4_032)));
    assert_eq!(ops_until_full(100, Writers::Nobody, scan), Some(262_144usize.div_ceil(11_616)));
    assert_eq!(ops_until_full(100, Writers::Itself, batch), Some(262_144usize.div_ceil(11_600)));
    assert_eq!(ops_until_full(4_000, Writers::Itself, Op::Update(3)), Some(262_144usize.div_ceil(4_016)));
    assert_eq!(ops_until_full(100, Writers::Itself, scan), Some(1));
    assert_eq!(ops_until_full(100, Writers::Others, scan), Some(1));
}

#[test]
fn a_run_that_reads_is_measured_without_what_the_harness_does_between() {
    for threads in [1, 3] {
        let outcome = run_on(&MemoryStore::default(), Workload::ReadRandom, &config(threads));
        let outcome = outcome.expect("a map does not lie");
        let in_store = outcome.latency.mean() * u32::try_from(outcome.ops).expect("there are few");
        // All wall time is as long as the stretches of one of the threads at least. Three digits of each latency are kept.
        assert!(outcome.elapsed >= in_store / threads * 99 / 100, "{:?} of {in_store:?}", outcome.elapsed);
        if threads == 1 {
            assert!(outcome.elapsed <= in_store * 101 / 100, "{:?} of {in_store:?}", outcome.elapsed);
        }
    }
}

#[test]
fn honest_runs_do_not_depend_on_whether_other_threads_write() {
    // Many threads on few records: readers meet writes under way all the time.
    let config = Config { records: 16, ops: 20_000, ..config(4) };
    for workload in [Workload::YcsbA, Workload::YcsbF, Workload::ReadWhileWriting] {
        run_on(&MemoryStore::default(), workload, &config).expect("a map does not lie");
    }
}

#[test]
fn the_writer_beside_readers_keeps_to_its_rate() {
    let config = Config { write_rate: Some(20_000), ..config(1) };
    // Until the clients are done some hundreds of records are due at least; without a limit a map takes a thousand times as many.
    let config = Config { ops: 100_000, ..config };
    let outcome =
        run_on(&MemoryStore::default(), Workload::ReadWhileWriting, &config).expect("a map does not lie");
    let due = outcome.elapsed.as_secs_f64() * 20_000.0;
    let written = outcome.background_ops as f64;
    assert!(written > 0.0, "the writer wrote");
    assert!(written <= 2.0 * due + 2000.0, "{written} written where {due} were due");
}

#[test]
fn mixes_have_the_shares_that_ycsb_gives_them() {
    let spread = Shuffle::new(1000, 1);
    let zipf = Zipf::new(1000, Zipf::THETA);
    for (workload, expected) in [
        (Workload::YcsbA, [("read", 50), ("update", 50)].as_slice()),
        (Workload::YcsbB, &[("read", 95), ("update", 5)]),
        (Workload::YcsbC, &[("read", 100)]),
        (Workload::YcsbD, &[("read", 95), ("insert", 5)]),
        (Workload::YcsbE, &[("scan", 95), ("insert", 5)]),
        (Workload::YcsbF, &[("read", 50), ("rmw", 50)]),
    ] {
        let mut source = source(workload, &zipf, &spread);
        let mut counts: HashMap<&str, f64> = HashMap::new();
        for _ in 0..20_000 {
            let name = match source.next(1000, |index| index) {
                Op::Read(_) => "read",
                Op::Update(_) => "update",
                Op::Insert { .. } => "insert",
                Op::Scan { count, .. } => {
                    assert!((1..=100).contains(&count));
                    "scan"
                }
                Op::ReadModifyWrite(_) => "rmw",
                other => panic!("{other:?} in {}", workload.name()),
            };
            *counts.entry(name).or_default() += 1.0 / 200.0;
        }
        assert_eq!(counts.len(), expected.len(), "{}", workload.name());
        for (name, percent) in expected {
            assert!(
                (counts[name] - f64::from(*percent)).abs() < 1.5,
                "{} {name}: {}",
                workload.name(),
                counts[name]
            );
        }
    }
}

#[test]
fn latest_reads_the_newest_most_often() {
    let (zipf, spread) = (Zipf::new(1000, Zipf::THETA), Shuffle::new(1000, 1));
    let mut source = source(Workload::YcsbD, &zipf, &spread);
    let newest = (0..10_000)
        .filter(|_| matches!(source.next(5_000, |index| index), Op::Read(index) if (4_990..5_000).contains(&index)))
        .count();
    assert!(newest > 3_000, "{newest} of 10,000 among the ten newest");
}

#[test]
fn each_thread_updates_only_its_own_records() {
    let (zipf, spread) = (Zipf::new(1000, Zipf::THETA), Shuffle::new(1000, 1));
    for thread in 0..7 {
        let mut source = Source { thread, threads: 7, ..source(Workload::YcsbA, &zipf, &spread) };
        for _ in 0..5_000 {
            if let Op::Update(rank) = source.next(1000, |index| index) {
                assert!(rank % 7 == thread && rank < 1000, "{rank}");
            }
        }
    }
}

#[test]
fn sizes_that_do_not_go_together_are_refused() {
    for config in [
        Config { records: 0, ..config(1) },
        Config { threads: 0, ..config(1) },
        Config { key_bytes: 4, ..config(1) },
        Config { value_bytes: 7, ..config(1) },
        Config { key_bytes: 8, records: 60_000_000, ..config(1) },
        Config { compressible: 1.5, ..config(1) },
    ] {
        assert!(matches!(Session::new(&config, Workload::YcsbA), Err(BenchError::Config(_))), "{config:?}");
    }
}

#[test]
fn a_store_that_is_open_can_not_be_opened_after_a_kill() {
    let store = MemoryStore::default();
    let refused = run_on(&store, Workload::OpenAfterKill, &config(1));
    assert!(matches!(refused, Err(BenchError::Config(_))), "{refused:?}");
    let mut session = Session::new(&config(1), Workload::Delete).expect("the sizes go together");
    let refused = run(&mut session, &store, Workload::OpenAfterKill, &Progress::new(true));
    assert!(matches!(refused, Err(BenchError::Config(_))), "{refused:?}");
}

fn source<'a>(workload: Workload, zipf: &'a Zipf, spread: &'a Shuffle) -> Source<'a> {
    Source {
        mix: workload.mix(),
        rng: Rng::new(9, 0),
        records: 1000,
        thread: 0,
        threads: 1,
        batch: 1,
        next: 0,
        zipf: Some(zipf),
        hot_ranges: None,
        spread,
    }
}
