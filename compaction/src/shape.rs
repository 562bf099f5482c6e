//! The shape of a tree: plain owned data that a test builds in a few lines.
//!
//! A level is a list of sorted runs, newest first; a run is a list of tables with disjoint, ascending key ranges. Level 0 takes
//! flushes, each a run of its own. Every version in a run is newer than those of the same key in later runs of its level and in all
//! deeper levels.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;
use terrace_entry::SeqNo;

use crate::task::{Output, Task, TaskKind};

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
}

impl TableMeta {
    /// Whether its key range meets `smallest..=largest`.
    #[must_use]
    pub fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.smallest_key.as_slice() <= largest && smallest <= self.largest_key.as_slice()
    }
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
        self.tables.iter().map(|table| table.file_bytes).sum()
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
        self.runs.iter().map(Run::file_bytes).sum()
    }

    /// All its tables, run by run.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
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
    /// The tables that come, if any, and where.
    pub added: Option<(Output, Vec<Arc<TableMeta>>)>,
}

/// Why a task or an edit does not fit a shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShapeError(pub String);

#[expect(unused_imports, reason = "the signatures below are filled in by the implementation")]
use {BTreeSet as _, Task as _, TaskKind as _};
