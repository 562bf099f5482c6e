//! What can still be read of any manifest in the folder.
//!
//! Everything but the shape of the trees only ever grows: a table that was removed never comes back, a keyspace keeps its name and its number,
//! counters and floors rise. So each whole edit of a damaged manifest is true whatever is missing between, and those of an older
//! manifest too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrace_compaction::TableMeta;
use terrace_entry::SeqNo;
use terrace_wal::{LogReader, ReadLogOptions, RecoveryMode};

use crate::batch::KeyspaceId;
use crate::builder::Folder;
use crate::manifest::edit::{Edit, FORMAT_VERSION};
use crate::names::FileName;
use crate::origin::Books;
use crate::{Error, Result};

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) next_file: u64,
    pub(super) last_seqno: SeqNo,
    pub(super) log_floor: u64,
    pub(super) closed_logs: BTreeMap<u64, u64>,
    pub(super) next_keyspace: u64,
    pub(super) names: BTreeMap<KeyspaceId, String>,
    pub(super) removed_keyspaces: BTreeSet<KeyspaceId>,
    pub(super) flushed: BTreeMap<KeyspaceId, SeqNo>,
    /// Tables that were removed from a tree.
    pub(super) removed: BTreeSet<u64>,
    /// Tables that were added to one.
    pub(super) added: BTreeMap<u64, (KeyspaceId, Arc<TableMeta>)>,
}

impl Facts {
    /// Reads every whole record of these manifests.
    ///
    /// # Errors
    ///
    /// For a database that this build can not read; damage is none.
    pub(super) fn read(folder: &Folder, manifests: &[u64], table_format: &str) -> Result<Self> {
        let mut facts = Facts::default();
        for &number in manifests {
            let path = FileName::Manifest(number).in_dir(&folder.dir);
            let options = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
            let Ok(mut reader) = LogReader::open(&folder.vfs, &path, number, options) else { continue };
            loop {
                match reader.next() {
                    Ok(Some(record)) => {
                        for edit in Edit::decode_all(record.payload).unwrap_or_default() {
                            facts.check_identity(&path, &edit, table_format)?;
                            facts.learn(edit);
                        }
                    }
                    Err(error @ terrace_wal::Error::UnsupportedVersion { .. }) => return Err(error.into()),
                    Ok(None) | Err(_) => break,
                }
            }
        }
        Ok(facts)
    }

    fn check_identity(&self, path: &std::path::Path, edit: &Edit, opening: &str) -> Result<()> {
        match edit {
            Edit::Identity { format_version, .. } if *format_version > FORMAT_VERSION => {
                Err(Error::UnsupportedVersion {
                    file: path.to_owned(),
                    found: *format_version,
                    supported: FORMAT_VERSION,
                })
            }
            Edit::Identity { table_format, .. } if table_format != opening => Err(Error::PartsMismatch {
                written: format!("table format `{table_format}`"),
                opening: format!("table format `{opening}`"),
            }),
            _ => Ok(()),
        }
    }

    fn learn(&mut self, edit: Edit) {
        match edit {
            Edit::Identity { .. } => {}
            Edit::LogClosed { number, bytes } => {
                self.closed_logs.insert(number, bytes);
            }
            Edit::Counters { next_file, last_seqno } => {
                self.next_file = self.next_file.max(next_file);
                self.last_seqno = self.last_seqno.max(last_seqno);
            }
            Edit::LogFloor { number, .. } => self.log_floor = self.log_floor.max(number),
            Edit::CreateKeyspace { id, name } => {
                self.next_keyspace = self.next_keyspace.max(u64::from(id.0) + 1);
                self.names.insert(id, name);
            }
            Edit::RemoveKeyspace { id } => {
                self.removed_keyspaces.insert(id);
            }
            Edit::Tree { keyspace, flushed, shape } => {
                let at = self.flushed.entry(keyspace).or_default();
                *at = flushed.max(*at);
                let added = shape.added.map(|(_, tables)| tables).unwrap_or_default();
                // A table that moves is in both lists.
                let moved = |id: u64| added.iter().any(|table| table.id.0 == id);
                self.removed.extend(shape.removed.iter().map(|id| id.0).filter(|&id| !moved(id)));
                self.added.extend(added.into_iter().map(|table| (table.id.0, (keyspace, table))));
            }
        }
    }

    /// Learns from the books of a note. `own` is the keyspace that its table is of, and `whole` whether all of the table's group was found: if not, it
    /// does not say up to where its own keyspace is in tables.
    pub(super) fn learn_books(&mut self, books: &Books, own: KeyspaceId, whole: bool) {
        self.last_seqno = self.last_seqno.max(books.last_seqno);
        self.next_keyspace = self.next_keyspace.max(books.next_keyspace);
        for (id, name, flushed) in &books.keyspaces {
            self.names.insert(*id, name.clone());
            if whole || *id != own {
                let at = self.flushed.entry(*id).or_default();
                *at = (*flushed).max(*at);
            }
        }
    }

    pub(super) fn flushed(&self, keyspace: KeyspaceId) -> SeqNo {
        self.flushed.get(&keyspace).copied().unwrap_or_default()
    }
}
