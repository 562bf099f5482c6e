//! A tree: one keyspace's memtables and tables, and the background work on them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use terrace_compaction::{TableId, Task};

use crate::batch::KeyspaceId;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwap, Guard, Mutex, MutexGuard, PoisonError};
use crate::version::{Mem, View};
use crate::{Parts, Result};

/// What runs on a tree.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Tables that a running compaction reads.
    pub(crate) busy: BTreeSet<TableId>,
    pub(crate) flushing: bool,
    pub(crate) compactions: usize,
    /// The tasks that run, for people.
    pub(crate) running: Vec<Task>,
    /// While somebody compacts by hand, the picker rests.
    pub(crate) manual: bool,
    /// When the picker is asked again though nothing has changed, on the engine's clock.
    pub(crate) look_again_at: Option<Duration>,
    /// What the picker said last, for people.
    pub(crate) remarks: Vec<String>,
}

pub(crate) struct Tree<P: Parts> {
    pub(crate) id: KeyspaceId,
    pub(crate) name: String,
    view: ArcSwap<View<P>>,
    /// Held while the view is replaced, so that a sealed memtable and a new version do not lose one another.
    swapping: Mutex<()>,
    work: Mutex<Work>,
    /// The picker's pressure, as the bits of an `f64`.
    pressure: AtomicU64,
    /// Bytes that the picker wants merged.
    debt_bytes: AtomicU64,
    /// Compactions begun and not yet done; a copy of what is in `work`, for those who must not wait for a picker.
    compactions: AtomicU64,
    /// Reads in vain since they last had the picker asked.
    vain_reads: AtomicU64,
    removed: AtomicBool,
}

impl<P: Parts> Tree<P> {
    pub(crate) fn new(id: KeyspaceId, name: String, view: View<P>) -> Arc<Self> {
        // How fast writers will be nobody knows yet; more than half as fast as a flush, to be careful.
        let memtable_bytes = view.active.full_at.load(Ordering::Relaxed);
        view.active.limit(memtable_bytes, 5, 5, 3);
        Arc::new(Tree {
            id,
            name,
            view: ArcSwap::from_pointee(view),
            swapping: Mutex::new(()),
            work: Mutex::default(),
            pressure: AtomicU64::new(0),
            debt_bytes: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
            vain_reads: AtomicU64::new(0),
            removed: AtomicBool::new(false),
        })
    }

    /// The view in force, without a shared counter: for look-ups.
    #[inline]
    pub(crate) fn view(&self) -> Guard<Arc<View<P>>> {
        self.view.load()
    }

    /// The view in force, to keep.
    pub(crate) fn pin(&self) -> Arc<View<P>> {
        self.view.load_full()
    }

    /// Replaces the view by what `change` makes of it.
    pub(crate) fn swap_view(&self, change: impl FnOnce(&View<P>) -> Result<View<P>>) -> Result<()> {
        let _swapping = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let next = change(&self.view.load())?;
        self.view.store(Arc::new(next));
        Ok(())
    }

    /// Seals the active memtable, whose last write is `last_seqno`, and puts an empty one in its place.
    pub(crate) fn seal(&self, last_seqno: u64, memtable_bytes: usize) -> Result<()> {
        self.swap_view(|view| {
            view.active.last_seqno.store(last_seqno, Ordering::Release);
            let mut sealed = Vec::with_capacity(view.sealed.len() + 1);
            sealed.push(Arc::clone(&view.active));
            sealed.extend(view.sealed.iter().cloned());
            let version = Arc::clone(&view.version);
            Ok(View { active: view.active.successor(memtable_bytes), sealed, version })
        })
    }

    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pressure(&self) -> f64 {
        f64::from_bits(self.pressure.load(Ordering::Relaxed))
    }

    pub(crate) fn debt_bytes(&self) -> u64 {
        self.debt_bytes.load(Ordering::Relaxed)
    }

    /// What the picker said last.
    pub(crate) fn set_pressure(&self, pressure: f64, debt_bytes: u64) {
        self.pressure.store(pressure.to_bits(), Ordering::Relaxed);
        self.debt_bytes.store(debt_bytes, Ordering::Relaxed);
    }

    /// Whether any compaction is begun and not yet done.
    pub(crate) fn is_compacting(&self) -> bool {
        self.compactions.load(Ordering::Acquire) > 0
    }

    pub(crate) fn set_compactions(&self, work: &Work) {
        self.compactions.store(work.compactions as u64, Ordering::Release);
    }

    /// Counts reads in vain. True, once, when they are `ask_after` or more: the picker is to be asked, and the count begins anew.
    pub(crate) fn count_vain_reads(&self, reads: u64, ask_after: u64) -> bool {
        let now = self.vain_reads.fetch_add(reads, Ordering::Relaxed) + reads;
        now >= ask_after && self.vain_reads.swap(0, Ordering::Relaxed) >= ask_after
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// The oldest log that a memtable of this tree needs, `skip` aside; `u64::MAX` when none is needed.
    pub(crate) fn first_log(&self, skip: Option<&Arc<Mem<P>>>) -> u64 {
        let view = self.view();
        let needed = view.mems().filter(|mem| !skip.is_some_and(|skip| Arc::ptr_eq(skip, mem)));
        needed.map(|mem| mem.first_log.load(Ordering::Acquire)).min().unwrap_or(u64::MAX)
    }
}
