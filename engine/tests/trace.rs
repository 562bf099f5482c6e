//! Traces: what is asked of a database is what its trace says, and a trace never harms the database.

use std::path::Path;
use std::sync::Arc;
use terrace::{Clock, Db, Error, Executor, SimClock, SimExecutor, TraceOptions, WhenBusy};
use terrace_trace::{Header, Operation, Record, Report, TraceReader};
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation as FileOperation, Vfs};

const TRACE: &str = "/asked.trace";

/// A database on one thread, whose background work runs when it is told to.
struct Bench {
    disk: MemVfs,
    faults: FaultVfs,
    executor: Arc<SimExecutor>,
    db: Db,
}

impl Bench {
    fn new() -> Self {
        let disk = MemVfs::new();
        let faults = FaultVfs::new(Arc::new(disk.clone()) as Arc<dyn Vfs>);
        let clock = Arc::new(SimClock::default());
        let executor = Arc::new(SimExecutor::new(1, Arc::clone(&clock) as Arc<dyn Clock>));
        let db = Db::builder("/db")
            .memtable_bytes(16 << 10)
            .vfs(Arc::new(faults.clone()))
            .clock(clock)
            .executor(Arc::clone(&executor) as Arc<dyn Executor>)
            .open()
            .expect("an empty folder opens");
        Bench { disk, faults, executor, db }
    }

    fn settle(&self) {
        while self.executor.run_one() {}
    }

    fn trace(&self) -> (Header, Vec<Record>, Report) {
        let file = self.disk.open(Path::new(TRACE)).expect("it was made");
        let mut bytes = vec![0; file.len().expect("it has a length") as usize];
        file.read_exact_at(&mut bytes, 0).expect("it can be read");
        let mut reader = TraceReader::new(bytes.as_slice()).expect("it is a trace");
        let records = reader.by_ref().collect::<Result<_, _>>().expect("it is whole");
        (*reader.header(), records, reader.report())
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{number:08}").into_bytes()
}

#[test]
fn every_operation_is_recorded_with_its_sizes_and_its_place() -> Result<(), Error> {
    let bench = Bench::new();
    let db = &bench.db;
    db.put(key(1), [7; 50])?;
    db.start_trace(TRACE, TraceOptions::default())?;
    db.put(key(5), [0; 100])?;
    db.delete(key(3))?;
    db.get(key(1))?;
    db.get(key(4))?;
    let mut batch = terrace::WriteBatch::new();
    batch.put(key(6), "x").delete(key(2));
    db.write(&batch)?;
    assert_eq!(db.range(key(1)..).take(2).count(), 2);
    let mut iter = db.iter();
    assert_eq!(iter.by_ref().count(), 3);
    iter.seek(key(6));
    assert!(iter.next().is_some());
    drop(iter);
    drop(db.prefix("never moved"));
    let other = db.keyspace("other")?;
    other.get(key(1))?;
    let summary = db.stop_trace()?;

    let (_, records, report) = bench.trace();
    assert_eq!((summary.operations, summary.dropped), (records.len() as u64, 0));
    assert!(report.ended.is_some());
    let operations: Vec<_> = records.iter().map(|record| record.operation).collect();
    let expected = [
        Operation::Put { value_bytes: 100 },
        Operation::Delete,
        Operation::Get { value_bytes: 50 },
        Operation::GetAbsent,
        Operation::Put { value_bytes: 1 },
        Operation::Delete,
        Operation::Scan { steps: 2 },
        Operation::Scan { steps: 3 },
        Operation::Scan { steps: 1 },
        Operation::GetAbsent,
    ];
    assert_eq!(operations, expected);
    assert!(records[..6].iter().all(|record| record.key_bytes == 12));
    // By keys: 5, 3, 1, 4, 6, 2.
    let mut by_place: Vec<_> = [5, 3, 1, 4, 6, 2].into_iter().zip(&records).collect();
    by_place.sort_by_key(|(_, record)| record.place);
    assert!(by_place.is_sorted_by_key(|(key, _)| *key));
    // The same key is the same hash; in another keyspace it is another.
    assert_eq!(records[2].key_hash, records[6].key_hash);
    assert_ne!(records[2].key_hash, records[9].key_hash);
    Ok(())
}

#[test]
fn a_write_that_is_refused_is_not_recorded() -> Result<(), Error> {
    let bench = Bench::new();
    bench.db.start_trace(TRACE, TraceOptions::default())?;
    // Nothing is flushed, so memory runs out.
    let (mut written, mut refused) = (0, 0);
    for number in 0..2_000 {
        match bench.db.put_with(key(number), [7; 100], WhenBusy::Refuse) {
            Ok(()) => written += 1,
            Err(Error::Busy { .. }) => refused += 1,
            Err(error) => return Err(error),
        }
    }
    assert!(written > 0 && refused > 0, "{written} and {refused}");
    let summary = bench.db.stop_trace()?;
    assert_eq!((summary.operations, summary.dropped), (written, 0));
    Ok(())
}

#[test]
fn a_sample_holds_all_operations_on_some_keys_and_none_on_others() -> Result<(), Error> {
    let bench = Bench::new();
    bench.db.start_trace(TRACE, TraceOptions { rate: 0.25, ..TraceOptions::default() })?;
    for round in 0..3 {
        for number in 0..4_000 {
            if round == 1 {
                bench.db.get(key(number))?;
            } else {
                bench.db.put(key(number), [round; 20])?;
            }
            bench.settle();
        }
    }
    let summary = bench.db.stop_trace()?;
    let (header, records, report) = bench.trace();
    assert_eq!((summary.dropped, report.dropped), (0, 0));
    let mut times = std::collections::BTreeMap::new();
    records.iter().for_each(|record| *times.entry(record.key_hash).or_insert(0) += 1);
    assert!(times.values().all(|times| *times == 3));
    assert!((900..1_100).contains(&times.len()), "{}", times.len());
    assert!(times.keys().all(|hash| header.sampling.takes(*hash)));
    assert!(report.ended.is_some_and(|facts| facts.raw_bytes >= 32 * facts.entries && facts.file_bytes > 0));
    Ok(())
}

#[test]
fn full_buffers_leave_operations_out_and_count_them() -> Result<(), Error> {
    let bench = Bench::new();
    bench.db.start_trace(TRACE, TraceOptions { buffer_operations: 10, ..TraceOptions::default() })?;
    // Nothing takes the buffers away: background work stands still.
    for number in 0..100 {
        bench.db.get(key(number))?;
    }
    let summary = bench.db.stop_trace()?;
    assert_eq!((summary.operations, summary.dropped), (10, 90));
    let (_, records, report) = bench.trace();
    assert_eq!((records.len(), report.dropped), (10, 90));
    Ok(())
}

#[test]
fn a_trace_that_can_not_be_written_ends_and_the_database_goes_on() -> Result<(), Error> {
    let bench = Bench::new();
    bench.db.start_trace(TRACE, TraceOptions { buffer_operations: 4, ..TraceOptions::default() })?;
    let rule = FaultRule::new(Fault::Error(std::io::ErrorKind::StorageFull))
        .on(FileOperation::Append)
        .when(|attempt| attempt.path == Path::new(TRACE));
    bench.faults.add(rule);
    for number in 0..50 {
        bench.db.put(key(number), "v")?;
        bench.settle();
    }
    assert!(matches!(bench.db.stop_trace(), Err(Error::Io(_))));
    bench.db.put("after", "all")?;
    assert_eq!(bench.db.get("after")?.as_deref(), Some(b"all".as_slice()));
    assert!(bench.db.failure().is_none());
    Ok(())
}

#[test]
fn one_trace_at_a_time_and_closing_ends_it() -> Result<(), Error> {
    let bench = Bench::new();
    let all = TraceOptions::default;
    assert!(matches!(bench.db.stop_trace(), Err(Error::InvalidArgument(_))));
    for rate in [0.0, -1.0, 1.5, f64::NAN] {
        let refused = bench.db.start_trace(TRACE, TraceOptions { rate, ..all() });
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{rate}");
    }
    bench.db.start_trace(TRACE, all())?;
    assert!(matches!(bench.db.start_trace("/second.trace", all()), Err(Error::InvalidArgument(_))));
    bench.db.stop_trace()?;
    assert!(matches!(bench.db.start_trace(TRACE, all()), Err(Error::Io(_))), "the file is there");
    bench.disk.remove(Path::new(TRACE)).expect("it can be removed");
    bench.db.start_trace(TRACE, all())?;
    bench.db.put("k", "v")?;
    bench.db.close()?;
    let (_, records, report) = bench.trace();
    assert_eq!(records.len(), 1);
    assert!(report.ended.is_some());
    assert!(matches!(bench.db.start_trace("/third.trace", all()), Err(Error::Closed)));
    Ok(())
}

#[test]
fn threads_lose_nothing_that_is_not_counted() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Db::open(dir.path().join("db"))?;
    let path = dir.path().join("asked.trace");
    db.start_trace(&path, TraceOptions { buffer_operations: 64, ..TraceOptions::default() })?;
    const EACH: u64 = 5_000;
    #[expect(clippy::disallowed_methods, reason = "clients of the database")]
    let clients: Vec<_> = (0..4_u64)
        .map(|client| {
            let db = db.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    db.put(key(client * EACH + number), "v").expect("a healthy database takes writes");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("no client panics"));
    let summary = db.stop_trace()?;
    assert_eq!(summary.operations + summary.dropped, 4 * EACH);
    #[expect(clippy::disallowed_methods, reason = "a test reads what was written")]
    let bytes = std::fs::read(&path)?;
    assert_eq!(bytes.len() as u64, summary.file_bytes);
    let mut reader = TraceReader::new(bytes.as_slice())?;
    let records = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    assert_eq!((records.len() as u64, reader.report().dropped), (summary.operations, summary.dropped));
    Ok(())
}
