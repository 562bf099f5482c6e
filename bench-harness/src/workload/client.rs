//! One client: does operations to a store, times each, and checks every answer.
//!
//! The clock stops before an answer is checked, so that latencies hold none of the harness's own work but the copying of what a scan of some
//! records shows. Throughput holds the checks, some 20 ns for each record, the same for every store; only that of whole scans does not:
//! they are checked by a further pass, which no figure holds.

use crate::ledger::{Ledger, State};
use crate::meter;
use crate::record::RecordShape;
use crate::store::{Direction, Durability, Store, StoreResult};
use crate::workload::{BenchError, Op};
use std::time::Duration;

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

/// What a pass over the whole store saw. Two passes that saw the same pairs are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    pub records: u64,
    pub bytes: u64,
    /// A sum over all pairs, for which every byte is looked at.
    sum: u64,
}

impl Pass {
    fn see(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.sum = self.sum.wrapping_add(fold(key).rotate_left(1) ^ fold(value));
    }
}

/// A thread's view of the store under test, with its scratch buffers.
pub(super) struct Client<'a> {
    pub store: &'a dyn Store,
    pub ledger: &'a Ledger,
    pub shape: RecordShape,
    pub durability: Durability,
    /// The rank of an insertion index.
    pub rank_of: &'a (dyn Fn(u64) -> u64 + Sync),
    /// Whether another thread writes meanwhile: then a scan may meet records that the ledger does not know yet.
    pub others_write: bool,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub batch: Vec<(u64, Vec<u8>, Vec<u8>)>,
    /// What a scan showed: keys and values one after the other, and their lengths.
    pub shown: Vec<u8>,
    pub shown_lens: Vec<(usize, usize)>,
}

impl Client<'_> {
    /// Does one operation and checks its answer.
    pub(super) fn execute(&mut self, op: Op) -> Result<Done, BenchError> {
        match op {
            Op::Read(rank) => self.read(rank, false),
            Op::ReadMissing(rank) => self.read(rank, true),
            Op::Update(rank) => self.write(rank, false),
            Op::Delete(rank) => self.write(rank, true),
            Op::ReadModifyWrite(rank) => {
                let read = self.read(rank, false)?;
                let written = self.write(rank, false)?;
                Ok(Done {
                    latency: read.latency + written.latency,
                    records: read.records + written.records,
                    bytes: read.bytes + written.bytes,
                })
            }
            Op::Insert { first, stride, count } => self.insert(first, stride, count),
            Op::Scan { rank, count } => self.scan(rank, count),
        }
    }

    fn read(&mut self, rank: u64, missing: bool) -> Result<Done, BenchError> {
        self.shape.key(rank, missing, &mut self.key);
        let before = self.ledger.state(rank);
        let start = meter::now();
        let (value, mut latency) = (&mut self.value, Duration::ZERO);
        // Copying the value out is the checker's need, not the store's work: the clock stops when the store shows it.
        let found = self.store.get(&self.key, &mut |shown| {
            latency = start.elapsed();
            value.clear();
            value.extend_from_slice(shown);
        })?;
        if !found {
            latency = start.elapsed();
        }
        if missing {
            return match found {
                true => Err(self.wrong("a key that was never written has a value")),
                false => Ok(Done { latency, records: 1, bytes: self.key.len() as u64 }),
            };
        }
        let after = self.ledger.state(rank);
        let seen = match found {
            true => Some(self.generation(rank, &self.value)?),
            false => None,
        };
        Ledger::judge(before, after, seen).map_err(|what| self.wrong(what))?;
        let bytes = self.key.len() + if found { self.value.len() } else { 0 };
        Ok(Done { latency, records: 1, bytes: bytes as u64 })
    }

    fn write(&mut self, rank: u64, delete: bool) -> Result<Done, BenchError> {
        let generation = self.ledger.state(rank).generation + 1;
        self.shape.key(rank, false, &mut self.key);
        self.shape.value(rank, generation, &mut self.value);
        let start = meter::now();
        if delete {
            self.store.delete(&self.key, self.durability)?;
        } else {
            self.store.put(&self.key, &self.value, self.durability)?;
        }
        let latency = start.elapsed();
        self.ledger.acknowledge(rank, State { generation, absent: delete });
        let bytes = self.key.len() + if delete { 0 } else { self.value.len() };
        Ok(Done { latency, records: 1, bytes: bytes as u64 })
    }

    fn insert(&mut self, first: u64, stride: u64, count: u64) -> Result<Done, BenchError> {
        let end = self.ledger.records();
        if count == 1 {
            return self.write((self.rank_of)(first), false);
        }
        self.batch.resize_with(count as usize, Default::default);
        let mut used = 0;
        for (slot, index) in self.batch.iter_mut().zip((first..end).step_by(stride as usize)) {
            slot.0 = (self.rank_of)(index);
            self.shape.key(slot.0, false, &mut slot.1);
            self.shape.value(slot.0, self.ledger.state(slot.0).generation + 1, &mut slot.2);
            used += 1;
        }
        let slots = &self.batch[..used];
        let writes: Vec<_> = slots.iter().map(|(_, k, v)| (k.as_slice(), Some(v.as_slice()))).collect();
        let start = meter::now();
        self.store.write_batch(&writes, self.durability)?;
        let latency = start.elapsed();
        for (rank, ..) in slots {
            let generation = self.ledger.state(*rank).generation + 1;
            self.ledger.acknowledge(*rank, State { generation, absent: false });
        }
        let bytes = slots.iter().map(|(_, k, v)| (k.len() + v.len()) as u64).sum();
        Ok(Done { latency, records: used as u64, bytes })
    }

    fn scan(&mut self, rank: u64, count: u64) -> Result<Done, BenchError> {
        self.shape.key(rank, false, &mut self.key);
        let (shown, lens) = (&mut self.shown, &mut self.shown_lens);
        shown.clear();
        lens.clear();
        let start = meter::now();
        let counted = self.store.scan_from(&self.key, count as usize, &mut |key, value| {
            shown.extend_from_slice(key);
            shown.extend_from_slice(value);
            lens.push((key.len(), value.len()));
        });
        let latency = start.elapsed();
        let mut expected = (rank..self.ledger.records()).filter(|&r| !self.ledger.state(r).absent);
        let mut check = ScanCheck::new(self, Direction::Forward);
        let mut rest = self.shown.as_slice();
        for (key_len, value_len) in &self.shown_lens {
            let (key, after) = rest.split_at(*key_len);
            let (value, after) = after.split_at(*value_len);
            check.show(key, value, &mut expected);
            rest = after;
        }
        check.end(counted.map(|n| n as u64), latency, |seen| {
            seen == count || expected.next().is_none() || self.others_write
        })
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
        let mut check = ScanCheck::new(self, direction);
        let shown = self.store.scan_all(direction, &mut |key, value| {
            pass.see(key, value);
            check.show(key, value, expected);
        });
        check.end(shown, Duration::ZERO, |_| expected.next().is_none())?;
        Ok(pass)
    }

    fn generation(&self, rank: u64, value: &[u8]) -> Result<u32, BenchError> {
        self.shape.generation(rank, value).ok_or_else(|| self.wrong("a value that nobody wrote"))
    }

    fn wrong(&self, what: &str) -> BenchError {
        BenchError::wrong(&self.key, what)
    }
}

/// Looks at every byte.
fn fold(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = words.iter().fold(0, |sum, &word| sum ^ u64::from_le_bytes(word));
    rest.iter().fold(word, |sum, &byte| sum ^ u64::from(byte))
}

/// Checks a scan while it runs: order, values, and (when nobody writes meanwhile) that it shows just the records that are there.
struct ScanCheck<'a> {
    client: &'a Client<'a>,
    direction: Direction,
    last: Option<u64>,
    seen: u64,
    bytes: u64,
    wrong: Option<BenchError>,
}

impl<'a> ScanCheck<'a> {
    fn new(client: &'a Client<'a>, direction: Direction) -> Self {
        ScanCheck { client, direction, last: None, seen: 0, bytes: 0, wrong: None }
    }

    fn show(&mut self, key: &[u8], value: &[u8], expected: &mut dyn Iterator<Item = u64>) {
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
        let shape = &self.client.shape;
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
        if self.client.others_write {
            return Ok(());
        }
        if expected.next() != Some(rank) {
            return Err("a scan left out a record, or shows one that is deleted");
        }
        if generation != self.client.ledger.state(rank).generation {
            return Err("a scan shows an older value than was acknowledged");
        }
        Ok(())
    }

    fn end(
        self,
        shown: StoreResult<u64>,
        latency: Duration,
        complete: impl FnOnce(u64) -> bool,
    ) -> Result<Done, BenchError> {
        let shown = shown?;
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if shown != self.seen || !complete(self.seen) {
            return Err(BenchError::wrong(b"", "a scan ended early or miscounted"));
        }
        Ok(Done { latency, records: self.seen, bytes: self.bytes })
    }
}
