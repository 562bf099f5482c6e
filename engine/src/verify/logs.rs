//! Checks logs: every record, what the records say, and that they follow on one another.

use std::path::Path;
use std::sync::Arc;
use terrace_entry::SeqNo;
use terrace_vfs::Vfs;
use terrace_wal::{LogReader, ReadLogOptions, RecoveryMode};

use super::report::{Problem, VerifyReport};
use crate::Result;
use crate::batch::OpReader;
use crate::logs::payload::{GROUP, Payload};

/// The chain that the records of all logs make.
pub(super) struct Chain {
    /// The last sequence number logged so far; `None` before the first record when it is not known what should come first.
    last_logged: Option<SeqNo>,
    next_keyspace: Option<u32>,
    /// Where it broke first.
    hole: Option<Problem>,
    /// The last number before the hole.
    whole_to: SeqNo,
    durable: SeqNo,
}

/// How a log is read.
pub(super) struct LogToCheck<'a> {
    pub(super) path: &'a Path,
    pub(super) number: u64,
    /// Its length by the manifest, all of it durable.
    pub(super) closed: Option<u64>,
    /// Damage from here on may be a write that is under way.
    pub(super) trusted_bytes: u64,
}

impl Chain {
    pub(super) fn new(previous: Option<SeqNo>, next_keyspace: Option<u32>) -> Self {
        let whole_to = previous.unwrap_or_default();
        Chain { last_logged: previous, next_keyspace, hole: None, whole_to, durable: SeqNo::ZERO }
    }

    /// Reads a log and reports what is wrong with it. An error is one of the file system.
    pub(super) fn check(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        log: &LogToCheck<'_>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let damage = match self.read(vfs, log, RecoveryMode::DropTornTail, report) {
            Ok(torn) => {
                // Behind the length that the manifest names lies what recovery has dropped already, and reported.
                let counts = log.closed.unwrap_or(0);
                let (missing, dropped): (Vec<_>, Vec<_>) =
                    torn.into_iter().partition(|at| at.offset < counts);
                report.problems.extend(missing);
                report.remarks.extend(dropped);
                return Ok(());
            }
            Err(error) if matches!(error, crate::Error::Io(_)) => return Err(error),
            Err(error) => Problem::of(log.path, &error),
        };
        if damage.offset >= log.closed.unwrap_or(u64::MAX).min(log.trusted_bytes) {
            return Ok(());
        }
        // All of it: what follows the first damage is read too.
        let mut all = Chain::new(None, self.next_keyspace);
        let mut ignored = VerifyReport::default();
        let others = all.read(vfs, log, RecoveryMode::Salvage, &mut ignored).unwrap_or_default();
        let others = others.into_iter().filter(|other| other.offset != damage.offset);
        report.problems.push(damage.clone());
        report.problems.extend(others);
        // What follows in later logs can not be expected to fit.
        self.last_logged = None;
        Ok(())
    }

    /// Reads a log; what was dropped of it.
    fn read(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        log: &LogToCheck<'_>,
        mode: RecoveryMode,
        report: &mut VerifyReport,
    ) -> Result<Vec<Problem>> {
        let options = ReadLogOptions { mode, durable_bytes: log.closed, ..ReadLogOptions::default() };
        let mut reader = LogReader::open(vfs, log.path, log.number, options)?;
        while let Some(record) = reader.next()? {
            report.records += 1;
            let problem = |what: String| Problem::new(log.path, record.offset, what);
            if let Err(what) = self.record(record.payload, &problem) {
                report.problems.push(problem(what));
            }
        }
        let dropped = reader.report().dropped.iter();
        Ok(dropped.map(|dropped| Problem::new(log.path, dropped.offset, &dropped.what)).collect())
    }

    fn record(&mut self, bytes: &[u8], problem: &dyn Fn(String) -> Problem) -> Result<(), String> {
        let mut payload = Payload::decode(bytes)?;
        self.durable = self.durable.max(payload.durable);
        let expected = self.last_logged.replace(payload.previous).unwrap_or(payload.previous);
        if expected != payload.previous && self.hole.is_none() {
            let what = format!("records between #{expected} and #{} are missing", payload.previous);
            self.hole = Some(problem(what));
            self.whole_to = expected;
        }
        while payload.kind == GROUP
            && let Some(batch) = payload.next_batch()?
        {
            let mut ops = OpReader::new(batch.ops);
            let mut count = 0;
            while let Some(op) = ops.next()? {
                count += 1;
                if self.next_keyspace.is_some_and(|next| op.keyspace.0 >= next) {
                    return Err(format!("a write to keyspace {}, which was never made", op.keyspace.0));
                }
            }
            if count != batch.count {
                return Err("a batch holds another number of operations than it says".to_owned());
            }
            let last = batch.first.get() + u64::from(batch.count) - 1;
            self.last_logged = Some(SeqNo::new(last));
        }
        Ok(())
    }

    /// A hole is what a power cut leaves of un-synced writes, unless something says that what is missing was durable.
    pub(super) fn judge(self, report: &mut VerifyReport) {
        match self.hole {
            Some(mut hole) if self.durable > self.whole_to => {
                hole.what = format!("{}; writes up to #{} were durable", hole.what, self.durable);
                report.problems.push(hole);
            }
            Some(hole) => report.remarks.push(hole),
            None => {}
        }
    }
}
