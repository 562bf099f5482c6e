//! Versions sorted by eight bytes of their keys, and an array of them as the order of a table that takes no more inserts.
//!
//! # Algorithm
//!
//! Each version is a [`Place`]: eight bytes of its key, from behind what all keys share, and its address. Sorting compares the eight bytes, and whole keys
//! only among those where they are equal. In the array a seek is a binary search that touches a record only where heads do not tell, and a step is a
//! step to the next place, with records fetched ahead. Beside the tree (`btree.rs`) it takes a third less memory and none of the time to fill nodes, but
//! nothing can be inserted.
//!
//! # Invariants
//!
//! * **Complete**: the array is made when every insert has returned, and holds all versions.
//! * **In the arena**: it lies in the arena of its table, and so lives, unchanged, as long as that.
#![expect(unsafe_code, reason = "an array in the arena, shared by all cursors of its table")]

use bytes::Bytes;
use core::cmp::Ordering;
use core::convert::Infallible;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::sync::Arc;

use terrace_entry::{Cursor, Entry, InternalKey};

use crate::arena::{Arena, Record, RecordPtr, prefetch, value_bytes};
use crate::btree::BTreeMemTable;
use crate::target::{Target, head_at};

use super::version::Version;

/// How many places ahead records are fetched while walking.
const PREFETCH_PLACES: usize = 8;
/// How much of each: header, key and the start of the value.
const PREFETCH_LINES: usize = 3;

/// A version and eight bytes of its key.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    head: u64,
    record: RecordPtr,
    arena: PhantomData<&'t Arena<8>>,
}

impl<'t> Place<'t> {
    #[inline]
    pub(super) fn record(&self) -> Record<'t> {
        // SAFETY: the address of a version of a table that lives for 't, as `Heads::place` took it.
        unsafe { self.record.record() }
    }

    /// Asks for header, key and the start of the value.
    #[inline]
    pub(super) fn fetch(&self) {
        let start = self.record.as_ptr().cast_const();
        (0..PREFETCH_LINES).for_each(|line| prefetch(start.wrapping_byte_add(64 * line)));
    }
}

/// What keys seen so far share.
#[derive(Clone, Copy, Default)]
pub(super) struct Heads<'t> {
    shared: Option<&'t [u8]>,
}

impl<'t> Heads<'t> {
    /// How many bytes that is; heads are those behind them.
    pub(super) fn skip(self) -> usize {
        self.shared.map_or(0, <[u8]>::len)
    }

    /// The place of one more version. If its key shares less than those before it, their heads are made anew: seldom, after the first few, since
    /// what random keys share is soon known.
    #[inline]
    pub(super) fn place(&mut self, version: Version<'t>, before: &mut [Place<'t>]) -> Place<'t> {
        let key = version.record().user_key();
        let shared = *self.shared.get_or_insert(key);
        if !key.starts_with(shared) {
            let skip = shared.iter().zip(key).take_while(|(a, b)| a == b).count();
            self.shared = Some(&shared[..skip]);
            before.iter_mut().for_each(|place| place.head = head_at(place.record().user_key(), skip));
        }
        Place { head: head_at(key, self.skip()), record: version.record().address(), arena: PhantomData }
    }
}

/// Sorts places whose heads are those behind the first `skip` bytes of their keys, which all share.
pub(super) fn sort(places: &mut [Place<'_>], skip: usize) {
    places.sort_unstable_by_key(|place| place.head);
    for tied in places.chunk_by_mut(|a, b| a.head == b.head).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by(|a, b| Target::of_record(b.record()).order_of_tied(a.record(), skip));
    }
}

/// Room for an array in the arena.
pub(super) struct Room<'t> {
    places: &'t mut [MaybeUninit<Place<'t>>],
    len: usize,
}

impl<'t> Room<'t> {
    pub(super) fn new(arena: &'t Arena<64>, capacity: usize) -> Self {
        let first = arena.allocate(capacity * size_of::<Place<'_>>()).cast::<MaybeUninit<Place<'t>>>();
        // SAFETY: memory of this size, aligned to 64, ours alone for as long as the arena lives; it need not be initialised.
        let places = unsafe { core::slice::from_raw_parts_mut(first.as_ptr(), capacity) };
        Room { places, len: 0 }
    }

    /// # Panics
    ///
    /// When there is no more room.
    #[inline]
    pub(super) fn push(&mut self, place: Place<'t>) {
        self.places.get_mut(self.len).expect("a frozen table takes no more inserts").write(place);
        self.len += 1;
    }

    /// What was pushed.
    #[inline]
    pub(super) fn places(&mut self) -> &mut [Place<'t>] {
        let written = &mut self.places[..self.len];
        let (first, len) = (written.as_mut_ptr().cast::<Place<'t>>(), written.len());
        // SAFETY: so many were written by `push`.
        unsafe { core::slice::from_raw_parts_mut(first, len) }
    }

    /// Sorts what was pushed, and keeps it.
    pub(super) fn sorted(mut self, skip: usize) -> SortedPtr {
        sort(self.places(), skip);
        let len = self.len;
        SortedPtr { first: NonNull::from(self.places).cast(), len, skip }
    }
}

/// The array of a table; whoever has it keeps it beside the table or shares the table.
#[derive(Clone, Copy)]
pub(super) struct SortedPtr {
    first: NonNull<Place<'static>>,
    len: usize,
    skip: usize,
}

// SAFETY: an address; what it leads to never changes, and lives as long as the table.
unsafe impl Send for SortedPtr {}
// SAFETY: as above.
unsafe impl Sync for SortedPtr {}

/// Walks the array of a table, which it shares.
pub(super) struct SortedCursor {
    table: Arc<BTreeMemTable>,
    sorted: SortedPtr,
    at: Option<usize>,
}

impl SortedCursor {
    /// A cursor over the array that `table` made, standing nowhere.
    pub(super) fn new(table: Arc<BTreeMemTable>, sorted: SortedPtr) -> Self {
        SortedCursor { table, sorted, at: None }
    }

    #[inline]
    fn places(&self) -> &[Place<'_>] {
        let first: *const Place<'_> = self.sorted.first.as_ptr().cast();
        // SAFETY: by In the arena, so many were written there by `Room`, and live as long as the table, which is shared.
        unsafe { core::slice::from_raw_parts(first, self.sorted.len) }
    }

    /// How many versions are before the target.
    fn rank(&self, target: &Target<'_>) -> usize {
        let (places, skip) = (self.places(), self.sorted.skip);
        let Some(first) = places.first() else { return 0 };
        let shared = &first.record().user_key()[..skip];
        match target.user_key[..skip.min(target.user_key.len())].cmp(shared) {
            Ordering::Less => 0,
            Ordering::Greater => places.len(),
            Ordering::Equal => {
                let head = head_at(target.user_key, skip);
                places.partition_point(|place| {
                    place.head.cmp(&head).then_with(|| target.order_of_tied(place.record(), skip)).is_lt()
                })
            }
        }
    }

    fn stand(&mut self, at: Option<usize>) -> Result<(), Infallible> {
        self.at = at.filter(|&at| at < self.sorted.len);
        if let Some(at) = self.at {
            let end = self.sorted.len.min(at + PREFETCH_PLACES);
            self.places()[at..end].iter().for_each(Place::fetch);
        }
        Ok(())
    }

    #[inline]
    fn step(&mut self, at: Option<usize>, ahead: impl Fn(usize) -> usize) -> Result<(), Infallible> {
        self.at = at.filter(|&at| at < self.sorted.len);
        if let Some(place) = self.at.and_then(|at| self.places().get(ahead(at))) {
            place.fetch();
        }
        Ok(())
    }

    #[inline]
    fn record(&self) -> Option<Record<'_>> {
        self.at.map(|at| self.places()[at].record())
    }
}

impl Cursor for SortedCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.stand(Some(0))
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.stand(self.sorted.len.checked_sub(1))
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand(Some(self.rank(&Target::of_key(target))))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand(self.rank(&Target::of_key(target)).checked_sub(1))
    }

    #[inline]
    fn next(&mut self) -> Result<(), Infallible> {
        self.step(self.at.map(|at| at + 1), |at| at + PREFETCH_PLACES)
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Infallible> {
        self.step(self.at.and_then(|at| at.checked_sub(1)), |at| at.wrapping_sub(PREFETCH_PLACES))
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        self.record().map(|record| Entry { key: record.key(), value: record.value() })
    }

    fn value_bytes(&self) -> Bytes {
        // SAFETY: the places are of records of the table that the cursor shares.
        self.record().map_or_else(Bytes::new, |record| unsafe { value_bytes(&self.table, record) })
    }
}
