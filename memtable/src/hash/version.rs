//! A version in the arena and its links: to the next older version of its key, and to the one that waits behind it
//! for its place in the order.
//!
//! # Invariants
//!
//! * **Linked in front**: every record that this table makes has its [`Links`] directly before it, in the same
//!   allocation, written before its address is known to others.
//! * **Newest first**: from a version, `older` leads to versions of the same key with falling trailers, and never
//!   past one that is in the chain.
#![expect(unsafe_code, reason = "follows the addresses of records and of the links in front of them")]

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use terrace_entry::InternalKey;

use crate::arena::{Arena, Record, RecordHeader, RecordPtr, prefetch};
use crate::sync::AtomicPtr;

/// What lies before each record.
#[repr(C)]
struct Links {
    /// The version that was added to the waiting ones before this one.
    waiting: AtomicPtr<RecordHeader>,
    /// The next older version of the same key.
    older: AtomicPtr<RecordHeader>,
}

/// A version of the table that lives for `'t`.
#[derive(Clone, Copy)]
pub(super) struct Version<'t> {
    address: NonNull<RecordHeader>,
    table: PhantomData<&'t Arena<8>>,
}

impl<'t> Version<'t> {
    /// Copies a version into the arena, with links to nothing.
    #[inline]
    pub(super) fn make(arena: &'t Arena<8>, key: InternalKey<'_>, value: &[u8]) -> Self {
        let (links, record) = arena.add_record(size_of::<Links>(), key, value);
        let unlinked =
            Links { waiting: AtomicPtr::new(ptr::null_mut()), older: AtomicPtr::new(ptr::null_mut()) };
        // SAFETY: the bytes asked for before the record, ours alone; the arena aligns them to 8.
        unsafe { links.cast::<Links>().write(unlinked) };
        // SAFETY: a record always has an address.
        let address = unsafe { NonNull::new_unchecked(record.as_ptr()) };
        Version { address, table: PhantomData }
    }

    /// The version at an address, if it is not null.
    ///
    /// # Safety
    ///
    /// `address` is null or came from [`Version::address`] of a version of the same table, which lives for `'t`; if from
    /// another thread, then through a release store and an acquire load.
    #[inline]
    pub(super) unsafe fn from_address(address: *mut RecordHeader) -> Option<Self> {
        NonNull::new(address).map(|address| Version { address, table: PhantomData })
    }

    #[inline]
    pub(super) fn address(self) -> *mut RecordHeader {
        self.address.as_ptr()
    }

    #[inline]
    pub(super) fn record(self) -> Record<'t> {
        // SAFETY: the address of a whole record, by the word of whoever made this value.
        let record = unsafe { RecordPtr::from_address(self.address) };
        // SAFETY: the table, and with it the arena, lives for 't.
        unsafe { record.record() }
    }

    #[inline]
    fn links(self) -> &'t Links {
        // SAFETY: by Linked in front.
        let links = unsafe { self.address.cast::<Links>().sub(1) };
        // SAFETY: as above; the links are atomic, and alive for 't.
        unsafe { links.as_ref() }
    }

    /// The next older version of the same key.
    #[inline]
    pub(super) fn older(self) -> Option<Version<'t>> {
        // SAFETY: only addresses of versions of this table are stored there, with release.
        unsafe { Version::from_address(self.links().older.load(Acquire)) }
    }

    /// Sets what is older than a version that nobody else knows yet.
    #[inline]
    pub(super) fn set_older(self, older: Option<Version<'t>>) {
        self.links().older.store(older.map_or(ptr::null_mut(), Version::address), Relaxed);
    }

    /// Puts `version`, which nobody else knows yet, at its place in the chain below this one, which is newer.
    #[cold]
    pub(super) fn insert_below(self, version: Version<'t>) {
        let trailer = version.record().trailer();
        let mut above = self;
        loop {
            let below = above.older();
            if let Some(newer) = below.filter(|below| below.record().trailer() > trailer) {
                above = newer;
                continue;
            }
            version.set_older(below);
            let expected = below.map_or(ptr::null_mut(), Version::address);
            let link = &above.links().older;
            // Release: whoever follows the link sees the version whole.
            if link.compare_exchange(expected, version.address(), Release, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// The newest version at or below `trailer`, of this one and those older.
    #[inline]
    pub(super) fn at_or_below(self, trailer: u64) -> Option<Version<'t>> {
        let mut at = Some(self);
        while let Some(version) = at.filter(|version| version.record().trailer() > trailer) {
            at = version.older();
        }
        at
    }

    /// Takes all that wait: the newest of them, and through it the others.
    pub(super) fn take_waiting(newest: &AtomicPtr<RecordHeader>, _arena: &'t Arena<8>) -> Option<Self> {
        let taken = newest.swap(ptr::null_mut(), AcqRel);
        // SAFETY: only versions of the table are added there, with release.
        unsafe { Version::from_address(taken) }
    }

    /// The version that waited before this one did, for who has taken all that wait.
    #[inline]
    pub(super) fn next_waiting(self) -> Option<Version<'t>> {
        // SAFETY: as in `older`; whoever took the newest with acquire sees all that were added before it.
        unsafe { Version::from_address(self.links().waiting.load(Relaxed)) }
    }

    #[inline]
    pub(super) fn set_next_waiting(self, next: *mut RecordHeader) {
        self.links().waiting.store(next, Relaxed);
    }

    /// Asks for what was made a little before: of versions of one thread, those that waited before this one.
    #[inline]
    pub(super) fn prefetch_before(self) {
        prefetch(self.address.as_ptr().wrapping_byte_sub(1024));
    }

    /// Asks for what lies behind its header and the first bytes of its key: where its value is the header tells, which is a miss by itself. The 16 bits of a
    /// slot say that it is the version looked for but for one time in 65,536.
    #[inline]
    pub(super) fn prefetch_behind(self) {
        prefetch(self.address.as_ptr().wrapping_byte_add(64));
        prefetch(self.address.as_ptr().wrapping_byte_add(128));
    }

    /// Asks for its header and key.
    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.address.as_ptr());
        prefetch(self.address.as_ptr().wrapping_byte_add(64));
    }
}
