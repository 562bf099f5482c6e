//! A history is played against a tree of keys: the picker is the real one, tables hold ranks of keys and lengths, and there are no values.
//!
//! As in the engine: a memtable is sealed when what it takes in memory reaches its size; a flush keeps the last version of each key and makes a run of level 0; all
//! that the picker then wants is done, one task after the other; outputs are cut by the engine's own cutter; a tombstone goes when no older table may
//! hold its key. A look-up asks the memtable, then runs, newest first.
//!
//! Costs: O(versions) for each merge, some 20 ns a version; a look-up O(log) for each run. Memory: 12 bytes a version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use terrace_compaction::{
    CompactionPicker, CutOptions, Output, OutputCutter, PickContext, RunId, Shape, ShapeEdit, ShapeError,
    TableId, TableMeta, Task, TaskKind,
};

use super::cache::{BlockReads, MissCurve};
use super::history::{Ask, Event, History};
use crate::content::named;
use crate::tree::SimulateError;

/// What a version takes in a table beyond its key and value, where the trace does not tell how tables pack: what tells versions apart, lengths, a share of the
/// index. Keys that begin alike take less, as those of the harness do.
const TABLE_BYTES_PER_VERSION: f64 = 5.0;
/// What a table takes beyond its versions: counted from flushes of 196 and of 811 versions, 22,613 and 92,211 bytes. It decides where a policy compares runs
/// that are otherwise equal.
const TABLE_BYTES: f64 = 416.0;
/// What a version takes in a memtable beyond its key and value: counted from the flushes of the B-tree memtable (`tests/advice.rs` of the harness),
/// 51 bytes with memtables of 32 KiB and 46 with 128 KiB.
const MEMTABLE_BYTES_PER_VERSION: u64 = 48;
/// A memtable is sealed when it has memtable_bytes but one part of so many: what memtables take beyond what is counted as in them.
const MEMTABLE_UNCOUNTED: u64 = 16;
/// What a block, and a table, take in the memory of open tables beside the filter: counted there, too, with keys of 16 bytes.
pub(super) const INDEX_BYTES_PER_BLOCK: f64 = 70.0;
pub(super) const INDEX_BYTES_PER_TABLE: f64 = 300.0;
/// What a block in the cache takes beyond its bytes.
pub(super) const CACHE_BYTES_PER_BLOCK: u64 = 160;
/// Tasks after one flush; a picker that needs more finds no end.
const TASKS_MAX: u64 = 100_000;
const TOMBSTONE: u32 = 1 << 31;

/// Sizes of the tree, as scaled to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeOptions {
    /// A memtable is flushed at this size.
    pub memtable_bytes: u64,
    /// Flushes cut their tables at twice this size.
    pub table_bytes: u64,
    /// Blocks are cut at this size.
    pub block_bytes: u32,
}

/// What a level held, in the mean over all flushes, and what was asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LevelPlayed {
    /// Versions.
    pub entries: f64,
    /// Look-ups for which a table of this level covered the key and did not hold it, so that a filter could spare it.
    pub in_vain: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Bytes of keys and values written by users.
    pub user_bytes: u64,
    /// Bytes of tables that flushes wrote.
    pub flushed_bytes: u64,
    /// Bytes of tables that merges wrote.
    pub merged_bytes: u64,
    /// Bytes of tables that merges read.
    pub merge_read_bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Look-ups.
    pub gets: u64,
    /// Scans.
    pub scans: u64,
    /// Pairs that scans showed.
    pub scan_steps: u64,
    /// Runs that scans had to place a cursor in.
    pub scan_runs: u64,
    /// Tables that look-ups found their key in.
    pub found_in_tables: u64,
    /// Levels, from 0.
    pub levels: Vec<LevelPlayed>,
    /// Bytes of tables over bytes of live keys and values, in the mean over all flushes; 1 if there was none.
    pub space_amplification: f64,
    /// Runs that a look-up may meet, in the mean over all look-ups and scans.
    pub runs: f64,
    /// Data blocks of all tables, in the mean over all flushes.
    pub blocks: f64,
    /// Tables, in the mean over all flushes.
    pub tables: f64,
    /// Reads of data blocks that a filter of any size would not spare.
    pub block_reads: u64,
    /// How many of these a cache of a given size would miss.
    pub misses: MissCurve,
}

impl Played {
    /// Bytes written to tables for each byte that users wrote; the log is not counted.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        (self.flushed_bytes + self.merged_bytes) as f64 / self.user_bytes.max(1) as f64
    }
}

/// One version in a table.
#[derive(Clone, Copy, Debug)]
struct Version {
    rank: u32,
    /// Bytes of key and value; the top bit says that it is a tombstone.
    bytes: u32,
    /// Which data block of its table.
    block: u32,
}

impl Version {
    fn is_tombstone(self) -> bool {
        self.bytes & TOMBSTONE != 0
    }

    fn raw_bytes(self) -> u32 {
        self.bytes & !TOMBSTONE
    }
}

/// Plays a history.
///
/// # Errors
///
/// When the picker breaks a law of its trait.
pub fn play(
    history: &History,
    picker: &dyn CompactionPicker,
    options: TreeOptions,
) -> Result<Played, SimulateError> {
    let mut tree = Tree::new(history, picker, options);
    tree.load()?;
    for event in &history.events {
        tree.event(event)?;
    }
    Ok(tree.finish())
}

struct Tree<'a> {
    history: &'a History,
    picker: &'a dyn CompactionPicker,
    options: TreeOptions,
    packing: Packing,
    shape: Shape,
    contents: HashMap<TableId, Arc<Vec<Version>>>,
    /// The runs as the shape has them, newest first: level, and each table's ends and content.
    runs: Vec<(usize, Vec<Held>)>,
    memtable: BTreeMap<u32, u32>,
    memtable_bytes: u64,
    live: HashMap<u32, u32>,
    live_bytes: u64,
    last_name: u64,
    now_seconds: u64,
    reads: BlockReads,
    played: Played,
    samples: f64,
    met: u64,
}

/// How versions become bytes of a file.
#[derive(Clone, Copy)]
struct Packing {
    factor: f64,
    each: f64,
}

impl Packing {
    fn bytes(self, version: Version) -> f64 {
        f64::from(version.raw_bytes()) * self.factor + self.each
    }
}

#[derive(Clone, Debug)]
struct Held {
    id: TableId,
    smallest: u32,
    largest: u32,
    versions: Arc<Vec<Version>>,
}

impl<'a> Tree<'a> {
    fn new(history: &'a History, picker: &'a dyn CompactionPicker, options: TreeOptions) -> Self {
        let packing = match history.file_bytes_per_raw {
            Some(factor) => Packing { factor, each: 0.0 },
            None => Packing { factor: 1.0, each: TABLE_BYTES_PER_VERSION },
        };
        Tree {
            history,
            picker,
            options,
            packing,
            shape: Shape::default(),
            contents: HashMap::new(),
            runs: Vec::new(),
            memtable: BTreeMap::new(),
            memtable_bytes: 0,
            live: HashMap::new(),
            live_bytes: 0,
            last_name: 0,
            now_seconds: 0,
            reads: BlockReads::default(),
            played: Played::default(),
            samples: 0.0,
            met: 0,
        }
    }

    /// What was there before goes in by ascending key, and is not counted.
    fn load(&mut self) -> Result<(), SimulateError> {
        for &(rank, value_bytes) in &self.history.initial {
            self.write(rank, self.history.entry_bytes(rank, value_bytes))?;
        }
        if !self.memtable.is_empty() {
            self.flush()?;
        }
        (self.played, self.samples) = (Played::default(), 0.0);
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), SimulateError> {
        self.now_seconds = u64::from(event.at_seconds);
        match event.ask {
            Ask::Get => self.get(event.rank),
            Ask::Scan { steps } => self.scan(event.rank, steps),
            Ask::Put { value_bytes } => {
                self.write(event.rank, self.history.entry_bytes(event.rank, value_bytes) & !TOMBSTONE)?;
            }
            Ask::Delete => self.write(event.rank, self.history.entry_bytes(event.rank, 0) | TOMBSTONE)?,
        }
        Ok(())
    }

    fn write(&mut self, rank: u32, bytes: u32) -> Result<(), SimulateError> {
        let raw = u64::from(bytes & !TOMBSTONE);
        self.played.user_bytes += raw;
        self.memtable_bytes += raw + MEMTABLE_BYTES_PER_VERSION;
        self.memtable.insert(rank, bytes);
        let before = match bytes & TOMBSTONE {
            0 => self.live.insert(rank, bytes).unwrap_or(0),
            _ => self.live.remove(&rank).unwrap_or(0),
        };
        let now = if bytes & TOMBSTONE == 0 { raw } else { 0 };
        self.live_bytes = self.live_bytes + now - u64::from(before);
        let full = self.options.memtable_bytes - self.options.memtable_bytes / MEMTABLE_UNCOUNTED;
        if self.memtable_bytes >= full { self.flush() } else { Ok(()) }
    }

    fn get(&mut self, rank: u32) {
        self.played.gets += 1;
        if self.memtable.contains_key(&rank) {
            return;
        }
        self.met += self.runs.len() as u64;
        for (level, tables) in &self.runs {
            let Some(table) = table_at(tables, rank).filter(|table| table.smallest <= rank) else { continue };
            match table.versions.binary_search_by_key(&rank, |version| version.rank) {
                Ok(index) => {
                    self.played.found_in_tables += 1;
                    self.reads.read(table.id.0, table.versions[index].block);
                    return;
                }
                Err(_) => level_mut(&mut self.played.levels, *level).in_vain += 1,
            }
        }
    }

    /// Merges from the key on until so many live pairs were shown, and reads the blocks that each run's cursor stands in meanwhile.
    fn scan(&mut self, rank: u32, steps: u32) {
        self.played.scans += 1;
        self.played.scan_runs += self.runs.len() as u64;
        self.met += self.runs.len() as u64;
        let mut cursors: Vec<_> = self.runs.iter().map(|(_, tables)| Cursor::seek(tables, rank)).collect();
        for cursor in &cursors {
            cursor.read(&mut self.reads);
        }
        let mut memtable = self.memtable.range(rank..).peekable();
        let mut shown = 0;
        while shown < steps {
            let in_tables = cursors.iter().filter_map(|cursor| cursor.rank()).min();
            let in_memtable = memtable.peek().map(|(rank, _)| **rank);
            let Some(next) = [in_tables, in_memtable].into_iter().flatten().min() else { break };
            let in_front = cursors.iter().filter(|cursor| cursor.rank() == Some(next));
            let newest = match memtable.peek() {
                Some((rank, bytes)) if **rank == next => Some(*bytes & TOMBSTONE != 0),
                _ => in_front.filter_map(Cursor::version).map(Version::is_tombstone).next(),
            };
            shown += u32::from(newest == Some(false));
            // As the engine's iterator: whoever asks for ten pairs does not pay for the step to the eleventh.
            if shown == steps {
                break;
            }
            if in_memtable == Some(next) {
                memtable.next();
            }
            for cursor in cursors.iter_mut().filter(|cursor| cursor.rank() == Some(next)) {
                cursor.next(&mut self.reads);
            }
        }
        self.played.scan_steps += u64::from(shown);
    }

    fn flush(&mut self) -> Result<(), SimulateError> {
        let memtable = std::mem::take(&mut self.memtable);
        self.memtable_bytes = 0;
        let versions = memtable.into_iter().map(|(rank, bytes)| Version { rank, bytes, block: 0 });
        let cut = CutOptions::for_target(self.options.table_bytes * 2);
        let tables = self.tables(versions, OutputCutter::new(cut, Vec::new()));
        self.played.flushes += 1;
        self.played.flushed_bytes += bytes_of(&tables);
        let run = Some(RunId(self.name()));
        let added = Some((Output::NewRun { level: 0, run }, tables));
        self.shape.apply(&ShapeEdit { removed: Vec::new(), added }).expect("a flush fits every shape");
        self.settle()?;
        self.arrange();
        self.sample();
        Ok(())
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    /// Carries out what the picker wants until it wants nothing.
    fn settle(&mut self) -> Result<(), SimulateError> {
        for tasks in 0.. {
            let context =
                PickContext { now_unix_seconds: self.now_seconds, tasks_max: 1, ..PickContext::default() };
            let Some(task) = self.picker.pick(&self.shape, &context).tasks.into_iter().next() else { break };
            if tasks == TASKS_MAX {
                return Err(SimulateError::NoEnd { tasks });
            }
            self.run(&task).map_err(|error| SimulateError::Refused { error, task: Box::new(task) })?;
        }
        Ok(())
    }

    fn run(&mut self, task: &Task) -> Result<(), ShapeError> {
        self.shape.check(task, &BTreeSet::new())?;
        let names: BTreeSet<TableId> = task.inputs.iter().copied().collect();
        // Newest first, as the shape has them.
        let all = self.shape.tables().map(|(_, table)| table);
        let inputs: Vec<_> = all.filter(|table| names.contains(&table.id)).cloned().collect();
        let tables = match task.kind {
            TaskKind::Move => inputs,
            TaskKind::Drop => Vec::new(),
            _ => {
                self.played.merge_read_bytes += bytes_of(&inputs);
                let tables = self.merge(task, &inputs)?;
                self.played.merged_bytes += bytes_of(&tables);
                tables
            }
        };
        let kept: BTreeSet<TableId> = tables.iter().map(|table| table.id).collect();
        names.difference(&kept).for_each(|id| drop(self.contents.remove(id)));
        let output = named(task.output, || self.name());
        let added = (!tables.is_empty()).then_some((output, tables));
        self.shape.apply(&ShapeEdit { removed: task.inputs.clone(), added })
    }

    fn merge(&mut self, task: &Task, inputs: &[Arc<TableMeta>]) -> Result<Vec<Arc<TableMeta>>, ShapeError> {
        let mut older = self.shape.older_tables(&task.inputs, &task.output)?;
        let grandparents = self.shape.grandparents(&task.inputs, &task.output);
        let cutter = OutputCutter::new(CutOptions::for_target(task.target_table_bytes), grandparents);
        // Sorted by key, and of one key the newest first: a sort of runs that are sorted already is a merge.
        let mut versions: Vec<(u32, usize, Version)> = Vec::new();
        for (age, table) in inputs.iter().enumerate() {
            versions.extend(self.contents[&table.id].iter().map(|version| (version.rank, age, *version)));
        }
        versions.sort_by_key(|(rank, age, _)| (*rank, *age));
        versions.dedup_by_key(|(rank, _, _)| *rank);
        let survivors: Vec<Version> = versions
            .into_iter()
            .map(|(_, _, version)| version)
            .filter(|version| !version.is_tombstone() || older.may_hold(&version.rank.to_be_bytes()))
            .collect();
        Ok(self.tables(survivors.into_iter(), cutter))
    }

    /// Cuts versions into tables and blocks.
    fn tables(
        &mut self,
        versions: impl Iterator<Item = Version>,
        mut cutter: OutputCutter,
    ) -> Vec<Arc<TableMeta>> {
        let (mut done, mut table): (Vec<Arc<TableMeta>>, Vec<Version>) = (Vec::new(), Vec::new());
        let (mut file_bytes, mut block, mut block_bytes) = (0.0, 0, 0.0);
        for version in versions {
            if cutter.cut_before(&version.rank.to_be_bytes(), file_bytes as u64) {
                done.extend(self.table(std::mem::take(&mut table), file_bytes));
                (file_bytes, block, block_bytes) = (0.0, 0, 0.0);
            }
            let bytes = self.packing.bytes(version);
            if block_bytes >= f64::from(self.options.block_bytes) {
                (block, block_bytes) = (block + 1, 0.0);
            }
            block_bytes += bytes;
            file_bytes += bytes;
            table.push(Version { block, ..version });
        }
        done.extend(self.table(table, file_bytes));
        done
    }

    fn table(&mut self, versions: Vec<Version>, versions_bytes: f64) -> Option<Arc<TableMeta>> {
        let file_bytes = versions_bytes + TABLE_BYTES;
        let (first, last) = (versions.first()?.rank, versions.last()?.rank);
        let id = self.name();
        let bytes = file_bytes.round().max(1.0) as u64;
        let sized = TableMeta::sized(id, first.to_be_bytes(), last.to_be_bytes(), bytes);
        let tombstones = versions.iter().filter(|version| version.is_tombstone()).count() as u64;
        let raw_bytes = versions.iter().map(|version| u64::from(version.raw_bytes())).sum();
        let meta = TableMeta {
            entries: versions.len() as u64,
            tombstones,
            raw_bytes,
            created_at_unix_seconds: self.now_seconds,
            ..sized
        };
        self.contents.insert(meta.id, Arc::new(versions));
        Some(Arc::new(meta))
    }

    /// Lays the shape out for look-ups.
    fn arrange(&mut self) {
        let held = |table: &Arc<TableMeta>| {
            let versions = Arc::clone(&self.contents[&table.id]);
            let ends = (versions.first().map_or(0, |v| v.rank), versions.last().map_or(0, |v| v.rank));
            Held { id: table.id, smallest: ends.0, largest: ends.1, versions }
        };
        self.runs =
            self.shape.runs().map(|(level, run)| (level, run.tables.iter().map(held).collect())).collect();
    }

    fn sample(&mut self) {
        self.samples += 1.0;
        let (mut bytes, mut blocks) = (0, 0);
        for (level, table) in self.shape.tables() {
            bytes += table.file_bytes;
            self.played.tables += 1.0;
            level_mut(&mut self.played.levels, level).entries += table.entries as f64;
        }
        for (_, tables) in &self.runs {
            blocks += tables
                .iter()
                .filter_map(|table| table.versions.last())
                .map(|v| u64::from(v.block) + 1)
                .sum::<u64>();
        }
        self.played.blocks += blocks as f64;
        let live =
            self.live_bytes.max(1) as f64 * self.packing.factor + self.live.len() as f64 * self.packing.each;
        self.played.space_amplification += bytes as f64 / live;
    }

    fn finish(self) -> Played {
        let mut played = self.played;
        let samples = self.samples.max(1.0);
        played.levels.iter_mut().for_each(|level| level.entries /= samples);
        played.blocks /= samples;
        played.tables /= samples;
        played.space_amplification = match self.samples {
            0.0 => 1.0,
            samples => played.space_amplification / samples,
        };
        played.runs = self.met as f64 / (played.gets + played.scans).max(1) as f64;
        played.block_reads = self.reads.len();
        played.misses = self.reads.curve();
        played
    }
}

fn bytes_of(tables: &[Arc<TableMeta>]) -> u64 {
    tables.iter().map(|table| table.file_bytes).sum()
}

fn level_mut(levels: &mut Vec<LevelPlayed>, level: usize) -> &mut LevelPlayed {
    if levels.len() <= level {
        levels.resize(level + 1, LevelPlayed::default());
    }
    &mut levels[level]
}

/// The first table that does not end before the key.
fn table_at(tables: &[Held], rank: u32) -> Option<&Held> {
    tables.get(tables.partition_point(|table| table.largest < rank))
}

/// Where a scan stands in a run.
struct Cursor<'a> {
    tables: &'a [Held],
    table: usize,
    index: usize,
}

impl<'a> Cursor<'a> {
    fn seek(tables: &'a [Held], rank: u32) -> Self {
        let table = tables.partition_point(|table| table.largest < rank);
        let index = tables.get(table).map_or(0, |table| table.versions.partition_point(|v| v.rank < rank));
        Cursor { tables, table, index }
    }

    fn version(&self) -> Option<Version> {
        self.tables.get(self.table)?.versions.get(self.index).copied()
    }

    fn rank(&self) -> Option<u32> {
        self.version().map(|version| version.rank)
    }

    fn read(&self, reads: &mut BlockReads) {
        if let (Some(table), Some(version)) = (self.tables.get(self.table), self.version()) {
            reads.read(table.id.0, version.block);
        }
    }

    fn next(&mut self, reads: &mut BlockReads) {
        let before = self.version().map(|version| version.block);
        self.index += 1;
        if self.tables.get(self.table).is_some_and(|table| self.index >= table.versions.len()) {
            (self.table, self.index) = (self.table + 1, 0);
            self.read(reads);
        } else if self.version().map(|version| version.block) != before {
            self.read(reads);
        }
    }
}
