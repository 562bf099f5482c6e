//! The shape of the trees, for people.

use std::collections::BTreeSet;
use std::fmt;
use terrace_compaction::{Drawing, Shape, TableColour, TableId};
use terrace_memtable::MemTable;

use crate::Parts;
use crate::shared::Shared;
use crate::stats::bytes_for_people;

/// One keyspace's tree at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyspaceShape {
    /// The keyspace.
    pub name: String,
    /// Memtables, newest first: versions and bytes; the first is the one being written.
    pub memtables: Vec<(usize, u64)>,
    /// Levels, runs and tables.
    pub shape: Shape,
    /// The tables that running tasks read.
    pub busy: BTreeSet<TableId>,
    /// How far compaction is behind: 0 at ease, 1 where writers wait.
    pub pressure: f64,
    /// Why the picker picked nothing, or nothing more.
    pub remarks: Vec<String>,
}

/// The shape of every keyspace's tree. `Display` draws it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeShape {
    /// In the order in which the keyspaces were made.
    pub keyspaces: Vec<KeyspaceShape>,
}

impl TreeShape {
    pub(crate) fn of<P: Parts>(shared: &Shared<P>) -> Self {
        let trees = shared.trees.load();
        let keyspaces = trees.values().map(|tree| {
            let work = tree.work();
            let view = tree.view();
            KeyspaceShape {
                name: tree.name.clone(),
                memtables: view.mems().map(|mem| (mem.table.len(), mem.memory_bytes())).collect(),
                shape: view.version.shape.clone(),
                pressure: tree.pressure(),
                busy: work.busy.clone(),
                remarks: work.remarks.clone(),
            }
        });
        TreeShape { keyspaces: keyspaces.collect() }
    }
}

impl TreeShape {
    /// A picture of the trees as an SVG file: a row for each run, a box for each table over its key range, hatched where it is being compacted.
    #[must_use]
    pub fn to_svg(&self, colour: TableColour) -> String {
        let mut drawings = Vec::with_capacity(self.keyspaces.len());
        for keyspace in &self.keyspaces {
            let title = format!("keyspace `{}`", keyspace.name);
            let drawing = Drawing::new(&keyspace.shape).title(title).busy(&keyspace.busy);
            drawings.push(drawing.colour(colour));
        }
        Drawing::page(&drawings)
    }
}

impl fmt::Display for TreeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for keyspace in &self.keyspaces {
            write!(f, "{keyspace}")?;
        }
        Ok(())
    }
}

impl fmt::Display for KeyspaceShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = bytes_for_people;
        writeln!(f, "keyspace `{}`, pressure {:.2}", self.name, self.pressure)?;
        for (number, (versions, bytes)) in self.memtables.iter().enumerate() {
            let state = if number == 0 { "active" } else { "sealed" };
            writeln!(f, "  memtable {state}  {versions:>9} versions  {:>10}", b(*bytes))?;
        }
        for (number, level) in
            self.shape.levels.iter().enumerate().filter(|(_, level)| !level.runs.is_empty())
        {
            for run in &level.runs {
                let versions: u64 = run.tables.iter().map(|table| table.entries).sum();
                let tombstones: u64 = run.tables.iter().map(|table| table.tombstones).sum();
                let busy = run.tables.iter().filter(|table| self.busy.contains(&table.id)).count();
                let busy = if busy > 0 { format!(", {busy} being compacted") } else { String::new() };
                let (first, last) = (run.tables.first(), run.tables.last());
                let range = first.zip(last).map_or(String::new(), |(first, last)| {
                    format!(
                        "{} .. {}",
                        key_for_people(&first.smallest_key),
                        key_for_people(&last.largest_key)
                    )
                });
                writeln!(
                    f,
                    "  level {number} run {:<5} {:>4} tables {versions:>10} versions ({tombstones} tombstones)  {:>10}  {range}{busy}",
                    run.id,
                    run.tables.len(),
                    b(run.file_bytes()),
                )?;
            }
        }
        for remark in &self.remarks {
            writeln!(f, "  picker: {remark}")?;
        }
        Ok(())
    }
}

/// The head of a key, escaped.
fn key_for_people(key: &[u8]) -> String {
    const SHOWN: usize = 20;
    let head = key.get(..SHOWN).unwrap_or(key).escape_ascii();
    if key.len() > SHOWN { format!("\"{head}\"...") } else { format!("\"{head}\"") }
}
