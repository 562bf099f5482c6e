//! The paths whose instructions `cargo xtask instructions` counts, each alone in a process.
//!
//! `hot-paths` lists them; `hot-paths NAME FOLDER ROUNDS` prepares one in an empty folder, runs so many rounds of it and prints the
//! operations it did. What is prepared does not depend on the number of rounds, so the difference between two rounds and one is the path
//! and nothing else.
//!
//! The stock parts and options, on real files. Background work runs on the only thread, and the clock stands still. Nothing is closed
//! at the end: that would be work that grows with the rounds.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use terrace::{Clock, Db, SimClock, SimExecutor, WriteBatch};
use terrace_bench::random::Shuffle;
use terrace_bench::record::RecordShape;
use terrace_bloom::{BlockedBloom, Filter, KeyHash};
use terrace_vfs::{RealVfs, Vfs};
use terrace_wal::{BufferedLog, CreateLog, LogWriter};

/// The most rounds that are prepared for.
const ROUNDS_MAX: usize = 2;
/// Operations of a round, of the paths where a round is not bound to what is there.
const OPERATIONS: usize = 10_000;
const BATCH: usize = 100;

/// Records of the tree that is read: a bottom run, some newer ones in each of two runs over it, and a few in the memtable.
const BOTTOM: usize = 20_000;
const YOUNG: usize = 2_000;
const FRESH: usize = 1_000;
const ALL: usize = BOTTOM + 2 * YOUNG + FRESH;

const SHAPE: RecordShape =
    RecordShape { key_bytes: 16, value_bytes: 100, mixed_lengths: false, compressible: 0.5, seed: 1 };

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs the round of this number, counted from zero, and says how many operations it was.
type Round = Box<dyn FnMut(usize) -> Outcome<usize>>;

struct HotPath {
    name: &'static str,
    /// Makes everything ready in an empty folder.
    prepare: fn(&Path) -> Outcome<Round>,
}

const PATHS: &[HotPath] = &[
    HotPath { name: "put", prepare: put },
    HotPath { name: "batch-put", prepare: batch_put },
    HotPath { name: "get-memtable", prepare: get_memtable },
    HotPath { name: "get-ref", prepare: get_ref },
    HotPath { name: "get-table", prepare: get_table },
    HotPath { name: "get-absent", prepare: get_absent },
    HotPath { name: "seek", prepare: seek },
    HotPath { name: "next", prepare: next },
    HotPath { name: "flush", prepare: flush },
    HotPath { name: "compact", prepare: compact },
    HotPath { name: "filter", prepare: filter },
    HotPath { name: "log-append", prepare: log_append },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ran = match arguments.as_slice() {
        [] => {
            PATHS.iter().for_each(|path| println!("{}", path.name));
            Ok(())
        }
        [name, folder, rounds] => run(name, Path::new(folder), rounds),
        _ => Err("Usage: hot-paths [NAME FOLDER ROUNDS]".into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, folder: &Path, rounds: &str) -> Outcome<()> {
    let path = PATHS.iter().find(|path| path.name == name).ok_or("there is no such path")?;
    let rounds: usize = rounds.parse()?;
    if rounds > ROUNDS_MAX {
        return Err(format!("at most {ROUNDS_MAX} rounds").into());
    }
    let mut round = (path.prepare)(folder)?;
    let mut operations = 0;
    for number in 0..rounds {
        operations += hot(&mut round, number)?;
    }
    std::mem::forget(round);
    println!("{operations}");
    Ok(())
}

/// One round. A function of its own and never inlined, so that a profiler can be told to look at nothing else.
#[inline(never)]
fn hot(round: &mut Round, number: usize) -> Outcome<usize> {
    round(number)
}

struct Record {
    key: Vec<u8>,
    value: Vec<u8>,
}

fn record(rank: u64) -> Record {
    let mut record = Record { key: key(rank, false), value: Vec::new() };
    SHAPE.value(rank, 0, &mut record.value);
    record
}

fn key(rank: u64, missing: bool) -> Vec<u8> {
    let mut key = Vec::new();
    SHAPE.key(rank, missing, &mut key);
    key
}

/// All ranks below `count`, in an order that looks random.
fn shuffled(count: usize) -> impl Iterator<Item = u64> {
    let shuffle = Shuffle::new(count as u64, 1);
    (0..count as u64).map(move |index| shuffle.apply(index))
}

fn records(count: usize) -> Vec<Record> {
    shuffled(count).map(record).collect()
}

/// An empty database without threads, which compacts when it is told to.
fn open(folder: &Path) -> Outcome<Db> {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    let executor = Arc::new(SimExecutor::new(1, Arc::clone(&clock)));
    // The space that is reserved for a log is given back when the folder is removed; it may be little.
    let builder = Db::builder(folder).compaction(false).log_preallocate_bytes(4 << 20);
    Ok(builder.clock(clock).executor(executor).open()?)
}

fn write(db: &Db, records: &[Record]) -> Outcome<()> {
    for some in records.chunks(BATCH) {
        let mut batch = WriteBatch::new();
        for record in some {
            batch.put(&record.key, &record.value);
        }
        db.write(batch)?;
    }
    Ok(())
}

/// The part of the records that round `number` is given.
fn part(records: &[Record], number: usize) -> &[Record] {
    &records[number * OPERATIONS..][..OPERATIONS]
}

/// Writes one by one, each handed to the system, in no order.
fn put(folder: &Path) -> Outcome<Round> {
    let (db, records) = (open(folder)?, records(ROUNDS_MAX * OPERATIONS));
    Ok(Box::new(move |number| {
        for record in part(&records, number) {
            db.put(&record.key, &record.value)?;
        }
        Ok(OPERATIONS)
    }))
}

/// Writes by the hundred; the making of the batch is part of it.
fn batch_put(folder: &Path) -> Outcome<Round> {
    let (db, records) = (open(folder)?, records(ROUNDS_MAX * OPERATIONS));
    Ok(Box::new(move |number| write(&db, part(&records, number)).map(|()| OPERATIONS)))
}

/// Looks up keys, all of which are there or none of which is.
fn get(db: Db, keys: Vec<Vec<u8>>, there: bool) -> Round {
    Box::new(move |_| {
        for key in &keys {
            let found = black_box(db.get(key)?);
            if found.is_some() != there {
                return Err("a wrong answer".into());
            }
        }
        Ok(keys.len())
    })
}

/// A database whose memtable holds twice as many records as the keys beside it name.
fn in_memtable(folder: &Path) -> Outcome<(Db, Vec<Vec<u8>>)> {
    let db = open(folder)?;
    write(&db, &records(2 * OPERATIONS))?;
    let keys = shuffled(OPERATIONS).map(|rank| key(2 * rank, false)).collect();
    Ok((db, keys))
}

fn get_memtable(folder: &Path) -> Outcome<Round> {
    let (db, keys) = in_memtable(folder)?;
    Ok(get(db, keys, true))
}

/// Looks the same up and is lent the values.
fn get_ref(folder: &Path) -> Outcome<Round> {
    let (db, keys) = in_memtable(folder)?;
    Ok(Box::new(move |_| {
        for key in &keys {
            let found = db.get_ref(key, |value| black_box(value).len())?;
            if found != Some(SHAPE.value_bytes) {
                return Err("a wrong answer".into());
            }
        }
        Ok(keys.len())
    }))
}

/// What the tree for reads holds, and which of it lies in the bottom run.
struct Tree {
    db: Db,
    bottom: Vec<u64>,
}

/// A tree at rest after some writing: see [`ALL`]. No key is there twice, and every block is in the cache.
fn tree(folder: &Path) -> Outcome<Tree> {
    let db = open(folder)?;
    let ranks: Vec<u64> = shuffled(ALL).collect();
    let (bottom, newer) = ranks.split_at(BOTTOM);
    let write_all = |ranks: &[u64]| write(&db, &ranks.iter().copied().map(record).collect::<Vec<_>>());
    write_all(bottom)?;
    db.compact()?;
    for young in newer[..2 * YOUNG].chunks(YOUNG) {
        write_all(young)?;
        db.flush()?;
    }
    write_all(&newer[2 * YOUNG..])?;
    if db.iter().count() != ALL {
        return Err("records are missing".into());
    }
    Ok(Tree { db, bottom: bottom.to_vec() })
}

fn get_table(folder: &Path) -> Outcome<Round> {
    let tree = tree(folder)?;
    let keys = tree.bottom[..OPERATIONS].iter().map(|&rank| key(rank, false)).collect();
    Ok(get(tree.db, keys, true))
}

fn get_absent(folder: &Path) -> Outcome<Round> {
    let tree = tree(folder)?;
    let keys = shuffled(ALL).take(OPERATIONS).map(|rank| key(rank, true)).collect();
    Ok(get(tree.db, keys, false))
}

/// Makes an iterator, places it by its first step, and drops it.
fn seek(folder: &Path) -> Outcome<Round> {
    let db = tree(folder)?.db;
    let keys: Vec<Vec<u8>> = shuffled(ALL).take(OPERATIONS / 2).map(|rank| key(rank, false)).collect();
    Ok(Box::new(move |_| {
        for key in &keys {
            let mut iter = db.range(key.as_slice()..);
            let (found, value) = iter.next_ref().ok_or("the end")??;
            if found != key {
                return Err("a wrong answer".into());
            }
            black_box(value);
        }
        Ok(keys.len())
    }))
}

/// Goes through the whole tree forward.
fn next(folder: &Path) -> Outcome<Round> {
    let db = tree(folder)?.db;
    Ok(Box::new(move |_| {
        let (mut iter, mut steps) = (db.iter(), 0);
        while let Some(pair) = iter.next_ref() {
            black_box(pair?);
            steps += 1;
        }
        if steps == ALL { Ok(steps) } else { Err("records are missing".into()) }
    }))
}

/// As many databases as there may be rounds, each made ready by the same steps.
fn databases(folder: &Path, ready: impl Fn(&Db) -> Outcome<()>) -> Outcome<Vec<Db>> {
    let one = |number: usize| {
        let db = open(&folder.join(number.to_string()))?;
        ready(&db)?;
        Ok(db)
    };
    (0..ROUNDS_MAX).map(one).collect()
}

/// A memtable becomes a table of level 0.
fn flush(folder: &Path) -> Outcome<Round> {
    let databases = databases(folder, |db| write(db, &records(OPERATIONS)))?;
    Ok(Box::new(move |number| {
        databases[number].flush()?;
        Ok(OPERATIONS)
    }))
}

/// A run and a newer one of half its length become one, compressed; half of the newer one's keys are in the older one too.
fn compact(folder: &Path) -> Outcome<Round> {
    let databases = databases(folder, |db| {
        let records = records(OPERATIONS);
        let (older, newer) = (&records[..OPERATIONS * 4 / 5], &records[OPERATIONS * 3 / 5..]);
        for run in [older, newer] {
            write(db, run)?;
            db.flush()?;
        }
        Ok(())
    })?;
    Ok(Box::new(move |number| {
        databases[number].compact()?;
        if databases[number].stats().runs != 1 {
            return Err("nothing was merged".into());
        }
        Ok(OPERATIONS * 6 / 5)
    }))
}

/// A key is hashed and asked for, every other one not there.
fn filter(_: &Path) -> Outcome<Round> {
    let hashes: Vec<KeyHash> = shuffled(OPERATIONS).map(|rank| KeyHash::of(&key(rank, false))).collect();
    let filter = BlockedBloom::open(BlockedBloom::build(&hashes, 10.0))?;
    let keys: Vec<Vec<u8>> =
        shuffled(2 * OPERATIONS).map(|number| key(number / 2, number % 2 == 1)).collect();
    Ok(Box::new(move |_| {
        let passed = keys.iter().filter(|key| BlockedBloom::may_contain(&filter, KeyHash::of(key))).count();
        let right = OPERATIONS..OPERATIONS * 11 / 10;
        if right.contains(&passed) { Ok(keys.len()) } else { Err("wrong answers".into()) }
    }))
}

/// A record of a key and a value, handed to the system.
fn log_append(folder: &Path) -> Outcome<Round> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    vfs.create_dir_all(folder)?;
    let create = CreateLog { number: 1, preallocate_bytes: 4 << 20, recycle: None };
    let mut log = BufferedLog::create(&vfs, &folder.join("log"), create)?;
    let records = records(ROUNDS_MAX * OPERATIONS);
    Ok(Box::new(move |number| {
        for record in part(&records, number) {
            log.append(&[&record.key, &record.value])?;
            log.hand_over()?;
        }
        Ok(OPERATIONS)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_of_every_path_does_as_much_as_the_first() {
        for path in PATHS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut round =
                (path.prepare)(folder.path()).unwrap_or_else(|error| panic!("{}: {error}", path.name));
            let mut done =
                |number| hot(&mut round, number).unwrap_or_else(|error| panic!("{}: {error}", path.name));
            let first = done(0);
            assert!(first >= OPERATIONS / 2, "{}: {first}", path.name);
            assert_eq!(done(1), first, "{}", path.name);
        }
    }
}
