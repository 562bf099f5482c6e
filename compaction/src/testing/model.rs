//! A small tree with real versions: the slow, obvious oracle of the order law.
//!
//! Flushes bring versions with rising sequence numbers; tasks are checked, started (inputs are read and outputs made, with [`Survivors`],
//! [`OutputCutter`] and [`OlderTables`](crate::OlderTables), as an engine would) and finished later, in any order. After every change each key's versions
//! must descend from the newest run to the oldest, and every read must answer as before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrace_entry::{Cursor as _, Kind, OwnedVersion, SeqNo, VecCursor};

use crate::shape::{RunId, Shape, ShapeEdit, ShapeError, TableId, TableMeta};
use crate::task::{Output, Task, TaskKind};
use crate::{CutOptions, OutputCutter, PickContext, Survivors, oldest_tombstone};

/// A task between start and finish.
#[derive(Clone, Debug)]
struct Running {
    task: Task,
    outputs: Vec<(TableMeta, Vec<OwnedVersion>)>,
}

/// The value a reader at one sequence number gets for each key that has one: the number of the write.
type Answers = BTreeMap<Vec<u8>, u64>;

/// A small tree with real versions.
#[derive(Clone, Debug)]
pub struct ModelTree {
    shape: Shape,
    versions: BTreeMap<TableId, Vec<OwnedVersion>>,
    running: Vec<Running>,
    snapshots: Vec<SeqNo>,
    last_seqno: u64,
    last_name: u64,
    version_bytes: u64,
}

impl ModelTree {
    /// An empty tree in which each version counts as `version_bytes` bytes of file.
    #[must_use]
    pub fn new(version_bytes: u64) -> Self {
        ModelTree {
            shape: Shape::default(),
            versions: BTreeMap::new(),
            running: Vec::new(),
            snapshots: Vec::new(),
            last_seqno: 0,
            last_name: 0,
            version_bytes,
        }
    }

    /// Its shape now.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Inputs of running tasks.
    #[must_use]
    pub fn busy(&self) -> BTreeSet<TableId> {
        self.running.iter().flat_map(|running| running.task.inputs.iter().copied()).collect()
    }

    /// How many tasks run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Its clock, in seconds: goes on by one whenever a table or run is made, so that pickers that look at ages have some to look at.
    #[must_use]
    pub fn now_unix_seconds(&self) -> u64 {
        self.last_name
    }

    /// What a picker may know beside the shape, now.
    #[must_use]
    pub fn context(&self, tasks_max: usize) -> PickContext {
        PickContext {
            busy: self.busy(),
            now_unix_seconds: self.now_unix_seconds(),
            tasks_max,
            oldest_snapshot: self.snapshots.first().copied(),
            ..PickContext::default()
        }
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    /// Every tombstone in its tables, with its key.
    pub fn tombstones(&self) -> impl Iterator<Item = (&[u8], SeqNo)> {
        let versions = self.versions.values().flatten().filter(|version| version.2 == Kind::Delete);
        versions.map(|version| (version.0.as_slice(), version.1))
    }

    /// Takes a snapshot.
    pub fn take_snapshot(&mut self) {
        self.snapshots.push(SeqNo::new(self.last_seqno));
        self.snapshots.dedup();
    }

    /// Lets the oldest snapshot go.
    pub fn release_snapshot(&mut self) {
        if !self.snapshots.is_empty() {
            self.snapshots.remove(0);
        }
    }

    /// Writes these (a key, and whether it is deleted) in order and flushes them as one run; does nothing for no writes.
    ///
    /// # Panics
    ///
    /// When the tree is broken by it.
    pub fn flush(&mut self, writes: &[(Vec<u8>, bool)]) {
        let mut versions = Vec::with_capacity(writes.len());
        for (key, deleted) in writes {
            self.last_seqno += 1;
            let kind = if *deleted { Kind::Delete } else { Kind::Put };
            let value = self.last_seqno.to_le_bytes().to_vec();
            versions.push((
                key.clone(),
                SeqNo::new(self.last_seqno),
                kind,
                if *deleted { Vec::new() } else { value },
            ));
        }
        if versions.is_empty() {
            return;
        }
        versions.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let id = TableId(self.name());
        let table = Arc::new(describe(id, &versions, self.version_bytes));
        let run = Some(RunId(self.name()));
        let edit =
            ShapeEdit { removed: Vec::new(), added: Some((Output::NewRun { level: 0, run }, vec![table])) };
        self.versions.insert(id, versions);
        self.shape.apply(&edit).expect("a flush fits every shape");
        self.check();
    }

    /// Checks a task against the guard and starts it.
    ///
    /// # Errors
    ///
    /// The guard's.
    ///
    /// # Panics
    ///
    /// When what the guard let through can not be carried out.
    pub fn start(&mut self, task: &Task) -> Result<(), ShapeError> {
        self.shape.check(task, &self.busy())?;
        let outputs = match task.kind {
            TaskKind::Merge => self.merge(task),
            TaskKind::Move => {
                let tables = task.inputs.iter().map(|id| self.shape.table(*id).expect("checked"));
                tables.map(|table| ((**table).clone(), self.versions[&table.id].clone())).collect()
            }
            TaskKind::Drop => Vec::new(),
        };
        self.running.push(Running { task: task.clone(), outputs });
        Ok(())
    }

    fn merge(&mut self, task: &Task) -> Vec<(TableMeta, Vec<OwnedVersion>)> {
        let versions = task.inputs.iter().flat_map(|id| self.versions[id].clone()).collect();
        let inputs = task.inputs.iter().filter_map(|id| self.shape.table(*id));
        let oldest_tombstone = oldest_tombstone(inputs);
        let mut older = self.shape.older_tables(&task.inputs, &task.output).expect("checked");
        let grandparents = self.shape.grandparents(&task.inputs, &task.output);
        let mut cutter = OutputCutter::new(CutOptions::for_target(task.target_table_bytes), grandparents)
            .with_cuts(task.cuts.clone());
        let mut boundaries = self.snapshots.clone();
        boundaries.push(SeqNo::new(self.last_seqno));
        let mut cursor = VecCursor::new(versions);
        let Ok(()) = cursor.seek_to_first();
        let bottom = |key: &[u8]| !older.may_hold(key);
        let mut survivors = Survivors::new(cursor, &boundaries, bottom).zero_seqnos(true);
        let (mut outputs, mut current) = (Vec::new(), Vec::new());
        while let Ok(Some(entry)) = survivors.next() {
            let file_bytes = self.version_bytes.saturating_mul(current.len() as u64);
            if cutter.cut_before(entry.key.user_key, file_bytes) {
                outputs.push(core::mem::take(&mut current));
            }
            let key = entry.key;
            current.push((key.user_key.to_vec(), key.seqno, key.kind, entry.value.to_vec()));
        }
        outputs.push(current);
        outputs.retain(|versions: &Vec<OwnedVersion>| !versions.is_empty());
        let bytes = self.version_bytes;
        let mut named = Vec::with_capacity(outputs.len());
        for versions in outputs {
            let mut table = describe(TableId(self.name()), &versions, bytes);
            table.oldest_tombstone_unix_seconds = oldest_tombstone.filter(|_| table.tombstones > 0);
            named.push((table, versions));
        }
        named
    }

    /// Finishes the running task of that number (in order of start).
    ///
    /// # Panics
    ///
    /// When its result does not fit the shape any more, breaks an invariant or the order law, or changes what a reader gets (a drop may make values
    /// vanish, but not bring old ones back).
    pub fn finish(&mut self, number: usize) {
        let Running { task, outputs } = self.running.remove(number);
        let inputs = task.inputs.iter().flat_map(|id| &self.versions[id]);
        let keys: BTreeSet<Vec<u8>> = inputs.map(|version| version.0.clone()).collect();
        let before = self.answers(&keys);
        let output = match task.output {
            Output::NewRun { level, .. } => Output::NewRun { level, run: Some(RunId(self.name())) },
            into => into,
        };
        for id in &task.inputs {
            self.versions.remove(id);
        }
        let tables = outputs.iter().map(|(table, _)| Arc::new(table.clone())).collect();
        let edit = ShapeEdit { removed: task.inputs.clone(), added: Some((output, tables)) };
        self.versions.extend(outputs.into_iter().map(|(table, versions)| (table.id, versions)));
        let old_shape = self.shape.clone();
        if let Err(error) = self.shape.apply(&edit) {
            panic!("a checked task does not fit: {error}\n{task:?}\n{old_shape}");
        }
        self.check();
        for ((seqno, after), (_, before)) in self.answers(&keys).into_iter().zip(before) {
            let kept = match task.kind {
                TaskKind::Drop => after.iter().all(|(key, write)| before.get(key) == Some(write)),
                _ => before == after,
            };
            assert!(
                kept,
                "reads at {seqno:?} changed from {before:?} to {after:?} by\n{task:?}\n{old_shape}"
            );
        }
    }

    /// What readers at each snapshot and at the end get of these keys.
    fn answers(&self, keys: &BTreeSet<Vec<u8>>) -> Vec<(SeqNo, Answers)> {
        let readers = self.snapshots.iter().copied().chain([SeqNo::MAX]);
        let answer =
            |seqno| keys.iter().filter_map(|key| Some((key.clone(), self.read(key, seqno)?))).collect();
        readers.map(|seqno| (seqno, answer(seqno))).collect()
    }

    /// The number of the write that a reader of `key` at `seqno` sees, from the newest run on, as a look-up goes: the first run with a version
    /// decides.
    fn read(&self, key: &[u8], seqno: SeqNo) -> Option<u64> {
        let mut covering = self.shape.runs().flat_map(|(_, run)| run.overlapping(key, key));
        let newest = covering.find_map(|table| {
            let versions = &self.versions[&table.id];
            let at = versions.partition_point(|version| (version.0.as_slice(), seqno) < (key, version.1));
            versions.get(at).filter(|version| version.0 == key)
        })?;
        (newest.2 == Kind::Put).then(|| newest.3.as_slice().try_into().map_or(0, u64::from_le_bytes))
    }

    /// Checks the invariants and, version by version, the order law.
    ///
    /// # Panics
    ///
    /// When one is broken.
    pub fn check(&self) {
        self.shape.check_invariants().expect("invariants hold");
        let mut last: BTreeMap<&[u8], SeqNo> = BTreeMap::new();
        for (level, table) in self.shape.tables() {
            for (key, seqno, _, _) in &self.versions[&table.id] {
                let newer = last.insert(key, *seqno);
                let in_order = newer.is_none_or(|newer| newer > *seqno);
                let key = key.escape_ascii();
                assert!(
                    in_order,
                    "key {key}: {seqno:?} in level {level} lies under {newer:?}\n{}",
                    self.shape
                );
            }
        }
    }
}

fn describe(id: TableId, versions: &[OwnedVersion], version_bytes: u64) -> TableMeta {
    let bytes = version_bytes.saturating_mul(versions.len() as u64);
    let (smallest, largest) = (&versions[0].0, &versions[versions.len() - 1].0);
    TableMeta {
        entries: versions.len() as u64,
        // The name that was given last is the time: see `ModelTree::now_unix_seconds`.
        created_at_unix_seconds: id.0,
        tombstones: versions.iter().filter(|version| version.2 == Kind::Delete).count() as u64,
        seqno_min: versions.iter().map(|version| version.1).min().unwrap_or_default(),
        seqno_max: versions.iter().map(|version| version.1).max().unwrap_or_default(),
        ..TableMeta::sized(id.0, smallest, largest, bytes)
    }
}
