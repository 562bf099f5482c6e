//! What is whole of a damaged table goes into a new one, and the rest is named.

use std::sync::Arc;
use terrace_compaction::TableMeta;
use terrace_entry::InternalKey;
use terrace_sstable::{LostKeys, Properties, TableReader};
use terrace_vfs::ReadFile;

use super::report::Loss;
use super::work::Work;
use crate::batch::KeyspaceId;
use crate::names::FileName;
use crate::outputs::meta_of;
use crate::parts::TableReaderOf;
use crate::{Error, Parts, Result};

/// A damaged table.
pub(super) struct Damaged<'a> {
    pub(super) number: u64,
    pub(super) file: Option<Arc<dyn ReadFile>>,
    pub(super) what: &'a str,
    pub(super) keyspace: KeyspaceId,
    pub(super) keyspace_name: Option<String>,
    pub(super) level: u64,
    /// The keys that it held, as far as they are known.
    pub(super) keys: Option<(Vec<u8>, Vec<u8>)>,
}

/// The properties of a damaged table, when they can be read.
pub(super) fn properties_of<P: Parts>(file: &dyn ReadFile) -> Option<Properties> {
    let keep = &mut |_: InternalKey<'_>, _: &[u8]| Ok(());
    <TableReaderOf<P> as TableReader<P::Cache>>::salvage(file, keep, &mut |_| {}).ok().flatten()
}

/// Writes what can be read of a table into a new one, and reports what can not. `None` when nothing can.
pub(super) fn salvage_table<P: Parts>(
    work: &mut Work<'_, P>,
    table: &Damaged<'_>,
) -> Result<Option<TableMeta>> {
    let path = work.path(FileName::Table(table.number));
    let loss = |keys: Option<(Vec<u8>, Vec<u8>)>, what: String| Loss {
        file: path.clone(),
        keyspace: table.keyspace_name.clone(),
        keys,
        what,
    };
    let Some(file) = &table.file else {
        work.report.lost.push(loss(table.keys.clone(), table.what.to_owned()));
        return Ok(None);
    };
    let mut sink = work.sink(table.keyspace, table.level, vec![table.number]);
    let (folder, mut next_file) = (work.folder, work.next_file);
    let mut failed = None;
    let mut lost = Vec::new();
    let keep = &mut |key: InternalKey<'_>, value: &[u8]| {
        if failed.is_none() {
            failed = sink.add(folder, &mut next_file, key, value).err();
        }
        Ok(())
    };
    <TableReaderOf<P> as TableReader<P::Cache>>::salvage(&**file, keep, &mut |stretch| match stretch.keys {
        LostKeys::None => {}
        LostKeys::Range { smallest, largest } => lost.push(loss(Some((smallest, largest)), stretch.what)),
        LostKeys::All => lost.push(loss(table.keys.clone(), stretch.what)),
    })
    .map_err(Error::from)?;
    work.next_file = next_file;
    work.report.lost.append(&mut lost);
    if let Some(error) = failed {
        return Err(error);
    }
    let written = work.finish(sink, terrace_entry::SeqNo::ZERO)?;
    Ok(written.map(|(number, properties)| meta_of(number, &properties)))
}
