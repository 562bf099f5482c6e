//! A place in the file where no whole record stands: was there one once?
//!
//! After a power cut, pages that were not synced may have reached the disk in any order. So a damaged or missing record
//! followed by whole ones is nothing strange by itself, and must not stop recovery as long as nobody was told that it is
//! durable. It is *damage* only where something proves that it once was whole:
//!
//! * the caller knows that the log was durable beyond it (`ReadLogOptions::durable_bytes`);
//! * a later record of this log carries a durable mark beyond it. (A trailer does: a log is synced before its trailer is
//!   written.) A mark in a header proves this even if that record's own payload is torn;
//! * one changed byte explains the failed checksum (`rot.rs`): rot, in a record that was written whole. This is what finds a
//!   flipped bit in the very last synced record, after which no mark stands;
//! * a header's checksum is right and its content impossible.
//!
//! Where a tear explains the bytes as well as a changed byte does, it is a tear. Unwritten parts of a new file are zeros: a
//! change of a byte that is zero now is no proof when all of the header or payload after it, or all of its disk sector, is zero
//! too, nor is one of a header's first bytes when all before it are zero and a line of memory ends behind it: a page that goes to the
//! disk while it is stored into holds old lines and new ones.
//! Unwritten parts of a recycled file are an earlier log's bytes, which may differ from the right ones in one byte only
//! (records of one size stand at the same offsets, and a counter moved): there a changed byte proves nothing, and the
//! record is dropped with a report that names the byte.
//!
//! One tear costs nothing: a file header's payload holds nothing that the reader does not know, so zeros at its end are read as what must
//! have stood there (`reader.rs`).
//!
//! What remains undetected: the last record of a log without a later mark, when more than one byte of it changed, or when
//! its last byte that is not zero became zero, or the file was recycled. It is then dropped as a torn tail, and reported.

use crate::record::{
    BadHeader, CHECKED_BYTES, HEADER_BYTES, Header, IMPLIED_BYTES, RecordKind, halves, header_crc,
};
use crate::rot::{ByteChange, explanations};
use crate::survey::is_zero;
use std::fmt;

/// What a disk writes whole or not at all. Disks of 4 KiB sectors keep this too.
const SECTOR_BYTES: u64 = 512;

/// What memory hands to the disk whole or not at all, at the least: the shortest cache line in use. It divides [`SECTOR_BYTES`].
const LINE_BYTES: u64 = 64;

/// Why no whole record stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The file ends here.
    EndOfFile,
    /// After the trailer.
    Closed,
    /// Zeros stand where a header would.
    Unwritten,
    /// The file ends within the header.
    ShortHeader,
    /// A header of another log: this file was recycled.
    Stale {
        /// The low half of the other log's number.
        number_low: u32,
    },
    /// A header whose checksum is wrong.
    HeaderChecksum,
    /// A header, or a file header's payload, that no writer writes, under a right checksum.
    Malformed(&'static str),
    /// A header of this log whose payload goes beyond the end of the file.
    PayloadCut(Header),
    /// A header of this log whose payload's checksum is wrong.
    PayloadChecksum(Header),
    /// A record of this log that is longer than the caller allows.
    TooLong(Header, u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::EndOfFile => f.write_str("the file ends"),
            Problem::Closed => f.write_str("bytes after the log's trailer"),
            Problem::Unwritten => f.write_str("no record, only unwritten space"),
            Problem::ShortHeader => f.write_str("the file ends within a record's header"),
            Problem::Stale { number_low } => {
                write!(f, "a record of an earlier log (number {number_low}) of this recycled file")
            }
            Problem::HeaderChecksum => f.write_str("the header's checksum is wrong"),
            Problem::Malformed(what) => f.write_str(what),
            Problem::PayloadCut(header) => {
                write!(f, "the file ends within the payload of {} bytes", header.payload_bytes)
            }
            Problem::PayloadChecksum(header) => {
                write!(f, "the checksum of the payload of {} bytes is wrong", header.payload_bytes)
            }
            Problem::TooLong(header, max) => {
                write!(f, "a record of {} bytes is longer than the limit of {max}", header.payload_bytes)
            }
        }
    }
}

impl Problem {
    /// Length of the record whose header could be trusted.
    pub(crate) fn trusted_bytes(&self) -> Option<u64> {
        match self {
            Problem::PayloadCut(header) | Problem::PayloadChecksum(header) | Problem::TooLong(header, _) => {
                Some(header.record_bytes())
            }
            _ => None,
        }
    }

    /// Whether this cannot come from a write that was cut short.
    pub(crate) fn is_damage_by_itself(&self) -> bool {
        matches!(self, Problem::Malformed(_) | Problem::TooLong(..))
    }
}

/// What kind of record, if any, the bytes at `offset` begin. `head` is short when the file ends.
pub(crate) fn examine_header(head: &[u8], offset: u64, number: u64) -> Result<Header, Problem> {
    let (number_low, number_high) = halves(number);
    if head.is_empty() {
        return Err(Problem::EndOfFile);
    }
    if is_zero(head) {
        return Err(Problem::Unwritten);
    }
    let Ok(head) = <&[u8; HEADER_BYTES]>::try_from(head) else {
        return Err(Problem::ShortHeader);
    };
    match Header::decode(head, offset, number_high) {
        Ok(header) if header.number_low != number_low => {
            Err(Problem::Stale { number_low: header.number_low })
        }
        Ok(header) => Ok(header),
        Err(BadHeader::Checksum) => Err(Problem::HeaderChecksum),
        Err(BadHeader::Malformed(what)) => Err(Problem::Malformed(what)),
    }
}

/// Where the file is and what is known of it, to judge a changed byte by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) file_bytes: u64,
    pub(crate) number: u64,
    /// The unwritten part may hold an earlier log's bytes.
    pub(crate) recycled: bool,
}

/// One changed byte that alone explains a wrong checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rot {
    /// Where in the file.
    pub(crate) at: u64,
    /// Length of the record that would be whole without the change.
    pub(crate) record_bytes: u64,
    /// Whether a tear does not explain it too.
    pub(crate) is_proof: bool,
}

/// Whether one changed byte explains the wrong checksum of the header `head`.
pub(crate) fn rot_in_header(head: &[u8; HEADER_BYTES], place: Place) -> Option<Rot> {
    let stored = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let (number_low, number_high) = halves(place.number);
    let difference = stored ^ header_crc(head, place.offset, number_high);
    // The checksum covers what is implied, which cannot rot, and then header bytes 4..24.
    let in_fields = explanations(CHECKED_BYTES, difference)
        .filter(|change| change.at >= IMPLIED_BYTES)
        .map(|change| ByteChange { at: change.at - IMPLIED_BYTES + 4, pattern: change.pattern });
    let in_checksum = (0..4).filter_map(|at| {
        let pattern = difference.to_le_bytes()[at];
        (difference == u32::from(pattern) << (8 * at)).then_some(ByteChange { at, pattern })
    });
    in_fields.chain(in_checksum).find_map(|change| {
        let mut right = *head;
        right[change.at] ^= change.pattern;
        let header = Header::parse(&right, place.offset).ok()?;
        let record_bytes = header.record_bytes();
        if header.number_low != number_low || place.offset + record_bytes > place.file_bytes {
            return None;
        }
        let recycled = place.recycled || header.kind == RecordKind::RecycledFileHeader;
        let is_torn = looks_unwritten(head, place.offset, change.at)
            || unwritten_up_to_a_line(head, place.offset, change.at);
        let is_proof = !recycled && !is_torn;
        Some(Rot { at: place.offset + change.at as u64, record_bytes, is_proof })
    })
}

/// Whether the header's bytes up to the one at `at` may never have been written, while those after it were: all are zero, and
/// a line of memory ends behind them. Nothing smaller than a line is written apart from what follows it: a store of a few bytes is
/// seen in part only where it crosses lines.
fn unwritten_up_to_a_line(head: &[u8; HEADER_BYTES], offset: u64, at: usize) -> bool {
    is_zero(&head[..=at]) && (offset + at as u64 + 1).is_multiple_of(LINE_BYTES)
}

/// The same for the payload of the record whose header at `place.offset` is whole.
pub(crate) fn rot_in_payload(header: &Header, payload: &[u8], place: Place) -> Option<Rot> {
    let difference = header.payload_crc ^ crc32c::crc32c(payload);
    let start = place.offset + HEADER_BYTES as u64;
    explanations(payload.len(), difference).next().map(|change| Rot {
        at: start + change.at as u64,
        record_bytes: header.record_bytes(),
        is_proof: !place.recycled && !looks_unwritten(payload, start, change.at),
    })
}

/// Whether byte `at` of `bytes`, which stand at `start` in the file, may never have been written: it is zero, and so is all that
/// follows, or all that shares its sector.
fn looks_unwritten(bytes: &[u8], start: u64, at: usize) -> bool {
    if bytes[at] != 0 {
        return false;
    }
    let sector = (start + at as u64) / SECTOR_BYTES * SECTOR_BYTES;
    let sector_start = sector.saturating_sub(start) as usize;
    let sector_end = ((sector + SECTOR_BYTES - start) as usize).min(bytes.len());
    is_zero(&bytes[at..]) || is_zero(&bytes[sector_start..sector_end])
}
