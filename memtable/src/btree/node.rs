//! Nodes of the B-tree: layout, the version that readers check and writers lock, search, and changes of slots.
//!
//! # The version protocol
//!
//! A node's version is even when nobody changes it and odd while somebody does. A reader notes the version,
//! reads, and checks that the version is still the same; if not, it throws away what it read. A writer makes the
//! version odd by a compare-and-swap from the version at which it read, so that locking also proves that what it
//! read still holds; unlocking makes it even again, greater by two.
//!
//! All that a reader may meet half changed is atomic. Numbers are read and written relaxed: the version orders
//! them (the fences of a seqlock, see Boehm, "Can seqlocks get along with programming language memory models?",
//! 2012). Addresses are written with release and read with acquire, because a reader follows them before it has
//! checked the version: whatever it follows is a whole record or node, although maybe not the right one.
//!
//! # Invariants
//!
//! * **Fenced**: every version v in a node, or below it, has `lower <= v < upper`; no fence means no bound. `lower`
//!   never changes; `upper` only falls, when the node splits.
//! * **First is lower**: a leaf with a lower fence holds that version, in its first slot.
//! * **Sorted**: the first `count` slots are in order, and `heads[i]` is the head of `records[i]` from `skip` on.
//! * **Skippable**: all keys between the fences agree on their first `skip` bytes. If the fences are versions of
//!   one key, all versions between them are too, `skip` is [`BY_TRAILER`], and the trailers serve as heads.
//! * **Live addresses**: non-null addresses in nodes are of whole records and nodes in the table's arenas; a child
//!   of a node of level l has level l - 1; nodes of level 0 are [`Node`]s, others are [`InnerNode`]s.
#![expect(unsafe_code, reason = "nodes of two sizes behind one pointer, in an arena")]

use core::cmp::Ordering as Order;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::arena::{Arena, Record, RecordHeader, RecordPtr, prefetch};
use crate::target::{Target, head_at};

/// Slots of a node: a power of two, for cheap bounds. Measured: 32 makes the tree deeper, 128 makes shifting dear.
pub(super) const SLOTS: usize = 64;
/// As `skip`: the node holds versions of one key only.
const BY_TRAILER: usize = usize::MAX;
/// Tries of a waiting thread before it lets others run.
const SPINS_MAX: u32 = 6;

/// Somebody changed a node while it was read, or the tree grew: start again from the root.
#[derive(Debug)]
pub(super) struct Again;

/// Runs `attempt` until nobody gets in its way.
#[inline]
pub(super) fn until_undisturbed<T>(mut attempt: impl FnMut() -> Result<T, Again>) -> T {
    let mut backoff = Backoff::default();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(Again) => backoff.pause(),
        }
    }
}

#[derive(Default)]
struct Backoff {
    pauses: u32,
}

impl Backoff {
    #[cold]
    fn pause(&mut self) {
        if self.pauses >= SPINS_MAX {
            // Whoever changes the node may have lost its processor.
            std::thread::yield_now();
            return;
        }
        for _ in 0..1 << self.pauses {
            core::hint::spin_loop();
        }
        self.pauses += 1;
    }
}

/// An array that starts on a cache line.
#[repr(C, align(64))]
struct Lines<T>([T; SLOTS]);

/// A leaf, and the first part of an inner node.
#[repr(C)]
pub(super) struct Node {
    version: AtomicU64,
    count: AtomicUsize,
    /// Leading bytes of a key that no head in this node holds.
    skip: AtomicUsize,
    upper: AtomicPtr<RecordHeader>,
    lower: Option<RecordPtr>,
    /// Distance from the leaves.
    level: usize,
    heads: Lines<AtomicU64>,
    /// Of a leaf: its versions. Of an inner node: separators, each the least version of the child to its right.
    records: Lines<AtomicPtr<RecordHeader>>,
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
            heads: Lines([const { AtomicU64::new(0) }; SLOTS]),
            records: Lines([const { AtomicPtr::new(ptr::null_mut()) }; SLOTS]),
        };
        // SAFETY: fresh memory of at least this size, aligned to 64 by the arena.
        unsafe { node.write(empty) };
        if self.level > 0 {
            // SAFETY: memory of the size of an inner node was asked for.
            let children = unsafe { &raw mut (*node.cast::<InnerNode>().as_ptr()).children };
            // SAFETY: as above; nobody else knows the node yet.
            unsafe { children.write([const { AtomicPtr::new(ptr::null_mut()) }; SLOTS + 1]) };
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
    fn lower(self) -> Option<Record<'t>> {
        // SAFETY: by Live addresses; the table lives for 't.
        self.lower.map(|record| unsafe { record.record() })
    }

    /// # Panics
    ///
    /// For a leaf, which has no children.
    #[inline]
    fn children(self) -> &'t [AtomicPtr<Node>; SLOTS + 1] {
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

    /// Whether the head in `slot` is that of the target; if not, the record there has another key.
    #[inline]
    pub(super) fn may_match(self, slot: usize, target: &Target<'_>) -> bool {
        let skip = self.skip.load(Relaxed);
        skip == BY_TRAILER || self.heads.0[slot].load(Relaxed) == head_of(target, skip)
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
fn head_of(target: &Target<'_>, skip: usize) -> u64 {
    // Newer versions come first, so the greater trailer must have the lesser head.
    if skip == BY_TRAILER { !target.trailer } else { head_at(target.user_key, skip) }
}

/// A node and the version at which it is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'t> {
    pub(super) node: NodeRef<'t>,
    pub(super) version: u64,
}

impl<'t> Reading<'t> {
    /// Notes the version, when nobody is changing the node.
    #[inline]
    pub(super) fn begin(node: NodeRef<'t>) -> Self {
        let mut backoff = Backoff::default();
        loop {
            let version = node.version.load(Acquire);
            if version.is_multiple_of(2) {
                return Reading { node, version };
            }
            backoff.pause();
        }
    }

    /// Fails unless all that was read so far was of one state of the node.
    #[inline]
    pub(super) fn check(self) -> Result<(), Again> {
        // The fence keeps the reads before it from moving behind the check.
        fence(Acquire);
        if self.node.version.load(Relaxed) == self.version { Ok(()) } else { Err(Again) }
    }

    /// Locks the node for a change; fails if it changed since it was read.
    #[inline]
    pub(super) fn lock(self) -> Result<Changing<'t>, Again> {
        let odd = self.version + 1;
        match self.node.version.compare_exchange(self.version, odd, Acquire, Relaxed) {
            Ok(_) => {
                // A reader that sees any write behind this fence also sees the odd version when it checks.
                fence(Release);
                Ok(Changing { node: self.node })
            }
            Err(_) => Err(Again),
        }
    }
}

/// A node that this thread alone may change, until this is dropped.
pub(super) struct Changing<'t> {
    node: NodeRef<'t>,
}

impl Drop for Changing<'_> {
    #[inline]
    fn drop(&mut self) {
        let version = self.node.version.load(Relaxed);
        self.node.version.store(version + 1, Release);
    }
}

impl<'t> Changing<'t> {
    /// A node that no other thread knows yet.
    pub(super) fn fresh(node: NodeRef<'t>) -> Self {
        node.version.store(1, Relaxed);
        Changing { node }
    }

    /// Ends the change; for a fresh node, before others come to know it.
    pub(super) fn finish(self) -> NodeRef<'t> {
        self.node
    }

    #[inline]
    fn set_slot(&self, slot: usize, head: u64, record: *mut RecordHeader) {
        self.node.heads.0[slot].store(head, Relaxed);
        // Release: a reader may follow the address before it finds the version changed.
        self.node.records.0[slot].store(record, Release);
    }

    /// Opens a gap at `slot` and puts `record` there.
    #[inline]
    pub(super) fn insert(&self, slot: usize, record: RecordPtr, target: &Target<'_>) {
        let node = self.node;
        let count = node.count();
        assert!(slot <= count && count < SLOTS, "only a node with room is inserted into");
        for to in (slot + 1..=count).rev() {
            self.set_slot(to, node.heads.0[to - 1].load(Relaxed), node.records.0[to - 1].load(Relaxed));
        }
        self.set_slot(slot, head_of(target, node.skip.load(Relaxed)), record.as_ptr());
        node.count.store(count + 1, Relaxed);
    }

    /// Adds to an inner node a child `right` whose versions start at `separator`.
    pub(super) fn insert_child(&self, separator: Record<'_>, right: NodeRef<'t>) {
        let target = Target::of_record(separator);
        let slot = self.node.rank(&target, false);
        let children = self.node.children();
        for to in (slot + 2..=self.node.count() + 1).rev() {
            children[to].store(children[to - 1].load(Relaxed), Release);
        }
        children[slot + 1].store(right.as_ptr(), Release);
        self.insert(slot, separator.address(), &target);
    }

    /// Sets the first child of an inner node.
    pub(super) fn set_first_child(&self, child: NodeRef<'t>) {
        self.node.children()[0].store(child.as_ptr(), Release);
    }

    /// Moves what is at and behind slot `at` to a new node on the right, and returns it and its least version.
    /// Of an inner node, the separator at `at` goes up and stays in neither.
    pub(super) fn split(&self, at: usize, fresh: FreshNode<'t>) -> (Record<'t>, NodeRef<'t>) {
        let node = self.node;
        let count = node.count();
        let separator = node.record(at).expect("a slot in use has a record");
        let right = Changing::fresh(fresh.write(Some(separator.address()), node.upper.load(Relaxed)));
        let first = if node.is_leaf() { at } else { at + 1 };
        for from in first..count {
            let (head, record) = (node.heads.0[from].load(Relaxed), node.records.0[from].load(Relaxed));
            right.set_slot(from - first, head, record);
        }
        right.node.count.store(count - first, Relaxed);
        right.node.skip.store(node.skip.load(Relaxed), Relaxed);
        if !node.is_leaf() {
            for from in first..=count {
                right.node.children()[from - first].store(node.children()[from].load(Relaxed), Release);
            }
        }
        node.count.store(at, Relaxed);
        node.upper.store(separator.address().as_ptr(), Release);
        self.sharpen_heads();
        right.sharpen_heads();
        (separator, right.node)
    }

    /// Takes the heads from further behind in the keys, if the fences allow it and heads that tie ask for it.
    fn sharpen_heads(&self) {
        let node = self.node;
        let heads = &node.heads.0[..node.count()];
        let tied = heads.windows(2).any(|pair| pair[0].load(Relaxed) == pair[1].load(Relaxed));
        let (true, Some(lower), Some(upper)) = (tied, node.lower(), node.upper()) else { return };
        let skip = shared_prefix(lower.user_key(), upper.user_key());
        if skip == node.skip.load(Relaxed) {
            return;
        }
        node.skip.store(skip, Relaxed);
        for (slot, head) in heads.iter().enumerate() {
            let record = node.record(slot).expect("a slot in use has a record");
            head.store(head_of(&Target::of_record(record), skip), Relaxed);
        }
    }
}

/// How many leading bytes two keys share; [`BY_TRAILER`] if they are one key.
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    if a == b {
        return BY_TRAILER;
    }
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
