//! The hands of a repair: it numbers, opens and writes tables, and moves files aside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_entry::{InternalKey, SeqNo};
use terrace_sstable::{BlockCache, OpenTable, Properties, TableOptions, TableReader, TableWriter};
use terrace_vfs::{CreateOptions, Existing, ReadFile};

use super::report::RepairReport;
use crate::batch::KeyspaceId;
use crate::builder::Folder;
use crate::names::FileName;
use crate::origin::{Books, Origin};
use crate::outputs::table_options;
use crate::parts::{TableReaderOf, TableWriterOf};
use crate::{Error, Parts, Result};

/// The sub-folder that files are moved to.
pub(super) const LOST: &str = "lost";

pub(super) struct Work<'a, P: Parts> {
    pub(super) folder: &'a Folder,
    pub(super) report: RepairReport,
    pub(super) next_file: u64,
    /// What the notes of new tables say of the database.
    pub(super) books: Books,
    cache: Arc<P::Cache>,
}

/// What a table file turned out to be.
pub(super) enum Condition<P: Parts> {
    Sound(Arc<TableReaderOf<P>>),
    Missing,
    /// The file, if it can be opened at all, and what is wrong.
    Damaged(Option<Arc<dyn ReadFile>>, String),
}

impl<'a, P: Parts> Work<'a, P> {
    pub(super) fn new(folder: &'a Folder, next_file: u64) -> Self {
        let (report, books) = (RepairReport::default(), Books::default());
        Work { folder, report, next_file, books, cache: Arc::new(P::Cache::new(0)) }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file - 1
    }

    pub(super) fn path(&self, name: FileName) -> PathBuf {
        name.in_dir(&self.folder.dir)
    }

    /// Opens a table and reads all of it.
    ///
    /// # Errors
    ///
    /// For a table that is not damaged and that this build can not read.
    pub(super) fn inspect(&self, number: u64) -> Result<Condition<P>> {
        let file = match self.folder.vfs.open(&self.path(FileName::Table(number))) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(Condition::Missing),
            Err(error) => return Ok(Condition::Damaged(None, error.to_string())),
        };
        let opened = self.open(Arc::clone(&file), number);
        match opened.and_then(|reader| Arc::clone(&reader).verify().map(|()| reader)) {
            Ok(reader) => Ok(Condition::Sound(reader)),
            // A sector that can not be read is damage like any other.
            Err(error) if error.is_corruption() || matches!(error, terrace_sstable::Error::File(_)) => {
                Ok(Condition::Damaged(Some(file), error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(
        &self,
        file: Arc<dyn ReadFile>,
        file_number: u64,
    ) -> terrace_sstable::Result<Arc<TableReaderOf<P>>> {
        let source = OpenTable { file, file_number, cache: Arc::clone(&self.cache) };
        <TableReaderOf<P> as TableReader<P::Cache>>::open(source).map(Arc::new)
    }

    /// A table that was just written.
    pub(super) fn reopen(&self, number: u64) -> Result<Arc<TableReaderOf<P>>> {
        let file = self.folder.vfs.open(&self.path(FileName::Table(number)))?;
        Ok(self.open(file, number)?)
    }

    /// Writes a small text file into the sub-folder for lost files.
    pub(super) fn write_report(&mut self) -> Result<()> {
        let dir = self.folder.dir.join(LOST);
        self.folder.vfs.create_dir_all(&dir)?;
        let number = self.number();
        let create = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
        let mut file = self.folder.vfs.create(&dir.join(format!("report-{number:06}.txt")), create)?;
        file.append(self.report.to_string().as_bytes())?;
        file.sync()?;
        self.folder.vfs.sync_dir(&dir)?;
        Ok(())
    }

    /// Moves a file into the sub-folder for lost files, under a name that is free there.
    pub(super) fn set_aside(&mut self, path: &Path) -> Result<()> {
        let dir = self.folder.dir.join(LOST);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut to = dir.join(&name);
        let mut copy = 0;
        while self.folder.vfs.exists(&to)? {
            copy += 1;
            to = dir.join(format!("{name}.{copy}"));
        }
        self.folder.vfs.rename(path, &to)?;
        self.report.set_aside.push(to);
        Ok(())
    }

    /// A table to be written, not made before its first version comes.
    pub(super) fn sink(&self, keyspace: KeyspaceId, level: u64, inputs: Vec<u64>) -> Sink<P> {
        let created = self.folder.clock.unix_seconds();
        let options = table_options(&self.folder.options, level as usize, created);
        Sink { keyspace, level, inputs, options, writer: None }
    }

    /// Ends a table; `None` when nothing was added. `flushed`: what the keyspace is in tables up to, with this one.
    pub(super) fn finish(&mut self, sink: Sink<P>, flushed: SeqNo) -> Result<Option<(u64, Properties)>> {
        let Some((number, mut writer)) = sink.writer else { return Ok(None) };
        if let Some(own) = self.books.keyspaces.iter_mut().find(|own| own.0 == sink.keyspace) {
            own.2 = own.2.max(flushed);
        }
        let origin = Origin {
            keyspace: sink.keyspace,
            level: sink.level,
            group: number,
            index: 0,
            last: true,
            inputs: sink.inputs,
            gone: Vec::new(),
            books: Books { stamp: self.next_file, ..self.books.clone() },
        };
        writer.set_note(origin.encode());
        let properties = writer.finish()?;
        self.report.tables_written += 1;
        Ok(Some((number, properties)))
    }
}

/// A table that is being written.
pub(super) struct Sink<P: Parts> {
    keyspace: KeyspaceId,
    level: u64,
    inputs: Vec<u64>,
    options: TableOptions,
    writer: Option<(u64, TableWriterOf<P>)>,
}

impl<P: Parts> Sink<P> {
    pub(super) fn add(
        &mut self,
        folder: &Folder,
        next_file: &mut u64,
        key: InternalKey<'_>,
        value: &[u8],
    ) -> Result<()> {
        let writer = match &mut self.writer {
            Some((_, writer)) => writer,
            None => {
                let number = *next_file;
                *next_file += 1;
                let path = FileName::Table(number).in_dir(&folder.dir);
                let file = folder.vfs.create(&path, CreateOptions::default())?;
                let writer = TableWriterOf::<P>::create(file, &self.options)?;
                &mut self.writer.insert((number, writer)).1
            }
        };
        writer.add(key, value).map_err(Error::from)
    }
}
