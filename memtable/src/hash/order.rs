//! Versions that wait for their place in the order, and how they come to it.
//!
//! Waiting versions are a stack: an insert adds to its top by one compare-and-swap, whoever asks for the order takes
//! all of it by one swap. They are sorted (`hash/sorted.rs`) and go into the
//! tree in that order: neighbours meet in the same leaf, and records are fetched ahead. When no more inserts come and the tree is empty,
//! they stay an array instead.
//!
//! # Invariants
//!
//! * **Announced**: `settling` is set before versions are taken, and cleared after all of them are in the tree or the array is there. So
//!   who finds no version waiting and `settling` clear finds in one of them all that was inserted before.
//! * **Either**: once there is an array, the tree is empty, and nothing goes into it.

use core::ptr;
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{OnceLock, PoisonError};

use crate::MemTable;
use crate::arena::RecordHeader;
use crate::btree::BTreeMemTable;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex};

use super::sorted::{Heads, Place, Room, SortedPtr, sort};
use super::version::Version;

/// Up to so many are put in as they come: sorting would not pay.
const FEW: usize = 8;
/// How many versions ahead of the one that goes into the tree are fetched.
const PREFETCH_VERSIONS: usize = 16;

/// The versions that no cursor has asked for yet.
pub(super) struct Waiting {
    newest: AtomicPtr<RecordHeader>,
    settling: AtomicUsize,
    /// Held by who moves versions to the tree, or sorts them.
    moving: Mutex<()>,
    /// All versions, once no more come, if nobody had asked for the order before.
    sorted: OnceLock<SortedPtr>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Waiting {
            newest: AtomicPtr::new(ptr::null_mut()),
            settling: AtomicUsize::new(0),
            moving: Mutex::new(()),
            sorted: OnceLock::new(),
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

    /// Moves every version whose insert returned before this call to `tree`, which owns their arena, if there is no array. Some `len` versions
    /// wait or are there: so much memory is taken at once.
    #[inline]
    pub(super) fn settle(&self, tree: &BTreeMemTable, len: usize) {
        // Acquire, both: who sees that nothing waits sees that it was taken, and who sees that it was moved sees the tree.
        if !self.newest.load(Acquire).is_null() || self.settling.load(Acquire) != 0 {
            self.move_all(tree, len);
        }
    }

    /// The array, for who has settled first: then, if there is none, all is in the tree.
    #[inline]
    pub(super) fn sorted(&self) -> Option<SortedPtr> {
        self.sorted.get().copied()
    }

    /// Sorts all `len` versions of a table that takes no more inserts, unless some are in `tree`, which owns their arena, already.
    #[cold]
    pub(super) fn freeze(&self, tree: &BTreeMemTable, len: usize) {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if len == 0 || tree.len() > 0 || self.sorted.get().is_some() {
            return;
        }
        self.settling.store(1, Relaxed);
        let mut room = Room::new(tree.nodes(), len);
        // Release: see Announced. Acquire: the versions taken are read.
        let taken = Version::take_waiting(&self.newest, tree.records());
        let mut heads = Heads::default();
        for version in core::iter::successors(taken, |version| version.next_waiting()) {
            version.prefetch_before();
            let place = heads.place(version, room.places());
            room.push(place);
        }
        let _ = self.sorted.set(room.sorted(heads.skip()));
        self.settling.store(0, Release);
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

fn insert_sorted<'t>(tree: &'t BTreeMemTable, versions: impl Iterator<Item = Version<'t>>, expected: usize) {
    let mut places: Vec<Place<'t>> = Vec::with_capacity(expected);
    let mut heads = Heads::default();
    for version in versions {
        version.prefetch_before();
        let place = heads.place(version, &mut places);
        places.push(place);
    }
    sort(&mut places, heads.skip());
    tree.insert_ascending(places.iter().enumerate().map(|(number, place)| {
        if let Some(ahead) = places.get(number + PREFETCH_VERSIONS) {
            ahead.fetch();
        }
        place.record()
    }));
}
