//! What is made ready before writers need it: memory of memtables, and the beginning of a log.

mod sim;

use sim::Sim;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use terrace::{Durability, Engine, Options, Parts};
use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape};
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::{BTreeMemTable, Found, MemTable};
use terrace_sstable::{BlockTable, SlotCache};
use terrace_vfs::{Chore, MemVfs, Vfs};
use terrace_wal::{BufferedLog, CreateLog, LogWriter};

/// Times that a memtable was asked to take memory ahead, and times that one was asked for a successor.
static MADE_READY: AtomicUsize = AtomicUsize::new(0);
static SUCCESSORS: AtomicUsize = AtomicUsize::new(0);
/// Fresh logs whose chore was done, and fresh logs.
static PREPARED_LOGS: AtomicUsize = AtomicUsize::new(0);
static LOGS: AtomicUsize = AtomicUsize::new(0);
/// Ended logs whose last chore was done.
static ENDED_LOGS: AtomicUsize = AtomicUsize::new(0);

struct CountingMemTable(Arc<BTreeMemTable>);

impl MemTable for CountingMemTable {
    const NAME: &'static str = "counting";
    type Cursor = <BTreeMemTable as MemTable>::Cursor;

    fn new(bytes_hint: usize) -> Self {
        CountingMemTable(Arc::new(BTreeMemTable::new(bytes_hint)))
    }

    fn successor(&self, bytes_hint: usize) -> Self {
        SUCCESSORS.fetch_add(1, SeqCst);
        Self::new(bytes_hint)
    }

    fn make_ready(&self) {
        MADE_READY.fetch_add(1, SeqCst);
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        self.0.insert(key, value);
    }

    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        self.0.get(user_key, seqno)
    }

    fn cursor(self: Arc<Self>) -> Self::Cursor {
        Arc::clone(&self.0).cursor()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// A log that has a chore as long as it is fresh, and one when it ends.
#[derive(Debug)]
struct ChoreLog(BufferedLog, Option<Chore>);

impl LogWriter for ChoreLog {
    const NAME: &'static str = "chore";
    const KEEPS: bool = true;

    fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: CreateLog) -> terrace_wal::Result<Self> {
        LOGS.fetch_add(1, SeqCst);
        let chore = Chore::new(|| {
            PREPARED_LOGS.fetch_add(1, SeqCst);
        });
        Ok(ChoreLog(BufferedLog::create(vfs, path, options)?, Some(chore)))
    }

    fn append(&mut self, parts: &[&[u8]]) -> terrace_wal::Result<u64> {
        self.0.append(parts)
    }

    fn chore(&mut self) -> Option<Chore> {
        self.1.take()
    }

    fn last_chore(&mut self) -> Option<Chore> {
        Some(Chore::new(|| {
            ENDED_LOGS.fetch_add(1, SeqCst);
        }))
    }

    fn hand_over(&mut self) -> terrace_wal::Result<()> {
        self.0.hand_over()
    }

    fn sync(&mut self) -> terrace_wal::Result<()> {
        self.0.sync()
    }

    fn len_bytes(&self) -> u64 {
        self.0.len_bytes()
    }

    fn synced_bytes(&self) -> u64 {
        self.0.synced_bytes()
    }

    fn close(self) -> terrace_wal::Result<u64> {
        self.0.close()
    }
}

#[derive(Debug)]
struct NoMerges;

impl CompactionPicker for NoMerges {
    fn name(&self) -> &'static str {
        "none"
    }

    fn pick(&self, _shape: &Shape, _context: &PickContext) -> Plan {
        Plan::default()
    }
}

macro_rules! parts {
    ($name:ident: $memtable:ty, $log:ty) => {
        enum $name {}

        impl Parts for $name {
            type MemTable = $memtable;
            type Log = $log;
            type Cache = SlotCache;
            type Table = BlockTable;
            type Picker = NoMerges;

            fn picker(_options: &Options) -> NoMerges {
                NoMerges
            }
        }
    };
}

parts!(WithCountingMemTable: CountingMemTable, BufferedLog);
parts!(WithChoreLog: BTreeMemTable, ChoreLog);

/// A database whose jobs the test steps: `wait_for_background` does not wait for what nobody waits for, as a log's chore.
struct Stepped<P: Parts>(Sim, Engine<P>);

impl<P: Parts> Stepped<P> {
    fn open(memtable_bytes: usize) -> Self {
        let sim = Sim::over(&MemVfs::new());
        let builder = sim.builder::<P>().memtable_bytes(memtable_bytes).log_preallocate_bytes(0);
        let db = builder.open().unwrap();
        Stepped(sim, db)
    }

    fn settle(&self) {
        while self.0.executor.run_one() {}
    }
}

#[test]
fn memtables_take_memory_ahead_every_mebibyte_and_know_who_they_come_after() {
    let db = Stepped::<WithCountingMemTable>::open(16 << 20);
    let write = |mebibytes: u64| {
        for number in 0..mebibytes << 10 {
            db.1.put(number.to_be_bytes(), [7; 1024]).unwrap();
        }
        db.settle();
    };
    write(8);
    let ready = MADE_READY.load(SeqCst);
    assert!((7..=8).contains(&ready), "{ready} times for eight mebibytes");
    assert_eq!(SUCCESSORS.load(SeqCst), 0);
    // Sealed at 9.4 mebibytes; the next one not below 8 of its own, however fast writers are.
    write(4);
    assert_eq!(SUCCESSORS.load(SeqCst), 1, "the second memtable goes on where the first was sealed");
}

#[test]
fn a_spare_log_is_prepared_where_logs_are_not_synced_and_an_ended_one_gives_memory_back() {
    let db = Stepped::<WithChoreLog>::open(1 << 20);
    let settled = || {
        db.settle();
        (LOGS.load(SeqCst), PREPARED_LOGS.load(SeqCst), ENDED_LOGS.load(SeqCst))
    };
    // Takes the spare log, and has another made.
    let switched = |durability: Durability| {
        db.1.put_with("key", "value", durability).unwrap();
        db.1.flush().unwrap();
        settled()
    };
    let unsynced = Durability::PageCache;
    assert_eq!(settled(), (2, 0, 0), "the first log and its spare: a small database may never need them");
    assert_eq!(switched(unsynced), (3, 1, 1));
    assert_eq!(switched(unsynced), (4, 2, 2));
    assert_eq!(switched(Durability::Synced), (5, 2, 3), "a sync would write what was made ready");
    assert_eq!(switched(unsynced), (6, 3, 4), "nothing was synced since");
}
