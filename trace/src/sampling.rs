//! Which operations are recorded: all on some keys.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The hash of a key in a trace: XXH3 with 64 bits.
#[inline]
#[must_use]
pub fn key_hash(seed: u64, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// Takes the keys whose hash is at or below a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    limit: u64,
}

impl Default for Sampling {
    /// Every key.
    fn default() -> Self {
        Sampling { limit: u64::MAX }
    }
}

/// The numbers of 64 bits.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

impl Sampling {
    /// So many of all keys, from 0 to 1. A rate above that is 1, one below (or no number) takes next to nothing.
    #[must_use]
    pub fn of_rate(rate: f64) -> Self {
        Sampling { limit: if rate >= 1.0 { u64::MAX } else { (rate * HASHES) as u64 } }
    }

    /// The rule with this limit, as it stands in a file.
    #[must_use]
    pub fn of_limit(limit: u64) -> Self {
        Sampling { limit }
    }

    /// The greatest hash that is taken.
    #[must_use]
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// The share of all keys that is taken.
    #[must_use]
    pub fn rate(self) -> f64 {
        (self.limit as f64 + 1.0) / HASHES
    }

    /// Whether a key with this hash is taken.
    #[inline]
    #[must_use]
    pub fn takes(self, key_hash: u64) -> bool {
        key_hash <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_share_of_keys_taken() {
        for rate in [0.01, 0.25, 0.5, 1.0] {
            let sampling = Sampling::of_rate(rate);
            assert!((sampling.rate() - rate).abs() < 1e-9);
            let taken =
                (0..100_000_u64).filter(|n| sampling.takes(key_hash(3, &n.to_le_bytes()))).count() as f64;
            assert!((taken / 1e5 - rate).abs() < 0.01, "{rate}: {taken}");
        }
        assert_eq!(Sampling::of_rate(2.0), Sampling::default());
        assert!(Sampling::of_rate(f64::NAN).rate() < 1e-9 && Sampling::of_rate(-1.0).rate() < 1e-9);
    }

    #[test]
    fn the_hash_is_xxh3_for_ever() {
        assert_eq!(key_hash(0, b""), 0x2d06_8005_38d3_94c2);
        assert_ne!(key_hash(1, b"a"), key_hash(2, b"a"));
    }
}
