//! What a search looks for, and how it is compared: eight bytes of the key first, the whole key only on a tie.
//!
//! A *head* is eight bytes of a key from some offset on, as a big-endian number, padded with zeros. Different
//! heads order as their keys do; equal heads say nothing, since a key may end within the padding ("a" and "a\0").

use core::cmp::Ordering;

use terrace_entry::InternalKey;

use crate::arena::Record;

/// Bytes of a key that its head holds.
const HEAD_BYTES: usize = 8;

/// The head of `key` from `skip` on; zero when the key ends before.
#[inline]
pub(crate) fn head_at(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(first) = rest.first_chunk::<HEAD_BYTES>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; HEAD_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(padded)
}

/// A place in the order of versions: a key and a packed trailer.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) user_key: &'a [u8],
    pub(crate) trailer: u64,
}

impl<'a> Target<'a> {
    /// At or before every version.
    pub(crate) const FIRST: Target<'static> = Target { user_key: &[], trailer: u64::MAX };

    #[inline]
    pub(crate) fn of_key(key: InternalKey<'a>) -> Self {
        Target { user_key: key.user_key, trailer: key.trailer() }
    }

    #[inline]
    pub(crate) fn of_record(record: Record<'a>) -> Self {
        Target { user_key: record.user_key(), trailer: record.trailer() }
    }

    /// How `record` stands to this place, when both keys agree on their first `skip` bytes and on the head from
    /// there.
    ///
    /// Then what follows the heads decides; if that is equal too, one key is the other plus zeros within the
    /// head, and the shorter is the lesser; then the newer version is the lesser.
    #[inline]
    pub(crate) fn order_of_tied(&self, record: Record<'_>, skip: usize) -> Ordering {
        let theirs = record.user_key();
        let behind_head = skip.saturating_add(HEAD_BYTES);
        let their_tail = theirs.get(behind_head..).unwrap_or_default();
        let our_tail = self.user_key.get(behind_head..).unwrap_or_default();
        their_tail
            .cmp(our_tail)
            .then_with(|| theirs.len().cmp(&self.user_key.len()))
            .then_with(|| self.trailer.cmp(&record.trailer()))
    }
}
