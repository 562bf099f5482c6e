//! Variable-length integers: seven bits a byte, least significant first, the high bit set on all bytes but the last (LEB128).
//!
//! Costs: one byte for what is below 128. Reading takes one load and no loop wherever eight bytes are left to read
//! from, since trailers of four to seven bytes are the rule and a loop over them would be half of an entry's decoding.
//!
//! Invariant: reading never looks past the slice and never accepts more than 64 bits.

/// More bytes than this no number takes.
const BYTES_MAX: usize = 10;

/// Appends `value`.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        put_long(out, value);
    }
}

fn put_long(out: &mut Vec<u8>, value: u64) {
    let (bytes, len) = encode(value);
    out.extend_from_slice(&bytes[..len]);
}

/// The encoding of `value` and how many bytes of it count.
#[inline]
pub(crate) fn encode(mut value: u64) -> ([u8; BYTES_MAX], usize) {
    let mut bytes = [0; BYTES_MAX];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}

/// The encoding of a value below 2^56, least significant byte first, and how many bytes of it count; `None` for a greater value.
#[inline(always)]
pub(crate) fn encode_word(value: u64) -> Option<(u64, usize)> {
    if value < 0x80 {
        return Some((value, 1));
    }
    let len = len(value);
    // All of them but the last say that another follows.
    (len <= 8).then(|| (scatter(value) | 0x8080_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1), len))
}

/// Bytes that `value` takes.
#[inline]
pub(crate) fn len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// The number at `at` and where the next byte is; `None` when the bytes end before it or it has more than 64 bits.
#[inline(always)]
pub(crate) fn take(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let rest = bytes.get(at..)?;
    let &first = rest.first()?;
    if first < 0x80 {
        return Some((u64::from(first), at + 1));
    }
    if let Some(chunk) = rest.first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let taken = ends.trailing_zeros() as usize / 8 + 1;
            return Some((gather(word & (ends ^ (ends - 1))), at + taken));
        }
    }
    take_slowly(rest).map(|(value, taken)| (value, at + taken))
}

/// What follows the number that `bytes` begin with; `None` when they end before it or it has more bytes than a number can.
#[inline(always)]
pub(crate) fn skip(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(chunk) = bytes.first_chunk::<8>() {
        let ends = !u64::from_le_bytes(*chunk) & 0x8080_8080_8080_8080;
        if ends != 0 {
            return bytes.get(ends.trailing_zeros() as usize / 8 + 1..);
        }
    }
    take_slowly(bytes).and_then(|(_, taken)| bytes.get(taken..))
}

/// Squeezes the high bit out of each of eight bytes.
#[inline]
fn gather(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

/// The inverse of [`gather`], for what is below 2^56.
#[inline]
fn scatter(value: u64) -> u64 {
    let fours = (value & 0x0fff_ffff) | (value & 0x00ff_ffff_f000_0000) << 4;
    let pairs = (fours & 0x0000_3fff_0000_3fff) | (fours & 0x0fff_c000_0fff_c000) << 2;
    (pairs & 0x007f_007f_007f_007f) | (pairs & 0x3f80_3f80_3f80_3f80) << 1
}

#[cold]
fn take_slowly(rest: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (number, &byte) in rest.iter().take(BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * number as u32;
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, number + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges() -> impl Iterator<Item = u64> {
        (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX])
    }

    #[test]
    fn every_length_reads_back_with_and_without_bytes_after_it() {
        for value in edges() {
            let mut bytes = vec![0xee];
            put(&mut bytes, value);
            assert_eq!(bytes.len() - 1, len(value), "{value}");
            let word = encode_word(value).map(|(word, len)| word.to_le_bytes()[..len].to_vec());
            assert_eq!(word, (value >> 56 == 0).then(|| bytes[1..].to_vec()), "{value}");
            assert_eq!(take(&bytes, 1), Some((value, bytes.len())));
            assert_eq!(skip(&bytes[1..]), Some(&[][..]));
            let end = bytes.len();
            bytes.extend([0xff; 9]);
            assert_eq!(take(&bytes, 1), Some((value, end)));
            assert_eq!(skip(&bytes[1..]), Some(&[0xff; 9][..]));
        }
    }

    #[test]
    fn cut_short_or_too_large_is_refused() {
        for value in edges() {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            bytes.pop();
            assert_eq!(take(&bytes, 0), None, "{value}");
            assert_eq!(skip(&bytes), None, "{value}");
        }
        assert_eq!(take(&[0xff; 20], 0), None);
        assert_eq!(skip(&[0xff; 20]), None);
        assert_eq!(take(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], 0), None);
        assert_eq!(take(&[], 0), None);
        assert_eq!(take(&[1], 7), None);
    }
}
