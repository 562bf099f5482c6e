//! Values handed out of a memtable without a copy.
#![expect(unsafe_code, reason = "a value borrows from the memtable that it keeps alive")]

use bytes::Bytes;
use std::sync::Arc;
use terrace_entry::{Kind, SeqNo};
use terrace_memtable::MemTable;

/// Below this a copy is cheaper than a share, and does not keep a whole memtable alive for a few bytes.
const SHARE_BYTES_MIN: usize = 1024;

/// A value inside a memtable, and the memtable.
struct Pinned<M> {
    /// Points into what `_owner` owns.
    value: *const [u8],
    _owner: Arc<M>,
}

// SAFETY: the pointer is only read through, by `as_ref`, and what it points to is immutable and owned by an `Arc` of a
// type that is itself `Send` and `Sync`.
unsafe impl<M: Send + Sync> Send for Pinned<M> {}
// SAFETY: as above.
unsafe impl<M: Send + Sync> Sync for Pinned<M> {}

impl<M> AsRef<[u8]> for Pinned<M> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `value` was borrowed from `*_owner`, which lives as long as `self` and is only ever borrowed
        // shared (it is behind an `Arc` of which this is one), so the borrow could have been held all along.
        unsafe { &*self.value }
    }
}

/// The newest version of `user_key` in `table` at or below `seqno`, its value shared when long.
pub(crate) fn get<M: MemTable>(table: &Arc<M>, user_key: &[u8], seqno: SeqNo) -> Option<(Kind, Bytes)> {
    let found = table.get(user_key, seqno)?;
    let value = if found.value.len() < SHARE_BYTES_MIN {
        Bytes::copy_from_slice(found.value)
    } else {
        Bytes::from_owner(Pinned { value: std::ptr::from_ref(found.value), _owner: Arc::clone(table) })
    };
    Some((found.kind, value))
}
