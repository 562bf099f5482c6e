//! Many threads at once: what a snapshot sees is always consistent, and nothing is lost while memtables are sealed, flushed and compacted below.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use terrace::{Db, Durability, WriteBatch};
use terrace_wal::LogKind;

const ACCOUNTS: u64 = 64;
const EACH: u64 = 1000;

fn open(dir: &std::path::Path, log: LogKind) -> Db {
    Db::builder(dir)
        .log(log)
        .memtable_bytes(32 << 10)
        .table_bytes(16 << 10)
        .log_preallocate_bytes(32 << 10)
        .cache_bytes(64 << 10)
        .open()
        .unwrap()
}

fn amount(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn account(number: u64) -> String {
    format!("account {number:03}")
}

/// Moves amounts between the accounts of one writer; every batch keeps their sum.
fn transfer(db: &Db, own: std::ops::Range<u64>, moves: u64, seed: u64) {
    let other = db.keyspace("log of moves").unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..moves {
        let (from, to) = (random.random_range(own.clone()), random.random_range(own.clone()));
        if from == to {
            continue;
        }
        let read = |number| amount(&db.get(account(number)).unwrap().unwrap());
        let (rich, poor) = (read(from), read(to));
        let moved = random.random_range(0..=rich);
        let mut batch = WriteBatch::new();
        let pad = [0_u8; 60];
        let value = |amount: u64| [&amount.to_le_bytes()[..], &pad].concat();
        batch.put(account(from), value(rich - moved)).put(account(to), value(poor + moved));
        batch.put_in(&other, format!("{seed} {number}"), moved.to_le_bytes());
        let durability = if number % 64 == 0 { Durability::Synced } else { Durability::PageCache };
        db.write_with(batch, durability).unwrap();
        // What a thread wrote it reads.
        assert_eq!(read(from), rich - moved);
    }
}

fn sum<P: terrace::Parts>(iter: terrace::Iter<P>) -> (u64, u64) {
    iter.fold((0, 0), |(count, sum), kv| (count + 1, sum + amount(&kv.unwrap().1)))
}

fn bank(log: LogKind) {
    const WRITERS: u64 = 4;
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path(), log);
    let mut batch = WriteBatch::new();
    for number in 0..ACCOUNTS {
        batch.put(account(number), EACH.to_le_bytes());
    }
    db.write(batch).unwrap();
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let share = ACCOUNTS / WRITERS;
                let own = writer * share..(writer + 1) * share;
                let db = &db;
                scope.spawn(move || transfer(db, own, 2500, writer + 1))
            })
            .collect();
        for reader in 0..2 {
            let (db, done, looks) = (&db, &done, &looks);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let found = match reader {
                        0 => sum(db.snapshot().range("account ".."account~")),
                        _ => sum(db.prefix("account ")),
                    };
                    assert_eq!(found, (ACCOUNTS, ACCOUNTS * EACH), "a snapshot saw half a batch");
                    let snapshot = db.snapshot();
                    let backward = snapshot.prefix("account ").rev();
                    let total: u64 = backward.map(|kv| amount(&kv.unwrap().1)).sum();
                    assert_eq!(total, ACCOUNTS * EACH);
                    let gets = (0..ACCOUNTS).map(|n| amount(&snapshot.get(account(n)).unwrap().unwrap()));
                    assert_eq!(gets.sum::<u64>(), ACCOUNTS * EACH, "gets of one snapshot disagree");
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(looks.load(Ordering::Relaxed) > 0);
    assert!(db.stats().flushes > 5, "{}", db.stats());
    db.close().unwrap();
    let db = open(dir.path(), log);
    assert_eq!(sum(db.prefix("account ")), (ACCOUNTS, ACCOUNTS * EACH));
}

#[test]
fn sums_are_conserved_with_a_buffered_log() {
    bank(LogKind::Buffered);
}

#[test]
fn sums_are_conserved_with_a_mapped_log() {
    bank(LogKind::Mapped);
}

#[test]
fn values_of_one_key_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path(), LogKind::Buffered);
    let done = AtomicBool::new(false);
    db.put("counter", 0_u64.to_le_bytes()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let seen = amount(&db.get("counter").unwrap().unwrap());
                    assert!(seen >= last, "{seen} was read after {last}");
                    last = seen;
                }
            });
        }
        for count in 1..30_000_u64 {
            db.put("counter", count.to_le_bytes()).unwrap();
            if count % 5 == 0 {
                db.put(format!("filler {count}"), [7; 80]).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn keyspaces_come_and_go_while_others_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path(), LogKind::Buffered);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..30 {
                let name = format!("short-lived {}", round % 3);
                let keyspace = db.keyspace(&name).unwrap();
                for number in 0..400 {
                    keyspace.put(format!("{round} {number}"), [1; 60]).unwrap();
                }
                assert_eq!(keyspace.iter().count(), 400, "a keyspace began with what an older one held");
                db.remove_keyspace(&name).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            for number in 0_u64.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                db.put(format!("{:05}", number % 5000), [2; 60]).unwrap();
            }
        });
    });
    assert_eq!(db.keyspaces(), ["default"]);
    db.close().unwrap();
    assert_eq!(open(dir.path(), LogKind::Buffered).keyspaces(), ["default"]);
}

#[test]
fn close_while_others_read_and_write_ends_them_with_an_error() {
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), LogKind::Buffered);
        let written = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (db, written) = (&db, &written);
                scope.spawn(move || {
                    for number in 0.. {
                        match db.put(format!("{thread} {number:06}"), [3; 60]) {
                            Ok(()) => written.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                assert!(matches!(error, terrace::Error::Closed), "{error}");
                                break;
                            }
                        };
                    }
                });
            }
            while written.load(Ordering::Relaxed) < 500 * (round + 1) {
                std::hint::spin_loop();
            }
            db.close().unwrap();
        });
        let db = open(dir.path(), LogKind::Buffered);
        assert_eq!(db.iter().count() as u64, written.load(Ordering::Relaxed));
    }
}
