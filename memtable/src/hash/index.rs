//! The index: from the hash of a key to the newest version of it.
//!
//! # Algorithm
//!
//! Open addressing with linear probing, from the start of a cache line on, in one of many small tables (*shards*, by the top bits of the hash). A
//! slot is one atomic address of a version, with 16 bits of the hash in its unused top bits: a look-up reads the
//! line of the slot and, unless 16 bits deceive it, only the version it looks for.
//!
//! A slot goes from empty to the first version of a key and from there to newer versions of the same key, each by
//! one compare-and-swap. It never becomes empty again, so two writers that bring the same new key meet at the same slot.
//!
//! A shard that is three quarters full is copied to a larger table by the one writer that finds it so: slot by slot it
//! sets the bit *moved*, which makes the compare-and-swap of any other writer fail, and then copies; at last it
//! publishes the new table. Readers never notice: what they find in the old table is what was there when they began.
//! A writer that meets a moved slot waits for the new table: some microseconds, since shards are small. Old tables stay until
//! all is dropped, like everything in an arena. So a table is made eight times as large if the bytes per version so far
//! say that it will be needed, and twice as large otherwise. An index that goes on where a full one was sealed expects as many
//! keys as that had and begins with tables for them, lest some thousand puts of each memtable wait for copies.
//!
//! # Invariants
//!
//! * **One slot**: a key is in one slot of its shard's table at most, at or behind the first of its line, with no
//!   empty slot in between.
//! * **Moved is final**: a slot with that bit never changes again.
//! * **Copied whole**: a table is published when it holds every key of the one before it.
#![expect(unsafe_code, reason = "tables of slots in an arena, and versions by their address")]

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::arena::{Arena, RecordHeader, prefetch};
use crate::sync::{AtomicPtr, AtomicUsize, spin_loop, yield_now};

use super::hasher::hash_of;
use super::version::Version;

/// A model checker has to see tables grow within a few inserts.
const MODELLED: bool = cfg!(any(shuttle, loom));
/// Slots of a cache line, where a search begins at the first.
const LINE_SLOTS: usize = if MODELLED { 2 } else { 8 };
const FIRST_SLOTS_MIN: usize = if MODELLED { 4 } else { 32 };
/// A shard for so many expected bytes.
const BYTES_PER_SHARD: usize = 256 << 10;
const SHARDS_MIN: usize = if MODELLED { 1 } else { 16 };
const SHARDS_MAX: usize = if MODELLED { 1 } else { 4096 };
/// By what factor a table grows at most.
const GROWTH_MAX: usize = if MODELLED { 2 } else { 8 };
/// Slots ahead of the one being copied whose version is fetched, since its key is hashed again.
const PREFETCH_SLOTS: usize = 16;
const SPINS_MAX: u32 = if MODELLED { 1 } else { 64 };

/// Bits of the hash that a slot holds, above an address of 48 bits. None where addresses are shorter, or where the
/// system uses those bits itself.
const TAG_BITS: u32 = if cfg!(all(target_pointer_width = "64", not(target_os = "android"))) { 16 } else { 0 };
const TAG_SHIFT: u32 = usize::BITS - TAG_BITS;
/// Set in a slot whose table is being replaced. Versions are aligned to 8 bytes.
const MOVED: usize = 1;

type Slot = AtomicPtr<RecordHeader>;

/// The cache line in front of a table's slots.
#[repr(C, align(64))]
struct TableHead {
    /// Slots in use.
    used: AtomicUsize,
    /// 1 once a writer has taken it on itself to replace the table.
    replaced: AtomicUsize,
    slots: usize,
}

/// The hash index; all memory that it reaches lives in the two arenas of its memtable.
pub(super) struct Index {
    /// By the top bits of the hash; null before the first version of a shard.
    shards: Box<[AtomicPtr<TableHead>]>,
    /// Slots of a shard's first table.
    first_slots: usize,
}

/// Where a key of this hash belongs.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    /// The tag, at its place above an address.
    #[inline]
    fn tag(self) -> usize {
        if TAG_BITS == 0 { 0 } else { (self.0 as usize & 0xffff) << (TAG_SHIFT % usize::BITS) }
    }

    /// The first slot of its line, in a table of `slots`: 32 bits of the hash as a fraction, of which the lines are so many parts. A table so need not have a
    /// power of two, half of which would stay empty (D. Lemire, "Fast random integer generation in an interval", 2019).
    #[inline]
    fn first_slot(self, slots: usize) -> usize {
        let fraction = (self.0 >> 16) & 0xffff_ffff;
        ((fraction * (slots / LINE_SLOTS) as u64) >> 32) as usize * LINE_SLOTS
    }

    #[inline]
    fn shard(self, shards: usize) -> usize {
        // The top 16 bits; tables have the 32 below them, and tags the 16 below those.
        (self.0 >> 48) as usize & (shards - 1)
    }
}

#[inline]
fn address_of(slot: *mut RecordHeader) -> *mut RecordHeader {
    let unused = if TAG_BITS == 0 { MOVED } else { (usize::MAX << (TAG_SHIFT % usize::BITS)) | MOVED };
    slot.map_addr(|address| address & !unused)
}

#[inline]
fn tag_of(slot: *mut RecordHeader) -> usize {
    if TAG_BITS == 0 { 0 } else { slot.addr() & (usize::MAX << (TAG_SHIFT % usize::BITS)) }
}

#[inline]
fn is_moved(slot: *mut RecordHeader) -> bool {
    slot.addr() & MOVED != 0
}

/// What a slot holds for a version.
#[inline]
fn packed(tag: usize, version: Version<'_>) -> *mut RecordHeader {
    let address = version.address();
    assert!(address_of(address) == address, "an address has 48 bits");
    address.map_addr(|address| address | tag)
}

/// What came of an insert into one table.
enum Put {
    /// Done; the table has so many keys now, if one was added.
    Done(Option<usize>),
    /// The table is full or being replaced.
    Elsewhere,
}

/// A table of slots in the arena.
#[derive(Clone, Copy)]
struct Table<'t> {
    head: NonNull<TableHead>,
    arena: PhantomData<&'t Arena<64>>,
}

impl<'t> Table<'t> {
    /// # Safety
    ///
    /// `head` is null or came from [`Table::make`] and was read with acquire; the arena lives for `'t`.
    #[inline]
    unsafe fn from_ptr(head: *mut TableHead) -> Option<Self> {
        NonNull::new(head).map(|head| Table { head, arena: PhantomData })
    }

    fn make(arena: &'t Arena<64>, slots: usize) -> Self {
        let memory = arena.allocate(size_of::<TableHead>() + slots * size_of::<Slot>());
        let head = memory.cast::<TableHead>();
        let fresh = TableHead { used: AtomicUsize::new(0), replaced: AtomicUsize::new(0), slots };
        // SAFETY: fresh memory of this size, aligned to 64 by the arena.
        unsafe { head.write(fresh) };
        // SAFETY: the slots follow the head in the same allocation.
        let first = unsafe { head.add(1) }.cast::<Slot>();
        for slot in 0..slots {
            // SAFETY: within the bytes asked for.
            let slot = unsafe { first.add(slot) };
            // SAFETY: as above; ours alone.
            unsafe { slot.write(AtomicPtr::new(ptr::null_mut())) };
        }
        Table { head, arena: PhantomData }
    }

    #[inline]
    fn head(self) -> &'t TableHead {
        // SAFETY: written by `make`, in an arena that lives for 't.
        unsafe { self.head.as_ref() }
    }

    #[inline]
    fn slots(self) -> &'t [Slot] {
        // SAFETY: the slots follow the head in the same allocation.
        let first = unsafe { self.head.add(1) }.cast::<Slot>();
        // SAFETY: as many were written by `make`; they are atomic, and alive for 't.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), self.head().slots) }
    }

    /// The slots in which a key may be, in the order in which they are tried.
    #[inline]
    fn probe(self, place: Place) -> impl Iterator<Item = &'t Slot> {
        let slots = self.slots();
        let (before, after) = slots.split_at(place.first_slot(slots.len()));
        after.iter().chain(before)
    }

    /// The version that a slot holds.
    #[inline]
    fn version(slot: *mut RecordHeader) -> Option<Version<'t>> {
        // SAFETY: slots hold addresses of versions of this memtable, stored with release and read with acquire.
        unsafe { Version::from_address(address_of(slot)) }
    }

    #[inline]
    fn find(self, place: Place, key: &[u8]) -> Option<Version<'t>> {
        let tag = place.tag();
        for slot in self.probe(place) {
            let seen = slot.load(Acquire);
            let version = Self::version(seen)?;
            if tag_of(seen) == tag {
                version.prefetch_behind();
                if version.record().user_key() == key {
                    return Some(version);
                }
            }
        }
        None
    }

    #[inline]
    fn put(self, place: Place, version: Version<'t>) -> Put {
        let key = version.record().user_key();
        let tag = place.tag();
        let ours = packed(tag, version);
        for slot in self.probe(place) {
            let mut seen = slot.load(Acquire);
            loop {
                if is_moved(seen) {
                    return Put::Elsewhere;
                }
                let head = Self::version(seen);
                if let Some(head) = head {
                    if tag_of(seen) != tag || head.record().user_key() != key {
                        break;
                    }
                    if head.record().trailer() >= version.record().trailer() {
                        head.insert_below(version);
                        return Put::Done(None);
                    }
                }
                version.set_older(head);
                // Release: whoever reads the slot sees the version whole. Acquire: the winner's version is looked at.
                match slot.compare_exchange(seen, ours, AcqRel, Acquire) {
                    Ok(_) if head.is_some() => return Put::Done(None),
                    Ok(_) => return Put::Done(Some(self.head().used.fetch_add(1, Relaxed) + 1)),
                    Err(now) => seen = now,
                }
            }
        }
        Put::Elsewhere
    }

    fn is_crowded(self, used: usize) -> bool {
        used >= self.head().slots / 4 * 3
    }

    /// Whether this thread is to replace the table: says yes once.
    fn claim_replacement(self) -> bool {
        self.head().replaced.compare_exchange(0, 1, Acquire, Relaxed).is_ok()
    }

    /// Marks all slots as moved and copies them to a table that nobody else knows yet.
    fn move_to(self, larger: Table<'t>) {
        let slots = self.slots();
        let mut used = 0;
        for (number, slot) in slots.iter().enumerate() {
            if let Some(ahead) = slots.get(number + PREFETCH_SLOTS)
                && let Some(version) = Self::version(ahead.load(Acquire))
            {
                version.prefetch();
            }
            let mut seen = slot.load(Acquire);
            while let Err(now) =
                slot.compare_exchange(seen, seen.map_addr(|address| address | MOVED), AcqRel, Acquire)
            {
                seen = now;
            }
            let Some(version) = Self::version(seen) else { continue };
            let place = Place(hash_of(version.record().user_key()));
            let empty = larger.probe(place).find(|slot| slot.load(Relaxed).is_null());
            empty.expect("a larger table has room").store(seen, Relaxed);
            used += 1;
        }
        larger.head().used.store(used, Relaxed);
    }
}

impl Index {
    /// An empty index that takes `keys_expected` before a table of it is likely to grow.
    pub(super) fn new(bytes_hint: usize, keys_expected: usize) -> Self {
        let shards = (bytes_hint / BYTES_PER_SHARD).clamp(SHARDS_MIN, SHARDS_MAX).next_power_of_two();
        let slots = Self::bytes_for(keys_expected) / size_of::<Slot>() / shards;
        let first_slots = slots.next_multiple_of(LINE_SLOTS).max(FIRST_SLOTS_MIN);
        Index { shards: (0..shards).map(|_| AtomicPtr::new(ptr::null_mut())).collect(), first_slots }
    }

    /// Bytes of the tables of an index that is made at once for so many keys: seven tenths full, which is more than a table that grows, since the number is no guess.
    pub(super) fn bytes_for(keys: usize) -> usize {
        keys * 10 / 7 * size_of::<Slot>()
    }

    /// How many keys it has. Costs a miss of the cache for each shard.
    pub(super) fn keys(&self) -> usize {
        let tables = self.shards.iter().filter_map(|shard| self.table(shard));
        tables.map(|table| table.head().used.load(Relaxed)).sum()
    }

    /// Bytes of the index outside the arena.
    pub(super) fn own_bytes(&self) -> usize {
        size_of_val(&*self.shards)
    }

    #[inline]
    fn table<'t>(&'t self, shard: &AtomicPtr<TableHead>) -> Option<Table<'t>> {
        // SAFETY: only tables from `Table::make` are stored, with release; the arena lives as long as the memtable.
        unsafe { Table::from_ptr(shard.load(Acquire)) }
    }

    #[inline]
    fn shard(&self, place: Place) -> &AtomicPtr<TableHead> {
        &self.shards[place.shard(self.shards.len())]
    }

    /// The newest version of `key`.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Version<'_>> {
        let place = Place(hash_of(key));
        self.table(self.shard(place))?.find(place, key)
    }

    /// Asks for the line that a look-up of `key`, or an insert, will touch first.
    #[inline]
    pub(super) fn prefetch(&self, key: &[u8]) -> Hashed {
        let place = Place(hash_of(key));
        if let Some(table) = self.table(self.shard(place)) {
            prefetch(&raw const table.slots()[place.first_slot(table.head().slots)]);
        }
        Hashed(place)
    }

    /// Makes a version findable. `keys_expected` tells how many keys there will be, going by those so far.
    #[inline]
    pub(super) fn insert<'t>(
        &'t self,
        arena: &'t Arena<64>,
        hashed: Hashed,
        version: Version<'t>,
        keys_expected: impl Fn() -> usize,
    ) {
        let place = hashed.0;
        let shard = self.shard(place);
        loop {
            let Some(table) = self.table(shard) else {
                self.make_first(arena, shard);
                continue;
            };
            match table.put(place, version) {
                Put::Done(used) => {
                    if used.is_some_and(|used| table.is_crowded(used)) && table.claim_replacement() {
                        self.replace(arena, shard, table, keys_expected());
                    }
                    return;
                }
                Put::Elsewhere if table.claim_replacement() => {
                    self.replace(arena, shard, table, keys_expected());
                }
                Put::Elsewhere => wait_until(|| !ptr::eq(shard.load(Relaxed), table.head.as_ptr())),
            }
        }
    }

    #[cold]
    fn make_first(&self, arena: &Arena<64>, shard: &AtomicPtr<TableHead>) {
        let table = Table::make(arena, self.first_slots);
        // If somebody else was first, this one is left unused.
        let _ = shard.compare_exchange(ptr::null_mut(), table.head.as_ptr(), Release, Relaxed);
    }

    #[cold]
    fn replace(
        &self,
        arena: &Arena<64>,
        shard: &AtomicPtr<TableHead>,
        table: Table<'_>,
        keys_expected: usize,
    ) {
        let slots = table.head().slots;
        // Two thirds full at the end, if all goes on as it began.
        let wanted = (keys_expected / self.shards.len() * 3 / 2).next_multiple_of(LINE_SLOTS);
        let larger = Table::make(arena, wanted.clamp(slots * 2, slots * GROWTH_MAX));
        table.move_to(larger);
        // Release: whoever reads the address sees the slots.
        shard.store(larger.head.as_ptr(), Release);
    }
}

/// The place of a key, hashed once.
#[derive(Clone, Copy)]
pub(super) struct Hashed(Place);

#[cold]
fn wait_until(done: impl Fn() -> bool) {
    let mut spins = 0;
    while !done() {
        if spins < SPINS_MAX {
            spins += 1;
            spin_loop();
        } else {
            // Whoever replaces the table may have lost its processor.
            yield_now();
        }
    }
}
