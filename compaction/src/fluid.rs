//! The fluid family: leveling, tiering, lazy leveling and what lies between (Dayan and Idreos, "Dostoevsky", SIGMOD 2018).
//!
//! Level i may hold `size_ratio` times what level i - 1 may. All levels but the last hold up to K runs, the last up to Z: K = Z = 1 is leveling, K = Z = T - 1 is
//! tiering, and K = T - 1 with Z = 1 is lazy leveling, which merges greedily only where nearly all data are.
//!
//! *An arrival*: when level 0 holds `l0_runs_trigger` runs they go down together. A level that they would fill is not filled: its runs
//! join them and all go one level deeper, in one merge (so that nothing is written only to be read again). Where they stay they are merged into
//! the level's newest run while that stays within its share of the level (a K-th of it, or a Z-th), and are a run of their own otherwise;
//! when there are K already, they join the newest after all.
//!
//! *Order of work*: levels that hold too much or too many runs (left by another policy) are brought into bounds from the deepest up; then level 0. While
//! what is below is busy and level 0 has twice its trigger, its idle runs are merged within it.
//!
//! Triggers beside size (`triggers.rs`) come before all of this, if asked for.
//!
//! Departures from the paper: levels have fixed sizes from `base_level_bytes` down and the tree grows a level when the last would be
//! full, so space amplification is highest just before; runs whose tables are all disjoint are joined without being rewritten.
//!
//! Costs: with n tables O(n). Write amplification, beside 1 for the flush, for each level (T - 1)(T - 1 + K) / 2KT, so (T - 1) / 2 for leveling and (T - 1) / T for tiering;
//! read amplification up to K runs for each level and Z for the last. A merge takes in whole levels and needs as much free space.

use crate::pressure::ramp;
use crate::run_list::{ListedRun, any_taken, bytes_of, list, merge, triggered};
use crate::shape::{LEVELS_MAX, Shape};
use crate::task::{Plan, Reason, Task};
use crate::triggers::TriggerOptions;
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};
use core::ops::Range;

/// How a [`FluidPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FluidOptions {
    /// What a level may hold over what the one above may (T); at least 2.
    pub size_ratio: u64,
    /// The most runs in a level that is not the last (K); at least 1.
    pub inner_runs_max: usize,
    /// The most runs in the last level (Z); at least 1.
    pub last_runs_max: usize,
    /// What level 1 may hold; at least 1.
    pub base_level_bytes: u64,
    /// Runs in level 0 that go down together; at least 1. Pressure is 0 up to twice it.
    pub l0_runs_trigger: usize,
    /// Runs in level 0 at which pressure is a quarter.
    pub l0_runs_slow: usize,
    /// Runs in level 0 at which pressure is 1.
    pub l0_runs_stop: usize,
    /// Triggers beside size.
    pub triggers: TriggerOptions,
    /// The size to cut outputs at.
    pub target_table_bytes: u64,
    /// Levels with level 0; from 2 to [`LEVELS_MAX`].
    pub levels_max: usize,
}

impl Default for FluidOptions {
    /// Lazy leveling with a size ratio of 10.
    fn default() -> Self {
        FluidOptions::lazy_leveling(10)
    }
}

impl FluidOptions {
    /// One run in each level.
    #[must_use]
    pub fn leveling(size_ratio: u64) -> Self {
        FluidOptions {
            size_ratio,
            inner_runs_max: 1,
            last_runs_max: 1,
            base_level_bytes: size_ratio.max(2).saturating_mul(256 << 20),
            l0_runs_trigger: 4,
            l0_runs_slow: 16,
            l0_runs_stop: 32,
            triggers: TriggerOptions::default(),
            target_table_bytes: 64 << 20,
            levels_max: 7,
        }
    }

    /// As many runs in each level as fit.
    #[must_use]
    pub fn tiering(size_ratio: u64) -> Self {
        let runs_max = usize::try_from(size_ratio.max(2) - 1).unwrap_or(usize::MAX);
        FluidOptions {
            inner_runs_max: runs_max,
            last_runs_max: runs_max,
            ..FluidOptions::leveling(size_ratio)
        }
    }

    /// One run in the last level, as many as fit in the others.
    #[must_use]
    pub fn lazy_leveling(size_ratio: u64) -> Self {
        FluidOptions { last_runs_max: 1, ..FluidOptions::tiering(size_ratio) }
    }

    fn sane(mut self) -> Self {
        self.size_ratio = self.size_ratio.max(2);
        self.inner_runs_max = self.inner_runs_max.max(1);
        self.last_runs_max = self.last_runs_max.max(1);
        self.base_level_bytes = self.base_level_bytes.max(1);
        self.l0_runs_trigger = self.l0_runs_trigger.max(1);
        self.l0_runs_slow = self.l0_runs_slow.max(self.l0_runs_trigger.saturating_mul(2));
        self.l0_runs_stop = self.l0_runs_stop.max(self.l0_runs_slow);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self.levels_max = self.levels_max.clamp(2, LEVELS_MAX);
        self
    }

    /// What a level may hold.
    fn capacity(&self, level: usize) -> u64 {
        let exponent = u32::try_from(level.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base_level_bytes.saturating_mul(self.size_ratio.saturating_pow(exponent))
    }
}

/// The fluid family; the file's head tells how it works.
#[derive(Clone, Debug, Default)]
pub struct FluidPicker {
    options: FluidOptions,
}

impl FluidPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: FluidOptions) -> Self {
        FluidPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &FluidOptions {
        &self.options
    }
}

impl CompactionPicker for FluidPicker {
    fn name(&self) -> &'static str {
        "fluid"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let options = &self.options;
        let l0_runs = shape.runs_of(0).len();
        let (start, slow, stop) =
            (options.l0_runs_trigger.saturating_mul(2), options.l0_runs_slow, options.l0_runs_stop);
        let pressure = ramp(l0_runs as f64, start as f64, slow as f64, stop as f64);
        let mut picking = Picking {
            options,
            runs: list(shape, context),
            tasks_max: context.tasks_max,
            tasks: Vec::new(),
            weighed: Vec::new(),
        };
        let debt_bytes = picking.debt_bytes();
        let (triggers, target) = (&options.triggers, options.target_table_bytes);
        picking.tasks = triggered(&mut picking.runs, triggers, context, target, &mut picking.weighed);
        picking.run();
        let (tasks, weighed) = (picking.tasks, picking.weighed);
        let look_again_unix_seconds = options.triggers.look_again(shape, context);
        Plan { tasks, pressure, debt_bytes, look_again_unix_seconds, weighed, remarks: Vec::new() }
    }
}

/// One call of `pick`.
struct Picking<'a> {
    options: &'a FluidOptions,
    runs: Vec<ListedRun<'a>>,
    tasks_max: usize,
    tasks: Vec<Task>,
    weighed: Vec<Weighed>,
}

impl Picking<'_> {
    fn run(&mut self) {
        let deepest = self.runs.last().map_or(0, |run| run.level);
        for level in (1..=deepest).rev() {
            if self.range_of(level).is_empty() {
                continue;
            }
            let verdict = match self.out_of_bounds(level) {
                Some((stretch, output, reason)) => self.push(stretch, output, reason),
                None => Verdict::Within,
            };
            self.weigh(level, verdict);
        }
        let l0 = self.range_of(0);
        let (runs, trigger) = (l0.len(), self.options.l0_runs_trigger);
        let mut verdict = Verdict::Within;
        if runs >= trigger {
            let reason = Reason::Level0Runs { runs, trigger };
            let (stretch, level) = self.arrival(0);
            verdict = self.push(stretch, level, reason.clone());
            if !matches!(verdict, Verdict::Picked { .. }) {
                verdict = self.merge_within_level_0(reason).unwrap_or(verdict);
            }
        }
        let bound = Bound::From(trigger as u64);
        let weighed = Weighed::new(Scope::Level(0), Measure::Runs, runs as u64, bound);
        if runs > 0 {
            self.weighed.push(weighed.if_due(verdict));
        }
    }

    /// Writes down what came of a level: its bytes, and its runs when these are not too many bytes.
    fn weigh(&mut self, level: usize, verdict: Verdict) {
        let own = self.range_of(level);
        let has_below = level + 1 < self.options.levels_max;
        let bound = if has_below { Bound::Above(self.options.capacity(level)) } else { Bound::Never };
        let bytes =
            Weighed::new(Scope::Level(level), Measure::Bytes, bytes_of(&self.runs[own.clone()]), bound);
        let is_due = bytes.is_due();
        self.weighed.push(bytes.if_due(verdict.clone()));
        if !is_due {
            let bound = Bound::Above(self.runs_max(level) as u64);
            let runs = Weighed::new(Scope::Level(level), Measure::Runs, own.len() as u64, bound);
            self.weighed.push(runs.if_due(verdict));
        }
    }

    /// Where the runs of a level stand in the list.
    fn range_of(&self, level: usize) -> Range<usize> {
        let from = self.runs.partition_point(|run| run.level < level);
        from..from + self.runs[from..].partition_point(|run| run.level == level)
    }

    fn runs_max(&self, level: usize) -> usize {
        let is_last = self.runs.last().is_none_or(|run| run.level <= level);
        if is_last { self.options.last_runs_max } else { self.options.inner_runs_max }
    }

    /// What goes when the runs of `from` go down, and the level that it goes to.
    fn arrival(&self, from: usize) -> (Range<usize>, usize) {
        let mut stretch = self.range_of(from);
        let mut level = from + 1;
        loop {
            let own = self.range_of(level);
            let arriving = bytes_of(&self.runs[stretch.clone()]);
            let together = arriving.saturating_add(bytes_of(&self.runs[own.clone()]));
            let capacity = self.options.capacity(level);
            // A little short of full counts as full: what is written over or deleted on the way makes arrivals smaller.
            if together.saturating_add(arriving / 16) >= capacity && level + 1 < self.options.levels_max {
                (stretch.end, level) = (own.end, level + 1);
                continue;
            }
            let runs_max = self.runs_max(level);
            let share = capacity / runs_max as u64;
            let newest = self.runs[own.clone()].first().map(|run| run.bytes.saturating_add(arriving));
            // And a little above its share is within it, for the same reason.
            let joins = newest
                .is_some_and(|bytes| bytes <= share.saturating_add(share / 16) || own.len() >= runs_max);
            stretch.end += usize::from(joins);
            return (stretch, level);
        }
    }

    /// What brings a level that holds too much or too many runs into its bounds.
    fn out_of_bounds(&self, level: usize) -> Option<(Range<usize>, usize, Reason)> {
        let own = self.range_of(level);
        let (bytes, target_bytes) = (bytes_of(&self.runs[own.clone()]), self.options.capacity(level));
        if bytes > target_bytes && level + 1 < self.options.levels_max {
            let (stretch, output) = self.arrival(level);
            return Some((stretch, output, Reason::LevelSize { level, bytes, target_bytes }));
        }
        let runs_max = self.runs_max(level);
        if own.len() > runs_max {
            let newest = own.start..own.end - (runs_max - 1);
            return Some((newest, level, Reason::RunCount { runs: own.len(), runs_max }));
        }
        None
    }

    /// Makes a task of these runs, if they are idle and another task is wanted.
    fn push(&mut self, stretch: Range<usize>, level: usize, reason: Reason) -> Verdict {
        if self.tasks.len() >= self.tasks_max {
            return Verdict::NoRoom;
        }
        if any_taken(&self.runs[stretch.clone()]) {
            return Verdict::Busy;
        }
        let task = merge(&mut self.runs[stretch], level, self.options.target_table_bytes, reason);
        self.tasks.push(task);
        Verdict::Picked { tasks: 1 }
    }

    /// What came of it, if it was wanted.
    fn merge_within_level_0(&mut self, reason: Reason) -> Option<Verdict> {
        let l0 = self.range_of(0);
        let idle = self.runs[l0].partition_point(|run| !run.taken);
        let wanted = idle >= self.options.l0_runs_trigger.saturating_mul(2);
        wanted.then(|| self.push(0..idle, 0, reason))
    }

    /// Bytes that the next arrival would merge if nothing were busy.
    fn debt_bytes(&self) -> u64 {
        if self.range_of(0).len() < self.options.l0_runs_trigger {
            return 0;
        }
        bytes_of(&self.runs[self.arrival(0).0])
    }
}
