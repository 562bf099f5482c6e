//! Could one changed byte be all that is wrong? A checksum that fails answers that by itself.
//!
//! Algorithm: crc32c is linear over GF(2). If a message with a wrong checksum differs from the right one in byte `i` by
//! the pattern `e`, then (stored checksum xor computed checksum) is a function of `e` and of the number of bytes after
//! `i` alone: the table entry of `e`, moved on over that many zero bytes. Moving a register over a zero byte can be undone,
//! so one walk from the last byte to the first, asking at each whether the register is a table entry, finds every
//! single-byte explanation in O(n) steps of two table look-ups.
//! Source: the tables of any byte-wise CRC; undoing a step is known from CRC forging. Pebble (2025) tries every flipped
//! bit for the same purpose.
//!
//! Odds of a false alarm, that is of a checksum that failed for another reason (a tear) and yet has such an explanation:
//! n bytes have 255 n patterns among 2^32 checksums, so 0.0006 % for 100 bytes and 0.4 % for [`BYTE_RANGE_MAX`]; with single
//! bits only, 8 n patterns, 0.4 % for [`BIT_RANGE_MAX`]. Beyond that an explanation says too little and is not sought.

/// crc32c's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Longest message of which any one byte may be wrong: 64 KiB.
pub(crate) const BYTE_RANGE_MAX: usize = 64 << 10;
/// Longest message of which any one bit may be wrong: 2 MiB.
pub(crate) const BIT_RANGE_MAX: usize = 2 << 20;

/// What the register becomes when one byte goes in.
static FORWARD: [u32; 256] = forward();
/// Which byte's entry in [`FORWARD`] has this top byte. The top bytes are a permutation, which is why a step can be undone.
static BYTE_OF_TOP: [u8; 256] = byte_of_top();

const fn forward() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = (register >> 1) ^ (POLYNOMIAL & (register & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = register;
        byte += 1;
    }
    table
}

const fn byte_of_top() -> [u8; 256] {
    let table = forward();
    let mut inverse = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        inverse[(table[byte] >> 24) as usize] = byte as u8;
        byte += 1;
    }
    inverse
}

/// A change of one byte that makes a message's checksum right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteChange {
    /// Which byte of the message.
    pub(crate) at: usize,
    /// What to xor it with.
    pub(crate) pattern: u8,
}

/// Every change of one byte (of one bit, for long messages) of a message of `len` bytes that explains `difference`, the
/// stored checksum xor the computed one; from the last byte to the first. None for messages above [`BIT_RANGE_MAX`].
pub(crate) fn explanations(len: usize, difference: u32) -> impl Iterator<Item = ByteChange> {
    let in_range = if len > BIT_RANGE_MAX { 0 } else { len };
    let bits_only = len > BYTE_RANGE_MAX;
    let mut register = difference;
    (0..in_range).rev().filter_map(move |at| {
        let pattern = BYTE_OF_TOP[(register >> 24) as usize];
        let undone = register ^ FORWARD[pattern as usize];
        register = (undone << 8) | u32::from(pattern);
        let explains = undone == 0 && pattern != 0 && (!bits_only || pattern.is_power_of_two());
        explains.then_some(ByteChange { at, pattern })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 + i / 7) as u8).collect()
    }

    #[test]
    fn every_changed_byte_of_a_short_message_is_found() {
        let right = message(50);
        for at in 0..right.len() {
            for pattern in 1..=255 {
                let mut wrong = right.clone();
                wrong[at] ^= pattern;
                let difference = crc32c::crc32c(&right) ^ crc32c::crc32c(&wrong);
                let found: Vec<_> = explanations(right.len(), difference).collect();
                assert_eq!(found, [ByteChange { at, pattern }]);
            }
        }
    }

    #[test]
    fn two_changed_bytes_of_a_short_message_are_not_explained() {
        let right = message(50);
        let mut wrong = right.clone();
        wrong[3] ^= 1;
        wrong[40] ^= 1;
        assert_eq!(explanations(50, crc32c::crc32c(&right) ^ crc32c::crc32c(&wrong)).count(), 0);
    }

    #[test]
    fn beyond_64_kib_only_single_bits_are_sought_and_beyond_2_mib_nothing() {
        for (len, pattern, expected) in [
            (BYTE_RANGE_MAX, 0xff, true),
            (BYTE_RANGE_MAX + 1, 0x10, true),
            (BYTE_RANGE_MAX + 1, 0xff, false),
            (BIT_RANGE_MAX, 0x10, true),
            (BIT_RANGE_MAX + 1, 0x10, false),
        ] {
            let right = message(len);
            let mut wrong = right.clone();
            wrong[5] ^= pattern;
            let difference = crc32c::crc32c(&right) ^ crc32c::crc32c(&wrong);
            let found = explanations(len, difference).any(|change| change == ByteChange { at: 5, pattern });
            assert_eq!(found, expected, "{len} bytes, pattern {pattern:#x}");
        }
    }
}
