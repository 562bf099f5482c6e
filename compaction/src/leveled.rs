//! Leveled compaction.
//!
//! Level 0 takes flushes; every deeper level is one sorted run, each `size_ratio` times the one above. What overflows a level is merged, a table
//! at a time, into the tables below that it overlaps (O'Neil et al. 1996; LevelDB; RocksDB).
//!
//! *Level targets* are dynamic, derived from the largest level upwards (`targets.rs`), so that the last level holds some 90 % of the
//! data and space amplification is near 1.11 at a ratio of 10 (Dong et al., CIDR 2017). Level 0 goes straight to the *base level*, the
//! highest with a target; levels above it are empty, or drained.
//!
//! *Order of work*: first levels that hold several runs (left by another policy, or by two tasks into an empty level) are made one; then whatever is
//! furthest above its trigger, level 0 by its runs and others by their bytes.
//!
//! *Level 0 to base* (`runs.rs`): tables that are linked by overlap go together; a table can go only with all older ones that it overlaps, so
//! while some are busy the oldest that are idle go first. Parts of level 0 that do not overlap are tasks of their own. When the way is blocked,
//! or level 0 is tiny against what it would rewrite, its newest runs are merged within level 0 instead; and while level 0 is the more urgent,
//! the base level starts nothing that would block the way further.
//!
//! *Level to next*: the table that the [`Movement`] of the options names (`movement.rs`), by default the one with the fewest overlapping
//! bytes below for each of its own; joined by neighbours that cost nothing more; moved instead of merged when nothing overlaps below and not
//! too much two levels below.
//!
//! Departures from RocksDB: no state, so the round-robin cursor is read from the shape; in-flight work is known by busy tables only.
//!
//! *Beside size* (`triggered.rs`): tables with old tombstones before all else, since a time is promised; then a bound for space, tables with too many
//! tombstones, and tables read in vain.
//!
//! Costs: with n tables O(n) for each level that is due, and O(log n) for each task. Write amplification at ratio 10 is some 6 or 7 a
//! level; read amplification the runs of level 0 plus one for each level.
//!
//! Invariant: *downwards* (every task moves bytes to a deeper level or lessens the number of runs, so that a tree at rest comes to rest).

mod runs;
mod targets;
mod triggered;

use std::collections::BTreeSet;

use crate::movement::{Movement, candidates};
use crate::pressure::ramp;
use crate::shape::{LEVELS_MAX, Run, Shape, TableId, sum_bytes};
use crate::task::{Output, Plan, Reason, Task, TaskKind};
use crate::triggers::TriggerOptions;
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};
use targets::Targets;

/// How a [`LeveledPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeveledOptions {
    /// Runs in level 0 that set off a compaction; at least 1. Pressure is 0 up to it.
    pub l0_runs_trigger: usize,
    /// While level 0 has fewer bytes than this, `l0_small_runs_trigger` is its trigger: what comes from memtables that were sealed early shall not be
    /// merged more often for each byte, since each merge rewrites as much of the base level. 0: never.
    pub l0_full_bytes: u64,
    /// The trigger of a level 0 of fewer bytes than `l0_full_bytes`; at least `l0_runs_trigger`. Pressure is 0 up to it then.
    pub l0_small_runs_trigger: usize,
    /// Runs in level 0 at which pressure is a quarter.
    pub l0_runs_slow: usize,
    /// Runs in level 0 at which pressure is 1.
    pub l0_runs_stop: usize,
    /// The most bytes wanted in the base level.
    pub base_level_bytes: u64,
    /// Each level's target over that of the level above; at least 2.
    pub size_ratio: u64,
    /// The same for the base level, at least, while it has no more than `base_level_bytes`; from 2 to `size_ratio`.
    pub base_ratio_min: u64,
    /// The size to cut outputs at.
    pub target_table_bytes: u64,
    /// Levels with level 0; from 2 to [`LEVELS_MAX`].
    pub levels_max: usize,
    /// A table is moved without being rewritten only if it overlaps at most this many bytes two levels further down.
    pub grandparent_overlap_bytes_max: u64,
    /// Which table of a level that is too large goes down first.
    pub movement: Movement,
    /// Inputs of one task are grown by tables that cost nothing more only up to this many bytes.
    pub expanded_inputs_bytes_max: u64,
    /// The most bytes above the oldest run, in percent of its bytes; level targets alone hold it near the inverse of `size_ratio` - 1, but for level 0 and
    /// what waits. A bound that one flush exceeds makes every flush a merge with everything.
    pub space_amplification_percent_max: Option<u64>,
    /// Triggers beside size.
    pub triggers: TriggerOptions,
    /// Debt at which pressure begins to rise, wherever it lies.
    pub debt_bytes_start: u64,
    /// Debt at which pressure is a quarter.
    pub debt_bytes_slow: u64,
    /// Debt at which pressure is 1.
    pub debt_bytes_stop: u64,
}

impl Default for LeveledOptions {
    fn default() -> Self {
        let target_table_bytes = 64 << 20;
        LeveledOptions {
            l0_runs_trigger: 4,
            l0_full_bytes: 0,
            l0_small_runs_trigger: 6,
            l0_runs_slow: 12,
            l0_runs_stop: 30,
            base_level_bytes: 256 << 20,
            size_ratio: 10,
            base_ratio_min: 4,
            target_table_bytes,
            levels_max: 7,
            grandparent_overlap_bytes_max: 10 * target_table_bytes,
            movement: Movement::default(),
            expanded_inputs_bytes_max: 25 * target_table_bytes,
            space_amplification_percent_max: None,
            triggers: TriggerOptions::default(),
            debt_bytes_start: 16 << 30,
            debt_bytes_slow: 64 << 30,
            debt_bytes_stop: 256 << 30,
        }
    }
}

impl LeveledOptions {
    /// The default policy for tables of another size: everything else in the same proportion.
    #[must_use]
    pub fn for_table_bytes(target_table_bytes: u64) -> Self {
        let target_table_bytes = target_table_bytes.max(1);
        LeveledOptions {
            base_level_bytes: target_table_bytes.saturating_mul(4),
            target_table_bytes,
            grandparent_overlap_bytes_max: target_table_bytes.saturating_mul(10),
            expanded_inputs_bytes_max: target_table_bytes.saturating_mul(25),
            ..LeveledOptions::default()
        }
    }

    pub(crate) fn sane(mut self) -> Self {
        self.l0_runs_trigger = self.l0_runs_trigger.max(1);
        self.l0_small_runs_trigger = self.l0_small_runs_trigger.max(self.l0_runs_trigger);
        self.l0_runs_slow = self.l0_runs_slow.max(self.highest_trigger());
        self.l0_runs_stop = self.l0_runs_stop.max(self.l0_runs_slow);
        self.base_level_bytes = self.base_level_bytes.max(1);
        self.size_ratio = self.size_ratio.max(2);
        self.base_ratio_min = self.base_ratio_min.clamp(2, self.size_ratio);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self.levels_max = self.levels_max.clamp(2, LEVELS_MAX);
        self.debt_bytes_slow = self.debt_bytes_slow.max(self.debt_bytes_start);
        self.debt_bytes_stop = self.debt_bytes_stop.max(self.debt_bytes_slow);
        self
    }
}

/// Leveled compaction; the file's head tells how it works.
#[derive(Clone, Debug)]
pub struct LeveledPicker {
    options: LeveledOptions,
}

impl LeveledPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: LeveledOptions) -> Self {
        LeveledPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &LeveledOptions {
        &self.options
    }

    /// What each level should hold at most, level 0 first (whose entry is 0, since it is judged by its runs); 0 also for levels above the base.
    #[must_use]
    pub fn level_targets(&self, shape: &Shape) -> Vec<u64> {
        Targets::of(shape, &self.options, 0).bytes
    }
}

impl Default for LeveledPicker {
    fn default() -> Self {
        LeveledPicker::new(LeveledOptions::default())
    }
}

impl CompactionPicker for LeveledPicker {
    fn name(&self) -> &'static str {
        "leveled"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let mut picking = Picking::new(shape, &self.options, 0, context);
        let debt_bytes = picking.targets.debt_bytes(shape, &self.options);
        let pressure = self.options.pressure(shape.runs_of(0).len(), debt_bytes);
        picking.run();
        picking.run_triggers();
        let (tasks, weighed) = (picking.tasks, picking.weighed);
        let look_again_unix_seconds = self.options.triggers.look_again(shape, context);
        Plan { tasks, pressure, debt_bytes, look_again_unix_seconds, weighed, remarks: Vec::new() }
    }
}

impl LeveledOptions {
    /// The runs that set off a compaction of a level 0 of so many bytes.
    pub(crate) fn trigger_at(&self, l0_bytes: u64) -> usize {
        if l0_bytes < self.l0_full_bytes { self.l0_small_runs_trigger } else { self.l0_runs_trigger }
    }

    /// What [`LeveledOptions::trigger_at`] is at most.
    fn highest_trigger(&self) -> usize {
        self.trigger_at(0)
    }

    /// A base level with a larger target than this gets a level above it.
    fn without_base_bytes(&self) -> u64 {
        let bytes =
            u128::from(self.base_level_bytes) * u128::from(self.size_ratio) / u128::from(self.base_ratio_min);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The pressure of so many runs in level 0 and so much debt.
    pub(crate) fn pressure(&self, l0_runs: usize, debt_bytes: u64) -> f64 {
        let (start, slow, stop) = (self.highest_trigger(), self.l0_runs_slow, self.l0_runs_stop);
        let by_runs = ramp(l0_runs as f64, start as f64, slow as f64, stop as f64);
        let (start, slow, stop) = (self.debt_bytes_start, self.debt_bytes_slow, self.debt_bytes_stop);
        by_runs.max(ramp(debt_bytes as f64, start as f64, slow as f64, stop as f64))
    }
}

/// One call of `pick`, for the levels from `top` on.
pub(crate) struct Picking<'a> {
    shape: &'a Shape,
    context: &'a PickContext,
    options: &'a LeveledOptions,
    /// The level above the leveled ones, which may hold several runs that overlap: level 0, or the deepest tier of a hybrid.
    top: usize,
    pub(crate) targets: Targets,
    /// Busy tables, and inputs of the tasks picked so far.
    claimed: BTreeSet<TableId>,
    tasks_max: usize,
    /// The top was more urgent than what is asked next, and found its way blocked.
    top_waits: bool,
    pub(crate) tasks: Vec<Task>,
    pub(crate) weighed: Vec<Weighed>,
}

impl<'a> Picking<'a> {
    pub(crate) fn new(
        shape: &'a Shape,
        options: &'a LeveledOptions,
        top: usize,
        context: &'a PickContext,
    ) -> Self {
        Picking {
            shape,
            context,
            options,
            top,
            targets: Targets::of(shape, options, top),
            claimed: context.busy.clone(),
            tasks_max: context.tasks_max,
            top_waits: false,
            tasks: Vec::new(),
            weighed: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self) {
        let levels = self.shape.levels.len().min(self.targets.last + 1);
        for level in (self.top + 1..levels).rev() {
            if self.shape.runs_of(level).len() > 1 {
                self.consolidate(level);
            }
        }
        if self.options.triggers.tombstone_age_seconds_max.is_some() {
            // A time is promised, so it goes before what is due by size.
            self.pick_triggered(true);
        }
        // Most urgent first. A level that has given a task is asked again with what is then left of it, until it has nothing to give.
        let mut due: Vec<(usize, Weighed)> = Vec::with_capacity(levels);
        for level in (self.top..levels).filter(|&level| !self.shape.runs_of(level).is_empty()) {
            let weighed = self.weigh(level);
            match weighed.is_due() && weighed.verdict != Verdict::UnderWay {
                true => due.push((level, weighed)),
                false => self.weighed.push(weighed),
            }
        }
        due.sort_by(|a, b| self.score(&b.1).total_cmp(&self.score(&a.1)).then(a.0.cmp(&b.0)));
        for (level, weighed) in due {
            let before = self.tasks.len();
            let otherwise = match level {
                _ if self.full() => Verdict::NoRoom,
                _ if level == self.top => self.pick_top(),
                // Otherwise ever new tasks of the base level would keep the top from coming down.
                _ if self.top_waits && level == self.targets.top_into => {
                    Verdict::WaitsFor { level: self.top }
                }
                _ => self.pick_level(level),
            };
            let verdict = match self.tasks.len() - before {
                0 => otherwise,
                tasks => Verdict::Picked { tasks },
            };
            self.weighed.push(weighed.if_due(verdict));
        }
    }

    /// What is due although its level is within its target, where something is left to be picked.
    pub(crate) fn run_triggers(&mut self) {
        self.hold_space();
        if self.options.triggers.any(self.context) {
            self.pick_triggered(false);
        }
    }

    /// Takes a task from elsewhere into the plan, if it has room for it.
    pub(crate) fn add(&mut self, task: Task, weighed: Weighed) {
        if self.full() {
            self.weighed.push(weighed.if_due(Verdict::NoRoom));
            return;
        }
        self.weighed.push(weighed);
        self.claimed.extend(task.inputs.iter().copied());
        self.tasks.push(task);
    }

    fn full(&self) -> bool {
        self.tasks.len() >= self.tasks_max
    }

    fn push(&mut self, kind: TaskKind, inputs: Vec<TableId>, output: Output, reason: Reason) {
        self.claimed.extend(inputs.iter().copied());
        self.tasks.push(Task {
            kind,
            inputs,
            output,
            target_table_bytes: self.options.target_table_bytes,
            cuts: Vec::new(),
            reason,
        });
    }

    /// What is idle of a level against its trigger.
    fn weigh(&self, level: usize) -> Weighed {
        let runs = self.shape.runs_of(level);
        let (measure, bound, idle, all) = if level == self.top {
            let is_idle = |run: &&Run| run.tables.iter().any(|table| !self.claimed.contains(&table.id));
            let idle = runs.iter().filter(is_idle).count();
            let trigger = self.options.trigger_at(self.idle_bytes(level));
            (Measure::Runs, Bound::From(trigger as u64), idle as u64, runs.len() as u64)
        } else {
            // The last level has nowhere to go to; and exactly at the target is within it.
            let last = level >= self.targets.last;
            let bound = if last { Bound::Never } else { Bound::Above(self.targets.bytes[level]) };
            let idle = self.idle_bytes(level);
            let all = if self.claimed.is_empty() { idle } else { self.shape.levels[level].file_bytes() };
            (Measure::Bytes, bound, idle, all)
        };
        let under_way = !bound.is_reached(idle) && bound.is_reached(all);
        let value = if under_way { all } else { idle };
        let weighed = Weighed::new(Scope::Level(level), measure, value, bound);
        if under_way { weighed.if_due(Verdict::UnderWay) } else { weighed }
    }

    /// How far above its trigger.
    fn score(&self, weighed: &Weighed) -> f64 {
        match weighed.bound {
            Bound::From(bound) | Bound::Above(bound) => weighed.value as f64 / bound.max(1) as f64,
            Bound::Never => 0.0,
        }
    }

    fn idle_bytes(&self, level: usize) -> u64 {
        let runs = self.shape.runs_of(level);
        let tables = runs.iter().flat_map(|run| &run.tables);
        match self.claimed.is_empty() {
            true => sum_bytes(tables),
            false => sum_bytes(tables.filter(|table| !self.claimed.contains(&table.id))),
        }
    }

    /// The level that tables of `level` go to: the next, or past empty levels down to the base.
    fn level_below(&self, level: usize) -> usize {
        let mut below = level + 1;
        while below < self.targets.base && self.shape.runs_of(below).is_empty() {
            below += 1;
        }
        below
    }

    /// Bytes that a key range overlaps in the first run of the first level below `level` that is not empty.
    fn overlap_bytes_below(&self, level: usize, smallest: &[u8], largest: &[u8]) -> u64 {
        let below = self.shape.levels.iter().skip(level + 1).find_map(|level| level.runs.first());
        below.map_or(0, |run| sum_bytes(run.overlapping(smallest, largest)))
    }

    /// Makes tasks of a level's tables until it is within its target; if it makes none, why.
    fn pick_level(&mut self, level: usize) -> Verdict {
        let below = self.level_below(level);
        let (runs, runs_below) = (self.shape.runs_of(level), self.shape.runs_of(below));
        if runs.len() > 1 || runs_below.len() > 1 {
            // Until the runs of that level are one.
            return Verdict::WaitsFor { level: if runs.len() > 1 { level } else { below } };
        }
        let target_bytes = self.targets.bytes[level];
        self.bring_down(level, below, target_bytes, |bytes| Reason::LevelSize { level, bytes, target_bytes });
        Verdict::Busy
    }

    /// Gives tables of a level to the next until what is left is within `target_bytes`. Both are single runs.
    fn bring_down(&mut self, level: usize, below: usize, target_bytes: u64, reason: impl Fn(u64) -> Reason) {
        let (runs, runs_below) = (self.shape.runs_of(level), self.shape.runs_of(below));
        let Some(level_bytes) = runs.first().map(Run::file_bytes) else { return };
        let mut candidates = candidates(runs, runs_below, self.options.movement);
        let mut left_bytes = self.idle_bytes(level);
        while left_bytes > target_bytes && !self.full() {
            let Some(index) = candidates.pop() else { break };
            let taken = self.pick_table(level, below, index, reason(level_bytes));
            left_bytes = left_bytes.saturating_sub(taken);
            // Two tasks into an empty level would make two runs of it.
            if taken > 0 && runs_below.is_empty() {
                break;
            }
        }
    }

    /// Makes a task of one table, if it and all it overlaps are idle; the bytes it takes from the level.
    fn pick_table(&mut self, level: usize, below: usize, index: usize, reason: Reason) -> u64 {
        let shape = self.shape;
        let run = &shape.runs_of(level)[0];
        let table = &run.tables[index];
        let run_below = shape.runs_of(below).first();
        let idle = |picking: &Self, id: TableId| !picking.claimed.contains(&id);
        let (smallest, largest) = (&table.smallest_key, &table.largest_key);
        let overlapping = run_below.map_or(&[][..], |below| below.overlapping(smallest, largest));
        if !idle(self, table.id) || overlapping.iter().any(|table| !idle(self, table.id)) {
            return 0;
        }
        let output = run_below.map_or(Output::NewRun { level: below, run: None }, |run| Output::IntoRun {
            level: below,
            run: run.id,
        });
        let (Some(first), Some(last)) = (overlapping.first(), overlapping.last()) else {
            let cheap = self.overlap_bytes_below(below, smallest, largest)
                <= self.options.grandparent_overlap_bytes_max;
            let kind = if cheap { TaskKind::Move } else { TaskKind::Merge };
            self.push(kind, vec![table.id], output, reason);
            return table.file_bytes;
        };
        // Neighbours within the hull ride along: the tables below that they overlap are rewritten anyway.
        let hull = (smallest.min(&first.smallest_key), largest.max(&last.largest_key));
        let from = run.tables[..index].partition_point(|table| table.smallest_key < *hull.0);
        let to = run.tables.partition_point(|table| table.largest_key <= *hull.1).max(index + 1);
        let mut own = &run.tables[from..to];
        let fits =
            sum_bytes(own).saturating_add(sum_bytes(overlapping)) <= self.options.expanded_inputs_bytes_max;
        if !fits || own.iter().any(|table| !idle(self, table.id)) {
            own = &run.tables[index..=index];
        }
        let inputs = own.iter().chain(overlapping).map(|table| table.id).collect();
        self.push(TaskKind::Merge, inputs, output, reason);
        sum_bytes(own)
    }
}
