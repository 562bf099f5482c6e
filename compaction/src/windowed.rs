//! Time-windowed compaction: what was written in one window of time becomes one run and is never merged with another (Cassandra's
//! `TimeWindowCompactionStrategy`, InfluxDB's shards).
//!
//! For series that are written about in order of time and forgotten after a while. Level 0 holds what is still gathered, each deeper level runs that
//! are done:
//!
//! 1. *expiry*: with `keep_seconds`, runs whose youngest table is older fall off the old end without being read;
//! 2. *closing*: the oldest runs of level 0 that were written in one window, once that is past, are merged into one run of level 1, or moved
//!    there when they are one already or their tables are disjoint;
//! 3. *gathering*: of the open window `runs_trigger` runs or more become one when, from the newest on, none is larger than all newer ones together.
//!
//! A run's window is told by when it was written, for that is all that is known of its data. So a merge that ends after its window counts to the
//! next, and what comes late counts to when it came; both cost a look-up one run more, never an order of versions. In the same way expiry counts from
//! when the window was closed.
//!
//! There are no triggers beside these: a window that is closed is not rewritten, so deletes take effect on space when its runs expire. Where they must be gone
//! sooner, a policy that merges by size is the right one. A picker that is asked again when a window is past, or a run's time is up, needs no write for it
//! ([`Plan::look_again_unix_seconds`]).
//!
//! Levels below the first, left by another policy, are taken for windows that are done.
//!
//! Costs: with n tables O(n). Write amplification 2, and the log of the flushes in a window to the base of `runs_trigger`; a range of time reads the runs of its windows, a look-up
//! any run whose key range covers it.

use crate::pressure::ramp;
use crate::run_list::{ListedRun, any_taken, bytes_of, gathered, list, merge, stretches};
use crate::shape::{LEVELS_MAX, Shape};
use crate::task::{Output, Plan, Reason, Task, TaskKind};
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};

/// How a [`WindowedPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowedOptions {
    /// Seconds of a window; at least 1.
    pub window_seconds: u64,
    /// For how many seconds a run is kept after it was written; for ever if `None`.
    pub keep_seconds: Option<u64>,
    /// The fewest runs of an open window that are gathered; at least 2. Pressure is 0 up to four times it.
    pub runs_trigger: usize,
    /// Runs in level 0 at which pressure is a quarter.
    pub l0_runs_slow: usize,
    /// Runs in level 0 at which pressure is 1.
    pub l0_runs_stop: usize,
    /// The size to cut outputs at.
    pub target_table_bytes: u64,
}

impl Default for WindowedOptions {
    fn default() -> Self {
        WindowedOptions {
            window_seconds: 3600,
            keep_seconds: None,
            runs_trigger: 4,
            l0_runs_slow: 32,
            l0_runs_stop: 64,
            target_table_bytes: 64 << 20,
        }
    }
}

impl WindowedOptions {
    fn sane(mut self) -> Self {
        self.window_seconds = self.window_seconds.max(1);
        self.runs_trigger = self.runs_trigger.max(2);
        self.l0_runs_slow = self.l0_runs_slow.max(self.runs_trigger.saturating_mul(4));
        self.l0_runs_stop = self.l0_runs_stop.max(self.l0_runs_slow);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self
    }
}

/// Time-windowed compaction; the file's head tells how it works.
#[derive(Clone, Debug, Default)]
pub struct WindowedPicker {
    options: WindowedOptions,
}

impl WindowedPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: WindowedOptions) -> Self {
        WindowedPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &WindowedOptions {
        &self.options
    }

    fn window(&self, at_unix_seconds: u64) -> u64 {
        at_unix_seconds / self.options.window_seconds
    }

    fn window_of(&self, run: &ListedRun<'_>) -> u64 {
        self.window(run.run.newest_at_unix_seconds())
    }

    /// When the oldest run will be expired or the oldest window of level 0 be past, whichever is first.
    fn look_again(&self, runs: &[ListedRun<'_>], l0_runs: usize, now_unix_seconds: u64) -> Option<u64> {
        let expired = |keep: u64| runs.last()?.run.newest_at_unix_seconds().checked_add(keep)?.checked_add(1);
        let closed = |run: &ListedRun<'_>| {
            self.window_of(run).checked_add(1)?.checked_mul(self.options.window_seconds)
        };
        let moments = [self.options.keep_seconds.and_then(expired), runs[..l0_runs].last().and_then(closed)];
        moments.into_iter().flatten().filter(|moment| *moment > now_unix_seconds).min()
    }

    /// How many of the oldest runs are expired.
    fn expired(&self, runs: &[ListedRun<'_>], now_unix_seconds: u64) -> usize {
        let Some(keep) = self.options.keep_seconds else { return 0 };
        let is_expired =
            |run: &&ListedRun<'_>| now_unix_seconds.saturating_sub(run.run.newest_at_unix_seconds()) > keep;
        runs.iter().rev().take_while(is_expired).count()
    }
}

impl CompactionPicker for WindowedPicker {
    fn name(&self) -> &'static str {
        "windowed"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let options = &self.options;
        let mut runs = list(shape, context);
        let l0_runs = shape.runs_of(0).len();
        let (start, slow, stop) =
            (options.runs_trigger.saturating_mul(4), options.l0_runs_slow, options.l0_runs_stop);
        let pressure = ramp(l0_runs as f64, start as f64, slow as f64, stop as f64);
        let mut plan = Plan { pressure, ..Plan::default() };

        plan.look_again_unix_seconds = self.look_again(&runs, l0_runs, context.now_unix_seconds);
        let expired = self.expired(&runs, context.now_unix_seconds);
        let from =
            runs.len() - runs[runs.len() - expired..].iter().rev().take_while(|run| !run.taken).count();
        let mut expiry = Verdict::Busy;
        if from < runs.len() {
            expiry = Verdict::NoRoom;
            if context.tasks_max > 0 {
                plan.tasks.push(drop_of(&mut runs[from..]));
                expiry = Verdict::Picked { tasks: 1 };
            }
        }
        if let Some(oldest) = runs.last() {
            let age = context.now_unix_seconds.saturating_sub(oldest.run.newest_at_unix_seconds());
            let bound = options.keep_seconds.map_or(Bound::Never, Bound::Above);
            plan.weighed.push(Weighed::new(Scope::Tree, Measure::AgeSeconds, age, bound).if_due(expiry));
        }

        // The oldest window in level 0, its runs from the oldest on.
        let gathering = &runs[..l0_runs];
        let oldest = gathering.last().map(|run| self.window_of(run));
        let same = gathering.iter().rev().take_while(|run| Some(self.window_of(run)) == oldest).count();
        let closed = l0_runs - same..l0_runs;
        let is_closed = oldest.is_some_and(|oldest| oldest < self.window(context.now_unix_seconds));
        let mut closing = Verdict::Within;
        if is_closed {
            plan.debt_bytes = bytes_of(&runs[closed.clone()]);
            closing = match any_taken(&runs[closed.clone()]) {
                false if plan.tasks.len() < context.tasks_max => {
                    let words = format!("a window of {} runs is past", closed.len());
                    let target = options.target_table_bytes;
                    plan.tasks.push(merge(&mut runs[closed.clone()], 1, target, Reason::Other(words)));
                    Verdict::Picked { tasks: 1 }
                }
                false => Verdict::NoRoom,
                true => Verdict::Busy,
            };
        }
        if let Some(oldest) = oldest {
            let windows = self.window(context.now_unix_seconds).saturating_sub(oldest);
            let measure = Measure::Other("windows since its oldest run was written".into());
            let weighed = Weighed::new(Scope::Level(0), measure, windows, Bound::From(1));
            plan.weighed.push(weighed.if_due(closing));
        }

        let newest = runs[..l0_runs].first().map(|run| self.window_of(run));
        let mut open = runs[..l0_runs].iter().take_while(|run| Some(self.window_of(run)) == newest).count();
        if is_closed {
            // With a clock that went back the newest runs may be of the window that is closed.
            open = open.min(closed.start);
        }
        let widest = stretches(&runs[..open], Some(0), usize::MAX).map(|stretch| stretch.len()).max();
        let mut gathering = Verdict::NoRoom;
        if plan.tasks.len() < context.tasks_max
            && let Some(stretch) = gathered(&runs[..open], Some(0), options.runs_trigger, usize::MAX)
        {
            let reason = Reason::RunCount { runs: open, runs_max: options.runs_trigger - 1 };
            plan.debt_bytes = plan.debt_bytes.saturating_add(bytes_of(&runs[stretch.clone()]));
            plan.tasks.push(merge(&mut runs[stretch], 0, options.target_table_bytes, reason));
            gathering = Verdict::Picked { tasks: 1 };
        }
        if let Some(widest) = widest {
            let bound = Bound::From(options.runs_trigger as u64);
            let weighed = Weighed::new(Scope::Level(0), Measure::SimilarRuns, widest as u64, bound);
            plan.weighed.push(weighed.if_due(gathering));
        }
        plan
    }
}

/// The task that lets these runs go.
fn drop_of(runs: &mut [ListedRun<'_>]) -> Task {
    runs.iter_mut().for_each(|run| run.taken = true);
    Task {
        kind: TaskKind::Drop,
        inputs: runs.iter().flat_map(|run| &run.run.tables).map(|table| table.id).collect(),
        output: Output::NewRun { level: runs[0].level.min(LEVELS_MAX - 1), run: None },
        target_table_bytes: 0,
        cuts: Vec::new(),
        reason: Reason::Other(format!("{} runs are older than they are kept", runs.len())),
    }
}
