//! The cursor that walks versions in order, and one over a plain vector.

use bytes::Bytes;
use core::convert::Infallible;

use crate::{InternalKey, Kind, SeqNo};

/// The version that a cursor stands on, borrowed from the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which version of which key.
    pub key: InternalKey<'a>,
    /// Its value; empty for a tombstone.
    pub value: &'a [u8],
}

/// Walks versions in the order of [`InternalKey`], in both directions.
///
/// A cursor stands on a version or nowhere. A new cursor stands nowhere. What it walks over is fixed when it is
/// made, except that a cursor over something still written to (a memtable) may or may not meet versions
/// inserted later; it always meets those inserted before it was made.
///
/// # Laws
///
/// 1. `seek_to_first` stands on the least version, `seek_to_last` on the greatest, nowhere if there is none.
/// 2. `seek(t)` stands on the least version `>= t`; `seek_before(t)` on the greatest version `< t`.
/// 3. `next` and `prev` move by one version; past either end the cursor stands nowhere. From nowhere both do
///    nothing and succeed: a cursor that ran off an end comes back only by a seek.
/// 4. Repeated calls of `current` without a move return the same version.
/// 5. After an `Err` the cursor stands nowhere until a seek succeeds.
/// 6. `begin_seek(t)` and then `finish_seek(t)` are `seek(t)`.
///
/// # Cost
///
/// With `n` versions: a seek O(log n), a step O(1) amortised, `current` O(1) without allocation.
pub trait Cursor {
    /// Why a move can fail; [`Infallible`] for what lives in memory.
    type Error;

    /// Stands on the least version.
    fn seek_to_first(&mut self) -> Result<(), Self::Error>;

    /// Stands on the greatest version.
    fn seek_to_last(&mut self) -> Result<(), Self::Error>;

    /// Stands on the least version at or after `target`.
    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error>;

    /// The first half of a seek: asks for what the second half will wait for, so that sources which are to be merged can wait together. The cursor
    /// stands where it likes until [`Cursor::finish_seek`] is called with the same target, or it is placed anew.
    ///
    /// The provided method does the whole seek.
    ///
    /// # Errors
    ///
    /// As those of a seek.
    #[inline]
    fn begin_seek(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error> {
        self.seek(target)
    }

    /// The second half of a seek; nothing may come between. The provided method does nothing, as nothing is left to do.
    ///
    /// # Errors
    ///
    /// As those of a seek.
    #[inline]
    fn finish_seek(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error> {
        let _ = target;
        Ok(())
    }

    /// Stands on the greatest version before `target`.
    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error>;

    /// Moves to the next greater version.
    fn next(&mut self) -> Result<(), Self::Error>;

    /// Moves to the next smaller version.
    fn prev(&mut self) -> Result<(), Self::Error>;

    /// The version stood on.
    fn current(&self) -> Option<Entry<'_>>;

    /// The current value as owned bytes, sharing storage where the source can; empty when standing nowhere.
    ///
    /// The provided method copies.
    fn value_bytes(&self) -> Bytes {
        self.current().map_or_else(Bytes::new, |entry| Bytes::copy_from_slice(entry.value))
    }
}

/// A version that owns its bytes: user key, sequence number, kind, value.
pub type OwnedVersion = (Vec<u8>, SeqNo, Kind, Vec<u8>);

/// A cursor over versions in a vector: the oracle in tests, and the least example of a [`Cursor`].
#[derive(Clone, Debug)]
pub struct VecCursor {
    versions: Vec<OwnedVersion>,
    at: Option<usize>,
}

impl VecCursor {
    /// A cursor over `versions`, which it sorts.
    #[must_use]
    pub fn new(mut versions: Vec<OwnedVersion>) -> Self {
        versions.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
        VecCursor { versions, at: None }
    }
}

fn key_of(version: &OwnedVersion) -> InternalKey<'_> {
    InternalKey::new(&version.0, version.1, version.2)
}

impl Cursor for VecCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.at = (!self.versions.is_empty()).then_some(0);
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.at = self.versions.len().checked_sub(1);
        Ok(())
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        let at = self.versions.partition_point(|version| key_of(version) < target);
        self.at = (at < self.versions.len()).then_some(at);
        Ok(())
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.at = self.versions.partition_point(|version| key_of(version) < target).checked_sub(1);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Infallible> {
        self.at = self.at.map(|at| at + 1).filter(|&at| at < self.versions.len());
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Infallible> {
        self.at = self.at.and_then(|at| at.checked_sub(1));
        Ok(())
    }

    fn current(&self) -> Option<Entry<'_>> {
        let version = &self.versions[self.at?];
        Some(Entry { key: key_of(version), value: &version.3 })
    }
}
