//! The slots of an engine: one type for each stage.

use std::path::Path;
use std::sync::Arc;
use terrace_compaction::CompactionPicker;
use terrace_memtable::MemTable;
use terrace_sstable::{BlockCache, TableFormat};
use terrace_vfs::Vfs;
use terrace_wal::{CreateLog, LogWriter};

use crate::Options;

/// Names one type for each stage of an engine. All hot paths are compiled for these types.
///
/// The stock choice is `DefaultParts` (feature `preset`). For an engine of your own, implement this for an empty type and
/// open `Engine::<MyParts>`; the example `custom_engine` does so with a memtable and a picker of its own.
pub trait Parts: Sized + Send + Sync + 'static {
    /// The memtable.
    type MemTable: MemTable;
    /// The log.
    type Log: LogWriter;
    /// The block cache.
    type Cache: BlockCache;
    /// The table format.
    type Table: TableFormat<Self::Cache>;
    /// The compaction policy.
    type Picker: CompactionPicker;

    /// The policy, set up for these options, where the builder was given none.
    fn picker(options: &Options) -> Self::Picker;

    /// Makes a log file. The provided method calls [`LogWriter::create`]; override it for a log type that chooses
    /// among several by an option.
    ///
    /// # Errors
    ///
    /// As [`LogWriter::create`].
    fn create_log(
        _options: &Options,
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        create: CreateLog,
    ) -> terrace_wal::Result<Self::Log> {
        Self::Log::create(vfs, path, create)
    }

    /// Whether logs made with these options leave a file behind.
    fn log_keeps(_options: &Options) -> bool {
        Self::Log::KEEPS
    }
}

pub(crate) type TableWriterOf<P> = <<P as Parts>::Table as TableFormat<<P as Parts>::Cache>>::Writer;
pub(crate) type TableReaderOf<P> = <<P as Parts>::Table as TableFormat<<P as Parts>::Cache>>::Reader;
pub(crate) type MemCursorOf<P> = <<P as Parts>::MemTable as MemTable>::Cursor;
pub(crate) type TableCursorOf<P> =
    <TableReaderOf<P> as terrace_sstable::TableReader<<P as Parts>::Cache>>::Cursor;
