//! The logs behind the one being written: which are still needed, and what of them is durable.
//!
//! A log is *active* (it belongs to the commit), then *ended* (nothing more is appended; its last bytes may not be durable), then *closed* (durable, its
//! final length in the manifest), and is removed when no memtable needs it. Most logs are never closed: their memtable is flushed
//! first and they are removed without having been synced.
//!
//! Un-synced writes may be lost in a power cut only as a suffix of the commit order. Two rules give that: an ended log is synced before anything in a
//! later log is acknowledged as synced, and before a flush makes writes of a later log durable while another keyspace still needs it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use terrace_entry::SeqNo;
use terrace_wal::{CreateLog, LogWriter};

use crate::manifest::edit::Edit;
use crate::names::FileName;
use crate::seam::executor::{Lane, Step};
use crate::shared::Shared;
use crate::sync::atomic::Ordering;
use crate::{Error, Parts, Result};

/// A log that is not the active one.
pub(crate) struct OldLog<L> {
    pub(crate) number: u64,
    /// The last logged sequence number before it: links it to the log before.
    pub(crate) previous: SeqNo,
    pub(crate) bytes: u64,
    /// Still open: ended, not closed.
    pub(crate) writer: Option<L>,
    /// Whether all of it is known to be durable.
    pub(crate) durable: bool,
}

/// All logs but the active one.
pub(crate) struct Logs<P: Parts> {
    /// Oldest first.
    pub(crate) old: VecDeque<OldLog<P::Log>>,
    /// A log made ahead of need, so that a switch waits for no file system.
    pub(crate) spare: Option<(u64, P::Log)>,
    pub(crate) making_spare: bool,
    /// How many syncs of logs there were when the last spare log was made, if one was.
    syncs_before: Option<u64>,
    /// Finished files to write over.
    pub(crate) recycle: Vec<PathBuf>,
}

impl<P: Parts> Logs<P> {
    pub(crate) fn new(old: VecDeque<OldLog<P::Log>>) -> Self {
        Logs { old, spare: None, making_spare: false, syncs_before: None, recycle: Vec::new() }
    }

    /// Syncs every ended log, oldest first.
    pub(crate) fn sync_all(&mut self) -> Result<()> {
        for log in self.old.iter_mut().filter(|log| !log.durable) {
            if let Some(writer) = &mut log.writer {
                writer.sync()?;
            }
            log.durable = true;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.old.iter().map(|log| log.bytes).sum()
    }
}

impl<P: Parts> Shared<P> {
    /// Makes a log file and syncs the folder, so that the log's name is durable before anything in it is.
    fn make_log(&self, number: u64, recycle: Option<PathBuf>, prepares: bool) -> Result<P::Log> {
        let path = self.path_of(FileName::Log(number));
        let create = CreateLog { number, preallocate_bytes: self.options.log_preallocate_bytes, recycle };
        let mut log = P::create_log(&self.options, &self.vfs, &path, create)?;
        self.vfs.sync_dir(&self.dir)?;
        // Asked for in any case: it is not left to the first append.
        if let Some(chore) = log.chore().filter(|_| prepares) {
            chore.run();
        }
        Ok(log)
    }

    /// Whether a spare log is to make ready what its first appends need: not where logs are synced, since a sync would write all of it, and not
    /// the one that is made when the database is opened, which may never be used.
    fn prepares_spare(&self) -> bool {
        let syncs = Some(self.counters.syncs.load(Ordering::Relaxed));
        std::mem::replace(&mut self.logs().syncs_before, syncs) == syncs
    }

    /// Makes the spare log in the background, unless there is one.
    pub(crate) fn want_spare_log(self: &Arc<Self>) {
        {
            let mut logs = self.logs();
            if logs.spare.is_some() || logs.making_spare || !P::log_keeps(&self.options) {
                return;
            }
            logs.making_spare = true;
        }
        self.spawn(Lane::Flush, |shared| {
            let recycle = shared.logs().recycle.pop();
            let number = shared.new_file_number();
            let log = shared.make_log(number, recycle, shared.prepares_spare())?;
            let mut logs = shared.logs();
            logs.making_spare = false;
            logs.spare = Some((number, log));
            Ok(Step::Done)
        });
    }

    /// Takes the spare log, or makes one. A spare of a lower number than the active log comes too late: logs are replayed in the order
    /// of their numbers.
    pub(crate) fn next_log(self: &Arc<Self>, active_number: u64) -> Result<(u64, P::Log)> {
        let spare = self.logs().spare.take();
        if let Some((number, log)) = spare {
            if number > active_number {
                return Ok((number, log));
            }
            drop(log);
            self.trash.throw(self.path_of(FileName::Log(number)));
        }
        let number = self.new_file_number();
        Ok((number, self.make_log(number, None, false)?))
    }

    /// Before a flush is recorded: closes the ended logs up to `upto` that other memtables still need (from `floor` on), and
    /// returns what the manifest must learn of it.
    pub(crate) fn close_needed_logs(&self, floor: u64, upto: u64) -> Result<Vec<Edit>> {
        let mut logs = self.logs();
        let mut edits = Vec::new();
        for log in logs.old.iter_mut().filter(|log| log.number >= floor && log.number <= upto) {
            if let Some(writer) = log.writer.take() {
                log.bytes = writer.close()?;
                log.durable = true;
                edits.push(Edit::LogClosed { number: log.number, bytes: log.bytes });
            }
        }
        Ok(edits)
    }

    /// The oldest log that any memtable needs, `skip` aside, with the sequence number before it. The active log when none is needed.
    pub(crate) fn log_floor(&self, skip: Option<&Arc<crate::version::Mem<P>>>) -> (u64, SeqNo) {
        // The active log is read first: a write that begins meanwhile goes to it or to a later one.
        let (active, active_previous) = self.commit.active_log();
        let needed = self.trees.load().values().map(|tree| tree.first_log(skip)).min().unwrap_or(u64::MAX);
        if needed >= active {
            return (active, active_previous);
        }
        let logs = self.logs();
        // Memtables name logs in which they have something; those between are needed for the order of what follows.
        match logs.old.iter().find(|log| log.number >= needed) {
            Some(log) => (log.number, log.previous),
            None => (active, active_previous),
        }
    }

    /// After the manifest was told: removes the logs below `floor`.
    pub(crate) fn drop_logs_below(self: &Arc<Self>, floor: u64) {
        let mut logs = self.logs();
        while logs.old.front().is_some_and(|log| log.number < floor) {
            let Some(log) = logs.old.pop_front() else { break };
            drop(log.writer);
            let path = self.path_of(FileName::Log(log.number));
            if logs.recycle.len() < self.options.log_recycle_files_max {
                logs.recycle.push(path);
            } else {
                self.trash.throw(path);
            }
        }
    }

    /// At close: ends and closes every log, and returns what the manifest must learn.
    pub(crate) fn close_all_logs(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        let (active, spare, recycle) = {
            let active = self.commit.take_log();
            let mut logs = self.logs();
            for log in &mut logs.old {
                if let Some(writer) = log.writer.take() {
                    log.bytes = writer.close()?;
                    log.durable = true;
                    edits.push(Edit::LogClosed { number: log.number, bytes: log.bytes });
                }
            }
            (active, logs.spare.take(), std::mem::take(&mut logs.recycle))
        };
        if let Some((number, writer)) = active {
            let bytes = writer.close()?;
            edits.push(Edit::LogClosed { number, bytes });
        }
        if let Some((number, log)) = spare {
            drop(log);
            self.trash.throw(self.path_of(FileName::Log(number)));
        }
        for path in recycle {
            self.trash.throw(path);
        }
        Ok(edits)
    }
}

/// Payloads of log records (docs/FORMAT.md, "Log payloads").
pub(crate) mod payload {
    use super::{Error, SeqNo};

    pub(crate) const GROUP: u8 = 1;
    pub(crate) const START: u8 = 2;
    pub(crate) const HEAD_BYTES: usize = 17;
    pub(crate) const BATCH_HEAD_BYTES: usize = 16;

    /// The head of every payload: its kind, the last logged sequence number before it, and the last one known to be durable.
    #[inline]
    pub(crate) fn head(kind: u8, previous: SeqNo, durable: SeqNo) -> [u8; HEAD_BYTES] {
        let mut head = [kind; HEAD_BYTES];
        head[1..9].copy_from_slice(&previous.get().to_le_bytes());
        head[9..17].copy_from_slice(&durable.get().to_le_bytes());
        head
    }

    #[inline]
    pub(crate) fn batch_head(first: SeqNo, count: u32, bytes: usize) -> [u8; BATCH_HEAD_BYTES] {
        let mut head = [0; BATCH_HEAD_BYTES];
        head[..8].copy_from_slice(&first.get().to_le_bytes());
        head[8..12].copy_from_slice(&count.to_le_bytes());
        head[12..].copy_from_slice(&(bytes as u32).to_le_bytes());
        head
    }

    /// A decoded payload.
    pub(crate) struct Payload<'a> {
        pub(crate) kind: u8,
        pub(crate) previous: SeqNo,
        pub(crate) durable: SeqNo,
        rest: &'a [u8],
    }

    /// A batch inside a group.
    pub(crate) struct Batch<'a> {
        pub(crate) first: SeqNo,
        pub(crate) count: u32,
        pub(crate) ops: &'a [u8],
    }

    impl<'a> Payload<'a> {
        pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
            let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or("payload cut short")?;
            let kind = head[0];
            if kind != GROUP && kind != START {
                return Err("unknown kind of payload");
            }
            let previous = seqno(&head[1..9])?;
            Ok(Payload { kind, previous, durable: seqno(&head[9..17])?, rest })
        }

        pub(crate) fn next_batch(&mut self) -> Result<Option<Batch<'a>>, &'static str> {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (head, rest) = self.rest.split_at_checked(BATCH_HEAD_BYTES).ok_or("batch head cut short")?;
            let first = seqno(&head[..8])?;
            let count = u32_of(&head[8..12]);
            let (ops, rest) = rest.split_at_checked(u32_of(&head[12..]) as usize).ok_or("batch cut short")?;
            self.rest = rest;
            if count == 0 || SeqNo::checked(first.get() + u64::from(count) - 1).is_none() {
                return Err("impossible count of operations");
            }
            Ok(Some(Batch { first, count, ops }))
        }
    }

    fn seqno(bytes: &[u8]) -> Result<SeqNo, &'static str> {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes);
        SeqNo::checked(u64::from_le_bytes(raw)).ok_or("sequence number above 56 bits")
    }

    fn u32_of(bytes: &[u8]) -> u32 {
        let mut raw = [0; 4];
        raw.copy_from_slice(bytes);
        u32::from_le_bytes(raw)
    }

    pub(crate) fn broken(file: &std::path::Path, offset: u64, what: &str) -> Error {
        Error::Corruption { file: file.to_owned(), offset, what: what.to_owned() }
    }
}
