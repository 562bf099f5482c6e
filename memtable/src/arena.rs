//! The arena: memory for versions and nodes that many threads take from at once and nobody gives back.
//!
//! # Algorithm
//!
//! A bump allocator over chunks. Taking memory is one `fetch_add` on the current chunk's counter; whoever runs
//! past the chunk's end takes a lock and starts the next chunk. Chunks start small, so that an empty or small
//! table is cheap, and grow by a schedule ([`ChunkPlan`]). When megabytes are expected the later chunks are
//! 2 MiB, aligned to 2 MiB, and asked of Linux as huge pages: a look-up in a large table is a
//! chain of cache misses, and small pages add a page walk to each. There such chunks come from the system and go back to it
//! when the arena is dropped: an allocator that keeps them among its own (the C library's does, once it has seen the first of them freed) holds
//! some dozen MiB more than all memtables have. Some megabytes of them are kept for the next arena while another one is in use, and who is
//! asked to has one made ready before it is needed (`arena/pages.rs`). What is larger than [`SHARED_BYTES_MAX`] gets a chunk of its own, so that one large value does not waste the rest of the current chunk.
//!
//! # Costs
//!
//! One atomic addition per allocation. The bytes lost at a chunk's end are at most the one allocation that did
//! not fit. A chunk costs one system allocation.
//!
//! # Invariants
//!
//! * **Owned**: every chunk is on the list that starts at `newest` and is freed when the arena is dropped, never
//!   before. So memory handed out lives, at its address, as long as the arena.
//! * **Disjoint**: `used` of a chunk only grows, by the size handed out. So no two allocations overlap.
//! * **Header first**: a chunk begins with its own [`Chunk`] header; `used` starts behind it.
//! * **Written first**: a [`RecordPtr`] is made only after all bytes of its record were written.
#![expect(
    unsafe_code,
    reason = "hands out raw memory to many threads; the types behind it keep it initialised"
)]

use bytes::Bytes;
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, PoisonError};

use terrace_entry::InternalKey;

use crate::sync::plain::{AtomicPtr, AtomicUsize, Mutex};

mod pages;

/// What is larger gets a chunk of its own.
const SHARED_BYTES_MAX: usize = 256 << 10;
/// The size and alignment of a huge page on x86-64 and on arm64 with small base pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// From this many expected bytes on, chunks are huge pages; below, the rounding would cost more than it saves.
const HUGE_HINT_BYTES: usize = 4 << 20;
const FIRST_CHUNK_BYTES_MIN: usize = 4 << 10;
const FIRST_CHUNK_BYTES_MAX: usize = 64 << 10;
const SMALL_CHUNK_BYTES_MAX: usize = 1 << 20;
const CACHE_LINE_BYTES: usize = 64;

/// The header at the start of each chunk.
#[repr(C, align(64))]
struct Chunk {
    /// Bytes handed out, this header included; runs past `bytes` when the chunk is full.
    used: AtomicUsize,
    /// Size of the chunk.
    bytes: usize,
    /// Alignment it was allocated with, needed to free it.
    align: usize,
    /// Sizes of all shared chunks before this one, so that one pointer read gives a total that never falls.
    bytes_before: usize,
    /// The chunk made before this one, of either sort.
    older: *mut Chunk,
}

const _: () = assert!(size_of::<Chunk>() == CACHE_LINE_BYTES, "a header fills one cache line");

/// How large the next shared chunk is.
#[derive(Clone, Copy, Debug)]
struct ChunkPlan {
    bytes_hint: usize,
}

impl ChunkPlan {
    /// The size after a chunk of `last` bytes (0: none yet) when `request` bytes must fit.
    fn next_bytes(self, last: usize, request: usize) -> usize {
        let huge = self.bytes_hint >= HUGE_HINT_BYTES;
        let scheduled = match (last, huge) {
            (0, _) => {
                let hint = self.bytes_hint.clamp(FIRST_CHUNK_BYTES_MIN, FIRST_CHUNK_BYTES_MAX);
                hint.next_multiple_of(FIRST_CHUNK_BYTES_MIN)
            }
            (_, false) => (last * 2).min(SMALL_CHUNK_BYTES_MAX),
            (_, true) => HUGE_PAGE_BYTES,
        };
        // Twice the request: the chunk should not be spent on this one allocation.
        scheduled.max((2 * request + size_of::<Chunk>()).next_power_of_two())
    }
}

/// A concurrent bump allocator whose allocations are all multiples of `ALIGN` bytes and aligned to it.
pub(crate) struct Arena<const ALIGN: usize> {
    /// The shared chunk that allocations come from; null before the first.
    current: AtomicPtr<Chunk>,
    /// Bytes in chunks that hold one allocation each.
    own_chunk_bytes: AtomicUsize,
    plan: ChunkPlan,
    /// All chunks, newest first. Whoever holds the lock is the one that adds a chunk.
    newest: Mutex<*mut Chunk>,
}

// SAFETY: the arena owns its chunks; the raw pointers are only a list of them, guarded by the mutex, and the
// memory handed out is disjoint for each caller.
unsafe impl<const ALIGN: usize> Send for Arena<ALIGN> {}
// SAFETY: as above; all shared state is atomic or behind the mutex.
unsafe impl<const ALIGN: usize> Sync for Arena<ALIGN> {}

impl<const ALIGN: usize> Arena<ALIGN> {
    /// An empty arena that expects to hand out some `bytes_hint` bytes. Takes no memory yet.
    pub(crate) fn new(bytes_hint: usize) -> Self {
        const {
            assert!(ALIGN.is_power_of_two() && ALIGN <= CACHE_LINE_BYTES, "chunk headers keep this alignment")
        };
        Arena {
            current: AtomicPtr::new(ptr::null_mut()),
            own_chunk_bytes: AtomicUsize::new(0),
            plan: ChunkPlan { bytes_hint },
            newest: Mutex::new(ptr::null_mut()),
        }
    }

    /// Memory for `bytes` bytes, **not initialised**, valid until the arena is dropped.
    #[inline]
    pub(crate) fn allocate(&self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes.next_multiple_of(ALIGN);
        if bytes <= SHARED_BYTES_MAX
            && let Some(memory) = Self::take(self.current.load(Acquire), bytes)
        {
            return memory;
        }
        self.allocate_slowly(bytes)
    }

    /// Takes `bytes` from `chunk`, if it is not null and has room.
    #[inline]
    fn take(chunk: *mut Chunk, bytes: usize) -> Option<NonNull<u8>> {
        let start = NonNull::new(chunk)?;
        // SAFETY: by Owned, a chunk pointer read from `current` is alive as long as the arena that is borrowed.
        let header = unsafe { start.as_ref() };
        // Relaxed: only disjointness is needed here; the caller publishes what it writes.
        let offset = header.used.fetch_add(bytes, Relaxed);
        // `used` cannot wrap: a caller overshoots at most twice before it waits for the next chunk.
        if offset + bytes > header.bytes {
            return None;
        }
        // SAFETY: `offset + bytes` is within the chunk's one allocation of `header.bytes`.
        Some(unsafe { start.cast::<u8>().add(offset) })
    }

    #[cold]
    fn allocate_slowly(&self, bytes: usize) -> NonNull<u8> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > SHARED_BYTES_MAX {
            let (chunk, memory) = new_chunk(size_of::<Chunk>() + bytes, bytes, 0, *newest);
            *newest = chunk.as_ptr();
            self.own_chunk_bytes.fetch_add(size_of::<Chunk>() + bytes, Relaxed);
            return memory;
        }
        let current = self.current.load(Acquire);
        // Somebody else may have started a chunk while we waited.
        if let Some(memory) = Self::take(current, bytes) {
            return memory;
        }
        let (last, bytes_before) = chunk_totals(current);
        let size = self.plan.next_bytes(last, bytes);
        let (chunk, memory) = new_chunk(size, bytes, bytes_before, *newest);
        *newest = chunk.as_ptr();
        // Release: whoever reads the pointer sees the header.
        self.current.store(chunk.as_ptr(), Release);
        memory
    }

    /// Has the system make the pages of the next chunk, so that no allocation waits for them.
    pub(crate) fn make_ready(&self) {
        let (last, _) = chunk_totals(self.current.load(Acquire));
        if self.plan.next_bytes(last, 0) == HUGE_PAGE_BYTES {
            pages::make_ready();
        }
    }

    /// Bytes of all full chunks and of what is used in the current one. Never falls.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.position() + self.own_chunk_bytes.load(Relaxed)
    }

    /// How far the shared chunks are filled: the same for the same calls in the same order.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        let Some(chunk) = NonNull::new(self.current.load(Acquire)) else { return 0 };
        // SAFETY: by Owned, the chunk is alive.
        let header = unsafe { chunk.as_ref() };
        header.bytes_before + header.used.load(Relaxed).min(header.bytes)
    }
}

/// Size of `chunk`, and of it and all shared chunks before it; zeros for null.
fn chunk_totals(chunk: *mut Chunk) -> (usize, usize) {
    // SAFETY: null or, by Owned, alive; called only with the arena's `current`.
    let header = unsafe { chunk.as_ref() };
    header.map_or((0, 0), |header| (header.bytes, header.bytes_before + header.bytes))
}

/// A chunk of `bytes` of which the first `taken` after the header are handed out.
fn new_chunk(
    bytes: usize,
    taken: usize,
    bytes_before: usize,
    older: *mut Chunk,
) -> (NonNull<Chunk>, NonNull<u8>) {
    let align = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { CACHE_LINE_BYTES };
    let layout = Layout::from_size_align(bytes, align).expect("a chunk is smaller than the address space");
    let start = match align {
        HUGE_PAGE_BYTES => pages::take(layout),
        // SAFETY: the layout has at least the size of a header.
        _ => unsafe { std::alloc::alloc(layout) },
    };
    let Some(start) = NonNull::new(start) else { std::alloc::handle_alloc_error(layout) };
    let chunk = start.cast::<Chunk>();
    let used = AtomicUsize::new(size_of::<Chunk>() + taken);
    // SAFETY: fresh memory of this size, aligned to a cache line or more, which the header asks for.
    unsafe { chunk.write(Chunk { used, bytes, align, bytes_before, older }) };
    // SAFETY: the header lies within the chunk.
    let memory = unsafe { start.add(size_of::<Chunk>()) };
    (chunk, memory)
}

impl<const ALIGN: usize> Drop for Arena<ALIGN> {
    fn drop(&mut self) {
        let mut next = *self.newest.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let Some(chunk) = NonNull::new(next) {
            // SAFETY: by Owned, each chunk on the list is alive until this loop frees it.
            let header = unsafe { chunk.as_ref() };
            next = header.older;
            let layout = Layout::from_size_align(header.bytes, header.align).expect("it was allocated so");
            match header.align {
                // SAFETY: taken by `new_chunk` with this layout, and nobody borrows from a dropped arena.
                HUGE_PAGE_BYTES => unsafe { pages::give_back(chunk.as_ptr().cast(), layout) },
                // SAFETY: allocated by `new_chunk` with this layout, and nobody borrows from a dropped arena.
                _ => unsafe { std::alloc::dealloc(chunk.as_ptr().cast(), layout) },
            }
        }
    }
}

/// The fixed part of a record; the key's bytes follow, then the value's.
#[repr(C)]
pub(crate) struct RecordHeader {
    trailer: u64,
    key_len: u32,
    value_len: u32,
}

/// The address of a whole record in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPtr(NonNull<RecordHeader>);

// SAFETY: an address; reading through it is unsafe and states its own conditions. Records never change.
unsafe impl Send for RecordPtr {}
// SAFETY: as above.
unsafe impl Sync for RecordPtr {}

impl RecordPtr {
    /// The address, to be kept in an atomic.
    #[cfg(any(feature = "btree", test))]
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut RecordHeader {
        self.0.as_ptr()
    }

    /// The record at an address.
    ///
    /// # Safety
    ///
    /// `address` came from [`RecordPtr::as_ptr`] or is where [`Arena::add_record`] put a record; if another thread
    /// did, then through a release store and an acquire load.
    #[inline]
    pub(crate) unsafe fn from_address(address: NonNull<RecordHeader>) -> Self {
        RecordPtr(address)
    }

    /// The record.
    ///
    /// # Safety
    ///
    /// The arena that holds it outlives `'a`.
    #[inline]
    pub(crate) unsafe fn record<'a>(self) -> Record<'a> {
        Record { header: self.0, arena: PhantomData }
    }
}

/// A version in an arena: its key, trailer and value, which never change.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    header: NonNull<RecordHeader>,
    arena: PhantomData<&'a [u8]>,
}

impl Arena<8> {
    /// Copies a version into the arena, with `before` uninitialised bytes (a multiple of 8) in front of it in the
    /// same allocation. Returns the start of those bytes and the record.
    ///
    /// # Panics
    ///
    /// When the key or the value has 4 GiB or more.
    #[inline]
    pub(crate) fn add_record(
        &self,
        before: usize,
        key: InternalKey<'_>,
        value: &[u8],
    ) -> (NonNull<u8>, RecordPtr) {
        let key_len = u32::try_from(key.user_key.len()).expect("a key is shorter than 4 GiB");
        let value_len = u32::try_from(value.len()).expect("a value is shorter than 4 GiB");
        let bytes = before + size_of::<RecordHeader>() + key.user_key.len() + value.len();
        let start = self.allocate(bytes);
        // SAFETY: `before` is within the allocation of `bytes`.
        let header = unsafe { start.add(before) }.cast::<RecordHeader>();
        // SAFETY: ours alone, large enough, and aligned: the arena aligns to 8 and `before` is a multiple of 8.
        unsafe { header.write(RecordHeader { trailer: key.trailer(), key_len, value_len }) };
        // SAFETY: the key's bytes follow the header within the allocation.
        let key_start = unsafe { header.add(1) }.cast::<u8>();
        // SAFETY: ours alone, `key_len` bytes are within the allocation, and fresh memory overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(key.user_key.as_ptr(), key_start.as_ptr(), key.user_key.len()) };
        // SAFETY: the value's bytes follow the key's within the allocation.
        let value_start = unsafe { key_start.add(key.user_key.len()) };
        // SAFETY: as for the key.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), value_start.as_ptr(), value.len()) };
        (start, RecordPtr(header))
    }
}

impl<'a> Record<'a> {
    /// Its address, good as long as the arena.
    #[inline]
    pub(crate) fn address(self) -> RecordPtr {
        RecordPtr(self.header)
    }

    #[inline]
    fn header(self) -> &'a RecordHeader {
        // SAFETY: a `Record` stands for a written record in an arena that outlives 'a; records never change.
        unsafe { self.header.as_ref() }
    }

    /// Sequence number and kind, as [`InternalKey::trailer`] packs them.
    #[inline]
    pub(crate) fn trailer(self) -> u64 {
        self.header().trailer
    }

    /// The user key.
    #[inline]
    pub(crate) fn user_key(self) -> &'a [u8] {
        // SAFETY: the key's bytes follow the header in the same allocation.
        let start = unsafe { self.header.add(1) }.cast::<u8>();
        // SAFETY: `key_len` bytes were written there; alive for 'a and unchanging.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), self.header().key_len as usize) }
    }

    /// The value.
    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        let header = self.header();
        // SAFETY: the key's bytes follow the header in the same allocation.
        let key_start = unsafe { self.header.add(1) }.cast::<u8>();
        // SAFETY: the value's bytes follow the key's in the same allocation.
        let start = unsafe { key_start.add(header.key_len as usize) };
        // SAFETY: `value_len` bytes were written there; alive for 'a and unchanging.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), header.value_len as usize) }
    }

    /// The version's key.
    #[inline]
    pub(crate) fn key(self) -> InternalKey<'a> {
        let key = InternalKey::from_trailer(self.user_key(), self.trailer());
        key.expect("a record's trailer was packed from a known kind")
    }
}

/// Values of at least this size are shared instead of copied; below, a copy costs less than pinning a table.
const SHARED_VALUE_BYTES_MIN: usize = 4 << 10;

/// A value that keeps the table it lies in alive.
struct PinnedValue<T> {
    record: RecordPtr,
    /// Never read: holding it is what keeps the record.
    _table: Arc<T>,
}

impl<T> AsRef<[u8]> for PinnedValue<T> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the record lies in an arena of the table (promised to `value_bytes`), which is held.
        let record = unsafe { self.record.record() };
        record.value()
    }
}

/// The value of `record` as owned bytes: a copy of a small one, a share of the whole table for a large one.
///
/// # Safety
///
/// The record lies in an arena that `table` owns and keeps until it is dropped.
pub(crate) unsafe fn value_bytes<T: Send + Sync + 'static>(table: &Arc<T>, record: Record<'_>) -> Bytes {
    if record.value().len() < SHARED_VALUE_BYTES_MIN {
        return Bytes::copy_from_slice(record.value());
    }
    Bytes::from_owner(PinnedValue { record: record.address(), _table: Arc::clone(table) })
}

/// Asks the processor to fetch the cache line at `address`, which may be any address at all.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// The record at `pointer`, for tests of files that hold no unsafe code.
#[cfg(test)]
pub(crate) fn borrow_for_test(_arena: &Arena<8>, pointer: RecordPtr) -> Record<'_> {
    // SAFETY: the tests pass the arena that made the record, and the borrow keeps it.
    unsafe { pointer.record() }
}

/// Where the chunks of huge pages begin.
#[cfg(test)]
fn huge_chunks_for_test(arena: &Arena<8>) -> Vec<usize> {
    let newest = *arena.newest.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: null or, by Owned, alive.
    let chunks = core::iter::successors(unsafe { newest.as_ref() }, |chunk| unsafe { chunk.older.as_ref() });
    chunks.filter(|chunk| chunk.bytes >= HUGE_PAGE_BYTES).map(|chunk| ptr::from_ref(chunk).addr()).collect()
}

#[cfg(test)]
mod tests;
