//! Waiting for a leader, and handing the lead on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::record::encoded;
use super::{GROUP_BYTES_MAX, Group, Place, locked};
use crate::batch::{KeyspaceId, Ops};
use crate::options::Durability;
use crate::shared::Shared;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, PoisonError, hint};
use crate::{Error, Parts};

/// Looks at what others do, with a pause of the processor between (40 to 140 cycles), before a thread sleeps: some twenty microseconds.
#[cfg(not(shuttle))]
pub(super) const LOOKS: u32 = 400;
/// A model checker tries each of them.
#[cfg(shuttle)]
pub(super) const LOOKS: u32 = 20;

/// How many threads may look at once: one less than there are processors, for whom they wait needs one. More would keep it from going on.
#[derive(Debug)]
pub(super) struct Lookers {
    looking: AtomicUsize,
    most: usize,
}

impl Lookers {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Lookers { looking: AtomicUsize::new(0), most: processors - 1 }
    }

    /// Looks until `seen` says that there is something, or for a while; hardly at all when enough others look.
    pub(super) fn look<T>(&self, for_long: bool, mut seen: impl FnMut() -> Option<T>) -> Option<T> {
        let may = for_long && self.looking.fetch_add(1, Ordering::Relaxed) < self.most;
        let found = (0..if may { LOOKS } else { LOOKS_FEW }).find_map(|_| {
            let found = seen();
            if found.is_none() {
                hint::spin_loop();
            }
            found
        });
        if for_long {
            self.looking.fetch_sub(1, Ordering::Relaxed);
        }
        found
    }
}

/// Looks of a thread that may not look for long.
const LOOKS_FEW: u32 = 20;

pub(super) enum Outcome<P: Parts> {
    Waiting,
    /// The queue is yours.
    Lead,
    Insert(Place<P>, Arc<Group>),
    Failed(Error),
    Taken,
}

/// A write waiting for a leader; owns its bytes, since the leader reads them from another thread.
pub(super) struct Request<P: Parts> {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
    pub(super) keyspaces: Vec<KeyspaceId>,
    pub(super) durability: Durability,
    pub(super) outcome: Mutex<Outcome<P>>,
    pub(super) thread: Thread,
}

impl<P: Parts> Request<P> {
    pub(super) fn new(ops: Ops<'_>, durability: Durability) -> Arc<Self> {
        let mut bytes = Vec::new();
        match ops {
            Ops::Encoded { bytes: borrowed, .. } => bytes.extend_from_slice(borrowed),
            Ops::One { .. } => {
                encoded(ops, &[], &mut bytes);
            }
        }
        Arc::new(Request {
            bytes,
            count: ops.count(),
            keyspaces: ops.keyspaces().to_vec(),
            durability,
            outcome: Mutex::new(Outcome::Waiting),
            thread: thread::current(),
        })
    }

    pub(super) fn ops(&self) -> Ops<'_> {
        Ops::Encoded { bytes: &self.bytes, count: self.count, keyspaces: &self.keyspaces }
    }

    pub(super) fn settle(&self, outcome: Outcome<P>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        self.thread.unpark();
    }

    /// Waits for the leader: some looks with a pause between, since most groups take a microsecond or two and a thread that slept takes some fifty to
    /// wake; then sleep. Behind a sync, which takes longer than that, it sleeps soon.
    pub(super) fn wait(&self, lookers: &Lookers) -> Outcome<P> {
        let settled = || {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            let waits = matches!(*outcome, Outcome::Waiting);
            (!waits).then(|| std::mem::replace(&mut *outcome, Outcome::Taken))
        };
        if let Some(outcome) = lookers.look(self.durability != Durability::Synced, settled) {
            return outcome;
        }
        loop {
            if let Some(outcome) = settled() {
                return outcome;
            }
            thread::park();
        }
    }
}

pub(super) struct Queue<P: Parts> {
    pub(super) led: bool,
    pub(super) waiting: VecDeque<Arc<Request<P>>>,
}

/// Passes the lead on when dropped, whatever happened: to the first who waits, or to nobody.
pub(super) struct PassOn<'a, P: Parts> {
    pub(super) shared: &'a Arc<Shared<P>>,
}

impl<P: Parts> Drop for PassOn<'_, P> {
    fn drop(&mut self) {
        let mut queue = locked(&self.shared.commit.queue);
        match queue.waiting.pop_front() {
            Some(next) => next.settle(Outcome::Lead),
            None => queue.led = false,
        }
    }
}

pub(super) fn take_followers<P: Parts>(
    waiting: &mut VecDeque<Arc<Request<P>>>,
    mut bytes: usize,
) -> Followers<P> {
    let mut followers = Vec::new();
    while bytes < GROUP_BYTES_MAX
        && let Some(request) = waiting.pop_front()
    {
        bytes += request.bytes.len();
        followers.push(request);
    }
    Followers(followers)
}

/// The followers of a leader. Should it not come to settle them (a panic in a part), they fail rather than wait for ever.
pub(super) struct Followers<P: Parts>(pub(super) Vec<Arc<Request<P>>>);

impl<P: Parts> Drop for Followers<P> {
    fn drop(&mut self) {
        for request in &self.0 {
            let waiting = matches!(*locked(&request.outcome), Outcome::Waiting);
            if waiting {
                request.settle(Outcome::Failed(Error::Panicked("the leader of the group".to_owned())));
            }
        }
    }
}
