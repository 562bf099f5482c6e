//! A concurrent B+tree with optimistic lock coupling, on arenas.
//!
//! # Algorithm
//!
//! V. Leis, M. Haubenschild, T. Neumann, "Optimistic lock coupling: a scalable and efficient general-purpose
//! synchronization method" (IEEE Data Eng. Bull. 42(1), 2019), on a B+tree as Z. Wang and others used it for
//! comparison in "Building a Bw-tree takes more than just buzz words" (SIGMOD 2018). Each node has a version. A
//! search goes down without writing anything: it notes a child's version, then checks that the parent has not
//! changed, and so on; on any change it starts again. A writer goes down the same way and locks the leaf alone.
//! Full nodes are split on the way down, while there is room above, so that a split locks two nodes: the full one
//! and its parent.
//!
//! # Departures
//!
//! * Slots hold eight bytes of each key as a number, taken from behind what all keys of the node share, and the
//!   address of the record. A search through a node compares numbers, and follows an address only on a tie. In a
//!   node that holds versions of a single key the sequence numbers take that place.
//! * Nodes know their fences. The upper one is the very record that follows the node's last, so a step or a seek
//!   that ends behind the last slot needs no other node, and leaves need no links to their neighbours.
//! * Nothing is ever removed, so nodes are never merged or freed, and no reader needs to be known to a writer.
//! * The last node of a level splits at its end when versions come in ascending order, so that it stays full.
//!
//! # Progress
//!
//! A reader takes no lock and writes to no shared memory. While a writer is in the middle of changing a node, a
//! reader of that node retries: some tens of nanoseconds for an insert, some microseconds at most for a split; if
//! the writer loses its processor right there, until it is scheduled again. The reader then yields its own.
//!
//! # Costs
//!
//! With n versions and nodes half to wholly full of 64: insert, get, seek O(log n), in practice two to four
//! levels, of which all but the leaf are usually cached; `next` and `prev` O(1) within a leaf and one search for
//! each leaf. Besides the record (16 bytes, key, value), a version costs some 25 bytes of leaf.
//!
//! # Invariants
//!
//! Those of the nodes are named in `btree/node.rs`, the rules for reading and changing them in `btree/version.rs`. Of the tree:
//!
//! * **Reachable**: a version inserted is found by a search from the root, in every state that a check passes.
//! * **Forever**: records and nodes live, at their address, as long as the table.
#![expect(unsafe_code, reason = "follows the addresses of the root and of records in the arena")]

mod change;
mod cursor;
mod node;
mod version;

use core::fmt;
use core::ptr;
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::Arc;

use terrace_entry::{InternalKey, SeqNo};

use crate::arena::{Arena, Record, RecordPtr};
use crate::sync::{AtomicPtr, AtomicUsize};
use crate::target::Target;
use crate::{Found, MemTable};

use change::Changing;
pub use cursor::BTreeCursor;
use node::{FreshNode, Node, NodeRef, SLOTS};
use version::{Again, Reading, until_undisturbed};

/// Records take some six times the memory of nodes at common sizes of keys and values.
const RECORD_BYTES_PER_NODE_BYTE: usize = 6;

/// The B+tree with optimistic locks; see the head of its source file for algorithm and costs.
pub struct BTreeMemTable {
    /// Null before the first insert.
    root: AtomicPtr<Node>,
    len: AtomicUsize,
    nodes: Arena<64>,
    records: Arena<8>,
}

impl fmt::Debug for BTreeMemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("BTreeMemTable");
        fields.field("len", &self.len()).field("memory_bytes", &self.memory_bytes());
        fields.field("height", &self.load_root().map_or(0, |root| root.level() + 1)).finish()
    }
}

impl BTreeMemTable {
    #[inline]
    fn load_root(&self) -> Option<NodeRef<'_>> {
        // SAFETY: only addresses of written nodes are stored, with release; nodes live as long as the table.
        unsafe { NodeRef::from_ptr(self.root.load(Acquire)) }
    }

    /// The root at a version at which it is the root; `None` in an empty table.
    #[inline]
    fn read_root(&self) -> Result<Option<Reading<'_>>, Again> {
        let Some(root) = self.load_root() else { return Ok(None) };
        let reading = Reading::begin(root);
        // A root that splits is locked until the new root is stored, so a version noted after that shows it here,
        // and one noted before fails its next check.
        if self.root.load(Acquire) == root.as_ptr() { Ok(Some(reading)) } else { Err(Again) }
    }

    /// Goes down one level, to the child of the given rank.
    #[inline]
    fn step_down<'t>(parent: Reading<'t>, rank: usize) -> Result<Reading<'t>, Again> {
        let child = parent.node.child(rank).ok_or(Again)?;
        child.prefetch();
        let child = Reading::begin(child);
        // Only now is it certain that the version noted is of the right child, with the fences it has in the parent.
        parent.check()?;
        Ok(child)
    }

    /// Goes down to a leaf by the child that `route` names in each inner node.
    #[inline]
    fn find_leaf(&self, route: impl Fn(NodeRef<'_>) -> usize) -> Result<Option<Reading<'_>>, Again> {
        let Some(mut at) = self.read_root()? else { return Ok(None) };
        while !at.node.is_leaf() {
            at = Self::step_down(at, route(at.node))?;
        }
        Ok(Some(at))
    }

    /// The first leaf's place in a table that has none yet, or whatever somebody else made of it.
    #[cold]
    fn make_root(&self) {
        let leaf = FreshNode::allocate(&self.nodes, 0).write(None, ptr::null_mut());
        // If somebody else was first, the leaf is left unused: this happens once in a table's life.
        let _ = self.root.compare_exchange(ptr::null_mut(), leaf.as_ptr(), Release, Relaxed);
    }

    /// Inserts a record; gives the leaf that it is in now.
    #[inline]
    fn try_insert(&self, target: &Target<'_>, record: RecordPtr) -> Result<Reading<'_>, Again> {
        let Some(mut at) = self.read_root()? else {
            self.make_root();
            return Err(Again);
        };
        let mut parent = None;
        loop {
            if at.node.count() == SLOTS {
                self.split(parent, at, target)?;
                return Err(Again);
            }
            if at.node.is_leaf() {
                break;
            }
            let child = Self::step_down(at, at.node.rank(target, true))?;
            parent = Some(at);
            at = child;
        }
        Self::insert_into(at, target, record)
    }

    /// Inserts a record into a leaf that has room and is the right one, if it has not changed since it was read.
    #[inline]
    fn insert_into<'t>(
        leaf: Reading<'t>,
        target: &Target<'_>,
        record: RecordPtr,
    ) -> Result<Reading<'t>, Again> {
        let slot = leaf.node.rank(target, true);
        // Locking proves that the slot is still the right one.
        leaf.lock()?.insert(slot, record, target);
        Ok(leaf.after_own_change())
    }

    /// Splits a full node; its parent, or `None` for the root, has room.
    #[cold]
    fn split<'t>(
        &'t self,
        parent: Option<Reading<'t>>,
        full: Reading<'t>,
        target: &Target<'_>,
    ) -> Result<(), Again> {
        full.check()?;
        // Memory is taken before the locks, so that nobody waits for the system. Losing a race wastes one node.
        let level = full.node.level();
        let right = FreshNode::allocate(&self.nodes, level);
        if let Some(parent) = parent {
            // From above, always: so two splits cannot wait for each other; and they never wait anyway.
            let parent = parent.lock()?;
            let full_locked = full.lock()?;
            let (separator, right) = full_locked.split(split_slot(full.node, target), right);
            parent.insert_child(separator, right);
            return Ok(());
        }
        let root = FreshNode::allocate(&self.nodes, level + 1);
        // Still the root, since it was at the version that is locked here, and only its own split changes that.
        let full_locked = full.lock()?;
        let (separator, right) = full_locked.split(split_slot(full.node, target), right);
        let root = Changing::fresh(root.write(None, ptr::null_mut()));
        root.set_first_child(full.node);
        root.insert_child(separator, right);
        self.root.store(root.finish().as_ptr(), Release);
        Ok(())
    }

    #[inline]
    fn try_get<'t>(&'t self, target: &Target<'_>) -> Result<Option<Record<'t>>, Again> {
        let Some(leaf) = self.find_leaf(|node| node.rank(target, true))? else { return Ok(None) };
        let slot = leaf.node.rank(target, false);
        let record = if slot == leaf.node.count() {
            leaf.node.upper()
        } else if leaf.node.may_match(slot, target) {
            leaf.node.record(slot)
        } else {
            None
        };
        leaf.check()?;
        Ok(record)
    }
}

/// For a table that keeps its versions in this one's arenas and puts them in order later.
#[cfg(feature = "hash")]
impl BTreeMemTable {
    #[inline]
    pub(crate) fn records(&self) -> &Arena<8> {
        &self.records
    }

    #[inline]
    pub(crate) fn nodes(&self) -> &Arena<64> {
        &self.nodes
    }

    /// Puts records of the arena [`BTreeMemTable::records`], which ascend, in order. Those that go into the leaf of the one before
    /// them are spared the way there.
    pub(crate) fn insert_ascending<'t>(&'t self, records: impl Iterator<Item = Record<'t>>) {
        let mut last_leaf: Option<Reading<'t>> = None;
        let mut count = 0;
        for record in records {
            let target = Target::of_record(record);
            let nearby = last_leaf.filter(|leaf| has_room_for(leaf.node, &target));
            let put = nearby.map(|leaf| Self::insert_into(leaf, &target, record.address()));
            last_leaf = Some(match put {
                Some(Ok(leaf)) => leaf,
                _ => until_undisturbed(|| self.try_insert(&target, record.address())),
            });
            count += 1;
        }
        self.len.fetch_add(count, Relaxed);
    }
}

/// Whether a target at or after the leaf's first record goes into this leaf, as far as it is not out of date.
#[cfg(feature = "hash")]
fn has_room_for(leaf: NodeRef<'_>, target: &Target<'_>) -> bool {
    leaf.count() < SLOTS && leaf.upper().is_none_or(|upper| target.is_before(upper))
}

/// Where to split a full node into which `target` would go.
fn split_slot(full: NodeRef<'_>, target: &Target<'_>) -> usize {
    let rank = full.rank(target, true);
    // An inner node keeps a separator on each side of the one that goes up.
    let margin = if full.is_leaf() { 1 } else { 2 };
    if rank == SLOTS && full.upper().is_none() {
        SLOTS - margin
    } else if rank == 0 && full.is_first() {
        margin
    } else {
        SLOTS / 2
    }
}

impl MemTable for BTreeMemTable {
    const NAME: &'static str = "btree";

    type Cursor = BTreeCursor;

    fn new(bytes_hint: usize) -> Self {
        BTreeMemTable {
            root: AtomicPtr::new(ptr::null_mut()),
            len: AtomicUsize::new(0),
            nodes: Arena::new(bytes_hint / RECORD_BYTES_PER_NODE_BYTE),
            records: Arena::new(bytes_hint),
        }
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        let (_, record) = self.records.add_record(0, key, value);
        let target = Target::of_key(key);
        until_undisturbed(|| self.try_insert(&target, record));
        self.len.fetch_add(1, Relaxed);
    }

    #[inline]
    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        let target = Target::of_key(InternalKey::seek_to(user_key, seqno));
        let key_and_value =
            until_undisturbed(|| self.try_get(&target)).map(|record| (record.key(), record.value()));
        let (key, value) = key_and_value?;
        (key.user_key == user_key).then_some(Found { seqno: key.seqno, kind: key.kind, value })
    }

    fn cursor(self: Arc<Self>) -> BTreeCursor {
        BTreeCursor::new(self)
    }

    fn make_ready(&self) {
        self.records.make_ready();
    }

    fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    fn memory_bytes(&self) -> usize {
        self.records.memory_bytes() + self.nodes.memory_bytes()
    }
}
