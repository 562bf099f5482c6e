//! Sorted in-memory tables of versions, for many writers and many readers at once.
//!
//! The first stage of a log-structured merge tree: what is written goes here, is read from here, and leaves as a
//! sorted run when the table is full. The trait is [`MemTable`]; three implementations of it come with the crate.
//!
//! This crate never touches a file, a clock or a random source, starts no thread, and never removes or changes a
//! version once inserted: a table grows until it is dropped as a whole.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "btree")] {
//! use std::sync::Arc;
//! use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
//! use terrace_memtable::{BTreeMemTable, MemTable};
//!
//! let table = Arc::new(BTreeMemTable::new(64 << 20));
//! table.insert(InternalKey::new(b"k", SeqNo::new(1), Kind::Put), b"old");
//! table.insert(InternalKey::new(b"k", SeqNo::new(2), Kind::Put), b"new");
//! assert_eq!(table.get(b"k", SeqNo::MAX).unwrap().value, b"new");
//! assert_eq!(table.get(b"k", SeqNo::new(1)).unwrap().value, b"old");
//!
//! let mut cursor = table.cursor();
//! cursor.seek_to_first().unwrap();
//! assert_eq!(cursor.current().unwrap().key.seqno, SeqNo::new(2));
//! # }
//! ```
//!
//! # Which one
//!
//! | | `HashMemTable` | `BTreeMemTable` | `SkipListMemTable` |
//! | --- | --- | --- | --- |
//! | writers | lock nothing; wait while a small part of the index grows | lock one node each, two to split | lock nothing |
//! | readers | never retry; seeks wait while others make the order | retry while a node they read is being changed | never retry |
//! | put of 500,000 random keys | 0.4 of the B-tree's time | some third of the skiplist's | the reference |
//! | get | 0.3 of the B-tree's time, O(1) | some third of the skiplist's | the reference |
//! | the first seek after n puts | puts them in order: some 0.2 us each | a search | a search |
//! | other seeks, `next` | as the B-tree | some third of the skiplist's time | the reference |
//! | `prev` | like `next` | like `next` | a search |
//! | memory per version, besides key and value | 32 bytes + some 20, and 17 to 25 once in order | 16 bytes + some 25 | 16 bytes + some 19 |
//!
//! # Your own
//!
//! Implement [`MemTable`] (its laws say all that callers rely on), and run the suite in an integration test:
//!
//! ```
//! # #[cfg(all(feature = "testing", feature = "btree"))] {
//! # type MyTable = terrace_memtable::BTreeMemTable;
//! // In tests/conformance.rs, under #[test]:
//! fn my_table_obeys_the_laws() {
//!     terrace_memtable::testing::check::<MyTable>();
//! }
//! # }
//! ```
//!
//! The trait leaves room for other shapes: a vector that is sorted once for a bulk load, a Bw-tree, an adaptive radix tree.
//!
//! # Features
//!
//! * `skiplist`, `btree`, `hash` (all on by default): one for each implementation. `hash` brings `btree`, which holds its order.
//! * `testing`: the conformance suite, in the module `testing`.
//!
//! # Papers
//!
//! * W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 33(6), 1990.
//! * V. Leis, M. Haubenschild, T. Neumann, "Optimistic lock coupling", IEEE Data Eng. Bull. 42(1), 2019.
//! * Z. Wang et al., "Building a Bw-tree takes more than just buzz words", SIGMOD 2018.
//! * H.-J. Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012.

#[cfg(any(feature = "skiplist", feature = "btree"))]
mod arena;
#[cfg(feature = "btree")]
mod btree;
#[cfg(feature = "hash")]
mod hash;
#[cfg(feature = "skiplist")]
mod skiplist;
#[cfg(any(feature = "skiplist", feature = "btree"))]
mod sync;
#[cfg(any(feature = "skiplist", feature = "btree"))]
mod target;
#[cfg(feature = "testing")]
pub mod testing;

use core::convert::Infallible;
use std::sync::Arc;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};

#[cfg(feature = "btree")]
pub use btree::{BTreeCursor, BTreeMemTable};
#[cfg(feature = "hash")]
pub use hash::{HashCursor, HashMemTable};
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
/// * Any number of threads may insert and read at once. Readers take no lock and never make a writer wait. An
///   implementation may let a reader retry while a writer is in the middle of changing what it reads, or let seeks
///   wait for one another while they make the order that they ask for; it says so.
/// * A version whose `insert` returned before a `get` or a seek began is found by it, or by the steps that follow
///   the seek. One inserted later may or may not be; a cursor never meets versions out of order or twice.
/// * Versions stay at their address until the memtable is dropped, so values are borrowed and not copied.
/// * The caller never inserts one internal key (user key and sequence number) twice. If it does, memory stays sound,
///   and which of the two is found is not specified.
///
/// # Cost
///
/// With n versions: `insert`, `get` and a seek O(log n), a step O(1) amortised (backwards at most O(log n)); no
/// allocation from the system per version, only per arena chunk. An implementation may leave the ordering of what was
/// inserted, O(log n) for each version and once, to the next seek. A `get` may pass all versions of the key that are newer.
///
/// # Laws for implementers
///
/// 1. `get(k, s)` is what a cursor shows after `seek(InternalKey::seek_to(k, s))`, if that has user key `k`; else
///    `None`. It may return a tombstone: what that means is the caller's business.
/// 2. `len` counts returned inserts; `memory_bytes` never falls and is at least the bytes of all keys and values.
/// 3. A cursor keeps the memtable alive and obeys the laws of [`Cursor`].
/// 4. After [`MemTable::freeze`] all is found as before it, by old cursors and new ones.
/// 5. A [`MemTable::successor`] is empty and takes little memory before its first insert; [`MemTable::make_ready`] changes nothing that can be seen.
/// 6. What [`Cursor::value_bytes`] returns may outlive cursor and memtable; if it shares the memtable's memory it
///    keeps that alive.
pub trait MemTable: Send + Sync + Sized + 'static {
    /// The name used on command lines and in reports.
    const NAME: &'static str;

    /// The ordered cursor; owns a share of the memtable.
    type Cursor: Cursor<Error = Infallible> + Send + 'static;

    /// An empty memtable that expects to hold some `bytes_hint` bytes. Allocates little until the first insert.
    ///
    /// The hint is no limit: more may be inserted. It decides the size of what is taken from the system at a time.
    fn new(bytes_hint: usize) -> Self;

    /// An empty memtable to go on where this one was sealed. An implementation may expect that what comes will be like what is here, and take
    /// memory for it at its first inserts. The provided method goes by the hint alone.
    fn successor(&self, bytes_hint: usize) -> Self {
        Self::new(bytes_hint)
    }

    /// Adds a version. Once this returns, every thread finds it.
    ///
    /// # Panics
    ///
    /// May panic when the key or the value has 4 GiB or more; then nothing was inserted. Running out of memory ends
    /// the process, as it does for a `Vec`.
    fn insert(&self, key: InternalKey<'_>, value: &[u8]);

    /// The newest version of `user_key` at or below `seqno`, be it a value or a tombstone.
    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>>;

    /// A cursor, standing nowhere.
    fn cursor(self: Arc<Self>) -> Self::Cursor;

    /// Says that every insert has returned and none will come, so that an implementation may keep an order that is smaller, or quicker to make. Reads go
    /// on meanwhile. The provided method does nothing.
    fn freeze(&self) {}

    /// Takes memory from the system that inserts will soon need, so that none of them waits for it. For a thread that nobody waits for, while others insert, every
    /// megabyte or so. The provided method does nothing.
    fn make_ready(&self) {}

    /// How many versions it holds. While others insert, a number that was right at some moment.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory taken from the system, in bytes, rounded down to what is in use within its last chunk.
    fn memory_bytes(&self) -> usize;
}

#[cfg(all(doctest, feature = "btree"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
