//! Internal keys: a user key, the sequence number of the write, and what the write did.

use core::cmp::Ordering;
use core::fmt;

/// Bytes of a packed trailer: 56 bits of sequence number and 8 bits of kind.
pub const TRAILER_BYTES: usize = 8;

/// The position of a write in the order of all writes of a database; 56 bits.
///
/// Greater is newer. Zero stands for "older than every snapshot": compaction may write it into a bottommost
/// table, where nothing needs the exact number any more.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(u64);

impl SeqNo {
    /// Older than or equal to every other.
    pub const ZERO: SeqNo = SeqNo(0);
    /// The greatest sequence number; a look-up at `MAX` sees everything.
    pub const MAX: SeqNo = SeqNo((1 << 56) - 1);

    /// A sequence number.
    ///
    /// # Panics
    ///
    /// When `value` exceeds 56 bits: numbers are handed out by one counter that refuses to pass [`SeqNo::MAX`].
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        assert!(value <= Self::MAX.0, "a sequence number has 56 bits");
        SeqNo(value)
    }

    /// A sequence number, or `None` above 56 bits. For numbers that come off a disk.
    #[inline]
    #[must_use]
    pub const fn checked(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(SeqNo(value)) } else { None }
    }

    /// The number itself.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a write did to its key. The numbers are part of every stored format and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The key has no value from this sequence number on (a point tombstone).
    Delete = 0,
    /// The key has this value.
    Put = 1,
}

/// A kind byte that this version of the crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind(
    /// The byte that was read.
    pub u8,
);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown entry kind {}", self.0)
    }
}

impl core::error::Error for UnknownKind {}

impl TryFrom<u8> for Kind {
    type Error = UnknownKind;

    #[inline]
    fn try_from(byte: u8) -> Result<Self, UnknownKind> {
        match byte {
            0 => Ok(Kind::Delete),
            1 => Ok(Kind::Put),
            other => Err(UnknownKind(other)),
        }
    }
}

/// A version of a key: borrowed user key, sequence number, kind.
///
/// Ordered by user key ascending, then sequence number descending, then kind descending, so that
/// [`InternalKey::seek_to`] stands at or before every version that a reader at that sequence number may see.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InternalKey<'a> {
    /// The caller's key.
    pub user_key: &'a [u8],
    /// When it was written.
    pub seqno: SeqNo,
    /// What was written.
    pub kind: Kind,
}

impl<'a> InternalKey<'a> {
    /// A key from its three fields.
    #[inline]
    #[must_use]
    pub const fn new(user_key: &'a [u8], seqno: SeqNo, kind: Kind) -> Self {
        InternalKey { user_key, seqno, kind }
    }

    /// The target to seek to for the newest version of `user_key` at or below `seqno`.
    #[inline]
    #[must_use]
    pub const fn seek_to(user_key: &'a [u8], seqno: SeqNo) -> Self {
        InternalKey { user_key, seqno, kind: Kind::Put }
    }

    /// Sequence number and kind in one integer, newest greatest: `seqno << 8 | kind`.
    #[inline]
    #[must_use]
    pub const fn trailer(self) -> u64 {
        self.seqno.0 << 8 | self.kind as u64
    }

    /// The inverse of [`InternalKey::trailer`], for a trailer read from a disk.
    ///
    /// # Errors
    ///
    /// [`UnknownKind`] when the low byte is no kind.
    #[inline]
    pub fn from_trailer(user_key: &'a [u8], trailer: u64) -> Result<Self, UnknownKind> {
        let kind = Kind::try_from(trailer as u8)?;
        Ok(InternalKey { user_key, seqno: SeqNo(trailer >> 8), kind })
    }
}

impl Ord for InternalKey<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match self.user_key.cmp(other.user_key) {
            Ordering::Equal => other.trailer().cmp(&self.trailer()),
            unequal => unequal,
        }
    }
}

impl PartialOrd for InternalKey<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for InternalKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"{:?}{:?}", self.user_key.escape_ascii(), self.seqno, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_sort_before_older_ones() {
        let newer = InternalKey::new(b"k", SeqNo::new(9), Kind::Delete);
        let older = InternalKey::new(b"k", SeqNo::new(8), Kind::Put);
        assert!(newer < older);
        assert!(InternalKey::new(b"j", SeqNo::ZERO, Kind::Put) < newer);
    }

    #[test]
    fn seek_target_stands_before_everything_it_may_see() {
        for kind in [Kind::Put, Kind::Delete] {
            let seen = InternalKey::new(b"k", SeqNo::new(5), kind);
            assert!(InternalKey::seek_to(b"k", SeqNo::new(5)) <= seen);
            assert!(InternalKey::seek_to(b"k", SeqNo::new(4)) > seen);
        }
    }

    #[test]
    fn trailer_round_trips_and_refuses_unknown_kinds() {
        let key = InternalKey::new(b"k", SeqNo::MAX, Kind::Put);
        assert_eq!(InternalKey::from_trailer(b"k", key.trailer()), Ok(key));
        assert_eq!(InternalKey::from_trailer(b"k", 0x1_07), Err(UnknownKind(7)));
    }
}
