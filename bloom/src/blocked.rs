//! A cache-line-blocked Bloom filter: all bits of a key lie in one line of 512 bits.
//!
//! Source: F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", WEA 2007. One miss of the
//! cache answers a query, where a standard Bloom filter takes up to k. The price: lines fill unevenly (the keys in a line
//! are Poisson distributed), which at 10 bits per key turns 0.82 % false positives into 0.96 %, and from some 16 bits per
//! key on makes more bits pay less and less.
//!
//! How: the high bits of the hash choose the line by a multiplication; a remix of the whole hash gives a word, of which each
//! nine bits name one of the 512 bits, seven to a word. Probes are independent and not in arithmetic progression, which would
//! cost a tenth more false positives within so short a line. All k bits are read and combined before the one branch: leaving at
//! the first zero bit would be mispredicted every second time, and that costs more than the few loads from a line already here.
//!
//! Departures from the paper: k comes from a table of the fewest probes within 5 % of the best rate, since a probe costs time and
//! a twentieth of a percentage does not; lines are read in place from any borrowed bytes, of any alignment.
//!
//! Costs: a build is O(n k) with one pass over the hashes; a query reads one line, or two when the buffer is not aligned
//! to 64 bytes. Nothing is allocated by `open` or by a query.
//!
//! Invariants. *Line*: every bit of a key lies in the line that `reduce` gives. *Whole*: the body is exactly `lines` lines, and
//! at least one.

use core::fmt;

use crate::footer::{self, FOOTER_BYTES, clamp_bits_per_key, split, units_for};
use crate::{Filter, FilterError, FilterId, KeyHash};

const VERSION: u8 = 1;
const LINE_BYTES: usize = 64;
const LINE_BITS: usize = LINE_BYTES * 8;
/// Nine bits choose one of 512.
const PROBE_BITS: u32 = 9;
/// Probes that one remixed word feeds: 7 x 9 of its 64 bits.
const PROBES_PER_WORD: u32 = 64 / PROBE_BITS;
/// Past this a line is so unevenly filled that further bits buy next to nothing.
const BITS_PER_KEY_MAX: f64 = 32.0;

/// Probes by whole bits per key: the fewest whose rate is within 5 % of the best. Part of no format; a reader takes k from the footer.
const K_BY_BITS_PER_KEY: [u8; 33] = [
    1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13,
    13, 14,
];

/// Calls `$f::<N>` for the `N` in `1..=7` that `$probes` is: with a fixed count the loop over probes unrolls into shifts and
/// loads that do not wait for each other, which saves a quarter of a query. The match itself always goes the same way.
macro_rules! with_probes {
    ($probes:expr, $f:ident, $line:expr, $word:expr) => {
        match $probes {
            1 => $f::<1>($line, $word),
            2 => $f::<2>($line, $word),
            3 => $f::<3>($line, $word),
            4 => $f::<4>($line, $word),
            5 => $f::<5>($line, $word),
            6 => $f::<6>($line, $word),
            _ => $f::<{ PROBES_PER_WORD as usize }>($line, $word),
        }
    };
}

/// The cache-line-blocked Bloom filter; see the [crate's page](crate) for when to take which.
///
/// Bits per key are clamped to 1 to 32. An empty set has one line of zeros and contains nothing.
#[derive(Clone, Copy, Debug)]
pub struct BlockedBloom;

/// A [`BlockedBloom`] over stored bytes, read in place.
#[derive(Clone)]
pub struct BlockedReader<B> {
    bytes: B,
    lines: usize,
    k: u32,
}

impl<B> fmt::Debug for BlockedReader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockedReader")
            .field("lines", &self.lines)
            .field("k", &self.k)
            .finish_non_exhaustive()
    }
}

impl<B: AsRef<[u8]>> BlockedReader<B> {
    /// Whether the set may hold a key of this hash. Reads one line; allocates nothing.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        let Some(line) = self.line(hash) else {
            // Only when `B` shows other bytes than it did to `open`. True never loses a key.
            return true;
        };
        let mut word = remix(hash.0);
        let mut left = self.k;
        while left > PROBES_PER_WORD {
            if !all_set::<{ PROBES_PER_WORD as usize }>(line, word) {
                return false;
            }
            word = remix(word);
            left -= PROBES_PER_WORD;
        }
        with_probes!(left, all_set, line, word)
    }

    #[inline]
    fn line(&self, hash: KeyHash) -> Option<&[u8; LINE_BYTES]> {
        let start = reduce(hash.0, self.lines) * LINE_BYTES;
        self.bytes.as_ref().get(start..).and_then(<[u8]>::first_chunk::<LINE_BYTES>)
    }

    /// How many bits are set and read for each key.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.k
    }

    /// The stored bytes.
    #[must_use]
    pub fn into_bytes(self) -> B {
        self.bytes
    }
}

fn lines_for(keys: usize, bits_per_key: f64) -> usize {
    units_for(keys, clamp_bits_per_key(bits_per_key, BITS_PER_KEY_MAX), LINE_BITS)
}

/// Maps a hash onto `0..lines` by its high bits: the high half of a full multiplication, in place of a division.
///
/// Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019.
#[inline]
fn reduce(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

/// Folds a full multiplication, so that every bit of the result depends on all bits of the hash, of which the high ones
/// are spent on the choice of the line. The constants are digits of pi and belong to the format.
#[inline]
fn remix(hash: u64) -> u64 {
    let product = u128::from(hash ^ 0x243f_6a88_85a3_08d3) * 0x1319_8a2e_0370_7345;
    (product >> 64) as u64 ^ product as u64
}

/// Which bit of the line the probe numbered `probe` of a word names: the number of its eight bytes, and the bit in them.
#[inline]
fn position(word: u64, probe: usize) -> (usize, u32) {
    let bit = (word >> (PROBE_BITS as usize * probe)) as usize % LINE_BITS;
    (bit / 64, bit as u32 % 64)
}

/// Whether all of the first `N` bits named by `word` are set, without a branch for each.
#[inline]
fn all_set<const N: usize>(line: &[u8; LINE_BYTES], word: u64) -> bool {
    let (eights, _) = line.as_chunks::<8>();
    let mut set = 1;
    for probe in 0..N {
        let (eight, bit) = position(word, probe);
        set &= u64::from_le_bytes(eights[eight]) >> bit;
    }
    set & 1 != 0
}

/// Sets the first `N` bits named by `word`.
#[inline]
fn set_all<const N: usize>(line: &mut [u8; LINE_BYTES], word: u64) {
    let (eights, _) = line.as_chunks_mut::<8>();
    for probe in 0..N {
        let (eight, bit) = position(word, probe);
        eights[eight] = (u64::from_le_bytes(eights[eight]) | 1 << bit).to_le_bytes();
    }
}

/// Sets all `k` bits of a hash in its line.
#[inline]
fn insert(line: &mut [u8; LINE_BYTES], hash: u64, k: u32) {
    let mut word = remix(hash);
    let mut left = k;
    while left > PROBES_PER_WORD {
        set_all::<{ PROBES_PER_WORD as usize }>(line, word);
        word = remix(word);
        left -= PROBES_PER_WORD;
    }
    with_probes!(left, set_all, line, word);
}

impl Filter for BlockedBloom {
    const NAME: &'static str = "blocked";
    const ID: FilterId = FilterId::BLOCKED;

    type Reader<B: AsRef<[u8]>> = BlockedReader<B>;

    fn stored_bytes(keys: usize, bits_per_key: f64) -> usize {
        lines_for(keys, bits_per_key) * LINE_BYTES + FOOTER_BYTES
    }

    fn build_into(hashes: &[KeyHash], bits_per_key: f64, stored: &mut [u8]) {
        let lines = lines_for(hashes.len(), bits_per_key);
        let k = K_BY_BITS_PER_KEY[clamp_bits_per_key(bits_per_key, BITS_PER_KEY_MAX) as usize];
        let body = footer::write::<LINE_BYTES>(stored, lines, k, VERSION);
        for hash in hashes {
            insert(&mut body[reduce(hash.0, lines)], hash.0, u32::from(k));
        }
    }

    fn open<B: AsRef<[u8]>>(bytes: B) -> Result<BlockedReader<B>, FilterError> {
        let (lines, k) = split::<LINE_BYTES>(bytes.as_ref(), Self::NAME, VERSION)?;
        let lines = lines.len();
        Ok(BlockedReader { bytes, lines, k: u32::from(k) })
    }

    #[inline]
    fn may_contain<B: AsRef<[u8]>>(reader: &BlockedReader<B>, hash: KeyHash) -> bool {
        reader.may_contain(hash)
    }

    #[inline]
    fn will_read<B: AsRef<[u8]>>(reader: &BlockedReader<B>, hash: KeyHash) -> Option<&[u8]> {
        reader.line(hash).map(<[u8; LINE_BYTES]>::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_read_is_the_line_that_holds_a_key() {
        for number in 0..1000_u32 {
            let hash = KeyHash::of(&number.to_be_bytes());
            // Room for thousands of keys, of which one is in it: all lines but its own are zeros.
            let mut stored = BlockedBloom::build(&vec![hash; 4096], 10.0);
            let footer = stored.split_off(stored.len() - FOOTER_BYTES);
            let (lines, _) = stored.as_chunks::<LINE_BYTES>();
            let own = lines.iter().position(|line| line.iter().any(|&byte| byte != 0)).unwrap();
            assert!(lines.len() > 50);
            stored.extend(footer);
            let reader = BlockedBloom::open(stored.as_slice()).unwrap();
            let read = BlockedBloom::will_read(&reader, hash).unwrap();
            assert_eq!(read.as_ptr(), stored[own * LINE_BYTES..].as_ptr());
            assert_eq!(read.len(), LINE_BYTES);
        }
    }
}
