//! What every writer does to a record before it stores it: measure, checksum, head.

use crate::record::{FILE_HEADER_BYTES, FORMAT_VERSION, HEADER_BYTES, Header, MAGIC, RecordKind, halves};
use crate::{Error, RECORD_BYTES_MAX, Result};

/// Length of the record made of `parts`.
///
/// # Errors
///
/// [`Error::RecordTooLarge`].
#[inline]
pub(crate) fn payload_bytes(parts: &[&[u8]]) -> Result<usize> {
    // Saturating: slices may overlap, so their lengths may add up to more than the address space.
    let bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if bytes > RECORD_BYTES_MAX {
        return Err(Error::RecordTooLarge { bytes: bytes as u64, max: RECORD_BYTES_MAX as u64 });
    }
    Ok(bytes)
}

/// Heads the records of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoder {
    number: u64,
}

impl Encoder {
    pub(crate) fn new(number: u64) -> Self {
        Encoder { number }
    }

    /// The header of a data record of `payload_bytes` with checksum `payload_crc`, to stand at `offset`.
    #[inline]
    pub(crate) fn data_header(
        &self,
        offset: u64,
        synced_to: u64,
        payload_bytes: usize,
        payload_crc: u32,
    ) -> [u8; HEADER_BYTES] {
        self.header(offset, synced_to, RecordKind::Data, payload_bytes, payload_crc)
    }

    /// The whole trailer, to stand at `offset`, where everything before is durable.
    pub(crate) fn trailer(&self, offset: u64) -> [u8; HEADER_BYTES] {
        self.header(offset, offset, RecordKind::Trailer, 0, 0)
    }

    /// The whole file header.
    pub(crate) fn file_header(&self, recycled: bool) -> [u8; FILE_HEADER_BYTES as usize] {
        let mut record = [0; FILE_HEADER_BYTES as usize];
        let (head, payload) = record.split_at_mut(HEADER_BYTES);
        payload[0..8].copy_from_slice(&MAGIC);
        payload[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        payload[12..20].copy_from_slice(&self.number.to_le_bytes());
        let kind = if recycled { RecordKind::RecycledFileHeader } else { RecordKind::FileHeader };
        head.copy_from_slice(&self.header(0, 0, kind, payload.len(), crc32c::crc32c(payload)));
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
    ) -> [u8; HEADER_BYTES] {
        let (number_low, number_high) = halves(self.number);
        // At most RECORD_BYTES_MAX, which fits.
        let payload_bytes = payload_bytes as u32;
        Header { payload_crc, payload_bytes, number_low, kind, synced_to }.encode(offset, number_high)
    }
}
