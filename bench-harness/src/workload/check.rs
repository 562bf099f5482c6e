//! Checks what a client's calls showed: the answers of a chunk, and scans.

use crate::ledger::Ledger;
use crate::record::RecordShape;
use crate::store::Direction;
use crate::workload::BenchError;
use crate::workload::client::{Answer, Call, CallKind, Client, Done, Writers};

/// What a pass over the whole store saw. Two passes that saw the same pairs are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    pub records: u64,
    pub bytes: u64,
    /// A sum over all pairs, for which every byte is looked at.
    sum: u64,
}

impl Pass {
    pub(super) fn see(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.sum = self.sum.wrapping_add(fold(key).rotate_left(1) ^ fold(value));
    }
}

impl Client<'_> {
    /// Checks all answers of the chunk, tells what each of its operations did, and makes room for the next chunk.
    pub(super) fn check(&mut self, mut each: impl FnMut(Done)) -> Result<(), BenchError> {
        let chunk = &self.chunk;
        let (mut shown, mut lens) = (0, 0);
        let mut operation = None;
        for (call, answer) in chunk.calls.iter().zip(&chunk.answers) {
            let (bytes, pairs) =
                (&chunk.shown[shown..answer.shown], &chunk.shown_lens[lens..answer.shown_lens]);
            (shown, lens) = (answer.shown, answer.shown_lens);
            let (records, bytes) = match call.kind {
                CallKind::Get | CallKind::GetMissing => self.check_get(call, answer, bytes, pairs)?,
                CallKind::Scan => self.check_scan(call, answer, bytes, pairs)?,
                CallKind::Put | CallKind::Delete | CallKind::WriteBatch => {
                    (call.count as u64, answer.written as u64)
                }
            };
            let done = Done { latency: answer.latency, records, bytes };
            operation = match operation {
                Some(before) if call.joined => Some(done.and(before)),
                before => {
                    before.into_iter().for_each(&mut each);
                    Some(done)
                }
            };
        }
        operation.into_iter().for_each(each);
        self.chunk.clear();
        Ok(())
    }

    fn check_get(
        &self,
        call: &Call,
        answer: &Answer,
        value: &[u8],
        shown: &[(usize, usize)],
    ) -> Result<(u64, u64), BenchError> {
        let record = self.chunk.record(call);
        let key = self.chunk.key(record);
        let wrong = |what| BenchError::wrong(key, what);
        if shown.len() != answer.found {
            return Err(wrong("a value that is shown and not there, or there and not shown"));
        }
        if call.kind == CallKind::GetMissing {
            return match answer.found {
                0 => Ok((1, key.len() as u64)),
                _ => Err(wrong("a key that was never written has a value")),
            };
        }
        let seen = match answer.found {
            0 => None,
            _ => {
                let generation = self.shape.generation(record.rank, value);
                Some(generation.ok_or_else(|| wrong("a value that nobody wrote"))?)
            }
        };
        Ledger::judge(answer.before, answer.after, seen).map_err(wrong)?;
        Ok((1, (key.len() + value.len()) as u64))
    }

    fn check_scan(
        &self,
        call: &Call,
        answer: &Answer,
        mut shown: &[u8],
        lens: &[(usize, usize)],
    ) -> Result<(u64, u64), BenchError> {
        let (rank, ledger) = (self.chunk.record(call).rank, self.ledger);
        let others_write = self.writers == Writers::Others;
        let mut expected = (rank..ledger.records()).filter(|&rank| !ledger.state(rank).absent);
        let mut check = ScanCheck::new(self.shape, ledger, Direction::Forward, others_write);
        for (key_len, value_len) in lens {
            let (key, after) = shown.split_at(*key_len);
            let (value, after) = after.split_at(*value_len);
            check.show(key, value, &mut expected);
            shown = after;
        }
        check.end(answer.found as u64, |seen| {
            seen == call.count as u64 || expected.next().is_none() || others_write
        })
    }
}

/// Looks at every byte.
fn fold(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = words.iter().fold(0, |sum, &word| sum ^ u64::from_le_bytes(word));
    rest.iter().fold(word, |sum, &byte| sum ^ u64::from(byte))
}

/// Checks a scan while it runs: order, values, and (when nobody writes meanwhile) that it shows just the records that are there.
pub(super) struct ScanCheck<'a> {
    shape: RecordShape,
    ledger: &'a Ledger,
    /// Whether it may meet records that the ledger does not know yet.
    others_write: bool,
    direction: Direction,
    last: Option<u64>,
    seen: u64,
    bytes: u64,
    wrong: Option<BenchError>,
}

impl<'a> ScanCheck<'a> {
    pub(super) fn new(
        shape: RecordShape,
        ledger: &'a Ledger,
        direction: Direction,
        others_write: bool,
    ) -> Self {
        ScanCheck { shape, ledger, others_write, direction, last: None, seen: 0, bytes: 0, wrong: None }
    }

    pub(super) fn show(&mut self, key: &[u8], value: &[u8], expected: &mut dyn Iterator<Item = u64>) {
        self.seen += 1;
        self.bytes += (key.len() + value.len()) as u64;
        if self.wrong.is_none()
            && let Err(what) = self.judge(key, value, expected)
        {
            self.wrong = Some(BenchError::wrong(key, what));
        }
    }

    fn judge(
        &mut self,
        key: &[u8],
        value: &[u8],
        expected: &mut dyn Iterator<Item = u64>,
    ) -> Result<(), &'static str> {
        let shape = &self.shape;
        let rank = shape.rank(key).ok_or("a key that nobody wrote")?;
        let generation = shape.generation(rank, value).ok_or("a value that nobody wrote")?;
        let last = self.last.replace(rank);
        let ordered = last.is_none_or(|last| match self.direction {
            Direction::Forward => last < rank,
            Direction::Backward => last > rank,
        });
        if !ordered {
            return Err("a scan out of order");
        }
        if self.others_write {
            return Ok(());
        }
        if expected.next() != Some(rank) {
            return Err("a scan left out a record, or shows one that is deleted");
        }
        if generation != self.ledger.state(rank).generation {
            return Err("a scan shows an older value than was acknowledged");
        }
        Ok(())
    }

    /// The end of the scan, of which the store says that it showed so many; returns how many records and bytes it showed.
    pub(super) fn end(
        self,
        shown: u64,
        complete: impl FnOnce(u64) -> bool,
    ) -> Result<(u64, u64), BenchError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if shown != self.seen || !complete(self.seen) {
            return Err(BenchError::wrong(b"", "a scan ended early or miscounted"));
        }
        Ok((self.seen, self.bytes))
    }
}
