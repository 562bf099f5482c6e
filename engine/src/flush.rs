//! Flush: the oldest sealed memtable becomes a run of level 0.
//!
//! Order of durability: table synced, folder synced, logs that other keyspaces still need synced, manifest record synced; then the view
//! changes, and only then are logs removed.

use std::sync::Arc;
use std::time::Duration;
use terrace_compaction::{CutOptions, Output, OutputCutter, RunId, ShapeEdit, Survivors};
use terrace_entry::Cursor;
use terrace_memtable::MemTable;

use crate::manifest::edit::Edit;
use crate::outputs::{Group, Outputs};
use crate::parts::MemCursorOf;
use crate::seam::executor::Step;
use crate::shared::Shared;
use crate::stats::bump;
use crate::sync::thread;
use crate::tree::Tree;
use crate::version::{Mem, Table, View};
use crate::{Parts, Result};

/// Versions written between two looks at whether to go on.
const ENTRIES_PER_STEP: usize = 2048;

type NothingBelow = fn(&[u8]) -> bool;

/// A flush under way.
struct Flush<P: Parts> {
    tree: Arc<Tree<P>>,
    mem: Arc<Mem<P>>,
    begun: Duration,
    /// What the memtable had before it was brought into order.
    sealed_bytes: u64,
    survivors: Survivors<MemCursorOf<P>, NothingBelow>,
    outputs: Option<Outputs<P>>,
}

impl<P: Parts> Shared<P> {
    /// Has the tree's sealed memtables flushed, oldest first, by one job at a time.
    pub(crate) fn want_flush(self: &Arc<Self>, tree: &Arc<Tree<P>>) {
        {
            let mut work = tree.work();
            if work.flushing {
                return;
            }
            work.flushing = true;
        }
        let tree = Arc::clone(tree);
        let mut current: Option<Flush<P>> = None;
        self.spawn(self.options.background_order.lane_of_flush(), move |shared| {
            if shared.is_ending() || tree.is_removed() {
                current = None;
                return Ok(Step::Done);
            }
            let Some(flush) = &mut current else {
                return Ok(shared.next_flush(&tree, &mut current));
            };
            if flush.write_some()? {
                return Ok(Step::Again);
            }
            if let Some(flush) = current.take() {
                flush.finish(shared)?;
            }
            Ok(shared.options.background_order.step_after_flush())
        });
    }

    /// Begins on the oldest sealed memtable, once all that belongs into it is in it.
    fn next_flush(self: &Arc<Self>, tree: &Arc<Tree<P>>, current: &mut Option<Flush<P>>) -> Step {
        // Under the work lock, so that a memtable sealed meanwhile is either seen here or finds `flushing` false.
        let mut work = tree.work();
        let oldest = tree.view().sealed.last().cloned();
        let Some(mem) = oldest else {
            work.flushing = false;
            return Step::Done;
        };
        drop(work);
        if self.visible() < mem.last_seqno() {
            // Some microseconds in most cases: a writer is in the middle of its insert, and may need this processor.
            thread::yield_now();
            return Step::Again;
        }
        *current = Some(Flush::new(self, tree, mem));
        Step::Again
    }
}

impl<P: Parts> Flush<P> {
    fn new(shared: &Arc<Shared<P>>, tree: &Arc<Tree<P>>, mem: Arc<Mem<P>>) -> Self {
        let boundaries = shared.snapshots.boundaries(|| shared.visible());
        // Complete: its last number is visible.
        let sealed_bytes = mem.memory_bytes();
        mem.table.freeze();
        let mut cursor = Arc::clone(&mem.table).cursor();
        let Ok(()) = cursor.seek_to_first();
        let nothing: NothingBelow = |_| false;
        // Level 0 has no next level to line up with: the cut is by size alone.
        let cutter = OutputCutter::new(CutOptions::for_target(shared.options.table_bytes * 2), Vec::new());
        let group = Group {
            keyspace: tree.id,
            inputs: Vec::new(),
            flushed: mem.last_seqno(),
            oldest_tombstone: None,
        };
        Flush {
            tree: Arc::clone(tree),
            survivors: Survivors::new(cursor, &boundaries, nothing),
            outputs: Some(Outputs::new(shared, 0, cutter, group)),
            begun: shared.clock.now(),
            sealed_bytes,
            mem,
        }
    }

    /// Writes some versions; false when there are no more.
    fn write_some(&mut self) -> Result<bool> {
        let Some(outputs) = &mut self.outputs else { return Ok(false) };
        for _ in 0..ENTRIES_PER_STEP {
            let Ok(next) = self.survivors.next();
            let Some(entry) = next else { return Ok(false) };
            outputs.add(entry)?;
        }
        Ok(true)
    }

    fn finish(mut self, shared: &Arc<Shared<P>>) -> Result<()> {
        let tables = match self.outputs.take() {
            Some(outputs) => outputs.finish()?,
            None => Vec::new(),
        };
        let bytes: u64 = tables.iter().map(|table| table.meta.file_bytes).sum();
        self.install(shared, &tables)?;
        let took = shared.clock.now().saturating_sub(self.begun);
        shared.counters.flush_micros.record(took.as_micros() as u64);
        bump(&shared.counters.flushes, 1);
        bump(&shared.counters.flush_bytes, bytes);
        tracing::info!(
            keyspace = %self.tree.name,
            entries = self.mem.table.len(),
            bytes,
            tables = tables.len(),
            "flushed a memtable"
        );
        shared.limit_active(&self.tree, self.sealed_bytes, self.mem.memory_bytes());
        shared.share_memory();
        shared.throttle.update(shared);
        shared.want_compaction(&self.tree);
        Ok(())
    }

    fn install(&self, shared: &Arc<Shared<P>>, tables: &[Arc<Table<P>>]) -> Result<()> {
        let mut manifest = shared.manifest();
        if self.tree.is_removed() {
            tables.iter().for_each(|table| table.retire());
            return Ok(());
        }
        let (floor, previous) = shared.log_floor(Some(&self.mem));
        let upto = shared.newest_log_of(&self.mem);
        let mut edits = shared.close_needed_logs(floor, upto).map_err(|error| shared.fail(error))?;
        edits.push(Edit::LogFloor { number: floor, previous });
        let run = RunId(shared.new_file_number());
        let output = Output::NewRun { level: 0, run: Some(run) };
        let metas: Vec<_> = tables.iter().map(|table| Arc::clone(&table.meta)).collect();
        let added = (!metas.is_empty()).then_some((output, metas));
        let shape = ShapeEdit { removed: Vec::new(), added };
        let (keyspace, flushed) = (self.tree.id, self.mem.last_seqno());
        edits.push(Edit::Tree { keyspace, flushed, shape: shape.clone() });
        // After an error it is unknown whether the record reached the disk, so the files stay for the next open to decide.
        shared.record(&mut manifest, &mut edits)?;
        self.tree.swap_view(|view| {
            let version = Arc::new(view.version.apply(&shape, tables)?);
            let sealed = view.sealed.iter().filter(|mem| !Arc::ptr_eq(mem, &self.mem)).cloned().collect();
            Ok(View { active: Arc::clone(&view.active), sealed, version })
        })?;
        drop(manifest);
        shared.drop_logs_below(floor);
        Ok(())
    }
}

impl<P: Parts> Shared<P> {
    /// The newest log that a sealed memtable may have something in.
    fn newest_log_of(&self, mem: &Arc<Mem<P>>) -> u64 {
        let last = mem.last_seqno();
        let logs = self.logs();
        let upto = logs.old.iter().rfind(|log| log.previous < last);
        upto.map_or(0, |log| log.number)
    }
}
