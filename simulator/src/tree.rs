//! A large tree as metadata only.

use core::fmt;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use terrace_compaction::{
    Output, RunId, SeqNo, Shape, ShapeEdit, ShapeError, TableId, TableMeta, Task, TaskKind,
};

use crate::content::{Birth, Held, Keys, Merge, Piece, describe, named};

/// Why a simulation ended early: the picker breaks a law of its trait.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SimulateError {
    /// The guard refuses a task.
    Refused {
        /// What is wrong with it.
        error: ShapeError,
        /// The task.
        task: Box<Task>,
    },
    /// Tasks without end, while nobody wrote.
    NoEnd {
        /// Tasks carried out since the last flush.
        tasks: u64,
    },
}

impl fmt::Display for SimulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SimulateError::Refused { error, task } => write!(f, "a task was refused: {error} ({task:?})"),
            SimulateError::NoEnd { tasks } => {
                write!(f, "the picker found no end: {tasks} tasks after one flush")
            }
        }
    }
}

impl core::error::Error for SimulateError {}

/// A task between start and finish.
#[derive(Debug)]
pub(crate) struct Running {
    task: Task,
    tables: Vec<Arc<TableMeta>>,
    contents: Vec<Vec<Held>>,
    /// Whether it takes from level 0.
    pub(crate) from_level0: bool,
    /// Bytes read and to be written; none when nothing is rewritten.
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) moved_bytes: u64,
    pub(crate) dropped_bytes: u64,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) shape: Shape,
    pub(crate) keys: Keys,
    pub(crate) contents: HashMap<TableId, Vec<Held>>,
    /// Inputs of running tasks.
    pub(crate) busy: BTreeSet<TableId>,
    pub(crate) align_outputs: bool,
    last_name: u64,
}

fn sum_bytes(tables: &[Arc<TableMeta>]) -> u64 {
    tables.iter().map(|table| table.file_bytes).sum()
}

impl Tree {
    pub(crate) fn new(keys: Keys, align_outputs: bool) -> Self {
        Tree {
            shape: Shape::default(),
            keys,
            contents: HashMap::new(),
            busy: BTreeSet::new(),
            align_outputs,
            last_name: 0,
        }
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.shape.levels.iter().map(|level| level.file_bytes()).sum()
    }

    fn described(&mut self, pieces: Vec<Piece>, birth: Birth) -> (Vec<Arc<TableMeta>>, Vec<Vec<Held>>) {
        let mut result = (Vec::with_capacity(pieces.len()), Vec::with_capacity(pieces.len()));
        for piece in pieces {
            let id = self.name();
            result.0.push(describe(id, &piece, &self.keys, birth));
            result.1.push(piece.held);
        }
        result
    }

    /// Adds a run of these pieces to level 0; the bytes of its tables.
    pub(crate) fn flush(&mut self, pieces: Vec<Piece>, now: u64) -> u64 {
        let seqno = SeqNo::new(self.last_name + 1);
        let birth = Birth { at_unix_seconds: now, oldest_tombstone: None, seqnos: (seqno, seqno) };
        let (tables, contents) = self.described(pieces, birth);
        let run = Some(RunId(self.name()));
        let bytes = sum_bytes(&tables);
        self.contents.extend(tables.iter().map(|table| table.id).zip(contents));
        let edit = ShapeEdit { removed: Vec::new(), added: Some((Output::NewRun { level: 0, run }, tables)) };
        self.shape.apply(&edit).expect("a flush fits every shape");
        bytes
    }

    /// Checks a task, marks its inputs busy and works out what it will give.
    pub(crate) fn start(&mut self, task: &Task, now: u64) -> Result<Running, SimulateError> {
        let refused = |error| SimulateError::Refused { error, task: Box::new(task.clone()) };
        self.shape.check(task, &self.busy).map_err(refused)?;
        let names: BTreeSet<TableId> = task.inputs.iter().copied().collect();
        let inputs: Vec<_> =
            self.shape.tables().map(|(_, table)| table).filter(|t| names.contains(&t.id)).cloned().collect();
        let bytes = sum_bytes(&inputs);
        let arrivals = self.shape.runs_of(0).iter().flat_map(|run| &run.tables);
        let from_level0 = arrivals.into_iter().any(|table| names.contains(&table.id));
        let mut running = Running {
            task: task.clone(),
            tables: Vec::new(),
            contents: Vec::new(),
            from_level0,
            read_bytes: 0,
            written_bytes: 0,
            moved_bytes: 0,
            dropped_bytes: 0,
        };
        match task.kind {
            TaskKind::Move => {
                running.moved_bytes = bytes;
                running.contents = inputs.iter().map(|table| self.contents[&table.id].clone()).collect();
                running.tables = inputs;
            }
            TaskKind::Drop => running.dropped_bytes = bytes,
            // Any other kind reads and writes.
            _ => {
                let (keys, contents) = (&self.keys, &self.contents);
                let birth = Birth::of_merge(&inputs, now);
                let merge = Merge { keys, contents, inputs, align_outputs: self.align_outputs };
                let pieces = merge.run(&self.shape, task).map_err(refused)?;
                (running.tables, running.contents) = self.described(pieces, birth);
                running.read_bytes = bytes;
                running.written_bytes = sum_bytes(&running.tables);
            }
        }
        self.busy.extend(names);
        Ok(running)
    }

    /// Puts the outputs of a task in the place of its inputs.
    pub(crate) fn finish(&mut self, running: Running) -> Result<(), SimulateError> {
        let Running { task, tables, contents, .. } = running;
        let output = named(task.output, || self.name());
        for id in &task.inputs {
            self.busy.remove(id);
            self.contents.remove(id);
        }
        self.contents.extend(tables.iter().map(|table| table.id).zip(contents));
        let edit = ShapeEdit { removed: task.inputs.clone(), added: Some((output, tables)) };
        self.shape.apply(&edit).map_err(|error| SimulateError::Refused { error, task: Box::new(task) })
    }
}
