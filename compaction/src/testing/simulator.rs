//! A large tree as metadata only, under uniform random overwrites.
//!
//! Model: `keys` distinct keys lie evenly over all numbers of 64 bits (the keys, big-endian). A table holds a random share `p` of the keys
//! in its range, independent of other tables; a merge holds of each stretch between table ends the share `1 - Π (1 - p)`. Outputs
//! are cut by [`OutputCutter`], asked sixteen times for each table's worth of bytes. Nothing is random: a run gives the same numbers everywhere.
//!
//! Left out: tombstones, snapshots, compression, and writes during a merge. Cost: some microseconds for each table written.

use std::sync::Arc;

use crate::shape::{RunId, Shape, ShapeEdit, TableMeta};
use crate::task::{Output, Task, TaskKind};
use crate::{CompactionPicker, CutOptions, OutputCutter, PickContext};

/// Bytes that went to and fro.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SimulatorStats {
    /// Bytes written by flushes.
    pub flushed_bytes: u64,
    /// Bytes written by merges.
    pub merged_bytes: u64,
    /// Bytes of tables moved without being written.
    pub moved_bytes: u64,
    /// Tasks carried out.
    pub tasks: u64,
}

impl SimulatorStats {
    /// Bytes written by flushes and merges for each byte flushed; the log is not counted.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        (self.flushed_bytes + self.merged_bytes) as f64 / self.flushed_bytes.max(1) as f64
    }
}

/// A large tree under uniform random overwrites, driven by a picker.
#[derive(Debug)]
pub struct Simulator<'a> {
    picker: &'a dyn CompactionPicker,
    shape: Shape,
    keys: f64,
    entry_bytes: f64,
    align_outputs: bool,
    last_name: u64,
    stats: SimulatorStats,
}

/// All numbers of 64 bits.
const SPACE: f64 = 18_446_744_073_709_551_616.0;

fn position(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

impl<'a> Simulator<'a> {
    /// An empty tree that will hold `keys` keys of `entry_bytes` bytes each, value included.
    #[must_use]
    pub fn new(picker: &'a dyn CompactionPicker, keys: u64, entry_bytes: u64) -> Self {
        let (keys, entry_bytes, align_outputs) = (keys.max(1) as f64, entry_bytes.max(1) as f64, true);
        Simulator {
            picker,
            shape: Shape::default(),
            keys,
            entry_bytes,
            align_outputs,
            last_name: 0,
            stats: SimulatorStats::default(),
        }
    }

    /// Whether outputs may be cut where tables of the next level end; on unless turned off, to see what it is worth.
    #[must_use]
    pub fn align_outputs(mut self, yes: bool) -> Self {
        self.align_outputs = yes;
        self
    }

    /// The tree now.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What was counted since the start or the last [`Simulator::reset_stats`].
    #[must_use]
    pub fn stats(&self) -> SimulatorStats {
        self.stats
    }

    /// Counts from zero again, after a warm-up.
    pub fn reset_stats(&mut self) {
        self.stats = SimulatorStats::default();
    }

    /// Bytes of the tree over the bytes of its keys in their newest versions, once all were written.
    #[must_use]
    pub fn space_amplification(&self) -> f64 {
        self.shape.totals().file_bytes as f64 / (self.keys * self.entry_bytes)
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    /// Loads every key once, in order, in flushes of `flush_bytes`, compacting in between.
    pub fn load(&mut self, flush_bytes: u64) {
        let total = self.keys * self.entry_bytes;
        let flushes = (total / flush_bytes.max(1) as f64).ceil().max(1.0) as u64;
        let width = u64::MAX / flushes;
        for flush in 0..flushes {
            let largest = if flush + 1 == flushes { u64::MAX } else { (flush + 1) * width - 1 };
            self.flush(flush * width, largest, self.keys / flushes as f64);
            self.settle();
        }
    }

    /// Flushes what `flush_bytes` of random overwrites leave (of two writes to one key the newer), and compacts until the picker is content.
    pub fn overwrite(&mut self, flush_bytes: u64) {
        let writes = flush_bytes as f64 / self.entry_bytes;
        let distinct = self.keys * (1.0 - (-writes / self.keys).exp());
        self.flush(0, u64::MAX, distinct);
        self.settle();
    }

    fn flush(&mut self, smallest: u64, largest: u64, entries: f64) {
        let table = self.table(smallest, largest, entries);
        self.stats.flushed_bytes += table.file_bytes;
        let run = Some(RunId(self.name()));
        let added = Some((Output::NewRun { level: 0, run }, vec![Arc::new(table)]));
        self.shape.apply(&ShapeEdit { removed: Vec::new(), added }).expect("a flush fits every shape");
    }

    fn table(&mut self, smallest: u64, largest: u64, entries: f64) -> TableMeta {
        let bytes = (entries * self.entry_bytes).round().max(1.0) as u64;
        let table = TableMeta::sized(self.name(), smallest.to_be_bytes(), largest.to_be_bytes(), bytes);
        TableMeta { entries: entries.round().max(1.0) as u64, ..table }
    }

    /// Carries out what the picker wants until it wants nothing.
    ///
    /// # Panics
    ///
    /// When the guard refuses a task, or there is no end to them.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let plan = self.picker.pick(&self.shape, &PickContext { tasks_max: 1, ..PickContext::default() });
            let Some(task) = plan.tasks.first() else { return };
            self.shape
                .check(task, &PickContext::default().busy)
                .unwrap_or_else(|error| panic!("{error}: {task:?}"));
            self.execute(task);
        }
        panic!("the picker finds no end:\n{}", self.shape);
    }

    fn execute(&mut self, task: &Task) {
        let inputs: Vec<_> = task.inputs.iter().filter_map(|id| self.shape.table(*id)).cloned().collect();
        let output = match task.output {
            Output::NewRun { level, .. } => Output::NewRun { level, run: Some(RunId(self.name())) },
            into => into,
        };
        let bytes = |tables: &[Arc<TableMeta>]| tables.iter().map(|table| table.file_bytes).sum::<u64>();
        let tables = match task.kind {
            TaskKind::Drop => Vec::new(),
            TaskKind::Move => {
                self.stats.moved_bytes += bytes(&inputs);
                inputs
            }
            TaskKind::Merge => {
                let outputs = self.merge(task, &inputs);
                self.stats.merged_bytes += bytes(&outputs);
                outputs
            }
        };
        self.stats.tasks += 1;
        let edit = ShapeEdit { removed: task.inputs.clone(), added: Some((output, tables)) };
        self.shape.apply(&edit).expect("a checked task fits");
    }

    fn merge(&mut self, task: &Task, inputs: &[Arc<TableMeta>]) -> Vec<Arc<TableMeta>> {
        let mut grandparents = self.shape.grandparents(&task.inputs, &task.output);
        if !self.align_outputs {
            grandparents.clear();
        }
        let stretches = stretches(inputs, &grandparents);
        let mut cutter = OutputCutter::new(CutOptions::for_target(task.target_table_bytes), grandparents);
        let step_entries = (task.target_table_bytes as f64 / 16.0 / self.entry_bytes).max(1.0);
        let (mut outputs, mut entries) = (Vec::new(), 0.0);
        let (mut smallest, mut largest) = (None, 0);
        for stretch in stretches {
            let width = (stretch.largest - stretch.smallest) as f64 + 1.0;
            let count = width / SPACE * self.keys * stretch.share(inputs, self.keys);
            if count <= 0.0 {
                continue;
            }
            let steps = (count / step_entries).ceil().max(1.0).min(width);
            for step in 0..steps as u64 {
                let at = stretch.smallest + ((width / steps) * step as f64) as u64;
                let at = at.min(stretch.largest);
                if cutter.cut_before(&at.to_be_bytes(), (entries * self.entry_bytes) as u64)
                    && let Some(from) = smallest.replace(at)
                {
                    outputs.push(Arc::new(self.table(from, at - 1, entries)));
                    entries = 0.0;
                }
                smallest.get_or_insert(at);
                entries += count / steps;
            }
            largest = stretch.largest;
        }
        if let Some(from) = smallest {
            outputs.push(Arc::new(self.table(from, largest, entries)));
        }
        outputs
    }
}

/// A stretch of keys in which the same inputs overlap.
struct Stretch {
    smallest: u64,
    largest: u64,
    /// Indices of inputs that cover it.
    inputs: Vec<usize>,
}

impl Stretch {
    /// The share of the keys in it that any input holds.
    fn share(&self, inputs: &[Arc<TableMeta>], keys: f64) -> f64 {
        let mut none = 1.0;
        for table in self.inputs.iter().map(|&index| &inputs[index]) {
            let width = (position(&table.largest_key) - position(&table.smallest_key)) as f64 + 1.0;
            let possible = (width / SPACE * keys).max(1e-9);
            none *= 1.0 - (table.entries as f64 / possible).min(1.0);
        }
        1.0 - none
    }
}

/// Cuts the inputs' ranges at every beginning and end, and at those of the grandparents, where outputs may be cut: a sweep over the sorted ends.
fn stretches(inputs: &[Arc<TableMeta>], grandparents: &[Arc<TableMeta>]) -> Vec<Stretch> {
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
    events.sort_unstable();
    let (mut active, mut result): (Vec<usize>, Vec<Stretch>) = (Vec::new(), Vec::new());
    let mut from = 0;
    for (at, change) in events {
        if at > from && !active.is_empty() {
            result.push(Stretch { smallest: from as u64, largest: (at - 1) as u64, inputs: active.clone() });
        }
        from = at;
        match change {
            Some((true, index)) => active.push(index),
            Some((false, index)) => active.retain(|&other| other != index),
            None => {}
        }
    }
    result
}
