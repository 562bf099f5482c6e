//! One client: does operations to a store in chunks, times each, and checks every answer.
//!
//! The operations of a chunk are made ready first: keys and values are written out. Then they are done, one directly after the other. Then
//! the answers are checked (`check.rs`). So what the harness does for an operation is not done between two of them, and one reading of the
//! clock stands there, the end of one and the beginning of the next. A latency holds beside the store's work: that reading, the copying
//! of what the store shows, and, where somebody writes, two looks into the ledger.
//!
//! A value is made ready for the generation after the one acknowledged then. Where the chunk itself writes the record again before, it is made
//! anew when its turn comes, outside of the latency.
//!
//! Bounds: a chunk has [`CHUNK_OPS`] operations at most, and takes none once its keys, its values and what its reads may show have
//! [`CHUNK_BYTES`]; what is beyond is one operation. So a client has well below a megabyte, unless one operation is larger.

use crate::ledger::{Ledger, State};
use crate::meter;
use crate::record::RecordShape;
use crate::store::{BatchWrite, Direction, Durability, Store};
use crate::workload::check::{Pass, ScanCheck};
use crate::workload::{BenchError, Op};
use std::ops::Range;
use std::time::Duration;

/// Most operations of a chunk.
const CHUNK_OPS: usize = 1024;
/// With so many bytes, made ready and expected, a chunk takes no more operations.
const CHUNK_BYTES: usize = 256 << 10;

/// Whose writes a client has to reckon with while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    Nobody,
    Itself,
    /// It and others, or others only: then a scan may meet records that the ledger does not know yet.
    Others,
}

/// What one operation did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// How long the store took.
    pub latency: Duration,
    /// Records read or written.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Done {
    /// Both as one operation.
    pub(super) fn and(self, other: Done) -> Done {
        Done {
            latency: self.latency + other.latency,
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// A thread's view of the store under test, with its chunk.
pub(super) struct Client<'a> {
    pub store: &'a dyn Store,
    pub ledger: &'a Ledger,
    pub shape: RecordShape,
    pub durability: Durability,
    /// The rank of an insertion index.
    pub rank_of: &'a (dyn Fn(u64) -> u64 + Sync),
    pub writers: Writers,
    pub chunk: Chunk,
}

/// Operations that are made ready, and what came of them. Buffers are used again by the next chunk.
#[derive(Default)]
pub(super) struct Chunk {
    ops: usize,
    pub(super) calls: Vec<Call>,
    pub(super) records: Vec<Record>,
    /// Keys and values of the records.
    bytes: Vec<u8>,
    /// Bytes that reads are expected to show.
    expected_bytes: usize,
    pub(super) answers: Vec<Answer>,
    /// What reads showed: keys (of scans only) and values one after the other, and their lengths.
    pub(super) shown: Vec<u8>,
    pub(super) shown_lens: Vec<(usize, usize)>,
}

/// One call to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub kind: CallKind,
    /// The index of its record; the first one of a batch.
    first: usize,
    /// Records of a batch, most that a scan shows, else one.
    pub count: usize,
    /// Whether it is one operation with the call before it.
    pub joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Get,
    GetMissing,
    Put,
    Delete,
    WriteBatch,
    Scan,
}

/// A record of a call, made ready.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub rank: u64,
    /// What was acknowledged when it was made ready.
    pub state: State,
    /// Where its key begins, and where its value does and ends.
    at: usize,
    value: Range<usize>,
}

/// What came of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub latency: Duration,
    /// What was acknowledged of the record just before and just after the call.
    pub before: State,
    pub after: State,
    /// How many records the store says it found or showed.
    pub found: usize,
    /// How much of [`Chunk::shown`] and of its lengths is there when the call returns.
    pub shown: usize,
    pub shown_lens: usize,
    /// Bytes of keys and values written.
    pub written: usize,
}

impl Chunk {
    /// Whether the chunk takes no more operations.
    pub(super) fn is_full(&self) -> bool {
        self.ops >= CHUNK_OPS || self.bytes.len() + self.expected_bytes >= CHUNK_BYTES
    }

    pub(super) fn record(&self, call: &Call) -> &Record {
        &self.records[call.first]
    }

    pub(super) fn key(&self, record: &Record) -> &[u8] {
        &self.bytes[record.at..record.value.start]
    }

    pub(super) fn clear(&mut self) {
        self.ops = 0;
        self.calls.clear();
        self.records.clear();
        self.bytes.clear();
        self.expected_bytes = 0;
        self.answers.clear();
        self.shown.clear();
        self.shown_lens.clear();
    }
}

impl Client<'_> {
    /// Does one operation and checks its answer.
    pub(super) fn execute(&mut self, op: Op) -> Result<(), BenchError> {
        self.prepare(op);
        self.perform()?;
        self.check(|_| ())
    }

    /// Whether what is ready is to be done before more is made ready. A scan is checked against the ledger as it is then, so where the client
    /// itself writes, a scan is the last of its chunk.
    pub(super) fn is_full(&self) -> bool {
        let ends_with_scan = || self.chunk.calls.last().is_some_and(|call| call.kind == CallKind::Scan);
        self.chunk.is_full() || (self.writers != Writers::Nobody && ends_with_scan())
    }

    /// Makes an operation ready.
    pub(super) fn prepare(&mut self, op: Op) {
        self.chunk.ops += 1;
        match op {
            Op::Read(rank) => self.call(CallKind::Get, rank, 1, false),
            Op::ReadMissing(rank) => self.call(CallKind::GetMissing, rank, 1, false),
            Op::Update(rank) => self.call(CallKind::Put, rank, 1, false),
            Op::Delete(rank) => self.call(CallKind::Delete, rank, 1, false),
            Op::Scan { rank, count } => self.call(CallKind::Scan, rank, count as usize, false),
            Op::ReadModifyWrite(rank) => {
                self.call(CallKind::Get, rank, 1, false);
                self.call(CallKind::Put, rank, 1, true);
            }
            Op::Insert { first, count: 1, .. } => self.call(CallKind::Put, (self.rank_of)(first), 1, false),
            Op::Insert { first, stride, count } => {
                let at = self.chunk.records.len();
                let indices = (first..self.ledger.records()).step_by(stride as usize).take(count as usize);
                indices.for_each(|index| self.record((self.rank_of)(index), false, true));
                let count = self.chunk.records.len() - at;
                self.chunk.calls.push(Call { kind: CallKind::WriteBatch, first: at, count, joined: false });
            }
        }
    }

    fn call(&mut self, kind: CallKind, rank: u64, count: usize, joined: bool) {
        self.chunk.calls.push(Call { kind, first: self.chunk.records.len(), count, joined });
        self.record(rank, kind == CallKind::GetMissing, kind == CallKind::Put);
        if matches!(kind, CallKind::Get | CallKind::Scan) {
            self.chunk.expected_bytes += count * (self.shape.key_bytes + self.shape.value_bytes);
        }
    }

    fn record(&mut self, rank: u64, missing: bool, with_value: bool) {
        let Chunk { bytes, records, .. } = &mut self.chunk;
        let state = self.ledger.state(rank);
        let at = bytes.len();
        self.shape.append_key(rank, missing, bytes);
        let value = bytes.len();
        if with_value {
            self.shape.append_value(rank, state.generation + 1, bytes);
        }
        records.push(Record { rank, state, at, value: value..bytes.len() });
    }

    /// Does what is ready.
    pub(super) fn perform(&mut self) -> Result<Duration, BenchError> {
        let Chunk { calls, records, bytes, answers, shown, shown_lens, .. } = &mut self.chunk;
        let (ledger, watches) = (self.ledger, self.writers != Writers::Nobody);
        let (mut made_anew, mut batch): (Vec<u8>, Vec<BatchWrite<'_>>) = (Vec::new(), Vec::new());
        answers.reserve(calls.len());
        let begin = meter::now();
        let mut last = begin;
        for call in calls {
            let record = &records[call.first];
            let key = &bytes[record.at..record.value.start];
            let (mut before, mut after) = (record.state, record.state);
            let (mut found, mut written) = (0, 0);
            match call.kind {
                CallKind::Get | CallKind::GetMissing => {
                    if watches {
                        before = ledger.state(record.rank);
                    }
                    let there = self.store.get(key, &mut |value| {
                        shown.extend_from_slice(value);
                        shown_lens.push((0, value.len()));
                    })?;
                    found = usize::from(there);
                    if watches {
                        after = ledger.state(record.rank);
                    }
                }
                CallKind::Put => {
                    let generation = ledger.state(record.rank).generation + 1;
                    let mut value = &bytes[record.value.clone()];
                    if generation != record.state.generation + 1 {
                        self.shape.value(record.rank, generation, &mut made_anew);
                        value = &made_anew;
                        last = meter::now();
                    }
                    self.store.put(key, value, self.durability)?;
                    ledger.acknowledge(record.rank, State { generation, absent: false });
                    written = key.len() + value.len();
                }
                CallKind::Delete => {
                    let generation = ledger.state(record.rank).generation + 1;
                    self.store.delete(key, self.durability)?;
                    ledger.acknowledge(record.rank, State { generation, absent: true });
                    written = key.len();
                }
                // Of inserts only, so that no record of it was written before in this chunk.
                CallKind::WriteBatch => {
                    let records = &records[call.first..][..call.count];
                    batch.clear();
                    batch.extend(records.iter().map(|record| {
                        (&bytes[record.at..record.value.start], Some(&bytes[record.value.clone()]))
                    }));
                    last = meter::now();
                    self.store.write_batch(&batch, self.durability)?;
                    for Record { rank, state, .. } in records {
                        ledger.acknowledge(*rank, State { generation: state.generation + 1, absent: false });
                    }
                    written = batch.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len)).sum();
                }
                CallKind::Scan => {
                    found = self.store.scan_from(key, call.count, &mut |key, value| {
                        shown.extend_from_slice(key);
                        shown.extend_from_slice(value);
                        shown_lens.push((key.len(), value.len()));
                    })?;
                }
            }
            let now = meter::now();
            answers.push(Answer {
                latency: now - last,
                before,
                after,
                found,
                shown: shown.len(),
                shown_lens: shown_lens.len(),
                written,
            });
            last = now;
        }
        Ok(last - begin)
    }

    /// Goes through the whole store and looks at every byte, as fast as the store shows them. What it saw is for [`Client::check_all`] to
    /// confirm when no clock runs: a check of every record takes longer than the fastest scan.
    pub(super) fn scan_all(&self, direction: Direction) -> Result<(Duration, Pass), BenchError> {
        let mut pass = Pass::default();
        let start = meter::now();
        let shown = self.store.scan_all(direction, &mut |key, value| pass.see(key, value))?;
        let latency = start.elapsed();
        match shown == pass.records {
            true => Ok((latency, pass)),
            false => Err(BenchError::wrong(b"", "a scan that miscounted")),
        }
    }

    /// Goes through the whole store, at rest, and checks that it shows just what was acknowledged.
    pub(super) fn check_all(&self, direction: Direction) -> Result<Pass, BenchError> {
        let ledger = self.ledger;
        let present = |rank: &u64| !ledger.state(*rank).absent;
        let mut up = (0..ledger.records()).filter(present);
        let mut down = (0..ledger.records()).rev().filter(present);
        let expected: &mut dyn Iterator<Item = u64> = match direction {
            Direction::Forward => &mut up,
            Direction::Backward => &mut down,
        };
        let mut pass = Pass::default();
        let mut check = ScanCheck::new(self.shape, ledger, direction, self.writers == Writers::Others);
        let shown = self.store.scan_all(direction, &mut |key, value| {
            pass.see(key, value);
            check.show(key, value, expected);
        })?;
        check.end(shown, |_| expected.next().is_none())?;
        Ok(pass)
    }
}
