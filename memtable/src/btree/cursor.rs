//! The cursor of the B-tree.
//!
//! It remembers the record that it stands on, which never moves, and in which leaf, slot and version of the leaf
//! it found it. While the version holds, a step is a step to the next slot; when it does not, the record's key
//! leads to where the record is now. Either way a step ends on the nearest version that was in the table at the
//! moment of the leaf's check: so no version is met twice or out of order, and none that was there is passed over.
#![expect(unsafe_code, reason = "remembers a node and a record of the table that it shares")]

use bytes::Bytes;
use core::convert::Infallible;
use core::fmt;
use core::ptr::NonNull;
use std::sync::Arc;

use terrace_entry::{Cursor, Entry, InternalKey};

use super::BTreeMemTable;
use super::node::{Node, NodeRef};
use super::version::{Again, Reading, until_undisturbed};
use crate::arena::{Record, RecordPtr, prefetch, value_bytes};
use crate::target::Target;

/// How many slots ahead records are fetched while walking.
const PREFETCH_SLOTS: usize = 8;

/// How many records a seek fetches: a short walk, or one among many sources, needs few. The steps after it fetch two each until they are ahead.
const PREFETCH_AT_SEEK: usize = 3;

/// How much of each: header, key and the start of the value.
const PREFETCH_LINES: usize = 3;

/// A record, and where it was found: in `slot` of `leaf` when that had `version`. A slot equal to the leaf's count
/// stands for the leaf's upper fence, the first record of the next leaf.
#[derive(Clone, Copy)]
struct Standing {
    record: RecordPtr,
    leaf: NonNull<Node>,
    version: u64,
    slot: usize,
    /// The slots before this one have been fetched, from the one that the walk came to first in this leaf.
    fetched: usize,
}

/// Walks a [`BTreeMemTable`], in both directions at the same cost.
pub struct BTreeCursor {
    table: Arc<BTreeMemTable>,
    at: Option<Standing>,
}

// SAFETY: the addresses are good as long as the table, which the cursor shares; nothing belongs to a thread.
unsafe impl Send for BTreeCursor {}
// SAFETY: as above; `&self` gives out only shared borrows of unchanging records.
unsafe impl Sync for BTreeCursor {}

impl fmt::Debug for BTreeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BTreeCursor").field("at", &self.current().map(|entry| entry.key)).finish()
    }
}

/// Stands on `slot` of `leaf`, or nowhere behind the last record of the table; fails if the leaf changed.
#[inline]
fn stand(leaf: Reading<'_>, slot: usize, fetched: usize) -> Result<Option<Standing>, Again> {
    let record = if slot < leaf.node.count() { leaf.node.record(slot) } else { leaf.node.upper() };
    leaf.check()?;
    Ok(record.map(|record| Standing {
        record: record.address(),
        leaf: leaf.node.address(),
        version: leaf.version,
        slot,
        fetched,
    }))
}

/// Asks for the record in `slot`, if there is such a slot, for a step to come.
#[inline]
fn fetch_ahead(leaf: NodeRef<'_>, slot: usize) {
    if let Some(record) = leaf.record(slot) {
        let start = record.address().as_ptr().cast::<u8>().cast_const();
        (0..PREFETCH_LINES).for_each(|line| prefetch(start.wrapping_add(64 * line)));
    }
}

impl BTreeMemTable {
    /// The least version at or after the target.
    fn try_seek(&self, target: &Target<'_>) -> Result<Option<Standing>, Again> {
        let Some(leaf) = self.find_leaf(|node| node.rank(target, true))? else { return Ok(None) };
        let slot = leaf.node.rank(target, false);
        let fetched = slot + PREFETCH_AT_SEEK;
        (slot..fetched).for_each(|slot| fetch_ahead(leaf.node, slot));
        stand(leaf, slot, fetched)
    }

    /// The greatest version before the target, or of all.
    fn try_seek_before(&self, target: Option<&Target<'_>>) -> Result<Option<Standing>, Again> {
        // What is before a separator is left of it, even if the target is the separator.
        let rank = |node: NodeRef<'_>| target.map_or(node.count(), |target| node.rank(target, false));
        let Some(leaf) = self.find_leaf(rank)? else { return Ok(None) };
        match rank(leaf.node).checked_sub(1) {
            Some(slot) => stand(leaf, slot, slot),
            // Only in the first leaf: others hold their lower fence, which is before the target.
            None => leaf.check().map(|()| None),
        }
    }

    /// Where the record stood on is now, and the leaf that holds it.
    #[inline]
    fn find_again<'t>(&'t self, at: Standing, slots_ahead: usize) -> Result<(Reading<'t>, usize), Again> {
        // SAFETY: the address of a node of this table, which lives as long as the table.
        let leaf = unsafe { NodeRef::from_ptr(at.leaf.as_ptr()) }.ok_or(Again)?;
        let leaf = Reading { node: leaf, version: at.version };
        if leaf.check().is_ok() && at.slot + slots_ahead <= leaf.node.count() {
            return Ok((leaf, at.slot));
        }
        // SAFETY: a record of this table.
        let target = Target::of_record(unsafe { at.record.record() });
        let leaf = self.find_leaf(|node| node.rank(&target, true))?.ok_or(Again)?;
        Ok((leaf, leaf.node.rank(&target, false)))
    }

    #[inline]
    fn try_next(&self, at: Standing) -> Result<Option<Standing>, Again> {
        let (leaf, slot) = self.find_again(at, 1)?;
        let ahead = slot + 1 + PREFETCH_SLOTS;
        let (from, to) = if leaf.node.address() == at.leaf {
            let from = at.fetched.max(slot + 1);
            (from, ahead.min(from + 2))
        } else {
            // The walk has just come to this leaf, so it is a long one: nothing was fetched ahead yet.
            (slot + 1, ahead)
        };
        (from..to).for_each(|slot| fetch_ahead(leaf.node, slot));
        stand(leaf, slot + 1, to.max(from))
    }

    #[inline]
    fn try_prev(&self, at: Standing) -> Result<Option<Standing>, Again> {
        let (leaf, slot) = self.find_again(at, 0)?;
        if slot > 0 {
            fetch_ahead(leaf.node, slot.wrapping_sub(PREFETCH_SLOTS));
            return stand(leaf, slot - 1, slot);
        }
        // SAFETY: a record of this table.
        let target = Target::of_record(unsafe { at.record.record() });
        let standing = self.try_seek_before(Some(&target))?;
        if let Some(Standing { leaf, slot, .. }) = standing {
            // SAFETY: the address of a node of this table.
            let leaf = unsafe { NodeRef::from_ptr(leaf.as_ptr()) }.ok_or(Again)?;
            (1..PREFETCH_SLOTS).for_each(|back| fetch_ahead(leaf, slot.wrapping_sub(back)));
        }
        Ok(standing)
    }
}

impl BTreeCursor {
    pub(super) fn new(table: Arc<BTreeMemTable>) -> Self {
        BTreeCursor { table, at: None }
    }

    #[inline]
    fn record(&self) -> Option<Record<'_>> {
        // SAFETY: a record of the table that the cursor shares.
        self.at.map(|at| unsafe { at.record.record() })
    }
}

impl Cursor for BTreeCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.at = until_undisturbed(|| self.table.try_seek(&Target::FIRST));
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.at = until_undisturbed(|| self.table.try_seek_before(None));
        Ok(())
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        let target = Target::of_key(target);
        self.at = until_undisturbed(|| self.table.try_seek(&target));
        Ok(())
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        let target = Target::of_key(target);
        self.at = until_undisturbed(|| self.table.try_seek_before(Some(&target)));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<(), Infallible> {
        if let Some(at) = self.at {
            self.at = until_undisturbed(|| self.table.try_next(at));
        }
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Infallible> {
        if let Some(at) = self.at {
            self.at = until_undisturbed(|| self.table.try_prev(at));
        }
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
