//! Chunks of huge pages, from the system where it has a way to take them, else from the allocator.
//!
//! Chunks of the usual size are kept when an arena ends, as long as another one is in use. While one is, there is a memtable that grows or will
//! soon, and it is cheaper to give it the chunks of one that was flushed than new ones: the first touch of a huge page clears two megabytes while
//! a writer waits (0.2 to 1 ms; 5 ms in a virtual machine whose host takes back what is free). When none is left kept, a chunk can be made ready by a thread that nobody waits for. With the
//! last arena all go back to the system.
#![expect(unsafe_code, reason = "memory from the system, whole pages at a time")]

#[cfg(all(target_os = "linux", not(miri)))]
pub(super) use linux::{give_back, make_ready, take};
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(super) use other::{give_back, make_ready, take};

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    use crate::arena::HUGE_PAGE_BYTES;
    use core::alloc::Layout;
    use core::ptr::{self, NonNull};
    use core::sync::atomic::AtomicPtr;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// So many chunks are kept for the next who asks: half of a memtable of usual size. If all of one were kept, a flush would free nothing, and as much as
    /// memtables ever had together would stay.
    const SPARE_MAX: usize = (32 << 20) / HUGE_PAGE_BYTES;

    /// Chunks of the usual size: those that nobody uses, and how many are in use.
    #[derive(Default)]
    struct Chunks {
        spare: Vec<AtomicPtr<u8>>,
        in_use: usize,
    }

    impl Chunks {
        /// A spare chunk, or `None` for a new one; it counts as in use.
        fn take(&mut self) -> Option<*mut u8> {
            self.in_use += 1;
            self.spare.pop().map(AtomicPtr::into_inner)
        }

        /// A chunk is no longer used; answers which are for the system.
        fn give_back(&mut self, start: *mut u8) -> Vec<AtomicPtr<u8>> {
            self.in_use -= 1;
            self.spare.push(AtomicPtr::new(start));
            let keep = if self.in_use > 0 { SPARE_MAX } else { 0 };
            self.spare.split_off(keep.min(self.spare.len()))
        }

        /// Whether the next who asks would get a new one, and somebody may ask.
        fn wants_one(&self) -> bool {
            self.spare.is_empty() && self.in_use > 0
        }

        /// Adds one to the spare, unless nobody wants it any more; then it is the caller's again.
        fn add(&mut self, start: *mut u8) -> Option<*mut u8> {
            if !self.wants_one() {
                return Some(start);
            }
            self.spare.push(AtomicPtr::new(start));
            None
        }
    }

    static CHUNKS: Mutex<Chunks> = Mutex::new(Chunks { spare: Vec::new(), in_use: 0 });

    fn chunks() -> MutexGuard<'static, Chunks> {
        CHUNKS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory of this layout, aligned to a huge page; null when there is none.
    pub(in crate::arena) fn take(layout: Layout) -> *mut u8 {
        if layout.size() == HUGE_PAGE_BYTES
            && let Some(spare) = chunks().take()
        {
            return spare;
        }
        map(layout.size())
    }

    /// Makes a spare chunk, pages and all, when there is none and some are in use. Takes as long as the system needs to clear a huge page.
    pub(in crate::arena) fn make_ready() {
        if !chunks().wants_one() {
            return;
        }
        let Some(start) = NonNull::new(map(HUGE_PAGE_BYTES)) else { return };
        // SAFETY: the pages are ours and hold nothing yet. Should the system refuse, as it does before Linux 5.14, they are made when they are touched.
        unsafe { libc::madvise(start.as_ptr().cast(), HUGE_PAGE_BYTES, libc::MADV_POPULATE_WRITE) };
        let unwanted = chunks().add(start.as_ptr());
        if let Some(start) = unwanted {
            // SAFETY: whole pages that `map` has made and nobody knows.
            unsafe { unmap(start, HUGE_PAGE_BYTES) };
        }
    }

    /// New memory for `bytes` or more, aligned to a huge page and to be backed by such; null when there is none.
    fn map(bytes: usize) -> *mut u8 {
        // Whole huge pages are whole pages on every machine.
        let whole = bytes.next_multiple_of(HUGE_PAGE_BYTES);
        let more = whole + HUGE_PAGE_BYTES;
        let (access, sort) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the system chooses touches nobody's memory.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), more, access, sort, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        let mapped = mapped.cast::<u8>();
        let before = mapped.addr().next_multiple_of(HUGE_PAGE_BYTES) - mapped.addr();
        // SAFETY: `before` is less than a huge page, by which the mapping is longer than `whole`.
        let start = unsafe { mapped.add(before) };
        // SAFETY: `before + whole` is at most `more`.
        let behind = unsafe { start.add(whole) };
        // SAFETY: the pages before the start, which nobody was given.
        unsafe { unmap(mapped, before) };
        // SAFETY: the pages behind the end, which nobody was given.
        unsafe { unmap(behind, more - before - whole) };
        // Not the tail of less than a huge page, which would be backed by a whole one.
        let huge = bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        // SAFETY: the range is ours, and the advice changes how it is backed, not what it holds. A refusal is harmless, so the answer is not looked at.
        unsafe { libc::madvise(start.cast(), huge, libc::MADV_HUGEPAGE) };
        start
    }

    /// Ends what [`take`] began.
    ///
    /// # Safety
    ///
    /// `start` came from `take` with this layout, and nobody uses the memory any more.
    pub(in crate::arena) unsafe fn give_back(start: *mut u8, layout: Layout) {
        let unused = if layout.size() == HUGE_PAGE_BYTES {
            chunks().give_back(start)
        } else {
            vec![AtomicPtr::new(start)]
        };
        for chunk in unused {
            // SAFETY: as promised by the caller, for this chunk or for one of the same size before: the pages that `map` has left mapped.
            unsafe { unmap(chunk.into_inner(), layout.size().next_multiple_of(HUGE_PAGE_BYTES)) };
        }
    }

    /// # Safety
    ///
    /// These are whole pages that [`map`] has made, and nobody uses them.
    unsafe fn unmap(start: *mut u8, bytes: usize) {
        if bytes > 0 {
            // SAFETY: as promised by the caller. Should the system refuse, they stay mapped, and nothing else is lost.
            unsafe { libc::munmap(start.cast(), bytes) };
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Chunks, HUGE_PAGE_BYTES, SPARE_MAX, map, unmap};
        use core::ptr;

        fn address(number: usize) -> *mut u8 {
            ptr::without_provenance_mut(number << 22)
        }

        #[test]
        fn chunks_are_used_again_while_others_are_in_use_and_go_back_with_the_last() {
            let mut chunks = Chunks::default();
            assert!((0..2).all(|_| chunks.take().is_none()));
            assert!(chunks.give_back(address(1)).is_empty());
            assert_eq!(chunks.take(), Some(address(1)));
            assert!(chunks.give_back(address(2)).is_empty());
            assert_eq!(chunks.give_back(address(1)).len(), 2, "nobody uses a chunk any more");
            assert_eq!(chunks.take(), None);
        }

        #[test]
        fn no_more_chunks_are_kept_than_half_a_memtable_has() {
            assert_eq!(SPARE_MAX * HUGE_PAGE_BYTES, 32 << 20);
            let mut chunks = Chunks::default();
            (0..SPARE_MAX + 3).for_each(|_| assert!(chunks.take().is_none()));
            let back = (1..SPARE_MAX + 3).map(|number| chunks.give_back(address(number)).len());
            assert_eq!(back.sum::<usize>(), 2);
        }

        #[test]
        fn a_chunk_is_made_ready_only_for_who_will_ask_and_would_get_a_new_one() {
            let mut chunks = Chunks::default();
            assert!(!chunks.wants_one(), "no arena is in use");
            assert_eq!(chunks.add(address(1)), Some(address(1)), "so it is for the system");
            assert_eq!(chunks.take(), None);
            assert!(chunks.wants_one());
            assert_eq!(chunks.add(address(1)), None);
            assert!(!chunks.wants_one(), "there is one");
            assert_eq!(chunks.add(address(2)), Some(address(2)), "another thread was first");
            assert_eq!(chunks.take(), Some(address(1)));
            assert_eq!(chunks.give_back(address(1)).len() + chunks.give_back(address(2)).len(), 2);
        }

        #[test]
        fn what_is_mapped_is_aligned_and_can_be_written_to_its_end() {
            for bytes in [HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 4096, 2 * HUGE_PAGE_BYTES] {
                let start = map(bytes);
                assert!(!start.is_null());
                assert_eq!(start.addr() % HUGE_PAGE_BYTES, 0);
                for at in [0, bytes - 1] {
                    // SAFETY: within the mapping of `bytes`.
                    let byte = unsafe { start.add(at) };
                    // SAFETY: as above; zeros are a `u8`, and nobody else knows the memory.
                    assert_eq!(unsafe { byte.replace(7) }, 0);
                }
                // SAFETY: mapped above, and nobody uses it any more.
                unsafe { unmap(start, bytes.next_multiple_of(HUGE_PAGE_BYTES)) };
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod other {
    use core::alloc::Layout;

    pub(in crate::arena) fn take(layout: Layout) -> *mut u8 {
        // SAFETY: a chunk is never empty.
        unsafe { std::alloc::alloc(layout) }
    }

    /// What the allocator does when it is asked for memory is its own affair.
    pub(in crate::arena) fn make_ready() {}

    /// # Safety
    ///
    /// `start` came from `take` with this layout, and nobody uses the memory any more.
    pub(in crate::arena) unsafe fn give_back(start: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { std::alloc::dealloc(start, layout) };
    }
}
