//! The durable state of a database: what the edits of a manifest add up to.

use std::collections::{BTreeMap, HashSet};
use terrace_compaction::{Output, Shape, ShapeEdit};
use terrace_entry::SeqNo;

use super::edit::{Edit, FORMAT_VERSION};
use crate::batch::KeyspaceId;
use crate::names::FILE_NUMBER_MAX;

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
                // Only the first was looked at when the manifest was opened.
                if self.format_version != 0 {
                    return Err("a second identity".to_owned());
                }
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

    /// Whether a database can go on from this state. No writer of ours makes one that fails; a manifest that was forged, or written by a
    /// broken build, would have acknowledged writes shadowed by older ones, skipped by the next replay, or written over.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.format_version == 0 {
            return Err("there is no format version 0".to_owned());
        }
        if self.next_file > FILE_NUMBER_MAX {
            return Err(format!("file number {} is beyond all that are given out", self.next_file));
        }
        if self.log_previous > self.last_seqno {
            return Err(format!(
                "a log begins after #{} and the last write is #{}",
                self.log_previous, self.last_seqno
            ));
        }
        if self.keyspaces.get(&KeyspaceId::DEFAULT).is_none_or(|first| first.name != crate::DEFAULT_KEYSPACE)
        {
            return Err("the default keyspace is not there".to_owned());
        }
        let (mut names, mut seen) = (HashSet::new(), HashSet::new());
        for (id, keyspace) in &self.keyspaces {
            if !names.insert(&keyspace.name) {
                return Err(format!("two keyspaces are called `{}`", keyspace.name));
            }
            let tables = || keyspace.shape.tables().map(|(_, table)| table);
            let newest = tables().map(|table| table.seqno_max).max().unwrap_or_default();
            if keyspace.flushed.max(newest) > self.last_seqno {
                let flushed = keyspace.flushed.max(newest);
                return Err(format!(
                    "keyspace {} has #{flushed} in tables and the last write is #{}",
                    id.0, self.last_seqno
                ));
            }
            for table in tables() {
                if table.id.0 >= self.next_file || !seen.insert(table.id) {
                    return Err(format!("table number {} is not one that was given out once", table.id.0));
                }
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

    /// A state with one table, #5 to #9 under number 3, changed.
    fn checked(change: impl FnOnce(&mut State)) -> Result<(), String> {
        let mut state = State::new("block");
        let meta =
            TableMeta { seqno_min: SeqNo::new(5), seqno_max: SeqNo::new(9), ..(*table(3, "a", "c")).clone() };
        let shape = ShapeEdit {
            removed: vec![],
            added: Some((Output::NewRun { level: 0, run: Some(RunId(1)) }, vec![Arc::new(meta)])),
        };
        let tree = Edit::Tree { keyspace: KeyspaceId(0), flushed: SeqNo::new(9), shape };
        for edit in [Edit::Counters { next_file: 4, last_seqno: SeqNo::new(9) }, tree] {
            state.apply(&edit)?;
        }
        state.check()?;
        change(&mut state);
        state.check()
    }

    #[test]
    fn a_second_identity_is_refused() {
        let identity = Edit::Identity { format_version: 3, table_format: "block".into() };
        assert_eq!(State::new("block").apply(&identity), Err("a second identity".to_owned()));
        assert_eq!(State::default().apply(&identity), Ok(()));
    }

    #[test]
    fn a_state_that_would_lose_later_writes_is_refused() {
        assert_eq!(checked(|_| ()), Ok(()));
        let forgeries: [fn(&mut State); 10] = [
            |state| state.format_version = 0,
            |state| state.keyspaces.clear(),
            |state| state.keyspaces.get_mut(&KeyspaceId(0)).expect("made").name.push('x'),
            |state| {
                let name = crate::DEFAULT_KEYSPACE.to_owned();
                state.keyspaces.insert(KeyspaceId(4), KeyspaceState { name, ..KeyspaceState::default() });
            },
            |state| state.last_seqno = SeqNo::new(8),
            |state| state.keyspaces.get_mut(&KeyspaceId(0)).expect("made").flushed = SeqNo::new(10),
            |state| state.log_previous = SeqNo::new(10),
            |state| state.next_file = 3,
            |state| state.next_file = u64::MAX,
            |state| {
                let mut twin = state.keyspaces[&KeyspaceId(0)].clone();
                twin.name.push('x');
                state.keyspaces.insert(KeyspaceId(1), twin);
            },
        ];
        for (number, forge) in forgeries.into_iter().enumerate() {
            assert!(checked(forge).is_err(), "forgery {number}");
        }
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
