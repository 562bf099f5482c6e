//! The stored form of [`Properties`].
//!
//! ```text
//! version: u8 | entries, tombstones, user keys: varint | smallest key, largest key: length varint, bytes
//! | least, greatest seqno: varint | key bytes, value bytes, data blocks, raw, stored: varint
//! | file bytes: u64 | created at: varint | in version 2: note: length varint, bytes
//! ```
//!
//! A table without a note is written in version 1, which older builds read.
//!
//! File bytes have a fixed width because they count themselves.

use terrace_entry::SeqNo;

use super::fault::Fault;
use super::varint;
use crate::Properties;

const VERSION: u8 = 1;
/// The version that has a note.
const VERSION_WITH_NOTE: u8 = 2;

pub(crate) fn encode(properties: &Properties, out: &mut Vec<u8>) {
    let p = properties;
    out.push(if p.note.is_empty() { VERSION } else { VERSION_WITH_NOTE });
    for number in [p.entries, p.tombstones, p.user_keys] {
        varint::put(out, number);
    }
    for key in [&p.smallest_key, &p.largest_key] {
        varint::put(out, key.len() as u64);
        out.extend_from_slice(key);
    }
    let numbers = [
        p.seqno_min.get(),
        p.seqno_max.get(),
        p.key_bytes,
        p.value_bytes,
        p.data_blocks,
        p.data_bytes_raw,
        p.data_bytes_stored,
    ];
    for number in numbers {
        varint::put(out, number);
    }
    out.extend_from_slice(&p.file_bytes.to_le_bytes());
    varint::put(out, p.created_at_unix_seconds);
    if !p.note.is_empty() {
        varint::put(out, p.note.len() as u64);
        out.extend_from_slice(&p.note);
    }
}

pub(crate) fn decode(payload: &[u8]) -> Result<Properties, Fault> {
    match payload.first() {
        Some(&version @ (VERSION | VERSION_WITH_NOTE)) => Fields { bytes: payload, at: 1 }
            .all(version == VERSION_WITH_NOTE)
            .ok_or(Fault::Damage("properties do not read")),
        _ => Err(Fault::Damage("properties of an unknown version")),
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let (value, next) = varint::take(self.bytes, self.at)?;
        self.at = next;
        Some(value)
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(len)?;
        let key = self.bytes.get(self.at..end)?.to_vec();
        self.at = end;
        Some(key)
    }

    fn seqno(&mut self) -> Option<SeqNo> {
        SeqNo::checked(self.number()?)
    }

    fn fixed(&mut self) -> Option<u64> {
        let value = self.bytes.get(self.at..)?.first_chunk::<8>()?;
        self.at += 8;
        Some(u64::from_le_bytes(*value))
    }

    fn all(mut self, has_note: bool) -> Option<Properties> {
        // Fields are read in the order in which they are written here.
        let properties = Properties {
            entries: self.number()?,
            tombstones: self.number()?,
            user_keys: self.number()?,
            smallest_key: self.key()?,
            largest_key: self.key()?,
            seqno_min: self.seqno()?,
            seqno_max: self.seqno()?,
            key_bytes: self.number()?,
            value_bytes: self.number()?,
            data_blocks: self.number()?,
            data_bytes_raw: self.number()?,
            data_bytes_stored: self.number()?,
            file_bytes: self.fixed()?,
            created_at_unix_seconds: self.number()?,
            note: if has_note { self.key()? } else { Vec::new() },
        };
        (self.at == self.bytes.len()).then_some(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Properties {
        Properties {
            entries: 1,
            tombstones: 2,
            user_keys: 300,
            smallest_key: b"a".to_vec(),
            largest_key: vec![0xff; 200],
            seqno_min: SeqNo::new(5),
            seqno_max: SeqNo::MAX,
            key_bytes: u64::MAX,
            value_bytes: 7,
            data_blocks: 8,
            data_bytes_raw: 9,
            data_bytes_stored: 10,
            file_bytes: 11,
            created_at_unix_seconds: 12,
            note: b"a note".to_vec(),
        }
    }

    #[test]
    fn every_field_reads_back() {
        for properties in [sample(), Properties { note: Vec::new(), ..sample() }, Properties::default()] {
            let mut bytes = Vec::new();
            encode(&properties, &mut bytes);
            assert_eq!(decode(&bytes), Ok(properties));
        }
    }

    #[test]
    fn cut_extended_or_of_another_version_is_refused() {
        let mut bytes = Vec::new();
        encode(&sample(), &mut bytes);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        bytes.push(0);
        assert!(decode(&bytes).is_err());
        bytes.pop();
        bytes[0] = 3;
        assert!(decode(&bytes).is_err());
        bytes[0] = 1;
        assert!(decode(&bytes).is_err(), "version 1 has no note");
    }
}
