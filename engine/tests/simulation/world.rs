//! The simulated world: one database, its machine, and its user.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::path::Path;
use std::sync::Arc;
use terrace::{
    Clock, CompactionRate, Db, DefaultParts, Durability, Error, Keyspace, Options, SimClock, SimExecutor,
    Snapshot, WriteBatch,
};
use terrace_bloom::FilterId;
use terrace_sstable::{Compression, FilterOptions};
use terrace_vfs::{CrashFate, Fault, FaultRule, FaultVfs, MemVfs, Vfs};
use terrace_wal::LogKind;

use crate::model::{Batch, History, Model, State};

const DIR: &str = "/db";
const KEYSPACES: usize = 3;

struct Machine {
    mem: MemVfs,
    faults: FaultVfs,
    executor: Arc<SimExecutor>,
}

pub(crate) struct World {
    random: StdRng,
    options: Options,
    machine: Machine,
    clock: Arc<SimClock>,
    db: Option<Db>,
    keyspaces: Vec<Keyspace<DefaultParts>>,
    history: History,
    snapshots: Vec<(Snapshot<DefaultParts>, Model)>,
    pub(crate) operations: u64,
    pub(crate) crashes: u64,
    trace: u64,
}

fn options(random: &mut StdRng) -> Options {
    let filter = match random.random_range(0..3) {
        0 => None,
        1 => Some(FilterOptions { id: FilterId::STANDARD, bits_per_key: 8.0 }),
        _ => Some(FilterOptions { id: FilterId::BLOCKED, bits_per_key: 10.0 }),
    };
    let deep = if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None };
    Options {
        memtable_bytes: 4096 << random.random_range(0..4),
        memtables_max: random.random_range(2..5),
        table_bytes: 4096 << random.random_range(0..3),
        block_bytes: 128 << random.random_range(0..5),
        restart_interval: random.random_range(1..20),
        cache_bytes: 1 << random.random_range(10..20),
        compression: vec![Compression::None, deep],
        filter,
        log: if random.random() { LogKind::Buffered } else { LogKind::Mapped },
        log_preallocate_bytes: 1 << random.random_range(10..15),
        log_recycle_files_max: random.random_range(0..3),
        log_bytes_max: 1 << random.random_range(14..18),
        background_threads: random.random_range(1..4),
        compaction_rate: random
            .random_bool(0.2)
            .then_some(CompactionRate { bytes_per_second: 100_000, quiet_hours: None }),
        ..Options::default()
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let clock = Arc::new(SimClock::new());
        let machine = Machine::new(MemVfs::new(), &clock, random.next_u64());
        let mut world = World {
            options: options(&mut random),
            random,
            machine,
            clock,
            db: None,
            keyspaces: Vec::new(),
            history: History::default(),
            snapshots: Vec::new(),
            operations: 0,
            crashes: 0,
            trace: 0,
        };
        world.open().unwrap();
        world
    }

    /// What happened so far, in a number.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.trace ^ self.history.now.hash() ^ self.machine.mem.operations()
    }

    fn open(&mut self) -> Result<(), Error> {
        let db = Db::builder(DIR)
            .options(self.options.clone())
            .vfs(Arc::new(self.machine.faults.clone()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .executor(Arc::clone(&self.machine.executor) as Arc<dyn terrace::Executor>)
            .open()?;
        let keyspaces = ["default", "one", "two"].iter().map(|name| db.keyspace(name));
        self.keyspaces = keyspaces.collect::<Result<_, _>>()?;
        self.db = Some(db);
        Ok(())
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("the database is open between steps")
    }

    pub(crate) fn step(&mut self) {
        self.operations += 1;
        match self.random.random_range(0..1000) {
            0..=549 => self.write(),
            550..=649 => self.get(),
            650..=669 => self.scan(),
            670..=689 => self.range(),
            690..=719 => self.snapshot(),
            720..=739 => self.check_snapshot(),
            740..=749 => self.run(Db::flush),
            750..=754 => self.run(Db::compact),
            755..=764 => self.run(Db::sync),
            765..=766 => self.run(Db::wait_for_background),
            767..=769 => self.reopen(),
            770..=774 => self.crash(),
            775..=778 => self.fault(),
            _ => {
                for _ in 0..self.random.random_range(1..8) {
                    self.machine.executor.run_one();
                }
            }
        }
        let failed = self.db().failure();
        if let Some(cause) = failed {
            assert!(self.machine.faults.injected() > 0, "read-only without a fault: {cause}");
            self.crash();
        }
    }

    pub(crate) fn finish(&mut self) {
        self.scan();
        self.reopen();
        self.scan();
    }

    fn key(&mut self) -> Vec<u8> {
        let number = self.random.random_range(0..300_u32);
        let length = number as usize % 7;
        format!("{number:04}{}", "k".repeat(length)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        let long = self.random.random_bool(0.02);
        let length = self.random.random_range(0..if long { 6000 } else { 60 });
        let mut value = vec![b'v'; length];
        let stamp = self.operations.to_le_bytes();
        let stamped = length.min(8);
        value[..stamped].copy_from_slice(&stamp[..stamped]);
        value
    }

    fn write(&mut self) {
        let single = self.random.random_bool(0.6);
        let count = if single { 1 } else { self.random.random_range(1..8) };
        let mut batch: Batch = Vec::new();
        for _ in 0..count {
            let keyspace = self.random.random_range(0..KEYSPACES);
            let value = if self.random.random_bool(0.25) { None } else { Some(self.value()) };
            batch.push((keyspace, self.key(), value));
        }
        let synced = self.random.random_bool(0.1);
        let durability = if synced { Durability::Synced } else { Durability::PageCache };
        let result = if let ([(keyspace, key, value)], true) = (batch.as_slice(), single) {
            let keyspace = &self.keyspaces[*keyspace];
            match value {
                Some(value) => keyspace.put_with(key, value, durability),
                None => keyspace.delete_with(key, durability),
            }
        } else {
            let mut ops = WriteBatch::new();
            for (keyspace, key, value) in &batch {
                match value {
                    Some(value) => ops.put_in(&self.keyspaces[*keyspace], key, value),
                    None => ops.delete_in(&self.keyspaces[*keyspace], key),
                };
            }
            self.db().write_with(ops, durability)
        };
        self.trace = self.trace.rotate_left(5) ^ batch.len() as u64;
        self.settle(&result);
        let acknowledged = result.is_ok();
        self.history.commit(batch, acknowledged);
        if acknowledged && synced {
            self.history.synced();
        }
    }

    /// A failure is fine when the machine made one.
    fn settle<T>(&self, result: &Result<T, Error>) {
        if let Err(error) = result {
            assert!(self.machine.faults.injected() > 0, "failed without a fault: {error}");
        }
    }

    fn get(&mut self) {
        let keyspace = self.random.random_range(0..KEYSPACES);
        let key = self.key();
        let found = self.keyspaces[keyspace].get(&key);
        self.settle(&found);
        if let Ok(found) = found {
            let expected = self.history.now.state.get(&(keyspace, key));
            assert_eq!(found.as_deref(), expected.map(Vec::as_slice));
        }
    }

    /// Everything in the database, forward; backward must be the same.
    fn read_all(&self) -> Result<State, Error> {
        let mut state = State::new();
        for (number, keyspace) in self.keyspaces.iter().enumerate() {
            let forward: Vec<_> = keyspace.iter().collect::<Result<_, _>>()?;
            let mut backward: Vec<_> = keyspace.iter().rev().collect::<Result<_, _>>()?;
            backward.reverse();
            assert_eq!(forward, backward, "the two directions differ");
            assert!(forward.is_sorted_by(|a, b| a.0 < b.0), "a scan is out of order");
            state.extend(forward.into_iter().map(|(k, v)| ((number, k.to_vec()), v.to_vec())));
        }
        Ok(state)
    }

    fn scan(&mut self) {
        let found = self.read_all();
        self.settle(&found);
        if let Ok(found) = found {
            assert_eq!(found, self.history.now.state);
        }
    }

    fn range(&mut self) {
        let keyspace = self.random.random_range(0..KEYSPACES);
        let (from, to) = (self.key(), self.key());
        let mut iter = self.keyspaces[keyspace].range(from.clone()..=to.clone());
        let state = &self.history.now.state;
        let mut expected: Vec<_> = state
            .iter()
            .filter(|((number, key), _)| *number == keyspace && *key >= from && *key <= to)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        // From both ends at random, with jobs running in between.
        loop {
            let back = self.random.random();
            let found = if back { iter.next_back() } else { iter.next() };
            if self.random.random_bool(0.3) {
                self.machine.executor.run_one();
            }
            let expected =
                if back || expected.is_empty() { expected.pop() } else { Some(expected.remove(0)) };
            match found {
                Some(Err(error)) => {
                    self.settle(&Err::<(), _>(error));
                    assert!(matches!(iter.next(), Some(Err(_))), "an iterator forgot its error");
                    return;
                }
                Some(Ok((key, value))) => assert_eq!(Some((key.to_vec(), value.to_vec())), expected),
                None => {
                    assert_eq!(expected, None);
                    return;
                }
            }
        }
    }

    fn snapshot(&mut self) {
        if self.snapshots.len() < 4 {
            let snapshot = self.db().snapshot();
            self.snapshots.push((snapshot, self.history.now.clone()));
        } else {
            let at = self.random.random_range(0..self.snapshots.len());
            self.snapshots.swap_remove(at);
        }
    }

    fn check_snapshot(&mut self) {
        if self.snapshots.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.snapshots.len());
        let keyspace = self.random.random_range(0..KEYSPACES);
        let (snapshot, model) = &self.snapshots[at];
        let expected = model.state.iter().filter(|((number, _), _)| *number == keyspace);
        let expected: Vec<_> = expected.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        let found: Result<Vec<_>, Error> =
            snapshot.range_in::<&[u8], _>(&self.keyspaces[keyspace], ..).collect();
        self.settle(&found);
        if let Ok(found) = found {
            let found: Vec<_> = found.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
            assert_eq!(found, expected);
        }
    }

    fn run(&mut self, call: impl FnOnce(&Db) -> terrace::Result<()>) {
        // The model takes none of these for a promise of durability: it may only ever claim less than the database does.
        let result = call(self.db());
        self.settle(&result);
    }

    fn forget_handles(&mut self) {
        self.snapshots.clear();
        self.keyspaces.clear();
        self.db = None;
    }

    fn reopen(&mut self) {
        let closed = self.db().close();
        self.settle(&closed);
        if closed.is_err() {
            self.crash();
            return;
        }
        self.history.synced();
        assert!(matches!(self.db().put("k", "v"), Err(Error::Closed)));
        assert!(matches!(self.keyspaces[1].get("k"), Err(Error::Closed)));
        self.forget_handles();
        if self.random.random_bool(0.3) {
            // A clean close needs no luck.
            let found = self.machine.mem.crash_losing_everything_unsynced();
            self.reboot(found);
        } else {
            let executor_seed = self.random.next_u64();
            self.machine = Machine::new(self.machine.mem.clone(), &self.clock, executor_seed);
        }
        if self.random.random_bool(0.3) {
            self.options = options(&mut self.random);
        }
        self.open().unwrap();
    }

    fn reboot(&mut self, mem: MemVfs) {
        self.machine = Machine::new(mem, &self.clock, self.random.next_u64());
    }

    /// A power cut or a kill, now; then recovery, which may be cut short in the same way.
    fn crash(&mut self) {
        let mut killed_only = true;
        for attempt in 0.. {
            self.crashes += 1;
            let kind = self.random.random_range(0..4);
            killed_only &= kind == 0;
            let mem = &self.machine.mem;
            let random = &mut self.random;
            let found = match kind {
                0 => mem.crash_keeping_everything(),
                1 => mem.crash_losing_everything_unsynced(),
                _ => mem.crash(|_| match random.random_range(0..3) {
                    0 => CrashFate::Lose,
                    1 => CrashFate::Keep,
                    _ => CrashFate::Torn(random.random_range(0..200)),
                }),
            };
            // The old world is dropped first: its locks and files are another machine's.
            self.forget_handles();
            self.reboot(found);
            if attempt < 3 && self.random.random_bool(0.3) {
                let at = self.random.random_range(0..60);
                self.machine.faults.add(FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).from_nth(at));
            }
            match self.open() {
                Ok(()) if self.machine.faults.injected() == 0 => break,
                Ok(()) => {}
                Err(error) => self.settle(&Err::<(), _>(error)),
            }
        }
        self.machine.faults.clear();
        let found = self.read_all().expect("reads after recovery");
        if let Err(what) = self.history.crashed(found, killed_only) {
            for dropped in &self.db().recovery().dropped {
                println!("dropped {dropped:?}");
            }
            panic!("after crash {}: {what}", self.crashes);
        }
    }

    /// From some operation on, every write or every operation fails; the database must end up read-only and lose nothing.
    fn fault(&mut self) {
        let at = self.random.random_range(0..20);
        let sync_only = self.random.random_bool(0.4);
        let rule = if sync_only {
            FaultRule::new(Fault::SyncLosesData)
                .when(|attempt| attempt.operation == terrace_vfs::Operation::Sync)
        } else {
            FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).when(|attempt| {
                use terrace_vfs::Operation::*;
                !matches!(attempt.operation, Read | Open | Len | List | Exists)
            })
        };
        self.machine.faults.add(rule.from_nth(at));
    }
}

impl Machine {
    fn new(mem: MemVfs, clock: &Arc<SimClock>, seed: u64) -> Self {
        let faults = FaultVfs::new(Arc::new(mem.clone()) as Arc<dyn Vfs>);
        let executor = Arc::new(SimExecutor::new(seed, Arc::clone(clock) as Arc<dyn Clock>));
        assert!(mem.exists(Path::new("/")).is_ok());
        Machine { mem, faults, executor }
    }
}
