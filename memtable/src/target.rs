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
    #[cfg(feature = "btree")]
    pub(crate) const FIRST: Target<'static> = Target { user_key: &[], trailer: u64::MAX };

    #[inline]
    pub(crate) fn of_key(key: InternalKey<'a>) -> Self {
        Target { user_key: key.user_key, trailer: key.trailer() }
    }

    #[inline]
    pub(crate) fn of_record(record: Record<'a>) -> Self {
        Target { user_key: record.user_key(), trailer: record.trailer() }
    }

    /// Whether this place is before `record`.
    #[cfg(feature = "hash")]
    #[inline]
    pub(crate) fn is_before(&self, record: Record<'_>) -> bool {
        let heads = head_at(record.user_key(), 0).cmp(&head_at(self.user_key, 0));
        heads.then_with(|| self.order_of_tied(record, 0)).is_gt()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use terrace_entry::{Kind, SeqNo};

    #[test]
    fn a_head_is_the_bytes_from_skip_on_padded_with_zeros() {
        assert_eq!(head_at(b"", 0), 0);
        assert_eq!(head_at(b"\x01", 0), 0x0100_0000_0000_0000);
        assert_eq!(head_at(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", 0), 0x0102_0304_0506_0708);
        assert_eq!(head_at(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", 1), 0x0203_0405_0607_0809);
        assert_eq!(head_at(b"abc", 3), 0);
        assert_eq!(head_at(b"abc", usize::MAX), 0);
    }

    #[test]
    fn heads_and_ties_together_order_as_keys_do() {
        let keys: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a\0\0\0\0\0\0\0",
            b"a\0\0\0\0\0\0\0\0",
            b"a\0b",
            b"abcdefghi",
        ];
        for (place, ours) in keys.iter().enumerate() {
            for (other_place, theirs) in keys.iter().enumerate() {
                for skip in [0, 1] {
                    // With a skip, both keys must agree up to there, as they do between a node's fences.
                    if skip == 1 && (ours.first() != theirs.first() || ours.is_empty()) {
                        continue;
                    }
                    let arena = Arena::new(0);
                    let (_, pointer) =
                        arena.add_record(0, InternalKey::new(theirs, SeqNo::new(5), Kind::Put), b"");
                    let record = crate::arena::borrow_for_test(&arena, pointer);
                    let target = Target::of_key(InternalKey::new(ours, SeqNo::new(5), Kind::Put));
                    let heads = head_at(theirs, skip).cmp(&head_at(ours, skip));
                    let order = heads.then_with(|| target.order_of_tied(record, skip));
                    assert_eq!(order, other_place.cmp(&place), "{theirs:?} against {ours:?} from {skip} on");
                }
            }
        }
    }

    #[test]
    fn of_one_key_the_newer_version_is_the_lesser() {
        let arena = Arena::new(0);
        let (_, pointer) = arena.add_record(0, InternalKey::new(b"k", SeqNo::new(5), Kind::Put), b"");
        let record = crate::arena::borrow_for_test(&arena, pointer);
        let order_to = |seqno, kind| {
            Target::of_key(InternalKey::new(b"k", SeqNo::new(seqno), kind)).order_of_tied(record, 0)
        };
        assert_eq!(order_to(4, Kind::Put), Ordering::Less);
        assert_eq!(order_to(5, Kind::Put), Ordering::Equal);
        assert_eq!(order_to(5, Kind::Delete), Ordering::Less);
        assert_eq!(order_to(6, Kind::Put), Ordering::Greater);
    }
}
