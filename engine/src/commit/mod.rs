//! The commit: how writes get a place in the order, become durable, and become visible.
//!
//! 1. *Join.* The first writer to come leads; those who come while it works wait in a queue and form the next group.
//! 2. *Log.* The leader gives the group its sequence numbers and appends it to the log as one record, handed to the system or synced once for all.
//! 3. *Insert.* The lead passes on; then every writer of the group inserts its own batch into the memtables, in parallel.
//! 4. *Publish.* A group becomes visible when it and every group before it is inserted; a write returns when it is visible.
//!
//! A write that comes alone does all four in one go, without allocation. The log is synced before anything is inserted, so a
//! failed sync is never visible to a reader.
//!
//! Invariants. `in-order`: `visible` grows in the order of sequence numbers. `sealed-complete`: a sealed memtable's last sequence number is
//! below those of all later groups, so it is complete once that number is visible. `log-before-memtable`: a memtable names
//! a log (`first_log`) before that log can be ended.

mod publish;
mod queue;
mod record;
mod room;

use std::collections::VecDeque;
use std::sync::Arc;
use terrace_entry::SeqNo;
use terrace_wal::LogWriter;

use crate::batch::{KeyspaceId, Ops};
use crate::options::Durability;
use crate::shared::Shared;
use crate::stats::bump_locked;
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::tree::Tree;
use crate::version::Mem;
use crate::{Error, Parts, Result, WriteOptions};

use publish::{Group, Publishing};
use queue::{Followers, Lookers, Outcome, PassOn, Queue, Request, take_followers};
use record::{append_group, encoded};

/// A group takes no more followers above this, so that the first of them does not wait for the last.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// A lone write of at most this many bytes is inserted by the leader before it passes the lead on.
const INLINE_BYTES_MAX: usize = 64 << 10;

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

/// The commit of a database.
pub(crate) struct Commit<P: Parts> {
    queue: Mutex<Queue<P>>,
    lead: Mutex<Lead<P>>,
    publishing: Mutex<Publishing>,
    published: Condvar,
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
            closed: false,
        };
        Commit {
            queue: Mutex::new(Queue { led: false, waiting: VecDeque::new() }),
            lead: Mutex::new(lead),
            publishing: Mutex::default(),
            published: Condvar::new(),
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
        lead.log.take().map(|log| (lead.active.number, log))
    }

    pub(crate) fn active_log_bytes(&self) -> u64 {
        locked(&self.lead).log.as_ref().map_or(0, LogWriter::len_bytes)
    }
}

/// A member of the group being committed.
struct Member<'a, P: Parts> {
    ops: Ops<'a>,
    durability: Durability,
    place: Option<Result<Place<P>>>,
}

impl<'a, P: Parts> Member<'a, P> {
    fn new(ops: Ops<'a>, durability: Durability) -> Self {
        Member { ops, durability, place: None }
    }

    fn placed(&self) -> Option<&Place<P>> {
        self.place.as_ref().and_then(|place| place.as_ref().ok())
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
        let mut queue = locked(&self.commit.queue);
        if queue.led {
            let request = Request::new(ops, durability);
            queue.waiting.push_back(Arc::clone(&request));
            drop(queue);
            return self.follow(&request);
        }
        queue.led = true;
        let followers = take_followers(&mut queue.waiting, ops.bytes());
        drop(queue);
        self.lead(ops, durability, followers)
    }

    fn follow(self: &Arc<Self>, request: &Arc<Request<P>>) -> Result<()> {
        match request.wait(&self.commit.lookers) {
            Outcome::Insert(place, group) => {
                let inserted = self.insert(&place, request.ops());
                self.publish(&group, inserted)
            }
            Outcome::Lead => {
                let mut queue = locked(&self.commit.queue);
                let followers = take_followers(&mut queue.waiting, request.bytes.len());
                drop(queue);
                self.lead(request.ops(), request.durability, followers)
            }
            Outcome::Failed(error) => Err(error),
            Outcome::Waiting | Outcome::Taken => unreachable!("a settled request is taken once"),
        }
    }

    fn lead(self: &Arc<Self>, ops: Ops<'_>, durability: Durability, followers: Followers<P>) -> Result<()> {
        let pass_on = PassOn { shared: self };
        let mut lead = locked(&self.commit.lead);
        if followers.0.is_empty() {
            let mut alone = [Member::new(ops, durability)];
            self.guarded(|| self.commit_group(&mut lead, &mut alone))?;
            let [member] = alone;
            let Some(place) = member.place.transpose()? else { return Ok(()) };
            let last = lead.next_seqno - 1;
            if ops.bytes() <= INLINE_BYTES_MAX && locked(&self.commit.publishing).is_empty() {
                // Should it fail, nothing is published and no group begins after it.
                self.insert(&place, ops)?;
                // Nobody else can be publishing: every earlier group is visible and we still lead.
                self.visible.store(last, Ordering::Release);
                return Ok(());
            }
            let group = self.announce(last, 1);
            drop(lead);
            drop(pass_on);
            let inserted = self.insert(&place, ops);
            return self.publish(&group, inserted);
        }
        let (mut buffer, keyspaces) = (Vec::new(), ops.keyspaces().to_vec());
        let ops = encoded(ops, &keyspaces, &mut buffer);
        let mut members = Vec::with_capacity(followers.0.len() + 1);
        members.push(Member::new(ops, durability));
        members.extend(followers.0.iter().map(|request| Member::new(request.ops(), request.durability)));
        if let Err(error) = self.guarded(|| self.commit_group(&mut lead, &mut members)) {
            drop(members);
            for request in &followers.0 {
                request.settle(Outcome::Failed(error.clone()));
            }
            return Err(error);
        }
        let placed = members.iter().filter(|member| member.placed().is_some()).count();
        let group = self.announce(lead.next_seqno - 1, placed);
        drop(lead);
        let places: Vec<_> = members.into_iter().map(|member| member.place).collect();
        let mut places = places.into_iter();
        let own = places.next().flatten();
        for (request, place) in followers.0.iter().zip(places) {
            request.settle(match place {
                Some(Ok(place)) => Outcome::Insert(place, Arc::clone(&group)),
                Some(Err(error)) => Outcome::Failed(error),
                None => Outcome::Failed(Error::Closed),
            });
        }
        drop(pass_on);
        let Some(place) = own.transpose()? else { return Ok(()) };
        let inserted = self.insert(&place, ops);
        self.publish(&group, inserted)
    }

    /// Gives every member its place in the order and in the memtables, and puts the group into the log.
    fn commit_group(self: &Arc<Self>, lead: &mut Lead<P>, members: &mut [Member<'_, P>]) -> Result<()> {
        self.check_writable()?;
        if lead.closed {
            return Err(Error::Closed);
        }
        let mut only = self.make_room(lead, members)?;
        let mut next = lead.next_seqno;
        for member in members.iter_mut() {
            let mems = match only.take().map_or_else(|| self.mems_of(&member.ops), Ok) {
                Ok(mems) => mems,
                Err(error) => {
                    member.place = Some(Err(error));
                    continue;
                }
            };
            let first = SeqNo::checked(next).ok_or(Error::SeqNoExhausted)?;
            next += u64::from(member.ops.count());
            if next > SeqNo::MAX.get() {
                return Err(Error::SeqNoExhausted);
            }
            member.place = Some(Ok(Place { first, mems }));
        }
        lead.next_seqno = next;
        let result = self.log_group(lead, members);
        bump_locked(&self.counters.groups, 1);
        self.counters.group_writers.record_locked(members.len() as u64);
        result.map_err(|error| self.fail(error))
    }

    fn log_group(&self, lead: &mut Lead<P>, members: &[Member<'_, P>]) -> Result<()> {
        let logged = |member: &&Member<'_, P>| {
            member.durability != Durability::Off && member.ops.count() > 0 && member.placed().is_some()
        };
        let sync = members.iter().any(|member| member.durability == Durability::Synced);
        let Some(log) = &mut lead.log else { return Ok(()) };
        let before = log.len_bytes();
        if let Some(last) = members.iter().rfind(logged).and_then(|m| Some((m.placed()?, m.ops.count()))) {
            append_group(log, (lead.last_logged, lead.durable), members.iter().filter(logged))?;
            lead.last_logged = SeqNo::new(last.0.first.get() + u64::from(last.1) - 1);
            let number = lead.active.number;
            for place in members.iter().filter(logged).filter_map(Member::placed) {
                place.mems.each(|mem| {
                    if mem.first_log.load(Ordering::Relaxed) == u64::MAX {
                        mem.first_log.store(number, Ordering::Release);
                    }
                });
            }
        }
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
