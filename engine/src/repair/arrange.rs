//! Puts the tables of a keyspace into runs, newest first, by what is in them.
//!
//! Neither file numbers nor sequence number bounds show the order: a merge writes old versions into a new file, and tables of one level move
//! down at different times, so that bounds interleave. The versions themselves show it. Of each key that several tables hold, the
//! one with the greatest sequence number must be found first; where sequence numbers are equal (a version whose number was zeroed, and a
//! ghost of it) the table written later is right. That gives, for each pair of tables that share a key, which goes before the
//! other; for those that share none it does not matter. A sound tree's own order obeys all of it, so an order can be found; should
//! there be none (two ghosts that contradict one another), the tables concerned are merged into one.
//!
//! Runs are then filled greedily: each table goes into the first run behind all that must be newer, and that it does not overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrace_compaction::{Run, RunId, Shape, TableMeta};
use terrace_entry::{Cursor, MergeCursor};
use terrace_sstable::{CursorOptions, TableReader};

use super::work::Work;
use crate::batch::KeyspaceId;
use crate::outputs::meta_of;
use crate::parts::TableReaderOf;
use crate::verify::sweep::sweep;
use crate::{Error, Parts, Result};

/// A table that belongs into the tree.
pub(super) struct Placed<P: Parts> {
    pub(super) number: u64,
    /// The level that it was written for, when it says.
    pub(super) level: u64,
    pub(super) reader: Arc<TableReaderOf<P>>,
}

/// The tables of a run by least key, each with the level that it was written for.
type Tables = BTreeMap<Vec<u8>, (Arc<TableMeta>, u64)>;

/// The shape of a keyspace with these tables.
pub(super) fn arrange<P: Parts>(
    work: &mut Work<'_, P>,
    keyspace: KeyspaceId,
    mut tables: Vec<Placed<P>>,
) -> Result<Shape> {
    tables.sort_by_key(|table| table.number);
    let readers: Vec<_> = tables.iter().map(|table| Arc::clone(&table.reader)).collect();
    let mut newer_than: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); tables.len()];
    sweep::<P>(&readers, |_, holders| {
        let mut order = holders.to_vec();
        order.sort_by_key(|held| std::cmp::Reverse((held.newest, held.table)));
        for pair in order.windows(2) {
            newer_than[pair[1].table].insert(pair[0].table);
        }
    })?;
    let (order, tangled) = sorted(&newer_than);
    let mut runs: Vec<Tables> = Vec::new();
    let mut run_of: BTreeMap<usize, usize> = BTreeMap::new();
    for at in order {
        let table = &tables[at];
        let meta = Arc::new(meta_of(table.number, table.reader.properties()));
        let first =
            newer_than[at].iter().filter_map(|newer| run_of.get(newer)).max().map_or(0, |run| run + 1);
        // In a run, which is disjoint, only the last table that begins before this one's end may meet it.
        let fits = |run: &Tables| {
            let before = run.range(..=meta.largest_key.clone()).next_back();
            before.is_none_or(|(_, (before, _))| before.largest_key < meta.smallest_key)
        };
        let run = (first..runs.len()).find(|&run| fits(&runs[run])).unwrap_or(runs.len());
        if run == runs.len() {
            runs.push(Tables::new());
        }
        runs[run].insert(meta.smallest_key.clone(), (meta, table.level));
        run_of.insert(at, run);
    }
    if !tangled.is_empty() {
        let mut tangled: Vec<_> = tangled.into_iter().map(|at| &tables[at]).collect();
        // Of equal versions the source that comes first wins.
        tangled.reverse();
        if let Some(meta) = merge(work, keyspace, &tangled)? {
            runs.push(Tables::from([(meta.smallest_key.clone(), (Arc::new(meta), 0))]));
        }
    }
    Ok(shape_of(work, runs))
}

/// The tables so that each stands behind all that are newer, and those for which that can not be done.
fn sorted(newer_than: &[BTreeSet<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut waits: Vec<usize> = newer_than.iter().map(BTreeSet::len).collect();
    let mut older_than: Vec<Vec<usize>> = vec![Vec::new(); newer_than.len()];
    for (table, newer) in newer_than.iter().enumerate() {
        newer.iter().for_each(|&newer| older_than[newer].push(table));
    }
    // The latest written first, among those that may.
    let mut ready: BTreeSet<usize> = (0..waits.len()).filter(|&table| waits[table] == 0).collect();
    let mut order = Vec::new();
    while let Some(table) = ready.pop_last() {
        order.push(table);
        for &older in &older_than[table] {
            waits[older] -= 1;
            if waits[older] == 0 {
                ready.insert(older);
            }
        }
    }
    let tangled = (0..waits.len()).filter(|table| waits[*table] > 0).collect();
    (order, tangled)
}

/// Every version of these tables in one new table.
fn merge<P: Parts>(
    work: &mut Work<'_, P>,
    keyspace: KeyspaceId,
    tables: &[&Placed<P>],
) -> Result<Option<TableMeta>> {
    let options = CursorOptions { fill_cache: false, readahead_bytes: 1 << 20 };
    let cursors = tables.iter().map(|table| Arc::clone(&table.reader).cursor(options)).collect();
    let mut cursor = MergeCursor::new(cursors);
    let mut sink = work.sink(keyspace, 0, tables.iter().map(|table| table.number).collect());
    let (folder, mut next_file) = (work.folder, work.next_file);
    let mut last: Option<(Vec<u8>, u64)> = None;
    cursor.seek_to_first().map_err(Error::from)?;
    while let Some(entry) = cursor.current() {
        let same =
            last.as_ref().is_some_and(|last| last.0 == entry.key.user_key && last.1 == entry.key.seqno.get());
        if !same {
            sink.add(folder, &mut next_file, entry.key, entry.value)?;
            last = Some((entry.key.user_key.to_vec(), entry.key.seqno.get()));
        }
        cursor.next().map_err(Error::from)?;
    }
    work.next_file = next_file;
    let flushed = terrace_entry::SeqNo::ZERO;
    Ok(work.finish(sink, flushed)?.map(|(number, properties)| meta_of(number, &properties)))
}

/// All runs in level 0, but the oldest where its tables say they were written for: it holds nearly all data of a tree at ease.
fn shape_of<P: Parts>(work: &mut Work<'_, P>, runs: Vec<Tables>) -> Shape {
    const LEVEL_MAX: u64 = 16;
    let mut shape = Shape::default();
    let oldest = runs.len().saturating_sub(1);
    for (at, tables) in runs.into_iter().enumerate() {
        let deepest = tables.values().map(|(_, level)| *level).max().unwrap_or(0).min(LEVEL_MAX);
        let level = if at == oldest { deepest as usize } else { 0 };
        let tables = tables.into_values().map(|(table, _)| table).collect();
        if shape.levels.len() <= level {
            shape.levels.resize_with(level + 1, Default::default);
        }
        let id = RunId(work.number());
        shape.levels[level].runs.push(Run { id, tables });
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_behind_newer_ones_and_tangled_ones_are_told() {
        let newer = |lists: &[&[usize]]| -> Vec<BTreeSet<usize>> {
            lists.iter().map(|list| list.iter().copied().collect()).collect()
        };
        // Table 0 is older than 1, 1 than 2; 3 is free.
        assert_eq!(sorted(&newer(&[&[1], &[2], &[], &[]])), (vec![3, 2, 1, 0], vec![]));
        // A low number may hold the newer versions.
        assert_eq!(sorted(&newer(&[&[], &[0]])), (vec![0, 1], vec![]));
        // 0 and 1 contradict one another, and 2 is older than both.
        assert_eq!(sorted(&newer(&[&[1], &[0], &[1], &[]])), (vec![3], vec![0, 1, 2]));
    }
}
