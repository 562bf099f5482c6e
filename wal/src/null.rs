//! [`NullLog`]: keeps nothing.
//!
//! Algorithm: counts. Every promise of [`LogWriter`] about survival is void, which [`LogWriter::KEEPS`] says; the rest
//! (offsets, lengths, limits) holds as though a file were there, so that a log can be swapped for this one.
//! Costs: an addition per append, no checksum, no file.

use crate::{CreateLog, FILE_HEADER_BYTES, LogWriter, RECORD_HEADER_BYTES, RecordEncoder, Result};
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::Vfs;

/// A log that keeps nothing and makes no file, for data that may be lost.
#[derive(Debug)]
pub struct NullLog {
    len: u64,
    synced: u64,
}

impl LogWriter for NullLog {
    const NAME: &'static str = "null";
    const KEEPS: bool = false;

    /// Makes no file. A file to recycle is removed: as with every log, its old name is gone afterwards.
    fn create(vfs: &Arc<dyn Vfs>, _path: &Path, options: CreateLog) -> Result<Self> {
        if let Some(old) = &options.recycle {
            vfs.remove(old)?;
        }
        Ok(NullLog { len: FILE_HEADER_BYTES as u64, synced: 0 })
    }

    #[inline]
    fn append(&mut self, parts: &[&[u8]]) -> Result<u64> {
        let offset = self.len;
        self.len += (RECORD_HEADER_BYTES + RecordEncoder::payload_bytes(parts)?) as u64;
        Ok(offset)
    }

    fn hand_over(&mut self) -> Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = self.len;
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn synced_bytes(&self) -> u64 {
        self.synced
    }

    fn close(self) -> Result<u64> {
        Ok(self.len + RECORD_HEADER_BYTES as u64)
    }
}
