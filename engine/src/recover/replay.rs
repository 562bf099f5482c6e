//! Replay: from logs back into memtables.
//!
//! Logs are read in the order of their numbers. Every record names the last logged sequence number before it, so that a record that was lost between two
//! others, or a whole log, is seen as a *hole*. What follows a hole is dropped, since un-synced writes may be lost only as a suffix; unless some later
//! record says that what is missing was durable, for then it was not a power cut but damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::MemTable;
use terrace_vfs::Vfs;
use terrace_wal::{DroppedBytes, LogReader, ReadLogOptions, RecoveryMode};

use crate::batch::{KeyspaceId, OpReader};
use crate::logs::payload::{Batch, GROUP, Payload, broken};
use crate::manifest::state::State;
use crate::names::FileName;
use crate::sync::atomic::Ordering;
use crate::version::Mem;
use crate::{Error, Options, Parts, Result};

/// The memtables of one keyspace as they come back.
pub(crate) struct ReplayedTree<P: Parts> {
    flushed: SeqNo,
    pub(crate) active: Arc<Mem<P>>,
    /// Newest first.
    pub(crate) sealed: Vec<Arc<Mem<P>>>,
}

/// A log that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplayedLog {
    pub(crate) number: u64,
    pub(crate) previous: SeqNo,
    /// Bytes that count; zero when nothing of it does.
    pub(crate) bytes: u64,
    /// Whether the manifest says that it is durable.
    pub(crate) durable: bool,
}

/// What replay brings back.
pub(crate) struct Replay<P: Parts> {
    pub(crate) trees: BTreeMap<KeyspaceId, ReplayedTree<P>>,
    pub(crate) logs: Vec<ReplayedLog>,
    pub(crate) last_seqno: SeqNo,
    pub(crate) last_logged: SeqNo,
    pub(crate) records: u64,
    pub(crate) dropped: Vec<DroppedBytes>,
    next_keyspace: u32,
    memtable_bytes: usize,
    hole: Option<Hole>,
    /// The greatest sequence number that some record says was durable.
    durable: SeqNo,
}

/// Where the chain of records breaks.
struct Hole {
    path: PathBuf,
    offset: u64,
    dropped_records: u64,
}

impl<P: Parts> Replay<P> {
    pub(crate) fn new(state: &State, options: &Options) -> Self {
        let trees = state.keyspaces.iter().map(|(&id, keyspace)| {
            let active = Mem::new(options.memtable_bytes);
            (id, ReplayedTree { flushed: keyspace.flushed, active, sealed: Vec::new() })
        });
        Replay {
            trees: trees.collect(),
            logs: Vec::new(),
            last_seqno: state.last_seqno,
            last_logged: state.log_previous,
            records: 0,
            dropped: Vec::new(),
            next_keyspace: state.next_keyspace,
            memtable_bytes: options.memtable_bytes,
            hole: None,
            durable: SeqNo::ZERO,
        }
    }

    /// Reads every log that the state needs, of those in the folder.
    pub(crate) fn run(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        state: &State,
        on_disk: &[u64],
        mode: RecoveryMode,
    ) -> Result<()> {
        check_present(dir, state, on_disk)?;
        for &number in on_disk.iter().filter(|&&number| number >= state.log_floor) {
            let closed = state.closed_logs.get(&number).copied();
            let path = FileName::Log(number).in_dir(dir);
            self.read_log(vfs, &path, number, closed, mode)?;
        }
        self.judge_hole()
    }

    fn read_log(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        number: u64,
        closed: Option<u64>,
        mode: RecoveryMode,
    ) -> Result<()> {
        let previous = self.last_logged;
        let mut log = ReplayedLog { number, previous, bytes: 0, durable: closed.is_some() };
        if closed != Some(0) {
            let options = ReadLogOptions { mode, durable_bytes: closed, ..ReadLogOptions::default() };
            let mut reader = LogReader::open(vfs, path, number, options)?;
            let mut counted = false;
            while let Some(record) = reader.next()? {
                counted |= self.read_record(path, record.offset, record.payload, number, mode)?;
            }
            let report = reader.report();
            self.dropped.extend(report.dropped.iter().cloned());
            if counted {
                log.bytes = report.valid_bytes;
            }
        }
        self.logs.push(log);
        Ok(())
    }

    /// Applies one record; whether it counts.
    fn read_record(
        &mut self,
        path: &Path,
        offset: u64,
        bytes: &[u8],
        log: u64,
        mode: RecoveryMode,
    ) -> Result<bool> {
        let damaged = |what| broken(path, offset, what);
        let mut payload = Payload::decode(bytes).map_err(damaged)?;
        self.durable = self.durable.max(payload.durable);
        if let Some(hole) = &mut self.hole {
            hole.dropped_records += 1;
            return Ok(false);
        }
        if payload.previous != self.last_logged {
            match mode {
                RecoveryMode::Salvage => {
                    let what = format!(
                        "records between #{} and #{} are missing",
                        self.last_logged, payload.previous
                    );
                    self.dropped.push(DroppedBytes { path: path.to_owned(), offset, bytes: 0, what });
                }
                RecoveryMode::DropTornTail => {
                    self.hole = Some(Hole { path: path.to_owned(), offset, dropped_records: 1 });
                    return Ok(false);
                }
                _ => return Err(damaged("the record before this one is missing")),
            }
        }
        self.records += 1;
        if payload.kind == GROUP {
            while let Some(batch) = payload.next_batch().map_err(damaged)? {
                self.apply(&batch, log).map_err(damaged)?;
            }
            self.seal_full();
        }
        Ok(true)
    }

    fn apply(&mut self, batch: &Batch<'_>, log: u64) -> Result<(), &'static str> {
        let mut seqno = batch.first.get();
        let mut ops = OpReader::new(batch.ops);
        while let Some(op) = ops.next()? {
            let at = SeqNo::checked(seqno).ok_or("sequence number above 56 bits")?;
            match self.trees.get(&op.keyspace) {
                Some(tree) if at > tree.flushed => {
                    tree.active.table.insert(InternalKey::new(op.key, at, op.kind), op.value);
                    tree.active.first_log.fetch_min(log, Ordering::Relaxed);
                }
                Some(_) => {}
                None if op.keyspace.0 < self.next_keyspace => {}
                None => return Err("a write to a keyspace that was never made"),
            }
            seqno += 1;
        }
        if seqno != batch.first.get() + u64::from(batch.count) {
            return Err("a batch holds another number of operations than it says");
        }
        self.last_logged = SeqNo::new(seqno - 1);
        self.last_seqno = self.last_seqno.max(self.last_logged);
        Ok(())
    }

    /// Between records, so that a batch is never split over memtables of one keyspace.
    fn seal_full(&mut self) {
        for tree in self.trees.values_mut() {
            if tree.active.memory_bytes() >= self.memtable_bytes as u64 {
                let next = tree.active.successor(self.memtable_bytes);
                let full = std::mem::replace(&mut tree.active, next);
                full.last_seqno.store(self.last_logged.get(), Ordering::Release);
                tree.sealed.insert(0, full);
            }
        }
    }

    /// What follows a hole was never acknowledged as durable, or the hole is damage.
    fn judge_hole(&mut self) -> Result<()> {
        let Some(hole) = &self.hole else { return Ok(()) };
        if self.durable > self.last_logged {
            let what = format!(
                "writes #{} to #{} were durable and are missing before this record",
                self.last_logged.get() + 1,
                self.durable
            );
            return Err(broken(&hole.path, hole.offset, &what));
        }
        self.dropped.push(DroppedBytes {
            path: hole.path.clone(),
            offset: hole.offset,
            bytes: 0,
            what: format!(
                "{} whole records that follow a lost one: un-synced writes are kept only as a prefix",
                hole.dropped_records
            ),
        });
        Ok(())
    }
}

/// Every log that the manifest counts on must be there.
fn check_present(dir: &Path, state: &State, on_disk: &[u64]) -> Result<()> {
    let closed = state.closed_logs.iter().filter(|&(_, &bytes)| bytes > 0).map(|(&number, _)| number);
    let floor_is_empty = state.closed_logs.get(&state.log_floor) == Some(&0);
    let floor = (state.log_floor != 0 && !floor_is_empty).then_some(state.log_floor);
    for number in closed.chain(floor) {
        if !on_disk.contains(&number) {
            let file = FileName::Log(number).in_dir(dir);
            return Err(Error::Corruption { file, offset: 0, what: "the log is missing".to_owned() });
        }
    }
    Ok(())
}
