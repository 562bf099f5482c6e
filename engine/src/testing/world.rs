//! One database, its machine and its user: operations are done to it and to the model, and what both answer is compared.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use terrace_vfs::{Fault, FaultRule, MemVfs};

use super::combination::MakePicker;
use super::machine::{DIR, Machine, after_crash};
use super::model::{Entries, History, State, Written};
use super::operation::{Crash, KEYSPACES, Operation, key_bytes, value_bytes};
use super::{Counts, generate};
use crate::{Engine, Error, Iter, Keyspace, Options, Parts, Result, SimClock, Snapshot};

/// What a check found wrong.
pub(super) type Checked<T = ()> = std::result::Result<T, String>;

/// What happens once the database has become read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// The machine crashes and restarts with a disk that is well.
    Restart,
    /// The user goes on; writes are refused.
    GoOn,
}

pub(super) struct Held<P: Parts> {
    pub(super) iter: Iter<P>,
    pub(super) expected: VecDeque<(Vec<u8>, Vec<u8>)>,
}

pub(super) struct World<P: Parts> {
    pub(super) options: Options,
    picker: MakePicker<P>,
    pub(super) machine: Machine,
    pub(super) db: Option<Engine<P>>,
    pub(super) keyspaces: BTreeMap<usize, Keyspace<P>>,
    pub(super) removed: Option<Keyspace<P>>,
    /// Shared with whoever looks at the disk in the middle of an operation.
    pub(super) history: Arc<Mutex<History>>,
    pub(super) snapshots: Vec<(Snapshot<P>, BTreeMap<usize, super::model::Incarnation>, State)>,
    pub(super) held: VecDeque<Held<P>>,
    pub(super) counts: Counts,
    after_failure: AfterFailure,
    answers: u64,
    restarts: u64,
}

impl<P: Parts> World<P> {
    /// A machine with an empty disk and a database on it.
    pub(super) fn new(
        picker: &MakePicker<P>,
        options: Options,
        seed: u64,
        after_failure: AfterFailure,
    ) -> Checked<Self> {
        let mut world = World::<P>::on(MemVfs::new(), picker, options, seed, after_failure);
        world.open().map_err(|error| format!("a new database does not open: {error}"))?;
        Ok(world)
    }

    /// A machine that is not started yet.
    pub(super) fn on(
        mem: MemVfs,
        picker: &MakePicker<P>,
        options: Options,
        seed: u64,
        after_failure: AfterFailure,
    ) -> Self {
        World {
            options,
            picker: std::sync::Arc::clone(picker),
            machine: Machine::new(mem, &Arc::new(SimClock::new()), seed),
            db: None,
            keyspaces: BTreeMap::new(),
            removed: None,
            history: Arc::new(Mutex::new(History::new())),
            snapshots: Vec::new(),
            held: VecDeque::new(),
            counts: Counts::default(),
            after_failure,
            answers: 0,
            restarts: seed,
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database and the keyspaces that it has.
    pub(super) fn open(&mut self) -> Result<()> {
        let db = self.machine.open::<P>(&self.picker, &self.options)?;
        for name in db.keyspaces() {
            let slot = KEYSPACES.iter().position(|&known| known == name);
            let slot = slot.ok_or_else(|| Error::InvalidArgument(format!("an invented keyspace {name}")))?;
            self.keyspaces.insert(slot, db.keyspace(&name)?);
        }
        self.db = Some(db);
        Ok(())
    }

    pub(super) fn db(&self) -> Checked<&Engine<P>> {
        self.db.as_ref().ok_or_else(|| "the database is not open".to_owned())
    }

    /// What happened so far, in a number.
    pub(super) fn fingerprint(&self) -> u64 {
        self.answers.rotate_left(9) ^ self.machine.mem.operations()
    }

    /// What reads have answered so far, in a number.
    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    pub(super) fn answer(&mut self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.answers, what).hash(&mut hasher);
        self.answers = hasher.finish();
    }

    /// A failure is fine when the machine made one.
    pub(super) fn settle<T>(&self, result: Result<T>) -> Checked<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.machine.faults.injected() > 0 => Ok(None),
            Err(error) => Err(format!("failed without a fault: {error}")),
        }
    }

    /// Whether a failure has made the database read-only.
    pub(super) fn has_failed(&self) -> bool {
        self.db.as_ref().is_some_and(|db| db.failure().is_some())
    }

    /// Does one operation.
    pub(super) fn step(&mut self, operation: &Operation) -> Checked {
        self.counts.operations += 1;
        if self.db.is_none() {
            // It did not open again under a fault: nothing can be done to it.
            return Ok(());
        }
        self.apply(operation)?;
        if self.after_failure == AfterFailure::Restart
            && let Some(cause) = self.db()?.failure()
        {
            if self.machine.faults.injected() == 0 {
                return Err(format!("read-only without a fault: {cause}"));
            }
            self.machine.faults.clear();
            self.check_readable()?;
            self.restarts = self.restarts.wrapping_add(1);
            let hows = [Crash::Kill, Crash::LoseUnsynced, Crash::Mixed(self.restarts)];
            self.crash(hows[self.restarts as usize % 3], None)?;
        }
        Ok(())
    }

    fn apply(&mut self, operation: &Operation) -> Checked {
        match operation {
            Operation::Write { id, changes, durability, single } => {
                let incarnations = changes.iter().map(|change| self.history().incarnation(change.slot));
                let incarnations: Vec<_> = incarnations.collect();
                let written: Vec<(usize, Written)> = changes
                    .iter()
                    .zip(incarnations)
                    .enumerate()
                    .filter_map(|(index, (change, incarnation))| {
                        let value = change.value_bytes.map(|len| value_bytes(*id, index, len));
                        Some((change.slot, (incarnation?, key_bytes(change.key), value)))
                    })
                    .collect();
                self.write(written, *durability, *single)
            }
            Operation::Refused => self.refused(),
            Operation::Get { slot, key } => self.get(*slot, &key_bytes(*key)),
            Operation::Scan => self.scan(),
            Operation::Range { slot, from, to, seed } => {
                self.range(*slot, key_bytes(*from), key_bytes(*to), *seed)
            }
            Operation::Prefix { slot, key, bytes } => self.prefix(*slot, &key_bytes(*key)[..*bytes.min(&4)]),
            Operation::OpenIterator { slot, seek } => self.open_iterator(*slot, key_bytes(*seek)),
            Operation::StepIterator { steps } => self.step_iterator(*steps),
            Operation::Snapshot => self.snapshot(),
            Operation::ReadSnapshot { which, slot, key } => {
                self.read_snapshot(*which, *slot, &key_bytes(*key))
            }
            Operation::Flush => self.durable_call(|db| db.flush()),
            Operation::Compact => self.durable_call(|db| db.compact()),
            Operation::Sync => self.durable_call(|db| db.sync()),
            Operation::Wait => {
                let waited = self.db()?.wait_for_background();
                self.settle(waited).map(drop)
            }
            Operation::Look => self.look(),
            Operation::CreateKeyspace { slot } => self.create_keyspace(*slot),
            Operation::RemoveKeyspace { slot } => self.remove_keyspace(*slot),
            Operation::Run { jobs } => {
                (0..*jobs).for_each(|_| {
                    self.machine.executor.run_one();
                });
                Ok(())
            }
            Operation::Time { millis, back_seconds } => {
                self.machine.clock.advance(Duration::from_millis(*millis));
                self.machine.clock.set_back(Duration::from_secs(*back_seconds));
                Ok(())
            }
            Operation::Reopen { power_cut, options } => self.reopen(*power_cut, *options),
            Operation::Crash { how, again_after } => self.crash(*how, *again_after),
            Operation::Fault(fault) => {
                self.machine.break_disk(*fault);
                Ok(())
            }
        }
    }

    /// A call after whose success everything is durable.
    fn durable_call(&mut self, call: impl FnOnce(&Engine<P>) -> Result<()>) -> Checked {
        let called = call(self.db()?);
        if self.settle(called)?.is_some() {
            self.history().flushed();
        }
        Ok(())
    }

    /// Everything in the database, forward; backward must be the same.
    pub(super) fn read_all(&self) -> Checked<Result<BTreeMap<usize, Entries>>> {
        let mut all = BTreeMap::new();
        for (slot, keyspace) in &self.keyspaces {
            let forward = match keyspace.iter().collect::<Result<Vec<_>>>() {
                Ok(forward) => forward,
                Err(error) => return Ok(Err(error)),
            };
            let mut backward = match keyspace.iter().rev().collect::<Result<Vec<_>>>() {
                Ok(backward) => backward,
                Err(error) => return Ok(Err(error)),
            };
            backward.reverse();
            if forward != backward {
                return Err(format!("the two directions differ in `{}`", keyspace.name()));
            }
            if !forward.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(format!("a scan of `{}` is out of order", keyspace.name()));
            }
            let entries = forward.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec()));
            all.insert(*slot, entries.collect());
        }
        Ok(Ok(all))
    }

    /// What was acknowledged is readable, with or without the write that failed.
    pub(super) fn check_readable(&self) -> Checked {
        let found =
            self.read_all()?.map_err(|error| format!("a read-only database does not read: {error}"))?;
        self.history().readable(&found)
    }

    fn forget_handles(&mut self) {
        self.held.clear();
        self.snapshots.clear();
        self.keyspaces.clear();
        self.removed = None;
        self.db = None;
    }

    fn reopen(&mut self, power_cut: bool, options: Option<u64>) -> Checked {
        if self.has_failed() && self.after_failure == AfterFailure::GoOn {
            return Ok(());
        }
        let closed = self.db()?.close();
        if self.settle(closed)?.is_none() {
            return self.after_failed_close();
        }
        self.history().flushed();
        let db = self.db()?;
        if !matches!(db.put("k", "v"), Err(Error::Closed)) || !matches!(db.get("k"), Err(Error::Closed)) {
            return Err("a closed database does not say so".to_owned());
        }
        db.close().map_err(|error| format!("the second close: {error}"))?;
        self.forget_handles();
        self.counts.reopens += 1;
        if self.after_failure == AfterFailure::Restart {
            // A clean close needs no luck.
            let how = if power_cut { Crash::LoseUnsynced } else { Crash::Kill };
            self.reboot(after_crash(&self.machine.mem, how));
        }
        if let Some(seed) = options {
            self.options = generate::options(seed);
        }
        let opened = self.open();
        self.settle(opened)?;
        if self.db.is_none() { Ok(()) } else { self.scan() }
    }

    fn after_failed_close(&mut self) -> Checked {
        match self.after_failure {
            AfterFailure::Restart => {
                self.machine.faults.clear();
                self.crash(Crash::LoseUnsynced, None)
            }
            AfterFailure::GoOn => {
                self.forget_handles();
                Ok(())
            }
        }
    }

    pub(super) fn reboot(&mut self, mem: MemVfs) {
        self.restarts = self.restarts.wrapping_mul(31).wrapping_add(7);
        self.machine = Machine::new(mem, &self.machine.clock, self.restarts);
    }

    /// A crash, now; then recovery, which may be cut short in the same way.
    pub(super) fn crash(&mut self, how: Crash, again_after: Option<u64>) -> Checked {
        self.counts.crashes += 1;
        // The old world is dropped after its disk was copied: its locks and files are another machine's.
        let found = after_crash(&self.machine.mem, how);
        self.forget_handles();
        self.reboot(found);
        if let Some(after) = again_after {
            self.counts.crashes += 1;
            self.counts.crashes_in_recovery += 1;
            let fault = Fault::Error(std::io::ErrorKind::Other);
            self.machine.faults.add(FaultRule::new(fault).from_nth(after));
            let opened = self.open();
            self.settle(opened)?;
            let found = after_crash(&self.machine.mem, how);
            self.forget_handles();
            self.reboot(found);
        }
        self.open().map_err(|error| format!("no recovery after {how:?}: {error}"))?;
        self.check_recovered(how == Crash::Kill)
    }

    /// What recovery found must be what the promise allows.
    pub(super) fn check_recovered(&mut self, process_only: bool) -> Checked {
        let found = self.read_all()?.map_err(|error| format!("no read after recovery: {error}"))?;
        let checked = self.history().crashed(found, process_only);
        checked.map_err(|what| {
            let dropped = self.db.as_ref().map(|db| db.recovery().dropped.clone());
            format!("after crash {}: {what}; dropped: {dropped:?}", self.counts.crashes)
        })
    }

    /// Nothing that was not damaged may look damaged.
    pub(super) fn verify(&self) -> Checked {
        let verified = self.db()?.verify(|_| {});
        if self.machine.faults.injected() > 0 {
            return Ok(());
        }
        match verified {
            Ok(report) if report.is_sound() => Ok(()),
            Ok(report) => Err(format!("a sound database does not verify: {report}")),
            Err(error) => Err(format!("verify: {error}")),
        }
    }

    /// The end of a run: everything is there, now and after a close.
    pub(super) fn finish(&mut self) -> Checked {
        self.scan()?;
        self.reopen(false, None)?;
        self.machine.faults.clear();
        self.verify()?;
        self.check_folder()
    }

    /// Once background work has ended, the folder holds the live tables, one manifest, logs, and nothing else.
    pub(super) fn check_folder(&mut self) -> Checked {
        while self.machine.executor.run_one() {}
        let db = self.db()?;
        let tables = db.stats().tables;
        let files = self.machine.mem.files();
        let names: Vec<_> = files.keys().filter_map(|path| path.strip_prefix(DIR).ok()?.to_str()).collect();
        let count = |wanted: fn(&str) -> bool| names.iter().filter(|name| wanted(name)).count();
        let (sst, log) = (count(|name| name.ends_with(".sst")), count(|name| name.ends_with(".log")));
        let manifests = count(|name| name.starts_with("MANIFEST-"));
        let known = sst + log + manifests + count(|name| name == "CURRENT" || name == "LOCK");
        if sst as u64 != tables || manifests != 1 || known != names.len() {
            return Err(format!("{tables} tables are live, and the folder holds {names:?}"));
        }
        Ok(())
    }
}
