//! Versions that wait for their place in the order, and how they come to it.
//!
//! Waiting versions are a stack: an insert adds to its top by one compare-and-swap, whoever asks for the order takes
//! all of it by one swap. They are sorted by eight bytes behind what all their keys share, and go into the
//! tree in that order: neighbours meet in the same leaf, and records are fetched ahead.
//!
//! # Invariants
//!
//! * **Announced**: `settling` is set before versions are taken, and cleared after all of them are in the tree. So
//!   who finds no version waiting and `settling` clear finds in the tree all that was inserted before.

use core::ptr;
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::PoisonError;

use crate::MemTable;
use crate::arena::RecordHeader;
use crate::btree::BTreeMemTable;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex};
use crate::target::{Target, head_at};

use super::version::Version;

/// Up to so many are put in as they come: sorting would not pay.
const FEW: usize = 8;
/// How many versions ahead of the one that goes into the tree are fetched.
const PREFETCH_VERSIONS: usize = 16;

/// The versions that no cursor has asked for yet.
pub(super) struct Waiting {
    newest: AtomicPtr<RecordHeader>,
    settling: AtomicUsize,
    /// Held by who moves versions to the tree.
    moving: Mutex<()>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Waiting {
            newest: AtomicPtr::new(ptr::null_mut()),
            settling: AtomicUsize::new(0),
            moving: Mutex::new(()),
        }
    }

    /// Adds a version.
    #[inline]
    pub(super) fn add(&self, version: Version<'_>) {
        let mut newest = self.newest.load(Relaxed);
        loop {
            version.set_next_waiting(newest);
            match self.newest.compare_exchange(newest, version.address(), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// Moves every version whose insert returned before this call to `tree`, which owns their arena. Some `len` versions
    /// wait or are there: so much memory is taken at once.
    #[inline]
    pub(super) fn settle(&self, tree: &BTreeMemTable, len: usize) {
        // Acquire, both: who sees that nothing waits sees that it was taken, and who sees that it was moved sees the tree.
        if !self.newest.load(Acquire).is_null() || self.settling.load(Acquire) != 0 {
            self.move_all(tree, len);
        }
    }

    #[cold]
    fn move_all(&self, tree: &BTreeMemTable, len: usize) {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        self.settling.store(1, Relaxed);
        // Release: see Announced. Acquire: the versions taken are read.
        let taken = Version::take_waiting(&self.newest, tree.records());
        let mut waiting = core::iter::successors(taken, |version| version.next_waiting());
        let mut few = [None; FEW + 1];
        let mut count = 0;
        for (place, version) in few.iter_mut().zip(&mut waiting) {
            *place = Some(version);
            count += 1;
        }
        let few = few.iter().flatten().copied();
        if count <= FEW {
            few.for_each(|version| tree.insert_ascending(core::iter::once(version.record())));
        } else {
            insert_sorted(tree, few.chain(waiting), len.saturating_sub(tree.len()));
        }
        self.settling.store(0, Release);
    }
}

/// A version and eight bytes of its key.
#[derive(Clone, Copy)]
struct Keyed<'t> {
    head: u64,
    version: Version<'t>,
}

fn insert_sorted<'t>(tree: &'t BTreeMemTable, versions: impl Iterator<Item = Version<'t>>, expected: usize) {
    let (mut versions, skip) = with_heads(versions, expected);
    versions.sort_unstable_by_key(|keyed| keyed.head);
    for tied in versions.chunk_by_mut(|a, b| a.head == b.head).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by(|a, b| {
            Target::of_record(b.version.record()).order_of_tied(a.version.record(), skip)
        });
    }
    tree.insert_ascending(versions.iter().enumerate().map(|(number, keyed)| {
        if let Some(ahead) = versions.get(number + PREFETCH_VERSIONS) {
            ahead.version.prefetch();
        }
        keyed.version.record()
    }));
}

/// The versions, each with the eight bytes behind what all their keys share, and how much that is.
fn with_heads<'t>(versions: impl Iterator<Item = Version<'t>>, expected: usize) -> (Vec<Keyed<'t>>, usize) {
    let mut keyed: Vec<Keyed<'t>> = Vec::with_capacity(expected);
    let mut skip = usize::MAX;
    let mut shared: &[u8] = &[];
    for version in versions {
        version.prefetch_before();
        let key = version.record().user_key();
        if keyed.is_empty() {
            (shared, skip) = (key, key.len());
        }
        if !key.starts_with(shared) {
            skip = shared.iter().zip(key).take_while(|(a, b)| a == b).count();
            shared = &shared[..skip];
            // Seldom, after the first few: what random keys share is soon known.
            keyed.iter_mut().for_each(|keyed| keyed.head = head_at(keyed.version.record().user_key(), skip));
        }
        keyed.push(Keyed { head: head_at(key, skip), version });
    }
    (keyed, skip)
}
