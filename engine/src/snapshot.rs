//! Snapshots: sequence numbers that compaction must keep readable.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use terrace_entry::SeqNo;

use crate::shared::Shared;
use crate::sync::{Mutex, PoisonError};
use crate::{Error, Iter, Keyspace, Parts, Result};

/// The snapshots held, with how often each sequence number is.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    held: Mutex<BTreeMap<SeqNo, usize>>,
}

impl Snapshots {
    /// Takes a snapshot of what `visible` says, read under the lock: a compaction that began before it knows a boundary at or below, one
    /// that begins later knows this one.
    fn take(&self, visible: impl FnOnce() -> SeqNo) -> SeqNo {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let seqno = visible();
        *held.entry(seqno).or_default() += 1;
        seqno
    }

    fn give_back(&self, seqno: SeqNo) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&seqno) {
            *count -= 1;
            if *count == 0 {
                held.remove(&seqno);
            }
        }
    }

    /// The boundaries that a merge must respect: every snapshot and, last, what is visible now. Ascending, distinct.
    pub(crate) fn boundaries(&self, visible: impl FnOnce() -> SeqNo) -> Vec<SeqNo> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut boundaries: Vec<SeqNo> = held.keys().copied().collect();
        let visible = visible();
        if boundaries.last() != Some(&visible) {
            boundaries.push(visible);
        }
        boundaries
    }

    /// Each sequence number that is held, with how often.
    pub(crate) fn held(&self) -> Vec<(SeqNo, usize)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(&seqno, &count)| (seqno, count)).collect()
    }

    /// What the oldest snapshot reads at.
    pub(crate) fn oldest(&self) -> Option<SeqNo> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keys().next().copied()
    }

    pub(crate) fn count(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().map(|&count| count as u64).sum()
    }
}

/// The database as it was when the snapshot was taken, over all keyspaces. Owned: no lifetime ties it to the handle.
///
/// While it lives, compaction keeps the versions that it sees, which costs space when they are overwritten. It costs no memory
/// and no copy to take one.
pub struct Snapshot<P: Parts> {
    shared: Arc<Shared<P>>,
    default: Keyspace<P>,
    seqno: SeqNo,
}

impl<P: Parts> Snapshot<P> {
    pub(crate) fn take(shared: &Arc<Shared<P>>, default: &Keyspace<P>) -> Self {
        let seqno = shared.snapshots.take(|| shared.visible());
        Snapshot { shared: Arc::clone(shared), default: default.clone(), seqno }
    }

    /// Its place in the order of all writes.
    #[must_use]
    pub fn seqno(&self) -> SeqNo {
        self.seqno
    }

    /// The value of a key of the default keyspace.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.get_in(&self.default, key)
    }

    /// The value of a key of `keyspace`.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn get_in(&self, keyspace: &Keyspace<P>, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.shared.get(self.tree_of(keyspace)?, key.as_ref(), Some(self.seqno))
    }

    /// Lends the value of a key of `keyspace` to `read`, as [`crate::Engine::get_ref`] does.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn get_ref_in<R>(
        &self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.shared.get_ref(self.tree_of(keyspace)?, key.as_ref(), Some(self.seqno), read)
    }

    /// Everything in the default keyspace, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<P> {
        self.range::<&[u8], _>(..)
    }

    /// What lies in a range of keys of the default keyspace.
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Iter<P> {
        self.range_in(&self.default, range)
    }

    /// What lies in a range of keys of `keyspace`.
    pub fn range_in<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, keyspace: &Keyspace<P>, range: R) -> Iter<P> {
        match self.tree_of(keyspace) {
            Ok(tree) => Iter::new(&self.shared, tree, Some(self.seqno), &range),
            Err(error) => Iter::failed(error),
        }
    }

    /// What begins with `prefix` in the default keyspace.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Iter<P> {
        match self.tree_of(&self.default) {
            Ok(tree) => Iter::with_prefix(&self.shared, tree, Some(self.seqno), prefix.as_ref()),
            Err(error) => Iter::failed(error),
        }
    }

    fn tree_of<'a>(&self, keyspace: &'a Keyspace<P>) -> Result<&'a Arc<crate::tree::Tree<P>>> {
        if !Arc::ptr_eq(&self.shared, keyspace.shared()) {
            let what = "the keyspace belongs to another database than the snapshot".to_owned();
            return Err(Error::InvalidArgument(what));
        }
        Ok(keyspace.tree())
    }
}

impl<P: Parts> Clone for Snapshot<P> {
    fn clone(&self) -> Self {
        let seqno = self.shared.snapshots.take(|| self.seqno);
        Snapshot { shared: Arc::clone(&self.shared), default: self.default.clone(), seqno }
    }
}

impl<P: Parts> Drop for Snapshot<P> {
    fn drop(&mut self) {
        self.shared.snapshots.give_back(self.seqno);
    }
}

impl<P: Parts> fmt::Debug for Snapshot<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("seqno", &self.seqno).finish()
    }
}
