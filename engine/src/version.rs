//! A version: the tables of a keyspace at one moment, immutable. A view: a version and the memtables above it.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use terrace_compaction::{Shape, ShapeEdit, TableId, TableMeta};
use terrace_entry::SeqNo;
use terrace_memtable::MemTable;
use terrace_sstable::TableReader;

use crate::fences::{Fences, KeyRanges};
use crate::parts::TableReaderOf;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::trash::Trash;
use crate::{Error, Parts, Result};

/// An open table. Its file goes when the last view that needs it does.
pub(crate) struct Table<P: Parts> {
    pub(crate) meta: Arc<TableMeta>,
    pub(crate) reader: Arc<TableReaderOf<P>>,
    path: PathBuf,
    obsolete: AtomicBool,
    /// What reads paid for it without finding anything there; `vain.rs` tells in what unit.
    vain_reads: AtomicU64,
    trash: Arc<Trash>,
}

impl<P: Parts> Table<P> {
    pub(crate) fn new(
        meta: Arc<TableMeta>,
        reader: TableReaderOf<P>,
        path: PathBuf,
        trash: Arc<Trash>,
    ) -> Arc<Self> {
        Arc::new(Table {
            meta,
            reader: Arc::new(reader),
            path,
            obsolete: AtomicBool::new(false),
            vain_reads: AtomicU64::new(0),
            trash,
        })
    }

    pub(crate) fn count_vain_reads(&self, reads: u64) {
        self.vain_reads.fetch_add(reads, Ordering::Relaxed);
    }

    pub(crate) fn vain_reads(&self) -> u64 {
        self.vain_reads.load(Ordering::Relaxed)
    }

    /// Says that no manifest names it any more. Called under the manifest's lock, so that no note is written between the record and this.
    pub(crate) fn retire(&self) {
        self.trash.haunted_by(self.meta.id.0, self.meta.file_bytes);
        self.obsolete.store(true, Ordering::Release);
    }
}

impl<P: Parts> Drop for Table<P> {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.trash.throw(std::mem::take(&mut self.path));
        }
    }
}

/// The open tables of a run, ascending and disjoint.
pub(crate) struct Run<P: Parts> {
    tables: Box<[Arc<Table<P>>]>,
    fences: Fences,
}

pub(crate) type RunTables<P> = Arc<Run<P>>;

impl<P: Parts> Deref for Run<P> {
    type Target = [Arc<Table<P>>];

    fn deref(&self) -> &[Arc<Table<P>>] {
        &self.tables
    }
}

impl<P: Parts> KeyRanges for [Arc<Table<P>>] {
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn smallest(&self, number: usize) -> &[u8] {
        &self[number].meta.smallest_key
    }

    #[inline]
    fn largest(&self, number: usize) -> &[u8] {
        &self[number].meta.largest_key
    }
}

impl<P: Parts> Run<P> {
    pub(crate) fn new(tables: Vec<Arc<Table<P>>>) -> Self {
        Run { fences: Fences::of(tables.as_slice()), tables: tables.into() }
    }

    /// The first table whose last key is at or after `user_key`.
    pub(crate) fn at_or_after(&self, user_key: &[u8]) -> usize {
        self.fences.at_or_after(&*self.tables, user_key)
    }

    /// The table that may hold `user_key`.
    #[inline]
    pub(crate) fn find(&self, user_key: &[u8]) -> Option<&Arc<Table<P>>> {
        self.fences.find(&*self.tables, user_key).map(|number| &self.tables[number])
    }
}

/// The tables of a keyspace.
pub(crate) struct Version<P: Parts> {
    pub(crate) shape: Shape,
    /// All runs, newest first: what a look-up walks.
    pub(crate) runs: Vec<RunTables<P>>,
    /// Memory held by the readers when the version was made. What a table takes when the first block of it is cached counts from the next version on: less than
    /// a hundredth of its blocks, and not worth a walk over all tables each time that the budget is shared out.
    pub(crate) memory_bytes: u64,
}

impl<P: Parts> Version<P> {
    /// The version of `shape`, whose tables are all in `open`.
    pub(crate) fn new(shape: Shape, open: &HashMap<TableId, Arc<Table<P>>>) -> Result<Self> {
        let mut runs = Vec::new();
        let mut memory_bytes = 0;
        for run in shape.levels.iter().flat_map(|level| &level.runs) {
            let tables: Option<Vec<_>> = run.tables.iter().map(|meta| open.get(&meta.id).cloned()).collect();
            let tables = tables.ok_or_else(|| {
                Error::InvalidArgument(format!("run {} names a table that is not open", run.id))
            })?;
            memory_bytes += tables.iter().map(|table| table.reader.memory_bytes() as u64).sum::<u64>();
            runs.push(Arc::new(Run::new(tables)));
        }
        Ok(Version { shape, runs, memory_bytes })
    }

    /// The version after `edit`, whose new tables are in `added`.
    pub(crate) fn apply(&self, edit: &ShapeEdit, added: &[Arc<Table<P>>]) -> Result<Self> {
        let mut shape = self.shape.clone();
        shape.apply(edit).map_err(|error| Error::InvalidArgument(error.to_string()))?;
        let mut open: HashMap<TableId, Arc<Table<P>>> =
            self.tables().map(|table| (table.meta.id, Arc::clone(table))).collect();
        open.extend(added.iter().map(|table| (table.meta.id, Arc::clone(table))));
        Version::new(shape, &open)
    }

    /// The version without a table.
    pub(crate) fn empty() -> Self {
        Version { shape: Shape::default(), runs: Vec::new(), memory_bytes: 0 }
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table<P>>> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.tables().map(|table| table.meta.file_bytes).sum()
    }
}

/// A memtable and what the engine must know about it.
pub(crate) struct Mem<P: Parts> {
    pub(crate) table: Arc<P::MemTable>,
    /// The oldest log that holds something of it; `u64::MAX` while none does.
    pub(crate) first_log: AtomicU64,
    /// It is sealed when it has so many bytes.
    pub(crate) full_at: AtomicU64,
    /// Once sealed: the last sequence number that may be in it. It is complete when that number is visible.
    pub(crate) last_seqno: AtomicU64,
}

impl<P: Parts> Mem<P> {
    pub(crate) fn new(bytes_hint: usize) -> Arc<Self> {
        Self::of(P::MemTable::new(bytes_hint), bytes_hint)
    }

    /// The empty one that takes this one's place when it is sealed.
    pub(crate) fn successor(&self, bytes_hint: usize) -> Arc<Self> {
        Self::of(self.table.successor(bytes_hint), bytes_hint)
    }

    fn of(table: P::MemTable, bytes_hint: usize) -> Arc<Self> {
        Arc::new(Mem {
            table: Arc::new(table),
            first_log: AtomicU64::new(u64::MAX),
            full_at: AtomicU64::new(bytes_hint as u64),
            last_seqno: AtomicU64::new(u64::MAX),
        })
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.table.memory_bytes() as u64
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.memory_bytes() >= self.full_at.load(Ordering::Relaxed)
    }

    /// Says when it is full, if the next memtable will grow as fast as one did when `grown` bytes came while one of `sealed` went, which had `flushed` at its end.
    pub(crate) fn limit(&self, memtable_bytes: u64, sealed: u64, flushed: u64, grown: u64) {
        self.full_at.store(full_at(memtable_bytes, sealed, flushed, grown), Ordering::Relaxed);
    }

    pub(crate) fn last_seqno(&self) -> SeqNo {
        SeqNo::checked(self.last_seqno.load(Ordering::Acquire)).unwrap_or(SeqNo::MAX)
    }
}

/// What memtables take beyond what is counted as in them, as a part of all: chunks that are begun, and one made ready.
const UNCOUNTED: u64 = 16;

/// When a memtable is full, so that it with its order, and the part of the next one that is filled while it is flushed, take `memtable_bytes` together. The last one
/// had `sealed` bytes when it was sealed and `flushed` with the order in which it was written, and `grown` came meanwhile. Less than `memtable_bytes`, and no less than half of it: below
/// that smaller flushes would cost more in merging than they save in memory.
fn full_at(memtable_bytes: u64, sealed: u64, flushed: u64, grown: u64) -> u64 {
    let share = sealed as f64 / (flushed + grown).max(1) as f64;
    let counted = memtable_bytes - memtable_bytes / UNCOUNTED;
    ((counted as f64 * share) as u64).clamp(memtable_bytes / 2, memtable_bytes)
}

/// What a read sees of a keyspace: one immutable value, swapped whole.
pub(crate) struct View<P: Parts> {
    pub(crate) active: Arc<Mem<P>>,
    /// Newest first.
    pub(crate) sealed: Vec<Arc<Mem<P>>>,
    pub(crate) version: Arc<Version<P>>,
}

impl<P: Parts> View<P> {
    /// A view of nothing.
    pub(crate) fn empty(memtable_bytes: usize) -> Self {
        let version = Arc::new(Version::empty());
        View { active: Mem::new(memtable_bytes), sealed: Vec::new(), version }
    }

    /// All memtables, newest first.
    pub(crate) fn mems(&self) -> impl Iterator<Item = &Arc<Mem<P>>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    pub(crate) fn mem_bytes(&self) -> u64 {
        self.mems().map(|mem| mem.memory_bytes()).sum()
    }

    /// Whether memtables have more than one of them shall have, and a flush is what frees memory.
    pub(crate) fn waits_for_memory(&self, memtable_bytes: u64) -> bool {
        !self.sealed.is_empty() && self.mem_bytes() > memtable_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::full_at;

    #[test]
    fn memtables_are_full_early_when_writers_are_fast_but_never_below_half() {
        assert_eq!(full_at(64, 64, 64, 0), 60, "nobody writes: a sixteenth is not in them");
        assert_eq!(full_at(64, 64, 64, 16), 48, "a fifth of both comes meanwhile");
        assert_eq!(full_at(64, 45, 48, 12), 45, "45, and 3 for its order, and 12 meanwhile: and so it stays");
        assert_eq!(full_at(64, 40, 40, 40), 32, "no less than half");
        assert_eq!(full_at(64, 64, 64, 1000), 32);
        assert_eq!(full_at(64, 0, 0, 0), 32, "a flush of nothing says nothing");
    }
}
