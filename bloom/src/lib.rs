//! Approximate set filters: built from key hashes, answered from bytes that came off a disk.
//!
//! This crate never sees a key after it was hashed, and touches no file.
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
/// 2. `open` refuses bytes that `build` could not have written; after it succeeded `may_contain` can not panic.
/// 3. An empty set is `build`'s business too: its filter answers false or true, and never fails.
///
/// # Cost
///
/// With n keys: `build` O(n), some `n * bits_per_key / 8` bytes; `may_contain` O(1) without allocation.
pub trait Filter: Send + Sync + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// What names its stored form in a file.
    const ID: FilterId;

    /// A filter opened over bytes: borrowed, shared or owned.
    type Reader<B: AsRef<[u8]>>;

    /// The stored form of a filter over `hashes`, at `bits_per_key` bits for each (clamped to what the kind can do).
    fn build(hashes: &[KeyHash], bits_per_key: f64) -> Vec<u8>;

    /// Opens a stored filter.
    fn open<B: AsRef<[u8]>>(bytes: B) -> Result<Self::Reader<B>, FilterError>;

    /// Whether the set may hold a key of this hash.
    fn may_contain<B: AsRef<[u8]>>(reader: &Self::Reader<B>, hash: KeyHash) -> bool;
}
