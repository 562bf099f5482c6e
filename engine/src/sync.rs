//! The primitives through which threads of a database meet: one door, so that a model checker can stand in it.
//!
//! Ordinarily these are those of the standard library and of arc-swap, and cost what they cost. Built with `--cfg shuttle`
//! they are shuttle's, which runs all threads on one and decides at each use of a primitive who goes on; the
//! scenarios in `tests/shuttle` then try many interleavings (`cargo xtask concurrency`).
//!
//! `Arc` and `OnceLock` stay the standard library's: nobody waits in them, and no order of threads depends on
//! them. Counters that only people read (`stats.rs`, `histogram.rs`) stay out too.

#[cfg(not(shuttle))]
pub(crate) use {
    arc_swap::{ArcSwap, Guard},
    std::hint,
    std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic},
    std::thread,
};

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
