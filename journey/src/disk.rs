//! A folder of its own for each program, and a [`Vfs`] around the operating system's that counts what goes to files and what comes from them.
//!
//! Counted is what the program asks of the system, not what the device does: a read that the system answers from its page cache counts like
//! any other. The counts are thus the same on every machine, and say what a disk that is too large for memory would have to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;
use terrace_vfs::{CreateOptions, DirEntry, FileLock, MappedFile, ReadFile, RealVfs, Result, Vfs, WriteFile};

use crate::Outcome;

/// What was asked of files so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Files read from, each counted once for each operation ([`Disk::begin_operation`]).
    pub files_touched: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written_bytes: AtomicU64,
    read_bytes: AtomicU64,
    files_touched: AtomicU64,
    operation: AtomicU64,
}

/// A folder that goes with the last handle to it, and the file system that counts.
#[derive(Clone, Debug)]
pub struct Disk {
    folder: Arc<TempDir>,
    counters: Arc<Counters>,
}

impl Disk {
    /// A new folder in the system's place for temporary files (`TMPDIR` names another).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new() -> Outcome<Self> {
        Ok(Disk { folder: Arc::new(tempfile::tempdir()?), counters: Arc::default() })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The file system, whose work is counted.
    #[must_use]
    pub fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(Counting { real: RealVfs::new(), counters: Arc::clone(&self.counters) })
    }

    /// Begins an operation: a file that is read from several times until the next one counts once.
    pub fn begin_operation(&self) {
        self.counters.operation.fetch_add(1, Relaxed);
    }

    /// What was asked of files so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters { written_bytes, read_bytes, files_touched, .. } = &*self.counters;
        Counts {
            written_bytes: written_bytes.load(Relaxed),
            read_bytes: read_bytes.load(Relaxed),
            files_touched: files_touched.load(Relaxed),
        }
    }

    /// Bytes of all files in the folder.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bytes(&self) -> Outcome<u64> {
        let vfs = RealVfs::new();
        let mut bytes = 0;
        for entry in vfs.list(self.folder())?.iter().filter(|entry| !entry.is_dir) {
            match vfs.open(&self.path(&entry.name)) {
                Ok(file) => bytes += file.len()?,
                // A merge in the background may have removed it since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }
}

#[derive(Debug)]
struct Counting {
    real: RealVfs,
    counters: Arc<Counters>,
}

impl Vfs for Counting {
    fn create(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn WriteFile>> {
        let file = self.real.create(path, options)?;
        Ok(Box::new(CountingWriter { file, counters: Arc::clone(&self.counters) }))
    }

    fn create_mapped(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn MappedFile>> {
        let file = self.real.create_mapped(path, options)?;
        Ok(Box::new(CountingMap { file, counters: Arc::clone(&self.counters) }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadFile>> {
        let (file, counters) = (self.real.open(path)?, Arc::clone(&self.counters));
        Ok(Arc::new(CountingReader { file, counters, touched_in: AtomicU64::new(u64::MAX) }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        self.real.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.real.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.real.remove(path)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.real.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.real.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        self.real.lock(path)
    }
}

#[derive(Debug)]
struct CountingWriter {
    file: Box<dyn WriteFile>,
    counters: Arc<Counters>,
}

impl WriteFile for CountingWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)?;
        self.counters.written_bytes.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.file.offset()
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.file.truncate(len)
    }
}

#[derive(Debug)]
struct CountingMap {
    file: Box<dyn MappedFile>,
    counters: Arc<Counters>,
}

impl MappedFile for CountingMap {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.store(offset, bytes)?;
        self.counters.written_bytes.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }

    fn finish(self: Box<Self>, len: u64) -> Result<()> {
        self.file.finish(len)
    }
}

#[derive(Debug)]
struct CountingReader {
    file: Arc<dyn ReadFile>,
    counters: Arc<Counters>,
    /// The last operation that read from it.
    touched_in: AtomicU64,
}

impl ReadFile for CountingReader {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buf, offset)?;
        self.counters.read_bytes.fetch_add(buf.len() as u64, Relaxed);
        let operation = self.counters.operation.load(Relaxed);
        if self.touched_in.swap(operation, Relaxed) != operation {
            self.counters.files_touched.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn will_read(&self, offset: u64, len: u64) {
        self.file.will_read(offset, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_are_counted_and_a_file_once_an_operation() -> Outcome {
        let disk = Disk::new()?;
        let vfs = disk.vfs();
        for name in ["a", "b"] {
            vfs.create(&disk.path(name), CreateOptions::default())?.append(b"0123456789")?;
        }
        let (a, b) = (vfs.open(&disk.path("a"))?, vfs.open(&disk.path("b"))?);
        let mut buf = [0; 4];
        disk.begin_operation();
        a.read_exact_at(&mut buf, 0)?;
        a.read_exact_at(&mut buf, 4)?;
        b.read_exact_at(&mut buf, 0)?;
        disk.begin_operation();
        a.read_exact_at(&mut buf, 0)?;
        assert_eq!(disk.counts(), Counts { written_bytes: 20, read_bytes: 16, files_touched: 3 });
        assert_eq!(disk.bytes()?, 20);
        Ok(())
    }
}
