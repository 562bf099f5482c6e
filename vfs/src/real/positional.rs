//! Reads and writes at an offset: one system call where the system has them, seek and read under a lock elsewhere.

use std::fs::{File, Metadata};
use std::io;

/// An open file that is read and written by offset.
#[derive(Debug)]
pub(super) struct PositionalFile {
    #[cfg(unix)]
    file: File,
    // Seek and read are two calls; the lock keeps another thread's seek from coming between.
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

#[cfg(unix)]
impl PositionalFile {
    pub(super) fn new(file: File) -> Self {
        PositionalFile { file }
    }

    /// The system's file, for calls that take no position.
    pub(super) fn with<R>(&self, call: impl FnOnce(&File) -> R) -> R {
        call(&self.file)
    }

    /// Fills `buf`; interrupted calls are repeated, the end of the file is `UnexpectedEof`.
    pub(super) fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
    }

    /// Writes all of `bytes`; interrupted and short calls are continued, a call that writes nothing is `WriteZero`.
    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }
}

#[cfg(not(unix))]
impl PositionalFile {
    pub(super) fn new(file: File) -> Self {
        PositionalFile { file: std::sync::Mutex::new(file) }
    }

    pub(super) fn with<R>(&self, call: impl FnOnce(&File) -> R) -> R {
        call(&self.lock())
    }

    pub(super) fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.lock();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buf)
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        use std::io::{Seek, SeekFrom, Write};
        let mut file = self.lock();
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        // Every call seeks first, so that a position left by a panicking thread harms nobody.
        self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl PositionalFile {
    /// Makes the bytes and the length durable.
    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.with(File::sync_data)
    }

    /// Cuts or extends the file.
    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(len))
    }

    /// What the system says of the file.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.with(File::metadata)
    }
}
