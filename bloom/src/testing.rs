//! The conformance suite for [`Filter`]: run it on your implementation from an integration test.
//!
//! ```
//! use terrace_bloom::{BlockedBloom, testing};
//!
//! // No false negatives at any size, and damaged bytes never panic.
//! testing::check_filter::<BlockedBloom>(7);
//! // Ten bits per key give fewer than 1.1 % false positives.
//! testing::check_false_positive_rate::<BlockedBloom>(20_000, 10.0, 200_000, 0.011, 7);
//! ```
//!
//! What the false positive rate should be is a matter of theory, and the formulas for the two stock filters are here too:
//! [`standard_rate`] and [`blocked_rate`].

// Without a filter there are no bytes that it could read.
#[cfg(any(feature = "standard", feature = "blocked"))]
mod any_bytes;

#[cfg(any(feature = "standard", feature = "blocked"))]
pub use any_bytes::{check_filter_bytes, filter_seeds};

use crate::{Filter, FilterError, KeyHash};

/// A stored filter kept from an earlier build, and the answers that it gave. Law 1 says that it gives them for ever.
#[derive(Clone, Copy, Debug)]
pub struct Golden<'a> {
    /// The stored bytes.
    pub bytes: &'a [u8],
    /// Hashes that are in the set.
    pub present: &'a [KeyHash],
    /// Hashes that were answered with false.
    pub absent: &'a [KeyHash],
}

/// Checks all laws that need no figures from you; everything is drawn from `seed`.
///
/// Sets of 0, 1, 2, 10, 1000 and 100 000 keys at odd and ordinary bits per key, and damage to the stored form of small ones.
/// In a debug build it takes about a second.
///
/// # Panics
///
/// With the law broken, the size and the bits per key, at the first fault.
pub fn check_filter<F: Filter>(seed: u64) {
    for keys in [0, 1, 2, 10, 1000] {
        for bits_per_key in [f64::NAN, f64::NEG_INFINITY, 0.0, 0.3, 1.0, 7.5, 10.0, 16.0, 30.0, 1e300] {
            check_no_false_negative::<F>(keys, bits_per_key, seed);
        }
        for bits_per_key in [1.0, 10.0, 24.0] {
            check_damage::<F>(keys.min(200), bits_per_key, seed);
        }
    }
    check_no_false_negative::<F>(100_000, 10.0, seed);
}

/// Checks law 1 for one set: every key of it is found, whether the bytes are borrowed, owned, or at an odd address.
///
/// # Panics
///
/// When a key is not found, when `open` refuses what `build` made, or when a build is not a function of its input.
pub fn check_no_false_negative<F: Filter>(keys: usize, bits_per_key: f64, seed: u64) {
    let context = || format!("{} with {keys} keys at {bits_per_key} bits per key", F::NAME);
    let hashes: Vec<KeyHash> = hashes(seed).take(keys).collect();
    let stored = F::build(&hashes, bits_per_key);
    assert_eq!(stored, F::build(&hashes, bits_per_key), "{}: two builds differ", context());

    let refused =
        |error: FilterError| -> ! { panic!("{}: open refuses what build made: {error}", context()) };
    let borrowed = F::open(stored.as_slice()).unwrap_or_else(|error| refused(error));
    // One byte further on: an implementation that counts on the alignment of its bytes fails here.
    let mut shifted = vec![0xff];
    shifted.extend_from_slice(&stored);
    let unaligned = F::open(&shifted[1..]).unwrap_or_else(|error| refused(error));
    let owned = F::open(stored.clone()).unwrap_or_else(|error| refused(error));
    for &hash in &hashes {
        assert!(F::may_contain(&borrowed, hash), "{}: {hash:?} is lost", context());
        assert!(F::may_contain(&unaligned, hash), "{}: {hash:?} is lost at an odd address", context());
        assert!(F::may_contain(&owned, hash), "{}: {hash:?} is lost in owned bytes", context());
    }
}

/// Checks that a stored filter gives the answers that it always gave.
///
/// # Panics
///
/// At the first answer that changed.
pub fn check_golden<F: Filter>(golden: &Golden<'_>) {
    let reader = F::open(golden.bytes).unwrap_or_else(|error| panic!("{}: golden bytes: {error}", F::NAME));
    for &hash in golden.present {
        assert!(F::may_contain(&reader, hash), "{}: {hash:?} of the golden filter is lost", F::NAME);
    }
    for &hash in golden.absent {
        assert!(!F::may_contain(&reader, hash), "{}: {hash:?} was absent from the golden filter", F::NAME);
    }
}

/// Checks law 2 on damage to one stored filter: cut at every length, changed in single bits, replaced by noise.
///
/// `open` may accept bytes that a build could have written (a changed bit of the body is one); what is accepted must
/// answer without a panic.
///
/// # Panics
///
/// When the implementation does, or when it opens no bytes at all.
pub fn check_damage<F: Filter>(keys: usize, bits_per_key: f64, seed: u64) {
    let hashes_in: Vec<KeyHash> = hashes(seed).take(keys).collect();
    let stored = F::build(&hashes_in, bits_per_key);
    for cut in 0..stored.len() {
        check_bytes::<F>(&stored[..cut]);
        check_bytes::<F>(&stored[cut..]);
    }
    // Where counts and lengths are kept every bit is tried; the body between gives the same answer everywhere.
    let edge = 64.min(stored.len());
    for at in (0..edge).chain(stored.len() - edge..stored.len()) {
        for bit in 0..8 {
            let mut damaged = stored.clone();
            damaged[at] ^= 1 << bit;
            check_bytes::<F>(&damaged);
        }
    }
    let mut noise = hashes(seed ^ 1);
    for len in 0..300 {
        let bytes: Vec<u8> = noise.by_ref().take(len).map(|hash| hash.0 as u8).collect();
        check_bytes::<F>(&bytes);
        check_bytes::<F>(&vec![0x00; len]);
        check_bytes::<F>(&vec![0xff; len]);
    }
}

/// Opens any bytes at all, and asks some questions of what was accepted. Returns whether it was.
///
/// # Panics
///
/// When the implementation does.
pub fn check_bytes<F: Filter>(bytes: &[u8]) -> bool {
    let Ok(reader) = F::open(bytes) else { return false };
    for hash in [0, 1, u64::MAX, 1 << 63].map(KeyHash).into_iter().chain(hashes(3).take(16)) {
        let answer = F::may_contain(&reader, hash);
        assert_eq!(answer, F::may_contain(&reader, hash), "{}: two answers to one question", F::NAME);
    }
    true
}

/// The share of `probes` absent keys for which a filter over `keys` keys answers true.
///
/// Keys are hashed with [`KeyHash::of`], as a table does. The standard error of a rate p is `sqrt(p / probes)`.
///
/// # Panics
///
/// When a key of the set is not found, or when `open` refuses what `build` made.
#[must_use]
pub fn measure_false_positive_rate<F: Filter>(
    keys: usize,
    bits_per_key: f64,
    probes: usize,
    seed: u64,
) -> f64 {
    // A counter in each key makes all of them distinct, so that no probe is a member by chance.
    let hash_of = |number: usize| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(&(number as u64).to_be_bytes());
        KeyHash::of(&key)
    };
    let hashes: Vec<KeyHash> = (0..keys).map(hash_of).collect();
    let stored = F::build(&hashes, bits_per_key);
    let reader = F::open(stored).unwrap_or_else(|error| panic!("{}: {error}", F::NAME));
    for (number, &hash) in hashes.iter().enumerate() {
        assert!(F::may_contain(&reader, hash), "{}: key {number} of {keys} is lost", F::NAME);
    }
    let wrong = (keys..keys + probes).filter(|&number| F::may_contain(&reader, hash_of(number))).count();
    wrong as f64 / probes as f64
}

/// Checks that the false positive rate is at most `rate_max`.
///
/// # Panics
///
/// With both rates when it is more; and as [`measure_false_positive_rate`] does.
pub fn check_false_positive_rate<F: Filter>(
    keys: usize,
    bits_per_key: f64,
    probes: usize,
    rate_max: f64,
    seed: u64,
) {
    let rate = measure_false_positive_rate::<F>(keys, bits_per_key, probes, seed);
    assert!(
        rate <= rate_max,
        "{} at {bits_per_key} bits per key: {:.3} % false positives, at most {:.3} % wanted",
        F::NAME,
        rate * 100.0,
        rate_max * 100.0
    );
}

/// The rate of a standard Bloom filter by theory: `(1 - e^(-k / bits_per_key))^k`.
#[must_use]
pub fn standard_rate(bits_per_key: f64, k: u32) -> f64 {
    (1.0 - (-f64::from(k) / bits_per_key).exp()).powi(k as i32)
}

/// The rate of a blocked Bloom filter by theory: the rate of a filter of one line with i keys, `(1 - (1 - 1/s)^(i k))^k` for
/// lines of s bits, weighed by the Poisson probability that a line holds i keys, whose mean is `s / bits_per_key`.
///
/// Putze, Sanders, Singler 2007, equation 3. Sums as many terms as can matter, some `line_bits / bits_per_key` and ten
/// standard deviations more.
#[must_use]
pub fn blocked_rate(bits_per_key: f64, line_bits: u32, k: u32) -> f64 {
    let mean = f64::from(line_bits) / bits_per_key;
    let terms = (mean + 10.0 * mean.sqrt() + 20.0) as i32;
    let bit_stays_zero = 1.0 - 1.0 / f64::from(line_bits);
    // As a logarithm: for long lines the probability of none is less than any float.
    let mut probability_ln = -mean;
    let mut rate = 0.0;
    for keys in 0..terms {
        rate += probability_ln.exp() * (1.0 - bit_stays_zero.powi(keys * k as i32)).powi(k as i32);
        probability_ln += (mean / f64::from(keys + 1)).ln();
    }
    rate
}

/// An endless row of pseudo-random hashes drawn from `seed` (SplitMix64, which never repeats one within 2^64).
pub fn hashes(seed: u64) -> impl Iterator<Item = KeyHash> {
    let mut state = seed;
    core::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        KeyHash(z ^ (z >> 31))
    })
}
