//! The bytes of a trace: see FORMAT.md.

use crate::{Error, Facts, Header, Operation, Record, Sampling};

pub(crate) const MAGIC: &[u8; 8] = b"terrtrac";
pub(crate) const VERSION: u8 = 1;
const HASH_XXH3: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const BLOCK_HEADER_BYTES: usize = 16;
/// No payload is longer, so that a reader never takes more memory on the word of a file.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
pub(crate) const KIND_RECORDS: u8 = 0;
pub(crate) const KIND_END: u8 = 1;

pub(crate) fn encode_header(header: &Header) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    (bytes[8], bytes[9]) = (VERSION, HASH_XXH3);
    let Facts { entries, raw_bytes, file_bytes } = header.facts;
    let words =
        [header.hash_seed, header.sampling.limit(), header.start_unix_micros, entries, raw_bytes, file_bytes];
    for (to, word) in bytes[12..60].chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

pub(crate) fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Error> {
    if bytes[..8] != *MAGIC {
        return Err(Error::NotATrace);
    }
    if crc32c::crc32c(&bytes[..60]) != word32(bytes, 60) {
        return Err(Error::Damaged { offset: 0, what: "the header's checksum does not fit" });
    }
    if bytes[8] != VERSION {
        return Err(Error::Unsupported { what: "version", found: bytes[8] });
    }
    if bytes[9] != HASH_XXH3 {
        return Err(Error::Unsupported { what: "hash", found: bytes[9] });
    }
    let word = |at: usize| u64::from(word32(bytes, at)) | u64::from(word32(bytes, at + 4)) << 32;
    Ok(Header {
        hash_seed: word(12),
        sampling: Sampling::of_limit(word(20)),
        start_unix_micros: word(28),
        facts: Facts { entries: word(36), raw_bytes: word(44), file_bytes: word(52) },
    })
}

/// The four bytes at `at`, as a number.
pub(crate) fn word32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// What a record is told as a difference to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    at_micros: u64,
    place: u64,
}

pub(crate) fn encode_record(out: &mut Vec<u8>, before: &mut Before, record: &Record) {
    let (kind, value) = match record.operation {
        Operation::Get { value_bytes } => (0, Some(value_bytes)),
        Operation::GetAbsent => (1, None),
        Operation::Put { value_bytes } => (2, Some(value_bytes)),
        Operation::Delete => (3, None),
        Operation::Scan { steps } => (4, Some(steps)),
    };
    out.push(kind);
    put_signed(out, record.at_micros.wrapping_sub(before.at_micros));
    out.extend_from_slice(&record.key_hash.to_le_bytes());
    put_signed(out, record.place.wrapping_sub(before.place));
    put_varint(out, u64::from(record.key_bytes));
    if let Some(value) = value {
        put_varint(out, u64::from(value));
    }
    *before = Before { at_micros: record.at_micros, place: record.place };
}

/// The next record of a payload; `None` when the bytes are none.
pub(crate) fn decode_record(rest: &mut &[u8], before: &mut Before) -> Option<Record> {
    let (&kind, tail) = rest.split_first()?;
    *rest = tail;
    let at_micros = before.at_micros.wrapping_add(take_signed(rest)?);
    let (hash, tail) = rest.split_at_checked(8)?;
    *rest = tail;
    let key_hash = u64::from(word32(hash, 0)) | u64::from(word32(hash, 4)) << 32;
    let place = before.place.wrapping_add(take_signed(rest)?);
    let key_bytes = take_length(rest)?;
    let operation = match kind {
        0 => Operation::Get { value_bytes: take_length(rest)? },
        1 => Operation::GetAbsent,
        2 => Operation::Put { value_bytes: take_length(rest)? },
        3 => Operation::Delete,
        4 => Operation::Scan { steps: take_length(rest)? },
        _ => return None,
    };
    *before = Before { at_micros, place };
    Some(Record { at_micros, operation, key_hash, place, key_bytes })
}

pub(crate) fn encode_facts(out: &mut Vec<u8>, facts: Facts) {
    [facts.entries, facts.raw_bytes, facts.file_bytes].into_iter().for_each(|fact| put_varint(out, fact));
}

pub(crate) fn decode_facts(mut rest: &[u8]) -> Option<Facts> {
    let mut next = || take_varint(&mut rest);
    let facts = Facts { entries: next()?, raw_bytes: next()?, file_bytes: next()? };
    rest.is_empty().then_some(facts)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take_length(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_varint(rest)?).ok()
}

/// A difference of two numbers, small if it is small in either direction.
fn put_signed(out: &mut Vec<u8>, difference: u64) {
    let signed = difference.cast_signed();
    put_varint(out, ((signed << 1) ^ (signed >> 63)).cast_unsigned());
}

fn take_signed(rest: &mut &[u8]) -> Option<u64> {
    let coded = take_varint(rest)?;
    Some((coded >> 1) ^ (coded & 1).wrapping_neg())
}
