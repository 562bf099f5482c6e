//! Threads: the one door through which background work and waiting enter a database.
//!
//! A job is a state machine that is stepped: it does some milliseconds of work and says whether it wants to go on. That
//! keeps flushes ahead of compactions on a small pool, and those of level 0 ahead of deeper ones, lets a rate limiter pause a compaction without holding a
//! thread, and lets a simulation interleave jobs with reads, writes and crashes at every step on one thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use terrace_vfs::set_thread_niceness;

use super::clock::Clock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a job wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To be stepped again.
    Again,
    /// To be stepped again, but not before this time has passed.
    After(Duration),
    /// Nothing; it is finished.
    Done,
}

/// How urgent a job is. Within a lane, jobs begin in the order of their coming. [`crate::BackgroundOrder`] says which job goes to which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Frees memory that writers wait for; runs first.
    Flush,
    /// Takes runs out of level 0, which reads open one and all and which writers are stopped for.
    Level0,
    /// Frees read and space amplification.
    Compaction,
    /// Whatever nobody waits for.
    Maintenance,
}

/// A job: called again and again until it answers [`Step::Done`]. It must not block for long.
pub type Job = Box<dyn FnMut() -> Step + Send>;

/// Runs jobs, and lets threads wait for what jobs bring about.
pub trait Executor: Debug + Send + Sync + 'static {
    /// Takes a job. After [`Executor::stop`] the job is dropped.
    fn spawn(&self, lane: Lane, job: Job);

    /// Takes a job that is not to be stepped before this time has passed. Nobody waits for it, and it counts as no work until then.
    fn spawn_after(&self, wait: Duration, lane: Lane, mut job: Job) {
        let mut wait = Some(wait);
        self.spawn(lane, Box::new(move || wait.take().map_or_else(&mut job, Step::After)));
    }

    /// Blocks the calling thread until `ready` is true. `ready` is asked again after every [`Executor::notify`].
    fn wait(&self, ready: &dyn Fn() -> bool);

    /// Says that something a waiter may wait for has changed.
    fn notify(&self);

    /// Drops all jobs not being stepped, and returns when none is being stepped any more.
    fn stop(&self);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a job is caught and turned into a read-only database; the queue itself is always whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Delayed {
    due: Duration,
    order: u64,
    lane: Lane,
    job: Job,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}
impl Eq for Delayed {}
impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

#[derive(Default)]
struct Queues {
    lanes: [VecDeque<Job>; 4],
    delayed: BinaryHeap<Reverse<Delayed>>,
    delayed_count: u64,
    stopping: bool,
}

impl Queues {
    fn take(&mut self, now: Duration, lanes: &[Lane]) -> Option<(Lane, Job)> {
        while self.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= now) {
            if let Some(Reverse(delayed)) = self.delayed.pop() {
                self.lanes[delayed.lane as usize].push_back(delayed.job);
            }
        }
        lanes.iter().find_map(|&lane| self.lanes[lane as usize].pop_front().map(|job| (lane, job)))
    }
}

struct Pool {
    queues: Mutex<Queues>,
    work: Condvar,
    waiting: Mutex<u64>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

/// A pool of threads. With two threads or more, one of them takes no compactions, so that a flush never waits for one.
pub struct ThreadPool {
    pool: Arc<Pool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &locked(&self.threads).len()).finish()
    }
}

impl ThreadPool {
    /// A pool of `threads` threads (at least one), and one more for flushes alone.
    #[must_use]
    pub fn new(threads: usize, clock: Arc<dyn Clock>) -> Self {
        Self::with_niceness(threads, 0, clock)
    }

    /// As [`ThreadPool::new`], with this nice value (0 to 19) for all threads but the one for flushes, which writers wait for. Those threads take a flush only
    /// when there is nothing else to do. On systems where threads have no nice value of their own it changes nothing.
    #[must_use]
    pub fn with_niceness(threads: usize, niceness: u8, clock: Arc<dyn Clock>) -> Self {
        let pool = Arc::new(Pool {
            queues: Mutex::default(),
            work: Condvar::new(),
            waiting: Mutex::new(0),
            changed: Condvar::new(),
            clock,
        });
        let handles = (0..=threads.max(1)).map(|number| start_worker(&pool, number, niceness)).collect();
        ThreadPool { pool, threads: Mutex::new(handles) }
    }
}

#[cfg_attr(not(shuttle), expect(clippy::disallowed_methods, reason = "this is the seam for threads"))]
fn start_worker(pool: &Arc<Pool>, number: usize, niceness: u8) -> JoinHandle<()> {
    const ALL: &[Lane] = &[Lane::Flush, Lane::Level0, Lane::Compaction, Lane::Maintenance];
    const FLUSH_LAST: &[Lane] = &[Lane::Level0, Lane::Compaction, Lane::Flush, Lane::Maintenance];
    const FLUSH_ONLY: &[Lane] = &[Lane::Flush, Lane::Maintenance];
    let pool = Arc::clone(pool);
    thread::Builder::new()
        .name(format!("terrace-{number}"))
        .spawn(move || {
            let yields = number > 0 && niceness > 0 && set_thread_niceness(niceness).is_ok();
            work(
                &pool,
                if number == 0 {
                    FLUSH_ONLY
                } else if yields {
                    FLUSH_LAST
                } else {
                    ALL
                },
            );
        })
        .expect("a background thread can be started")
}

fn work(pool: &Pool, lanes: &[Lane]) {
    let mut queues = locked(&pool.queues);
    loop {
        if queues.stopping {
            return;
        }
        let now = pool.clock.now();
        let Some((lane, mut job)) = queues.take(now, lanes) else {
            let due = queues.delayed.peek().map(|Reverse(delayed)| delayed.due.saturating_sub(now));
            queues = match due {
                Some(wait) => pool.work.wait_timeout(queues, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => pool.work.wait(queues).unwrap_or_else(PoisonError::into_inner),
            };
            continue;
        };
        drop(queues);
        // The database guards its own jobs; a panic in any other ends that job and not the thread.
        let step = catch_unwind(AssertUnwindSafe(&mut job)).unwrap_or(Step::Done);
        queues = locked(&pool.queues);
        if queues.stopping {
            drop(queues);
            drop(job);
            return;
        }
        match step {
            // To the front: a job under way finishes before the next of its lane begins, unless a higher lane has work.
            Step::Again => queues.lanes[lane as usize].push_front(job),
            Step::After(wait) => {
                let due = pool.clock.now() + wait;
                queues.delayed_count += 1;
                let order = queues.delayed_count;
                queues.delayed.push(Reverse(Delayed { due, order, lane, job }));
                pool.work.notify_one();
            }
            Step::Done => {
                drop(queues);
                drop(job);
                queues = locked(&pool.queues);
            }
        }
    }
}

impl Executor for ThreadPool {
    fn spawn(&self, lane: Lane, job: Job) {
        let mut queues = locked(&self.pool.queues);
        if queues.stopping {
            drop(queues);
            drop(job);
            return;
        }
        queues.lanes[lane as usize].push_back(job);
        drop(queues);
        self.pool.work.notify_all();
    }

    fn wait(&self, ready: &dyn Fn() -> bool) {
        let mut generation = locked(&self.pool.waiting);
        while !ready() {
            // The time limit covers conditions that change without a notice, such as the passing of time.
            let limit = Duration::from_millis(50);
            generation =
                self.pool.changed.wait_timeout(generation, limit).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn notify(&self) {
        *locked(&self.pool.waiting) += 1;
        self.pool.changed.notify_all();
    }

    fn stop(&self) {
        let (lanes, delayed) = {
            let mut queues = locked(&self.pool.queues);
            queues.stopping = true;
            (std::mem::take(&mut queues.lanes), std::mem::take(&mut queues.delayed))
        };
        self.pool.work.notify_all();
        for handle in std::mem::take(&mut *locked(&self.threads)) {
            // A job that holds the last handle stops the pool from one of its own threads, which can not wait for itself.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
        drop((lanes, delayed));
        self.notify();
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs jobs on the caller's thread, in an order drawn from a seed: threads for simulations.
///
/// Nothing runs until [`SimExecutor::run_one`] is called or somebody waits. A wait with no job left is a deadlock and
/// panics with a message that says so.
pub struct SimExecutor {
    jobs: Mutex<Vec<Job>>,
    /// Jobs that are not to be stepped before their time, in the order that they came.
    later: Mutex<Vec<(Duration, Job)>>,
    random: AtomicU64,
    steps: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Debug for SimExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimExecutor").field("jobs", &locked(&self.jobs).len()).finish()
    }
}

impl SimExecutor {
    /// An executor whose choices follow from `seed`. A job that asks for a pause moves `clock` on instead; one that was spawned for
    /// later waits until somebody else has.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        SimExecutor {
            jobs: Mutex::default(),
            later: Mutex::default(),
            random: AtomicU64::new(seed),
            steps: AtomicU64::new(0),
            clock,
        }
    }

    /// Steps one job, chosen by the seed. Returns whether there was one.
    pub fn run_one(&self) -> bool {
        let now = self.clock.now();
        let mut later = locked(&self.later);
        let due: Vec<_> = later.extract_if(.., |(due, _)| *due <= now).map(|(_, job)| job).collect();
        drop(later);
        let mut jobs = locked(&self.jobs);
        jobs.extend(due);
        if jobs.is_empty() {
            return false;
        }
        let chosen = self.next_random() as usize % jobs.len();
        let mut job = jobs.swap_remove(chosen);
        drop(jobs);
        self.steps.fetch_add(1, Ordering::Relaxed);
        match job() {
            Step::Again => locked(&self.jobs).push(job),
            Step::After(pause) => {
                self.clock.sleep(pause);
                locked(&self.jobs).push(job);
            }
            Step::Done => {}
        }
        true
    }

    /// Jobs waiting to be stepped.
    #[must_use]
    pub fn pending(&self) -> usize {
        locked(&self.jobs).len()
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    fn next_random(&self) -> u64 {
        // SplitMix64; one thread, so the load and the store need not be one operation.
        let state = self.random.load(Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.store(state, Ordering::Relaxed);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Executor for SimExecutor {
    fn spawn(&self, _lane: Lane, job: Job) {
        locked(&self.jobs).push(job);
    }

    fn spawn_after(&self, wait: Duration, _lane: Lane, job: Job) {
        locked(&self.later).push((self.clock.now() + wait, job));
    }

    fn wait(&self, ready: &dyn Fn() -> bool) {
        let mut idle_steps = 0_u32;
        while !ready() {
            assert!(self.run_one(), "simulated deadlock: a thread waits and no job is left to run");
            idle_steps += 1;
            assert!(idle_steps < 10_000_000, "simulated livelock: jobs run and the condition never holds");
        }
    }

    fn notify(&self) {}

    fn stop(&self) {
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        let later = std::mem::take(&mut *locked(&self.later));
        drop((jobs, later));
    }
}
