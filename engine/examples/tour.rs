//! A tour of the default database: what a user does, and what each step cost.
//!
//! `cargo run --release -p terrace --example tour`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use terrace::{Db, Durability, WriteBatch};

const RECORDS: u64 = 200_000;
const WRITER: &str = "TERRACE_TOUR_WRITER";

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs one step and prints what it cost.
fn step<T>(what: &str, count: u64, run: impl FnOnce() -> terrace::Result<T>) -> terrace::Result<T> {
    #[expect(clippy::disallowed_methods, reason = "an example measures with the machine's clock")]
    let begun = Instant::now();
    let result = run()?;
    let took = begun.elapsed();
    let each = took.checked_div(count.max(1) as u32).unwrap_or(Duration::ZERO);
    println!("{what:<52} {took:>10.2?}  {count:>8} x {each:>9.2?}");
    Ok(result)
}

fn key(number: u64) -> String {
    format!("user{:012}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24)
}

fn tour(dir: &Path) -> Outcome {
    let db = step("open a new database", 1, || Db::open(dir))?;
    step("write, each safe from the death of the process", RECORDS, || {
        (0..RECORDS).try_for_each(|number| db.put(key(number), format!("{number:0100}")))
    })?;
    step("write in batches of 100", RECORDS, || {
        for first in (0..RECORDS).step_by(100) {
            let mut batch = WriteBatch::new();
            for number in first..first + 100 {
                batch.put(key(number), format!("{number:0100}"));
            }
            db.write(batch)?;
        }
        Ok(())
    })?;
    step("write, each safe from the loss of power", 100, || {
        let mut batch = WriteBatch::new();
        batch.put("important", "yes");
        (0..100).try_for_each(|_| db.write_with(&batch, Durability::Synced))
    })?;
    step("read from the memtable", RECORDS, || {
        (0..RECORDS).try_for_each(|number| db.get(key(number)).map(|value| assert!(value.is_some())))
    })?;
    step("flush the memtable into a table", 1, || db.flush())?;
    step("read from tables, the first time", RECORDS, || {
        (0..RECORDS).try_for_each(|number| db.get(key(number)).map(|value| assert!(value.is_some())))
    })?;
    step("read from tables, cached", RECORDS, || {
        (0..RECORDS).try_for_each(|number| db.get(key(number)).map(|value| assert!(value.is_some())))
    })?;
    step("look for what is not there", RECORDS, || {
        (0..RECORDS)
            .try_for_each(|number| db.get(format!("user{number:012}x")).map(|value| assert!(value.is_none())))
    })?;
    let snapshot = step("take a snapshot", 1, || Ok(db.snapshot()))?;
    step("delete a half", RECORDS / 2, || (0..RECORDS / 2).try_for_each(|number| db.delete(key(number))))?;
    let count = step("scan forward", RECORDS, || db.iter().try_fold(0, |count, kv| kv.map(|_| count + 1)))?;
    let before = step("scan the snapshot, backward", RECORDS, || {
        snapshot.iter().rev().try_fold(0, |count, kv| kv.map(|_| count + 1))
    })?;
    println!("    now {count} keys; the snapshot still sees {before}");
    drop(snapshot);
    step("compact everything", 1, || db.compact())?;
    println!("\n{}\n{}\n", db.shape(), db.stats());
    step("close", 1, || db.close())?;
    Ok(())
}

/// A process of its own writes until it is killed; what it acknowledged must be there.
fn kill_and_reopen(dir: &Path) -> Outcome {
    let mut writer =
        Command::new(std::env::current_exe()?).env(WRITER, dir).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(writer.stdout.take().ok_or("no pipe")?).lines();
    let mut acknowledged = 0;
    for line in lines.by_ref().take(3000) {
        acknowledged = line?.trim().parse::<u64>()?;
    }
    writer.kill()?;
    acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| line.trim().parse().ok())
        .last()
        .unwrap_or(acknowledged);
    writer.wait()?;
    println!("\nkilled a writer after it had acknowledged {acknowledged} writes");
    let db = step("reopen, replaying the log", 1, || Db::open(dir))?;
    let recovered = db.prefix("killed").try_fold(0, |count, kv| kv.map(|_| count + 1))?;
    println!("    {recovered} of them are there; {:?}", db.recovery());
    assert!(recovered >= acknowledged, "an acknowledged write is lost");
    db.close()?;
    Ok(())
}

fn write_until_killed(dir: &Path) -> Outcome {
    let db = Db::open(dir)?;
    for number in 1_u64.. {
        db.put(format!("killed{number:010}"), "v")?;
        println!("{number}");
    }
    Ok(())
}

fn main() -> Outcome {
    if let Some(dir) = std::env::var_os(WRITER) {
        return write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir()?;
    tour(dir.path())?;
    kill_and_reopen(dir.path())
}
