//! The one hash of a key that all filters share.

use xxhash_rust::xxh3::xxh3_64;

/// The hash of a key: XXH3 with 64 bits and seed 0, part of every stored filter format. Made once per look-up and given to
/// every filter asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(
    /// The 64 bits.
    pub u64,
);

impl KeyHash {
    /// Hashes a key.
    #[inline]
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        KeyHash(xxh3_64(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored filters depend on these values; a change of hash is a change of format.
    #[test]
    fn hash_is_xxh3_with_seed_zero_for_ever() {
        assert_eq!(KeyHash::of(b"").0, 0x2d06_8005_38d3_94c2);
        assert_ne!(KeyHash::of(b"a"), KeyHash::of(b"b"));
    }
}
