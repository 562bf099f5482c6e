//! Does again what a trace says was asked of a database, to any store.
//!
//! A trace has no keys and no values. So a key is made of the place and the hash that it has there: the same key for the same hash, in the same order, of the same
//! length (but of 16 bytes at least). A value is made of hash and generation, of the same length, its second half zeros; so every answer can be checked against what
//! was written, as in all runs of this harness.
//!
//! *Before*: keys that are read before they are written are loaded first, as are as many others as the database's tables held; none of this is
//! measured. *Meanwhile*: one client does the operations in their order, as fast as the store lets it or at their times. A trace sampled at a rate of r is
//! the work of a database of r times the size; scans are as long as they were.

mod command;

use crate::meter::{self, Latency, Progress, Usage};
use crate::random::mix;
use crate::store::{Durability, Store};
use crate::workload::{BenchError, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::time::Duration;
use terrace_trace::{Facts, Operation, Record, Report, TraceReader};

pub use command::main;

/// When operations are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Each as soon as the one before is done.
    #[default]
    Full,
    /// Each at its time, or when the one before is done if that is later.
    Real,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
struct Key {
    place: u64,
    hash: u64,
    bytes: u32,
    /// Generation and length of its value, if it has one.
    value: Option<(u32, u32)>,
    generation: u32,
}

/// A trace, ready to be done.
#[derive(Debug)]
pub struct Replay {
    /// Key, time and what is asked.
    operations: Vec<(u32, u64, Operation)>,
    keys: Vec<Key>,
    /// Lengths of the values of keys that must be there before.
    initial: BTreeMap<u32, u32>,
    /// What the reader has met.
    pub report: Report,
    /// The share of keys that is in the trace.
    pub rate: f64,
    live_bytes: u64,
}

/// The shortest key: its place and its hash.
const KEY_BYTES_MIN: usize = 16;

impl Replay {
    /// Reads a trace.
    ///
    /// # Errors
    ///
    /// Those of the reader. A torn tail is no error.
    pub fn read(source: impl Read) -> Result<Self, terrace_trace::Error> {
        let mut reader = TraceReader::new(source)?;
        let header = *reader.header();
        let mut replay = Replay {
            operations: Vec::new(),
            keys: Vec::new(),
            initial: BTreeMap::new(),
            report: Report::default(),
            rate: header.sampling.rate(),
            live_bytes: 0,
        };
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let mut written = Vec::new();
        while let Some(record) = reader.next().transpose()? {
            let number = *numbers.entry(record.key_hash).or_insert_with(|| {
                written.push(false);
                replay.add_key(&record)
            });
            if let Operation::Get { value_bytes } = record.operation
                && !written[number as usize]
            {
                replay.initial.entry(number).or_insert(value_bytes);
            }
            written[number as usize] |= record.operation.writes();
            replay.operations.push((number, record.at_micros, record.operation));
        }
        replay.report = reader.report();
        replay.add_fillers(&header.facts);
        Ok(replay)
    }

    fn add_key(&mut self, record: &Record) -> u32 {
        let Record { place, key_hash: hash, key_bytes: bytes, .. } = *record;
        self.keys.push(Key { place, hash, bytes, value: None, generation: 0 });
        (self.keys.len() - 1) as u32
    }

    /// Keys that nobody asks for, among the others: what the tables held and the trace did not touch.
    fn add_fillers(&mut self, facts: &Facts) {
        let known = self.keys.len() as u64;
        let wanted = (facts.entries as f64 * self.rate) as u64;
        let entry_bytes = facts.raw_bytes / facts.entries.max(1);
        for filler in self.initial.len() as u64..wanted {
            // Beside a key of the trace, or anywhere if it has none.
            let hash = mix(filler.wrapping_add(0x9e37_79b9));
            let place = match known {
                0 => mix(hash),
                known => self.keys[(hash % known) as usize].place,
            };
            let record =
                Record { place, key_hash: hash, key_bytes: KEY_BYTES_MIN as u32, ..Record::default() };
            let number = self.add_key(&record);
            self.initial.insert(number, entry_bytes.saturating_sub(KEY_BYTES_MIN as u64) as u32);
        }
    }

    /// Operations in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Keys that are loaded before.
    #[must_use]
    pub fn initial_keys(&self) -> u64 {
        self.initial.len() as u64
    }

    /// Loads what was there before the trace, and waits until the store is at rest.
    ///
    /// # Errors
    ///
    /// The store's, unchanged.
    pub fn load(&mut self, store: &dyn Store, progress: &Progress) -> Result<(), BenchError> {
        progress.begin("load", self.initial_keys());
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (number, value_bytes) in std::mem::take(&mut self.initial) {
            self.write(number, Some(value_bytes), &mut key, &mut value);
            store.put(&key, &value, Durability::PageCache)?;
            progress.add(1);
        }
        progress.end();
        store.flush()?;
        store.wait_idle()?;
        Ok(())
    }

    /// Does the operations and measures; a replay is done once.
    ///
    /// # Errors
    ///
    /// The store's, or [`BenchError::Wrong`] at the first wrong answer.
    pub fn run(
        mut self,
        store: &dyn Store,
        pace: Pace,
        durability: Durability,
        progress: &Progress,
    ) -> Result<Outcome, BenchError> {
        progress.begin("replay", self.operations.len() as u64);
        let stall_before = store.stats().stall;
        let (usage, start) = (Usage::begin(), meter::now());
        let (mut latency, mut records, mut bytes) = (Latency::default(), 0, 0);
        let mut scratch = Scratch::default();
        for (number, at_micros, operation) in std::mem::take(&mut self.operations) {
            if pace == Pace::Real {
                wait_until(start.elapsed(), Duration::from_micros(at_micros));
            }
            let done = self.one(store, number, operation, durability, &mut scratch)?;
            latency.record(done.0);
            (records, bytes) = (records + done.1, bytes + done.2);
            progress.add(1);
        }
        let elapsed = start.elapsed();
        progress.end();
        let drain_start = meter::now();
        store.flush()?;
        store.wait_idle()?;
        let (drain, stats) = (drain_start.elapsed(), store.stats());
        Ok(Outcome {
            ops: latency.count(),
            records,
            bytes,
            elapsed,
            drain,
            latency,
            usage: usage.end(),
            stall: stats.stall.map(|after| after.saturating_sub(stall_before.unwrap_or_default())),
            stats,
            background_ops: 0,
            live_bytes: self.live_bytes,
            warm: false,
            input_table_bytes: None,
        })
    }

    /// Does one operation: its latency, and how many records and bytes it read or wrote.
    fn one(
        &mut self,
        store: &dyn Store,
        number: u32,
        operation: Operation,
        durability: Durability,
        scratch: &mut Scratch,
    ) -> Result<(Duration, u64, u64), BenchError> {
        let Scratch { key, value, shown } = scratch;
        match operation {
            Operation::Put { value_bytes } => {
                self.write(number, Some(value_bytes), key, value);
                let start = meter::now();
                store.put(key, value, durability)?;
                Ok((start.elapsed(), 1, (key.len() + value.len()) as u64))
            }
            Operation::Delete => {
                self.write(number, None, key, value);
                let start = meter::now();
                store.delete(key, durability)?;
                Ok((start.elapsed(), 1, key.len() as u64))
            }
            Operation::Get { .. } | Operation::GetAbsent => {
                self.keys[number as usize].name(key);
                let start = meter::now();
                shown.clear();
                let found = store.get(key, &mut |value| shown.extend_from_slice(value))?;
                let latency = start.elapsed();
                let expected = self.keys[number as usize].value(value);
                if found != expected || (found && shown != value) {
                    return Err(BenchError::wrong(key, "a look-up shows something else than was written"));
                }
                Ok((latency, 1, (key.len() + shown.len()) as u64))
            }
            Operation::Scan { steps } => {
                self.keys[number as usize].name(key);
                let (mut last, mut in_order, mut bytes) = (Vec::new(), true, 0);
                let start = meter::now();
                let counted = store.scan_from(key, steps as usize, &mut |key, value| {
                    in_order &= last.as_slice() < key;
                    last.clear();
                    last.extend_from_slice(key);
                    bytes += (key.len() + value.len()) as u64;
                })?;
                let latency = start.elapsed();
                if !in_order || counted > steps as usize {
                    return Err(BenchError::wrong(key, "a scan out of order, or longer than asked for"));
                }
                Ok((latency, counted as u64, bytes))
            }
        }
    }

    /// Makes a key and its next value (`None`: none), and remembers it.
    fn write(&mut self, number: u32, value_bytes: Option<u32>, name: &mut Vec<u8>, value: &mut Vec<u8>) {
        let key = &mut self.keys[number as usize];
        key.name(name);
        let held = |key: &Key| key.value.map_or(0, |(_, bytes)| name.len() as u64 + u64::from(bytes));
        self.live_bytes -= held(key);
        key.generation = key.generation.wrapping_add(1);
        key.value = value_bytes.map(|bytes| (key.generation, bytes));
        self.live_bytes += held(key);
        key.value(value);
    }
}

#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
    shown: Vec<u8>,
}

impl Key {
    /// Its bytes: place, hash, and dots up to its length.
    fn name(&self, name: &mut Vec<u8>) {
        name.clear();
        name.extend(self.place.to_be_bytes());
        name.extend(self.hash.to_be_bytes());
        name.resize((self.bytes as usize).max(KEY_BYTES_MIN), b'.');
    }

    /// Its value now, if it has one.
    fn value(&self, value: &mut Vec<u8>) -> bool {
        value.clear();
        let Some((generation, bytes)) = self.value else { return false };
        let mut word = self.hash ^ u64::from(generation).rotate_left(32);
        while value.len() * 2 < bytes as usize {
            word = mix(word.wrapping_add(1));
            value.extend(word.to_le_bytes());
        }
        value.resize(bytes as usize, 0);
        true
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that keeps the pace of a trace waits by the machine's clock"
)]
fn wait_until(now: Duration, due: Duration) {
    if let Some(left) = due.checked_sub(now).filter(|left| !left.is_zero()) {
        std::thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryFactory, Settings, StoreFactory, factories};
    use terrace_trace::{Header, TraceWriter};

    const SMALL: Settings = Settings { memtable_bytes: 16 << 10, cache_bytes: 1 << 20, ..Settings::STOCK };

    fn record(n: u64, at_micros: u64, operation: Operation) -> Record {
        Record { at_micros, operation, key_hash: mix(n), place: n << 20, key_bytes: 16 + (n % 8) as u32 }
    }

    fn trace(facts: Facts) -> Vec<u8> {
        let mut writer = TraceWriter::new(&Header { facts, ..Header::default() });
        for n in 0..3_000_u64 {
            let key = mix(n) % 500;
            let operation = match n % 6 {
                0 | 1 => Operation::Put { value_bytes: (n % 90) as u32 },
                2 => Operation::Get { value_bytes: 40 },
                3 => Operation::GetAbsent,
                4 => Operation::Delete,
                _ => Operation::Scan { steps: 12 },
            };
            writer.add(&record(key, n * 10, operation));
        }
        writer.finish(Facts::default())
    }

    fn replayed(factory: &dyn StoreFactory, trace: &[u8], pace: Pace) -> Outcome {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = factory.open(dir.path(), &SMALL).expect("an empty folder opens");
        let mut replay = Replay::read(trace).expect("a whole trace");
        let progress = Progress::new(true);
        replay.load(&*store, &progress).expect("a load succeeds");
        replay.run(&*store, pace, Durability::PageCache, &progress).expect("right answers")
    }

    #[test]
    fn any_store_gives_the_same_answers_to_a_trace() {
        let facts = Facts { entries: 2_000, raw_bytes: 200_000, file_bytes: 0 };
        let trace = trace(facts);
        let expected = replayed(&MemoryFactory::default(), &trace, Pace::Full);
        assert!(expected.ops == 3_000 && expected.records > 3_000 && expected.live_bytes > 150_000);
        let all = factories();
        for factory in [&all[0], &all[all.len() / 2]] {
            let found = replayed(&**factory, &trace, Pace::Full);
            let of = |outcome: &Outcome| (outcome.ops, outcome.records, outcome.bytes, outcome.live_bytes);
            assert_eq!(of(&found), of(&expected));
        }
    }

    #[test]
    fn keys_keep_their_order_and_what_is_read_first_is_there() {
        let mut writer = TraceWriter::new(&Header::default());
        writer.add(&record(9, 0, Operation::Get { value_bytes: 33 }));
        writer.add(&record(4, 1, Operation::Put { value_bytes: 1 }));
        writer.add(&record(0, 2, Operation::Scan { steps: 9 }));
        let trace = writer.finish(Facts::default());
        let replay = Replay::read(trace.as_slice()).expect("a whole trace");
        assert_eq!((replay.len(), replay.initial_keys()), (3, 1));
        let mut names = [Vec::new(), Vec::new()];
        replay.keys[0].name(&mut names[0]);
        replay.keys[1].name(&mut names[1]);
        assert!(names[0] > names[1] && names[0].len() == 17 && names[1].len() == 20);
        let outcome = replayed(&MemoryFactory::default(), &trace, Pace::Full);
        assert_eq!((outcome.records, outcome.live_bytes), (1 + 1 + 2, 17 + 33 + 20 + 1));
    }

    #[test]
    fn the_real_pace_takes_as_long_as_the_trace() {
        let mut writer = TraceWriter::new(&Header::default());
        (0..5).for_each(|n| writer.add(&record(n, n * 5_000, Operation::Delete)));
        let trace = writer.finish(Facts::default());
        assert!(replayed(&MemoryFactory::default(), &trace, Pace::Real).elapsed >= Duration::from_millis(20));
    }
}
