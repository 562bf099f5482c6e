//! Takes the writes of logs into tables, so that no damaged log is needed any more.
//!
//! Behind damage every whole record counts: here the wish is to keep what can be kept. What only a power cut took, which is a suffix of the
//! commit order, stays lost with all that follows it, as in ordinary recovery; a hole is a power cut's unless some record says that what is
//! missing was durable. What was flushed already is passed over. Memory: memtables of the size that the options allow, and one record.

use std::collections::BTreeMap;
use std::sync::Arc;
use terrace_compaction::TableMeta;
use terrace_entry::{Cursor, InternalKey, SeqNo};
use terrace_memtable::MemTable;
use terrace_wal::{LogReader, ReadLogOptions, RecoveryMode};

use super::report::Loss;
use super::work::Work;
use crate::batch::{KeyspaceId, OpReader};
use crate::logs::payload::{GROUP, Payload};
use crate::names::FileName;
use crate::outputs::meta_of;
use crate::{Parts, Result};

/// What is known of the keyspaces that logs write to.
pub(super) struct Known {
    /// Up to where each is in tables.
    pub(super) flushed: BTreeMap<KeyspaceId, SeqNo>,
    /// A write to a keyspace of this number or above is one to a keyspace that nothing else knows; below, to one that was removed.
    pub(super) next_keyspace: u64,
    /// Keyspaces that only logs know.
    pub(super) found: Vec<KeyspaceId>,
}

/// Writes taken from logs.
pub(super) struct Replayer<P: Parts> {
    known: Known,
    mems: BTreeMap<KeyspaceId, Arc<P::MemTable>>,
    last_logged: Option<SeqNo>,
    last_seqno: SeqNo,
    /// The greatest number that some record says was durable.
    durable: SeqNo,
    /// Whether a power cut's hole was met, behind which nothing counts.
    stopped: bool,
    /// The tables written for each keyspace, oldest first.
    pub(super) tables: BTreeMap<KeyspaceId, Vec<TableMeta>>,
}

impl<P: Parts> Replayer<P> {
    /// `previous`: the last sequence number before the first log, if known.
    pub(super) fn new(known: Known, previous: Option<SeqNo>) -> Self {
        Replayer {
            known,
            mems: BTreeMap::new(),
            last_logged: previous,
            last_seqno: SeqNo::ZERO,
            durable: SeqNo::ZERO,
            stopped: false,
            tables: BTreeMap::new(),
        }
    }

    /// Reads logs in the order of their numbers, each with its length if the manifest says it, and writes tables when memtables are full.
    pub(super) fn replay(&mut self, work: &mut Work<'_, P>, logs: &[(u64, Option<u64>)]) -> Result<()> {
        let mut modes = Vec::new();
        for &(number, closed) in logs {
            let (mode, durable) = survey(work, number, closed);
            self.durable = self.durable.max(durable);
            modes.push(mode);
        }
        for (&(number, closed), mode) in logs.iter().zip(modes) {
            self.read(work, number, closed, mode)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        work: &mut Work<'_, P>,
        number: u64,
        closed: Option<u64>,
        mode: RecoveryMode,
    ) -> Result<()> {
        let path = work.path(FileName::Log(number));
        let options = ReadLogOptions { mode, durable_bytes: closed, ..ReadLogOptions::default() };
        let mut reader = LogReader::open(&work.folder.vfs, &path, number, options)?;
        let unknown = |what: String| Loss { file: path.clone(), keyspace: None, keys: None, what };
        loop {
            let record = match reader.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error @ terrace_wal::Error::UnsupportedVersion { .. }) => return Err(error.into()),
                Err(error) => {
                    work.report.lost.push(unknown(error.to_string()));
                    break;
                }
            };
            let offset = record.offset;
            if let Err(what) = self.record(work, record.payload, &unknown) {
                work.report.lost.push(unknown(format!("the record at {offset} is damaged: {what}")));
            }
            if self.memory_bytes() >= work.folder.options.memtable_bytes as u64 {
                self.spill(work)?;
            }
        }
        let dropped = reader.report().dropped.clone();
        let torn = mode == RecoveryMode::DropTornTail;
        for dropped in dropped {
            let what = format!("{} bytes at offset {}: {}", dropped.bytes, dropped.offset, dropped.what);
            if torn {
                work.report.remarks.push(format!("{}: a torn tail, {what}", path.display()));
            } else {
                work.report.lost.push(unknown(what));
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        work: &mut Work<'_, P>,
        bytes: &[u8],
        unknown: &dyn Fn(String) -> Loss,
    ) -> Result<(), &'static str> {
        let mut payload = Payload::decode(bytes)?;
        let expected = self.last_logged.replace(payload.previous).unwrap_or(payload.previous);
        let flushed = self.known.flushed.values().max().copied().unwrap_or_default();
        if self.stopped {
            return Ok(());
        }
        if payload.previous > expected && payload.previous > flushed {
            let what = format!("the writes after #{expected} up to #{} are missing", payload.previous);
            if self.durable <= expected {
                let remark = format!("{what}, and so is all that follows: they were never made durable");
                work.report.remarks.push(remark);
                self.stopped = true;
                return Ok(());
            }
            work.report.lost.push(unknown(what));
        }
        while payload.kind == GROUP
            && let Some(batch) = payload.next_batch()?
        {
            let mut seqno = batch.first.get();
            let mut ops = OpReader::new(batch.ops);
            while let Some(op) = ops.next()? {
                let at = SeqNo::checked(seqno).ok_or("sequence number above 56 bits")?;
                if self.wants(op.keyspace, at) {
                    let bytes_hint = work.folder.options.memtable_bytes;
                    let mem = self
                        .mems
                        .entry(op.keyspace)
                        .or_insert_with(|| Arc::new(P::MemTable::new(bytes_hint)));
                    mem.insert(InternalKey::new(op.key, at, op.kind), op.value);
                    work.report.writes_replayed += 1;
                }
                seqno += 1;
            }
            self.last_logged = SeqNo::checked(seqno.saturating_sub(1));
            self.last_seqno = self.last_seqno.max(self.last_logged.unwrap_or_default());
        }
        Ok(())
    }

    /// Whether a write is to a keyspace that is there, and in no table yet.
    fn wants(&mut self, keyspace: KeyspaceId, at: SeqNo) -> bool {
        match self.known.flushed.get(&keyspace) {
            Some(flushed) => at > *flushed,
            None if u64::from(keyspace.0) < self.known.next_keyspace => false,
            None => {
                self.known.flushed.insert(keyspace, SeqNo::ZERO);
                self.known.found.push(keyspace);
                true
            }
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.mems.values().map(|mem| mem.memory_bytes() as u64).sum()
    }

    /// Writes the memtables into tables.
    fn spill(&mut self, work: &mut Work<'_, P>) -> Result<()> {
        for (keyspace, mem) in std::mem::take(&mut self.mems) {
            let mut sink = work.sink(keyspace, 0, Vec::new());
            let (folder, mut next_file) = (work.folder, work.next_file);
            let mut cursor = mem.cursor();
            let Ok(()) = cursor.seek_to_first();
            while let Some(entry) = cursor.current() {
                sink.add(folder, &mut next_file, entry.key, entry.value)?;
                let Ok(()) = cursor.next();
            }
            work.next_file = next_file;
            let flushed = self.known.flushed.entry(keyspace).or_default();
            *flushed = self.last_seqno.max(*flushed);
            if let Some((number, properties)) = work.finish(sink, *flushed)? {
                self.tables.entry(keyspace).or_default().push(meta_of(number, &properties));
            }
        }
        Ok(())
    }

    /// Writes what is left. What is known of keyspaces now, and the last sequence number read.
    pub(super) fn finish(&mut self, work: &mut Work<'_, P>) -> Result<(&Known, SeqNo)> {
        self.spill(work)?;
        Ok((&self.known, self.last_seqno))
    }
}

/// How to read a log: past damage if it holds any; and the greatest number that it says was durable.
fn survey<P: Parts>(work: &Work<'_, P>, number: u64, closed: Option<u64>) -> (RecoveryMode, SeqNo) {
    let path = work.path(FileName::Log(number));
    let mut durable = SeqNo::ZERO;
    for mode in [RecoveryMode::DropTornTail, RecoveryMode::Salvage] {
        let options = ReadLogOptions { mode, durable_bytes: closed, ..ReadLogOptions::default() };
        let Ok(mut reader) = LogReader::open(&work.folder.vfs, &path, number, options) else { break };
        let mut failed = false;
        while let Some(next) = reader.next().transpose() {
            let Ok(record) = next else {
                failed = true;
                break;
            };
            if let Ok(payload) = Payload::decode(record.payload) {
                durable = durable.max(payload.durable);
            }
        }
        if !failed {
            return (mode, durable);
        }
    }
    (RecoveryMode::Salvage, durable)
}
