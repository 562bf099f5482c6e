//! Compaction: picking, executing and recording tasks. What to merge is the picker's business, what survives `Survivors`'.

use std::sync::Arc;
use std::time::Duration;
use terrace_compaction::{
    CompactionPicker, CutOptions, OlderTables, Output, OutputCutter, PickContext, Plan, RunId, Shape,
    ShapeEdit, Survivors, Task, TaskKind, oldest_tombstone,
};
use terrace_entry::{Cursor, MergeCursor, SeqNo};
use terrace_sstable::CursorOptions;

use crate::cursor::RunCursor;
use crate::limiter::Allowance;
use crate::manifest::edit::Edit;
use crate::outputs::{Group, Outputs};
use crate::seam::executor::Step;
use crate::shared::Shared;
use crate::stats::bump;
use crate::tree::{Tree, Work};
use crate::vain::vain_reads;
use crate::version::{Run, RunTables, Table, Version, View};
use crate::warm::Warming;
use crate::{Error, Parts, Result};

/// Read-ahead of a merge, in bytes, for each of its sources.
const READAHEAD_BYTES: usize = 256 << 10;
/// Versions merged between two looks at whether to go on.
const ENTRIES_PER_STEP: usize = 4096;

/// How long a merge waits before it looks again whether a late flush is done: a small part of what a flush takes.
const FLUSH_WAIT: Duration = Duration::from_millis(1);
/// Under more pressure a merge waits for no flush. Writers begin to feel it there: a byte costs them a ninth of what it costs compaction.
const PRESSURE_TO_WAIT_MAX: f64 = 0.1;

type Bottom = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// A merge under way.
struct Merge<P: Parts> {
    survivors: Survivors<MergeCursor<RunCursor<P>>, Bottom>,
    outputs: Option<Outputs<P>>,
    allowance: Allowance,
    /// Once the outputs are in the view: what is to be brought into the cache.
    warming: Option<Warming<P>>,
}

impl<P: Parts> Shared<P> {
    /// Asks the picker what to do for the tree, and has it done.
    pub(crate) fn want_compaction(self: &Arc<Self>, tree: &Arc<Tree<P>>) {
        let mut work = tree.work();
        self.pick_and_start(tree, &mut work);
        drop(work);
        self.throttle.update(self);
    }

    /// What the picker is told beside the shape.
    pub(crate) fn pick_context(&self, work: &Work, version: &Version<P>) -> PickContext {
        PickContext {
            busy: work.busy.clone(),
            now_unix_seconds: self.clock.unix_seconds(),
            tasks_max: self.options.background_threads.max(1).saturating_sub(work.compactions),
            oldest_snapshot: self.snapshots.oldest(),
            vain_reads: vain_reads(version),
        }
    }

    fn pick_and_start(self: &Arc<Self>, tree: &Arc<Tree<P>>, work: &mut Work) {
        if !self.options.compaction || self.is_ending() || tree.is_removed() || work.manual {
            return;
        }
        let view = tree.pin();
        let context = self.pick_context(work, &view.version);
        // A picker may be anybody's, and this runs on callers' threads too, when the database is opened or compacted by hand.
        let picked = self.guarded(|| Ok(self.picker.pick(&view.version.shape, &context)));
        let Ok(Plan { tasks, pressure, debt_bytes, look_again_unix_seconds, remarks, .. }) = picked else {
            return;
        };
        tree.set_pressure(pressure, debt_bytes);
        work.remarks = remarks;
        if let Some(unix_seconds) = look_again_unix_seconds {
            self.look_again_at(tree, work, unix_seconds);
        }
        for task in tasks.into_iter().take(context.tasks_max) {
            if let Err(error) = view.version.shape.check(&task, &work.busy) {
                // A picker from outside may be wrong; its task is refused, and the database is no worse off.
                tracing::error!(%error, reason = %task.reason, "the picker's task was refused");
                work.remarks.push(format!("refused a task ({}): {error}", task.reason));
                continue;
            }
            work.busy.extend(&task.inputs);
            work.running.push(task.clone());
            work.compactions += 1;
            tree.set_compactions(work);
            self.start(tree, &view.version, task);
        }
    }

    fn start(self: &Arc<Self>, tree: &Arc<Tree<P>>, version: &Arc<Version<P>>, task: Task) {
        tracing::debug!(keyspace = %tree.name, reason = %task.reason, inputs = task.inputs.len(), "compaction begins");
        let lane = self.options.background_order.lane_of_merge(takes_from_level0(&version.shape, &task));
        let (tree, mut version) = (Arc::clone(tree), Some(Arc::clone(version)));
        let mut merge: Option<Merge<P>> = None;
        let mut warming: Option<Warming<P>> = None;
        let started = self.clock.now();
        let mut worked = Duration::ZERO;
        self.spawn(lane, move |shared| {
            if let Some(warm) = &mut warming {
                // The merge is done; a table that can not be read says so to whoever reads it.
                if !shared.is_ending() && !tree.is_removed() && warm.step(shared).unwrap_or(false) {
                    return Ok(Step::Again);
                }
                warming = None;
                shared.finish_task(&tree, &task);
                return Ok(Step::Done);
            }
            let Some(inputs) = version.as_ref().filter(|_| !shared.is_ending() && !tree.is_removed()) else {
                (merge, version) = (None, None);
                shared.finish_task(&tree, &task);
                return Ok(Step::Done);
            };
            let begun = shared.clock.now();
            let stepped = shared.step_task(&tree, inputs, &task, &mut merge);
            let took = shared.clock.now().saturating_sub(begun);
            worked += took;
            bump(&shared.counters.compaction_nanos, took.as_nanos() as u64);
            match stepped {
                Ok(Step::Done) => {
                    bump(&shared.counters.merged_nanos, worked.as_nanos() as u64);
                    let took = shared.clock.now().saturating_sub(started);
                    shared.counters.task_micros.record(took.as_micros() as u64);
                    // Let go of first: what is obsolete now is in the trash before the tree counts as at rest.
                    version = None;
                    warming = merge.take().and_then(|merge| merge.warming);
                    if warming.is_some() {
                        return Ok(Step::Again);
                    }
                    shared.finish_task(&tree, &task);
                    Ok(Step::Done)
                }
                Ok(step) => Ok(step),
                Err(error) => {
                    (merge, version) = (None, None);
                    let error = shared.fail(error);
                    shared.finish_task(&tree, &task);
                    Err(error)
                }
            }
        });
    }

    /// Takes the task off the books and picks anew, under one lock, so that nobody sees a tree at rest that is not.
    fn finish_task(self: &Arc<Self>, tree: &Arc<Tree<P>>, task: &Task) {
        let mut work = tree.work();
        for id in &task.inputs {
            work.busy.remove(id);
        }
        work.running.retain(|running| running.inputs != task.inputs);
        work.compactions -= 1;
        debug_assert_eq!(work.running.len(), work.compactions, "every task that runs is on the books");
        tree.set_compactions(&work);
        self.pick_and_start(tree, &mut work);
        drop(work);
        self.throttle.update(self);
    }

    fn step_task(
        self: &Arc<Self>,
        tree: &Arc<Tree<P>>,
        version: &Version<P>,
        task: &Task,
        merge: &mut Option<Merge<P>>,
    ) -> Result<Step> {
        match task.kind {
            TaskKind::Merge => {
                let merge = match merge {
                    Some(merge) => merge,
                    None => merge.insert(Merge::new(self, tree, version, task)?),
                };
                // A pause is cut into short ones, so it is asked for before the work and not after it.
                if let Some(pause) = merge.allowance.pause(self) {
                    return Ok(Step::After(pause));
                }
                if self.waits_for_flush(tree) {
                    return Ok(Step::After(FLUSH_WAIT));
                }
                if merge.write_some()? {
                    return Ok(Step::Again);
                }
                let outputs = merge.outputs.take();
                let tables = outputs.map_or(Ok(Vec::new()), Outputs::finish)?;
                let written = tables.iter().map(|table| table.meta.file_bytes).sum();
                // While the inputs are there to be asked.
                merge.warming = Warming::of(self, version, task, &tables);
                self.install(tree, task, &tables)?;
                bump(&self.counters.compactions, 1);
                bump(&self.counters.compaction_written_bytes, written);
                bump(&self.counters.compaction_read_bytes, input_bytes(&version.shape, task));
                tracing::info!(keyspace = %tree.name, reason = %task.reason, written, "compaction done");
            }
            TaskKind::Move => {
                let tables: Vec<_> =
                    version.tables().filter(|table| task.inputs.contains(&table.meta.id)).cloned().collect();
                self.install(tree, task, &tables)?;
                bump(&self.counters.moves, tables.len() as u64);
            }
            TaskKind::Drop => self.install(tree, task, &[])?,
            _ => return Err(Error::InvalidArgument(format!("unknown kind of task {:?}", task.kind))),
        }
        Ok(Step::Done)
    }

    /// Whether a merge lets a flush have the processors and the disk: while memtables have more memory than they shall have, and as long as writers are not slowed
    /// down for the merge's sake.
    fn waits_for_flush(&self, tree: &Tree<P>) -> bool {
        self.options.background_order.merges_wait_for_memory()
            && tree.view().waits_for_memory(self.options.memtable_bytes as u64)
            && tree.pressure() < PRESSURE_TO_WAIT_MAX
            // There is no flush any more after a failure.
            && self.check_writable().is_ok()
    }

    /// Records the task's result and changes the view.
    fn install(&self, tree: &Arc<Tree<P>>, task: &Task, tables: &[Arc<Table<P>>]) -> Result<()> {
        let mut manifest = self.manifest();
        if tree.is_removed() {
            tables.iter().for_each(|table| table.retire());
            return Ok(());
        }
        let output = match task.output {
            Output::NewRun { level, .. } => {
                Output::NewRun { level, run: Some(RunId(self.new_file_number())) }
            }
            into => into,
        };
        let mut metas: Vec<_> = tables.iter().map(|table| Arc::clone(&table.meta)).collect();
        metas.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
        let added = (!metas.is_empty()).then_some((output, metas));
        let shape = ShapeEdit { removed: task.inputs.clone(), added };
        let flushed = manifest.state().keyspaces.get(&tree.id).map(|tree| tree.flushed).unwrap_or_default();
        // Without an output there is no note that says what it takes the place of.
        let marker = match shape.added {
            Some(_) => None,
            None => Some(self.write_marker(manifest.state(), tree.id, &task.inputs)?),
        };
        let mut edits = vec![Edit::Tree { keyspace: tree.id, flushed, shape: shape.clone() }];
        self.record(&mut manifest, &mut edits)?;
        let mut gone = Vec::new();
        tree.swap_view(|view| {
            let version = Arc::new(view.version.apply(&shape, tables)?);
            let stays = |table: &&Arc<Table<P>>| !tables.iter().any(|new| Arc::ptr_eq(new, table));
            let removed = view.version.tables().filter(|table| task.inputs.contains(&table.meta.id));
            gone.extend(removed.filter(stays).cloned());
            Ok(View { active: Arc::clone(&view.active), sealed: view.sealed.clone(), version })
        })?;
        gone.iter().for_each(|table| table.retire());
        if let Some(marker) = marker {
            self.trash.replace_marker(&self.dir, marker);
        }
        drop(manifest);
        self.share_memory();
        self.throttle.update(self);
        Ok(())
    }

    /// Merges everything in the tree into one run, and waits for it.
    pub(crate) fn compact_tree(self: &Arc<Self>, tree: &Arc<Tree<P>>) -> Result<()> {
        tree.work().manual = true;
        let resting = Resting { shared: self, tree };
        self.executor.wait(&|| self.is_ending() || tree.work().compactions == 0);
        self.check_writable()?;
        let version = Arc::clone(&tree.view().version);
        if let Some(task) = version.shape.full_merge(self.options.table_bytes) {
            {
                let mut work = tree.work();
                let fits = version.shape.check(&task, &work.busy);
                fits.map_err(|error| Error::InvalidArgument(error.to_string()))?;
                work.busy.extend(&task.inputs);
                work.running.push(task.clone());
                work.compactions += 1;
                tree.set_compactions(&work);
            }
            self.start(tree, &version, task);
            // Not had while it is waited for: the outputs' blocks are to have the room and the memory of the inputs'.
            drop(version);
            self.executor.wait(&|| self.is_ending() || tree.work().compactions == 0);
        }
        drop(resting);
        self.check_writable()
    }
}

/// Keeps the picker away from a tree that is compacted by hand.
struct Resting<'a, P: Parts> {
    shared: &'a Arc<Shared<P>>,
    tree: &'a Arc<Tree<P>>,
}

impl<P: Parts> Drop for Resting<'_, P> {
    fn drop(&mut self) {
        self.tree.work().manual = false;
        self.shared.want_compaction(self.tree);
    }
}

fn takes_from_level0(shape: &Shape, task: &Task) -> bool {
    shape.runs_of(0).iter().flat_map(|run| &run.tables).any(|table| task.inputs.contains(&table.id))
}

fn input_bytes(shape: &Shape, task: &Task) -> u64 {
    task.inputs.iter().filter_map(|&id| shape.table(id)).map(|table| table.file_bytes).sum()
}

impl<P: Parts> Merge<P> {
    fn new(shared: &Arc<Shared<P>>, tree: &Tree<P>, version: &Version<P>, task: &Task) -> Result<Self> {
        let shape = &version.shape;
        let invalid = |error: terrace_compaction::ShapeError| Error::InvalidArgument(error.to_string());
        let mut older: OlderTables = shape.older_tables(&task.inputs, &task.output).map_err(invalid)?;
        let boundaries = shared.snapshots.boundaries(|| shared.visible());
        let options = CursorOptions { fill_cache: false, readahead_bytes: READAHEAD_BYTES };
        let sources = version
            .runs
            .iter()
            .filter_map(|run| inputs_of(run, task))
            .map(|run| RunCursor::new(run, options));
        let mut cursor = MergeCursor::new(sources.collect());
        cursor.seek_to_first()?;
        let cutter = OutputCutter::new(
            CutOptions::for_target(task.target_table_bytes),
            shape.grandparents(&task.inputs, &task.output),
        )
        .with_cuts(task.cuts.clone());
        let origin = Group {
            keyspace: tree.id,
            inputs: task.inputs.iter().map(|id| id.0).collect(),
            flushed: SeqNo::ZERO,
            oldest_tombstone: oldest_tombstone(task.inputs.iter().filter_map(|id| shape.table(*id))),
        };
        let bottom: Bottom = Box::new(move |key| !older.may_hold(key));
        Ok(Merge {
            survivors: Survivors::new(cursor, &boundaries, bottom).zero_seqnos(true),
            outputs: Some(Outputs::new(shared, task.output.level(), cutter, origin)),
            allowance: Allowance::default(),
            warming: None,
        })
    }

    /// Merges some versions; false when there are no more.
    fn write_some(&mut self) -> Result<bool> {
        let Some(outputs) = &mut self.outputs else { return Ok(false) };
        let before = self.survivors.stats().bytes_out;
        let more = self.survivors.pass_on(ENTRIES_PER_STEP, |entry| outputs.add(entry))?;
        if !more {
            return Ok(false);
        }
        self.allowance.spend(self.survivors.stats().bytes_out - before);
        Ok(true)
    }
}

/// The inputs of a task that are in this run.
fn inputs_of<P: Parts>(run: &RunTables<P>, task: &Task) -> Option<RunTables<P>> {
    let inputs: Vec<_> = run.iter().filter(|table| task.inputs.contains(&table.meta.id)).cloned().collect();
    (!inputs.is_empty()).then(|| Arc::new(Run::new(inputs)))
}

/// How long a job sleeps at most before it looks again, so that a close need not wait.
pub(crate) const PAUSE_MAX: Duration = Duration::from_millis(100);
