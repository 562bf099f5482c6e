//! Universal compaction, as RocksDB has it.
//!
//! The tree is one list of sorted runs from the newest to the oldest. Nothing is done while there are fewer than `runs_trigger`. Then three
//! rules in this order (RocksDB, `compaction_picker_universal.cc`, and its wiki page "Universal Compaction"):
//!
//! 1. *space*: the runs above the oldest hold more than `space_amplification_percent_max` of its bytes: merge everything;
//! 2. *size ratio*: from the newest run on, gather runs as long as the next is not larger than all gathered so far and
//!    `size_ratio_percent` more; if these are at least `merge_width_min`, merge them, else begin with the next run;
//! 3. *count*: more than `runs_trigger` idle runs: merge as many of the newest as bring the number back to it.
//!
//! *Levels*: the output goes to the deepest level that is still above the next older run; so a full merge goes to the last level, and level 0
//! holds flushes and what was merged of them while no room was below.
//!
//! Departures from RocksDB: several tasks in one plan; runs whose tables are all disjoint are joined without being rewritten; tombstones set off what
//! `triggers.rs` says, in place of marked files; no periodic or incremental compactions. At exactly its bound space is left alone, as in the wiki's examples (the code would merge).
//!
//! Costs: with n tables and r runs O(n + r²). Write amplification about 1 + log2 of the number of flushes while only the size ratio fires, plus (1 + a) / a for
//! a space bound a; far more when the third rule must hold down what the second can not gather, which is when `runs_trigger` is
//! small for the size of the tree. A full merge needs as much free space as the tree has data.

use crate::pressure::ramp;
use crate::run_list::{
    ListedRun, any_taken, bytes_of, gathered, list, merge, space_percent, stretches, triggered,
};
use crate::shape::{LEVELS_MAX, Shape};
use crate::task::{Plan, Reason, Task};
use crate::triggers::TriggerOptions;
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};

/// How a [`UniversalPicker`] decides; the defaults are RocksDB's. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniversalOptions {
    /// Runs below which nothing is merged, and above which the third rule acts; at least 1. Pressure is 0 up to one and a half times it.
    pub runs_trigger: usize,
    /// Runs at which pressure is a quarter.
    pub runs_slow: usize,
    /// Runs at which pressure is 1.
    pub runs_stop: usize,
    /// How much larger the next run may be than those gathered, in percent.
    pub size_ratio_percent: u64,
    /// The fewest runs merged for their size or number; at least 2. More than there ever are turns these rules off.
    pub merge_width_min: usize,
    /// The most runs merged for their size or number.
    pub merge_width_max: usize,
    /// The bound for bytes above the oldest run, in percent of its bytes.
    pub space_amplification_percent_max: u64,
    /// Triggers beside size.
    pub triggers: TriggerOptions,
    /// The size to cut outputs at.
    pub target_table_bytes: u64,
    /// Levels with level 0; from 1 to [`LEVELS_MAX`].
    pub levels_max: usize,
}

impl Default for UniversalOptions {
    fn default() -> Self {
        UniversalOptions {
            runs_trigger: 4,
            runs_slow: 20,
            runs_stop: 36,
            size_ratio_percent: 1,
            merge_width_min: 2,
            merge_width_max: usize::MAX,
            space_amplification_percent_max: 200,
            triggers: TriggerOptions::default(),
            target_table_bytes: 64 << 20,
            levels_max: 7,
        }
    }
}

impl UniversalOptions {
    fn sane(mut self) -> Self {
        self.runs_trigger = self.runs_trigger.max(1);
        self.runs_slow = self.runs_slow.max(self.runs_start());
        self.runs_stop = self.runs_stop.max(self.runs_slow);
        self.merge_width_min = self.merge_width_min.max(2);
        self.merge_width_max = self.merge_width_max.max(self.merge_width_min);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self.levels_max = self.levels_max.clamp(1, LEVELS_MAX);
        self
    }

    fn runs_start(&self) -> usize {
        self.runs_trigger.saturating_add(self.runs_trigger / 2)
    }
}

/// Universal compaction; the file's head tells how it works.
#[derive(Clone, Debug)]
pub struct UniversalPicker {
    options: UniversalOptions,
}

impl UniversalPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: UniversalOptions) -> Self {
        UniversalPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &UniversalOptions {
        &self.options
    }

    /// What the rules ask for next of runs that may be taken.
    fn next(&self, runs: &[ListedRun<'_>]) -> Option<(core::ops::Range<usize>, Reason)> {
        let options = &self.options;
        let percent_max = options.space_amplification_percent_max;
        if let Some(percent) = space_percent(runs).filter(|percent| *percent > percent_max)
            && runs.iter().all(|run| !run.taken)
        {
            return Some((0..runs.len(), Reason::SpaceAmplification { percent, percent_max }));
        }
        let (width_min, width_max) = (options.merge_width_min, options.merge_width_max);
        if let Some(stretch) = gathered(runs, Some(options.size_ratio_percent), width_min, width_max) {
            let sizes = || runs[stretch.clone()].iter().map(|run| run.bytes.max(1));
            let ratio = sizes().max().unwrap_or(1) as f64 / sizes().min().unwrap_or(1) as f64;
            return Some((stretch.clone(), Reason::SimilarRuns { runs: stretch.len(), ratio }));
        }
        let idle = runs.iter().filter(|run| !run.taken).count();
        let above = idle.checked_sub(options.runs_trigger).filter(|above| *above > 0)?;
        let stretch = gathered(runs, None, width_min, width_max.min(above + 1))?;
        Some((stretch, Reason::RunCount { runs: runs.len(), runs_max: options.runs_trigger }))
    }

    /// The deepest level above the next older run.
    fn output_level(&self, runs: &[ListedRun<'_>], to: usize) -> usize {
        let oldest = runs[to - 1].level;
        let below = runs.get(to).map_or(self.options.levels_max, |next| next.level);
        oldest.max(below.saturating_sub(1))
    }
}

impl Default for UniversalPicker {
    fn default() -> Self {
        UniversalPicker::new(UniversalOptions::default())
    }
}

impl CompactionPicker for UniversalPicker {
    fn name(&self) -> &'static str {
        "universal"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let options = &self.options;
        let mut runs = list(shape, context);
        let (start, slow, stop) = (options.runs_start(), options.runs_slow, options.runs_stop);
        let pressure = ramp(runs.len() as f64, start as f64, slow as f64, stop as f64);
        let mut plan = Plan {
            pressure,
            debt_bytes: self.debt_bytes(shape),
            look_again_unix_seconds: options.triggers.look_again(shape, context),
            ..Plan::default()
        };
        let (triggers, target) = (&options.triggers, options.target_table_bytes);
        plan.tasks = triggered(&mut runs, triggers, context, target, &mut plan.weighed);
        if runs.len() < options.runs_trigger {
            let (count, bound) = (runs.len() as u64, Bound::From(options.runs_trigger as u64));
            plan.weighed.push(Weighed::new(Scope::Tree, Measure::Runs, count, bound));
            return plan;
        }
        let idle = runs.iter().filter(|run| !run.taken).count();
        let busy = any_taken(&runs);
        while plan.tasks.len() < context.tasks_max
            && let Some((stretch, reason)) = self.next(&runs)
        {
            let level = self.output_level(&runs, stretch.end);
            let task: Task = merge(&mut runs[stretch], level, options.target_table_bytes, reason);
            plan.tasks.push(task);
        }
        plan.weighed = self.weighed(&runs, &plan.tasks, idle as u64, busy, context);
        plan
    }
}

impl UniversalPicker {
    /// What came of the three rules, after tasks were picked of runs of which `idle` were not busy.
    fn weighed(
        &self,
        runs: &[ListedRun<'_>],
        tasks: &[Task],
        idle: u64,
        busy: bool,
        context: &PickContext,
    ) -> Vec<Weighed> {
        let options = &self.options;
        let verdict = |picked: usize| match picked {
            _ if picked > 0 => Verdict::Picked { tasks: picked },
            _ if !tasks.is_empty() && tasks.len() < context.tasks_max => Verdict::UnderWay,
            _ if tasks.len() >= context.tasks_max => Verdict::NoRoom,
            _ if busy => Verdict::Busy,
            _ => Verdict::Held("no neighbours are to be merged".into()),
        };
        let picked = |is: fn(&Reason) -> bool| tasks.iter().filter(|task| is(&task.reason)).count();
        let weigh = |measure, value, bound, picked| {
            Weighed::new(Scope::Tree, measure, value, bound).if_due(verdict(picked))
        };
        let space = weigh(
            Measure::SpacePercent,
            space_percent(runs).unwrap_or(0),
            Bound::Above(options.space_amplification_percent_max),
            picked(|reason| matches!(reason, Reason::SpaceAmplification { .. })),
        );
        let widths = tasks.iter().filter_map(|task| match task.reason {
            Reason::SimilarRuns { runs, .. } => Some(runs),
            _ => None,
        });
        let left = stretches(runs, Some(options.size_ratio_percent), options.merge_width_max);
        let widest = widths.max().or_else(|| left.map(|stretch| stretch.len()).max()).unwrap_or(0);
        let similar = weigh(
            Measure::SimilarRuns,
            widest as u64,
            Bound::From(options.merge_width_min as u64),
            picked(|reason| matches!(reason, Reason::SimilarRuns { .. })),
        );
        let count = weigh(
            Measure::Runs,
            idle,
            Bound::Above(options.runs_trigger as u64),
            picked(|reason| matches!(reason, Reason::RunCount { .. })),
        );
        vec![space, similar, count]
    }

    /// Bytes of what would be merged next if nothing were busy.
    fn debt_bytes(&self, shape: &Shape) -> u64 {
        let runs = list(shape, &PickContext::default());
        if runs.len() < self.options.runs_trigger {
            return 0;
        }
        self.next(&runs).map_or(0, |(stretch, _)| bytes_of(&runs[stretch]))
    }
}
