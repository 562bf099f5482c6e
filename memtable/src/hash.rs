//! A hash index over an arena, with the order made when somebody asks for it.
//!
//! # Algorithm
//!
//! A version is copied to the arena, and its address goes to two places: into a hash index, where a look-up finds it with two
//! cache misses, and on a stack of versions that wait for their place in the order. When a cursor is placed, whoever
//! places it first moves all that wait, sorted, to a B+tree (that of `btree.rs`), and the cursor walks that. So puts and
//! gets pay nothing for order; who wants order pays for what was written since somebody wanted it last. A table that nobody has walked when
//! it is frozen becomes a sorted array and never a tree.
//!
//! The parts, each with its own head: the index (`hash/index.rs`: open addressing, as in I. Gonnet and R. Baeza-Yates, "Handbook of
//! Algorithms and Data Structures", 1991, lock-free in the insert-only manner of C. Click's hash table, 2007),
//! versions of one key (`hash/version.rs`: a list, newest first), those that wait (`hash/order.rs`: R. K. Treiber, "Systems
//! programming: coping with parallelism", 1986), the array (`hash/sorted.rs`). RocksDB's hash-linked memtables keep the index for ever and sort a copy of
//! the whole table for each cursor; Speedb's sorts in a background thread. Here the order, once made, stays.
//!
//! # Departures
//!
//! * The tree is not rebuilt or merged in runs: a run would have to be searched by every seek, and a tree takes n sorted
//!   versions in a time that is near that of a merge.
//! * A look-up at an old sequence number goes through all newer versions of its key.
//!
//! # Progress
//!
//! Readers take no lock and never retry. Writers wait for one another only while a shard of the index is replaced by a larger
//! one. Seeks of several cursors wait for one another while versions are moved to the tree; a step never does.
//!
//! # Costs
//!
//! With n versions, of which w wait: insert O(1), two cache misses; get O(1 + newer versions of the key), two or three; a seek
//! O(log n) + O(w log n), the second once for all cursors: some 100 ns for each version that waits; steps as those of the
//! B-tree. Memory besides the record (16 bytes, key, value): 16 bytes of links, 12 to 26 of index
//! (the most where a shard's last table was a little too small, the least in a successor of a memtable like it); and 17 to 25 of the tree once there is an order, or 16 of the array.
//!
//! # Invariants
//!
//! * **Both**: an insert that has returned is in the index, and waits or is in the tree.
//! * **Forever**: versions live, at their address, as long as the tree, whose arena they are in.

mod hasher;
mod index;
mod order;
mod sorted;
mod version;

use bytes::Bytes;
use core::convert::Infallible;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use terrace_entry::{Cursor, Entry, InternalKey, SeqNo};

use crate::btree::{BTreeCursor, BTreeMemTable};
use crate::sync::AtomicUsize;
use crate::{Found, MemTable};

use index::Index;
use order::Waiting;
use sorted::SortedCursor;
use version::Version;

/// The hash index with order on demand; see the head of its source file for algorithm and costs.
pub struct HashMemTable {
    index: Index,
    waiting: Waiting,
    len: AtomicUsize,
    bytes_hint: usize,
    /// The order, as far as somebody asked for it; owns the memory of all versions and of the index.
    tree: Arc<BTreeMemTable>,
}

impl fmt::Debug for HashMemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("HashMemTable");
        fields.field("len", &self.len()).field("memory_bytes", &self.memory_bytes());
        fields.field("ordered", &self.tree.len()).finish()
    }
}

impl HashMemTable {
    fn expecting(bytes_hint: usize, keys: usize) -> Self {
        HashMemTable {
            index: Index::new(bytes_hint, keys),
            waiting: Waiting::new(),
            len: AtomicUsize::new(0),
            bytes_hint,
            tree: Arc::new(BTreeMemTable::new(bytes_hint)),
        }
    }

    /// How many keys a successor will have, if what comes is like what is here. One that was sealed when it was half full or more was sealed
    /// for its size, which may be another the next time; what a smaller one had is all that is expected.
    fn successor_keys(&self, bytes_hint: usize) -> usize {
        let keys = self.index.keys();
        if self.memory_bytes() < bytes_hint / 2 {
            return keys;
        }
        // With an index that was made at once, as the successor's is.
        let bytes = (self.tree.records().memory_bytes() + Index::bytes_for(keys)).max(1);
        (keys as u64 * bytes_hint as u64 / bytes as u64) as usize
    }

    /// How many versions there will be when `bytes_hint` is used up, going by the size of those so far.
    fn versions_expected(&self) -> usize {
        let len = self.len().max(1);
        let bytes_each = (self.tree.records().memory_bytes() / len).max(1);
        (self.bytes_hint / bytes_each).max(len)
    }
}

impl MemTable for HashMemTable {
    const NAME: &'static str = "hash";

    type Cursor = HashCursor;

    fn new(bytes_hint: usize) -> Self {
        HashMemTable::expecting(bytes_hint, 0)
    }

    fn successor(&self, bytes_hint: usize) -> Self {
        HashMemTable::expecting(bytes_hint, self.successor_keys(bytes_hint))
    }

    #[inline]
    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        // The slot is on its way while the version is written.
        let hashed = self.index.prefetch(key.user_key);
        let version = Version::make(self.tree.records(), key, value);
        self.index.insert(self.tree.nodes(), hashed, version, || self.versions_expected());
        self.waiting.add(version);
        self.len.fetch_add(1, Relaxed);
    }

    #[inline]
    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        // Most memtables of a database at rest are empty: neither a hash nor a miss of the cache for them.
        if self.len() == 0 {
            return None;
        }
        let newest = self.index.find(user_key)?;
        let version = newest.at_or_below(InternalKey::seek_to(user_key, seqno).trailer())?;
        let record = version.record();
        let key = record.key();
        Some(Found { seqno: key.seqno, kind: key.kind, value: record.value() })
    }

    fn cursor(self: Arc<Self>) -> HashCursor {
        HashCursor { walk: Walk::Tree(Arc::clone(&self.tree).cursor()), table: self }
    }

    fn freeze(&self) {
        self.waiting.freeze(&self.tree, self.len());
    }

    fn make_ready(&self) {
        self.tree.make_ready();
    }

    fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes() + self.index.own_bytes()
    }
}

/// Walks a [`HashMemTable`]. A seek first brings what was inserted since the last one of any cursor into order.
pub struct HashCursor {
    table: Arc<HashMemTable>,
    walk: Walk,
}

enum Walk {
    Tree(BTreeCursor),
    Sorted(SortedCursor),
}

/// Calls a cursor's method on whichever of them it is.
macro_rules! on_walk {
    ($walk:expr, $cursor:ident => $call:expr) => {
        match $walk {
            Walk::Tree($cursor) => $call,
            Walk::Sorted($cursor) => $call,
        }
    };
}

impl HashCursor {
    /// The walk over all that was inserted before this call.
    #[inline]
    fn settled(&mut self) -> &mut Walk {
        let HashMemTable { waiting, tree, .. } = &*self.table;
        waiting.settle(tree, self.table.len());
        if let Walk::Tree(_) = self.walk
            && let Some(sorted) = waiting.sorted()
        {
            self.walk = Walk::Sorted(SortedCursor::new(Arc::clone(tree), sorted));
        }
        &mut self.walk
    }
}

impl fmt::Debug for HashCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashCursor").field("at", &self.current().map(|entry| entry.key)).finish()
    }
}

impl Cursor for HashCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        on_walk!(self.settled(), walk => walk.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        on_walk!(self.settled(), walk => walk.seek_to_last())
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        on_walk!(self.settled(), walk => walk.seek(target))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        on_walk!(self.settled(), walk => walk.seek_before(target))
    }

    #[inline]
    fn next(&mut self) -> Result<(), Infallible> {
        on_walk!(&mut self.walk, walk => walk.next())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Infallible> {
        on_walk!(&mut self.walk, walk => walk.prev())
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        on_walk!(&self.walk, walk => walk.current())
    }

    fn value_bytes(&self) -> Bytes {
        on_walk!(&self.walk, walk => walk.value_bytes())
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::{HashMemTable, Index};
    use crate::MemTable;
    use terrace_entry::{InternalKey, Kind, SeqNo};

    const HINT: usize = 4 << 20;

    fn fill(table: &HashMemTable, keys: u64, versions: u64) {
        for number in 0..keys * versions {
            let key = (number % keys).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            table.insert(InternalKey::new(&key, SeqNo::new(number + 1), Kind::Put), &[7; 100]);
        }
    }

    #[test]
    fn the_index_of_a_successor_does_not_grow_for_as_many_keys() {
        let first = HashMemTable::new(HINT);
        fill(&first, 26_000, 1);
        assert!((0.9..1.1).contains(&(first.memory_bytes() as f64 / HINT as f64)), "it is full, or all but");
        let second = first.successor(HINT);
        fill(&second, 26_000, 1);
        assert_eq!(second.index.keys(), 26_000);
        let (grown, made) = (first.tree.nodes().memory_bytes(), second.tree.nodes().memory_bytes());
        // And what is lost at the ends of chunks.
        let room = Index::bytes_for(first.successor_keys(HINT));
        assert!((room..room + (40 << 10)).contains(&made), "{made} bytes of index, expected some {room}");
        assert!(grown > made, "{grown} bytes of a grown index, {made} of one made at once");
    }

    #[test]
    fn what_a_successor_expects_goes_by_keys_and_by_how_full_the_memtable_was() {
        let small = HashMemTable::new(HINT);
        fill(&small, 100, 10);
        assert!(small.memory_bytes() < HINT / 2, "it was not sealed for its size");
        assert_eq!(small.successor_keys(HINT), 100);
        let large = HashMemTable::new(HINT);
        fill(&large, 1_000, 20);
        let (expected, full) = (large.successor_keys(HINT), HINT as f64 / large.memory_bytes() as f64);
        assert!((1_000..2_000).contains(&expected), "keys, not versions: {expected}");
        assert!((0.9..1.1).contains(&(expected as f64 / 1_000.0 / full)), "{expected} keys for {full} of it");
    }
}
