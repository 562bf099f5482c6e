//! Arrays that take whole pages from the system once they are large, and give them back when they are dropped.
//!
//! Why not a `Vec`: an allocator keeps what is freed for the next who asks, in a heap for each thread or so. Buffers of megabytes that live for one merge,
//! between tables' indexes and filters that live for minutes, leave holes there: the heaps of a store that was loaded with five million records held 74 MiB, of
//! which 20 were in use (the C library of Linux). Pages have no neighbours to keep them.
//!
//! Costs: below [`PAGED_BYTES_MIN`] it is a `Vec`. Above, a system call to begin, to end and each time it has to double, and a fault for each page at first touch;
//! room that is never touched takes no memory. On Linux what is in it is not copied when it doubles: the system moves its pages to other addresses. No more than [`PAGED_MAX`] of them have pages at a time, since a process may have only so many mappings; others
//! are `Vec`s, as all are where there are no such mappings.
#![cfg_attr(all(unix, not(miri)), expect(unsafe_code, reason = "values of a type in a map of bytes"))]

use std::fmt;
use std::ops::{Deref, DerefMut};

/// From so many bytes on pages are worth a system call.
const PAGED_BYTES_MIN: usize = 64 << 10;

/// An eighth of the mappings that Linux lets a process have unless told otherwise.
#[cfg(all(unix, not(miri)))]
const PAGED_MAX: usize = 8 << 10;

/// A growable array of plain values, in pages of its own when it is large.
pub struct PageVec<T: Copy>(Store<T>);

enum Store<T: Copy> {
    Heap(Vec<T>),
    Paged(paged::Paged<T>),
}

impl<T: Copy> PageVec<T> {
    /// An empty array. Takes no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        PageVec(Store::Heap(Vec::new()))
    }

    /// An empty array with room for `capacity` values. Room that is not used costs nothing where it is large.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        PageVec(Store::with_capacity(capacity))
    }

    /// Adds a value at the end; O(1) amortised.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.extend_from_slice(std::slice::from_ref(&value));
    }

    /// Adds values at the end.
    #[inline]
    pub fn extend_from_slice(&mut self, values: &[T]) {
        if self.capacity() - self.len() < values.len() {
            self.grow(values.len());
        }
        match &mut self.0 {
            Store::Heap(vec) => vec.extend_from_slice(values),
            Store::Paged(paged) => paged.append(values),
        }
    }

    /// Keeps the first `len` values; all, if there are no more.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Store::Heap(vec) => vec.truncate(len),
            Store::Paged(paged) => paged.truncate(len),
        }
    }

    /// Bytes of the room that it has, whether or not it was touched.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.capacity() * size_of::<T>()
    }

    #[inline]
    fn capacity(&self) -> usize {
        match &self.0 {
            Store::Heap(vec) => vec.capacity(),
            Store::Paged(paged) => paged.capacity(),
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.len() + more).max(2 * self.capacity());
        if let Store::Heap(vec) = &mut self.0
            && wanted * size_of::<T>() < PAGED_BYTES_MIN
        {
            vec.reserve(wanted - vec.len());
            return;
        }
        if let Store::Paged(paged) = &mut self.0
            && paged.grow(wanted)
        {
            return;
        }
        let mut larger = Self::with_capacity(wanted);
        larger.extend_from_slice(self);
        *self = larger;
    }
}

impl PageVec<u8> {
    /// So many zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut store = Store::with_capacity(len);
        match &mut store {
            Store::Heap(vec) => vec.resize(len, 0),
            Store::Paged(paged) => paged.take_zeros(len),
        }
        PageVec(store)
    }
}

impl<T: Copy> Store<T> {
    fn with_capacity(capacity: usize) -> Self {
        let bytes = capacity.saturating_mul(size_of::<T>());
        let paged = if bytes < PAGED_BYTES_MIN { None } else { paged::Paged::with_capacity(capacity) };
        paged.map_or_else(|| Store::Heap(Vec::with_capacity(capacity)), Store::Paged)
    }
}

impl<T: Copy> Deref for PageVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Store::Heap(vec) => vec,
            Store::Paged(paged) => paged.as_slice(),
        }
    }
}

impl<T: Copy> DerefMut for PageVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Store::Heap(vec) => vec,
            Store::Paged(paged) => paged.as_mut_slice(),
        }
    }
}

impl<T: Copy> AsRef<[T]> for PageVec<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Copy> Default for PageVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> FromIterator<T> for PageVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values = values.into_iter();
        let mut array = Self::with_capacity(values.size_hint().0);
        values.for_each(|value| array.push(value));
        array
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for PageVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(unix, not(miri)))]
mod paged {
    use super::PAGED_MAX;
    use memmap2::MmapMut;
    use std::marker::PhantomData;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PAGED: AtomicUsize = AtomicUsize::new(0);

    /// Values in pages of their own.
    ///
    /// Invariants: *Written*: the first `len` values of the map were written, or are zeros of a type for which zeros are a value. *Aligned*: a map
    /// begins at a page, which is aligned for every type here.
    pub(super) struct Paged<T: Copy> {
        map: MmapMut,
        len: usize,
        values: PhantomData<T>,
    }

    impl<T: Copy> Paged<T> {
        /// `None` when there are enough already, or the system has no more.
        pub(super) fn with_capacity(capacity: usize) -> Option<Self> {
            const { assert!(align_of::<T>() <= 4096, "pages are aligned for it") };
            let bytes = capacity.checked_mul(size_of::<T>())?;
            if PAGED.fetch_add(1, Ordering::Relaxed) < PAGED_MAX
                && let Ok(map) = MmapMut::map_anon(bytes)
            {
                return Some(Paged { map, len: 0, values: PhantomData });
            }
            PAGED.fetch_sub(1, Ordering::Relaxed);
            None
        }

        /// Makes room for so many values without copying those that are there. False, and nothing is done, where the system can not.
        pub(super) fn grow(&mut self, capacity: usize) -> bool {
            #[cfg(target_os = "linux")]
            {
                let Some(bytes) =
                    capacity.checked_mul(size_of::<T>()).filter(|bytes| *bytes > self.map.len())
                else {
                    return false;
                };
                let anywhere = memmap2::RemapOptions::new().may_move(true);
                // SAFETY: the map is of no file, so that there is nothing that the new part could be beyond the end of; whoever borrowed its values has given them back,
                // since we are borrowed for ourselves. A larger map keeps its pages: Written holds, and Aligned does wherever it begins.
                unsafe { self.map.remap(bytes, anywhere) }.is_ok()
            }
            #[cfg(not(target_os = "linux"))]
            {
                let _ = capacity;
                false
            }
        }

        #[inline]
        pub(super) fn capacity(&self) -> usize {
            self.map.len() / size_of::<T>()
        }

        #[inline]
        pub(super) fn as_slice(&self) -> &[T] {
            // SAFETY: by Written and Aligned; the map is ours alone and lives as long as the borrow.
            unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
        }

        #[inline]
        pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
            // SAFETY: as above, borrowed for ourselves.
            unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
        }

        pub(super) fn truncate(&mut self, len: usize) {
            self.len = self.len.min(len);
        }

        /// # Panics
        ///
        /// When there is no room: the caller has looked.
        #[inline]
        pub(super) fn append(&mut self, values: &[T]) {
            assert!(values.len() <= self.capacity() - self.len, "room was made before");
            // SAFETY: `len` is at most the capacity, so that this is within the map or at its end.
            let end = unsafe { self.map.as_mut_ptr().cast::<T>().add(self.len) };
            // SAFETY: there is room for so many, as was looked at; a borrowed slice overlaps no map that is borrowed for ourselves.
            unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), end, values.len()) };
            self.len += values.len();
        }
    }

    impl Paged<u8> {
        /// Takes so many of the zeros that a fresh map is full of.
        pub(super) fn take_zeros(&mut self, len: usize) {
            assert!(self.len == 0 && len <= self.capacity(), "a fresh map with room");
            self.len = len;
        }
    }

    impl<T: Copy> Drop for Paged<T> {
        fn drop(&mut self) {
            PAGED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(not(all(unix, not(miri))))]
mod paged {
    use std::convert::Infallible;
    use std::marker::PhantomData;

    /// There are none.
    pub(super) struct Paged<T: Copy>(Infallible, PhantomData<T>);

    impl<T: Copy> Paged<T> {
        pub(super) fn with_capacity(_capacity: usize) -> Option<Self> {
            None
        }

        pub(super) fn grow(&mut self, _capacity: usize) -> bool {
            match self.0 {}
        }

        pub(super) fn capacity(&self) -> usize {
            match self.0 {}
        }

        pub(super) fn as_slice(&self) -> &[T] {
            match self.0 {}
        }

        pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
            match self.0 {}
        }

        pub(super) fn truncate(&mut self, _len: usize) {
            match self.0 {}
        }

        pub(super) fn append(&mut self, _values: &[T]) {
            match self.0 {}
        }

        pub(super) fn take_zeros(&mut self, _len: usize) {
            match self.0 {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test takes all that there may be, and another looks for some.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    fn is_paged<T: Copy>(array: &PageVec<T>) -> bool {
        matches!(array.0, Store::Paged(_))
    }

    #[test]
    fn what_is_pushed_is_there_before_and_after_it_becomes_large() {
        let _alone = ALONE.lock();
        let mut array = PageVec::new();
        let mut expected = Vec::new();
        for number in 0..60_000_u64 {
            array.push(number * 7);
            expected.push(number * 7);
            if number.is_power_of_two() {
                assert_eq!(*array, *expected);
            }
        }
        array.extend_from_slice(&[1; 5_000]);
        expected.extend_from_slice(&[1; 5_000]);
        array[3] = 0;
        expected[3] = 0;
        assert_eq!(*array, *expected);
        assert_eq!(is_paged(&array), cfg!(all(unix, not(miri))));
        assert!(array.capacity_bytes() >= array.len() * 8);
    }

    /// Its pages are moved, or it is copied: what is in it stays, also where it began as zeros that nobody wrote.
    #[test]
    fn a_large_array_that_doubles_has_what_it_had() {
        let _alone = ALONE.lock();
        let mut array = PageVec::zeroed(PAGED_BYTES_MIN);
        let mut expected = vec![0; PAGED_BYTES_MIN];
        for number in 0..6_u8 {
            let more = vec![number; array.len() + 1];
            array.extend_from_slice(&more);
            expected.extend_from_slice(&more);
            assert!(*array == *expected, "after {number}");
        }
        assert_eq!(is_paged(&array), cfg!(all(unix, not(miri))));
    }

    #[test]
    fn small_arrays_have_no_pages() {
        let array: PageVec<u32> = (0..1000).collect();
        assert!(!is_paged(&array));
        assert_eq!(array.iter().copied().sum::<u32>(), 499_500);
        assert!(PageVec::<u8>::new().is_empty());
    }

    #[test]
    fn zeroed_is_zeros_of_that_length() {
        for len in [0, 1, PAGED_BYTES_MIN - 1, PAGED_BYTES_MIN, 3 * PAGED_BYTES_MIN + 1] {
            let mut array = PageVec::zeroed(len);
            assert!(array.len() == len && array.iter().all(|&byte| byte == 0), "{len}");
            array.extend_from_slice(b"more");
            assert!(array.ends_with(b"more") && array.len() == len + 4, "{len}");
            array.truncate(len + 2);
            array.truncate(len + 3);
            assert!(array.ends_with(b"mo") && array.len() == len + 2, "{len}");
        }
    }

    #[cfg(all(unix, not(miri)))]
    #[test]
    fn beyond_so_many_they_are_on_the_heap_and_right_nevertheless() {
        let _alone = ALONE.lock();
        let large = || PageVec::<u8>::with_capacity(PAGED_BYTES_MIN);
        let many: Vec<_> = (0..=PAGED_MAX).map(|_| large()).collect();
        assert!(!is_paged(&many[PAGED_MAX]));
        drop(many);
        assert!(is_paged(&large()), "those that are gone do not count");
    }
}
