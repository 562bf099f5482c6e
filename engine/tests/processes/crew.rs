//! Several threads that write at once, one that flushes, compacts and reads; killed at a random moment, again and again.
//!
//! Each writer numbers its batches. Batch n puts a value of its own length under `n` in two keyspaces and removes what batch n - [`KEPT`] put, so
//! that the numbers found after a kill must be an unbroken window in both keyspaces: a lost batch leaves a gap, a torn one differs
//! between the keyspaces, a resurrected delete stands before the window, an invented one behind it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use terrace::{Db, Durability, WriteBatch};
use terrace_wal::LogKind;

const WRITERS: u64 = 4;
/// Batches of a writer that are there at any time.
const KEPT: u64 = 200;

fn open(dir: &Path, log: LogKind) -> Db {
    Db::builder(dir)
        .log(log)
        .memtable_bytes(128 << 10)
        .table_bytes(64 << 10)
        .log_preallocate_bytes(256 << 10)
        .open()
        .unwrap()
}

fn log_of(seed: u64) -> LogKind {
    if seed.is_multiple_of(2) { LogKind::Buffered } else { LogKind::Mapped }
}

fn key(writer: u64, number: u64) -> String {
    format!("w{writer} {number:010}")
}

fn value(writer: u64, number: u64) -> Vec<u8> {
    let bytes = number.wrapping_mul(0x9e37_79b9) % 1500;
    format!("{writer} {number} ")
        .into_bytes()
        .into_iter()
        .chain((0..bytes).map(|at| (at + number) as u8))
        .collect()
}

/// The role: opens the database, finds where each writer was, and goes on until it is killed. Says `w n` for every batch whose write
/// returned, and `open` before it opens.
pub(crate) fn work(dir: &Path, seed: u64) {
    say("open");
    let db = open(dir, log_of(seed));
    let other = db.keyspace("other").unwrap();
    let starts: Vec<u64> =
        (0..WRITERS).map(|writer| window(&db, writer).map_or(0, |(_, last)| last + 1)).collect();
    std::thread::scope(|scope| {
        for (writer, start) in (0..WRITERS).zip(starts) {
            let (db, other) = (&db, &other);
            scope.spawn(move || {
                for number in start.. {
                    let (key, value) = (key(writer, number), value(writer, number));
                    let mut batch = WriteBatch::new();
                    batch.put(&key, &value).put_in(other, &key, &value);
                    if let Some(old) = number.checked_sub(KEPT) {
                        let old = self::key(writer, old);
                        batch.delete(&old).delete_in(other, &old);
                    }
                    // One writer syncs each write, one never does.
                    let synced = writer == 0 || (writer < 3 && number.is_multiple_of(20 * writer));
                    let durability = if synced { Durability::Synced } else { Durability::PageCache };
                    db.write_with(batch, durability).unwrap();
                    say(&format!("{writer} {number}"));
                }
            });
        }
        let mut random = StdRng::seed_from_u64(seed);
        loop {
            match random.random_range(0..10) {
                0 => db.flush().unwrap(),
                1 => db.compact().unwrap(),
                2 => db.sync().unwrap(),
                3 => drop(db.keyspace(&format!("made {}", random.random_range(0..4_u8))).unwrap()),
                4 => drop(db.remove_keyspace(&format!("made {}", random.random_range(0..4_u8)))),
                // A snapshot sees both keyspaces at one moment.
                _ => {
                    let snapshot = db.snapshot();
                    let counts = [snapshot.iter().count(), snapshot.range_in::<&str, _>(&other, ..).count()];
                    assert_eq!(counts[0], counts[1], "a snapshot sees half a batch");
                }
            }
        }
    });
}

fn say(line: &str) {
    // One call, so that lines of several threads do not mix and a killed process leaves whole ones.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// The first and last batch of a writer that are there; everything in between must be, too.
fn window(db: &Db, writer: u64) -> Option<(u64, u64)> {
    let mut numbers = db.prefix(format!("w{writer} ")).map(|kv| number_of(&kv.unwrap().0));
    let first = numbers.next()?;
    let mut last = first;
    for number in numbers {
        assert_eq!(number, last + 1, "writer {writer}: a batch is missing in between");
        last = number;
    }
    Some((first, last))
}

fn number_of(key: &[u8]) -> u64 {
    std::str::from_utf8(&key[3..]).unwrap().parse().unwrap()
}

/// What was acknowledged is there, in one window for each writer, the same in both keyspaces, with the right values. Returns the last
/// batch of each writer.
fn check(dir: &Path, log: LogKind, acknowledged: &BTreeMap<u64, u64>, context: &str) -> BTreeMap<u64, u64> {
    let db = open(dir, log);
    let other = db.keyspace("other").unwrap();
    let mut found = BTreeMap::new();
    let mut kept = 0;
    for writer in 0..WRITERS {
        let Some((first, last)) = window(&db, writer) else {
            assert_eq!(acknowledged.get(&writer), None, "{context}: all of writer {writer} is lost");
            continue;
        };
        let told = acknowledged.get(&writer).copied();
        assert!(
            Some(last) >= told,
            "{context}: writer {writer} was told of {told:?}, and {last} is the last"
        );
        // Of one thread no more than one write is on its way; its acknowledgement may have been cut off with it.
        assert!(
            last <= told.map_or(0, |told| told + 1),
            "{context}: writer {writer}: {last} was invented after {told:?}"
        );
        assert_eq!(
            first,
            (last + 1).saturating_sub(KEPT),
            "{context}: writer {writer}: a delete is undone or came early"
        );
        for number in first..=last {
            let (key, value) = (key(writer, number), value(writer, number));
            assert_eq!(db.get(&key).unwrap().as_deref(), Some(value.as_slice()), "{context}: {key}");
            assert_eq!(
                other.get(&key).unwrap().as_deref(),
                Some(value.as_slice()),
                "{context}: {key}, other"
            );
        }
        kept += last + 1 - first;
        found.insert(writer, last);
    }
    assert_eq!(
        (db.iter().count() as u64, other.iter().count() as u64),
        (kept, kept),
        "{context}: something more"
    );
    // A record torn at the end of the log is what a write was killed in; a flush may have been in the midst of one in the manifest.
    assert!(db.recovery().dropped.len() <= 2, "{context}: {:?}", db.recovery());
    found
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

#[test]
fn a_killed_crew_loses_nothing_that_it_acknowledged() {
    let minutes = from_environment("TERRACE_KILL_MINUTES");
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let kills = from_environment("TERRACE_KILLS").unwrap_or(if until.is_some() { u64::MAX } else { 30 });
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let mut last = BTreeMap::new();
    let (mut killed, mut while_opening) = (0, 0);
    while killed < kills && until.is_none_or(|until| Instant::now() < until) {
        let context = format!("kill {killed}");
        let mut child = super::role::command(None, "crew", &killed.to_string(), dir.path());
        let mut child = child.stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // Where in its life it is killed is counted in lines that it says; the first is said before it opens.
        let wanted = [1, 2, 40, 2000][random.random_range(0..4_usize)];
        let wanted = random.random_range(1..=wanted);
        let mut said: Vec<String> = Vec::new();
        while said.iter().position(|line| line == "open").is_none_or(|open| said.len() - open < wanted) {
            said.push(lines.next().unwrap_or_else(|| panic!("{context}: it ended by itself after {said:?}")));
        }
        child.kill().unwrap();
        said.extend(lines);
        child.wait().unwrap();
        let before = last.clone();
        for line in &said {
            if let Some((writer, number)) = line.split_once(' ')
                && let (Ok(writer), Ok(number)) = (writer.parse::<u64>(), number.parse::<u64>())
            {
                last.insert(writer, number);
            }
        }
        while_opening += u64::from(last == before);
        last = check(dir.path(), log_of(killed), &last, &context);
        killed += 1;
    }
    let batches: u64 = last.values().map(|last| last + 1).sum();
    println!(
        "{killed} kills ({while_opening} before the first write), {batches} batches of {WRITERS} writers, none lost, torn or undone"
    );
    assert!(batches > killed, "the crew hardly wrote");
}
