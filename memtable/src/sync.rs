//! The primitives through which threads meet in a memtable: one door, so that a model checker can stand in it.
//!
//! Ordinarily these are those of `core` and `std`. Two checkers take their place (`cargo xtask concurrency`):
//!
//! * `--cfg shuttle`: the same atomics, before each use of which shuttle may let another thread go on. Threads run one at
//!   a time, so this is every interleaving of a sequentially consistent machine, at the layout of the real thing.
//! * `--cfg loom`: loom's own, which also explore what a weaker machine may do: a relaxed load that reads an old value, a fence
//!   that is missing. They are larger and can not be made at compile time. The arena keeps the real ones (module `plain`): it only has to hand
//!   out disjoint memory, which read-modify-write operations do under any ordering.

#[cfg(not(any(shuttle, loom)))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize};
#[cfg(all(feature = "btree", not(any(shuttle, loom))))]
pub(crate) use core::sync::atomic::{AtomicU64, fence};
#[cfg(all(feature = "hash", not(any(shuttle, loom))))]
pub(crate) use std::sync::Mutex;
#[cfg(all(feature = "btree", not(any(shuttle, loom))))]
pub(crate) use {core::hint::spin_loop, std::thread::yield_now};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};
#[cfg(loom)]
pub(crate) use loom::{hint::spin_loop, sync::Mutex, thread::yield_now};

#[cfg(shuttle)]
pub(crate) use modelled::{AtomicPtr, AtomicU64, AtomicUsize};
#[cfg(shuttle)]
pub(crate) use {
    core::sync::atomic::fence, shuttle::hint::spin_loop, shuttle::sync::Mutex, shuttle::thread::yield_now,
};

/// For the arena.
pub(crate) mod plain {
    #[cfg(shuttle)]
    pub(crate) use super::modelled::{AtomicPtr, AtomicUsize};
    #[cfg(not(shuttle))]
    pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize};
    #[cfg(shuttle)]
    pub(crate) use shuttle::sync::Mutex;
    #[cfg(not(shuttle))]
    pub(crate) use std::sync::Mutex;
}

/// An array of values that one expression makes.
#[cfg(not(loom))]
macro_rules! array {
    ($value:expr; $count:expr) => {
        [const { $value }; $count]
    };
}
#[cfg(loom)]
macro_rules! array {
    ($value:expr; $count:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $value)
    };
}
pub(crate) use array;

#[cfg(shuttle)]
#[expect(dead_code, reason = "the two sorts of numbers are each used in their own way")]
mod modelled {
    use core::sync::atomic::Ordering;

    /// A place where shuttle may let another thread go on. Not a yield, which says that this one can not.
    fn may_switch() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }

    macro_rules! number {
        ($name:ident, $value:ty) => {
            #[derive(Debug)]
            #[repr(transparent)]
            pub(crate) struct $name(core::sync::atomic::$name);

            impl $name {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(core::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    may_switch();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    may_switch();
                    self.0.store(value, order);
                }

                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    may_switch();
                    self.0.fetch_add(value, order)
                }

                pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                    may_switch();
                    self.0.fetch_max(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    old: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    may_switch();
                    self.0.compare_exchange(old, new, success, failure)
                }
            }
        };
    }

    number!(AtomicUsize, usize);
    number!(AtomicU64, u64);

    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct AtomicPtr<T>(core::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(value: *mut T) -> Self {
            AtomicPtr(core::sync::atomic::AtomicPtr::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            may_switch();
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: *mut T, order: Ordering) {
            may_switch();
            self.0.store(value, order);
        }

        #[cfg(feature = "hash")]
        pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
            may_switch();
            self.0.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            old: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            may_switch();
            self.0.compare_exchange(old, new, success, failure)
        }
    }
}
