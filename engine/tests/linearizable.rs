//! Every key is a register: what threads saw of it can be put into one order that agrees with time.
//!
//! Threads put, get and delete a few keys, each call noted with its begin and end on one counter. For each key a search (Wing and Gong, "Testing and
//! verifying concurrent objects", 1993, with Lowe's memory of states seen) then looks for an order of the calls that a plain variable could have
//! had. Linearizability is local, so keys that pass alone pass together. `TERRACE_STRESS_SECONDS` makes it run longer.
#![expect(clippy::disallowed_methods, reason = "says how long to run")]

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use terrace::{Db, Durability, WriteBatch};

const THREADS: usize = 4;
const KEYS: usize = 6;
/// Calls of a thread in a round.
const CALLS: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// The value after it: `None` for a delete.
    Write(Option<u64>),
    /// What it saw.
    Read(Option<u64>),
}

/// A call on one key, from the tick before it to the tick after it.
#[derive(Clone, Copy, Debug)]
struct Noted {
    begin: u64,
    end: u64,
    call: Call,
}

/// Which calls are done, and the value then.
type State = (Vec<bool>, Option<u64>);

/// Whether there is an order of the calls, each somewhere between its begin and its end, in which every read sees
/// the write before it. `first` is the value before all of them.
fn is_linearizable(history: &[Noted], first: Option<u64>) -> bool {
    let mut history = history.to_vec();
    history.sort_by_key(|noted| noted.begin);
    let mut done = vec![false; history.len()];
    let mut seen: HashSet<State> = HashSet::new();
    // What was tried: the call, and the least call not done and the value before it. All calls before `at` are done.
    let mut stack: Vec<(usize, usize, Option<u64>)> = Vec::new();
    let (mut at, mut value, mut next) = (0, first, 0);
    loop {
        while at < history.len() && done[at] {
            at += 1;
        }
        if at == history.len() {
            return true;
        }
        let first_end = history[at..].iter().zip(&done[at..]).filter(|(_, done)| !**done);
        let first_end = first_end.map(|(noted, _)| noted.end).take(THREADS + 1).min().unwrap_or(u64::MAX);
        let candidate = (next.max(at)..history.len())
            .take_while(|&index| history[index].begin < first_end)
            .find(|&index| !done[index] && may_follow(history[index].call, value));
        if let Some(index) = candidate {
            stack.push((index, at, value));
            done[index] = true;
            if let Call::Write(written) = history[index].call {
                value = written;
            }
            if seen.insert((done.clone(), value)) {
                next = at;
                continue;
            }
        }
        // Nothing fits, or the state was tried before: undo the last call and try the one after it.
        let Some((index, before_at, before_value)) = stack.pop() else { return false };
        done[index] = false;
        (at, value, next) = (before_at, before_value, index + 1);
    }
}

fn may_follow(call: Call, value: Option<u64>) -> bool {
    match call {
        Call::Write(_) => true,
        Call::Read(saw) => saw == value,
    }
}

fn open(dir: &std::path::Path) -> Db {
    Db::builder(dir)
        .memtable_bytes(8 << 10)
        .table_bytes(8 << 10)
        .block_bytes(256)
        .log_preallocate_bytes(16 << 10)
        .cache_bytes(32 << 10)
        .open()
        .unwrap()
}

fn key(number: usize) -> String {
    format!("key {number}")
}

fn value_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// What one thread does to a database, and when.
struct Client<'a> {
    db: &'a Db,
    ticks: &'a AtomicU64,
    random: StdRng,
    noted: Vec<(usize, Noted)>,
}

impl Client<'_> {
    fn note(&mut self, keys: &[usize], call: impl FnOnce(&Db) -> Vec<Call>) {
        let begin = self.ticks.fetch_add(1, Ordering::SeqCst);
        let calls = call(self.db);
        let end = self.ticks.fetch_add(1, Ordering::SeqCst);
        let noted = keys.iter().zip(calls).map(|(&key, call)| (key, Noted { begin, end, call }));
        self.noted.extend(noted);
    }

    fn step(&mut self) {
        let number = self.random.random_range(0..KEYS);
        // A value is written once in a run, so that a read tells which write it saw. Most are small; some are inserted outside of the lead.
        let value = self.random.next_u64();
        let pad = if value.is_multiple_of(64) { 66 << 10 } else { 40 };
        let bytes = || [&value.to_le_bytes()[..], &vec![7; pad]].concat();
        match self.random.random_range(0..100) {
            0..40 => self.note(&[number], |db| {
                let found = db.get(key(number)).unwrap();
                vec![Call::Read(found.map(|bytes| value_of(&bytes)))]
            }),
            40..50 => self.note(&[number], |db| {
                let found = db.range(key(number)..=key(number)).next();
                vec![Call::Read(found.map(|kv| value_of(&kv.unwrap().1)))]
            }),
            50..60 => self.note(&[number], |db| {
                let snapshot = db.snapshot();
                vec![Call::Read(snapshot.get(key(number)).unwrap().map(|bytes| value_of(&bytes)))]
            }),
            60..65 => self.note(&[number], |db| {
                db.delete(key(number)).unwrap();
                vec![Call::Write(None)]
            }),
            65..75 => self.note(&[number, (number + 1) % KEYS], |db| {
                let mut batch = WriteBatch::new();
                batch.put(key(number), bytes()).delete(key((number + 1) % KEYS));
                db.write_with(batch, Durability::PageCache).unwrap();
                vec![Call::Write(Some(value)), Call::Write(None)]
            }),
            _ => self.note(&[number], |db| {
                db.put(key(number), bytes()).unwrap();
                vec![Call::Write(Some(value))]
            }),
        }
    }
}

/// One round of calls from all threads, a compaction now and then beside them; how many calls were checked.
fn round(db: &Db, seed: u64) -> usize {
    let first: Vec<_> =
        (0..KEYS).map(|number| db.get(key(number)).unwrap().map(|bytes| value_of(&bytes))).collect();
    let ticks = AtomicU64::new(0);
    let mut noted = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..THREADS)
            .map(|thread| {
                let random = StdRng::seed_from_u64(seed * THREADS as u64 + thread as u64);
                let mut client = Client { db, ticks: &ticks, random, noted: Vec::new() };
                scope.spawn(move || {
                    for call in 0..CALLS {
                        client.step();
                        if thread == 0 && call % 40 == 39 {
                            if seed.is_multiple_of(2) { db.flush().unwrap() } else { db.compact().unwrap() }
                        }
                    }
                    client.noted
                })
            })
            .collect();
        for client in clients {
            noted.extend(client.join().unwrap());
        }
    });
    for (number, first) in first.into_iter().enumerate() {
        let history: Vec<Noted> =
            noted.iter().filter(|(key, _)| *key == number).map(|(_, noted)| *noted).collect();
        assert!(is_linearizable(&history, first), "{} of round {seed}: {first:?}, {history:?}", key(number));
    }
    noted.len()
}

#[test]
fn every_key_is_linearizable() {
    let seconds =
        std::env::var("TERRACE_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let until = Instant::now() + Duration::from_secs(seconds);
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (mut rounds, mut calls) = (0, 0);
    while rounds < 20 || Instant::now() < until {
        calls += round(&db, rounds);
        rounds += 1;
    }
    let stats = db.stats();
    println!(
        "{rounds} rounds, {calls} calls checked, {} flushes, {} merges",
        stats.flushes, stats.compactions
    );
    assert!(stats.flushes > 0 && stats.compactions > 0, "nothing went on below: {stats}");
}

/// The checker can tell: `(begin, end, call)`.
fn check(calls: &[(u64, u64, Call)]) -> bool {
    let history: Vec<_> = calls.iter().map(|&(begin, end, call)| Noted { begin, end, call }).collect();
    is_linearizable(&history, None)
}

#[test]
fn the_checker_refuses_histories_that_no_register_has() {
    use Call::{Read, Write};
    assert!(check(&[(0, 1, Write(Some(1))), (2, 3, Read(Some(1)))]));
    // Stale, from nowhere, lost.
    assert!(!check(&[(0, 1, Write(Some(1))), (2, 3, Write(Some(2))), (4, 5, Read(Some(1)))]));
    assert!(!check(&[(0, 1, Write(Some(1))), (2, 3, Read(Some(7)))]));
    assert!(!check(&[(0, 1, Write(Some(1))), (2, 3, Read(None))]));
    // Calls that overlap may go either way round, but not both.
    assert!(check(&[(0, 9, Write(Some(1))), (1, 2, Read(None)), (3, 4, Read(Some(1)))]));
    assert!(!check(&[(0, 9, Write(Some(1))), (1, 2, Read(Some(1))), (3, 4, Read(None))]));
    let both = |second, third| {
        check(&[
            (0, 9, Write(Some(1))),
            (1, 8, Write(Some(2))),
            (10, 11, Read(Some(second))),
            (12, 13, Read(Some(third))),
        ])
    };
    assert!(both(1, 1) && both(2, 2));
    assert!(!both(1, 2) && !both(2, 1));
    // It must be willing to undo: the first write that fits first is wrong here.
    assert!(check(&[
        (0, 20, Write(Some(1))),
        (1, 19, Write(Some(2))),
        (2, 18, Write(Some(3))),
        (3, 4, Read(Some(3))),
        (5, 6, Read(Some(1))),
        (7, 8, Read(Some(2))),
    ]));
}
