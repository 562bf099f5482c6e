//! A lock-free skip list on an arena.
//!
//! # Algorithm
//!
//! W. Pugh, "Skip lists: a probabilistic alternative to balanced trees" (CACM 33(6), 1990), in the insert-only
//! concurrent form that LevelDB's and RocksDB's memtables made common: a node is linked level by level from the
//! bottom up, each link by one compare-and-swap; since nothing is ever removed, a failed swap means that a new
//! neighbour came in between, and the search goes on from where it stood. A version is in the table from the
//! moment its bottom link is set; the links above it only shorten searches.
//!
//! # Departures
//!
//! * A node's links lie *before* its key and grow downwards, so that the key, the head and the bottom link are
//!   at fixed places and share a cache line, whatever the node's height.
//! * The first eight bytes of the key are kept as a number in the node: most comparisons are one integer
//!   comparison and touch no key bytes. Four nodes out of five on the way are compared so.
//! * Heights come from a hash of the arena's fill, not from a random source: no per-thread state, and the same
//!   inserts from one thread give the same list.
//!
//! # Costs
//!
//! With n versions: insert, get, seek and `prev` O(log n) expected, `next` O(1). A node costs 8 bytes of head,
//! 16 of trailer and lengths, and 8 per level (1.33 levels on average). Each comparison is likely a cache miss,
//! which is why the B-tree is faster from some ten thousand versions on.
//!
//! # Invariants
//!
//! * **Sorted**: on each level a node is greater than the one before it.
//! * **Tall enough**: a link at level l leads to a node of more than l levels. So after a step at level l, links
//!   at level l and below of the node reached exist.
//! * **Whole**: a node is linked only after it is written, with release; links are read with acquire.
//! * **Forever**: nodes live as long as the table; a non-null link never becomes null.
#![expect(unsafe_code, reason = "nodes of varying height, linked by address, in an arena")]

use bytes::Bytes;
use core::cmp::Ordering as Order;
use core::convert::Infallible;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::Arc;

use terrace_entry::{Cursor, Entry, InternalKey, SeqNo};

use crate::arena::{Arena, Record, RecordPtr, prefetch, value_bytes};
use crate::sync::{AtomicPtr, AtomicUsize, array};
use crate::target::{Target, head_at};
use crate::{Found, MemTable};

/// Levels at most. With one node in four a level higher, good for 4^12 = 16 million versions before searches
/// lengthen.
const LEVELS_MAX: usize = 12;
/// Of a node's levels, one in `1 << BRANCHING_BITS` nodes has one more.
const BRANCHING_BITS: u32 = 2;

/// A link to the next node of a level: the address of that node's bottom link, or null.
#[repr(transparent)]
struct Link(AtomicPtr<Link>);

impl Link {
    #[cfg(not(loom))]
    const fn null() -> Self {
        Link(AtomicPtr::new(ptr::null_mut()))
    }

    #[cfg(loom)]
    fn null() -> Self {
        Link(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    fn next(&self) -> Option<Node> {
        NonNull::new(self.0.load(Acquire)).map(Node)
    }
}

/// A node's fixed part; higher links lie before it, the record right behind it.
#[repr(C)]
struct NodeBase {
    bottom: Link,
    head: u64,
}

/// The address of a node: of its bottom link. The list's own start is a node without head and record.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node(NonNull<Link>);

impl Node {
    /// # Safety
    ///
    /// The node has more than `level` levels and outlives `'a`.
    #[inline]
    unsafe fn link<'a>(self, level: usize) -> &'a Link {
        // SAFETY: links grow downwards from the bottom one within the node's allocation; the caller vouches for
        // the height.
        let link = unsafe { self.0.sub(level) };
        // SAFETY: initialised before the node was linked (Whole), and alive for 'a by the caller's word.
        unsafe { link.as_ref() }
    }

    /// # Safety
    ///
    /// Not the list's start; outlives the call.
    #[inline]
    unsafe fn head(self) -> u64 {
        // SAFETY: a node that is not the start begins with a `NodeBase`, initialised by Whole; the head never changes.
        unsafe { self.0.cast::<NodeBase>().as_ref() }.head
    }

    /// # Safety
    ///
    /// Not the list's start; outlives `'a`.
    #[inline]
    unsafe fn record<'a>(self) -> Record<'a> {
        // SAFETY: the record lies right behind the base, in the same allocation.
        let record = unsafe { self.0.cast::<NodeBase>().add(1) };
        // SAFETY: the address of a whole record, seen through an acquire load of a link.
        let record = unsafe { RecordPtr::from_address(record.cast()) };
        // SAFETY: the arena outlives 'a by the caller's word.
        unsafe { record.record() }
    }
}

/// The lock-free skip list; see the head of its source file for algorithm and costs.
pub struct SkipListMemTable {
    arena: Arena<8>,
    /// The start's links, highest level first, as in every node.
    start: [Link; LEVELS_MAX],
    /// Levels in use; a search starts at the highest of them.
    levels: AtomicUsize,
    len: AtomicUsize,
}

impl fmt::Debug for SkipListMemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("SkipListMemTable");
        fields.field("len", &self.len()).field("memory_bytes", &self.memory_bytes());
        fields.field("levels", &self.levels.load(Relaxed)).finish()
    }
}

/// Where a search ended on one level: the last node before the target, and the one after it.
type Place = (Node, Option<Node>);

impl SkipListMemTable {
    #[inline]
    fn start(&self) -> Node {
        // The pointer is taken from the whole array, since it will be moved to all of its links.
        let links = NonNull::from(&self.start).cast::<Link>();
        // SAFETY: the last link of the array.
        Node(unsafe { links.add(LEVELS_MAX - 1) })
    }

    /// Whether `node` comes before the target.
    #[inline]
    fn is_before(node: Node, target: &Target<'_>, target_head: u64) -> bool {
        // SAFETY: reached by a link, so not the start; alive by Forever.
        let head = unsafe { node.head() };
        if head != target_head {
            return head < target_head;
        }
        // SAFETY: as above.
        let record = unsafe { node.record() };
        target.order_of_tied(record, 0) == Order::Less
    }

    /// Steps along one level from `node`, which is before the target, while the next one is too. `bound` is known
    /// not to be before the target.
    #[inline]
    fn walk_level(
        mut node: Node,
        level: usize,
        bound: Option<Node>,
        target: &Target<'_>,
        head: u64,
    ) -> Place {
        loop {
            // SAFETY: `node` is the start or was reached on `level` or above (Tall enough); alive by Forever.
            let next = unsafe { node.link(level) }.next();
            let Some(after) = next else { return (node, None) };
            if Some(after) == bound || !Self::is_before(after, target, head) {
                return (node, next);
            }
            node = after;
        }
    }

    /// The last node before the target on the bottom level, and the first at or after it.
    #[inline]
    fn search(&self, target: &Target<'_>) -> Place {
        let head = head_at(target.user_key, 0);
        let mut place = (self.start(), None);
        for level in (0..self.levels.load(Relaxed)).rev() {
            place = Self::walk_level(place.0, level, place.1, target, head);
        }
        place
    }

    fn last(&self) -> Option<Node> {
        let mut node = self.start();
        for level in (0..self.levels.load(Relaxed)).rev() {
            // SAFETY: `node` is the start or was reached on `level` or above (Tall enough); alive by Forever.
            while let Some(next) = unsafe { node.link(level) }.next() {
                node = next;
            }
        }
        (node != self.start()).then_some(node)
    }

    /// A height, geometrically distributed, from where the arena stands.
    #[inline]
    fn next_height(&self) -> usize {
        // SplitMix64's finaliser over the fill. Two threads that read the same fill get the same height: harmless.
        let mut z = (self.arena.position() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let zeros = (z ^ (z >> 31)).trailing_zeros();
        (1 + (zeros / BRANCHING_BITS) as usize).min(LEVELS_MAX)
    }

    /// A whole node of `height` levels with null links.
    #[inline]
    fn new_node(&self, height: usize, key: InternalKey<'_>, value: &[u8]) -> Node {
        let higher_links = (height - 1) * size_of::<Link>();
        let (memory, _) = self.arena.add_record(higher_links + size_of::<NodeBase>(), key, value);
        for level in 1..height {
            // SAFETY: within the bytes asked for in front of the record.
            let link = unsafe { memory.cast::<Link>().add(height - 1 - level) };
            // SAFETY: ours alone, aligned to 8.
            unsafe { link.write(Link::null()) };
        }
        // SAFETY: within the bytes asked for in front of the record, directly before it.
        let base = unsafe { memory.add(higher_links) }.cast::<NodeBase>();
        // SAFETY: ours alone, aligned to 8.
        unsafe { base.write(NodeBase { bottom: Link::null(), head: head_at(key.user_key, 0) }) };
        Node(base.cast())
    }
}

impl MemTable for SkipListMemTable {
    const NAME: &'static str = "skiplist";

    type Cursor = SkipListCursor;

    fn new(bytes_hint: usize) -> Self {
        SkipListMemTable {
            arena: Arena::new(bytes_hint),
            start: array![Link::null(); LEVELS_MAX],
            levels: AtomicUsize::new(1),
            len: AtomicUsize::new(0),
        }
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        let height = self.next_height();
        let node = self.new_node(height, key, value);
        let target = Target::of_key(key);
        let head = head_at(key.user_key, 0);

        let mut levels = self.levels.load(Relaxed);
        if height > levels {
            levels = self.levels.fetch_max(height, Relaxed).max(height);
        }
        let mut places: [Place; LEVELS_MAX] = [(self.start(), None); LEVELS_MAX];
        let mut place = (self.start(), None);
        for level in (0..levels).rev() {
            place = Self::walk_level(place.0, level, place.1, &target, head);
            places[level] = place;
        }
        for (level, place) in places.iter_mut().enumerate().take(height) {
            loop {
                let (before, after) = *place;
                let after_address = after.map_or(ptr::null_mut(), |node| node.0.as_ptr());
                // SAFETY: `level < height` of our own node.
                let ours = unsafe { node.link(level) };
                ours.0.store(after_address, Relaxed);
                // SAFETY: `before` was reached on this level (Tall enough) or is the start.
                let theirs = unsafe { before.link(level) };
                // Release: whoever reads the link sees the node whole.
                if theirs.0.compare_exchange(after_address, node.0.as_ptr(), Release, Relaxed).is_ok() {
                    break;
                }
                // Somebody linked a node here meanwhile; `before` is still before the target.
                *place = Self::walk_level(before, level, None, &target, head);
            }
        }
        self.len.fetch_add(1, Relaxed);
    }

    #[inline]
    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        let node = self.search(&Target::of_key(InternalKey::seek_to(user_key, seqno))).1?;
        // SAFETY: found by a search, so not the start; alive as long as `self` by Forever.
        let record: Record<'_> = unsafe { node.record() };
        let key = record.key();
        (key.user_key == user_key).then(|| Found { seqno: key.seqno, kind: key.kind, value: record.value() })
    }

    fn cursor(self: Arc<Self>) -> SkipListCursor {
        SkipListCursor { table: self, at: None }
    }

    fn make_ready(&self) {
        self.arena.make_ready();
    }

    fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        self.arena.memory_bytes()
    }
}

/// Walks a [`SkipListMemTable`]. `prev` costs a search, since nodes are linked one way only.
pub struct SkipListCursor {
    table: Arc<SkipListMemTable>,
    at: Option<Node>,
}

// SAFETY: a node's address is good as long as the table, which the cursor shares; nodes do not belong to a thread.
unsafe impl Send for SkipListCursor {}
// SAFETY: as above; `&self` gives out only shared borrows of unchanging records.
unsafe impl Sync for SkipListCursor {}

impl SkipListCursor {
    #[inline]
    fn record(&self) -> Option<Record<'_>> {
        // SAFETY: `at` is never the start, and lives as long as the table that the cursor shares.
        self.at.map(|node| unsafe { node.record() })
    }

    /// The last node before `target`, if any.
    fn before(&self, target: &Target<'_>) -> Option<Node> {
        let node = self.table.search(target).0;
        (node != self.table.start()).then_some(node)
    }
}

impl fmt::Debug for SkipListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkipListCursor").field("at", &self.current().map(|entry| entry.key)).finish()
    }
}

impl Cursor for SkipListCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        // SAFETY: the start has all levels and lives as long as the table.
        self.at = unsafe { self.table.start().link(0) }.next();
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.at = self.table.last();
        Ok(())
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.at = self.table.search(&Target::of_key(target)).1;
        Ok(())
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.at = self.before(&Target::of_key(target));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<(), Infallible> {
        // SAFETY: every node has a bottom link; alive by Forever.
        self.at = self.at.and_then(|node| unsafe { node.link(0) }.next());
        if let Some(node) = self.at {
            // SAFETY: as above.
            let after = unsafe { node.link(0) }.0.load(Relaxed);
            prefetch(after);
        }
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Infallible> {
        self.at = self.record().and_then(|record| self.before(&Target::of_record(record)));
        Ok(())
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        self.record().map(|record| Entry { key: record.key(), value: record.value() })
    }

    fn value_bytes(&self) -> Bytes {
        // SAFETY: the cursor stands on records of its own table only.
        self.record().map_or_else(Bytes::new, |record| unsafe { value_bytes(&self.table, record) })
    }
}
