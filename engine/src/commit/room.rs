//! Making room: memtables are sealed and logs ended by whoever leads.

use std::sync::Arc;
use terrace_memtable::MemTable;
use terrace_vfs::Chore;
use terrace_wal::LogWriter;

use super::{ActiveLog, Lead, locked};
use crate::batch::Ops;
use crate::logs::{OldLog, payload};
use crate::seam::executor::{Lane, Step};
use crate::shared::Shared;
use crate::sync::atomic::Ordering;
use crate::tree::Tree;
use crate::{Error, Parts, Result};

/// After so many bytes of writes memtables may take memory ahead of need.
const READY_BYTES: usize = 1 << 20;

impl<P: Parts> Shared<P> {
    /// No sealed memtable is left, after a flush of one that had `sealed` bytes at first and `flushed` with its order: says when the active one is full, going by how far it has
    /// grown meanwhile. While one waits to be flushed, only a whole memtable is sealed.
    pub(crate) fn limit_active(&self, tree: &Tree<P>, sealed: u64, flushed: u64) {
        let view = tree.view();
        if view.sealed.is_empty() {
            let grown = view.active.memory_bytes();
            view.active.limit(self.options.memtable_bytes as u64, sealed, flushed, grown);
        }
    }

    /// Seals the memtables that are full before a write goes into them.
    pub(super) fn seal_if_full(self: &Arc<Self>, lead: &mut Lead<P>, ops: &Ops<'_>) -> Result<()> {
        for id in ops.keyspaces() {
            let trees = self.trees.load();
            let Some(tree) = trees.get(id) else { continue };
            if tree.view().active.is_full() {
                self.seal_memtable(lead, tree)?;
            }
        }
        Ok(())
    }

    /// Whether so much was written that the limits of all keyspaces together may be reached.
    pub(super) fn must_check_limits(&self, lead: &Lead<P>) -> bool {
        lead.unchecked_bytes > (self.options.memtable_bytes / 8).clamp(4 << 10, READY_BYTES)
    }

    pub(super) fn check_limits(self: &Arc<Self>, lead: &mut Lead<P>) -> Result<()> {
        if self.must_check_limits(lead) {
            if lead.unchecked_bytes >= READY_BYTES && !std::mem::take(&mut lead.asked_ready) {
                self.want_ready(None);
            }
            lead.unchecked_bytes = 0;
            self.seal_for_limits(lead)?;
        }
        Ok(())
    }

    /// Has done in the background, before merges, what the next writes would wait for within milliseconds: a log's chore, and memory that memtables will need.
    /// Both in one job, since each wakes a thread, and a thread that wakes may take a writer's processor.
    #[cold]
    pub(super) fn want_ready(self: &Arc<Self>, mut chore: Option<Chore>) {
        self.spawn(Lane::Flush, move |shared| {
            if let Some(chore) = chore.take() {
                chore.run();
            }
            for tree in shared.trees.load().values() {
                tree.view().active.table.make_ready();
            }
            Ok(Step::Done)
        });
    }

    /// Keeps the two limits that concern all keyspaces together: memory of memtables, and bytes of logs.
    pub(super) fn seal_for_limits(self: &Arc<Self>, lead: &mut Lead<P>) -> Result<()> {
        let trees = self.trees.load_full();
        let memory: u64 = trees.values().map(|tree| tree.view().mem_bytes()).sum();
        if memory > self.options.memory_bytes / 2 {
            let largest = trees.values().max_by_key(|tree| tree.view().active.memory_bytes());
            if let Some(tree) = largest {
                self.seal_memtable(lead, tree)?;
            }
        }
        let logs = self.logs().bytes() + lead.log.as_ref().map_or(0, LogWriter::len_bytes);
        if logs > self.options.log_bytes_max {
            let oldest = trees.values().min_by_key(|tree| tree.first_log(None));
            let quiet = oldest
                .filter(|tree| tree.first_log(None) == tree.view().active.first_log.load(Ordering::Acquire));
            if let Some(tree) = quiet {
                self.seal_memtable(lead, tree)?;
            }
        }
        Ok(())
    }

    /// Ends the active log, seals the tree's memtable and has it flushed.
    pub(super) fn seal_memtable(self: &Arc<Self>, lead: &mut Lead<P>, tree: &Arc<Tree<P>>) -> Result<()> {
        if tree.view().active.table.is_empty() {
            // An insert into it may be under way; it is then far from full, and the next group looks again.
            return Ok(());
        }
        self.switch_log(lead)?;
        lead.recent = None;
        tree.seal(lead.next_seqno - 1, self.options.memtable_bytes)?;
        self.share_memory();
        self.throttle.sealed(self);
        self.want_flush(tree);
        Ok(())
    }

    /// Begins a new log, unless the active one is still unused.
    pub(super) fn switch_log(self: &Arc<Self>, lead: &mut Lead<P>) -> Result<()> {
        let used = lead.last_logged != lead.active.previous;
        if !P::log_keeps(&self.options) || !used {
            return Ok(());
        }
        self.begin_log(lead).map_err(|error| self.fail(error))?;
        self.want_spare_log();
        Ok(())
    }

    pub(super) fn begin_log(self: &Arc<Self>, lead: &mut Lead<P>) -> Result<()> {
        let (number, mut log) = self.next_log(lead.active.number)?;
        let start = payload::head(payload::START, lead.last_logged, lead.durable);
        log.append(&[&start])?;
        log.hand_over()?;
        let old = lead.log.replace(log);
        let ended = std::mem::replace(&mut lead.active, ActiveLog { number, previous: lead.last_logged });
        let mut logs = self.logs();
        if let Some(mut writer) = old {
            if let Some(chore) = writer.last_chore() {
                self.want_ready(Some(chore));
            }
            let bytes = writer.len_bytes();
            let durable = writer.synced_bytes() == bytes;
            let ActiveLog { number, previous } = ended;
            logs.old.push_back(OldLog { number, previous, bytes, writer: Some(writer), durable });
        }
        *locked(&self.commit.active) = lead.active;
        Ok(())
    }

    /// Seals the tree's memtable if it holds anything, for a flush that somebody asked for.
    pub(crate) fn seal_now(self: &Arc<Self>, tree: &Arc<Tree<P>>) -> Result<()> {
        let mut lead = locked(&self.commit.lead);
        self.check_writable()?;
        if lead.closed {
            return Err(Error::Closed);
        }
        self.guarded(|| self.seal_memtable(&mut lead, tree))
    }
}
