//! Into the memtables, and then visible, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::MemTable;

use super::{Place, locked};
use crate::Parts;
use crate::batch::{OpReader, Ops};
use crate::shared::Shared;
use crate::sync::PoisonError;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A group on its way to visibility.
pub(super) struct Group {
    pub(super) last: u64,
    pub(super) remaining: AtomicUsize,
}

impl<P: Parts> Shared<P> {
    pub(super) fn insert(&self, place: &Place<P>, ops: Ops<'_>) {
        self.counters.writes.add(u64::from(ops.count()));
        self.counters.user_bytes.add(ops.bytes() as u64);
        match ops {
            Ops::One { keyspace, kind, key, value } => {
                if let Some(mem) = place.mems.get(keyspace[0]) {
                    mem.table.insert(InternalKey::new(key, place.first, kind), value);
                }
            }
            Ops::Encoded { bytes, .. } => {
                let mut seqno = place.first.get();
                let mut reader = OpReader::new(bytes);
                while let Ok(Some(op)) = reader.next() {
                    if let Some(mem) = place.mems.get(op.keyspace) {
                        let key = InternalKey::new(op.key, SeqNo::new(seqno), op.kind);
                        mem.table.insert(key, op.value);
                    }
                    seqno += 1;
                }
            }
        }
    }

    pub(super) fn announce(&self, last: u64, members: usize) -> Arc<Group> {
        let group = Arc::new(Group { last, remaining: AtomicUsize::new(members) });
        let mut publishing = locked(&self.commit.publishing);
        publishing.push_back(Arc::clone(&group));
        if members == 0 {
            self.advance(&mut publishing);
        }
        group
    }

    /// One member of the group is inserted; returns when the group is visible.
    pub(super) fn publish(&self, group: &Group) {
        let mut publishing = locked(&self.commit.publishing);
        group.remaining.fetch_sub(1, Ordering::AcqRel);
        self.advance(&mut publishing);
        while self.visible.load(Ordering::Acquire) < group.last {
            publishing = self.commit.published.wait(publishing).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn advance(&self, publishing: &mut VecDeque<Arc<Group>>) {
        let mut advanced = false;
        while let Some(group) = publishing.front() {
            if group.remaining.load(Ordering::Acquire) > 0 {
                break;
            }
            self.visible.store(group.last, Ordering::Release);
            publishing.pop_front();
            advanced = true;
        }
        if advanced {
            self.commit.published.notify_all();
        }
    }
}
