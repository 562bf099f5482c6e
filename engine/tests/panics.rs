//! A part that panics makes the database read-only, with the panic as its cause: nobody hangs, and nothing half done is seen.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use terrace::{
    Engine, Error, Executor, Lane, Options, Parts, Result, Step, SystemClock, ThreadPool, WriteBatch,
};
use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape};
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::{BTreeMemTable, Found, MemTable};
use terrace_sstable::{BlockTable, SlotCache};
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation};

/// Longer than what a leader inserts before it passes the lead on.
const LONG_BYTES: usize = 65 << 10;

/// Panics at the key `panic`; at `panic later` once somebody has inserted `behind`.
struct PanickyMemTable {
    inner: Arc<BTreeMemTable>,
    behind: AtomicBool,
}

impl MemTable for PanickyMemTable {
    const NAME: &'static str = "panicky";
    type Cursor = <BTreeMemTable as MemTable>::Cursor;

    fn new(bytes_hint: usize) -> Self {
        PanickyMemTable { inner: Arc::new(BTreeMemTable::new(bytes_hint)), behind: AtomicBool::new(false) }
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        assert!(key.user_key != b"panic", "planted in a memtable");
        if key.user_key == b"panic later" {
            while !self.behind.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            panic!("planted in a memtable");
        }
        self.inner.insert(key, value);
        if key.user_key == b"behind" {
            self.behind.store(true, Ordering::Release);
        }
    }

    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        self.inner.get(user_key, seqno)
    }

    fn cursor(self: Arc<Self>) -> Self::Cursor {
        Arc::clone(&self.inner).cursor()
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }
}

/// Panics as soon as there is a table, if told to.
#[derive(Debug)]
struct PanickyPicker(bool);

impl CompactionPicker for PanickyPicker {
    fn name(&self) -> &'static str {
        "panicky"
    }

    fn pick(&self, shape: &Shape, _context: &PickContext) -> Plan {
        assert!(!self.0 || shape.tables().count() == 0, "planted in a picker");
        Plan::default()
    }
}

enum Panicky {}

impl Parts for Panicky {
    type MemTable = PanickyMemTable;
    type Log = terrace_wal::BufferedLog;
    type Cache = SlotCache;
    type Table = BlockTable;
    type Picker = PanickyPicker;

    fn picker(_options: &Options) -> PanickyPicker {
        PanickyPicker(false)
    }
}

type Db = Engine<Panicky>;

fn open(vfs: &FaultVfs, picker: bool) -> Db {
    let builder = Db::builder(Path::new("/db")).vfs(Arc::new(vfs.clone())).picker(PanickyPicker(picker));
    builder.background_threads(1).log_preallocate_bytes(0).open().unwrap()
}

fn files() -> FaultVfs {
    FaultVfs::new(Arc::new(MemVfs::new()))
}

/// Runs it in a thread of its own; a test that hangs fails.
#[expect(clippy::disallowed_methods, reason = "a user's thread, which may hang")]
fn ends<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(what()));
    receiver
}

fn outcome<T>(receiver: &mpsc::Receiver<T>) -> T {
    receiver.recv_timeout(Duration::from_secs(60)).expect("it ends")
}

#[track_caller]
fn assert_read_only(db: &Db, planted: &str) {
    let error = db.put("after", "1").unwrap_err();
    let Error::ReadOnly { cause } = error else { panic!("{error}") };
    let Error::Panicked(text) = &*cause else { panic!("{cause}") };
    assert!(text.contains(planted), "{text}");
    assert_eq!(db.get("before").unwrap().as_deref(), Some(b"1".as_slice()), "reads go on");
}

#[test]
fn a_panic_in_a_lone_insert_hides_its_whole_batch() {
    let db = open(&files(), false);
    db.put("before", "1").unwrap();
    let mut batch = WriteBatch::new();
    batch.put("half", "1").put("panic", "1").put("other half", "1");
    let error = db.write(batch).unwrap_err();
    assert!(matches!(error, Error::Panicked(_)), "{error}");
    assert_read_only(&db, "planted in a memtable");
    assert_eq!(db.get("half").unwrap(), None, "half a batch is visible");
    assert_eq!(db.iter().count(), 1, "half a batch is visible");
    assert!(matches!(db.flush(), Err(Error::ReadOnly { .. })));
    assert!(matches!(db.close(), Err(Error::ReadOnly { .. })));
}

#[test]
fn a_panic_in_an_insert_wakes_the_groups_behind_it() {
    let db = open(&files(), false);
    db.put("before", "1").unwrap();
    let write = |key: &'static str| {
        let db = db.clone();
        ends(move || db.put(key, vec![1; LONG_BYTES]))
    };
    let panicking = write("panic later");
    // The log is written under the lead, so bytes in it mean that the first write has its place.
    while db.stats().log_bytes < LONG_BYTES as u64 {
        std::thread::yield_now();
    }
    let behind = write("behind");
    let error = outcome(&panicking).unwrap_err();
    assert!(matches!(error, Error::Panicked(_)), "{error}");
    let error = outcome(&behind).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert_read_only(&db, "planted in a memtable");
    assert_eq!(db.get("behind").unwrap(), None, "visible before what is in front of it");
    let closed = ends(move || db.close());
    assert!(matches!(outcome(&closed), Err(Error::ReadOnly { .. })));
}

#[test]
fn a_panic_of_the_leader_fails_its_followers() {
    let vfs = files();
    let db = open(&vfs, false);
    db.put("before", "1").unwrap();
    vfs.add(
        FaultRule::new(Fault::Call(Arc::new(|_| panic!("planted in a log"))))
            .on(Operation::Append)
            .when(|attempt| attempt.path.extension().is_some_and(|extension| extension == "log")),
    );
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let db = db.clone();
            ends(move || db.put(format!("{number}"), "1"))
        })
        .collect();
    for writer in &writers {
        let written: Result<()> = outcome(writer);
        let error = written.unwrap_err();
        assert!(matches!(error, Error::Panicked(_) | Error::ReadOnly { .. }), "{error}");
    }
    assert_read_only(&db, "planted in a log");
    assert_eq!(db.iter().count(), 1);
}

#[test]
fn a_panic_of_the_picker_leaves_a_database_to_read() {
    let vfs = files();
    let db = open(&vfs, false);
    db.put("before", "1").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    drop(db);
    let db = open(&vfs, true);
    assert_read_only(&db, "planted in a picker");
    let compacted = ends(move || db.compact());
    assert!(matches!(outcome(&compacted), Err(Error::ReadOnly { .. })));
    // Nothing is wrong with what is on disk.
    let db = open(&vfs, false);
    db.put("after", "1").unwrap();
    assert_eq!(db.iter().count(), 2);
}

#[test]
fn a_panic_while_a_file_is_removed_costs_no_thread() {
    let vfs = files();
    let db = open(&vfs, false);
    vfs.add(FaultRule::new(Fault::Call(Arc::new(|_| panic!("planted in a removal")))).on(Operation::Remove));
    let written = ends(move || {
        for round in 0..8 {
            db.put("before", "1").unwrap();
            db.put(format!("{round}"), "1").unwrap();
            db.compact().unwrap();
        }
        db.iter().count()
    });
    assert_eq!(outcome(&written), 9);
}

#[test]
fn a_job_that_panics_costs_the_pool_no_thread() {
    let pool = Arc::new(ThreadPool::new(1, Arc::new(SystemClock::new())));
    for _ in 0..8 {
        pool.spawn(Lane::Compaction, Box::new(|| panic!("planted in a job")));
    }
    let done = Arc::new(AtomicBool::new(false));
    let (set, notify) = (Arc::clone(&done), Arc::clone(&pool));
    let last = move || {
        set.store(true, Ordering::Release);
        notify.notify();
        Step::Done
    };
    pool.spawn(Lane::Compaction, Box::new(last));
    outcome(&ends(move || pool.wait(&|| done.load(Ordering::Acquire))));
}

#[test]
fn a_panic_while_a_log_is_replayed_is_an_error_and_loses_nothing() {
    let files = files();
    let db = open(&files, false);
    db.put("before", "1").unwrap();
    db.put("panic", "1").unwrap_err();
    drop(db);
    let replayed = Db::builder(Path::new("/db")).vfs(Arc::new(files.clone())).open();
    let error = replayed.map(drop).unwrap_err();
    assert!(matches!(&error, Error::Panicked(text) if text.contains("planted in a memtable")), "{error}");
    let db = terrace::Db::builder(Path::new("/db")).vfs(Arc::new(files)).open().unwrap();
    assert_eq!(db.get("before").unwrap().as_deref(), Some(b"1".as_slice()));
}
