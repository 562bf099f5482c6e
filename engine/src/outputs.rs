//! The tables that a flush or a merge writes.

use std::path::PathBuf;
use std::sync::Arc;
use terrace_compaction::{OutputCutter, TableId, TableMeta};
use terrace_entry::Entry;
use terrace_sstable::{OpenTable, Properties, TableOptions, TableReader, TableWriter};
use terrace_vfs::CreateOptions;

use crate::names::FileName;
use crate::parts::TableWriterOf;
use crate::shared::Shared;
use crate::version::Table;
use crate::{Parts, Result};

/// Writes versions into tables, cut where the cutter says. Files of outputs that are not taken by [`Outputs::finish`] are removed.
pub(crate) struct Outputs<P: Parts> {
    shared: Arc<Shared<P>>,
    options: TableOptions,
    cutter: OutputCutter,
    writer: Option<(u64, TableWriterOf<P>)>,
    written: Vec<(u64, Properties)>,
    taken: bool,
}

impl<P: Parts> Outputs<P> {
    pub(crate) fn new(shared: &Arc<Shared<P>>, level: usize, cutter: OutputCutter) -> Self {
        let from = &shared.options;
        let options = TableOptions {
            block_bytes: from.block_bytes,
            restart_interval: from.restart_interval,
            compression: from.compression_at(level),
            filter: from.filter,
            created_at_unix_seconds: shared.clock.unix_seconds(),
        };
        Outputs {
            shared: Arc::clone(shared),
            options,
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
            self.finish_table()?;
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

    fn finish_table(&mut self) -> Result<()> {
        if let Some((number, writer)) = self.writer.take() {
            let properties = writer.finish()?;
            if let Some(last) = self.written.last_mut().filter(|last| last.0 == number) {
                last.1 = properties;
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.shared.path_of(FileName::Table(number))
    }

    /// Finishes the last table, makes the files' names durable, and opens what was written. The caller records them in the manifest, or
    /// removes them.
    pub(crate) fn finish(mut self) -> Result<Vec<Arc<Table<P>>>> {
        self.finish_table()?;
        if !self.written.is_empty() {
            self.shared.vfs.sync_dir(&self.shared.dir)?;
        }
        let tables: Result<Vec<_>> =
            self.written.iter().map(|(number, _)| open_table(&self.shared, *number)).collect();
        let tables = tables?;
        self.taken = true;
        Ok(tables)
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

/// Opens a table just written; its description comes from its own properties.
fn open_table<P: Parts>(shared: &Shared<P>, number: u64) -> Result<Arc<Table<P>>> {
    let path = shared.path_of(FileName::Table(number));
    let file = shared.vfs.open(&path)?;
    let source = OpenTable { file, file_number: number, cache: Arc::clone(&shared.cache) };
    let reader = <crate::parts::TableReaderOf<P> as TableReader<P::Cache>>::open(source)?;
    let meta = Arc::new(meta_of(number, reader.properties()));
    Ok(Table::new(meta, reader, path, Arc::clone(&shared.trash)))
}

fn meta_of(number: u64, properties: &Properties) -> TableMeta {
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
    }
}
