//! Waiting for a leader, and handing the lead on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::company::Company;
use super::record::encoded;
use super::{GROUP_BYTES_MAX, Group, Place, locked};
use crate::batch::{KeyspaceId, Ops};
use crate::options::Durability;
use crate::shared::Shared;
use crate::stats::{SHARDS, shard_of_thread};
use crate::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard, hint};
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

/// A request whose bytes take more is not kept.
const KEPT_BYTES_MAX: usize = 4 << 10;
/// Looks of a thread that may not look for long.
const LOOKS_FEW: u32 = 20;

/// What became of a write.
pub(super) enum Outcome<P: Parts> {
    /// Nothing yet, or it has been taken.
    None,
    /// It is written, and visible.
    Visible,
    /// It is logged; its writer is to insert it.
    Insert(Place<P>, Arc<Group>),
    Failed(Error),
}

/// What a waiting write is told.
pub(super) enum Seen {
    /// Nobody leads; it may.
    MayLead,
    /// Its outcome is there.
    Settled,
}

/// The states of a waiting write. From any of them a leader settles it; the lead is offered only while it is in the queue, under the queue's lock.
mod state {
    pub(super) const WAITING: u8 = 0;
    pub(super) const ASLEEP: u8 = 1;
    pub(super) const MAY_LEAD: u8 = 2;
    pub(super) const SETTLED: u8 = 3;
}

/// A write waiting for a leader; owns its bytes, since the leader reads them from another thread.
pub(super) struct Request<P: Parts> {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
    pub(super) keyspaces: Vec<KeyspaceId>,
    pub(super) durability: Durability,
    thread: Thread,
    outcome: Mutex<Outcome<P>>,
    state: Apart<AtomicU8>,
}

/// In cache lines of its own: the waiting thread reads it all the time, and the leader the rest.
#[repr(align(128))]
struct Apart<T>(T);

impl<P: Parts> Request<P> {
    fn new() -> Self {
        Request {
            bytes: Vec::new(),
            count: 0,
            keyspaces: Vec::new(),
            durability: Durability::Off,
            thread: thread::current(),
            outcome: Mutex::new(Outcome::None),
            state: Apart(AtomicU8::new(state::WAITING)),
        }
    }

    fn fill(&mut self, ops: Ops<'_>, durability: Durability) {
        self.bytes.clear();
        match ops {
            Ops::Encoded { bytes: borrowed, .. } => self.bytes.extend_from_slice(borrowed),
            Ops::One { .. } => {
                encoded(ops, &[], &mut self.bytes);
            }
        }
        self.keyspaces.clear();
        self.keyspaces.extend_from_slice(ops.keyspaces());
        self.count = ops.count();
        self.durability = durability;
        self.thread = thread::current();
        *self.state.0.get_mut() = state::WAITING;
    }

    pub(super) fn ops(&self) -> Ops<'_> {
        Ops::Encoded { bytes: &self.bytes, count: self.count, keyspaces: &self.keyspaces }
    }

    /// Tells it what became of it, and whether its thread is to be woken for that.
    fn settle(&self, outcome: Outcome<P>) -> bool {
        *locked(&self.outcome) = outcome;
        // Release: whoever sees the state sees the outcome.
        self.state.0.swap(state::SETTLED, Ordering::AcqRel) == state::ASLEEP
    }

    /// Tells it that it may lead, and whether its thread is to be woken for that. Called under the queue's lock, and only while it is in the queue: nobody settles it then.
    fn offer_lead(&self) -> bool {
        self.state.0.swap(state::MAY_LEAD, Ordering::AcqRel) == state::ASLEEP
    }

    fn is_settled(&self) -> bool {
        self.state.0.load(Ordering::Acquire) == state::SETTLED
    }

    pub(super) fn take_outcome(&self) -> Outcome<P> {
        std::mem::replace(&mut *locked(&self.outcome), Outcome::None)
    }

    /// The lead that was offered is taken by somebody else. Called under the queue's lock.
    pub(super) fn wait_on(&self) {
        // If it fails, the request is settled by now.
        let from = state::MAY_LEAD;
        let _ = self.state.0.compare_exchange(from, state::WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    fn seen(&self) -> Option<Seen> {
        match self.state.0.load(Ordering::Acquire) {
            state::SETTLED => Some(Seen::Settled),
            state::MAY_LEAD => Some(Seen::MayLead),
            _ => None,
        }
    }

    /// Waits for the leader: some looks with a pause between, since most groups take a microsecond or two and a thread that slept takes some fifty to
    /// wake; then sleep. Behind a sync, which takes longer than that, it looks less and lets other threads go first in between, as long as `patient` says so.
    pub(super) fn wait(&self, lookers: &Lookers, mut patient: impl FnMut() -> bool) -> Seen {
        if let Some(seen) = lookers.look(self.durability != Durability::Synced, || self.seen()) {
            return seen;
        }
        while patient() {
            thread::yield_now();
            if let Some(seen) = self.seen() {
                return seen;
            }
        }
        // If it fails, there is something to see.
        let from = state::WAITING;
        let _ = self.state.0.compare_exchange(from, state::ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        loop {
            if let Some(seen) = self.seen() {
                return seen;
            }
            thread::park();
        }
    }
}

/// Requests that may be used again, one for each shard of threads: what one thread allocates and another frees makes them wait for each other in the
/// allocator.
pub(super) struct Requests<P: Parts> {
    kept: Box<[Apart<Kept<P>>]>,
}

type Kept<P> = Mutex<Option<Arc<Request<P>>>>;

impl<P: Parts> Requests<P> {
    pub(super) fn new() -> Self {
        Requests { kept: (0..SHARDS).map(|_| Apart(Mutex::default())).collect() }
    }

    /// A request for this thread's write.
    pub(super) fn make(&self, ops: Ops<'_>, durability: Durability) -> Arc<Request<P>> {
        let kept = locked(&self.kept[shard_of_thread()].0).take();
        // A leader that has just settled it may hold it for some more nanoseconds.
        let mut request = kept
            .filter(|request| Arc::strong_count(request) == 1)
            .unwrap_or_else(|| Arc::new(Request::new()));
        if let Some(ours) = Arc::get_mut(&mut request) {
            ours.fill(ops, durability);
        }
        request
    }

    /// Keeps a request that is settled or withdrawn.
    pub(super) fn keep(&self, request: Arc<Request<P>>) {
        if request.bytes.capacity() <= KEPT_BYTES_MAX {
            *locked(&self.kept[shard_of_thread()].0) = Some(request);
        }
    }
}

/// Whether somebody leads and whether somebody waits, so that a writer that comes and goes alone needs no lock of the queue.
///
/// Invariant *waited*: while nobody holds the queue's lock, [`Turn::WAITED`] is set if anybody waits. With it set, only who holds that lock changes anything here.
pub(super) struct Turn(AtomicU8);

impl Turn {
    const LED: u8 = 1;
    const WAITED: u8 = 2;

    pub(super) fn new() -> Self {
        Turn(AtomicU8::new(0))
    }

    /// Takes the lead if nobody has it and nobody waits for it.
    #[inline]
    pub(super) fn take(&self) -> bool {
        self.0.compare_exchange(0, Self::LED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Lets go of the lead unless somebody waits.
    #[inline]
    fn let_go(&self) -> bool {
        self.0.compare_exchange(Self::LED, 0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_led(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::LED != 0
    }

    /// Says that somebody waits, and whether somebody leads, who will find that out when it wants to let go.
    fn wait_if_led(&self) -> bool {
        self.0.fetch_or(Self::WAITED, Ordering::AcqRel) & Self::LED != 0
    }

    /// For who holds the queue's lock, and leads or has found that nobody does.
    fn set(&self, led: bool, waited: bool) {
        let state = (u8::from(led) * Self::LED) | (u8::from(waited) * Self::WAITED);
        self.0.store(state, Ordering::Release);
    }
}

/// Who waits for a leader. While nobody leads, the first of them has been told that it may.
pub(super) struct Queue<P: Parts> {
    pub(super) waiting: VecDeque<Arc<Request<P>>>,
    pub(super) company: Company,
    /// For the next leader's followers, so that nobody allocates while others wait for the queue.
    followers: Followers<P>,
}

impl<P: Parts> Queue<P> {
    pub(super) fn new() -> Self {
        Queue { waiting: VecDeque::new(), company: Company::default(), followers: Followers::default() }
    }

    /// Takes the lead for a write of some bytes, with followers. `None` when somebody leads, who then looks at the queue before it lets go.
    pub(super) fn lead(&mut self, turn: &Turn, bytes: usize) -> Option<Followers<P>> {
        if turn.wait_if_led() {
            return None;
        }
        let mut followers = std::mem::take(&mut self.followers);
        self.take_while(&mut followers, bytes, |_| true);
        turn.set(true, !self.waiting.is_empty());
        Some(followers)
    }

    /// As [`Queue::lead`], for a request that waits here; `None` also when a leader has taken it.
    pub(super) fn lead_waiting(&mut self, turn: &Turn, request: &Arc<Request<P>>) -> Option<Followers<P>> {
        let place = self.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, request))?;
        if turn.is_led() {
            return None;
        }
        self.waiting.remove(place);
        self.lead(turn, request.bytes.len())
    }

    fn take_while(
        &mut self,
        followers: &mut Followers<P>,
        mut bytes: usize,
        may: impl Fn(&Request<P>) -> bool,
    ) {
        while bytes < GROUP_BYTES_MAX
            && self.waiting.front().is_some_and(|request| may(request))
            && let Some(request) = self.waiting.pop_front()
        {
            bytes += request.bytes.len();
            followers.0.push(request);
        }
    }
}

/// The lead, until it is dropped, whatever happens. The first who waits is then told that it may lead, and does unless another is quicker: a thread that sleeps is not
/// waited for.
///
/// Sleeping threads are woken after that and not before: the system would run them in the place of this one, and they would soon sleep again for want
/// of the lead.
pub(super) struct Leading<'a, P: Parts> {
    shared: &'a Arc<Shared<P>>,
    pub(super) followers: Followers<P>,
    to_wake: Vec<Arc<Request<P>>>,
    ended: bool,
}

impl<'a, P: Parts> Leading<'a, P> {
    pub(super) fn new(shared: &'a Arc<Shared<P>>, followers: Followers<P>) -> Self {
        Leading { shared, followers, to_wake: Vec::new(), ended: false }
    }

    /// Tells each follower what became of its write.
    pub(super) fn settle(&mut self, outcomes: impl Iterator<Item = Outcome<P>>) {
        for (request, outcome) in self.followers.0.drain(..).zip(outcomes) {
            if request.settle(outcome) {
                self.to_wake.push(request);
            }
        }
    }

    /// Takes along those who wait, into a group whose leader's own write has some bytes.
    pub(super) fn take_along(&mut self, queue: &mut Queue<P>, bytes: usize) {
        if self.followers.0.capacity() == 0 {
            self.followers = std::mem::take(&mut queue.followers);
        }
        let bytes = self.followers.0.iter().fold(bytes, |sum, request| sum + request.bytes.len());
        queue.take_while(&mut self.followers, bytes, |_| true);
        self.shared.commit.turn.set(true, !queue.waiting.is_empty());
    }

    /// Takes the next followers, those before the first that wants a sync; false when there are none and the lead has ended.
    pub(super) fn goes_on(&mut self) -> bool {
        let mut queue = locked(&self.shared.commit.queue);
        if self.followers.0.capacity() == 0 {
            self.followers = std::mem::take(&mut queue.followers);
        }
        queue.take_while(&mut self.followers, 0, |request| request.durability != Durability::Synced);
        if self.followers.0.is_empty() {
            self.end(queue);
        } else {
            self.shared.commit.turn.set(true, !queue.waiting.is_empty());
        }
        !self.ended
    }

    fn end(&mut self, mut queue: MutexGuard<'_, Queue<P>>) {
        self.ended = true;
        self.shared.commit.turn.set(false, !queue.waiting.is_empty());
        if self.followers.0.is_empty() && self.followers.0.capacity() > 0 {
            queue.followers = std::mem::take(&mut self.followers);
        }
        let asleep = queue.waiting.front().filter(|next| next.offer_lead()).cloned();
        drop(queue);
        for request in self.to_wake.drain(..).chain(asleep) {
            request.thread.unpark();
        }
    }
}

impl<P: Parts> Drop for Leading<'_, P> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(locked(&self.shared.commit.queue));
        }
    }
}

/// The lead of a writer that came when nobody waited, until it is dropped, whatever happens.
pub(super) struct LeadingAlone<'a, P: Parts>(pub(super) &'a Arc<Shared<P>>);

impl<'a, P: Parts> LeadingAlone<'a, P> {
    /// Lets go of the lead; the lead still, for those who have come meanwhile.
    #[inline]
    pub(super) fn let_go(self) -> Option<Leading<'a, P>> {
        let shared = self.0;
        std::mem::forget(self);
        (!shared.commit.turn.let_go()).then(|| Leading::new(shared, Followers::default()))
    }
}

impl<P: Parts> Drop for LeadingAlone<'_, P> {
    fn drop(&mut self) {
        drop(LeadingAlone(self.0).let_go());
    }
}

/// The followers of a leader. Should it not come to settle them (a panic in a part), they fail rather than wait for ever.
pub(super) struct Followers<P: Parts>(pub(super) Vec<Arc<Request<P>>>);

impl<P: Parts> Default for Followers<P> {
    fn default() -> Self {
        Followers(Vec::new())
    }
}

impl<P: Parts> Followers<P> {
    pub(super) fn wants_sync(&self) -> bool {
        self.0.iter().any(|request| request.durability == Durability::Synced)
    }
}

impl<P: Parts> Drop for Followers<P> {
    fn drop(&mut self) {
        for request in self.0.iter().filter(|request| !request.is_settled()) {
            if request.settle(Outcome::Failed(Error::Panicked("the leader of the group".to_owned()))) {
                request.thread.unpark();
            }
        }
    }
}
