//! First in, first out: nothing is merged; what is too old, or more than a size, falls off the old end.
//!
//! For data that are of no use after a while and are looked up rarely: caches, logs, metrics (RocksDB's FIFO style). Runs fall off whole, the
//! oldest first, without being read. A run is too old when the youngest of its tables is. The newest run stays whatever its size, so that a bound that is too
//! small does not lose what was just written.
//!
//! There are no triggers beside these two bounds: triggers set off a rewrite, and here nothing is rewritten. A tombstone goes with its run, and with it go all
//! older versions of its key.
//!
//! Departures from RocksDB: no merging of small files within level 0 (a windowed policy is better at that).
//!
//! Costs: O(n) for n tables. Write amplification 1; read amplification the number of runs, which nothing holds down: look-ups live on their
//! filters. Space is what was asked for.
//!
//! Invariant: *oldest first* (a run falls off only with all older ones, so that no older version comes back).

use crate::run_list::{ListedRun, any_taken, bytes_of, list};
use crate::shape::Shape;
use crate::task::{Output, Plan, Reason, Task, TaskKind};
use crate::weigh::{Bound, Measure, Scope, Verdict, Weighed};
use crate::{CompactionPicker, PickContext};

/// What a [`FifoPicker`] keeps. Without any bound it keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FifoOptions {
    /// The most bytes to keep.
    pub bytes_max: Option<u64>,
    /// For how many seconds a run is kept after it was written.
    pub age_seconds_max: Option<u64>,
}

/// First in, first out; the file's head tells how it works.
#[derive(Clone, Debug, Default)]
pub struct FifoPicker {
    options: FifoOptions,
}

impl FifoPicker {
    /// A picker with these options.
    #[must_use]
    pub fn new(options: FifoOptions) -> Self {
        FifoPicker { options }
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &FifoOptions {
        &self.options
    }
}

impl CompactionPicker for FifoPicker {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let runs = list(shape, context);
        let bytes_max = self.options.bytes_max.unwrap_or(u64::MAX);
        let mut kept_bytes = bytes_of(&runs);
        let (mut kept, mut dropped_bytes) = (runs.len(), 0_u64);
        while kept > 0 {
            let run = &runs[kept - 1];
            let excess = kept_bytes > bytes_max && kept > 1;
            if !excess && !self.is_too_old(run.run.newest_at_unix_seconds(), context) {
                break;
            }
            kept_bytes = kept_bytes.saturating_sub(run.bytes);
            dropped_bytes = dropped_bytes.saturating_add(run.bytes);
            kept -= 1;
        }
        let mut plan = Plan { debt_bytes: dropped_bytes, ..Plan::default() };
        let idle = runs[kept..].iter().rev().take_while(|run| !run.taken).count();
        let falling = &runs[runs.len() - idle..];
        let verdict = match any_taken(&runs[kept..]) {
            _ if kept == runs.len() => Verdict::Held("the newest run stays".into()),
            true if falling.is_empty() => Verdict::Busy,
            _ if context.tasks_max == 0 => Verdict::NoRoom,
            _ => Verdict::Picked { tasks: 1 },
        };
        let bytes_bound = self.options.bytes_max.map_or(Bound::Never, Bound::Above);
        let bytes = Weighed::new(Scope::Tree, Measure::Bytes, bytes_of(&runs), bytes_bound);
        let age_bound = self.options.age_seconds_max.map_or(Bound::Never, Bound::Above);
        let at = runs.last().map_or(context.now_unix_seconds, |run| run.run.newest_at_unix_seconds());
        let age_seconds = context.now_unix_seconds.saturating_sub(at);
        let age = Weighed::new(Scope::Tree, Measure::AgeSeconds, age_seconds, age_bound);
        plan.weighed = vec![bytes.if_due(verdict.clone()), age.if_due(verdict)];
        plan.look_again_unix_seconds = self.look_again(&runs, context);
        if !falling.is_empty() && context.tasks_max > 0 {
            let words = format!("{} runs are too old or too much, {kept} stay", runs.len() - kept);
            plan.tasks.push(Task {
                kind: TaskKind::Drop,
                inputs: falling.iter().flat_map(|run| &run.run.tables).map(|table| table.id).collect(),
                output: Output::NewRun { level: falling[0].level, run: None },
                target_table_bytes: 0,
                cuts: Vec::new(),
                reason: Reason::Other(words),
            });
        }
        plan
    }
}

impl FifoPicker {
    /// When the oldest run will be too old.
    fn look_again(&self, runs: &[ListedRun<'_>], context: &PickContext) -> Option<u64> {
        let at = runs.last()?.run.newest_at_unix_seconds();
        let from = at.checked_add(self.options.age_seconds_max?)?.checked_add(1)?;
        Some(from).filter(|from| *from > context.now_unix_seconds)
    }

    fn is_too_old(&self, at_unix_seconds: u64, context: &PickContext) -> bool {
        let age = context.now_unix_seconds.saturating_sub(at_unix_seconds);
        self.options.age_seconds_max.is_some_and(|max| age > max)
    }
}
