//! Which filter kinds a table format understands: dispatch by the id found in a file.

use core::fmt::Debug;

#[cfg(any(feature = "standard", feature = "blocked"))]
use crate::Filter;
use crate::{FilterError, FilterId, KeyHash};

/// The family of filters that a table may carry: builds by id, and opens whatever id a file names.
///
/// [`StockFilters`] knows this crate's. To bring a filter of your own, write a set that handles its id and hands the rest on
/// to [`StockFilters`]; dispatch is then a match and not a virtual call.
pub trait FilterSet: Send + Sync + 'static {
    /// An opened filter of any kind of the family.
    type Reader<B: AsRef<[u8]>>;

    /// See [`crate::Filter::stored_bytes`], for kind `id`.
    ///
    /// # Errors
    ///
    /// [`FilterError::Unknown`] for a kind that is not of this family.
    fn stored_bytes(id: FilterId, keys: usize, bits_per_key: f64) -> Result<usize, FilterError>;

    /// See [`crate::Filter::build_into`], for kind `id`.
    ///
    /// # Errors
    ///
    /// [`FilterError::Unknown`] for a kind that is not of this family.
    fn build_into(
        id: FilterId,
        hashes: &[KeyHash],
        bits_per_key: f64,
        stored: &mut [u8],
    ) -> Result<(), FilterError>;

    /// The stored form of kind `id`, as [`FilterSet::build_into`] makes it.
    ///
    /// # Errors
    ///
    /// [`FilterError::Unknown`] for a kind that is not of this family.
    fn build(id: FilterId, hashes: &[KeyHash], bits_per_key: f64) -> Result<Vec<u8>, FilterError> {
        let mut stored = vec![0; Self::stored_bytes(id, hashes.len(), bits_per_key)?];
        Self::build_into(id, hashes, bits_per_key, &mut stored)?;
        Ok(stored)
    }

    /// Opens a stored filter of kind `id`.
    ///
    /// # Errors
    ///
    /// [`FilterError::Unknown`] for a kind that is not of this family, [`FilterError::Damaged`] for bytes that are no filter.
    fn open<B: AsRef<[u8]>>(id: FilterId, bytes: B) -> Result<Self::Reader<B>, FilterError>;

    /// Whether the set may hold a key of this hash.
    fn may_contain<B: AsRef<[u8]>>(reader: &Self::Reader<B>, hash: KeyHash) -> bool;

    /// See [`crate::Filter::will_read`].
    #[inline]
    fn will_read<B: AsRef<[u8]>>(reader: &Self::Reader<B>, hash: KeyHash) -> Option<&[u8]> {
        let _ = (reader, hash);
        None
    }
}

/// The filters of this crate that are compiled in.
#[derive(Clone, Copy, Debug)]
pub struct StockFilters;

/// An opened filter of [`StockFilters`].
#[non_exhaustive]
pub enum StockFilterReader<B: AsRef<[u8]>> {
    /// A standard Bloom filter.
    #[cfg(feature = "standard")]
    Standard(<crate::StandardBloom as Filter>::Reader<B>),
    /// A cache-line-blocked Bloom filter.
    #[cfg(feature = "blocked")]
    Blocked(<crate::BlockedBloom as Filter>::Reader<B>),
    /// Keeps the parameter in use when no filter is compiled in.
    #[doc(hidden)]
    Never(core::convert::Infallible, core::marker::PhantomData<B>),
}

impl<B: AsRef<[u8]>> Debug for StockFilterReader<B> {
    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            #[cfg(feature = "standard")]
            StockFilterReader::Standard(filter) => filter.fmt(f),
            #[cfg(feature = "blocked")]
            StockFilterReader::Blocked(filter) => filter.fmt(f),
            StockFilterReader::Never(never, _) => match *never {},
        }
    }
}

/// The ids of this crate's filters, known even where the filter is not compiled in.
impl FilterId {
    /// [`crate::StandardBloom`]
    pub const STANDARD: FilterId = FilterId(1);
    /// [`crate::BlockedBloom`]
    pub const BLOCKED: FilterId = FilterId(2);
}

fn unknown(id: FilterId) -> FilterError {
    let feature = match id {
        FilterId::STANDARD => Some("standard"),
        FilterId::BLOCKED => Some("blocked"),
        _ => None,
    };
    FilterError::Unknown { id, feature }
}

impl FilterSet for StockFilters {
    type Reader<B: AsRef<[u8]>> = StockFilterReader<B>;

    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn stored_bytes(id: FilterId, keys: usize, bits_per_key: f64) -> Result<usize, FilterError> {
        match id {
            #[cfg(feature = "standard")]
            FilterId::STANDARD => Ok(crate::StandardBloom::stored_bytes(keys, bits_per_key)),
            #[cfg(feature = "blocked")]
            FilterId::BLOCKED => Ok(crate::BlockedBloom::stored_bytes(keys, bits_per_key)),
            other => Err(unknown(other)),
        }
    }

    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn build_into(
        id: FilterId,
        hashes: &[KeyHash],
        bits_per_key: f64,
        stored: &mut [u8],
    ) -> Result<(), FilterError> {
        match id {
            #[cfg(feature = "standard")]
            FilterId::STANDARD => {
                crate::StandardBloom::build_into(hashes, bits_per_key, stored);
                Ok(())
            }
            #[cfg(feature = "blocked")]
            FilterId::BLOCKED => {
                crate::BlockedBloom::build_into(hashes, bits_per_key, stored);
                Ok(())
            }
            other => Err(unknown(other)),
        }
    }

    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn open<B: AsRef<[u8]>>(id: FilterId, bytes: B) -> Result<StockFilterReader<B>, FilterError> {
        match id {
            #[cfg(feature = "standard")]
            FilterId::STANDARD => crate::StandardBloom::open(bytes).map(StockFilterReader::Standard),
            #[cfg(feature = "blocked")]
            FilterId::BLOCKED => crate::BlockedBloom::open(bytes).map(StockFilterReader::Blocked),
            other => Err(unknown(other)),
        }
    }

    #[inline]
    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn may_contain<B: AsRef<[u8]>>(reader: &StockFilterReader<B>, hash: KeyHash) -> bool {
        match reader {
            #[cfg(feature = "standard")]
            StockFilterReader::Standard(filter) => crate::StandardBloom::may_contain(filter, hash),
            #[cfg(feature = "blocked")]
            StockFilterReader::Blocked(filter) => crate::BlockedBloom::may_contain(filter, hash),
            StockFilterReader::Never(never, _) => match *never {},
        }
    }

    #[inline]
    #[cfg_attr(
        not(any(feature = "standard", feature = "blocked")),
        expect(unused_variables, reason = "no filter is compiled in")
    )]
    fn will_read<B: AsRef<[u8]>>(reader: &StockFilterReader<B>, hash: KeyHash) -> Option<&[u8]> {
        match reader {
            #[cfg(feature = "standard")]
            StockFilterReader::Standard(filter) => crate::StandardBloom::will_read(filter, hash),
            #[cfg(feature = "blocked")]
            StockFilterReader::Blocked(filter) => crate::BlockedBloom::will_read(filter, hash),
            StockFilterReader::Never(never, _) => match *never {},
        }
    }
}
