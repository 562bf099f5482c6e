//! The tables that a flush or a merge writes.

use std::path::PathBuf;
use std::sync::Arc;
use terrace_compaction::{OutputCutter, TableId, TableMeta};
use terrace_entry::{Entry, SeqNo};
use terrace_sstable::{OpenTable, Properties, TableOptions, TableReader, TableWriter};
use terrace_vfs::CreateOptions;

use crate::batch::KeyspaceId;
use crate::manifest::state::State;
use crate::names::FileName;
use crate::origin::{Books, Origin};
use crate::parts::TableWriterOf;
use crate::shared::Shared;
use crate::version::Table;
use crate::{Options, Parts, Result};

/// Writes versions into tables, cut where the cutter says. Files of outputs that are not taken by [`Outputs::finish`] are removed.
pub(crate) struct Outputs<P: Parts> {
    shared: Arc<Shared<P>>,
    options: TableOptions,
    cutter: OutputCutter,
    writer: Option<(u64, TableWriterOf<P>)>,
    written: Vec<(u64, Properties)>,
    taken: bool,
    level: usize,
    group: Group,
}

/// What the tables of one flush or merge have in common.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) keyspace: KeyspaceId,
    /// The tables that they take the place of.
    pub(crate) inputs: Vec<u64>,
    /// For a flush: with these tables, the keyspace is in tables up to here.
    pub(crate) flushed: SeqNo,
    /// When the oldest tombstone in the inputs was flushed.
    pub(crate) oldest_tombstone: Option<u64>,
}

/// How the tables of a level are written.
pub(crate) fn table_options(from: &Options, level: usize, created_at_unix_seconds: u64) -> TableOptions {
    TableOptions {
        block_bytes: from.block_bytes,
        restart_interval: from.restart_interval,
        compression: from.compression_at(level),
        filter: from.filter_at(level),
        created_at_unix_seconds,
    }
}

impl<P: Parts> Outputs<P> {
    pub(crate) fn new(shared: &Arc<Shared<P>>, level: usize, cutter: OutputCutter, group: Group) -> Self {
        let options = table_options(&shared.options, level, shared.clock.unix_seconds());
        Outputs {
            shared: Arc::clone(shared),
            options,
            level,
            group,
            cutter,
            writer: None,
            written: Vec::new(),
            taken: false,
        }
    }

    /// Adds a version, in order.
    #[inline]
    pub(crate) fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let bytes = self.writer.as_ref().map_or(0, |(_, writer)| writer.file_bytes_estimate());
        if self.cutter.cut_before(entry.key.user_key, bytes) {
            self.finish_table(false)?;
        }
        if self.writer.is_none() {
            self.begin_table()?;
        }
        if let Some((_, writer)) = &mut self.writer {
            writer.add(entry.key, entry.value)?;
        }
        Ok(())
    }

    fn begin_table(&mut self) -> Result<()> {
        let number = self.shared.new_file_number();
        let path = self.path(number);
        let file = self.shared.vfs.create(&path, CreateOptions::default())?;
        // From here on the file is there and must be removed if nobody takes it.
        self.written.push((number, Properties::default()));
        let writer = TableWriterOf::<P>::create(file, &self.options)?;
        self.writer = Some((number, writer));
        Ok(())
    }

    fn finish_table(&mut self, last: bool) -> Result<()> {
        if let Some((number, mut writer)) = self.writer.take() {
            writer.set_note(self.origin(last).encode());
            let properties = writer.finish()?;
            if let Some(last) = self.written.last_mut().filter(|last| last.0 == number) {
                last.1 = properties;
            }
        }
        Ok(())
    }

    /// What the table being written says of itself.
    fn origin(&self, last: bool) -> Origin {
        let manifest = self.shared.manifest();
        let first = self.written.first().map(|first| first.0).unwrap_or_default();
        let mut origin = self.shared.origin_of(manifest.state(), &self.group, first);
        origin.level = self.level as u64;
        origin.index = self.written.len().saturating_sub(1) as u64;
        origin.last = last;
        origin
    }

    fn path(&self, number: u64) -> PathBuf {
        self.shared.path_of(FileName::Table(number))
    }

    /// Finishes the last table, makes the files' names durable, and opens what was written. The caller records them in the manifest, or
    /// removes them.
    pub(crate) fn finish(mut self) -> Result<Vec<Arc<Table<P>>>> {
        self.finish_table(true)?;
        if !self.written.is_empty() {
            self.shared.trash.sync_dir(&self.shared.dir)?;
        }
        let oldest_tombstone = self.group.oldest_tombstone;
        let open = |(number, _): &(u64, Properties)| open_table(&self.shared, *number, oldest_tombstone);
        let tables: Result<Vec<_>> = self.written.iter().map(open).collect();
        let tables = tables?;
        self.taken = true;
        Ok(tables)
    }
}

impl<P: Parts> Shared<P> {
    /// The origin of the first and only table of a group. `state` shows that the caller holds the manifest's lock, without which a table could
    /// become obsolete unseen.
    fn origin_of(&self, state: &State, group: &Group, first: u64) -> Origin {
        Origin {
            keyspace: group.keyspace,
            level: 0,
            group: first,
            index: 0,
            last: true,
            inputs: group.inputs.clone(),
            gone: self.trash.ghost_numbers(),
            books: Books::of(state, self.next_file_number(), group.keyspace, group.flushed),
        }
    }

    /// Writes an empty table whose note says that `inputs` are obsolete, durably, before the manifest says so. It returns its number.
    pub(crate) fn write_marker(
        &self,
        state: &State,
        keyspace: KeyspaceId,
        inputs: &[TableId],
    ) -> Result<u64> {
        let number = self.new_file_number();
        let file = self.vfs.create(&self.path_of(FileName::Table(number)), CreateOptions::default())?;
        let options = table_options(&self.options, 0, self.clock.unix_seconds());
        let mut writer = TableWriterOf::<P>::create(file, &options)?;
        let inputs = inputs.iter().map(|id| id.0).collect();
        let group = Group { keyspace, inputs, flushed: SeqNo::ZERO, oldest_tombstone: None };
        writer.set_note(self.origin_of(state, &group, number).encode());
        writer.finish()?;
        self.trash.sync_dir(&self.dir)?;
        Ok(number)
    }
}

impl<P: Parts> Drop for Outputs<P> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        self.writer = None;
        for (number, _) in &self.written {
            // What can not be removed is an orphan that goes at the next open.
            let _ = self.shared.vfs.remove(&self.path(*number));
        }
    }
}

/// Opens a table just written; its description comes from its own properties, but for the age of its tombstones.
fn open_table<P: Parts>(
    shared: &Shared<P>,
    number: u64,
    oldest_tombstone: Option<u64>,
) -> Result<Arc<Table<P>>> {
    let path = shared.path_of(FileName::Table(number));
    let file = shared.vfs.open(&path)?;
    let source = OpenTable { file, file_number: number, cache: Arc::clone(&shared.cache) };
    let reader = <crate::parts::TableReaderOf<P> as TableReader<P::Cache>>::open(source)?;
    let mut meta = meta_of(number, reader.properties());
    meta.oldest_tombstone_unix_seconds = oldest_tombstone.filter(|_| meta.tombstones > 0);
    Ok(Table::new(Arc::new(meta), reader, path, Arc::clone(&shared.trash)))
}

pub(crate) fn meta_of(number: u64, properties: &Properties) -> TableMeta {
    TableMeta {
        id: TableId(number),
        smallest_key: properties.smallest_key.clone(),
        largest_key: properties.largest_key.clone(),
        file_bytes: properties.file_bytes,
        raw_bytes: properties.key_bytes + properties.value_bytes,
        entries: properties.entries,
        tombstones: properties.tombstones,
        seqno_min: properties.seqno_min,
        seqno_max: properties.seqno_max,
        created_at_unix_seconds: properties.created_at_unix_seconds,
        // The manifest alone knows; a table says no more than when it was written.
        oldest_tombstone_unix_seconds: None,
    }
}

/// Whether a table with these properties is the one that `meta` describes.
pub(crate) fn is_described(meta: &TableMeta, properties: &Properties) -> bool {
    let found = meta_of(meta.id.0, properties);
    TableMeta { oldest_tombstone_unix_seconds: meta.oldest_tombstone_unix_seconds, ..found } == *meta
}
