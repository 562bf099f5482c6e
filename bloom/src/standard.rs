//! A standard Bloom filter, its bits set and read by the `fastbloom` crate, its stored form ours.
//!
//! Source: B. H. Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", CACM 13(7), 1970; positions by
//! double hashing after A. Kirsch, M. Mitzenmacher, "Less Hashing, Same Performance", RSA 33(2), 2008, in `fastbloom`'s variant.
//!
//! How: a [`KeyHash`] goes to `fastbloom` as the hash of an item already hashed (`insert_hash`, `contains_hash`), so that
//! neither its hasher nor its random seed has a part in it. Stored are the bits as little-endian words, and the footer.
//!
//! What is relied on: that `fastbloom` derives the same k positions from the same 64 bits and the same number of words, and
//! counts bits within a word from the least. It promises that to nobody between versions, and a change would not fail but answer
//! "absent" for keys that are there. So the version is pinned exactly in Cargo.toml, the positions are written down in
//! FORMAT.md, and tests hold both stored bytes and an independent reader of that page against it. Should `fastbloom`
//! ever change, its positions are few lines to write here.
//!
//! Departure: k is the whole number nearest to `bits_per_key * ln 2`, as theory has it.
//!
//! Costs: a build is O(n k) with k scattered writes a key; `open` copies the words once, since `fastbloom` owns what it
//! reads; a query reads up to k scattered words, two on average when the key is absent. Nothing is allocated by a query.

use core::f64::consts::LN_2;
use core::fmt;
use core::hash::BuildHasherDefault;
use core::marker::PhantomData;
use std::hash::DefaultHasher;

use crate::footer::{self, FOOTER_BYTES, K_MAX, clamp_bits_per_key, split, units_for};
use crate::{Filter, FilterError, FilterId, KeyHash};

const VERSION: u8 = 1;
const WORD_BYTES: usize = 8;
const WORD_BITS: usize = WORD_BYTES * 8;
/// The most whose k stays within [`K_MAX`].
const BITS_PER_KEY_MAX: f64 = 43.0;

/// The type asks for a hasher, and no call made here uses it; this one takes no room and has no seed.
type Bits = fastbloom::BloomFilter<BuildHasherDefault<DefaultHasher>>;

/// The standard Bloom filter; see the [crate's page](crate) for when to take which.
///
/// Bits per key are clamped to 1 to 43. An empty set has one word of zeros and contains nothing.
#[derive(Clone, Copy, Debug)]
pub struct StandardBloom;

/// A [`StandardBloom`] opened: its bits copied out of the stored bytes, as many bytes as these but for the footer.
///
/// Of `B`, the bytes it was opened from, it keeps nothing but the name.
pub struct StandardReader<B> {
    bits: Bits,
    opened_from: PhantomData<fn() -> B>,
}

impl<B> Clone for StandardReader<B> {
    fn clone(&self) -> Self {
        StandardReader { bits: self.bits.clone(), opened_from: PhantomData }
    }
}

impl<B> fmt::Debug for StandardReader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, k) = (self.bits.num_bits(), self.bits.num_hashes());
        f.debug_struct("StandardReader").field("bits", &bits).field("k", &k).finish()
    }
}

impl<B> StandardReader<B> {
    /// Whether the set may hold a key of this hash. Reads up to k words; allocates nothing.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        self.bits.contains_hash(hash.0)
    }

    /// How many bits are set and read for each key.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.bits.num_hashes()
    }
}

fn words_for(keys: usize, bits_per_key: f64) -> usize {
    units_for(keys, clamp_bits_per_key(bits_per_key, BITS_PER_KEY_MAX), WORD_BITS)
}

fn bits_from(words: Vec<u64>, k: u8) -> Bits {
    fastbloom::BloomFilter::from_vec(words).hasher(BuildHasherDefault::default()).hashes(u32::from(k))
}

impl Filter for StandardBloom {
    const NAME: &'static str = "standard";
    const ID: FilterId = FilterId::STANDARD;

    type Reader<B: AsRef<[u8]>> = StandardReader<B>;

    fn stored_bytes(keys: usize, bits_per_key: f64) -> usize {
        words_for(keys, bits_per_key) * WORD_BYTES + FOOTER_BYTES
    }

    fn build_into(hashes: &[KeyHash], bits_per_key: f64, stored: &mut [u8]) {
        let words = words_for(hashes.len(), bits_per_key);
        let k = ((clamp_bits_per_key(bits_per_key, BITS_PER_KEY_MAX) * LN_2).round() as u8).clamp(1, K_MAX);
        let mut bits = bits_from(vec![0; words], k);
        for hash in hashes {
            bits.insert_hash(hash.0);
        }
        let body = footer::write::<WORD_BYTES>(stored, words, k, VERSION);
        for (bytes, word) in body.iter_mut().zip(bits.as_slice()) {
            *bytes = word.to_le_bytes();
        }
    }

    fn open<B: AsRef<[u8]>>(bytes: B) -> Result<StandardReader<B>, FilterError> {
        let (words, k) = split::<WORD_BYTES>(bytes.as_ref(), Self::NAME, VERSION)?;
        let words = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Ok(StandardReader { bits: bits_from(words, k), opened_from: PhantomData })
    }

    #[inline]
    fn may_contain<B: AsRef<[u8]>>(reader: &StandardReader<B>, hash: KeyHash) -> bool {
        reader.may_contain(hash)
    }
}
