//! The shape of a tree: plain owned data that a test builds in a few lines.
//!
//! A level is a list of sorted runs, newest first; a run is a list of tables with disjoint, ascending key ranges. Level 0 takes
//! flushes, each a run of its own.
//!
//! The *order law*: every version in a run is newer than those of the same key in later runs of its level and in all deeper levels.
//! Read level by level and run by run, a shape is thus one list of runs from the newest to the oldest, and the first run that holds a
//! key holds its newest version.
//!
//! Disjoint is strict: a table's greatest user key is less than the next one's least. So all versions of a user key in one run are in
//! one table; [`crate::OutputCutter`] sees to it, since it cuts between user keys only.
//!
//! Sums of bytes saturate: a shape read from a damaged file must not make a picker panic.

use core::fmt;
use std::sync::Arc;
use terrace_entry::SeqNo;

use crate::task::Output;

/// The most levels a shape may have. Real trees have at most ten; the bound keeps a damaged manifest from asking for millions.
pub const LEVELS_MAX: usize = 64;

/// Names a table for the life of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// Names a sorted run for the life of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is known of a table without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableMeta {
    /// Its name.
    pub id: TableId,
    /// The least user key in it.
    pub smallest_key: Vec<u8>,
    /// The greatest user key in it.
    pub largest_key: Vec<u8>,
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Bytes of keys and values in it, before compression.
    pub raw_bytes: u64,
    /// Versions in it.
    pub entries: u64,
    /// Of them, tombstones.
    pub tombstones: u64,
    /// The least sequence number in it.
    pub seqno_min: SeqNo,
    /// The greatest.
    pub seqno_max: SeqNo,
    /// When it was written, in seconds since the Unix epoch.
    pub created_at_unix_seconds: u64,
    /// When the oldest of its tombstones was flushed, in seconds since the Unix epoch. If `None`, when the table was written.
    pub oldest_tombstone_unix_seconds: Option<u64>,
}

impl TableMeta {
    /// A table of `file_bytes` bytes that holds the keys `smallest..=largest`, with other numbers that suit it: for tests, in one line.
    #[must_use]
    pub fn sized(id: u64, smallest: impl AsRef<[u8]>, largest: impl AsRef<[u8]>, file_bytes: u64) -> Self {
        TableMeta {
            id: TableId(id),
            smallest_key: smallest.as_ref().to_vec(),
            largest_key: largest.as_ref().to_vec(),
            file_bytes,
            raw_bytes: file_bytes,
            entries: (file_bytes / 100).max(1),
            ..TableMeta::default()
        }
    }

    /// When the oldest of its tombstones was flushed, if it holds any.
    #[must_use]
    pub fn oldest_tombstone(&self) -> Option<u64> {
        let written = self.created_at_unix_seconds;
        (self.tombstones > 0)
            .then(|| self.oldest_tombstone_unix_seconds.map_or(written, |at| at.min(written)))
    }

    /// Whether its key range meets `smallest..=largest`.
    #[must_use]
    pub fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.smallest_key.as_slice() <= largest && smallest <= self.largest_key.as_slice()
    }
}

/// When the oldest tombstone in any of these tables was flushed: what a merge of them says of those of its outputs that hold tombstones.
#[must_use]
pub fn oldest_tombstone<'a>(tables: impl IntoIterator<Item = &'a Arc<TableMeta>>) -> Option<u64> {
    tables.into_iter().filter_map(|table| table.oldest_tombstone()).min()
}

/// A sorted run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Its tables, ascending and disjoint.
    pub tables: Vec<Arc<TableMeta>>,
}

impl Run {
    /// Bytes of its files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        sum_bytes(&self.tables)
    }

    /// When the youngest of its tables was written, in seconds since the Unix epoch; 0 without tables.
    #[must_use]
    pub fn newest_at_unix_seconds(&self) -> u64 {
        self.tables.iter().map(|table| table.created_at_unix_seconds).max().unwrap_or(0)
    }

    /// Its tables that meet the key range `smallest..=largest`: O(log tables).
    #[must_use]
    pub fn overlapping(&self, smallest: &[u8], largest: &[u8]) -> &[Arc<TableMeta>] {
        let from = self.tables.partition_point(|table| table.largest_key.as_slice() < smallest);
        let to = self.tables.partition_point(|table| table.smallest_key.as_slice() <= largest);
        &self.tables[from..to.max(from)]
    }
}

/// A level: sorted runs, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Its runs.
    pub runs: Vec<Run>,
}

impl Level {
    /// Bytes of its files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.file_bytes()))
    }

    /// All its tables, run by run.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
}

/// File bytes of `tables`, saturating.
pub(crate) fn sum_bytes<'a>(tables: impl IntoIterator<Item = &'a Arc<TableMeta>>) -> u64 {
    tables.into_iter().fold(0, |sum, table| sum.saturating_add(table.file_bytes))
}

/// The shape of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Level 0 first. Levels past the end are empty.
    pub levels: Vec<Level>,
}

/// How a finished flush or task changes a shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShapeEdit {
    /// Tables that go.
    pub removed: Vec<TableId>,
    /// The tables that come, if any, and where. A table that moves is in both lists.
    pub added: Option<(Output, Vec<Arc<TableMeta>>)>,
}

/// Why a task or an edit does not fit a shape; the shape is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError(pub String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ShapeError {}

/// Sums over all tables of a shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sorted runs.
    pub runs: usize,
    /// Tables.
    pub tables: usize,
    /// Bytes of their files.
    pub file_bytes: u64,
    /// Bytes of keys and values, before compression.
    pub raw_bytes: u64,
    /// Versions.
    pub entries: u64,
    /// Of them, tombstones.
    pub tombstones: u64,
}

impl Shape {
    /// A shape from tables by level and run, newest run first; runs get the names 1, 2, ... from the oldest to the newest.
    ///
    /// ```
    /// use terrace_compaction::{Shape, TableMeta};
    ///
    /// let shape = Shape::from_levels(vec![
    ///     vec![vec![TableMeta::sized(4, "c", "k", 64)], vec![TableMeta::sized(3, "a", "f", 64)]],
    ///     vec![vec![TableMeta::sized(1, "a", "c", 64), TableMeta::sized(2, "d", "h", 64)]],
    /// ]);
    /// shape.check_invariants().unwrap();
    /// assert_eq!(shape.read_amplification_max(), 3);
    /// ```
    #[must_use]
    pub fn from_levels(levels: Vec<Vec<Vec<TableMeta>>>) -> Self {
        let mut name = levels.iter().map(Vec::len).sum::<usize>() as u64;
        let mut next_name = || {
            name -= 1;
            RunId(name + 1)
        };
        let run = |tables: Vec<TableMeta>, id| Run { id, tables: tables.into_iter().map(Arc::new).collect() };
        let level = |runs: Vec<Vec<TableMeta>>| Level {
            runs: runs.into_iter().map(|r| run(r, next_name())).collect(),
        };
        Shape { levels: levels.into_iter().map(level).collect() }
    }

    /// The runs from the newest to the oldest, each with its level.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (usize, &Run)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(number, level)| level.runs.iter().map(move |run| (number, run)))
    }

    /// All tables, run by run, each with its level.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Arc<TableMeta>)> {
        self.runs().flat_map(|(level, run)| run.tables.iter().map(move |table| (level, table)))
    }

    /// The table of that name: O(tables).
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&Arc<TableMeta>> {
        self.tables().map(|(_, table)| table).find(|table| table.id == id)
    }

    /// The run of that name, with its level: O(runs).
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<(usize, &Run)> {
        self.runs().find(|(_, run)| run.id == id)
    }

    /// The runs of a level; none past the end.
    #[must_use]
    pub fn runs_of(&self, level: usize) -> &[Run] {
        self.levels.get(level).map_or(&[], |level| &level.runs)
    }

    /// Whether no table is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables().next().is_none()
    }

    /// Sums over all tables: O(tables).
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { runs: self.runs().count(), ..Totals::default() };
        for (_, table) in self.tables() {
            totals.tables += 1;
            totals.file_bytes = totals.file_bytes.saturating_add(table.file_bytes);
            totals.raw_bytes = totals.raw_bytes.saturating_add(table.raw_bytes);
            totals.entries = totals.entries.saturating_add(table.entries);
            totals.tombstones = totals.tombstones.saturating_add(table.tombstones);
        }
        totals
    }

    /// The most tables that a look-up of one key reads: the number of runs.
    #[must_use]
    pub fn read_amplification_max(&self) -> usize {
        self.runs().count()
    }

    /// Bytes of all runs over the bytes of the oldest run, which holds nearly all live data in a tree at ease; 1 for an empty shape.
    ///
    /// An estimate: exact when every newer version replaces one in the oldest run, too high while new keys arrive.
    #[must_use]
    pub fn space_amplification_estimate(&self) -> f64 {
        match self.runs().next_back().map(|(_, run)| run.file_bytes()) {
            None | Some(0) => 1.0,
            Some(oldest) => self.totals().file_bytes as f64 / oldest as f64,
        }
    }
}

/// Bytes for people: `3.5 MiB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let unit = (self.0.max(1).ilog2() / 10).min(5) as usize;
        match unit {
            0 => write!(f, "{} B", self.0),
            _ => write!(f, "{:.1} {}", self.0 as f64 / (1_u64 << (10 * unit)) as f64, units[unit]),
        }
    }
}

/// Tables shown of a run; a person reads no more, and a large tree has a hundred thousand.
const TABLES_SHOWN_MAX: usize = 8;

/// For people: a line for each level and each run, long runs cut short.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "empty");
        }
        for (number, level) in self.levels.iter().enumerate().filter(|(_, level)| !level.runs.is_empty()) {
            let (runs, tables) = (level.runs.len(), level.tables().count());
            writeln!(f, "L{number}: {runs} runs, {tables} tables, {}", Bytes(level.file_bytes()))?;
            for run in &level.runs {
                write!(f, "  run {} ({}):", run.id, Bytes(run.file_bytes()))?;
                for table in run.tables.iter().take(TABLES_SHOWN_MAX) {
                    let (from, to) = (table.smallest_key.escape_ascii(), table.largest_key.escape_ascii());
                    write!(f, " {}[{from}..{to}]", table.id)?;
                }
                match run.tables.len().saturating_sub(TABLES_SHOWN_MAX) {
                    0 => writeln!(f)?,
                    more => writeln!(f, " and {more} more")?,
                }
            }
        }
        Ok(())
    }
}
