//! Values of a memtable, lent, or handed out without a copy.
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

/// A version found in a memtable.
pub(crate) struct InMemTable<'t, M> {
    table: &'t Arc<M>,
    found: terrace_memtable::Found<'t>,
}

/// The newest version of `user_key` in `table` at or below `seqno`.
#[inline]
pub(crate) fn get<'t, M: MemTable>(
    table: &'t Arc<M>,
    user_key: &[u8],
    seqno: SeqNo,
) -> Option<InMemTable<'t, M>> {
    table.get(user_key, seqno).map(|found| InMemTable { table, found })
}

impl<M: MemTable> InMemTable<'_, M> {
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.found.kind
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.found.value
    }

    /// The value to keep: a share of the memtable when it is long, else a copy.
    #[inline]
    pub(crate) fn to_bytes(&self) -> Bytes {
        let value = self.found.value;
        if value.len() < SHARE_BYTES_MIN {
            return Bytes::copy_from_slice(value);
        }
        // The value was borrowed from what the table is, of which this holds a share.
        Bytes::from_owner(Pinned { value: std::ptr::from_ref(value), _owner: Arc::clone(self.table) })
    }
}
