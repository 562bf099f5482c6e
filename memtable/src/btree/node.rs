//! Nodes of the B-tree: their layout, and the search within one.
//!
//! How they are read while others change them is told in `version.rs`, how they are changed in `change.rs`.
//!
//! # Invariants
//!
//! * **Fenced**: every version v in a node, or below it, has `lower <= v < upper`; no fence means no bound. `lower`
//!   never changes; `upper` only falls, when the node splits.
//! * **First is lower**: a leaf with a lower fence holds that version, in its first slot.
//! * **Sorted**: the first `count` slots are in order, and `heads[i]` is the head of `records[i]` from `skip` on.
//! * **Skippable**: all keys in a node agree on their first `skip` bytes. With two fences, all keys between them do,
//!   so a search need not look. Without, a search compares with a key of the node first, and an insert of another
//!   sort of key lowers `skip`. If both fences are versions of one key, all between are too: then `skip` may be
//!   [`BY_TRAILER`], and the trailers serve as heads.
//! * **Live addresses**: non-null addresses in nodes are of whole records and nodes in the table's arenas; a child
//!   of a node of level l has level l - 1; nodes of level 0 are [`Node`]s, others are [`InnerNode`]s.
#![expect(unsafe_code, reason = "nodes of two sizes behind one pointer, in an arena")]

use core::cmp::Ordering as Order;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed};

use crate::arena::{Arena, Record, RecordHeader, RecordPtr, prefetch};
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, array};
use crate::target::{Target, head_at};

/// Slots of a node: a power of two, for cheap bounds. Measured: 32 makes the tree deeper, 128 makes shifting dear.
pub(super) const SLOTS: usize = if cfg!(any(shuttle, loom)) { 4 } else { 64 };
/// As `skip`: the node holds versions of one key only.
pub(super) const BY_TRAILER: usize = usize::MAX;

/// An array that starts on a cache line.
#[repr(C, align(64))]
pub(super) struct Lines<T>(pub(super) [T; SLOTS]);

/// A leaf, and the first part of an inner node.
#[repr(C)]
pub(super) struct Node {
    pub(super) version: AtomicU64,
    pub(super) count: AtomicUsize,
    /// Leading bytes of a key that no head in this node holds.
    pub(super) skip: AtomicUsize,
    pub(super) upper: AtomicPtr<RecordHeader>,
    lower: Option<RecordPtr>,
    /// Distance from the leaves.
    level: usize,
    pub(super) heads: Lines<AtomicU64>,
    /// Of a leaf: its versions. Of an inner node: separators, each the least version of the child to its right.
    pub(super) records: Lines<AtomicPtr<RecordHeader>>,
}

#[repr(C)]
struct InnerNode {
    node: Node,
    /// Child i holds what is below separator i and not below separator i - 1.
    children: [AtomicPtr<Node>; SLOTS + 1],
}

/// A node of a table that lives for `'t`.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'t> {
    node: NonNull<Node>,
    table: PhantomData<&'t Node>,
}

impl Deref for NodeRef<'_> {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        // SAFETY: a `NodeRef` is made only of nodes that were written and whose arena outlives 't.
        unsafe { self.node.as_ref() }
    }
}

/// Memory for a node, taken before any lock is.
pub(super) struct FreshNode<'t> {
    memory: NonNull<u8>,
    level: usize,
    arena: PhantomData<&'t Arena<64>>,
}

impl<'t> FreshNode<'t> {
    pub(super) fn allocate(arena: &'t Arena<64>, level: usize) -> Self {
        let bytes = if level == 0 { size_of::<Node>() } else { size_of::<InnerNode>() };
        FreshNode { memory: arena.allocate(bytes), level, arena: PhantomData }
    }

    /// An empty node between two fences. Records passed here and put in later must live as long as the table.
    pub(super) fn write(self, lower: Option<RecordPtr>, upper: *mut RecordHeader) -> NodeRef<'t> {
        let node = self.memory.cast::<Node>();
        let empty = Node {
            version: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            skip: AtomicUsize::new(0),
            upper: AtomicPtr::new(upper),
            lower,
            level: self.level,
            heads: Lines(array![AtomicU64::new(0); SLOTS]),
            records: Lines(array![AtomicPtr::new(ptr::null_mut()); SLOTS]),
        };
        // SAFETY: fresh memory of at least this size, aligned to 64 by the arena.
        unsafe { node.write(empty) };
        if self.level > 0 {
            // SAFETY: memory of the size of an inner node was asked for.
            let children = unsafe { &raw mut (*node.cast::<InnerNode>().as_ptr()).children };
            // SAFETY: as above; nobody else knows the node yet.
            unsafe { children.write(array![AtomicPtr::new(ptr::null_mut()); SLOTS + 1]) };
        }
        NodeRef { node, table: PhantomData }
    }
}

impl<'t> NodeRef<'t> {
    /// # Safety
    ///
    /// `address` is null or came from [`NodeRef::as_ptr`], through a release store and an acquire load if from
    /// another thread; the table lives for `'t`.
    #[inline]
    pub(super) unsafe fn from_ptr(address: *mut Node) -> Option<Self> {
        NonNull::new(address).map(|node| NodeRef { node, table: PhantomData })
    }

    #[inline]
    pub(super) fn as_ptr(self) -> *mut Node {
        self.node.as_ptr()
    }

    /// Its address, good as long as the table.
    #[inline]
    pub(super) fn address(self) -> NonNull<Node> {
        self.node
    }

    /// Whether nothing on this level comes before it.
    pub(super) fn is_first(self) -> bool {
        self.lower.is_none()
    }

    #[inline]
    pub(super) fn is_leaf(self) -> bool {
        self.level == 0
    }

    #[inline]
    pub(super) fn level(self) -> usize {
        self.level
    }

    /// Slots in use; never more than [`SLOTS`], even if it is about to be found out of date.
    #[inline]
    pub(super) fn count(self) -> usize {
        self.count.load(Relaxed)
    }

    #[inline]
    fn follow(address: &'t AtomicPtr<RecordHeader>) -> Option<Record<'t>> {
        let address = NonNull::new(address.load(Acquire))?;
        // SAFETY: by Live addresses; acquire pairs with the release of `set_slot` and of splits.
        let record = unsafe { RecordPtr::from_address(address) };
        // SAFETY: the table, and with it the records' arena, lives for 't.
        Some(unsafe { record.record() })
    }

    /// The part before the children, for as long as the table lives.
    #[inline]
    fn node(self) -> &'t Node {
        // SAFETY: as in `deref`; the arena outlives 't.
        unsafe { self.node.as_ref() }
    }

    /// The record of a slot; `None` only for a slot that was never used, which means a version is out of date.
    #[inline]
    pub(super) fn record(self, slot: usize) -> Option<Record<'t>> {
        Self::follow(self.node().records.0.get(slot)?)
    }

    /// The least version of the next node on this level.
    #[inline]
    pub(super) fn upper(self) -> Option<Record<'t>> {
        Self::follow(&self.node().upper)
    }

    #[inline]
    pub(super) fn lower(self) -> Option<Record<'t>> {
        // SAFETY: by Live addresses; the table lives for 't.
        self.lower.map(|record| unsafe { record.record() })
    }

    /// # Panics
    ///
    /// For a leaf, which has no children.
    #[inline]
    pub(super) fn children(self) -> &'t [AtomicPtr<Node>; SLOTS + 1] {
        assert!(!self.is_leaf(), "a leaf has no children");
        // SAFETY: by Live addresses, a node above the leaves is an `InnerNode`, in an arena that outlives 't.
        let inner = unsafe { self.node.cast::<InnerNode>().as_ref() };
        &inner.children
    }

    #[inline]
    pub(super) fn child(self, rank: usize) -> Option<NodeRef<'t>> {
        let address = self.children().get(rank)?.load(Acquire);
        // SAFETY: by Live addresses; acquire pairs with the release of `set_child`.
        unsafe { NodeRef::from_ptr(address) }
    }

    /// How many records of the node come before the target, or before and at it if `past_equal`.
    #[inline]
    pub(super) fn rank(self, target: &Target<'_>, past_equal: bool) -> usize {
        let skip = self.skip.load(Relaxed);
        let count = self.count();
        if skip > 0 && !self.is_fenced() {
            let side = self.side_of(target, skip);
            if side.is_ne() {
                return if side.is_lt() { 0 } else { count };
            }
        }
        let head = head_of(target, skip);
        let low = self.first_head_at_least(head, count);
        if low == count || self.heads.0[low].load(Relaxed) != head {
            return low;
        }
        let precedes = |slot: usize| {
            let order = self.record(slot).map_or(Order::Greater, |record| target.order_of_tied(record, skip));
            order == Order::Less || (past_equal && order == Order::Equal)
        };
        // The first of several that tie is tried alone: writers and readers mostly ask for the newest version of a
        // key, which comes before all others.
        if !precedes(low) {
            return low;
        }
        let ties = self.heads.0[low..count].iter();
        let mut high = low + ties.take_while(|other| other.load(Relaxed) == head).count();
        let mut low = low + 1;
        while low < high {
            let middle = low.midpoint(high);
            if precedes(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether all keys that a search may bring here agree on the first `skip` bytes.
    #[inline]
    pub(super) fn is_fenced(self) -> bool {
        self.lower.is_some() && !self.upper.load(Relaxed).is_null()
    }

    /// Whether the target's first `skip` bytes are before, after or equal to those of the keys in the node.
    fn side_of(self, target: &Target<'_>, skip: usize) -> Order {
        let Some(record) = self.record(0) else { return Order::Less };
        let prefix = record.user_key().get(..skip).unwrap_or_default();
        // A target that ends within the prefix is before all keys that go on.
        target.user_key.get(..skip).unwrap_or(target.user_key).cmp(prefix)
    }

    /// Whether the head in `slot` is that of the target; if not, the record there has another key.
    #[inline]
    pub(super) fn may_match(self, slot: usize, target: &Target<'_>) -> bool {
        let skip = self.skip.load(Relaxed);
        // The slot may be out of date, and then out of bounds.
        let head = self.heads.0.get(slot).map(|head| head.load(Relaxed));
        skip == BY_TRAILER || head == Some(head_of(target, skip))
    }

    /// Binary search without branches that depend on the keys: their outcome could not be predicted.
    #[inline]
    fn first_head_at_least(self, head: u64, count: usize) -> usize {
        let mut base = 0;
        let mut size = count;
        while size > 1 {
            let half = size / 2;
            let probe = self.heads.0[(base + half - 1) % SLOTS].load(Relaxed);
            base += if probe < head { half } else { 0 };
            size -= half;
        }
        base + usize::from(size == 1 && self.heads.0[base % SLOTS].load(Relaxed) < head)
    }

    /// Asks for what a search of the node will touch.
    #[inline]
    pub(super) fn prefetch(self) {
        let start = self.node.as_ptr().cast::<u8>().cast_const();
        for line in 0..=size_of::<Lines<AtomicU64>>() / 64 {
            prefetch(start.wrapping_add(line * 64));
        }
    }
}

#[inline]
pub(super) fn head_of(target: &Target<'_>, skip: usize) -> u64 {
    // Newer versions come first, so the greater trailer must have the lesser head.
    if skip == BY_TRAILER { !target.trailer } else { head_at(target.user_key, skip) }
}
