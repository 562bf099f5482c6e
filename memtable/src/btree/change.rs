//! Changes of nodes: a slot put in, a node split, the heads of a node taken from elsewhere.
//!
//! All of it happens between the lock and the unlock of `version.rs`, or before a node is known to others. Every
//! address is stored with release, since a reader may follow it before it finds the version changed.

use core::sync::atomic::{Ordering::Relaxed, Ordering::Release};

use super::node::{BY_TRAILER, FreshNode, NodeRef, SLOTS, head_of};
use crate::arena::{Record, RecordHeader, RecordPtr};
use crate::target::Target;

/// From this many slots on, and then at each doubling, a node looks whether its heads tell its keys apart.
const SETTLE_SLOTS_MIN: usize = 8;

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
    /// A node whose version this thread has just made odd.
    #[inline]
    pub(super) fn locked(node: NodeRef<'t>) -> Self {
        Changing { node }
    }

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
        self.make_skippable(target);
        for to in (slot + 1..=count).rev() {
            self.set_slot(to, node.heads.0[to - 1].load(Relaxed), node.records.0[to - 1].load(Relaxed));
        }
        self.set_slot(slot, head_of(target, node.skip.load(Relaxed)), record.as_ptr());
        node.count.store(count + 1, Relaxed);
        if count + 1 >= SETTLE_SLOTS_MIN && (count + 1).is_power_of_two() {
            self.settle_heads();
        }
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
        self.settle_heads();
        right.settle_heads();
        (separator, right.node)
    }

    /// Makes sure that the heads are taken from where they may be, and if some tie, from where they tell most.
    fn settle_heads(&self) {
        let node = self.node;
        let Some(last) = node.count().checked_sub(1) else { return };
        let key_in = |slot| node.record(slot).expect("a slot in use has a record").user_key();
        let skip_max = match (node.lower(), node.upper()) {
            (Some(lower), Some(upper)) if lower.user_key() == upper.user_key() => BY_TRAILER,
            (Some(lower), Some(upper)) => shared_prefix(lower.user_key(), upper.user_key()),
            // In order, so what the first and the last share, all share.
            _ => shared_prefix(key_in(0), key_in(last)),
        };
        let skip = node.skip.load(Relaxed);
        let heads = &node.heads.0[..=last];
        let tied = || heads.windows(2).any(|pair| pair[0].load(Relaxed) == pair[1].load(Relaxed));
        // A node that gets its second fence may have skipped more than the keys between the fences share.
        if skip > skip_max || (skip < skip_max && tied()) {
            self.take_heads_from(skip_max);
        }
    }

    fn take_heads_from(&self, skip: usize) {
        let node = self.node;
        node.skip.store(skip, Relaxed);
        for slot in 0..node.count() {
            let record = node.record(slot).expect("a slot in use has a record");
            node.heads.0[slot].store(head_of(&Target::of_record(record), skip), Relaxed);
        }
    }

    /// Before a key is put in: skips no more than it shares with those that are there.
    fn make_skippable(&self, target: &Target<'_>) {
        let node = self.node;
        let skip = node.skip.load(Relaxed);
        if skip == 0 || node.is_fenced() {
            return;
        }
        let shared = node.record(0).map_or(0, |record| shared_prefix(record.user_key(), target.user_key));
        if shared < skip {
            self.take_heads_from(shared);
        }
    }
}

/// How many leading bytes two keys share.
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
