//! The checksum of a record, crc32c.
//!
//! The crate `crc32c` works on three parts of a long input at once. Of a short one it makes the same steps as here, and what it does before and after
//! them costs more instructions than the checksum of a record of a hundred bytes.
#![expect(unsafe_code, reason = "an instruction that not every processor has")]

/// Up to here nothing is done in parts.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const SHORT_BYTES_MAX: usize = 3 * 256 - 1;

#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if bytes.len() <= SHORT_BYTES_MAX && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instructions.
        return unsafe { of_short(bytes) };
    }
    ::crc32c::crc32c(bytes)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse4.2")]
fn of_short(bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};
    let (words, mut rest) = bytes.as_chunks::<8>();
    let mut crc = u64::from(u32::MAX);
    for word in words {
        crc = _mm_crc32_u64(crc, u64::from_le_bytes(*word));
    }
    let mut crc = crc as u32;
    if let Some((four, tail)) = rest.split_first_chunk() {
        (crc, rest) = (_mm_crc32_u32(crc, u32::from_le_bytes(*four)), tail);
    }
    if let Some((two, tail)) = rest.split_first_chunk() {
        (crc, rest) = (_mm_crc32_u16(crc, u16::from_le_bytes(*two)), tail);
    }
    if let [last] = rest {
        crc = _mm_crc32_u8(crc, *last);
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_checksum_is_that_of_the_crate_at_every_length_and_place() {
        let bytes: Vec<u8> = (0..2000_u32).map(|number| (number * number / 7) as u8).collect();
        for begin in 0..9 {
            for end in begin..bytes.len() {
                let some = &bytes[begin..end];
                assert_eq!(super::crc32c(some), ::crc32c::crc32c(some), "{begin}..{end}");
            }
        }
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283, "the check value of the algorithm");
    }
}
