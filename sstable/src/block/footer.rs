//! The end of a table file: where everything is, how long the file is, and the mark that says what it is.
//!
//! ```text
//! index:      offset u64 | length u64
//! filter:     offset u64 | length u64          (length 0: none)
//! properties: offset u64 | length u64
//! file length: u64
//! flags: u32                                   (none is known)
//! footer length: u32 | version: u32 | crc32c: u32 | magic: 8 bytes         (little-endian; 80 bytes in all)
//! ```
//!
//! The last twenty bytes are the same in every version, and the checksum covers the footer from its beginning up to the
//! checksum itself, so that a reader can tell a file of a later version from a damaged one.
//!
//! Flags leave room for what changes the meaning of a region, such as an index in two levels. A flag that is not known
//! is refused: it means that the file can not be read correctly without it.

use super::fault::Fault;
use super::index::Handle;

/// The greatest version that is read. Version 2 has a note in its properties; a table without one is written as version 1, so that older
/// builds read it.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// The version of a table with or without a note.
pub(crate) fn version_for(note: &[u8]) -> u32 {
    if note.is_empty() { 1 } else { FORMAT_VERSION }
}

/// What every table ends with. Not text that an editor would touch: a high bit, a line end of each kind, an end-of-file.
pub(crate) const MAGIC: [u8; 8] = *b"\x89TSST\r\n\x1a";

/// Bytes of a footer of versions 1 and 2.
pub(crate) const FOOTER_BYTES: usize = 80;

/// Bytes at the end that every version has: footer length, version, checksum, magic.
pub(crate) const MARK_BYTES: usize = 20;

/// No version's footer is longer; bounds what is read before the checksum is known to hold.
const FOOTER_BYTES_MAX: usize = 4096;

/// What the footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) index: Handle,
    pub(crate) filter: Option<Handle>,
    pub(crate) properties: Handle,
    pub(crate) file_bytes: u64,
    pub(crate) version: u32,
}

/// The part that all versions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) footer_bytes: usize,
    pub(crate) version: u32,
    crc: u32,
}

impl Mark {
    /// Reads the last [`MARK_BYTES`] of a file that is `file_bytes` long.
    pub(crate) fn decode(bytes: &[u8; MARK_BYTES], file_bytes: u64) -> Result<Self, Fault> {
        if bytes[12..] != MAGIC {
            return Err(Fault::Damage("file does not end with the mark of a table"));
        }
        let footer_bytes = u32_at(bytes, 0) as usize;
        if !(MARK_BYTES..=FOOTER_BYTES_MAX).contains(&footer_bytes) || footer_bytes as u64 > file_bytes {
            return Err(Fault::Damage("impossible footer length"));
        }
        Ok(Mark { footer_bytes, version: u32_at(bytes, 4), crc: u32_at(bytes, 8) })
    }
}

impl Footer {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let none = Handle { offset: 0, len: 0 };
        for handle in [self.index, self.filter.unwrap_or(none), self.properties] {
            out.extend_from_slice(&handle.offset.to_le_bytes());
            out.extend_from_slice(&(handle.len as u64).to_le_bytes());
        }
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&(FOOTER_BYTES as u32).to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&MAGIC);
        debug_assert_eq!(out.len() - start, FOOTER_BYTES);
    }

    /// Reads a footer, whole, that ends a file of `file_bytes`. After it the regions lie inside the file, one after another, index first,
    /// and end where the footer begins.
    pub(crate) fn decode(bytes: &[u8], mark: Mark, file_bytes: u64) -> Result<Self, Fault> {
        let covered = &bytes[..bytes.len() - 12];
        if crc32c::crc32c(covered) != mark.crc {
            return Err(Fault::Damage("checksum of footer does not match"));
        }
        if !(1..=FORMAT_VERSION).contains(&mark.version) {
            return Err(Fault::UnsupportedVersion(mark.version));
        }
        if bytes.len() != FOOTER_BYTES {
            return Err(Fault::Damage("impossible footer length"));
        }
        let flags = u32_at(bytes, 56);
        if flags != 0 {
            return Err(Fault::UnknownFlags(flags));
        }
        if u64_at(bytes, 48) != file_bytes {
            return Err(Fault::Damage("file is not as long as its footer says"));
        }
        Self::decode_regions(bytes, mark.version, file_bytes)
            .ok_or(Fault::Damage("regions do not fill the file"))
    }

    fn decode_regions(bytes: &[u8], version: u32, file_bytes: u64) -> Option<Self> {
        let handle = |at: usize| {
            let (offset, len) = (u64_at(bytes, at), u64_at(bytes, at + 8));
            let end = offset.checked_add(len)?;
            // A block's length fits 32 bits: 1 GiB and its tail.
            (end <= file_bytes && len <= u64::from(u32::MAX))
                .then_some((Handle { offset, len: len as usize }, end))
        };
        let ((index, index_end), (filter, filter_end), (properties, properties_end)) =
            (handle(0)?, handle(16)?, handle(32)?);
        let has_filter = filter.len > 0;
        let after_filter = if has_filter { filter_end } else { index_end };
        let in_order = (!has_filter || filter.offset == index_end)
            && properties.offset == after_filter
            && properties_end == file_bytes - FOOTER_BYTES as u64;
        let filter = has_filter.then_some(filter);
        in_order.then_some(Footer { index, filter, properties, file_bytes, version })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES: u64 = 1000;

    fn sound() -> Footer {
        Footer {
            index: Handle { offset: 500, len: 100 },
            filter: Some(Handle { offset: 600, len: 200 }),
            properties: Handle { offset: 800, len: 120 },
            file_bytes: FILE_BYTES,
            version: 1,
        }
    }

    fn bytes_of(footer: &Footer) -> Vec<u8> {
        let mut bytes = Vec::new();
        footer.encode(&mut bytes);
        bytes
    }

    fn decode(bytes: &[u8], file_bytes: u64) -> Result<Footer, Fault> {
        let mark = Mark::decode(bytes.last_chunk().unwrap(), file_bytes)?;
        Footer::decode(bytes, mark, file_bytes)
    }

    /// Sets the checksum right after bytes were changed.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let at = bytes.len() - 12;
        let crc = crc32c::crc32c(&bytes[..at]);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn footer_reads_back() {
        assert_eq!(decode(&bytes_of(&sound()), FILE_BYTES), Ok(sound()));
        let mut without_filter = sound();
        without_filter.filter = None;
        without_filter.properties = Handle { offset: 600, len: 320 };
        without_filter.version = 2;
        assert_eq!(decode(&bytes_of(&without_filter), FILE_BYTES), Ok(without_filter));
    }

    #[test]
    fn every_flipped_bit_is_damage_and_nothing_else() {
        for bit in 0..FOOTER_BYTES * 8 {
            let mut bytes = bytes_of(&sound());
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A flipped footer length points elsewhere; the reader then checks the checksum over that many bytes.
            let refused = match Mark::decode(bytes.last_chunk().unwrap(), FILE_BYTES) {
                Ok(mark) if mark.footer_bytes > bytes.len() => {
                    let mut longer = vec![0; mark.footer_bytes - bytes.len()];
                    longer.extend_from_slice(&bytes);
                    Footer::decode(&longer, mark, FILE_BYTES)
                }
                Ok(mark) => Footer::decode(&bytes[bytes.len() - mark.footer_bytes..], mark, FILE_BYTES),
                Err(fault) => Err(fault),
            };
            assert!(matches!(refused, Err(Fault::Damage(_))), "bit {bit}: {refused:?}");
        }
    }

    #[test]
    fn later_version_is_told_from_damage() {
        let mut bytes = bytes_of(&sound());
        bytes[64] = 3;
        assert!(matches!(decode(&bytes, FILE_BYTES), Err(Fault::Damage(_))));
        assert_eq!(decode(&resealed(bytes), FILE_BYTES), Err(Fault::UnsupportedVersion(3)));
    }

    #[test]
    fn unknown_flag_is_refused_by_name() {
        let mut bytes = bytes_of(&sound());
        bytes[57] = 1;
        assert_eq!(decode(&resealed(bytes), FILE_BYTES), Err(Fault::UnknownFlags(256)));
    }

    #[test]
    fn regions_that_leave_gaps_overlap_or_run_out_are_refused() {
        let changes: [fn(&mut Footer); 6] = [
            |footer| footer.index.len += 1,
            |footer| footer.index.offset -= 1,
            |footer| footer.filter.as_mut().unwrap().len -= 1,
            |footer| footer.properties.len += 1,
            |footer| footer.properties.offset = u64::MAX,
            |footer| footer.filter = None,
        ];
        for change in changes {
            let mut footer = sound();
            change(&mut footer);
            assert!(matches!(decode(&bytes_of(&footer), FILE_BYTES), Err(Fault::Damage(_))), "{footer:?}");
        }
        assert!(matches!(decode(&bytes_of(&sound()), FILE_BYTES + 1), Err(Fault::Damage(_))));
    }
}
