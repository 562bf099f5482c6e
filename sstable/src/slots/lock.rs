//! The lock of a shard: the standard library's.
//!
//! That library is not instrumented, so the thread sanitizer does not see what a contended lock orders. With `--cfg thread_sanitizer` an atomic beside
//! it says so: what was done before an unlock is before what follows the next lock. No more than that, so a race that the lock does not prevent is still seen.

#[cfg(not(thread_sanitizer))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(thread_sanitizer)]
pub(super) use told::{Mutex, MutexGuard};

#[cfg(thread_sanitizer)]
mod told {
    use std::ops::{Deref, DerefMut};
    use std::sync::atomic::{AtomicU64, Ordering};
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
