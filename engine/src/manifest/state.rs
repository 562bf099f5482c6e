//! The durable state of a database: what the edits of a manifest add up to.

use std::collections::BTreeMap;
use terrace_compaction::{Output, Shape, ShapeEdit};
use terrace_entry::SeqNo;

use super::edit::{Edit, FORMAT_VERSION};
use crate::batch::KeyspaceId;

/// One keyspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeyspaceState {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) flushed: SeqNo,
}

/// The durable state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) format_version: u32,
    pub(crate) table_format: String,
    pub(crate) next_file: u64,
    pub(crate) last_seqno: SeqNo,
    pub(crate) log_floor: u64,
    pub(crate) log_previous: SeqNo,
    /// Final lengths of closed logs at or above the floor.
    pub(crate) closed_logs: BTreeMap<u64, u64>,
    pub(crate) keyspaces: BTreeMap<KeyspaceId, KeyspaceState>,
    /// Above every keyspace number ever used.
    pub(crate) next_keyspace: u32,
}

impl State {
    /// The state of a new database: one keyspace without a table.
    pub(crate) fn new(table_format: &str) -> Self {
        let mut state = State {
            format_version: FORMAT_VERSION,
            table_format: table_format.to_owned(),
            next_file: 1,
            next_keyspace: 1,
            ..State::default()
        };
        let default = KeyspaceState { name: crate::DEFAULT_KEYSPACE.to_owned(), ..Default::default() };
        state.keyspaces.insert(KeyspaceId::DEFAULT, default);
        state
    }

    pub(crate) fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        match edit {
            Edit::Identity { format_version, table_format } => {
                self.format_version = *format_version;
                self.table_format.clone_from(table_format);
            }
            Edit::Counters { next_file, last_seqno } => {
                self.next_file = self.next_file.max(*next_file);
                self.last_seqno = self.last_seqno.max(*last_seqno);
            }
            Edit::LogFloor { number, previous } => {
                self.log_floor = *number;
                self.log_previous = *previous;
                self.closed_logs = self.closed_logs.split_off(number);
            }
            Edit::LogClosed { number, bytes } => {
                self.closed_logs.insert(*number, *bytes);
            }
            Edit::CreateKeyspace { id, name } => {
                let keyspace = KeyspaceState { name: name.clone(), ..Default::default() };
                if self.keyspaces.insert(*id, keyspace).is_some() {
                    return Err(format!("keyspace {} is made twice", id.0));
                }
                self.next_keyspace = self.next_keyspace.max(id.0.saturating_add(1));
            }
            Edit::RemoveKeyspace { id } => {
                self.keyspaces.remove(id).ok_or_else(|| format!("keyspace {} is not there", id.0))?;
            }
            Edit::Tree { keyspace, flushed, shape } => {
                let tree = self
                    .keyspaces
                    .get_mut(keyspace)
                    .ok_or_else(|| format!("keyspace {} is not there", keyspace.0))?;
                tree.shape.apply(shape).map_err(|error| error.to_string())?;
                tree.flushed = tree.flushed.max(*flushed);
            }
        }
        Ok(())
    }

    /// Edits that make this state from nothing: what a new manifest begins with.
    pub(crate) fn snapshot(&self) -> Vec<Edit> {
        let mut edits = vec![
            Edit::Identity { format_version: self.format_version, table_format: self.table_format.clone() },
            Edit::Counters { next_file: self.next_file, last_seqno: self.last_seqno },
            Edit::LogFloor { number: self.log_floor, previous: self.log_previous },
        ];
        edits.extend(self.closed_logs.iter().map(|(&number, &bytes)| Edit::LogClosed { number, bytes }));
        // Keyspace numbers are never reused; a removed one of the greatest number leaves its mark.
        if let Some(last) = self.next_keyspace.checked_sub(1).map(KeyspaceId)
            && !self.keyspaces.contains_key(&last)
        {
            edits.push(Edit::CreateKeyspace { id: last, name: String::new() });
            edits.push(Edit::RemoveKeyspace { id: last });
        }
        for (&id, keyspace) in &self.keyspaces {
            edits.push(Edit::CreateKeyspace { id, name: keyspace.name.clone() });
            edits.extend(tree_snapshot(id, keyspace));
        }
        edits
    }
}

/// A new run goes in front of its level, so the oldest run is added first.
fn tree_snapshot(id: KeyspaceId, keyspace: &KeyspaceState) -> impl Iterator<Item = Edit> + '_ {
    let flushed = keyspace.flushed;
    let head = Edit::Tree { keyspace: id, flushed, shape: ShapeEdit::default() };
    let runs = keyspace.shape.levels.iter().enumerate().flat_map(move |(level, runs)| {
        runs.runs.iter().rev().map(move |run| {
            let output = Output::NewRun { level, run: Some(run.id) };
            let shape = ShapeEdit { removed: Vec::new(), added: Some((output, run.tables.clone())) };
            Edit::Tree { keyspace: id, flushed, shape }
        })
    });
    std::iter::once(head).chain(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use terrace_compaction::{RunId, TableId, TableMeta};

    fn table(id: u64, smallest: &str, largest: &str) -> Arc<TableMeta> {
        Arc::new(TableMeta {
            id: TableId(id),
            smallest_key: smallest.into(),
            largest_key: largest.into(),
            file_bytes: 10,
            ..TableMeta::default()
        })
    }

    #[test]
    fn snapshot_edits_rebuild_the_state() {
        let mut state = State::new("block");
        let add = |level, run, tables| Edit::Tree {
            keyspace: KeyspaceId(0),
            flushed: SeqNo::new(run),
            shape: ShapeEdit {
                removed: vec![],
                added: Some((Output::NewRun { level, run: Some(RunId(run)) }, tables)),
            },
        };
        let edits = [
            Edit::Counters { next_file: 40, last_seqno: SeqNo::new(500) },
            Edit::LogFloor { number: 7, previous: SeqNo::new(3) },
            Edit::LogClosed { number: 8, bytes: 100 },
            add(1, 10, vec![table(1, "a", "c"), table(2, "d", "f")]),
            add(0, 11, vec![table(3, "a", "z")]),
            add(0, 12, vec![table(4, "b", "q")]),
            Edit::CreateKeyspace { id: KeyspaceId(5), name: "gone".into() },
            Edit::RemoveKeyspace { id: KeyspaceId(5) },
        ];
        for edit in &edits {
            state.apply(edit).expect("applies");
        }
        let mut rebuilt = State::default();
        for edit in state.snapshot() {
            rebuilt.apply(&edit).expect("applies");
        }
        assert_eq!(rebuilt, state);
        assert_eq!(rebuilt.next_keyspace, 6);
    }
}
