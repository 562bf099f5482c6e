//! The commit: how writes get a place in the order, become durable, and become visible.
//!
//! 1. *Join.* The first writer to come leads, which takes it one atomic operation when nobody waits (`queue.rs`, [`Turn`]); those who come while it works wait
//!    in a queue and form the next group.
//! 2. *Gather.* Before a sync the leader waits a little for those who wrote at the last one and are not back yet (`company.rs`).
//! 3. *Log.* The leader gives the group its sequence numbers and appends it to the log as one record, handed to the system or synced once for all.
//! 4. *Insert.* A small group is inserted into the memtables by its leader. Of a larger one every writer inserts its own batch, in parallel, after the lead has
//!    passed on.
//! 5. *Publish.* A group becomes visible when it and every group before it is inserted; a write returns when it is visible.
//! 6. *Serve.* The leader of a small group then commits the groups of those who have come meanwhile. When nobody waits any more, or after some groups, it
//!    lets go of the lead, and whoever comes first takes it: a writer on its way, or the one that waits longest, who is told.
//!
//! A write that comes alone does all this in one go (`alone.rs`), without allocation and, if it is not synced, without the queue's lock. The log is synced before anything is inserted, so a
//! failed sync is never visible to a reader.
//!
//! That one thread does the work of several is flat combining (Hendler, Incze, Shavit, Tzafrir: Flat combining and the synchronization-parallelism tradeoff, 2010). The
//! tail of the log, the memtable's newest chunk and their counters are some fifteen cache lines, and to fetch them from another processor takes
//! longer than a small write does; and nobody waits for a thread that sleeps or has lost its processor.
//!
//! Invariants. `in-order`: `visible` grows in the order of sequence numbers. `sealed-complete`: a sealed memtable's last sequence number is
//! below those of all later groups, so it is complete once that number is visible. `log-before-memtable`: a memtable names
//! a log (`first_log`) before that log can be ended.

mod alone;
mod company;
mod publish;
mod queue;
mod record;
mod room;

use std::sync::Arc;
use std::time::Duration;
use terrace_entry::SeqNo;
use terrace_wal::LogWriter;

use crate::batch::{KeyspaceId, Ops};
use crate::options::Durability;
use crate::shared::Shared;
use crate::stats::bump_locked;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::tree::Tree;
use crate::version::Mem;
use crate::{Error, Parts, Result, WriteOptions};

use publish::{Group, Publishing};
use queue::{Followers, Leading, LeadingAlone, Lookers, Outcome, Queue, Request, Requests, Seen, Turn};
use record::{append_group, encoded};

/// A group takes no more followers above this, so that the first of them does not wait for the last.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// A group of at most this many bytes is inserted by its leader before it passes the lead on.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// And of at most so many members: of more, some are awake and insert at the same time. A model checker has both sorts of groups.
const INLINE_MEMBERS_MAX: usize = if cfg!(shuttle) { 2 } else { 8 };
/// How many groups a leader commits besides its own before it lets go of the lead, so that its caller does not wait for ever.
const GROUPS_MORE_MAX: usize = if cfg!(shuttle) { 1 } else { 32 };

/// Which log is active, and the last logged sequence number before it.
#[derive(Clone, Copy, Default)]
struct ActiveLog {
    number: u64,
    previous: SeqNo,
}

/// The state that leaders hand from one to the next.
struct Lead<P: Parts> {
    log: Option<P::Log>,
    next_seqno: u64,
    last_logged: SeqNo,
    durable: SeqNo,
    /// The active log, as in [`Commit::active_log`].
    active: ActiveLog,
    /// User bytes since the memory of all memtables was last added up.
    unchecked_bytes: usize,
    /// Whether the background was asked to make memory ready since the limits were checked last.
    asked_ready: bool,
    /// Where the last write that came alone went. It is the active memtable of that keyspace, which is not removed: whoever changes that empties this.
    recent: Option<(KeyspaceId, Arc<Mem<P>>)>,
    closed: bool,
}

/// Where a batch goes: a memtable for each keyspace that it names.
enum Mems<P: Parts> {
    One(KeyspaceId, Arc<Mem<P>>),
    Many(Vec<(KeyspaceId, Arc<Mem<P>>)>),
}

impl<P: Parts> Mems<P> {
    fn get(&self, id: KeyspaceId) -> Option<&Arc<Mem<P>>> {
        match self {
            Mems::One(only, mem) => (*only == id).then_some(mem),
            Mems::Many(mems) => mems.iter().find(|(each, _)| *each == id).map(|(_, mem)| mem),
        }
    }

    fn each(&self, mut visit: impl FnMut(&Arc<Mem<P>>)) {
        match self {
            Mems::One(_, mem) => visit(mem),
            Mems::Many(mems) => mems.iter().for_each(|(_, mem)| visit(mem)),
        }
    }
}

/// What a member of a group has been given.
struct Place<P: Parts> {
    first: SeqNo,
    mems: Mems<P>,
}

impl<P: Parts> Place<P> {
    /// Notes in the memtables that this log holds something of them.
    fn name_log(&self, number: u64) {
        self.mems.each(|mem| {
            if mem.first_log.load(Ordering::Relaxed) == u64::MAX {
                mem.first_log.store(number, Ordering::Release);
            }
        });
    }
}

/// The commit of a database.
pub(crate) struct Commit<P: Parts> {
    turn: Turn,
    queue: Mutex<Queue<P>>,
    lead: Mutex<Lead<P>>,
    publishing: Mutex<Publishing>,
    /// How many groups `publishing` holds. It grows only by whoever leads, and falls when a group is visible.
    unpublished: AtomicUsize,
    published: Condvar,
    requests: Requests<P>,
    lookers: Lookers,
    /// A copy of the leader's, for those who do not lead. Set while the list of old logs is locked, so that
    /// a log is always in one of the two.
    active: Mutex<ActiveLog>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Parts> Commit<P> {
    /// A commit that goes on after `last_seqno`, into a log just begun.
    pub(crate) fn new(last_seqno: SeqNo, last_logged: SeqNo, log: Option<P::Log>, number: u64) -> Self {
        let active = ActiveLog { number, previous: last_logged };
        let lead = Lead {
            log,
            next_seqno: last_seqno.get() + 1,
            last_logged,
            durable: last_logged,
            active,
            unchecked_bytes: 0,
            asked_ready: false,
            recent: None,
            closed: false,
        };
        Commit {
            turn: Turn::new(),
            queue: Mutex::new(Queue::new()),
            lead: Mutex::new(lead),
            publishing: Mutex::default(),
            unpublished: AtomicUsize::new(0),
            published: Condvar::new(),
            requests: Requests::new(),
            lookers: Lookers::new(),
            active: Mutex::new(active),
        }
    }

    pub(crate) fn active_log(&self) -> (u64, SeqNo) {
        let active = *locked(&self.active);
        (active.number, active.previous)
    }

    /// Ends the commit for good and gives the active log to whoever closes it.
    pub(crate) fn take_log(&self) -> Option<(u64, P::Log)> {
        let mut lead = locked(&self.lead);
        lead.closed = true;
        lead.recent = None;
        lead.log.take().map(|log| (lead.active.number, log))
    }

    /// A keyspace was removed.
    pub(crate) fn forget_recent(&self) {
        locked(&self.lead).recent = None;
    }

    pub(crate) fn active_log_bytes(&self) -> u64 {
        locked(&self.lead).log.as_ref().map_or(0, LogWriter::len_bytes)
    }
}

/// A member of the group being committed.
struct Member<'a, P: Parts> {
    ops: Ops<'a>,
    durability: Durability,
    /// Until it is inserted or left to its writer.
    place: Option<Place<P>>,
    outcome: Outcome<P>,
}

impl<'a, P: Parts> Member<'a, P> {
    fn new(ops: Ops<'a>, durability: Durability) -> Self {
        Member { ops, durability, place: None, outcome: Outcome::None }
    }
}

impl<P: Parts> Shared<P> {
    /// Commits `ops`; when this returns they are as durable as asked, and visible.
    pub(crate) fn write(self: &Arc<Self>, ops: Ops<'_>, how: WriteOptions) -> Result<()> {
        self.check_writable()?;
        let durability = how.durability.unwrap_or(self.options.durability);
        let keeps = P::log_keeps(&self.options);
        if durability == Durability::Synced && !keeps {
            let what = "a synced write needs a log that keeps something".to_owned();
            return Err(Error::InvalidArgument(what));
        }
        if ops.count() == 0 && durability != Durability::Synced {
            return Ok(());
        }
        self.slow_down(&ops, how.when_busy)?;
        // After a throttle may have refused it, and before anybody can read it: a trace holds a write that was not refused, and before its reads.
        if self.tracer.is_on() {
            self.trace_write(&ops);
        }
        if !keeps || durability == Durability::Off {
            let written = self.join(ops, Durability::Off);
            self.note_unlogged();
            return written;
        }
        self.join(ops, durability)
    }

    /// Commits `ops` with a group, as its leader or behind one.
    fn join(self: &Arc<Self>, ops: Ops<'_>, durability: Durability) -> Result<()> {
        let turn = &self.commit.turn;
        if turn.take() {
            return if durability == Durability::Synced {
                self.lead(ops, durability, Followers::default())
            } else {
                self.lead_alone(ops, durability)
            };
        }
        if !turn.is_led() {
            let followers = locked(&self.commit.queue).lead(turn, ops.bytes());
            if let Some(followers) = followers {
                return self.lead(ops, durability, followers);
            }
        }
        let request = self.commit.requests.make(ops, durability);
        let mut queue = locked(&self.commit.queue);
        if let Some(followers) = queue.lead(turn, ops.bytes()) {
            drop(queue);
            self.commit.requests.keep(request);
            return self.lead(ops, durability, followers);
        }
        queue.waiting.push_back(Arc::clone(&request));
        let patience =
            if durability == Durability::Synced { queue.company.patience() } else { Duration::ZERO };
        drop(queue);
        let written = self.follow(&request, patience);
        self.commit.requests.keep(request);
        written
    }

    fn follow(self: &Arc<Self>, request: &Arc<Request<P>>, patience: Duration) -> Result<()> {
        while let Seen::MayLead = request.wait(&self.commit.lookers, self.patient_for(patience)) {
            let followers = locked(&self.commit.queue).lead_waiting(&self.commit.turn, request);
            // Whoever came by first leads, and may have taken this request along.
            let Some(followers) = followers else {
                request.wait_on();
                continue;
            };
            return self.lead(request.ops(), request.durability, followers);
        }
        match request.take_outcome() {
            Outcome::Visible => Ok(()),
            Outcome::Insert(place, group) => {
                let inserted = self.insert(&place, request.ops());
                self.publish(&group, inserted)
            }
            Outcome::Failed(error) => Err(error),
            Outcome::None => unreachable!("a settled request is taken once"),
        }
    }

    /// Commits `ops`, for which nobody was waited, and then the groups of those who have come meanwhile.
    fn lead_alone(self: &Arc<Self>, ops: Ops<'_>, durability: Durability) -> Result<()> {
        let leading = LeadingAlone(self);
        let mut lead = locked(&self.commit.lead);
        let placed = self.commit_alone(&mut lead, ops, durability)?;
        let announced = placed.map(|place| (place, self.announce(lead.next_seqno - 1, 1)));
        drop(lead);
        let leading = leading.let_go();
        if let Some((place, group)) = announced {
            drop(leading);
            let inserted = self.insert(&place, ops);
            return self.publish(&group, inserted);
        }
        if let Some(leading) = leading {
            self.lead_those_who_came(leading);
        }
        Ok(())
    }

    /// Commits the group of `ops` and its followers, and then the groups of those who have come meanwhile.
    fn lead(self: &Arc<Self>, ops: Ops<'_>, durability: Durability, followers: Followers<P>) -> Result<()> {
        let mut leading = Leading::new(self, followers);
        let synced = durability == Durability::Synced || leading.followers.wants_sync();
        if synced {
            self.gather(&mut leading, ops.bytes());
        }
        let (members, began) =
            (1 + leading.followers.0.len(), if synced { self.clock.now() } else { Duration::ZERO });
        let mut lead = locked(&self.commit.lead);
        let own = if leading.followers.0.is_empty() {
            match self.commit_alone(&mut lead, ops, durability)? {
                Some(place) => Outcome::Insert(place, self.announce(lead.next_seqno - 1, 1)),
                None => Outcome::Visible,
            }
        } else {
            let (mut buffer, keyspaces) = (Vec::new(), ops.keyspaces().to_vec());
            let own = Member::new(encoded(ops, &keyspaces, &mut buffer), durability);
            self.lead_followers(&mut leading, &mut lead, Some(own))?
        };
        drop(lead);
        if synced {
            self.note_company(members, began);
        }
        match own {
            Outcome::Insert(place, group) => {
                drop(leading);
                let inserted = self.insert(&place, ops);
                self.publish(&group, inserted)
            }
            Outcome::Failed(error) => Err(error),
            Outcome::Visible | Outcome::None => {
                self.lead_those_who_came(leading);
                Ok(())
            }
        }
    }

    /// Commits the groups of those who wait, and ends the lead.
    fn lead_those_who_came(self: &Arc<Self>, mut leading: Leading<'_, P>) {
        for _ in 0..GROUPS_MORE_MAX {
            if !leading.goes_on() {
                return;
            }
            let mut lead = locked(&self.commit.lead);
            // What became of them each of them is told.
            let _ = self.lead_followers(&mut leading, &mut lead, None);
        }
    }

    /// Commits a group with followers and tells each what became of it; returns what became of the leader's own.
    fn lead_followers(
        self: &Arc<Self>,
        leading: &mut Leading<'_, P>,
        lead: &mut Lead<P>,
        own: Option<Member<'_, P>>,
    ) -> Result<Outcome<P>> {
        let others = usize::from(own.is_some());
        let followers = &leading.followers.0;
        let mut members: Vec<Member<'_, P>> = Vec::with_capacity(others + followers.len());
        members.extend(own);
        members.extend(followers.iter().map(|request| Member::new(request.ops(), request.durability)));
        let done = self.commit_and_insert(lead, &mut members);
        let mut outcomes: Vec<_> = members.into_iter().map(|member| member.outcome).collect();
        if let Err(error) = done {
            leading.settle(std::iter::repeat_with(|| Outcome::Failed(error.clone())));
            return Err(error);
        }
        let others = outcomes.split_off(others);
        leading.settle(others.into_iter());
        Ok(outcomes.pop().unwrap_or(Outcome::None))
    }

    /// Commits a group. If it is small it is visible then; if not, every member is left to insert its own, so that they do it in parallel.
    fn commit_and_insert(self: &Arc<Self>, lead: &mut Lead<P>, members: &mut [Member<'_, P>]) -> Result<()> {
        self.guarded(|| self.commit_group(lead, members))?;
        let bytes = members.iter().map(|member| member.ops.bytes()).sum();
        if self.inserts_at_once(members.len(), bytes) {
            for member in members.iter_mut() {
                if let Some(place) = member.place.take() {
                    self.insert(&place, member.ops)?;
                    member.outcome = Outcome::Visible;
                }
            }
            self.show(lead);
            return Ok(());
        }
        let last = lead.next_seqno - 1;
        let placed = members.iter().filter(|member| member.place.is_some()).count();
        let group = self.announce(last, placed);
        for member in members.iter_mut() {
            if let Some(place) = member.place.take() {
                member.outcome = Outcome::Insert(place, Arc::clone(&group));
            }
        }
        Ok(())
    }

    /// Whether the leader inserts its group before it goes on. Should an insert then fail, nothing of the group is published and no group begins after it.
    fn inserts_at_once(&self, members: usize, bytes: usize) -> bool {
        let small = members <= INLINE_MEMBERS_MAX && bytes <= INLINE_BYTES_MAX;
        small && self.commit.unpublished.load(Ordering::Acquire) == 0
    }

    /// Makes all visible that was logged. Nobody else can be publishing: every earlier group is visible and we still lead.
    fn show(&self, lead: &Lead<P>) {
        self.visible.store(lead.next_seqno - 1, Ordering::Release);
    }

    /// Gives every member its place in the order and in the memtables, and puts the group into the log.
    fn commit_group(self: &Arc<Self>, lead: &mut Lead<P>, members: &mut [Member<'_, P>]) -> Result<()> {
        self.check_leading(lead)?;
        for member in members.iter() {
            lead.unchecked_bytes += member.ops.bytes();
            self.seal_if_full(lead, &member.ops)?;
        }
        self.check_limits(lead)?;
        let mut next = lead.next_seqno;
        for member in members.iter_mut() {
            let mems = match self.mems_of(&member.ops) {
                Ok(mems) => mems,
                Err(error) => {
                    member.outcome = Outcome::Failed(error);
                    continue;
                }
            };
            let first = SeqNo::checked(next).ok_or(Error::SeqNoExhausted)?;
            next += u64::from(member.ops.count());
            if next > SeqNo::MAX.get() {
                return Err(Error::SeqNoExhausted);
            }
            member.place = Some(Place { first, mems });
        }
        lead.next_seqno = next;
        let logged = self.log_group(lead, members);
        self.after_log(lead, members.len(), logged)
    }

    fn check_leading(&self, lead: &Lead<P>) -> Result<()> {
        self.check_writable()?;
        if lead.closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// A group of so many members is in the log, or could not be put there.
    fn after_log(self: &Arc<Self>, lead: &mut Lead<P>, members: usize, result: Result<()>) -> Result<()> {
        if let Some(chore) = lead.log.as_mut().and_then(LogWriter::chore) {
            lead.asked_ready = true;
            self.want_ready(Some(chore));
        }
        bump_locked(&self.counters.groups, 1);
        self.counters.group_writers.record_locked(members as u64);
        result.map_err(|error| self.fail(error))
    }

    fn log_group(&self, lead: &mut Lead<P>, members: &[Member<'_, P>]) -> Result<()> {
        let logged = |member: &&Member<'_, P>| {
            member.durability != Durability::Off && member.ops.count() > 0 && member.place.is_some()
        };
        let sync = members.iter().any(|member| member.durability == Durability::Synced);
        let Some(log) = &mut lead.log else { return Ok(()) };
        let before = log.len_bytes();
        if let Some(last) =
            members.iter().rfind(logged).and_then(|m| Some((m.place.as_ref()?, m.ops.count())))
        {
            append_group(log, (lead.last_logged, lead.durable), members.iter().filter(logged))?;
            lead.last_logged = SeqNo::new(last.0.first.get() + u64::from(last.1) - 1);
            for place in members.iter().filter(logged).filter_map(|member| member.place.as_ref()) {
                place.name_log(lead.active.number);
            }
        }
        self.hand_over(lead, sync, before)
    }

    /// Hands the log to the system or syncs it. It had `before` bytes before the group.
    fn hand_over(&self, lead: &mut Lead<P>, sync: bool, before: u64) -> Result<()> {
        let Some(log) = &mut lead.log else { return Ok(()) };
        if sync {
            self.logs().sync_all()?;
            log.sync()?;
            lead.durable = lead.last_logged;
            bump_locked(&self.counters.syncs, 1);
        } else {
            log.hand_over()?;
        }
        bump_locked(&self.counters.log_bytes, log.len_bytes() - before);
        Ok(())
    }

    fn mems_of(&self, ops: &Ops<'_>) -> Result<Mems<P>> {
        let trees = self.trees.load();
        let mem_of = |id: KeyspaceId| {
            let tree: &Arc<Tree<P>> =
                trees.get(&id).ok_or_else(|| Error::KeyspaceRemoved(format!("number {}", id.0)))?;
            Ok::<_, Error>(Arc::clone(&tree.view().active))
        };
        match ops.keyspaces() {
            [only] => Ok(Mems::One(*only, mem_of(*only)?)),
            several => {
                let mems: Result<Vec<_>> = several.iter().map(|&id| Ok((id, mem_of(id)?))).collect();
                Ok(Mems::Many(mems?))
            }
        }
    }
}
