//! Hybrid compaction: the upper levels are tiered, the lower ones leveled.
//!
//! Where a tree is small, a merge of whole runs is short and costs little space, and saves the many rewrites that leveling would do there; where
//! nearly all data are, one run in a level keeps reads and space near those of leveling (the "hybrid" layouts of Sarkar et al., "Constructing and
//! analyzing the LSM compaction design space", VLDB 2021; Dayan and Idreos, "The log-structured merge-bush and the wacky continuum", SIGMOD
//! 2019, have the continuum that it is a point of).
//!
//! Levels 0 to `tiered_levels` - 1 are *tiers*. When one holds `l0_runs_trigger` runs, all of them become one run in front of the next level. The
//! deepest tier is to the levels below what level 0 is to [`LeveledPicker`](crate::LeveledPicker): its runs go into the base level together, and from
//! there on the leveled policy decides (`leveled.rs`), tables at a time and with dynamic targets. With one tier this is leveled compaction.
//!
//! It differs from [`FluidPicker`](crate::FluidPicker)'s lazy leveling in what it merges at once: never a whole leveled level, so that a large tree needs
//! little free space and its deep levels can be worked on by several tasks.
//!
//! *Order of work*: whichever is furthest above its trigger, a tier or what the leveled part is about.
//!
//! Costs: with n tables O(n) for each level that is due. Write amplification 1 for the flush, 1 for each further tier, and what leveling costs for a tree
//! whose level 0 is the deepest tier, which saves a level for each factor of `size_ratio` that the tiers span. Read amplification up to
//! `l0_runs_trigger` for each tier and one for each leveled level.
//!
//! Invariant: *downwards*, as in `leveled.rs`.

use crate::leveled::Picking;
use crate::run_list::{bytes_of, list, merge};
use crate::shape::{LEVELS_MAX, Shape};
use crate::task::{Plan, Reason, Task};
use crate::triggers::due::Due;
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, LeveledOptions, PickContext};

/// How a [`HybridPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HybridOptions {
    /// Levels with level 0 that hold several runs; from 1 to [`LEVELS_MAX`] - 2.
    pub tiered_levels: usize,
    /// How the levels below decide. `l0_runs_trigger` counts for each tier. Pressure is that of the runs in level 0, to which the runs that any other
    /// tier has above the trigger are added, and of the leveled levels' debt. `levels_max` is at least one more than there are tiers.
    pub leveled: LeveledOptions,
}

impl Default for HybridOptions {
    /// Two tiers of four runs over a base level of 1 GiB.
    fn default() -> Self {
        let usual = LeveledOptions::default();
        let leveled = LeveledOptions { base_level_bytes: 1 << 30, base_ratio_min: usual.size_ratio, ..usual };
        HybridOptions { tiered_levels: 2, leveled }
    }
}

impl HybridOptions {
    fn sane(mut self) -> Self {
        self.leveled = self.leveled.sane();
        // One run in a tier must be at ease, or its tasks would have no end.
        self.leveled.l0_runs_trigger = self.leveled.l0_runs_trigger.max(2);
        self.leveled = self.leveled.sane();
        self.tiered_levels = self.tiered_levels.clamp(1, LEVELS_MAX - 2);
        self.leveled.levels_max = self.leveled.levels_max.max(self.tiered_levels + 1);
        self
    }
}

/// Hybrid compaction; the file's head tells how it works.
#[derive(Clone, Debug)]
pub struct HybridPicker {
    options: HybridOptions,
}

impl HybridPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: HybridOptions) -> Self {
        HybridPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &HybridOptions {
        &self.options
    }

    /// The deepest tier.
    fn top(&self) -> usize {
        self.options.tiered_levels - 1
    }

    /// Runs of level 0, and those that other tiers have too many.
    fn runs_waiting(&self, shape: &Shape) -> usize {
        let too_many =
            |level| shape.runs_of(level).len().saturating_sub(self.options.leveled.l0_runs_trigger);
        shape.runs_of(0).len() + (1..=self.top()).map(too_many).sum::<usize>()
    }

    /// What the tiers above the deepest want, the fullest first; of those that want nothing, what they weigh.
    fn wishes(&self, shape: &Shape, context: &PickContext, within: &mut Vec<Weighed>) -> Vec<Wish> {
        let LeveledOptions { l0_runs_trigger: trigger, target_table_bytes, ref triggers, .. } =
            self.options.leveled;
        let mut runs = list(shape, context);
        let mut wishes = Vec::new();
        for level in 0..self.top() {
            let from = runs.partition_point(|run| run.level < level);
            let to = runs.partition_point(|run| run.level <= level);
            if from == to {
                continue;
            }
            let bound = Bound::From(trigger as u64);
            let count = Weighed::new(Scope::Level(level), Measure::Runs, (to - from) as u64, bound);
            let mut tables = runs[from..to].iter().flat_map(|run| &run.run.tables);
            let named = tables.find_map(|table| triggers.due(level, table, context, false));
            let (reason, least, weighed) = match named {
                _ if count.is_due() => (Reason::runs_of(level, to - from, trigger), trigger, count),
                named => {
                    within.push(count);
                    let Some(Due { reason, weighed, .. }) = named else { continue };
                    (reason, 1, weighed)
                }
            };
            // What is newer than a busy run must stay above it.
            let idle = runs[from..to].iter().rev().take_while(|run| !run.taken).count();
            if idle < least {
                within.push(weighed.if_due(Verdict::Busy));
                continue;
            }
            let task = merge(&mut runs[to - idle..to], level + 1, target_table_bytes, reason);
            wishes.push(Wish { runs: to - from, task, weighed });
        }
        wishes.sort_by_key(|wish| core::cmp::Reverse(wish.runs));
        wishes
    }
}

/// A task that a tier wants.
struct Wish {
    /// Runs in the tier.
    runs: usize,
    task: Task,
    weighed: Weighed,
}

impl Default for HybridPicker {
    fn default() -> Self {
        HybridPicker::new(HybridOptions::default())
    }
}

impl CompactionPicker for HybridPicker {
    fn name(&self) -> &'static str {
        "hybrid"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let (options, top) = (&self.options.leveled, self.top());
        let mut leveled = Picking::new(shape, options, top, context);
        let mut debt_bytes = leveled.targets.debt_bytes(shape, options);
        let pressure = options.pressure(self.runs_waiting(shape), debt_bytes);
        let deepest_runs = shape.runs_of(top).len();
        let tiers = list(shape, &PickContext::default());
        for tier in tiers.chunk_by(|a, b| a.level == b.level).filter(|tier| tier[0].level < top) {
            let is_due = tier.len() >= options.l0_runs_trigger;
            debt_bytes = debt_bytes.saturating_add(if is_due { bytes_of(tier) } else { 0 });
        }
        let wishes = self.wishes(shape, context, &mut leveled.weighed);
        let (fuller, rest): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|wish| wish.runs >= deepest_runs);
        fuller.into_iter().for_each(|wish| leveled.add(wish.task, wish.weighed));
        leveled.run();
        rest.into_iter().for_each(|wish| leveled.add(wish.task, wish.weighed));
        leveled.run_triggers();
        let (tasks, weighed) = (leveled.tasks, leveled.weighed);
        let look_again_unix_seconds = options.triggers.look_again(shape, context);
        Plan { tasks, pressure, debt_bytes, look_again_unix_seconds, weighed, remarks: Vec::new() }
    }
}
