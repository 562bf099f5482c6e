//! Bringing several runs into one: the top (level 0) into the base level, the top within itself, and levels that should be one run but are not.

use super::Picking;
use crate::linked::{Placed, linked_groups};
use crate::shape::{Run, sum_bytes};
use crate::task::{Output, Reason, TaskKind};
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};

/// Runs above the trigger before a blocked top is merged within itself: the way may be free again soon, and while they are merged they could not go.
const RUNS_MORE_WHEN_BLOCKED: usize = 2;

impl Picking<'_> {
    /// Groups of tables of `runs` (newest first) that may go to an older place together, biggest first: linked, idle, and with every older
    /// table of these runs that they overlap. The second answer counts tables left out because one of their elders is claimed.
    fn movable_groups<'r>(&self, runs: &'r [Run]) -> (Vec<Vec<Placed<'r>>>, usize) {
        let all = runs
            .iter()
            .enumerate()
            .flat_map(|(number, run)| run.tables.iter().map(move |table| (number, table)));
        let (mut movable, mut blocked) = (Vec::new(), 0);
        for group in linked_groups(all.collect()) {
            let oldest_claimed =
                group.iter().filter(|(_, table)| self.claimed.contains(&table.id)).map(|(run, _)| *run).max();
            let Some(oldest_claimed) = oldest_claimed else {
                movable.push(group);
                continue;
            };
            // Older than every claimed one: these overlap no elder that stays.
            let (older, rest): (Vec<_>, Vec<_>) =
                group.into_iter().partition(|(run, _)| *run > oldest_claimed);
            blocked += rest.len();
            movable.extend(linked_groups(older));
        }
        movable.sort_by_key(|group| core::cmp::Reverse(sum_bytes(group.iter().map(|(_, table)| *table))));
        (movable, blocked)
    }

    /// Makes tasks that bring `runs` into the run `into`, or into a new run of `level`. How many were made, and what was in the way.
    fn drain(&mut self, runs: &[Run], into: Option<&Run>, level: usize, reason: &Reason) -> (usize, usize) {
        let (groups, mut blocked) = self.movable_groups(runs);
        let output =
            into.map_or(Output::NewRun { level, run: None }, |run| Output::IntoRun { level, run: run.id });
        let mut made = 0;
        for group in groups {
            if self.full() {
                break;
            }
            let Some(smallest) = group.iter().map(|(_, table)| &table.smallest_key).min() else { continue };
            let Some(largest) = group.iter().map(|(_, table)| &table.largest_key).max() else { continue };
            let overlapping = into.map_or(&[][..], |run| run.overlapping(smallest, largest));
            if overlapping.iter().any(|table| self.claimed.contains(&table.id)) {
                blocked += group.len();
                continue;
            }
            let light = self.overlap_bytes_below(level, smallest, largest)
                <= self.options.grandparent_overlap_bytes_max;
            let kind = match group.len() == 1 && overlapping.is_empty() && light {
                true => TaskKind::Move,
                false => TaskKind::Merge,
            };
            let inputs = group
                .iter()
                .map(|(_, table)| table.id)
                .chain(overlapping.iter().map(|table| table.id))
                .collect();
            self.push(kind, inputs, output, reason.clone());
            made += 1;
            if into.is_none() {
                // Another would make a second run of an empty level.
                break;
            }
        }
        (made, blocked)
    }

    /// Makes one run of a level that holds several: the newer ones go into the oldest.
    pub(super) fn consolidate(&mut self, level: usize) {
        let Some((oldest, newer)) = self.shape.runs_of(level).split_last() else { return };
        let reason = Reason::RunCount { runs: newer.len() + 1, runs_max: 1 };
        let runs = newer.len() as u64 + 1;
        let weighed = Weighed::new(Scope::Level(level), Measure::Runs, runs, Bound::Above(1));
        if self.full() {
            self.weighed.push(weighed.if_due(Verdict::NoRoom));
            return;
        }
        let (tasks, _) = self.drain(newer, Some(oldest), level, &reason);
        let verdict = if tasks > 0 { Verdict::Picked { tasks } } else { Verdict::Busy };
        self.weighed.push(weighed.if_due(verdict));
    }

    /// Brings the top down as far as it can go, and does nothing else; if it makes no task, why.
    pub(super) fn bring_top_down(&mut self, reason: &Reason) -> Verdict {
        let (shape, top, base) = (self.shape, self.top, self.targets.top_into);
        let base_runs = shape.runs_of(base);
        if self.full() {
            return Verdict::NoRoom;
        }
        if base_runs.len() > 1 {
            return Verdict::WaitsFor { level: base };
        }
        match self.drain(shape.runs_of(top), base_runs.first(), base, reason) {
            (0, _) => Verdict::Busy,
            (tasks, _) => Verdict::Picked { tasks },
        }
    }

    /// Makes tasks that bring the top down, or together; if it makes none, why.
    pub(super) fn pick_top(&mut self) -> Verdict {
        let (shape, top) = (self.shape, self.top);
        let runs = shape.runs_of(top);
        let trigger = self.options.trigger_at(self.idle_bytes(top));
        let reason = &Reason::runs_of(top, runs.len(), trigger);
        let base = self.targets.top_into;
        let base_runs = shape.runs_of(base);
        if base_runs.len() > 1 {
            self.merge_within_top(reason, trigger + RUNS_MORE_WHEN_BLOCKED);
            return Verdict::WaitsFor { level: base };
        }
        if self.is_tiny_against(base_runs.first()) && self.merge_within_top(reason, trigger) {
            return Verdict::Picked { tasks: 1 };
        }
        let (made, blocked) = self.drain(runs, base_runs.first(), base, reason);
        if blocked > 0 && !self.full() {
            self.top_waits = made == 0;
            if made == 0 {
                self.merge_within_top(reason, trigger + RUNS_MORE_WHEN_BLOCKED);
            }
        }
        Verdict::Busy
    }

    /// Whether to bring the top down would rewrite so much of the base that merging it within itself is cheaper for now.
    fn is_tiny_against(&self, base: Option<&Run>) -> bool {
        let Some(base) = base else { return false };
        let (runs, mut overlapping) = (self.shape.runs_of(self.top), 0_u64);
        let tables = || runs.iter().flat_map(|run| &run.tables);
        let smallest = tables().map(|table| &table.smallest_key).min();
        let largest = tables().map(|table| &table.largest_key).max();
        if let (Some(smallest), Some(largest)) = (smallest, largest) {
            overlapping = sum_bytes(base.overlapping(smallest, largest));
        }
        sum_bytes(tables()).saturating_mul(self.options.size_ratio) < overlapping
    }

    /// Merges the newest idle runs of the top, as many as are worth it; at least `count_min`, and two. Whether it did.
    fn merge_within_top(&mut self, reason: &Reason, count_min: usize) -> bool {
        let runs = self.shape.runs_of(self.top);
        let idle =
            runs.iter().take_while(|run| run.tables.iter().all(|table| !self.claimed.contains(&table.id)));
        let (mut count, mut bytes) = (0_usize, 0_u64);
        for run in idle {
            // Stop where a further run would raise the bytes written for each run that goes.
            let more = bytes.saturating_add(run.file_bytes());
            if count >= 2 && u128::from(more) * (count as u128 - 1) > u128::from(bytes) * count as u128 {
                break;
            }
            (count, bytes) = (count + 1, more);
        }
        if count < count_min.max(2) || self.full() {
            return false;
        }
        let inputs = runs[..count].iter().flat_map(|run| &run.tables).map(|table| table.id).collect();
        self.push(TaskKind::Merge, inputs, Output::NewRun { level: self.top, run: None }, reason.clone());
        true
    }
}
