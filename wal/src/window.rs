//! A file seen through a buffer, so that a log is read in large pieces and never whole.

use crate::Result;
use std::sync::Arc;
use terrace_vfs::ReadFile;

/// How much is read at once.
pub(crate) const WINDOW_BYTES: usize = 1 << 20;

/// A read-only file and the piece of it that is in memory.
///
/// Invariants: `buffer` holds the file's bytes from `base`; no request beyond `file_bytes` reaches the file, so the
/// buffer never grows beyond the file's length.
#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<dyn ReadFile>,
    file_bytes: u64,
    base: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn ReadFile>) -> Result<Self> {
        let file_bytes = file.len()?;
        Ok(Window { file, file_bytes, base: 0, buffer: Vec::new() })
    }

    /// The file's length when it was opened.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// How many of `bytes` from `offset` the file has.
    pub(crate) fn available(&self, offset: u64, bytes: usize) -> usize {
        let left = self.file_bytes.saturating_sub(offset);
        usize::try_from(left).unwrap_or(usize::MAX).min(bytes)
    }

    /// The bytes from `offset`, as many of `bytes` as the file has.
    pub(crate) fn read(&mut self, offset: u64, bytes: usize) -> Result<&[u8]> {
        let bytes = self.available(offset, bytes);
        if bytes == 0 {
            return Ok(&[]);
        }
        let inside = offset >= self.base && offset + bytes as u64 <= self.base + self.buffer.len() as u64;
        if !inside {
            self.load(offset, bytes)?;
        }
        let start = (offset - self.base) as usize;
        Ok(&self.buffer[start..start + bytes])
    }

    fn load(&mut self, offset: u64, bytes: usize) -> Result<()> {
        let bytes = self.available(offset, bytes.max(WINDOW_BYTES));
        self.base = offset;
        self.buffer.resize(bytes, 0);
        let read = self.file.read_exact_at(&mut self.buffer, offset);
        if read.is_err() {
            // What a failed read left in the buffer is not the file's.
            self.buffer.clear();
        }
        read?;
        self.file.will_read(offset + bytes as u64, WINDOW_BYTES as u64);
        Ok(())
    }
}
