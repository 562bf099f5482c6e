//! The lock of a shard, and the cell of a table's slots: the standard library's.
//!
//! That library is not instrumented, so the thread sanitizer does not see what they order. With `--cfg thread_sanitizer` an atomic beside each
//! says so: what was done before an unlock is before what follows the next lock. No more than that, so a race that the lock does not prevent is still seen.

#[cfg(not(thread_sanitizer))]
pub(super) use std::sync::{Mutex, MutexGuard, OnceLock};

#[cfg(thread_sanitizer)]
pub(super) use told::{Mutex, MutexGuard, OnceLock};

#[cfg(thread_sanitizer)]
mod told {
    use std::ops::{Deref, DerefMut};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{LockResult, PoisonError};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T> {
        inner: std::sync::Mutex<T>,
        unlocks: AtomicU64,
    }

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        inner: std::sync::MutexGuard<'a, T>,
        unlocks: &'a AtomicU64,
    }

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            self.unlocks.load(Ordering::Acquire);
            Ok(MutexGuard { inner, unlocks: &self.unlocks })
        }
    }

    /// Shows its value to others when it is made, and not a moment before.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        inner: std::sync::OnceLock<T>,
        is_set: AtomicBool,
    }

    impl<T> OnceLock<T> {
        pub(crate) const fn new() -> Self {
            OnceLock { inner: std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) { self.inner.get() } else { None }
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let mut ours = false;
            let value = self.inner.get_or_init(|| {
                ours = true;
                make()
            });
            if ours {
                self.is_set.store(true, Ordering::Release);
            }
            while !self.is_set.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            value
        }
    }

    // The guard within unlocks after this.
    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.unlocks.fetch_add(1, Ordering::Release);
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.inner
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.inner
        }
    }
}
