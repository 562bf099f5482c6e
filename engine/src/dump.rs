//! Annotated dumps of a database's files: what people look at when they ask what is on their disk, and what tests
//! compare so that a change of format is a readable difference.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use terrace_sstable::{BlockCache, BlockTable, NullCache, OpenTable, TableFormat, TableReader};
use terrace_vfs::Vfs;
use terrace_wal::{LogReader, ReadLogOptions, RecoveryMode};

use crate::batch::OpReader;
use crate::logs::payload::{GROUP, Payload};
use crate::manifest::edit::Edit;
use crate::names::FileName;
use crate::origin::Origin;
use crate::{Error, Result};

/// Describes a file of a database: `CURRENT`, a manifest, a log, or a table in the block format. Damage is described too, as far
/// as the file can be read.
///
/// # Errors
///
/// [`Error::NotADatabase`] for a name that is none of ours; [`Error::Io`]; for a table, what it fails with.
pub fn dump(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match FileName::parse(&name) {
        Some(FileName::Current | FileName::CurrentTemp) => dump_current(vfs, path),
        Some(FileName::Lock) => Ok("the lock file: its content means nothing\n".to_owned()),
        Some(FileName::Repair) => Ok("a repair was begun and did not finish\n".to_owned()),
        Some(FileName::Manifest(number)) => dump_records(vfs, path, number, describe_edits),
        Some(FileName::Log(number)) => dump_records(vfs, path, number, describe_payload),
        Some(FileName::Table(number)) => dump_table(vfs, path, number),
        None => Err(Error::NotADatabase {
            path: path.to_owned(),
            what: "no file of a database has such a name".to_owned(),
        }),
    }
}

fn dump_table(vfs: &Arc<dyn Vfs>, path: &Path, number: u64) -> Result<String> {
    let file = vfs.open(path)?;
    let mut text = terrace_sstable::dump(&*file)?;
    let source = OpenTable { file, file_number: number, cache: Arc::new(NullCache::new(0)) };
    let table = <BlockTable as TableFormat<NullCache>>::Reader::open(source)?;
    if let Some(origin) = Origin::decode(&table.properties().note) {
        line(&mut text, format_args!("{origin:#?}"));
    }
    Ok(text)
}

fn dump_current(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    Ok(match crate::manifest::read_current(vfs, dir)? {
        Some(number) => format!("the manifest in force is number {number}\n"),
        None => "empty\n".to_owned(),
    })
}

fn dump_records(
    vfs: &Arc<dyn Vfs>,
    path: &Path,
    number: u64,
    describe: fn(&[u8], &mut String) -> Result<(), &'static str>,
) -> Result<String> {
    let options = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
    let mut reader = LogReader::open(vfs, path, number, options)?;
    let mut text = String::new();
    while let Some(record) = reader.next()? {
        line(&mut text, format_args!("{:>10}  record of {} bytes", record.offset, record.payload.len()));
        if let Err(what) = describe(record.payload, &mut text) {
            line(&mut text, format_args!("            damaged: {what}"));
        }
    }
    let report = reader.report();
    let end = if report.clean_close { "closed" } else { "not closed" };
    line(&mut text, format_args!("{:>10}  end: {} records, {end}", report.valid_bytes, report.records));
    for dropped in &report.dropped {
        line(
            &mut text,
            format_args!(
                "{:>10}  {} bytes that are no record: {}",
                dropped.offset, dropped.bytes, dropped.what
            ),
        );
    }
    Ok(text)
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string can not fail.
    let _ = writeln!(text, "{words}");
}

fn describe_edits(payload: &[u8], text: &mut String) -> Result<(), &'static str> {
    for edit in Edit::decode_all(payload)? {
        match edit {
            Edit::Tree { keyspace, flushed, shape } => {
                let removed: Vec<u64> = shape.removed.iter().map(|id| id.0).collect();
                line(
                    text,
                    format_args!(
                        "            tree of keyspace {}: flushed to #{flushed}, removed {removed:?}",
                        keyspace.0
                    ),
                );
                let Some((output, tables)) = shape.added else { continue };
                line(text, format_args!("              added to {output:?}"));
                for table in tables {
                    line(
                        text,
                        format_args!(
                            "              table {} \"{}\"..\"{}\" {} bytes, {} versions, {} tombstones, #{}..#{}",
                            table.id,
                            table.smallest_key.escape_ascii(),
                            table.largest_key.escape_ascii(),
                            table.file_bytes,
                            table.entries,
                            table.tombstones,
                            table.seqno_min,
                            table.seqno_max
                        ),
                    );
                }
            }
            other => line(text, format_args!("            {other:?}")),
        }
    }
    Ok(())
}

fn describe_payload(payload: &[u8], text: &mut String) -> Result<(), &'static str> {
    const SHOWN: usize = 40;
    let mut payload = Payload::decode(payload)?;
    let kind = if payload.kind == GROUP { "group" } else { "start of log" };
    let (previous, durable) = (payload.previous, payload.durable);
    line(text, format_args!("            {kind}, after #{previous}, durable to #{durable}"));
    while let Some(batch) = payload.next_batch()? {
        line(text, format_args!("            batch of {} from #{}", batch.count, batch.first));
        let mut ops = OpReader::new(batch.ops);
        let mut seqno = batch.first.get();
        while let Some(op) = ops.next()? {
            let value = op.value.get(..SHOWN).unwrap_or(op.value).escape_ascii();
            line(
                text,
                format_args!(
                    "              #{seqno} {:?} keyspace {} \"{}\" = \"{value}\" ({} bytes)",
                    op.kind,
                    op.keyspace.0,
                    op.key.escape_ascii(),
                    op.value.len()
                ),
            );
            seqno += 1;
        }
    }
    Ok(())
}
