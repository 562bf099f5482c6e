//! The envelope of every block in a file: payload, how it is compressed, checksum.
//!
//! ```text
//! payload | raw length: u32 | compression: u8 | crc32c: u32          (little-endian; nine bytes after the payload)
//! ```
//!
//! The checksum covers payload, raw length and compression, and then the block's own offset in the file as a u64, which is not
//! stored: a whole block read from the wrong place is damage too. It is checked before anything else is believed.
//!
//! Cost: a block of b bytes costs b bytes of checksum (some 0.05 ns each) and, when compressed, memory of the raw length.
//!
//! Bounds: a raw length is at most [`RAW_BYTES_MAX`] and at most 255 times the payload, which is as far as LZ4 can expand; it is
//! checked before memory is asked for.

use crate::{Compression, Error, Result};
use bytes::Bytes;
use terrace_vfs::PageVec;

use super::fault::Fault;

/// Bytes after the payload.
pub(crate) const TAIL_BYTES: usize = 9;

/// The most that a block may hold before compression. A version must fit into one.
pub(crate) const RAW_BYTES_MAX: usize = 1 << 30;

/// One byte of LZ4 stands for at most this many.
const LZ4_EXPANSION_MAX: usize = 255;

const TAG_NONE: u8 = 0;
const TAG_LZ4: u8 = 1;

/// A block whose checksum held.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It was stored as it is: this many of the stored bytes are the payload.
    Plain(usize),
    /// It was compressed.
    Unpacked(Vec<u8>),
}

/// Compresses blocks, keeping its tables and space between them.
#[derive(Debug)]
pub(crate) struct Packer {
    #[cfg(feature = "lz4")]
    lz4: Option<Lz4>,
}

#[cfg(feature = "lz4")]
struct Lz4 {
    table: lz4_flex::block::CompressTable,
    space: Vec<u8>,
}

#[cfg(feature = "lz4")]
impl core::fmt::Debug for Lz4 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lz4").finish_non_exhaustive()
    }
}

impl Packer {
    /// # Errors
    ///
    /// [`Error::NotCompiledIn`].
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        match compression {
            Compression::None => Ok(Packer {
                #[cfg(feature = "lz4")]
                lz4: None,
            }),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => {
                Ok(Packer { lz4: Some(Lz4 { table: Default::default(), space: Vec::new() }) })
            }
            #[cfg(not(feature = "lz4"))]
            Compression::Lz4 => {
                Err(Error::NotCompiledIn { file: None, what: "LZ4 compression", feature: "lz4" })
            }
        }
    }

    /// Makes a stored block of the bytes of `out` from `start` on; they will stand at `offset` of the file.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for more than [`RAW_BYTES_MAX`]; `out` is as it was.
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, start: usize, offset: u64) -> Result<()> {
        let raw = out.len() - start;
        check_raw(raw)?;
        let tag = self.pack(out, start);
        append_tail(out, start, raw as u32, tag, offset);
        Ok(())
    }

    #[cfg(feature = "lz4")]
    fn pack(&mut self, out: &mut Vec<u8>, start: usize) -> u8 {
        let Some(Lz4 { table, space }) = &mut self.lz4 else {
            return TAG_NONE;
        };
        let raw = &out[start..];
        let room = lz4_flex::block::get_maximum_output_size(raw.len());
        if space.len() < room {
            space.resize(room, 0);
        }
        match lz4_flex::block::compress_into_with_table(raw, space, table) {
            Ok(packed) if pays(packed, raw.len()) => {
                out.truncate(start);
                out.extend_from_slice(&space[..packed]);
                TAG_LZ4
            }
            _ => TAG_NONE,
        }
    }

    #[cfg(not(feature = "lz4"))]
    fn pack(&mut self, _out: &mut Vec<u8>, _start: usize) -> u8 {
        TAG_NONE
    }

    /// As [`Packer::seal`], for a payload that may be large and stands by itself: what is stored of it at `offset`, and its tail.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for more than [`RAW_BYTES_MAX`].
    pub(crate) fn seal_apart(
        &mut self,
        raw: PageVec<u8>,
        offset: u64,
    ) -> Result<(PageVec<u8>, [u8; TAIL_BYTES])> {
        check_raw(raw.len())?;
        let raw_bytes = raw.len() as u32;
        let packed = self.pack_apart(&raw);
        let tag = if packed.is_some() { TAG_LZ4 } else { TAG_NONE };
        let payload = packed.unwrap_or(raw);
        let tail = tail(crc32c::crc32c(&payload), raw_bytes, tag, offset);
        Ok((payload, tail))
    }

    #[cfg(feature = "lz4")]
    fn pack_apart(&mut self, raw: &[u8]) -> Option<PageVec<u8>> {
        let table = &mut self.lz4.as_mut()?.table;
        let mut space = PageVec::zeroed(lz4_flex::block::get_maximum_output_size(raw.len()));
        let packed = lz4_flex::block::compress_into_with_table(raw, &mut space, table).ok()?;
        space.truncate(packed);
        pays(packed, raw.len()).then_some(space)
    }

    #[cfg(not(feature = "lz4"))]
    fn pack_apart(&mut self, _raw: &[u8]) -> Option<PageVec<u8>> {
        None
    }
}

/// Less than an eighth saved does not pay for decompressing at every read.
#[cfg(feature = "lz4")]
fn pays(packed: usize, raw: usize) -> bool {
    packed <= raw - raw / 8 && packed < raw
}

/// The tail of a payload in two parts that is not compressed, for one that is too large to be moved so that its tail can follow it.
pub(crate) fn tail_of_plain(payload: [&[u8]; 2], offset: u64) -> Result<[u8; TAIL_BYTES]> {
    let raw = payload[0].len() + payload[1].len();
    check_raw(raw)?;
    let checksum = payload.iter().fold(0, |checksum, part| crc32c::crc32c_append(checksum, part));
    Ok(tail(checksum, raw as u32, TAG_NONE, offset))
}

/// Appends the tail to a payload that is never compressed.
pub(crate) fn seal_plain(out: &mut Vec<u8>, start: usize, offset: u64) -> Result<()> {
    Packer::new(Compression::None)?.seal(out, start, offset)
}

fn append_tail(out: &mut Vec<u8>, start: usize, raw: u32, tag: u8, offset: u64) {
    let tail = tail(crc32c::crc32c(&out[start..]), raw, tag, offset);
    out.extend_from_slice(&tail);
}

/// The tail of a payload that has this checksum.
fn tail(payload: u32, raw: u32, tag: u8, offset: u64) -> [u8; TAIL_BYTES] {
    let [r0, r1, r2, r3] = raw.to_le_bytes();
    let covered = [r0, r1, r2, r3, tag];
    let [c0, c1, c2, c3] = bind(crc32c::crc32c_append(payload, &covered), offset).to_le_bytes();
    [r0, r1, r2, r3, tag, c0, c1, c2, c3]
}

fn check_raw(bytes: usize) -> Result<()> {
    match bytes <= RAW_BYTES_MAX {
        true => Ok(()),
        false => {
            let (bytes, bytes_max) = (bytes as u64, RAW_BYTES_MAX as u64);
            Err(Error::TooLarge { what: "a block", bytes, bytes_max })
        }
    }
}

#[inline]
pub(super) fn checksum(covered: &[u8], offset: u64) -> u32 {
    bind(crc32c::crc32c(covered), offset)
}

/// The checksum of a block at this offset, from that of what it covers.
#[inline]
fn bind(checksum: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(checksum, &offset.to_le_bytes())
}

/// Checks a stored block that was read from `offset` of the file, and unpacks it if it is compressed.
pub(crate) fn open(stored: &[u8], offset: u64) -> Result<Opened, Fault> {
    open_into(stored, offset, |_| Vec::new())
}

/// As [`open`]; what is unpacked goes into what `memory` gives when it is told the raw length, if that is large enough. It is asked only about lengths that
/// may be true, so it may allocate.
pub(crate) fn open_into(
    stored: &[u8],
    offset: u64,
    memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Opened, Fault> {
    match check(stored, offset)? {
        Checked::Plain(raw) => Ok(Opened::Plain(raw)),
        Checked::Lz4 { payload, raw } => unpack_lz4(payload, raw, memory).map(Opened::Unpacked),
    }
}

/// The payload of a block that may be large and stays as long as its table, in pages that go back to the system with it.
pub(crate) fn open_in_pages(stored: PageVec<u8>, offset: u64) -> Result<Bytes, Fault> {
    match check(&stored, offset)? {
        Checked::Plain(raw) => Ok(Bytes::from_owner(stored).slice(..raw)),
        Checked::Lz4 { payload, raw } => unpack_lz4_in_pages(payload, raw).map(Bytes::from_owner),
    }
}

/// A stored block whose checksum holds and whose raw length may be true, before it is unpacked.
enum Checked<'a> {
    /// So many of the stored bytes are the payload.
    Plain(usize),
    Lz4 {
        payload: &'a [u8],
        raw: usize,
    },
}

fn check(stored: &[u8], offset: u64) -> Result<Checked<'_>, Fault> {
    let (covered, crc) =
        stored.split_last_chunk::<4>().ok_or(Fault::Damage("block shorter than its tail"))?;
    if checksum(covered, offset) != u32::from_le_bytes(*crc) {
        return Err(Fault::Damage("checksum of block does not match"));
    }
    let (payload, &[r0, r1, r2, r3, tag]) =
        covered.split_last_chunk::<5>().ok_or(Fault::Damage("block shorter than its tail"))?;
    let raw = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
    if raw > RAW_BYTES_MAX {
        return Err(Fault::Damage("block claims more than the greatest raw length"));
    }
    match tag {
        TAG_NONE if raw == payload.len() => Ok(Checked::Plain(raw)),
        TAG_NONE => Err(Fault::Damage("raw length is not the length of an uncompressed block")),
        TAG_LZ4 if raw > payload.len().saturating_mul(LZ4_EXPANSION_MAX) => {
            Err(Fault::Damage("block claims to expand further than LZ4 can"))
        }
        TAG_LZ4 => Ok(Checked::Lz4 { payload, raw }),
        unknown => Err(Fault::UnknownCompression(unknown)),
    }
}

#[cfg(feature = "lz4")]
fn unpack_lz4(payload: &[u8], raw: usize, memory: impl FnOnce(usize) -> Vec<u8>) -> Result<Vec<u8>, Fault> {
    let mut memory = memory(raw);
    let unpacked = if memory.capacity() < raw {
        // Into fresh memory, which is not zeroed first.
        lz4_flex::block::decompress(payload, buffer_bytes(raw))
    } else {
        // Only what was not in use before is zeroed.
        memory.resize(raw, 0);
        lz4_flex::block::decompress_into(payload, &mut memory).map(|written| {
            memory.truncate(written);
            memory
        })
    };
    match unpacked {
        Ok(unpacked) if unpacked.len() == raw => Ok(unpacked),
        Ok(_) => Err(WRONG_LENGTH),
        Err(_) => Err(DOES_NOT_UNPACK),
    }
}

#[cfg(feature = "lz4")]
fn unpack_lz4_in_pages(payload: &[u8], raw: usize) -> Result<PageVec<u8>, Fault> {
    let mut pages = PageVec::zeroed(raw);
    match lz4_flex::block::decompress_into(payload, &mut pages) {
        Ok(written) if written == raw => Ok(pages),
        Ok(_) => Err(WRONG_LENGTH),
        Err(_) => Err(DOES_NOT_UNPACK),
    }
}

#[cfg(feature = "lz4")]
const WRONG_LENGTH: Fault = Fault::Damage("block does not unpack to its raw length");
#[cfg(feature = "lz4")]
const DOES_NOT_UNPACK: Fault = Fault::Damage("block does not unpack");

#[cfg(not(feature = "lz4"))]
fn unpack_lz4_in_pages(_payload: &[u8], _raw: usize) -> Result<PageVec<u8>, Fault> {
    Err(NOT_COMPILED_IN)
}

#[cfg(not(feature = "lz4"))]
const NOT_COMPILED_IN: Fault = Fault::NotCompiledIn { what: "LZ4 compression", feature: "lz4" };

#[cfg(not(feature = "lz4"))]
fn unpack_lz4(
    _payload: &[u8],
    _raw: usize,
    _memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Vec<u8>, Fault> {
    Err(NOT_COMPILED_IN)
}

/// How large a new buffer for a block of so many bytes is: of few different sizes, since a cache may hand it to another block (of entries as long, say, but for a
/// byte in each sequence number), which must fit.
pub(super) fn buffer_bytes(block_bytes: usize) -> usize {
    block_bytes.next_multiple_of(64)
}

/// The name of a compression tag, for dumps.
pub(crate) fn tag_name(tag: u8) -> &'static str {
    match tag {
        TAG_NONE => "none",
        TAG_LZ4 => "lz4",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(payload: &[u8], compression: Compression, offset: u64) -> Vec<u8> {
        let mut out = b"before".to_vec();
        out.extend_from_slice(payload);
        Packer::new(compression).unwrap().seal(&mut out, 6, offset).unwrap();
        out.split_off(6)
    }

    fn payload_of(stored: &[u8], offset: u64) -> Result<Vec<u8>, Fault> {
        open(stored, offset).map(|opened| match opened {
            Opened::Plain(len) => stored[..len].to_vec(),
            Opened::Unpacked(bytes) => bytes,
        })
    }

    #[test]
    fn plain_block_reads_back_at_its_offset_only() {
        let stored = sealed(b"payload", Compression::None, 77);
        assert_eq!(payload_of(&stored, 77), Ok(b"payload".to_vec()));
        assert_eq!(payload_of(&stored, 78), Err(Fault::Damage("checksum of block does not match")));
        assert_eq!(payload_of(&sealed(b"", Compression::None, 0), 0), Ok(Vec::new()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let stored = sealed(b"some payload", Compression::None, 5);
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, 5).is_err(), "bit {bit}");
        }
        for len in 0..stored.len() {
            assert!(open(&stored[..len], 5).is_err(), "length {len}");
        }
    }

    /// Seals a block with any tail, as only a hostile writer would.
    fn forged(payload: &[u8], raw: u32, tag: u8) -> Vec<u8> {
        let mut out = payload.to_vec();
        append_tail(&mut out, 0, raw, tag, 0);
        out
    }

    #[test]
    fn forged_lengths_and_tags_are_refused_before_anything_is_allocated() {
        assert!(matches!(open(&forged(b"abc", 4, TAG_NONE), 0), Err(Fault::Damage(_))));
        // The words tell these from a block that was unpacked and found wanting, which is an allocation too late.
        let too_large = Fault::Damage("block claims more than the greatest raw length");
        assert_eq!(open(&forged(b"abc", u32::MAX, TAG_LZ4), 0).unwrap_err(), too_large);
        let too_far = Fault::Damage("block claims to expand further than LZ4 can");
        assert_eq!(open(&forged(b"abc", 3 * 255 + 1, TAG_LZ4), 0).unwrap_err(), too_far);
        assert_eq!(open(&forged(b"abc", 3, 9), 0).unwrap_err(), Fault::UnknownCompression(9));
    }

    #[cfg(feature = "lz4")]
    #[test]
    fn lz4_is_used_when_it_saves_an_eighth_and_only_then() {
        let same = vec![7; 4000];
        let stored = sealed(&same, Compression::Lz4, 0);
        assert!(stored.len() < 200);
        assert_eq!(payload_of(&stored, 0), Ok(same));

        let mut state = 1;
        let noise: Vec<u8> =
            (0..500).flat_map(|_| terrace_entry::testing::next_random(&mut state).to_le_bytes()).collect();
        let stored = sealed(&noise, Compression::Lz4, 0);
        assert_eq!(stored.len(), noise.len() + TAIL_BYTES);
        assert_eq!(payload_of(&stored, 0), Ok(noise));
    }

    #[test]
    fn a_payload_apart_is_stored_as_in_a_buffer_and_reads_back() {
        let number = |number: u32| number.wrapping_mul(0x9e37_79b9).to_le_bytes();
        let (plain, repeated): (Vec<u8>, _) = ((0..30_000).flat_map(number).collect(), vec![7; 120_000]);
        let compression = if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None };
        for payload in [plain, repeated, vec![]] {
            let apart: PageVec<u8> = payload.iter().copied().collect();
            let (body, tail) = Packer::new(compression).unwrap().seal_apart(apart, 9).unwrap();
            let stored = [&body[..], &tail].concat();
            assert!(stored == sealed(&payload, compression, 9), "{} bytes", payload.len());
            let opened = open_in_pages(stored.into_iter().collect(), 9);
            assert!(opened.is_ok_and(|opened| opened == payload), "{} bytes", payload.len());
        }
    }

    #[cfg(feature = "lz4")]
    #[test]
    fn lz4_that_does_not_unpack_to_its_raw_length_is_refused() {
        let packed = lz4_flex::block::compress(&[7; 4000]);
        for raw in [1, 3999, 4001] {
            let forged = forged(&packed, raw, TAG_LZ4);
            assert!(matches!(open(&forged, 0), Err(Fault::Damage(_))), "{raw}");
            let in_pages = open_in_pages(forged.into_iter().collect(), 0);
            assert!(matches!(in_pages, Err(Fault::Damage(_))), "{raw}");
        }
        assert!(open(&forged(&packed, 4000, TAG_LZ4), 0).is_ok());
    }

    #[cfg(not(feature = "lz4"))]
    #[test]
    fn lz4_left_out_is_named_with_its_feature() {
        assert!(matches!(Packer::new(Compression::Lz4), Err(Error::NotCompiledIn { feature: "lz4", .. })));
        let stored = forged(b"abc", 3, TAG_LZ4);
        assert!(matches!(open(&stored, 0), Err(Fault::NotCompiledIn { feature: "lz4", .. })));
    }
}
