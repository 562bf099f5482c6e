//! Approximate set filters: built from key hashes, answered from bytes that came off a disk.
//!
//! This crate never sees a key after it was hashed, touches no file, and keeps no checksum: the file that holds a filter has one.
//!
//! The trait is [`Filter`]; [`FilterSet`] is a family of filters told apart by the id that a file names.
//!
//! # Example
//!
//! ```
//! use terrace_bloom::{BlockedBloom, Filter, KeyHash};
//!
//! let hashes: Vec<KeyHash> = (0..1000_u32).map(|key| KeyHash::of(&key.to_be_bytes())).collect();
//! let stored = BlockedBloom::build(&hashes, 10.0);
//!
//! let filter = BlockedBloom::open(&stored)?;
//! assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
//! let wrong = (1000..11_000_u32).filter(|key| filter.may_contain(KeyHash::of(&key.to_be_bytes()))).count();
//! assert!(wrong < 200, "about one in a hundred, and not {wrong} in ten thousand");
//! # Ok::<(), terrace_bloom::FilterError>(())
//! ```
//!
//! # Which one
//!
//! False positives by theory, in percent, at the probes that each takes:
//!
//! | bits per key | 6 | 8 | 10 | 12 | 14 | 16 | 20 | 24 |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `BlockedBloom` | 5.75 | 2.31 | 0.96 | 0.41 | 0.18 | 0.083 | 0.02 | 0.0051 |
//! | `StandardBloom` | 5.61 | 2.16 | 0.82 | 0.31 | 0.12 | 0.046 | 0.0067 | 0.00098 |
//!
//! `BlockedBloom` reads one cache line for a query and opens in place: take it, unless you want rates below some 0.1 %, where a
//! standard filter gets there with fewer bits, or memory is dearer to you than time.
//!
//! # A filter of your own
//!
//! Implement [`Filter`], with an id from 128 on, and run the suite of the feature `testing` on it:
//!
//! ```
//! use terrace_bloom::{Filter, FilterError, FilterId, KeyHash, testing};
//!
//! /// Keeps every hash. Right, and some six times larger than it need be.
//! struct Exact;
//!
//! impl Filter for Exact {
//!     const NAME: &'static str = "exact";
//!     const ID: FilterId = FilterId(200);
//!     type Reader<B: AsRef<[u8]>> = B;
//!
//!     fn stored_bytes(keys: usize, _bits_per_key: f64) -> usize {
//!         8 * keys
//!     }
//!
//!     fn build_into(hashes: &[KeyHash], _bits_per_key: f64, stored: &mut [u8]) {
//!         let mut sorted = hashes.to_vec();
//!         sorted.sort_unstable();
//!         for (bytes, hash) in stored.chunks_exact_mut(8).zip(sorted) {
//!             bytes.copy_from_slice(&hash.0.to_be_bytes());
//!         }
//!     }
//!
//!     fn open<B: AsRef<[u8]>>(bytes: B) -> Result<B, FilterError> {
//!         if bytes.as_ref().len() % 8 == 0 {
//!             Ok(bytes)
//!         } else {
//!             Err(FilterError::Damaged { filter: Self::NAME, what: "not whole hashes" })
//!         }
//!     }
//!
//!     fn may_contain<B: AsRef<[u8]>>(reader: &B, hash: KeyHash) -> bool {
//!         let (hashes, _) = reader.as_ref().as_chunks::<8>();
//!         hashes.binary_search(&hash.0.to_be_bytes()).is_ok()
//!     }
//! }
//!
//! testing::check_filter::<Exact>(1);
//! testing::check_false_positive_rate::<Exact>(1000, 64.0, 10_000, 0.0, 1);
//! ```
//!
//! A table that is to carry it takes a [`FilterSet`] of yours, which answers for your id and hands the others on to
//! [`StockFilters`].
//!
//! # Features
//!
//! `blocked` and `standard` (both on by default): one for each implementation; without either the crate is the trait and its words, and
//! [`StockFilters`] knows no kind. `testing`: the conformance suite, in the module `testing`.
//!
//! # Papers and format
//!
//! * B. H. Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", CACM 13(7), 1970.
//! * A. Kirsch, M. Mitzenmacher, "Less Hashing, Same Performance: Building a Better Bloom Filter", RSA 33(2), 2008.
//! * F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", WEA 2007.
//!
//! The stored forms are written down in FORMAT.md beside this crate's manifest.
#![forbid(unsafe_code)]

#[cfg(feature = "blocked")]
mod blocked;
#[cfg(any(feature = "standard", feature = "blocked"))]
mod footer;
mod hash;
mod set;
#[cfg(feature = "standard")]
mod standard;
#[cfg(feature = "testing")]
pub mod testing;

use core::fmt;

#[cfg(feature = "blocked")]
pub use blocked::{BlockedBloom, BlockedReader};
pub use hash::KeyHash;
pub use set::{FilterSet, StockFilterReader, StockFilters};
#[cfg(feature = "standard")]
pub use standard::{StandardBloom, StandardReader};

/// What names a filter's stored form in a file: chosen once, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilterId(
    /// Below 128: this project's. From 128 on: yours.
    pub u8,
);

/// A filter's bytes can not be what its builder wrote, or its kind is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The bytes have an impossible length or footer.
    Damaged {
        /// Which filter.
        filter: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The kind is not compiled in; names the feature that would do it where it is one of ours.
    Unknown {
        /// The kind found in the file.
        id: FilterId,
        /// The feature to turn on.
        feature: Option<&'static str>,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Damaged { filter, what } => write!(f, "damaged {filter} filter: {what}"),
            FilterError::Unknown { id, feature: None } => write!(f, "filter kind {} is not known here", id.0),
            FilterError::Unknown { id, feature: Some(feature) } => {
                write!(f, "filter kind {} is not compiled in (feature `{feature}` of terrace-bloom)", id.0)
            }
        }
    }
}

impl core::error::Error for FilterError {}

/// A kind of filter: builds a set's stored form, and answers from it.
///
/// # Laws for implementers
///
/// 1. No false negative: for every hash given to `build`, `may_contain` is true, on any machine, for ever. The stored form is a
///    format: endianness, seeds and layout are fixed by `ID`.
/// 2. `open` refuses bytes that `build` could not have written, and allocates no more than their length; after it succeeded
///    `may_contain` can not panic. It counts on no alignment of the bytes.
/// 3. An empty set is `build`'s business too: its filter answers false or true, and never fails.
/// 4. `build` is a function of its arguments: the same hashes give the same bytes.
///
/// # Cost
///
/// With n keys: `build` O(n), some `n * bits_per_key / 8` bytes, in memory that the caller may give; `may_contain` O(1) without allocation.
pub trait Filter: Send + Sync + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// What names its stored form in a file.
    const ID: FilterId;

    /// A filter opened over bytes: borrowed, shared or owned.
    type Reader<B: AsRef<[u8]>>;

    /// How many bytes the stored form of a filter over so many hashes takes, at `bits_per_key` bits for each (clamped to what the kind can do).
    fn stored_bytes(keys: usize, bits_per_key: f64) -> usize;

    /// Makes the stored form of a filter over `hashes` in `stored`: [`Filter::stored_bytes`] zeros, in memory of the caller's choice, since a filter of a million
    /// keys has megabytes.
    ///
    /// # Panics
    ///
    /// May, when `stored` has another length.
    fn build_into(hashes: &[KeyHash], bits_per_key: f64, stored: &mut [u8]);

    /// The stored form of a filter over `hashes`, as [`Filter::build_into`] makes it.
    #[must_use]
    fn build(hashes: &[KeyHash], bits_per_key: f64) -> Vec<u8> {
        let mut stored = vec![0; Self::stored_bytes(hashes.len(), bits_per_key)];
        Self::build_into(hashes, bits_per_key, &mut stored);
        stored
    }

    /// Opens a stored filter.
    ///
    /// # Errors
    ///
    /// [`FilterError::Damaged`] when `build` can not have written these bytes. They are dropped.
    fn open<B: AsRef<[u8]>>(bytes: B) -> Result<Self::Reader<B>, FilterError>;

    /// Whether the set may hold a key of this hash.
    fn may_contain<B: AsRef<[u8]>>(reader: &Self::Reader<B>, hash: KeyHash) -> bool;

    /// The bytes that [`Filter::may_contain`] will read for this hash, if they are known before any is read, so that a caller can ask the processor for
    /// them early. The provided method says that they are not.
    #[inline]
    fn will_read<B: AsRef<[u8]>>(reader: &Self::Reader<B>, hash: KeyHash) -> Option<&[u8]> {
        let _ = (reader, hash);
        None
    }
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
