//! The record format: what a header says and how it is checked. `FORMAT.md` is the same for a reader without Rust.
//!
//! A record is a header of 24 bytes and its payload; records stand back to back. All numbers are little-endian.
//!
//! ```text
//! 0   header checksum   u32   crc32c(file offset of this header as u64, high half of the log's number, header bytes 4..24)
//! 4   payload checksum  u32   crc32c(payload)
//! 8   payload length    u32
//! 12  log number        u32   its low 32 bits
//! 16  durable mark      u56   how much of this file was durable when the record was appended
//! 23  kind              u8
//! ```
//!
//! Why so:
//! * *A checksum of the header's own*: a damaged length would otherwise send the reader past the end of the file, which
//!   looks like a torn tail.
//! * *The offset is part of it*: a header is valid at one place only, so a record's payload that happens to hold a
//!   copy of a log is never mistaken for this log's records while searching, and a misplaced write is seen.
//! * *The number's high half is too*: 32 bits of the number per record are enough to tell logs apart for the eye, all 64
//!   are checked, and 32 bytes are four steps of the processor's crc32 instruction.
//! * *No blocks*: LevelDB cuts records at 32 KiB so that a reader can find its way after damage. The header checksum
//!   finds the way at any byte instead, and a record stays one slice.
//! * *Kinds have two bits set or more*: no single flipped bit turns a kind into the zero of a file's unwritten part.
//!
//! Invariants: 24 zero bytes are no header (kind zero does not exist); a durable mark never exceeds its record's offset.

use crate::FILE_HEADER_BYTES;
pub(crate) use crate::RECORD_HEADER_BYTES as HEADER_BYTES;
use crate::checksum::crc32c;

/// The version of this format.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The first bytes of the file header's payload.
pub(crate) const MAGIC: [u8; 8] = *b"TERRALOG";
/// Length of the file header's payload: magic, version, the log's whole number.
pub(crate) const FILE_HEADER_PAYLOAD_BYTES: usize = FILE_HEADER_BYTES - HEADER_BYTES;

const MARK_MAX: u64 = (1 << 56) - 1;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    /// A user's record.
    Data = 0x11,
    /// The last record of a log that was closed.
    Trailer = 0x22,
    /// The first record of a log in a new file.
    FileHeader = 0x33,
    /// The first record of a log in a recycled file: whatever is not written may hold an earlier log's bytes.
    RecycledFileHeader = 0x44,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x11 => Some(Self::Data),
            0x22 => Some(Self::Trailer),
            0x33 => Some(Self::FileHeader),
            0x44 => Some(Self::RecycledFileHeader),
            _ => None,
        }
    }

    pub(crate) fn is_file_header(self) -> bool {
        matches!(self, Self::FileHeader | Self::RecycledFileHeader)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Trailer => "trailer",
            Self::FileHeader => "file-header",
            Self::RecycledFileHeader => "file-header (recycled)",
        }
    }
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) payload_crc: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) number_low: u32,
    pub(crate) kind: RecordKind,
    pub(crate) synced_to: u64,
}

/// Why 24 bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// The checksum is wrong.
    Checksum,
    /// The checksum is right and the content is not something that a writer of this version writes.
    Malformed(&'static str),
}

impl Header {
    /// The header's bytes for a record at `offset`.
    #[inline]
    pub(crate) fn encode(&self, offset: u64, number_high: u32) -> [u8; HEADER_BYTES] {
        // A mark that does not fit (64 PiB) is lowered: a low mark proves less and never proves what is not so.
        let mark = self.synced_to.min(MARK_MAX);
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number_low.to_le_bytes());
        bytes[16..24].copy_from_slice(&(mark | (self.kind as u64) << 56).to_le_bytes());
        let crc = header_crc(&bytes, offset, number_high);
        bytes[0..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at `offset` of a log whose number has this high half.
    pub(crate) fn decode(
        bytes: &[u8; HEADER_BYTES],
        offset: u64,
        number_high: u32,
    ) -> Result<Self, BadHeader> {
        if header_crc(bytes, offset, number_high) != u32_at(bytes, 0) {
            return Err(BadHeader::Checksum);
        }
        Self::parse(bytes, offset)
    }

    /// Reads the fields without looking at the checksum.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES], offset: u64) -> Result<Self, BadHeader> {
        let mut last = [0; 8];
        last.copy_from_slice(&bytes[16..24]);
        let last = u64::from_le_bytes(last);
        let Some(kind) = RecordKind::from_byte((last >> 56) as u8) else {
            return Err(BadHeader::Malformed("unknown record kind"));
        };
        let header = Header {
            payload_crc: u32_at(bytes, 4),
            payload_bytes: u32_at(bytes, 8),
            number_low: u32_at(bytes, 12),
            kind,
            synced_to: last & MARK_MAX,
        };
        if header.synced_to > offset {
            return Err(BadHeader::Malformed("durable mark beyond its own record"));
        }
        if kind.is_file_header() != (offset == 0) {
            return Err(BadHeader::Malformed("file header out of its place"));
        }
        if kind == RecordKind::Trailer && header.payload_bytes != 0 {
            return Err(BadHeader::Malformed("trailer with a payload"));
        }
        Ok(header)
    }

    /// Length of header and payload.
    pub(crate) fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// How much of what a header's checksum covers is not in the header.
pub(crate) const IMPLIED_BYTES: usize = 8 + 4;
/// Length of what a header's checksum covers.
pub(crate) const CHECKED_BYTES: usize = IMPLIED_BYTES + HEADER_BYTES - 4;

/// What is checked, where the checksum's 8-byte steps begin at once.
#[repr(align(8))]
struct Checked([u8; CHECKED_BYTES]);

/// The checksum that the header `bytes` at `offset` should have.
#[inline]
pub(crate) fn header_crc(bytes: &[u8; HEADER_BYTES], offset: u64, number_high: u32) -> u32 {
    let mut checked = Checked([0; CHECKED_BYTES]);
    checked.0[0..8].copy_from_slice(&offset.to_le_bytes());
    checked.0[8..12].copy_from_slice(&number_high.to_le_bytes());
    checked.0[12..32].copy_from_slice(&bytes[4..24]);
    crc32c(&checked.0)
}

/// The halves of a log's number: the low one is stored in each header, the high one only checked.
pub(crate) fn halves(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}

/// The payload of a file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) version: u32,
    pub(crate) number: u64,
}

impl FileHeader {
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let payload: &[u8; FILE_HEADER_PAYLOAD_BYTES] =
            payload.get(..FILE_HEADER_PAYLOAD_BYTES)?.try_into().ok()?;
        let (magic, rest) = payload.split_at(MAGIC.len());
        if magic != MAGIC {
            return None;
        }
        let mut number = [0; 8];
        number.copy_from_slice(&rest[4..12]);
        Some(FileHeader { version: u32_at(rest, 0), number: u64::from_le_bytes(number) })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
