//! Size-tiered compaction.
//!
//! The tree is one list of sorted runs from the newest to the oldest. When several neighbours in age are of similar size they are merged
//! into one, so that a version is rewritten about once for each time the data grows by the merge width (Cassandra's
//! `SizeTieredCompactionStrategy`, RocksDB's universal compaction). Only *neighbours in age* merge: joining runs around one that stays would carry
//! versions past it. Cassandra can ignore this, since it compares timestamps when it reads.
//!
//! Three triggers, in this order:
//!
//! 1. *space*: the runs above the oldest hold more than `space_amplification_percent_max` of its bytes: merge everything;
//! 2. *similar*: a window of `merge_width_min` to `merge_width_max` runs, the greatest at most `size_ratio` times the least (runs up to
//!    `small_run_bytes` count as equal); of several windows the one that costs the fewest bytes for each run it removes;
//! 3. *count*: more than `runs_max` runs: of the windows that bring the count back, again the one that costs the fewest bytes for each run it
//!    removes. The cheapest of all would be the two newest runs, flush after flush: they would grow by one flush each time, which
//!    costs their square (simulated for 4000 flushes, some keys hot: a write amplification of 28 against 11).
//!
//! Before them come the triggers beside size (`triggers.rs`), if asked for: a run with a table that must go on is merged with those under that table.
//!
//! None of the three acts on fewer than `merge_width_min` runs, so that a small tree is left in peace.
//!
//! *Levels are tiers*: flushes come to level 0; a merge of runs of one level that reaches its oldest run goes to the front of the next level; any
//! other merge stays at the level of its oldest input, at that one's place. At the deepest level all merges stay. The level says
//! no more than how often the data was merged; the order law holds because windows are contiguous.
//!
//! Runs whose tables are all disjoint (a sequential load) are joined without being rewritten.
//!
//! Costs: with n tables and r runs O(n + r · merge_width_max). Write amplification about log of the number of flushes to the base of the merge width,
//! plus (1 + a) / a for space amplification a. Read amplification up to `runs_max` and more under load; a full merge needs as much free
//! space as the tree has data.

use crate::pressure::ramp;
use crate::run_list::{ListedRun, any_taken, bytes_of, list, merge, space_percent, triggered};
use crate::shape::{LEVELS_MAX, Shape};
use crate::task::{Plan, Reason, Task};
use crate::triggers::TriggerOptions;
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};

/// How a [`TieredPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq)]
pub struct TieredOptions {
    /// The fewest runs merged at once; at least 2.
    pub merge_width_min: usize,
    /// The most runs merged at once for similarity or count.
    pub merge_width_max: usize,
    /// Runs are similar when the greatest is at most this many times the least; at least 1.
    pub size_ratio: f64,
    /// Runs up to this size are all alike.
    pub small_run_bytes: u64,
    /// The most runs wanted in the tree; at least `merge_width_min`. Pressure is 0 up to one and a half times it.
    pub runs_max: usize,
    /// Runs in the tree at which pressure is a quarter.
    pub runs_slow: usize,
    /// Runs in the tree at which pressure is 1.
    pub runs_stop: usize,
    /// The bound for bytes above the oldest run, in percent of its bytes.
    pub space_amplification_percent_max: u64,
    /// Triggers beside size.
    pub triggers: TriggerOptions,
    /// The size to cut outputs at.
    pub target_table_bytes: u64,
    /// Levels with level 0; from 2 to [`LEVELS_MAX`].
    pub levels_max: usize,
}

impl Default for TieredOptions {
    fn default() -> Self {
        TieredOptions {
            merge_width_min: 4,
            merge_width_max: 32,
            size_ratio: 1.5,
            small_run_bytes: 4 << 20,
            runs_max: 16,
            runs_slow: 32,
            runs_stop: 64,
            space_amplification_percent_max: 200,
            triggers: TriggerOptions::default(),
            target_table_bytes: 256 << 20,
            levels_max: 7,
        }
    }
}

impl TieredOptions {
    fn sane(mut self) -> Self {
        self.merge_width_min = self.merge_width_min.max(2);
        self.merge_width_max = self.merge_width_max.max(self.merge_width_min);
        // Not `max`: a ratio that is no number becomes 1 as well.
        self.size_ratio = if self.size_ratio >= 1.0 { self.size_ratio } else { 1.0 };
        self.runs_max = self.runs_max.max(self.merge_width_min);
        self.runs_slow = self.runs_slow.max(self.runs_max + self.runs_max / 2);
        self.runs_stop = self.runs_stop.max(self.runs_slow);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self.levels_max = self.levels_max.clamp(2, LEVELS_MAX);
        self
    }
}

/// Size-tiered compaction; the file's head tells how it works.
#[derive(Clone, Debug)]
pub struct TieredPicker {
    options: TieredOptions,
}

impl TieredPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: TieredOptions) -> Self {
        TieredPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &TieredOptions {
        &self.options
    }
}

impl Default for TieredPicker {
    fn default() -> Self {
        TieredPicker::new(TieredOptions::default())
    }
}

impl CompactionPicker for TieredPicker {
    fn name(&self) -> &'static str {
        "tiered"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let mut picking = Picking::new(&self.options, shape, context);
        let debt_bytes = picking.debt_bytes();
        picking.run_triggers(context);
        picking.run(context.tasks_max);
        let (start, slow, stop) = (picking.count_start(), self.options.runs_slow, self.options.runs_stop);
        let pressure = ramp(picking.runs.len() as f64, start as f64, slow as f64, stop as f64);
        let (tasks, weighed) = (picking.tasks, picking.weighed);
        let look_again_unix_seconds = self.options.triggers.look_again(shape, context);
        Plan { tasks, pressure, debt_bytes, look_again_unix_seconds, weighed, remarks: Vec::new() }
    }
}

/// A stretch of neighbours to merge.
#[derive(Clone, Copy)]
struct Window {
    from: usize,
    to: usize,
    bytes: u64,
}

impl Window {
    /// Bytes rewritten for each run that goes.
    fn cost(&self) -> f64 {
        self.bytes as f64 / (self.to - self.from - 1).max(1) as f64
    }
}

/// One call of `pick`.
struct Picking<'a> {
    options: &'a TieredOptions,
    runs: Vec<ListedRun<'a>>,
    tasks: Vec<Task>,
    weighed: Vec<Weighed>,
}

impl<'a> Picking<'a> {
    fn new(options: &'a TieredOptions, shape: &'a Shape, context: &PickContext) -> Self {
        Picking { options, runs: list(shape, context), tasks: Vec::new(), weighed: Vec::new() }
    }

    fn count_start(&self) -> usize {
        self.options.runs_max + self.options.runs_max / 2
    }

    fn run_triggers(&mut self, context: &PickContext) {
        let (triggers, target) = (&self.options.triggers, self.options.target_table_bytes);
        self.tasks.extend(triggered(&mut self.runs, triggers, context, target, &mut self.weighed));
    }

    fn run(&mut self, tasks_max: usize) {
        let (width_min, runs_max) = (self.options.merge_width_min as u64, self.options.runs_max as u64);
        if self.runs.len() < self.options.merge_width_min {
            self.weigh(Measure::Runs, self.runs.len() as u64, Bound::From(width_min), Verdict::Within);
            return;
        }
        let percent_max = self.options.space_amplification_percent_max;
        let percent = space_percent(&self.runs).unwrap_or(0);
        let verdict = match any_taken(&self.runs) {
            _ if tasks_max == 0 => Verdict::NoRoom,
            true => Verdict::Busy,
            false => Verdict::Picked { tasks: 1 },
        };
        self.weigh(Measure::SpacePercent, percent, Bound::Above(percent_max), verdict.clone());
        if percent > percent_max && verdict == (Verdict::Picked { tasks: 1 }) {
            let reason = Reason::SpaceAmplification { percent, percent_max };
            self.push(0, self.runs.len(), reason);
            return;
        }
        let mut widest = 0;
        let verdict = loop {
            match self.similar_window() {
                Some(_) if self.tasks.len() >= tasks_max => break Verdict::NoRoom,
                Some((window, reason)) => {
                    widest = widest.max(window.to - window.from);
                    self.push(window.from, window.to, reason);
                }
                None => break Verdict::Within,
            }
        };
        let (verdict, widest) = match self.tasks.len() {
            0 => (verdict, self.widest_similar()),
            tasks => (Verdict::Picked { tasks }, widest),
        };
        self.weigh(Measure::SimilarRuns, widest as u64, Bound::From(width_min), verdict);
        let removed: usize = self.tasks.iter().map(|task| self.runs_removed(task)).sum();
        let count = self.runs.len() - removed;
        let verdict = match count > self.options.runs_max {
            false => Verdict::UnderWay,
            true if self.tasks.len() >= tasks_max => Verdict::NoRoom,
            true => match self.count_window(count) {
                Some(window) => {
                    let reason = Reason::RunCount { runs: self.runs.len(), runs_max: self.options.runs_max };
                    self.push(window.from, window.to, reason);
                    Verdict::Picked { tasks: 1 }
                }
                None => Verdict::Busy,
            },
        };
        self.weigh(Measure::Runs, self.runs.len() as u64, Bound::Above(runs_max), verdict);
    }

    fn weigh(&mut self, measure: Measure, value: u64, bound: Bound, if_due: Verdict) {
        self.weighed.push(Weighed::new(Scope::Tree, measure, value, bound).if_due(if_due));
    }

    /// Runs in the longest idle window of similar runs.
    fn widest_similar(&self) -> usize {
        let width = |from| self.similar_from(from, |run| run.taken).0 - from;
        (0..self.runs.len()).map(width).max().unwrap_or(0)
    }

    /// Runs that go when a task is done; its inputs are whole runs, so its first tables tell them apart.
    fn runs_removed(&self, task: &Task) -> usize {
        let first_of = |run: &ListedRun<'_>| run.run.tables.first().map(|table| table.id);
        let inputs: std::collections::BTreeSet<_> = task.inputs.iter().collect();
        self.runs
            .iter()
            .filter(|run| first_of(run).is_some_and(|id| inputs.contains(&id)))
            .count()
            .saturating_sub(1)
    }

    fn space_reason(&self) -> Option<Reason> {
        let percent = space_percent(&self.runs)?;
        let percent_max = self.options.space_amplification_percent_max;
        (percent > percent_max).then_some(Reason::SpaceAmplification { percent, percent_max })
    }

    /// Bytes that the triggers would merge if nothing were busy.
    fn debt_bytes(&self) -> u64 {
        if self.runs.len() < self.options.merge_width_min {
            return 0;
        }
        if self.space_reason().is_some() {
            return bytes_of(&self.runs);
        }
        let (mut from, mut debt) = (0, 0_u64);
        while from < self.runs.len() {
            let (to, bytes) = self.similar_from(from, |_| false);
            let counts = to - from >= self.options.merge_width_min;
            debt = debt.saturating_add(if counts { bytes } else { 0 });
            from = if counts { to } else { from + 1 };
        }
        if debt == 0 && self.runs.len() > self.options.runs_max {
            return self.count_window(self.runs.len()).map_or(0, |window| window.bytes);
        }
        debt
    }

    /// The longest window of similar runs from `from` on: its end and bytes.
    fn similar_from(&self, from: usize, taken: impl Fn(&ListedRun<'_>) -> bool) -> (usize, u64) {
        let (mut least, mut greatest, mut bytes, mut to) = (u64::MAX, 0, 0_u64, from);
        for run in self.runs[from..].iter().take(self.options.merge_width_max) {
            let size = run.bytes.max(self.options.small_run_bytes).max(1);
            (least, greatest) = (size.min(least), size.max(greatest));
            if taken(run) || greatest as f64 > least as f64 * self.options.size_ratio {
                break;
            }
            (to, bytes) = (to + 1, bytes.saturating_add(run.bytes));
        }
        (to, bytes)
    }

    fn similar_window(&self) -> Option<(Window, Reason)> {
        let mut best: Option<Window> = None;
        for from in 0..self.runs.len() {
            let (to, bytes) = self.similar_from(from, |run| run.taken);
            let window = Window { from, to, bytes };
            if to - from >= self.options.merge_width_min
                && best.is_none_or(|best| window.cost() < best.cost())
            {
                best = Some(window);
            }
        }
        let window = best?;
        let sizes = || self.runs[window.from..window.to].iter().map(|run| run.bytes.max(1));
        let ratio = sizes().max()? as f64 / sizes().min()? as f64;
        Some((window, Reason::SimilarRuns { runs: window.to - window.from, ratio }))
    }

    /// The window of idle neighbours that brings `count` runs back to the bound for the fewest bytes a run, or comes as near as can be.
    fn count_window(&self, count: usize) -> Option<Window> {
        let least = (count - self.options.runs_max + 1).clamp(2, self.options.merge_width_max);
        let cheapest = |width: usize| {
            let windows =
                self.runs.windows(width).enumerate().filter(|(_, runs)| runs.iter().all(|run| !run.taken));
            let window = |(from, runs): (usize, &[ListedRun<'_>])| Window {
                from,
                to: from + width,
                bytes: bytes_of(runs),
            };
            windows.map(window).min_by_key(|window| window.bytes)
        };
        let widest = self.options.merge_width_max.min(self.runs.len());
        let best = (least..=widest).filter_map(cheapest).min_by(|a, b| a.cost().total_cmp(&b.cost()));
        best.or_else(|| (2..least).rev().find_map(cheapest))
    }

    fn push(&mut self, from: usize, to: usize, reason: Reason) {
        let level = self.output_level(from, to);
        self.tasks.push(merge(&mut self.runs[from..to], level, self.options.target_table_bytes, reason));
    }

    /// One deeper than the inputs, when they are of one level and nothing of it is older; else the level of the oldest.
    fn output_level(&self, from: usize, to: usize) -> usize {
        let oldest = self.runs[to - 1].level;
        let one_level = self.runs[from].level == oldest;
        let reaches_end = self.runs.get(to).is_none_or(|next| next.level > oldest);
        // At least level 1 when all of level 0 goes, so that level 0 holds flushes and little else.
        let deeper = one_level && reaches_end && oldest + 1 < self.options.levels_max;
        if deeper { oldest + 1 } else { oldest }
    }
}
