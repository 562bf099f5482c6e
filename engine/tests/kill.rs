//! Real processes: a writer killed at a random moment loses nothing that it acknowledged.
//!
//! The writer is this test program itself, started again with an environment variable; it acknowledges each write on its standard output.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use terrace::{Db, Durability, WriteBatch};
use terrace_wal::{DroppedBytes, LogKind};

const ROLE: &str = "TERRACE_KILL_WRITER";

fn open(dir: &Path, log: LogKind) -> Db {
    Db::builder(dir)
        .log(log)
        .memtable_bytes(128 << 10)
        .table_bytes(64 << 10)
        .log_preallocate_bytes(256 << 10)
        .open()
        .unwrap()
}

/// Each batch writes one number under three keys in two keyspaces, so that half a batch shows.
fn write_until_killed(dir: &Path, log: LogKind, from: u64) {
    let db = open(dir, log);
    let other = db.keyspace("other").unwrap();
    let mut out = std::io::stdout().lock();
    for number in from.. {
        let mut batch = WriteBatch::new();
        let value = format!("{number} {}", "v".repeat(number as usize % 200));
        batch.put(format!("a{:04}", number % 997), &value).put(format!("n{number:010}"), &value).put_in(
            &other,
            format!("n{number:010}"),
            &value,
        );
        let durability = if number % 50 == 0 { Durability::Synced } else { Durability::PageCache };
        db.write_with(batch, durability).unwrap();
        writeln!(out, "{number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn writer_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words = role.splitn(3, ' ');
    let log = words.next().unwrap().parse().unwrap();
    let from = words.next().unwrap().parse().unwrap();
    write_until_killed(Path::new(words.next().unwrap()), log, from);
}

fn kill_rounds(log: LogKind, rounds: u64, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut acknowledged, mut torn): (Option<u64>, Vec<DroppedBytes>) = (None, Vec::new());
    for round in 0..rounds {
        let from = acknowledged.map_or(0, |last| last + 1);
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_role", "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{log} {from} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let wanted = random.random_range(1..1500);
        let mut numbers = lines.map_while(Result::ok).filter_map(|line| line.trim().parse::<u64>().ok());
        let mut last = numbers.by_ref().take(wanted).last();
        writer.kill().unwrap();
        // What was acknowledged before the kill arrived is in the pipe.
        last = numbers.last().or(last);
        writer.wait().unwrap();
        acknowledged = last.or(acknowledged);
        acknowledged = Some(check(dir.path(), log, acknowledged, round, &mut torn));
    }
    println!("{rounds} kills, {} batches, none lost or torn ({log} log)", acknowledged.unwrap_or(0));
}

/// Everything acknowledged is there, each batch whole or absent; the number of the last batch that is there. `torn` is what was dropped in the round before.
fn check(
    dir: &Path,
    log: LogKind,
    acknowledged: Option<u64>,
    round: u64,
    torn: &mut Vec<DroppedBytes>,
) -> u64 {
    let db = open(dir, log);
    let other = db.keyspace("other").unwrap();
    let numbers: Vec<u64> =
        db.prefix("n").map(|kv| String::from_utf8_lossy(&kv.unwrap().0[1..]).parse().unwrap()).collect();
    let last = numbers.last().copied();
    assert!(last >= acknowledged, "round {round}: {acknowledged:?} was acknowledged, {last:?} is the last");
    let count = last.map_or(0, |last| last + 1);
    assert!(numbers.iter().copied().eq(0..count), "round {round}: a batch is missing in between");
    let in_other: Vec<_> = other.iter().map(|kv| kv.unwrap()).collect();
    assert_eq!(in_other.len() as u64, count, "round {round}: half a batch");
    for (key, value) in in_other {
        assert_eq!(db.get(&key).unwrap(), Some(value), "round {round}: half a batch at {key:?}");
    }
    for slot in 0..997.min(count) {
        let newest = (0..count).rev().find(|number| number % 997 == slot).unwrap();
        let value = db.get(format!("a{slot:04}")).unwrap().unwrap();
        assert!(value.starts_with(format!("{newest} ").as_bytes()), "round {round}: slot {slot}");
    }
    // A kill ends a write between two pages, too: the record that was being written, which nobody was told of, may be torn. Its log may be needed again
    // after the next kill, and then its end is as torn as it was.
    let dropped = &db.recovery().dropped;
    assert!(
        dropped.iter().filter(|now| !torn.contains(now)).count() <= 1,
        "{torn:?}, then {:?}",
        db.recovery()
    );
    torn.clone_from(dropped);
    last.unwrap_or(0)
}

#[test]
fn killed_writer_with_a_buffered_log_loses_nothing_acknowledged() {
    kill_rounds(LogKind::Buffered, 25, 1);
}

#[test]
fn killed_writer_with_a_mapped_log_loses_nothing_acknowledged() {
    kill_rounds(LogKind::Mapped, 25, 2);
}
