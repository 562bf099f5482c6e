//! Into the memtables, and then visible, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::MemTable;

use super::{Place, locked};
use crate::batch::{OpReader, Ops};
use crate::shared::Shared;
use crate::sync::PoisonError;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::{Error, Parts, Result};

/// A group on its way to visibility.
pub(super) struct Group {
    pub(super) last: u64,
    pub(super) remaining: AtomicUsize,
}

/// The groups that are logged and not visible yet, in order.
#[derive(Default)]
pub(super) struct Publishing {
    groups: VecDeque<Arc<Group>>,
    /// The last sequence number of the first group that will never be whole, since an insert panicked. It and all
    /// behind it stay invisible.
    broken: Option<u64>,
    /// Threads that sleep until more is visible.
    sleepers: usize,
}

impl<P: Parts> Shared<P> {
    /// Puts a batch into the memtables. After an error, which is a memtable's panic, some of it may be in them and must never become visible.
    pub(super) fn insert(&self, place: &Place<P>, ops: Ops<'_>) -> Result<()> {
        self.guarded(|| {
            self.insert_unguarded(place, ops);
            Ok(())
        })
    }

    pub(super) fn insert_unguarded(&self, place: &Place<P>, ops: Ops<'_>) {
        let user_bytes = insert_each(place, ops);
        self.counters.writes.add(u64::from(ops.count()));
        self.counters.user_bytes.add(user_bytes as u64);
    }

    pub(super) fn announce(&self, last: u64, members: usize) -> Arc<Group> {
        let group = Arc::new(Group { last, remaining: AtomicUsize::new(members) });
        let mut publishing = locked(&self.commit.publishing);
        publishing.groups.push_back(Arc::clone(&group));
        self.commit.unpublished.store(publishing.groups.len(), Ordering::Release);
        if members == 0 {
            self.advance(&mut publishing);
        }
        group
    }

    /// One member of the group is inserted, or has failed to be; returns when the group is visible or never will be.
    pub(super) fn publish(&self, group: &Group, inserted: Result<()>) -> Result<()> {
        let mut publishing = locked(&self.commit.publishing);
        if let Err(error) = inserted {
            let broken = publishing.broken.unwrap_or(u64::MAX).min(group.last);
            publishing.broken = Some(broken);
            self.commit.published.notify_all();
            return Err(error);
        }
        group.remaining.fetch_sub(1, Ordering::AcqRel);
        self.advance(&mut publishing);
        drop(publishing);
        // The others of the group insert at the same time, so they are done soon, and sleeping takes longer.
        let is_visible = || (self.visible.load(Ordering::Acquire) >= group.last).then_some(());
        if self.commit.lookers.look(true, is_visible).is_some() {
            return Ok(());
        }
        let mut publishing = locked(&self.commit.publishing);
        while self.visible.load(Ordering::Acquire) < group.last {
            if publishing.broken.is_some_and(|broken| broken <= group.last) {
                // The failure is there: it was noted before the group was marked.
                return Err(self.check_writable().err().unwrap_or(Error::Closed));
            }
            publishing.sleepers += 1;
            publishing = self.commit.published.wait(publishing).unwrap_or_else(PoisonError::into_inner);
            publishing.sleepers -= 1;
        }
        Ok(())
    }

    pub(super) fn advance(&self, publishing: &mut Publishing) {
        let mut advanced = false;
        while let Some(group) = publishing.groups.front() {
            if group.remaining.load(Ordering::Acquire) > 0 {
                break;
            }
            self.visible.store(group.last, Ordering::Release);
            publishing.groups.pop_front();
            advanced = true;
        }
        // Release, and after `visible`: a leader that finds no group here sees all of them visible.
        self.commit.unpublished.store(publishing.groups.len(), Ordering::Release);
        if advanced && publishing.sleepers > 0 {
            self.commit.published.notify_all();
        }
    }
}

/// Returns the bytes of keys and values.
fn insert_each<P: Parts>(place: &Place<P>, ops: Ops<'_>) -> usize {
    match ops {
        Ops::One { keyspace, kind, key, value } => {
            if let Some(mem) = place.mems.get(keyspace[0]) {
                mem.table.insert(InternalKey::new(key, place.first, kind), value);
            }
            key.len() + value.len()
        }
        Ops::Encoded { bytes, .. } => {
            let (mut seqno, mut user_bytes) = (place.first.get(), 0);
            let mut reader = OpReader::new(bytes);
            while let Ok(Some(op)) = reader.next() {
                if let Some(mem) = place.mems.get(op.keyspace) {
                    let key = InternalKey::new(op.key, SeqNo::new(seqno), op.kind);
                    mem.table.insert(key, op.value);
                }
                user_bytes += op.key.len() + op.value.len();
                seqno += 1;
            }
            user_bytes
        }
    }
}
