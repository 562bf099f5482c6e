//! What every writer does to a record before it stores it: measure, checksum, head.

use crate::checksum::crc32c;
use crate::record::{FORMAT_VERSION, Header, MAGIC, RecordKind, halves};
use crate::{Error, FILE_HEADER_BYTES, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Result};

/// Makes the headers of one log's records (`FORMAT.md`), for who writes a [`crate::LogWriter`].
///
/// Cost: no allocation; a header's own checksum is one crc32c of 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct RecordEncoder {
    number: u64,
}

impl RecordEncoder {
    /// For the log of this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        RecordEncoder { number }
    }

    /// Length of the payload made of `parts`.
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`].
    #[inline]
    pub fn payload_bytes(parts: &[&[u8]]) -> Result<usize> {
        // Saturating: slices may overlap, so their lengths may add up to more than the address space.
        let bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        if bytes > RECORD_BYTES_MAX {
            return Err(Error::RecordTooLarge { bytes: bytes as u64, max: RECORD_BYTES_MAX as u64 });
        }
        Ok(bytes)
    }

    /// The header of a user's record, to stand at `offset` right before its payload of `payload_bytes` bytes, whose
    /// crc32c is `payload_crc`. `synced_to` says how much of the file is durable now.
    #[inline]
    #[must_use]
    pub fn data_header(
        &self,
        offset: u64,
        synced_to: u64,
        payload_bytes: usize,
        payload_crc: u32,
    ) -> [u8; RECORD_HEADER_BYTES] {
        self.header(offset, synced_to, RecordKind::Data, payload_bytes, payload_crc)
    }

    /// The whole last record of a closed log, to stand at `offset`. Everything before must be durable, because it says so.
    #[must_use]
    pub fn trailer(&self, offset: u64) -> [u8; RECORD_HEADER_BYTES] {
        self.header(offset, offset, RecordKind::Trailer, 0, 0)
    }

    /// The whole first record. `recycled` if unwritten parts of the file may hold an earlier log's bytes.
    #[must_use]
    pub fn file_header(&self, recycled: bool) -> [u8; FILE_HEADER_BYTES] {
        let mut record = [0; FILE_HEADER_BYTES];
        let (head, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
        payload[0..8].copy_from_slice(&MAGIC);
        payload[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        payload[12..20].copy_from_slice(&self.number.to_le_bytes());
        let kind = if recycled { RecordKind::RecycledFileHeader } else { RecordKind::FileHeader };
        head.copy_from_slice(&self.header(0, 0, kind, payload.len(), crc32c(payload)));
        record
    }

    #[inline]
    fn header(
        &self,
        offset: u64,
        synced_to: u64,
        kind: RecordKind,
        payload_bytes: usize,
        payload_crc: u32,
    ) -> [u8; RECORD_HEADER_BYTES] {
        let (number_low, number_high) = halves(self.number);
        // At most RECORD_BYTES_MAX, which fits.
        let payload_bytes = payload_bytes as u32;
        Header { payload_crc, payload_bytes, number_low, kind, synced_to }.encode(offset, number_high)
    }
}
