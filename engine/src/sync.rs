//! The primitives through which threads of a database meet: one door, so that a model checker can stand in it.
//!
//! Ordinarily these are those of the standard library and of arc-swap, and cost what they cost. Built with `--cfg shuttle`
//! they are shuttle's, which runs all threads on one and decides at each use of a primitive who goes on; the
//! scenarios in `tests/shuttle` then try many interleavings (`cargo xtask concurrency`).
//!
//! `Arc` stays the standard library's, and under shuttle `OnceLock`: nobody waits in them, and no order of threads depends on
//! them. Counters that only people read (`stats.rs`, `histogram.rs`) stay out too.
//!
//! With `--cfg thread_sanitizer` they are the standard library's with an atomic beside each (`cargo xtask sanitize --thread`).

#[cfg(any(shuttle, not(thread_sanitizer)))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(any(shuttle, thread_sanitizer)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use {
    arc_swap::{ArcSwap, Guard},
    std::hint,
    std::sync::{PoisonError, atomic},
    std::thread,
};

#[cfg(all(thread_sanitizer, not(shuttle)))]
pub(crate) use told::{Condvar, Mutex, MutexGuard, OnceLock};

#[cfg(shuttle)]
pub(crate) use {
    arc_swap::Guard,
    modelled::ArcSwap,
    shuttle::hint,
    shuttle::sync::{Condvar, Mutex, MutexGuard, atomic},
    shuttle::thread,
    std::sync::PoisonError,
};

#[cfg(shuttle)]
mod modelled {
    use arc_swap::Guard;
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    /// An `ArcSwap` before whose every use another thread may run. Shuttle does not know arc-swap, whose operations
    /// are then one step each; so the order of loads and stores is explored, and the inside of arc-swap is not.
    pub(crate) struct ArcSwap<T>(arc_swap::ArcSwap<T>);

    /// A place where shuttle may let another thread go on. Not a yield, which says that this one can not.
    fn may_switch() {
        AtomicBool::new(false).load(Ordering::SeqCst);
    }

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            ArcSwap(arc_swap::ArcSwap::from_pointee(value))
        }

        pub(crate) fn load(&self) -> Guard<Arc<T>> {
            may_switch();
            self.0.load()
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            may_switch();
            self.0.load_full()
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            may_switch();
            self.0.store(value);
        }
    }
}

/// The standard library that ships is not instrumented, so the thread sanitizer does not see what a contended lock orders. Here
/// an atomic beside each lock tells it: what was done before an unlock is before what follows the next lock. No more than
/// that, so a race that the lock does not prevent is still seen.
#[cfg(all(thread_sanitizer, not(shuttle)))]
mod told {
    use std::ops::{Deref, DerefMut};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{LockResult, PoisonError};
    use std::time::Duration;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T> {
        inner: std::sync::Mutex<T>,
        unlocks: AtomicU64,
    }

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        /// `None` only while a condition variable holds it.
        inner: Option<std::sync::MutexGuard<'a, T>>,
        unlocks: &'a AtomicU64,
    }

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex { inner: std::sync::Mutex::new(value), unlocks: AtomicU64::new(0) }
        }

        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            let inner = Some(self.inner.lock().unwrap_or_else(PoisonError::into_inner));
            self.unlocks.load(Ordering::Acquire);
            Ok(MutexGuard { inner, unlocks: &self.unlocks })
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.unlocks.fetch_add(1, Ordering::Release);
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.inner.as_ref().expect("a guard in use holds its lock")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.inner.as_mut().expect("a guard in use holds its lock")
        }
    }

    /// Shows its value to others when `set` is done with it, and not a moment before.
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

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let set = self.inner.set(value);
            if set.is_ok() {
                self.is_set.store(true, Ordering::Release);
            }
            while !self.is_set.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            set
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(std::sync::Condvar);

    impl Condvar {
        pub(crate) const fn new() -> Self {
            Condvar(std::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
            let (inner, unlocks) = unlocked(guard);
            let inner = self.0.wait(inner).unwrap_or_else(PoisonError::into_inner);
            Ok(locked(inner, unlocks))
        }

        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, std::sync::WaitTimeoutResult)> {
            let (inner, unlocks) = unlocked(guard);
            let (inner, result) = self.0.wait_timeout(inner, limit).unwrap_or_else(PoisonError::into_inner);
            Ok((locked(inner, unlocks), result))
        }
    }

    fn unlocked<T>(mut guard: MutexGuard<'_, T>) -> (std::sync::MutexGuard<'_, T>, &AtomicU64) {
        // Dropping what is left of the guard tells of the unlock.
        (guard.inner.take().expect("a guard in use holds its lock"), guard.unlocks)
    }

    fn locked<'a, T>(inner: std::sync::MutexGuard<'a, T>, unlocks: &'a AtomicU64) -> MutexGuard<'a, T> {
        unlocks.load(Ordering::Acquire);
        MutexGuard { inner: Some(inner), unlocks }
    }
}
