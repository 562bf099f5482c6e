//! Keys and values that can be checked: a value is a function of its key, a generation and the load's seed.
//!
//! A key is the decimal of twice its rank, zero-padded on the left; the odd numbers between are the keys that are missing, so that a
//! look-up of a missing key passes every key-range fence and meets the filters. A value is eight bytes of generation, then words that
//! only that key and that generation give, a chosen share of them incompressible.

use crate::mixgraph;
use crate::random::mix;

/// Shortest value: its generation.
pub const VALUE_BYTES_MIN: usize = 8;

/// Shortest key: a decimal of eight digits.
pub const KEY_BYTES_MIN: usize = 8;

const WORD_BYTES: usize = 8;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// From `00` to `99`.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Eight decimal digits as a number, in three steps that each join neighbours: a key of 16 takes a third of the time of one digit after the other.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    // The high bit of each byte that is more than nine.
    const ABOVE_NINE: u64 = u64::from_le_bytes([0x80 - 10; 8]);
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    let each = u64::from_le_bytes(digits) ^ ZEROS;
    if (each | each.wrapping_add(ABOVE_NINE)) & HIGH_BITS != 0 {
        return None;
    }
    let pairs = (each * 10 + (each >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// How keys and values are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordShape {
    /// Length of a key.
    pub key_bytes: usize,
    /// Length of a value, unless the lengths are mixed.
    pub value_bytes: usize,
    /// Whether each value has a length of its own, drawn as in [`mixgraph::value_bytes`].
    pub mixed_lengths: bool,
    /// The share of a value that compresses to nearly nothing, from 0 to 1.
    pub compressible: f64,
    /// What the values depend on beside key and generation.
    pub seed: u64,
}

impl RecordShape {
    /// How many records have keys of this length.
    pub fn records_max(&self) -> u64 {
        10u64.checked_pow(self.key_bytes.min(19) as u32).map_or(u64::MAX / 2, |n| n / 2)
    }

    /// Writes the key of rank `rank`; with `missing`, the key just after it that no record has.
    pub fn key(&self, rank: u64, missing: bool, key: &mut Vec<u8>) {
        key.clear();
        self.append_key(rank, missing, key);
    }

    /// As [`RecordShape::key`], after what is there.
    pub fn append_key(&self, rank: u64, missing: bool, to: &mut Vec<u8>) {
        let start = to.len();
        to.resize(start + self.key_bytes, b'0');
        let mut number = rank * 2 + u64::from(missing);
        let mut end = to.len();
        // Two digits for each division: a key of 16 is 8 of them in a row.
        while number > 0 && end - start >= 2 {
            end -= 2;
            to[end..][..2].copy_from_slice(&DIGIT_PAIRS[(number % 100) as usize]);
            number /= 100;
        }
        if end > start {
            to[end - 1] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        assert_eq!(number, 0, "rank {rank} does not fit in a key of {} bytes", self.key_bytes);
    }

    /// The rank whose key this is.
    pub fn rank(&self, key: &[u8]) -> Option<u64> {
        if key.len() != self.key_bytes {
            return None;
        }
        let (first, eights) = key.as_rchunks::<8>();
        let mut number = 0u64;
        for &digit in first {
            let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
            number = number * 10 + u64::from(digit);
        }
        for &digits in eights {
            number = number.checked_mul(100_000_000)?.checked_add(eight_digits(digits)?)?;
        }
        number.is_multiple_of(2).then_some(number / 2)
    }

    /// The length of the value of a generation.
    pub fn len(&self, rank: u64, generation: u32) -> usize {
        match self.mixed_lengths {
            true => mixgraph::value_bytes(mix(self.seed ^ mix(rank) ^ u64::from(generation))),
            false => self.value_bytes,
        }
    }

    /// Writes the value of a generation.
    pub fn value(&self, rank: u64, generation: u32, value: &mut Vec<u8>) {
        value.clear();
        self.append_value(rank, generation, value);
    }

    /// As [`RecordShape::value`], after what is there.
    pub fn append_value(&self, rank: u64, generation: u32, to: &mut Vec<u8>) {
        let len = self.len(rank, generation);
        let words = Words::new(self, len, rank, generation);
        to.extend_from_slice(&u64::from(generation).to_le_bytes());
        let start = to.len();
        to.resize(start + len.saturating_sub(WORD_BYTES), 0);
        let (whole, rest) = to[start..].as_chunks_mut();
        let (random, same) = whole.split_at_mut(words.random);
        for (index, chunk) in random.iter_mut().enumerate() {
            *chunk = words.at(index).to_le_bytes();
        }
        let word: [u8; WORD_BYTES] = words.same().to_le_bytes();
        same.fill(word);
        rest.copy_from_slice(&word[..rest.len()]);
    }

    /// The generation of a value, if every byte of it is what that generation of that key must have.
    pub fn generation(&self, rank: u64, value: &[u8]) -> Option<u32> {
        let (generation, body) = value.split_first_chunk::<WORD_BYTES>()?;
        let generation = u32::try_from(u64::from_le_bytes(*generation)).ok()?;
        if value.len() != self.len(rank, generation) {
            return None;
        }
        let words = Words::new(self, value.len(), rank, generation);
        let (whole, rest) = body.as_chunks();
        let (random, same) = whole.split_at(words.random);
        let word = words.same().to_le_bytes();
        // Without an early end: nearly all are as they must be, and a wrong one costs no more.
        let looks_random = |whole, (index, chunk): (usize, &[u8; WORD_BYTES])| {
            whole & (*chunk == words.at(index).to_le_bytes())
        };
        let whole = random.iter().enumerate().fold(true, looks_random)
            & same.iter().fold(true, |whole, chunk| whole & (*chunk == word))
            & (*rest == word[..rest.len()]);
        whole.then_some(generation)
    }
}

/// The words of one value after its generation: some that look random, then one again and again.
struct Words {
    seed: u64,
    random: usize,
}

impl Words {
    fn new(shape: &RecordShape, len: usize, rank: u64, generation: u32) -> Self {
        let words = (len.saturating_sub(WORD_BYTES) / WORD_BYTES) as f64;
        Words {
            seed: mix(shape.seed ^ mix(rank ^ mix(u64::from(generation).wrapping_add(GOLDEN)))),
            random: (words * (1.0 - shape.compressible)).round() as usize,
        }
    }

    /// One of those that look random.
    fn at(&self, index: usize) -> u64 {
        mix(self.seed.wrapping_add((index as u64).wrapping_mul(GOLDEN)))
    }

    /// The compressible rest: it too belongs to this key and generation only.
    fn same(&self) -> u64 {
        self.at(self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: RecordShape =
        RecordShape { key_bytes: 16, value_bytes: 100, mixed_lengths: false, compressible: 0.5, seed: 1 };

    fn value(shape: &RecordShape, rank: u64, generation: u32) -> Vec<u8> {
        let mut value = Vec::new();
        shape.value(rank, generation, &mut value);
        value
    }

    #[test]
    fn keys_sort_as_their_ranks_and_missing_keys_lie_between() {
        let mut keys = Vec::new();
        for rank in [0u64, 1, 9, 10, 4_999, 5_000, 123_456] {
            for missing in [false, true] {
                let mut key = Vec::new();
                SHAPE.key(rank, missing, &mut key);
                assert_eq!(key.len(), 16);
                assert_eq!(SHAPE.rank(&key), (!missing).then_some(rank));
                keys.push(key);
            }
        }
        assert!(keys.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_key_is_the_decimal_of_twice_its_rank_at_any_length() {
        for key_bytes in 8..=20 {
            let shape = RecordShape { key_bytes, ..SHAPE };
            for rank in [0, 4, 5, 49, 50, 12_345, 49_999_999] {
                let mut key = b"before".to_vec();
                shape.append_key(rank, true, &mut key);
                assert_eq!(key, format!("before{:0key_bytes$}", rank * 2 + 1).into_bytes());
            }
        }
    }

    #[test]
    fn only_decimals_of_the_right_length_have_a_rank() {
        for key_bytes in 8..=20 {
            let shape = RecordShape { key_bytes, ..SHAPE };
            let mut key = Vec::new();
            for rank in [0, 1, 4_999, 12_345_678, 49_999_999] {
                shape.key(rank, false, &mut key);
                assert_eq!(shape.rank(&key), Some(rank));
                for at in 0..key_bytes {
                    for wrong in [b'0' - 1, b'9' + 1, 0, 0x80, 0xff, b'0' | 0x80] {
                        let mut bad = key.clone();
                        bad[at] = wrong;
                        assert_eq!(shape.rank(&bad), None, "{}", bad.escape_ascii());
                    }
                }
                key.push(b'0');
                assert_eq!(shape.rank(&key), None);
            }
        }
        let shape = RecordShape { key_bytes: 20, ..SHAPE };
        assert_eq!(shape.rank(b"18446744073709551614"), Some(u64::MAX / 2));
        assert_eq!(shape.rank(b"18446744073709551616"), None, "more than a number holds");
        assert_eq!(shape.rank(b"99999999999999999998"), None);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_key_too_short_for_its_rank_is_refused() {
        RecordShape { key_bytes: 9, ..SHAPE }.key(500_000_000, false, &mut Vec::new());
    }

    #[test]
    fn the_words_of_a_value_are_those_of_the_first_version_of_the_harness() {
        let mut bytes = b"before".to_vec();
        SHAPE.append_value(5, 77, &mut bytes);
        let body = &bytes[6 + WORD_BYTES..];
        let word = |index: u64| {
            mix(mix(1 ^ mix(5 ^ mix(77u64.wrapping_add(GOLDEN)))).wrapping_add(index.wrapping_mul(GOLDEN)))
        };
        let expected: Vec<u8> = (0..12).flat_map(|index| word(index.min(6)).to_le_bytes()).collect();
        assert_eq!((&bytes[..6], body), (&b"before"[..], &expected[..92]));
    }

    #[test]
    fn a_value_is_known_again_with_its_generation() {
        for value_bytes in [8, 9, 15, 16, 17, 100, 4096] {
            let shape = RecordShape { value_bytes, ..SHAPE };
            assert_eq!(shape.generation(5, &value(&shape, 5, 77)), Some(77));
        }
    }

    #[test]
    fn values_of_mixed_lengths_are_known_again_and_of_many_lengths() {
        let shape = RecordShape { mixed_lengths: true, ..SHAPE };
        let mut lengths = std::collections::BTreeSet::new();
        for rank in 0..200 {
            let mut value = value(&shape, rank, 3);
            lengths.insert(value.len());
            assert_eq!(shape.generation(rank, &value), Some(3));
            value.push(0);
            assert_eq!(shape.generation(rank, &value), None);
        }
        assert!(lengths.len() > 20, "{lengths:?}");
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        for value_bytes in [16, 20, 100] {
            let shape = RecordShape { value_bytes, ..SHAPE };
            let good = value(&shape, 5, 77);
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x10;
                assert_eq!(shape.generation(5, &bad), None, "byte {at} of {value_bytes}");
            }
        }
    }

    #[test]
    fn a_value_of_another_key_seed_or_length_is_refused() {
        assert_eq!(SHAPE.generation(6, &value(&SHAPE, 5, 1)), None);
        assert_eq!(RecordShape { seed: 2, ..SHAPE }.generation(5, &value(&SHAPE, 5, 1)), None);
        assert_eq!(SHAPE.generation(5, &value(&SHAPE, 5, 1)[..99]), None);
    }

    #[test]
    fn the_incompressible_share_is_as_asked() {
        for (compressible, distinct) in [(0.0, 64), (0.5, 33), (1.0, 1)] {
            let shape = RecordShape { value_bytes: 8 + 64 * 8, compressible, ..SHAPE };
            let value = value(&shape, 3, 4);
            let words: std::collections::BTreeSet<&[u8]> = value[8..].chunks(8).collect();
            assert_eq!(words.len(), distinct, "{compressible}");
        }
    }
}
