//! Sorted in-memory tables of versions, for many writers and many readers at once.
//!
//! This crate never touches a file or a clock, and never removes a version once inserted.

#[cfg(any(feature = "skiplist", feature = "btree"))]
mod arena;
#[cfg(feature = "btree")]
mod btree;
#[cfg(feature = "skiplist")]
mod skiplist;
#[cfg(any(feature = "skiplist", feature = "btree"))]
mod target;
#[cfg(feature = "testing")]
pub mod testing;

use core::convert::Infallible;
use std::sync::Arc;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};

#[cfg(feature = "btree")]
pub use btree::{BTreeCursor, BTreeMemTable};
#[cfg(feature = "skiplist")]
pub use skiplist::{SkipListCursor, SkipListMemTable};

/// The newest version of a key that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// When it was written.
    pub seqno: SeqNo,
    /// What was written.
    pub kind: Kind,
    /// The value, in the memtable's arena; empty for a tombstone.
    pub value: &'a [u8],
}

/// A sorted in-memory table of versions.
///
/// # Contract
///
/// * Any number of threads may insert and read at once. Readers never wait for a lock and never make a writer wait.
/// * A version whose `insert` returned before a `get`, a seek or a step began is found by it. One inserted meanwhile may or may not
///   be; a cursor never meets versions out of order or twice.
/// * Versions stay at their address until the memtable is dropped, so values are borrowed and not copied.
/// * The caller never inserts one internal key (user key and sequence number) twice.
///
/// # Cost
///
/// With n versions: `insert`, `get` and a seek O(log n), a step O(1) amortised; no allocation from the system per version, only
/// per arena chunk.
///
/// # Laws for implementers
///
/// 1. `get(k, s)` is what a cursor shows after `seek(InternalKey::seek_to(k, s))`, if that has user key `k`; else `None`.
/// 2. `len` counts returned inserts; `memory_bytes` never falls and is at least the bytes of all keys and values.
/// 3. A cursor keeps the memtable alive and obeys the laws of [`Cursor`].
pub trait MemTable: Send + Sync + Sized + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// The ordered cursor; owns a share of the memtable.
    type Cursor: Cursor<Error = Infallible> + Send + 'static;

    /// An empty memtable that expects to hold some `bytes_hint` bytes. Allocates little until the first insert.
    fn new(bytes_hint: usize) -> Self;

    /// Adds a version.
    fn insert(&self, key: InternalKey<'_>, value: &[u8]);

    /// The newest version of `user_key` at or below `seqno`.
    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>>;

    /// A cursor, standing nowhere.
    fn cursor(self: Arc<Self>) -> Self::Cursor;

    /// How many versions it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory taken from the system, in bytes, rounded down to what is in use within its last chunk.
    fn memory_bytes(&self) -> usize;
}
