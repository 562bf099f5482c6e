//! What a task will cost and leave behind, told from the shape alone, before anything is read.
//!
//! Bytes read are certain. Bytes written are known only from above: a merge writes no more than it reads. What it will be spared is guessed from
//! tombstones, which the shape counts: each of a newer run is taken to hide one version of an older one, and goes itself when nothing
//! older is below. Keys that were written over can not be told from new ones without reading, so where there are many the guess is too high;
//! and where a snapshot keeps versions it is too low.

use core::fmt;
use core::ops::AddAssign;
use std::sync::Arc;
use terrace_entry::SeqNo;

use crate::shape::{
    Bytes, RunId, Shape, ShapeEdit, ShapeError, TableId, TableMeta, oldest_tombstone, sum_bytes,
};
use crate::task::{Output, Task, TaskKind};

/// What a task costs, and what it is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCost {
    /// Bytes of files that are read.
    pub read_bytes: u64,
    /// The most bytes that are written.
    pub written_bytes_max: u64,
    /// Bytes that are written if each tombstone hides one older version.
    pub written_bytes_expected: u64,
    /// The most disk space that is needed beside the inputs until they are removed.
    pub transient_bytes_max: u64,
    /// Bytes by which the tree is smaller afterwards, as far as tombstones tell.
    pub freed_bytes_expected: u64,
    /// Sorted runs before: the most tables that a look-up asks.
    pub runs_before: usize,
    /// Sorted runs afterwards.
    pub runs_after: usize,
}

impl fmt::Display for TaskCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskCost { read_bytes, written_bytes_max, written_bytes_expected, .. } = *self;
        let (before, after) = (self.runs_before, self.runs_after);
        write!(f, "reads {}", Bytes(read_bytes))?;
        match written_bytes_expected == written_bytes_max {
            true => write!(f, ", writes up to {}", Bytes(written_bytes_max))?,
            false => write!(
                f,
                ", writes about {} and up to {}",
                Bytes(written_bytes_expected),
                Bytes(written_bytes_max)
            )?,
        }
        if self.transient_bytes_max > 0 {
            write!(f, ", needs up to {} meanwhile", Bytes(self.transient_bytes_max))?;
        }
        if self.freed_bytes_expected > 0 {
            write!(f, ", frees about {}", Bytes(self.freed_bytes_expected))?;
        }
        match before.cmp(&after) {
            core::cmp::Ordering::Greater => write!(f, ", a look-up asks {after} runs instead of {before}"),
            _ => write!(f, ", a look-up asks {after} runs as before"),
        }
    }
}

/// The cost of one task after another: bytes add up, space is needed once at a time, and runs are those of the first before and the last after.
impl AddAssign for TaskCost {
    fn add_assign(&mut self, next: TaskCost) {
        if *self == TaskCost::default() {
            self.runs_before = next.runs_before;
        }
        self.read_bytes = self.read_bytes.saturating_add(next.read_bytes);
        self.written_bytes_max = self.written_bytes_max.saturating_add(next.written_bytes_max);
        self.written_bytes_expected = self.written_bytes_expected.saturating_add(next.written_bytes_expected);
        self.transient_bytes_max = self.transient_bytes_max.max(next.transient_bytes_max);
        self.freed_bytes_expected = self.freed_bytes_expected.saturating_add(next.freed_bytes_expected);
        self.runs_after = next.runs_after;
    }
}

/// The inputs of a task as they stand in a shape.
struct Inputs<'a> {
    tables: Vec<&'a Arc<TableMeta>>,
    /// Versions that newer inputs' tombstones hide.
    hidden: u64,
    /// Runs of which nothing stays.
    emptied: Vec<RunId>,
}

fn part(bytes: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(part.min(whole)) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl<'a> Inputs<'a> {
    fn of(task: &Task, shape: &'a Shape) -> Result<Self, ShapeError> {
        let mut wanted = task.inputs.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let mut inputs = Inputs { tables: Vec::with_capacity(wanted.len()), hidden: 0, emptied: Vec::new() };
        let mut tombstones_above = 0_u64;
        for (_, run) in shape.runs() {
            let before = inputs.tables.len();
            inputs.tables.extend(run.tables.iter().filter(|meta| wanted.binary_search(&meta.id).is_ok()));
            let own = &inputs.tables[before..];
            let tombstones = own.iter().fold(0_u64, |sum, meta| sum.saturating_add(meta.tombstones));
            let entries = own.iter().fold(0_u64, |sum, meta| sum.saturating_add(meta.entries));
            let hidden = tombstones_above.min(entries.saturating_sub(tombstones));
            inputs.hidden = inputs.hidden.saturating_add(hidden);
            tombstones_above = (tombstones_above - hidden).saturating_add(tombstones);
            if own.len() == run.tables.len() {
                inputs.emptied.push(run.id);
            }
        }
        match inputs.tables.len() == task.inputs.len() {
            true => Ok(inputs),
            false => Err(ShapeError("an input of the task is not there".to_owned())),
        }
    }

    fn sum(&self, of: impl Fn(&TableMeta) -> u64) -> u64 {
        self.tables.iter().fold(0, |sum, table| sum.saturating_add(of(table)))
    }
}

/// What a merge keeps, if every tombstone does what it can.
#[derive(Clone, Copy)]
struct Kept {
    entries: u64,
    tombstones: u64,
    /// Of so many entries.
    whole: u64,
}

impl Task {
    fn kept(&self, shape: &Shape, inputs: &Inputs<'_>) -> Result<Kept, ShapeError> {
        let (whole, tombstones) = (inputs.sum(|meta| meta.entries), inputs.sum(|meta| meta.tombstones));
        let tombstones = tombstones.min(whole);
        let mut gone = inputs.hidden;
        let at_bottom = shape.older_tables(&self.inputs, &self.output)?.is_empty();
        if at_bottom {
            gone = gone.saturating_add(tombstones);
        }
        let entries = whole.saturating_sub(gone);
        Ok(Kept { entries, tombstones: if at_bottom { 0 } else { tombstones.min(entries) }, whole })
    }

    /// What the task would cost if it were done on this shape now. O(tables log inputs).
    ///
    /// # Errors
    ///
    /// When an input or the output run is not there.
    pub fn cost(&self, shape: &Shape) -> Result<TaskCost, ShapeError> {
        let inputs = Inputs::of(self, shape)?;
        let bytes = inputs.sum(|meta| meta.file_bytes);
        let runs_before = shape.runs().count();
        let (mut cost, comes) = match self.kind {
            TaskKind::Merge => {
                let kept = self.kept(shape, &inputs)?;
                let expected = part(bytes, kept.entries, kept.whole);
                let cost = TaskCost {
                    read_bytes: bytes,
                    written_bytes_max: bytes,
                    written_bytes_expected: expected,
                    transient_bytes_max: bytes,
                    freed_bytes_expected: bytes - expected,
                    ..TaskCost::default()
                };
                (cost, kept.entries > 0)
            }
            TaskKind::Move => (TaskCost::default(), true),
            TaskKind::Drop => (TaskCost { freed_bytes_expected: bytes, ..TaskCost::default() }, false),
        };
        let new_run = match self.output {
            Output::NewRun { .. } => true,
            Output::IntoRun { run, .. } => inputs.emptied.contains(&run),
        };
        cost.runs_before = runs_before;
        cost.runs_after = runs_before - inputs.emptied.len() + usize::from(comes && new_run);
        Ok(cost)
    }

    /// The edit that the task would be finished with, as far as the shape tells: outputs of the expected size over the ranges of the inputs, cut at the
    /// task's target. New tables and runs get the names after `name`, which is counted on.
    ///
    /// # Errors
    ///
    /// As [`Task::cost`].
    pub fn outcome(
        &self,
        shape: &Shape,
        now_unix_seconds: u64,
        name: &mut u64,
    ) -> Result<ShapeEdit, ShapeError> {
        let inputs = Inputs::of(self, shape)?;
        let kept = match self.kind {
            TaskKind::Merge => self.kept(shape, &inputs)?,
            _ => Kept { entries: 0, tombstones: 0, whole: 0 },
        };
        let tables: Vec<_> = inputs.tables.iter().map(|meta| Arc::clone(meta)).collect();
        let raw_bytes = inputs.sum(|meta| meta.raw_bytes);
        let oldest_tombstone = oldest_tombstone(&tables);
        let seqnos = (
            tables.iter().map(|meta| meta.seqno_min).min().unwrap_or(SeqNo::ZERO),
            tables.iter().map(|meta| meta.seqno_max).max().unwrap_or(SeqNo::ZERO),
        );
        Ok(self.edit(tables, name, |piece, id| {
            let share = |whole: u64| part(whole, piece.share, piece.shares);
            let entries = share(kept.entries);
            let lasting = |bytes: u64| part(share(bytes), kept.entries, kept.whole);
            let tombstones = share(kept.tombstones).min(entries);
            let table = TableMeta {
                id,
                smallest_key: piece.smallest_key,
                largest_key: piece.largest_key,
                file_bytes: lasting(piece.bytes),
                raw_bytes: lasting(raw_bytes),
                entries: entries.max(1),
                tombstones,
                seqno_min: seqnos.0,
                seqno_max: seqnos.1,
                created_at_unix_seconds: now_unix_seconds,
                oldest_tombstone_unix_seconds: oldest_tombstone.filter(|_| tombstones > 0),
            };
            (kept.entries > 0).then_some(table)
        }))
    }

    /// The edit that ends the task, whose merged outputs `made` makes of pieces.
    pub(crate) fn edit(
        &self,
        mut inputs: Vec<Arc<TableMeta>>,
        name: &mut u64,
        mut made: impl FnMut(Piece, TableId) -> Option<TableMeta>,
    ) -> ShapeEdit {
        let mut next_name = || {
            *name += 1;
            *name
        };
        let output = match self.output {
            Output::NewRun { level, .. } => Output::NewRun { level, run: Some(RunId(next_name())) },
            into => into,
        };
        let added = match self.kind {
            TaskKind::Drop => Vec::new(),
            TaskKind::Move => {
                inputs.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
                inputs
            }
            TaskKind::Merge => {
                let pieces = pieces(inputs, self.target_table_bytes).into_iter();
                pieces.filter_map(|piece| made(piece, TableId(next_name()))).map(Arc::new).collect()
            }
        };
        ShapeEdit { removed: self.inputs.clone(), added: Some((output, added)) }
    }

    /// What the task does, for people: how many tables of which levels go where.
    #[must_use]
    pub fn describe(&self, shape: &Shape) -> String {
        let of_level = |number: usize| {
            let tables = shape.levels[number].tables();
            let count = tables.filter(|meta| self.inputs.contains(&meta.id)).count();
            (count > 0).then(|| format!("{count} of level {number}"))
        };
        let tables: Vec<String> = (0..shape.levels.len()).filter_map(of_level).collect();
        let tables = tables.join(" and ");
        let level = self.output.level();
        let place = match self.output {
            Output::IntoRun { run, .. } => format!("run {run} of level {level}"),
            Output::NewRun { .. } => format!("a new run of level {level}"),
        };
        match self.kind {
            TaskKind::Merge => format!("merge {tables} into {place}"),
            TaskKind::Move => format!("move {tables} to {place}, unread"),
            TaskKind::Drop => format!("drop {tables}, unread"),
        }
    }
}

/// A stretch of the outputs of a merge.
pub(crate) struct Piece {
    pub(crate) smallest_key: Vec<u8>,
    pub(crate) largest_key: Vec<u8>,
    /// Bytes of all inputs.
    pub(crate) bytes: u64,
    /// Its part of them, of so many.
    pub(crate) share: u64,
    pub(crate) shares: u64,
}

/// Outputs that are known to be possible: split where an input begins, and each such stretch taken for equally large.
fn pieces(mut inputs: Vec<Arc<TableMeta>>, target_table_bytes: u64) -> Vec<Piece> {
    inputs.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
    let mut starts: Vec<&Vec<u8>> = inputs.iter().map(|table| &table.smallest_key).collect();
    starts.dedup();
    let (bytes, shares) = (sum_bytes(&inputs), starts.len() as u64);
    // As many tables as the target asks for, but none without a key to begin with.
    let stride = (u128::from(target_table_bytes) / u128::from((bytes / shares.max(1)).max(1)))
        .clamp(1, u128::from(shares.max(1))) as usize;
    let ends = |from: &Vec<u8>, before: Option<&&Vec<u8>>| {
        let reached = inputs.iter().map(|table| &table.largest_key).filter(|key| *key >= from);
        let reached = reached.filter(|key| before.is_none_or(|before| key < before)).max();
        // The last key known to be before the next start: at least the piece's own starts.
        let own = starts.iter().copied().filter(|start| before.is_none_or(|before| start < before)).max();
        reached.max(own).unwrap_or(from).clone()
    };
    let piece = |(index, from): (usize, &&Vec<u8>)| Piece {
        smallest_key: (*from).clone(),
        largest_key: ends(from, starts.get(index + stride)),
        bytes,
        share: stride.min(starts.len() - index) as u64,
        shares,
    };
    starts.iter().enumerate().step_by(stride).map(piece).collect()
}
