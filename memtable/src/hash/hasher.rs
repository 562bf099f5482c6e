//! The hash of a key: multiply 64 by 64 bits, and fold the halves of the product into each other.
//!
//! The scheme of wyhash (Wang Yi, public domain): 16 bytes a round, the last 16 read so that they may overlap those
//! before. It never leaves the process, so it may change at any time; it is the same in every run, so that what a
//! test does once it does again. It is no defence against somebody who chooses keys so that they collide: those
//! make a chain as long as a list.

const ODD_A: u64 = 0xa076_1d64_78bd_642f;
const ODD_B: u64 = 0xe703_7ed1_a0b4_28db;
const ODD_C: u64 = 0x8ebc_6af0_9c88_c6e3;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn first_8(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[inline]
fn last_8(bytes: &[u8]) -> u64 {
    bytes.last_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Fewer than eight bytes as one number; with the length, no two sequences give the same.
#[inline]
fn few(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// 64 bits of which each depends on every byte of the key.
#[inline]
pub(super) fn hash_of(key: &[u8]) -> u64 {
    let mut state = ODD_A ^ key.len() as u64;
    let mut rest = key;
    while rest.len() > 16 {
        state = fold(first_8(rest) ^ ODD_B, first_8(&rest[8..]) ^ state);
        rest = &rest[16..];
    }
    let (low, high) = if rest.len() >= 8 { (first_8(rest), last_8(rest)) } else { (few(rest), 0) };
    fold(fold(low ^ ODD_B, high ^ state), ODD_C ^ state)
}

#[cfg(test)]
mod tests {
    use super::hash_of;
    use std::collections::HashSet;

    #[test]
    fn each_byte_and_the_length_count() {
        for len in 0..70_usize {
            let key = vec![7; len];
            let hash = hash_of(&key);
            assert_ne!(hash, hash_of(&vec![7; len + 1]), "one byte more than {len}");
            for at in 0..len {
                let mut other = key.clone();
                other[at] ^= 1;
                assert_ne!(hash, hash_of(&other), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn numbers_in_any_spelling_spread_over_all_bits() {
        let spellings: [fn(u64) -> Vec<u8>; 3] = [
            |number| number.to_be_bytes().to_vec(),
            |number| format!("{number:016}").into_bytes(),
            |number| format!("user{number}").into_bytes(),
        ];
        for spell in spellings {
            for shift in [0, 16, 32, 48] {
                let seen: HashSet<u64> =
                    (0..65_536).map(|number| hash_of(&spell(number)) >> shift & 0xffff).collect();
                // Of 65,536 random draws from as many, 63 % are distinct.
                assert!((40_500..42_400).contains(&seen.len()), "{} distinct at {shift}", seen.len());
            }
        }
    }
}
