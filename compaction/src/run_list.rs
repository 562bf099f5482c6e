//! The tree as one list of runs from the newest to the oldest, for policies that merge neighbours in age.

use crate::PickContext;
use crate::shape::{Run, Shape};
use crate::task::{Output, Reason, Task, TaskKind};
use crate::triggers::TriggerOptions;
use crate::triggers::due::{Cause, Due};
use crate::weigh::{Verdict, Weighed};

/// A run in the list.
pub(crate) struct ListedRun<'a> {
    pub(crate) level: usize,
    pub(crate) run: &'a Run,
    pub(crate) bytes: u64,
    /// Busy, or an input of a task picked before.
    pub(crate) taken: bool,
}

/// All runs of a shape, the newest first.
pub(crate) fn list<'a>(shape: &'a Shape, context: &PickContext) -> Vec<ListedRun<'a>> {
    let is_busy =
        |run: &Run| !context.busy.is_empty() && run.tables.iter().any(|t| context.busy.contains(&t.id));
    let listed = |(level, run): (usize, &'a Run)| ListedRun {
        level,
        run,
        bytes: run.file_bytes(),
        taken: is_busy(run),
    };
    shape.runs().map(listed).collect()
}

/// Bytes of these runs, saturating.
pub(crate) fn bytes_of(runs: &[ListedRun<'_>]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.bytes))
}

/// Whether one of these is taken.
pub(crate) fn any_taken(runs: &[ListedRun<'_>]) -> bool {
    runs.iter().any(|run| run.taken)
}

/// The task that makes one run of `level` of all these, and marks them taken. Runs whose tables are disjoint are joined without being
/// rewritten.
pub(crate) fn merge(
    runs: &mut [ListedRun<'_>],
    level: usize,
    target_table_bytes: u64,
    reason: Reason,
) -> Task {
    let mut tables: Vec<_> = runs.iter().flat_map(|run| &run.run.tables).collect();
    let inputs = tables.iter().map(|table| table.id).collect();
    tables.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
    let disjoint = tables.windows(2).all(|pair| pair[0].largest_key < pair[1].smallest_key);
    runs.iter_mut().for_each(|run| run.taken = true);
    Task {
        kind: if disjoint { TaskKind::Move } else { TaskKind::Merge },
        inputs,
        output: Output::NewRun { level, run: None },
        target_table_bytes,
        cuts: Vec::new(),
        reason,
    }
}

/// What triggers beside size ask for: a table that nothing older lies under is rewritten where it is, any other merged with all runs down to the oldest that
/// lies under it. From the oldest run on, at most one task for each.
pub(crate) fn triggered(
    runs: &mut [ListedRun<'_>],
    triggers: &TriggerOptions,
    context: &PickContext,
    target_table_bytes: u64,
    weighed: &mut Vec<Weighed>,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    if !triggers.any(context) {
        return tasks;
    }
    for from in (0..runs.len()).rev() {
        let ListedRun { level, run, .. } = runs[from];
        for table in &run.tables {
            let Some(due) = triggers.due(level, table, context, false) else { continue };
            let Due { cause, reason, weighed: measured } = due;
            let lies_under = |older: &ListedRun<'_>| {
                !older.run.overlapping(&table.smallest_key, &table.largest_key).is_empty()
            };
            let under = runs[from + 1..].iter().rposition(lies_under).map(|index| from + 1 + index);
            let last = under.unwrap_or(from);
            let held = match under {
                None if cause == Cause::Reads => Some(Verdict::Held("nothing older lies under it".into())),
                _ if tasks.len() >= context.tasks_max => Some(Verdict::NoRoom),
                _ if any_taken(&runs[from..=last]) => Some(Verdict::Busy),
                _ => None,
            };
            if let Some(verdict) = held {
                weighed.push(measured.if_due(verdict));
                continue;
            }
            weighed.push(measured);
            let task = match under {
                Some(last) => {
                    let level = runs[last].level;
                    merge(&mut runs[from..=last], level, target_table_bytes, reason)
                }
                None => {
                    runs[from].taken = true;
                    let output = Output::IntoRun { level, run: run.id };
                    let (kind, inputs, cuts) = (TaskKind::Merge, vec![table.id], Vec::new());
                    Task { kind, inputs, output, target_table_bytes, cuts, reason }
                }
            };
            tasks.push(task);
            break;
        }
    }
    tasks
}

/// Bytes above the oldest run over its bytes, in percent.
pub(crate) fn space_percent(runs: &[ListedRun<'_>]) -> Option<u64> {
    let (oldest, newer) = runs.split_last()?;
    let percent = u128::from(bytes_of(newer)) * 100 / u128::from(oldest.bytes.max(1));
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

/// The first stretch of idle neighbours, from the newest run on, in which no run is larger than all newer ones of the stretch together and
/// `ratio_percent` more; at least `width_min` runs and at most `width_max`. `None` for the ratio takes any neighbour.
pub(crate) fn gathered(
    runs: &[ListedRun<'_>],
    ratio_percent: Option<u64>,
    width_min: usize,
    width_max: usize,
) -> Option<core::ops::Range<usize>> {
    stretches(runs, ratio_percent, width_max).find(|stretch| stretch.len() >= width_min.max(2))
}

/// For each run, the idle neighbours that [`gathered`] would take from it on.
pub(crate) fn stretches(
    runs: &[ListedRun<'_>],
    ratio_percent: Option<u64>,
    width_max: usize,
) -> impl Iterator<Item = core::ops::Range<usize>> {
    let reach = move |from: usize| {
        let (mut to, mut bytes) = (from, 0_u64);
        for run in runs[from..].iter().take(width_max).take_while(|run| !run.taken) {
            let bound = ratio_percent
                .map_or(u128::MAX, |percent| (100 + u128::from(percent)).saturating_mul(bytes.into()) / 100);
            if to > from && u128::from(run.bytes) > bound {
                break;
            }
            (to, bytes) = (to + 1, bytes.saturating_add(run.bytes));
        }
        from..to
    };
    (0..runs.len()).map(reach)
}
