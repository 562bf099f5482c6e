//! What goes down although its level is within its target: old tombstones, too many of them, reads in vain, and too much space.

use super::Picking;
use crate::shape::Run;
use crate::task::{Output, Reason, TaskKind};
use crate::triggers::due::{Cause, Due, has_older};
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};

impl Picking<'_> {
    /// Makes tasks of tables that a trigger names; only for their tombstones' age, or for anything. From the deepest level up, so that what comes down
    /// finds room.
    pub(super) fn pick_triggered(&mut self, age_only: bool) {
        let (shape, context) = (self.shape, self.context);
        let levels = shape.levels.len().min(self.targets.last + 1);
        for level in (self.top..levels).rev() {
            let above: usize = shape.levels[..level].iter().map(|level| level.runs.len()).sum();
            let due = |table| self.options.triggers.due(level, table, context, age_only);
            let mut named = Vec::new();
            for (number, run) in shape.runs_of(level).iter().enumerate() {
                let tables = run.tables.iter().enumerate();
                named.extend(tables.filter_map(|(index, table)| Some((number, index, due(table)?))));
            }
            for (number, index, due) in named {
                let run = &shape.runs_of(level)[number];
                // What was picked for another reason goes down with that.
                if self.claimed.contains(&run.tables[index].id) {
                    continue;
                }
                let Due { cause, reason, weighed } = due;
                let verdict = match has_older(shape, above + number, &run.tables[index]) {
                    _ if self.full() => Verdict::NoRoom,
                    false if cause == Cause::Reads => Verdict::Held("nothing older lies under it".into()),
                    false => self.rewrite(level, run, index, reason),
                    true if level == self.top && shape.runs_of(level).len() > 1 => {
                        self.bring_top_down(&reason)
                    }
                    true => self.push_down(level, index, reason),
                };
                self.weighed.push(weighed.if_due(verdict));
            }
        }
    }

    fn rewrite(&mut self, level: usize, run: &Run, index: usize, reason: Reason) -> Verdict {
        let output = Output::IntoRun { level, run: run.id };
        self.push(TaskKind::Merge, vec![run.tables[index].id], output, reason);
        Verdict::Picked { tasks: 1 }
    }

    fn push_down(&mut self, level: usize, index: usize, reason: Reason) -> Verdict {
        let below = self.level_below(level);
        for level in [level, below] {
            if self.shape.runs_of(level).len() > 1 {
                return Verdict::WaitsFor { level };
            }
        }
        match self.pick_table(level, below, index, reason) {
            0 => Verdict::Busy,
            _ => Verdict::Picked { tasks: 1 },
        }
    }

    /// Brings down of the level with the most bytes what is above the bound for space.
    pub(super) fn hold_space(&mut self) {
        let Some(percent_max) = self.options.space_amplification_percent_max else { return };
        let mut runs = self.shape.runs().filter(|(level, _)| *level >= self.top);
        let Some((deepest, oldest)) = runs.next_back() else { return };
        let above = runs.fold(0_u64, |sum, (_, run)| sum.saturating_add(run.file_bytes()));
        let percent = u128::from(above) * 100 / u128::from(oldest.file_bytes().max(1));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let weighed = Weighed::new(Scope::Tree, Measure::SpacePercent, percent, Bound::Above(percent_max));
        if !weighed.is_due() {
            self.weighed.push(weighed);
            return;
        }
        let reason = Reason::SpaceAmplification { percent, percent_max };
        let bound = u128::from(oldest.file_bytes()) * u128::from(percent_max) / 100;
        let excess = above.saturating_sub(u64::try_from(bound).unwrap_or(u64::MAX));
        let before = self.tasks.len();
        let otherwise = self.bring_down_largest(deepest, excess, &reason);
        let verdict = match self.tasks.len() - before {
            0 => otherwise,
            tasks => Verdict::Picked { tasks },
        };
        self.weighed.push(weighed.if_due(verdict));
    }

    fn bring_down_largest(&mut self, deepest: usize, excess: u64, reason: &Reason) -> Verdict {
        let idle_bytes = |level: &usize| self.idle_bytes(*level);
        let largest = (self.top..deepest.max(self.top + 1)).max_by_key(idle_bytes).unwrap_or(self.top);
        if largest == self.top || self.full() {
            return self.bring_top_down(reason);
        }
        let below = self.level_below(largest);
        for level in [largest, below] {
            if self.shape.runs_of(level).len() > 1 {
                return Verdict::WaitsFor { level };
            }
        }
        let left = self.idle_bytes(largest).saturating_sub(excess);
        self.bring_down(largest, below, left, |_| reason.clone());
        Verdict::Busy
    }
}
