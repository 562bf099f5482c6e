//! What a table holds, as shares of the keys in its range; and what is left when tables are merged.
//!
//! All keys lie evenly over the numbers of 64 bits (the keys of tables, big-endian). They are divided into *classes* of equal popularity, each of
//! them even over all numbers as well. Of each class a table holds a random share of the keys in its range, independent of what other tables
//! hold. So a merge needs no keys: of each stretch between the ends of tables, and of each class, it holds the share that any input holds, the
//! newest version winning.

use std::collections::HashMap;
use std::sync::Arc;
use terrace_compaction::{
    CutOptions, OlderTables, Output, OutputCutter, SeqNo, Shape, ShapeError, TableId, TableMeta, Task,
    oldest_tombstone,
};

/// How many numbers of 64 bits there are.
pub(crate) const SPACE: f64 = 18_446_744_073_709_551_616.0;

/// The share of the keys of a class whose newest version in a table is a value, and whose newest is a tombstone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) values: f64,
    pub(crate) tombstones: f64,
}

impl Held {
    /// What both hold together when `self` is the newer.
    fn over(self, older: Held) -> Held {
        let untouched = (1.0 - self.values - self.tombstones).max(0.0);
        Held {
            values: self.values + untouched * older.values,
            tombstones: self.tombstones + untouched * older.tombstones,
        }
    }
}

/// The keys, as a model: how many there are of each class, and what a version of one takes.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Keys of each class.
    pub(crate) classes: Vec<f64>,
    pub(crate) value_entry_bytes: f64,
    pub(crate) tombstone_entry_bytes: f64,
}

impl Keys {
    /// Versions, and of them tombstones, that a stretch of this width holds.
    fn entries(&self, width: f64, held: &[Held]) -> (f64, f64) {
        let share = width / SPACE;
        let mut sums = (0.0, 0.0);
        for (keys, held) in self.classes.iter().zip(held) {
            sums.0 += share * keys * (held.values + held.tombstones);
            sums.1 += share * keys * held.tombstones;
        }
        sums
    }

    fn bytes(&self, entries: f64, tombstones: f64) -> f64 {
        (entries - tombstones) * self.value_entry_bytes + tombstones * self.tombstone_entry_bytes
    }
}

/// A part of the keys with what is held of each class.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) smallest: u64,
    pub(crate) largest: u64,
    pub(crate) held: Vec<Held>,
}

/// Where a key lies.
pub(crate) fn position(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

/// What a table has from the flush or merge that it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) at_unix_seconds: u64,
    pub(crate) oldest_tombstone: Option<u64>,
    /// Numbers of the oldest and the newest flush that it holds something of, which stand for the sequence numbers of versions.
    pub(crate) seqnos: (SeqNo, SeqNo),
}

impl Birth {
    /// Of the outputs of a merge of these.
    pub(crate) fn of_merge(inputs: &[Arc<TableMeta>], at_unix_seconds: u64) -> Self {
        let least = inputs.iter().map(|table| table.seqno_min).min().unwrap_or_default();
        let greatest = inputs.iter().map(|table| table.seqno_max).max().unwrap_or_default();
        Birth { at_unix_seconds, oldest_tombstone: oldest_tombstone(inputs), seqnos: (least, greatest) }
    }
}

/// Makes the description of a table.
pub(crate) fn describe(id: u64, piece: &Piece, keys: &Keys, birth: Birth) -> Arc<TableMeta> {
    let width = (piece.largest - piece.smallest) as f64 + 1.0;
    let (entries, tombstones) = keys.entries(width, &piece.held);
    let bytes = keys.bytes(entries, tombstones).round().max(1.0) as u64;
    let sized = TableMeta::sized(id, piece.smallest.to_be_bytes(), piece.largest.to_be_bytes(), bytes);
    let entries = entries.round().max(1.0) as u64;
    let tombstones = (tombstones.round() as u64).min(entries);
    Arc::new(TableMeta {
        entries,
        tombstones,
        oldest_tombstone_unix_seconds: birth.oldest_tombstone.filter(|_| tombstones > 0),
        seqno_min: birth.seqnos.0,
        seqno_max: birth.seqnos.1,
        created_at_unix_seconds: birth.at_unix_seconds,
        ..sized
    })
}

/// How often an output is asked whether it should end, for each table's worth of bytes.
const CUT_QUESTIONS_PER_TABLE: f64 = 16.0;

/// A merge.
pub(crate) struct Merge<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) contents: &'a HashMap<TableId, Vec<Held>>,
    /// Newest first.
    pub(crate) inputs: Vec<Arc<TableMeta>>,
    /// Whether outputs may end where tables of the next level end.
    pub(crate) align_outputs: bool,
}

impl Merge<'_> {
    /// What comes out.
    pub(crate) fn run(&self, shape: &Shape, task: &Task) -> Result<Vec<Piece>, ShapeError> {
        let mut older = shape.older_tables(&task.inputs, &task.output)?;
        let grandparents = match self.align_outputs {
            true => shape.grandparents(&task.inputs, &task.output),
            false => Vec::new(),
        };
        let stretches = stretches(&self.inputs, &grandparents, &task.cuts);
        let mut outputs = Outputs {
            cutter: OutputCutter::new(CutOptions::for_target(task.target_table_bytes), grandparents)
                .with_cuts(task.cuts.clone()),
            question_bytes: task.target_table_bytes as f64 / CUT_QUESTIONS_PER_TABLE,
            keys: self.keys,
            begun: None,
            sums: vec![Held::default(); self.keys.classes.len()],
            bytes: 0.0,
            done: Vec::new(),
        };
        for stretch in &stretches {
            outputs.add(stretch, &self.held(stretch, &mut older));
        }
        Ok(outputs.finish(stretches.last().map_or(0, |last| last.largest)))
    }

    fn held(&self, stretch: &Stretch, older: &mut OlderTables) -> Vec<Held> {
        let mut result = vec![Held::default(); self.keys.classes.len()];
        for &input in &stretch.inputs {
            if let Some(held) = self.contents.get(&self.inputs[input].id) {
                result.iter_mut().zip(held).for_each(|(sum, held)| *sum = sum.over(*held));
            }
        }
        // Asked where the stretch begins: nearly all ranges begin and end together, or span it whole.
        let deletes = result.iter().any(|held| held.tombstones > 0.0);
        if deletes && !older.may_hold(&stretch.smallest.to_be_bytes()) {
            result.iter_mut().for_each(|held| held.tombstones = 0.0);
        }
        result
    }
}

/// The outputs of a merge as they come.
struct Outputs<'a> {
    cutter: OutputCutter,
    question_bytes: f64,
    keys: &'a Keys,
    /// Where the current output begins.
    begun: Option<u64>,
    /// What it holds so far: shares times widths.
    sums: Vec<Held>,
    bytes: f64,
    done: Vec<Piece>,
}

impl Outputs<'_> {
    fn add(&mut self, stretch: &Stretch, held: &[Held]) {
        let width = (stretch.largest - stretch.smallest) as f64 + 1.0;
        let (entries, tombstones) = self.keys.entries(width, held);
        let bytes = self.keys.bytes(entries, tombstones);
        if bytes <= 0.0 {
            return;
        }
        let steps = (bytes / self.question_bytes.max(1.0)).ceil().max(1.0).min(width);
        for step in 0..steps as u64 {
            let at = stretch.smallest.saturating_add(((width / steps) * step as f64) as u64);
            let at = at.min(stretch.largest);
            if self.cutter.cut_before(&at.to_be_bytes(), self.bytes as u64) {
                self.end(at - 1);
            }
            self.begun.get_or_insert(at);
            for (sum, held) in self.sums.iter_mut().zip(held) {
                sum.values += held.values * (width / steps);
                sum.tombstones += held.tombstones * (width / steps);
            }
            self.bytes += bytes / steps;
        }
    }

    fn end(&mut self, largest: u64) {
        let Some(smallest) = self.begun.take() else { return };
        let width = (largest - smallest) as f64 + 1.0;
        let mut held = core::mem::replace(&mut self.sums, vec![Held::default(); self.keys.classes.len()]);
        for held in &mut held {
            *held = Held { values: held.values / width, tombstones: held.tombstones / width };
        }
        self.done.push(Piece { smallest, largest, held });
        self.bytes = 0.0;
    }

    fn finish(mut self, largest: u64) -> Vec<Piece> {
        self.end(largest);
        self.done
    }
}

/// A stretch of keys in which the same inputs overlap.
struct Stretch {
    smallest: u64,
    largest: u64,
    /// Indices of the inputs that cover it, newest first.
    inputs: Vec<usize>,
}

/// Cuts the inputs' ranges at every beginning and end, at those of the grandparents, where outputs may be cut, and at the task's own cuts: a sweep
/// over the sorted ends.
fn stretches(inputs: &[Arc<TableMeta>], grandparents: &[Arc<TableMeta>], cuts: &[Vec<u8>]) -> Vec<Stretch> {
    // A range is [smallest, largest + 1); numbers of 128 bits, since the greatest key is u64::MAX.
    let mut events: Vec<(u128, Option<(bool, usize)>)> = Vec::new();
    let ends = |table: &TableMeta| {
        (u128::from(position(&table.smallest_key)), u128::from(position(&table.largest_key)) + 1)
    };
    for (index, table) in inputs.iter().enumerate() {
        let (from, to) = ends(table);
        events.extend([(from, Some((true, index))), (to, Some((false, index)))]);
    }
    for (from, to) in grandparents.iter().map(|table| ends(table)) {
        events.extend([(from, None), (to, None)]);
    }
    events.extend(cuts.iter().map(|cut| (u128::from(position(cut)), None)));
    events.sort_unstable();
    let (mut active, mut result): (Vec<usize>, Vec<Stretch>) = (Vec::new(), Vec::new());
    let mut from = 0;
    for (at, change) in events {
        if at > from && !active.is_empty() {
            result.push(Stretch { smallest: from as u64, largest: (at - 1) as u64, inputs: active.clone() });
        }
        from = at;
        match change {
            Some((true, index)) => {
                let place = active.partition_point(|&other| other < index);
                active.insert(place, index);
            }
            Some((false, index)) => active.retain(|&other| other != index),
            None => {}
        }
    }
    result
}

/// Where the outputs of a task go, with a name for a new run.
pub(crate) fn named(output: Output, name: impl FnOnce() -> u64) -> Output {
    match output {
        Output::NewRun { level, .. } => {
            Output::NewRun { level, run: Some(terrace_compaction::RunId(name())) }
        }
        into => into,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_version_wins_and_the_older_shines_through() {
        let newer = Held { values: 0.25, tombstones: 0.25 };
        let both = newer.over(Held { values: 0.5, tombstones: 0.5 });
        assert_eq!(both, Held { values: 0.5, tombstones: 0.5 });
        assert_eq!(newer.over(Held::default()), newer);
    }

    #[test]
    fn stretches_are_cut_at_every_end_and_list_the_newest_first() {
        let table =
            |id, from: u64, to: u64| Arc::new(TableMeta::sized(id, from.to_be_bytes(), to.to_be_bytes(), 1));
        let found =
            stretches(&[table(1, 5, 9), table(2, 0, 6)], &[table(3, 8, 20)], &[vec![0, 0, 0, 0, 0, 0, 0, 4]]);
        let found: Vec<_> = found.iter().map(|s| (s.smallest, s.largest, s.inputs.clone())).collect();
        let expected =
            [(0, 3, vec![1]), (4, 4, vec![1]), (5, 6, vec![0, 1]), (7, 7, vec![0]), (8, 9, vec![0])];
        assert_eq!(found, expected);
    }
}
