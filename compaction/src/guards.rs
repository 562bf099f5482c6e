//! Guards: the fragmented tree of PebblesDB (Raju et al., "PebblesDB: building key-value stores using fragmented log-structured merge trees",
//! SOSP 2017).
//!
//! Leveling rewrites what lies below again and again, because a level must be one sorted run. Here each level is divided by *guards*, keys that
//! tables do not cross, and between two guards tables may overlap: they are *fragments*, and a new one is appended without touching those that are
//! there. When a guard holds `fragments_max` of them they are merged, cut at the guards of the next level, and each piece is appended to the guard
//! of that level that it belongs to. So a version is written about once for each level; only in the last level are fragments merged in place.
//!
//! *How that is expressed in a [`Shape`]*. The fragments of a guard are tables in the several runs of a level, at most one of a run within the reach of a
//! fragment below it. A fragment is appended by putting it into the oldest run of its level such that neither there nor in a newer
//! one a table overlaps it: above it everything in its guard is older, so the order law holds. When the newest run is in the way it is a run of its
//! own. Guards themselves are nowhere recorded: they are where outputs are cut ([`Task::cuts`]), and a *unit*, the tables of a level
//! that are linked by overlap, is what a guard holds. A unit grows past its guard only by tables that other policies left, and is one merge all
//! the same. Runs whose tables found room in an older run sink into it, as a move.
//!
//! *Which keys are guards*. PebblesDB draws them from the keys written, by a hash, and remembers them. A picker has no memory and sees no keys but the ends of tables;
//! so the candidates are the first keys of tables that have nothing older under them, and a hash of a key says whether it is a guard: of
//! the last level for one in `last_guard_tables` of them, and of each level above for one in `guard_ratio` of those. A guard of a level is thus one of
//! all deeper levels, guards stay where they are while the tree grows around them, and they follow the data.
//!
//! *Levels* are counted from the last: as many are in use as the number of guards has powers of `guard_ratio`, so a growing tree gets a new level on
//! top and nothing must move. Level 0 goes down as a whole, to the highest level in use.
//!
//! Departures from PebblesDB: no parallel seeks; single tables without a guard in them are moved; the last level's trigger is its own option.
//!
//! Costs: with n tables O(n log n). Write amplification beside 1 for the flush: 1 for each level but the last, and for that
//! 1 + (bytes of the guard below) / (bytes of the fragments). Read amplification up to `fragments_max` - 1 for each level and `last_fragments_max` for the
//! last, more while merges wait; space amplification as tiering has it. A merge is as large as a guard.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::linked::{Placed, linked_groups};
use crate::pressure::ramp;
use crate::shape::{LEVELS_MAX, Run, Shape, TableId, TableMeta, sum_bytes};
use crate::task::{Output, Plan, Reason, Task, TaskKind};
use crate::triggers::TriggerOptions;
use crate::triggers::due::{Cause, Due, has_older};
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};

/// How a [`GuardsPicker`] decides. Numbers that make no sense are moved to the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardsOptions {
    /// Fragments in a guard that send it down; at least 2.
    pub fragments_max: usize,
    /// The most fragments in a guard of the last level; at least 1.
    pub last_fragments_max: usize,
    /// Guards of a level for each of the level above; at least 2.
    pub guard_ratio: u64,
    /// Tables without anything older under them for each guard of the last level; at least 1.
    pub last_guard_tables: u64,
    /// Runs in level 0 that go down together; at least 1. Pressure is 0 up to it.
    pub l0_runs_trigger: usize,
    /// Runs in level 0 at which pressure is a quarter.
    pub l0_runs_slow: usize,
    /// Runs in level 0 at which pressure is 1.
    pub l0_runs_stop: usize,
    /// The size to cut outputs at between guards.
    pub target_table_bytes: u64,
    /// Levels with level 0; from 2 to [`LEVELS_MAX`].
    pub levels_max: usize,
    /// Triggers beside size: a guard goes on when one of its tables must.
    pub triggers: TriggerOptions,
}

impl Default for GuardsOptions {
    fn default() -> Self {
        GuardsOptions {
            fragments_max: 4,
            last_fragments_max: 2,
            guard_ratio: 4,
            last_guard_tables: 4,
            l0_runs_trigger: 4,
            l0_runs_slow: 12,
            l0_runs_stop: 30,
            target_table_bytes: 64 << 20,
            levels_max: 7,
            triggers: TriggerOptions::default(),
        }
    }
}

impl GuardsOptions {
    fn sane(mut self) -> Self {
        self.fragments_max = self.fragments_max.max(2);
        self.last_fragments_max = self.last_fragments_max.max(1);
        self.guard_ratio = self.guard_ratio.max(2);
        self.last_guard_tables = self.last_guard_tables.max(1);
        self.l0_runs_trigger = self.l0_runs_trigger.max(1);
        self.l0_runs_slow = self.l0_runs_slow.max(self.l0_runs_trigger);
        self.l0_runs_stop = self.l0_runs_stop.max(self.l0_runs_slow);
        self.target_table_bytes = self.target_table_bytes.max(1);
        self.levels_max = self.levels_max.clamp(2, LEVELS_MAX);
        self
    }
}

/// The fragmented tree; the file's head tells how it works.
#[derive(Clone, Debug)]
pub struct GuardsPicker {
    options: GuardsOptions,
}

impl GuardsPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: GuardsOptions) -> Self {
        GuardsPicker { options: options.sane() }
    }

    /// Its options, as moved into bounds.
    #[must_use]
    pub fn options(&self) -> &GuardsOptions {
        &self.options
    }

    /// The guards of each level of a shape, level 0 first (which has none), ascending.
    #[must_use]
    pub fn guards(&self, shape: &Shape) -> Vec<Vec<Vec<u8>>> {
        let guards = Guards::of(shape, &self.options);
        (0..=guards.last).map(|level| guards.keys(level).map(<[u8]>::to_vec).collect()).collect()
    }
}

impl Default for GuardsPicker {
    fn default() -> Self {
        GuardsPicker::new(GuardsOptions::default())
    }
}

impl CompactionPicker for GuardsPicker {
    fn name(&self) -> &'static str {
        "guards"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let options = &self.options;
        let (start, slow, stop) = (options.l0_runs_trigger, options.l0_runs_slow, options.l0_runs_stop);
        let pressure = ramp(shape.runs_of(0).len() as f64, start as f64, slow as f64, stop as f64);
        let look_again_unix_seconds = options.triggers.look_again(shape, context);
        let mut picking = Picking {
            shape,
            context,
            options,
            guards: Guards::of(shape, options),
            claimed: context.busy.clone(),
            plan: Plan { pressure, look_again_unix_seconds, ..Plan::default() },
        };
        picking.run();
        picking.plan
    }
}

/// Where outputs are cut, level by level.
struct Guards<'a> {
    /// First keys of tables without anything older under them, ascending, each with its hash.
    candidates: Vec<(&'a [u8], u64)>,
    options: &'a GuardsOptions,
    /// The highest level that has guards.
    base: usize,
    last: usize,
}

impl<'a> Guards<'a> {
    fn of(shape: &'a Shape, options: &'a GuardsOptions) -> Self {
        let deepest = shape.runs().next_back().map_or(0, |(level, _)| level);
        let last = (options.levels_max - 1).max(deepest);
        let runs: Vec<_> = shape.runs().filter(|(level, _)| *level > 0).map(|(_, run)| run).collect();
        let mut candidates = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            // From the oldest on, which is the one that nearly all tables have under them.
            let has_older = |from: &[u8], to: &[u8]| {
                runs[number + 1..].iter().rev().any(|older| !older.overlapping(from, to).is_empty())
            };
            let lowest =
                run.tables.iter().filter(|table| !has_older(&table.smallest_key, &table.largest_key));
            candidates.extend(lowest.map(|table| (table.smallest_key.as_slice(), hash(&table.smallest_key))));
        }
        candidates.sort_unstable();
        let guards = candidates.len() as u64 / options.last_guard_tables;
        let above_last = guards.checked_ilog(options.guard_ratio).unwrap_or(0) as usize;
        Guards { candidates, options, base: last.saturating_sub(above_last).max(1), last }
    }

    fn keys(&self, level: usize) -> impl Iterator<Item = &'a [u8]> {
        let above_last = u32::try_from(self.last - level.min(self.last)).unwrap_or(u32::MAX);
        let one_in = self.options.guard_ratio.saturating_pow(above_last);
        let one_in = one_in.saturating_mul(self.options.last_guard_tables);
        let bound = if level >= self.base { u64::MAX / one_in } else { 0 };
        self.candidates.iter().filter(move |(_, hash)| *hash < bound).map(|(key, _)| *key)
    }

    /// The guards of a level that tables of this range would cross.
    fn cuts(&self, level: usize, smallest: &[u8], largest: &[u8]) -> Vec<Vec<u8>> {
        self.keys(level).filter(|key| smallest < *key && *key <= largest).map(<[u8]>::to_vec).collect()
    }
}

/// A hash whose low and high values are equally likely: FNV-1a, mixed as splitmix64 mixes.
fn hash(key: &[u8]) -> u64 {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut z = key.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What one guard holds: tables of a level that are linked by overlap.
struct Unit<'a> {
    level: usize,
    tables: Vec<Placed<'a>>,
    /// How many runs they are in, which is how many fragments may hold one key.
    fragments: usize,
}

impl<'a> Unit<'a> {
    fn new(level: usize, tables: Vec<Placed<'a>>) -> Self {
        let runs: BTreeSet<usize> = tables.iter().map(|(run, _)| *run).collect();
        Unit { level, tables, fragments: runs.len() }
    }

    fn bytes(&self) -> u64 {
        sum_bytes(self.tables.iter().map(|(_, table)| *table))
    }

    fn range(&self) -> (&'a [u8], &'a [u8]) {
        let smallest = self.tables.iter().map(|(_, table)| table.smallest_key.as_slice()).min();
        let largest = self.tables.iter().map(|(_, table)| table.largest_key.as_slice()).max();
        (smallest.unwrap_or_default(), largest.unwrap_or_default())
    }
}

/// What came of a level's guards.
#[derive(Default)]
struct Book {
    /// The most fragments that one of them holds.
    fragments: usize,
    tasks: usize,
    otherwise: Option<Verdict>,
}

impl Book {
    fn weigh(self, level: usize, fragments_max: usize) -> Weighed {
        let measure = Measure::Other("fragments in its fullest guard".into());
        let bound = Bound::Above(fragments_max as u64);
        let weighed = Weighed::new(Scope::Level(level), measure, self.fragments as u64, bound);
        weighed.if_due(match self.tasks {
            0 => self.otherwise.unwrap_or(Verdict::Busy),
            tasks => Verdict::Picked { tasks },
        })
    }
}

/// One call of `pick`.
struct Picking<'a> {
    shape: &'a Shape,
    context: &'a PickContext,
    options: &'a GuardsOptions,
    guards: Guards<'a>,
    /// Busy tables, and inputs of the tasks picked so far.
    claimed: BTreeSet<TableId>,
    plan: Plan,
}

impl<'a> Picking<'a> {
    fn run(&mut self) {
        let levels = self.shape.levels.len();
        let mut books: Vec<Book> = (0..levels).map(|_| Book::default()).collect();
        let mut due = Vec::new();
        for (level, book) in books.iter_mut().enumerate().skip(1) {
            let units = self.units(level);
            book.fragments = units.iter().map(|unit| unit.fragments).max().unwrap_or(0);
            due.extend(units.into_iter().filter_map(|unit| Some((self.score(&unit)?, unit))));
        }
        self.pick_triggered();
        due.sort_by(|a, b| b.0.total_cmp(&a.0));
        let l0_runs = self.shape.runs_of(0).len();
        let l0 = Weighed::new(
            Scope::Level(0),
            Measure::Runs,
            l0_runs as u64,
            Bound::From(self.options.l0_runs_trigger as u64),
        );
        let l0_score = l0_runs as f64 / self.options.l0_runs_trigger as f64;
        self.plan.debt_bytes = due.iter().fold(0_u64, |sum, (_, unit)| sum.saturating_add(unit.bytes()));
        let rest = due.split_off(due.partition_point(|(score, _)| *score > l0_score));
        due.into_iter().for_each(|(_, unit)| self.pick_crowded(&unit, &mut books));
        if l0.is_due() {
            self.plan.debt_bytes = self.plan.debt_bytes.saturating_add(self.shape.levels[0].file_bytes());
            let trigger = self.options.l0_runs_trigger;
            let verdict = self.pick_level_0(Reason::runs_of(0, l0_runs, trigger), trigger);
            self.plan.weighed.push(l0.if_due(verdict));
        } else if l0_runs > 0 {
            self.plan.weighed.push(l0);
        }
        rest.into_iter().for_each(|(_, unit)| self.pick_crowded(&unit, &mut books));
        for (level, book) in books.into_iter().enumerate().filter(|(_, book)| book.fragments > 0) {
            if self.shape.runs_of(level).len() > book.fragments {
                self.sink(level);
            }
            self.plan.weighed.push(book.weigh(level, self.fragments_max(level)));
        }
    }

    fn pick_crowded(&mut self, unit: &Unit<'a>, books: &mut [Book]) {
        let Unit { level, fragments, .. } = *unit;
        let fragments_max = self.fragments_max(level);
        match self.pick_unit(unit, Reason::GuardFragments { level, fragments, fragments_max }) {
            Verdict::Picked { tasks } => books[level].tasks += tasks,
            verdict => books[level].otherwise = Some(verdict),
        }
    }

    /// Tables that a trigger names: rewritten where they are when nothing older lies under them, else their unit goes on. From the deepest level up, so that
    /// what comes down finds the guards below as they will be.
    fn pick_triggered(&mut self) {
        if !self.options.triggers.any(self.context) {
            return;
        }
        let (shape, context) = (self.shape, self.context);
        let due = |level, table: &TableMeta| self.options.triggers.due(level, table, context, false);
        for level in (1..shape.levels.len()).rev() {
            let above: usize = shape.levels[..level].iter().map(|level| level.runs.len()).sum();
            for unit in self.units(level) {
                let named =
                    unit.tables.iter().find_map(|(run, table)| Some((*run, *table, due(level, table)?)));
                let Some((run, table, Due { cause, reason, weighed })) = named else { continue };
                let verdict = match has_older(shape, above + run, table) {
                    true => self.pick_unit(&unit, reason),
                    false if cause == Cause::Reads => Verdict::Held("nothing older lies under it".into()),
                    false if self.full() => Verdict::NoRoom,
                    false if unit.tables.iter().any(|(_, table)| self.claimed.contains(&table.id)) => {
                        Verdict::Busy
                    }
                    false => {
                        let output = Output::IntoRun { level, run: shape.runs_of(level)[run].id };
                        self.push(TaskKind::Merge, vec![table.id], output, reason, Vec::new());
                        Verdict::Picked { tasks: 1 }
                    }
                };
                self.plan.weighed.push(weighed.if_due(verdict));
            }
        }
        let mut newest = shape.runs_of(0).iter().flat_map(|run| &run.tables);
        if let Some(Due { reason, weighed, .. }) = newest.find_map(|table| due(0, table)) {
            let verdict = self.pick_level_0(reason, 1);
            self.plan.weighed.push(weighed.if_due(verdict));
        }
    }

    fn units(&self, level: usize) -> Vec<Unit<'a>> {
        let runs = self.shape.runs_of(level).iter().enumerate();
        let tables = runs.flat_map(|(number, run)| run.tables.iter().map(move |table| (number, table)));
        linked_groups(tables.collect()).into_iter().map(|group| Unit::new(level, group)).collect()
    }

    /// The most fragments that a guard of a level is left with.
    fn fragments_max(&self, level: usize) -> usize {
        if level >= self.guards.last {
            self.options.last_fragments_max
        } else if level + 1 < self.guards.base {
            // A level that the tree has become too small for; one more is left in use, so that a tree at the edge does not go to and fro.
            0
        } else {
            self.options.fragments_max - 1
        }
    }

    /// How far a unit is above its bound, if it is.
    fn score(&self, unit: &Unit<'_>) -> Option<f64> {
        let bound = self.fragments_max(unit.level);
        (unit.fragments > bound).then(|| unit.fragments as f64 / (bound + 1) as f64)
    }

    fn full(&self) -> bool {
        self.plan.tasks.len() >= self.context.tasks_max
    }

    fn push(
        &mut self,
        kind: TaskKind,
        inputs: Vec<TableId>,
        output: Output,
        reason: Reason,
        cuts: Vec<Vec<u8>>,
    ) {
        self.claimed.extend(inputs.iter().copied());
        let target_table_bytes = self.options.target_table_bytes;
        self.plan.tasks.push(Task { kind, inputs, output, target_table_bytes, cuts, reason });
    }

    /// Makes a task of all that a guard holds; if it can not, why.
    fn pick_unit(&mut self, unit: &Unit<'a>, reason: Reason) -> Verdict {
        let level = unit.level;
        if unit.tables.iter().any(|(_, table)| self.claimed.contains(&table.id)) {
            return Verdict::Busy;
        }
        if self.full() {
            return Verdict::NoRoom;
        }
        let (smallest, largest) = unit.range();
        let inputs = unit.tables.iter().map(|(_, table)| table.id).collect();
        if level >= self.guards.last {
            // No table of the level that stays overlaps it, so the oldest run takes it all.
            let Some(oldest) = self.shape.runs_of(level).last() else { return Verdict::Within };
            let cuts = self.guards.cuts(level, smallest, largest);
            self.push(TaskKind::Merge, inputs, Output::IntoRun { level, run: oldest.id }, reason, cuts);
            return Verdict::Picked { tasks: 1 };
        }
        // Past empty levels that the tree has become too small for.
        let is_empty = |level: &usize| self.shape.runs_of(*level).is_empty();
        let below = (level + 1..self.guards.base).find(|level| !is_empty(level));
        let below = below.unwrap_or(self.guards.base.max(level + 1));
        let output = self.appended(below, smallest, largest);
        let cuts = self.guards.cuts(below, smallest, largest);
        let kind = if unit.tables.len() == 1 && cuts.is_empty() { TaskKind::Move } else { TaskKind::Merge };
        self.push(kind, inputs, output, reason, cuts);
        Verdict::Picked { tasks: 1 }
    }

    /// Where a fragment of this range is appended.
    fn appended(&self, level: usize, smallest: &[u8], largest: &[u8]) -> Output {
        let runs = self.shape.runs_of(level).iter();
        let free = runs.take_while(|run| run.overlapping(smallest, largest).is_empty()).last();
        free.map_or(Output::NewRun { level, run: None }, |run| Output::IntoRun { level, run: run.id })
    }

    fn pick_level_0(&mut self, reason: Reason, runs_min: usize) -> Verdict {
        let runs = self.shape.runs_of(0);
        let is_idle = |run: &&Run| run.tables.iter().all(|table| !self.claimed.contains(&table.id));
        let idle = runs.iter().rev().take_while(is_idle).count();
        if idle < runs_min {
            return Verdict::Busy;
        }
        if self.full() {
            return Verdict::NoRoom;
        }
        let going: Vec<_> = runs[runs.len() - idle..].iter().flat_map(|run| &run.tables).collect();
        let smallest = going.iter().map(|table| table.smallest_key.as_slice()).min().unwrap_or_default();
        let largest = going.iter().map(|table| table.largest_key.as_slice()).max().unwrap_or_default();
        // Not past what the tree, when it was larger, left in a higher level.
        let in_use = (1..=self.guards.last).find(|level| !self.shape.runs_of(*level).is_empty());
        let level = in_use.map_or(self.guards.base, |in_use| in_use.min(self.guards.base));
        let cuts = self.guards.cuts(level, smallest, largest);
        let mut sorted = going.clone();
        sorted.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
        let disjoint = sorted.windows(2).all(|pair| pair[0].largest_key < pair[1].smallest_key);
        let crosses = |table: &&&Arc<TableMeta>| {
            cuts.iter().any(|cut| table.smallest_key < *cut && *cut <= table.largest_key)
        };
        let kind = if disjoint && !sorted.iter().any(|table| crosses(&table)) {
            TaskKind::Move
        } else {
            TaskKind::Merge
        };
        let inputs = going.iter().map(|table| table.id).collect();
        self.push(kind, inputs, Output::NewRun { level, run: None }, reason, cuts);
        Verdict::Picked { tasks: 1 }
    }

    /// Lets tables of a level that nothing holds up sink into the next older run.
    fn sink(&mut self, level: usize) {
        let runs = self.shape.runs_of(level);
        for pair in runs.windows(2) {
            if self.full() {
                return;
            }
            let sinks = |table: &&Arc<TableMeta>| {
                !self.claimed.contains(&table.id)
                    && pair[1].overlapping(&table.smallest_key, &table.largest_key).is_empty()
            };
            let inputs: Vec<TableId> = pair[0].tables.iter().filter(sinks).map(|table| table.id).collect();
            if !inputs.is_empty() {
                let reason = Reason::Other(format!("{} tables find room in an older run", inputs.len()));
                let output = Output::IntoRun { level, run: pair[1].id };
                self.push(TaskKind::Move, inputs, output, reason, Vec::new());
            }
        }
    }
}
