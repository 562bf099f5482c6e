//! How nodes are read while others change them.
//!
//! # The version protocol
//!
//! A node's version is even when nobody changes it and odd while somebody does. A reader notes the version,
//! reads, and checks that the version is still the same; if not, it throws away what it read. A writer makes the
//! version odd by a compare-and-swap from the version at which it read, so that locking also proves that what it
//! read still holds; unlocking makes it even again, greater by two.
//!
//! All that a reader may meet half changed is atomic. Numbers are read and written relaxed: the version orders
//! them (the fences of a seqlock, see Boehm, "Can seqlocks get along with programming language memory models?",
//! 2012). Addresses are written with release and read with acquire, because a reader follows them before it has
//! checked the version: whatever it follows is a whole record or node, although maybe not the right one.

use core::sync::atomic::{Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::change::Changing;
use super::node::NodeRef;
use crate::sync::{fence, spin_loop, yield_now};

/// Tries of a waiting thread before it lets others run.
const SPINS_MAX: u32 = if cfg!(any(shuttle, loom)) { 1 } else { 6 };

/// Somebody changed a node while it was read, or the tree grew: start again from the root.
#[derive(Debug)]
pub(super) struct Again;

/// Runs `attempt` until nobody gets in its way.
#[inline]
pub(super) fn until_undisturbed<T>(mut attempt: impl FnMut() -> Result<T, Again>) -> T {
    let mut backoff = Backoff::default();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(Again) => backoff.pause(),
        }
    }
}

#[derive(Default)]
struct Backoff {
    pauses: u32,
}

impl Backoff {
    #[cold]
    fn pause(&mut self) {
        if self.pauses >= SPINS_MAX {
            // Whoever changes the node may have lost its processor.
            yield_now();
            return;
        }
        for _ in 0..1 << self.pauses {
            spin_loop();
        }
        self.pauses += 1;
    }
}

/// A node and the version at which it is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'t> {
    pub(super) node: NodeRef<'t>,
    pub(super) version: u64,
}

impl<'t> Reading<'t> {
    /// Notes the version, when nobody is changing the node.
    #[inline]
    pub(super) fn begin(node: NodeRef<'t>) -> Self {
        let mut backoff = Backoff::default();
        loop {
            let version = node.version.load(Acquire);
            if version.is_multiple_of(2) {
                return Reading { node, version };
            }
            backoff.pause();
        }
    }

    /// Fails unless all that was read so far was of one state of the node.
    #[inline]
    pub(super) fn check(self) -> Result<(), Again> {
        // The fence keeps the reads before it from moving behind the check.
        fence(Acquire);
        if self.node.version.load(Relaxed) == self.version { Ok(()) } else { Err(Again) }
    }

    /// The node as it is after the change for which this was locked, if nobody has changed it since.
    #[inline]
    pub(super) fn after_own_change(self) -> Self {
        Reading { node: self.node, version: self.version + 2 }
    }

    /// Locks the node for a change; fails if it changed since it was read.
    #[inline]
    pub(super) fn lock(self) -> Result<Changing<'t>, Again> {
        let odd = self.version + 1;
        match self.node.version.compare_exchange(self.version, odd, Acquire, Relaxed) {
            Ok(_) => {
                // A reader that sees any write behind this fence also sees the odd version when it checks.
                fence(Release);
                Ok(Changing::locked(self.node))
            }
            Err(_) => Err(Again),
        }
    }
}
