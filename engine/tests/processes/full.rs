//! No space, no larger file, no more file handles: on a real file system, under limits of the system's own.
//!
//! What is promised: the write that fails says why; from then on the database is read-only and names that cause; all that was
//! acknowledged stays readable, and is there after the cause was mended and the folder opened again.

use std::error::Error as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use terrace::{Db, Durability, Error, WriteBatch};
use terrace_wal::LogKind;

/// No run writes more than this many values.
const VALUES_MAX: u64 = 20_000;

fn open(dir: &Path, log: LogKind) -> terrace::Result<Db> {
    Db::builder(dir.join("db"))
        .log(log)
        .memtable_bytes(256 << 10)
        .table_bytes(64 << 10)
        .log_preallocate_bytes(64 << 10)
        .open()
}

fn value(number: u64) -> Vec<u8> {
    (0..1000 + number % 1000).map(|at| (at * 31 + number) as u8).collect()
}

/// An error and what it came from, in words.
fn chain(error: &Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(inner) = source {
        text += &format!(" <- {inner}");
        source = inner.source();
    }
    text
}

/// The role: writes until it can not, and says how much it was acknowledged and why it ended. With a ballast it then makes room and
/// checks everything itself, since nobody else can see its file system.
pub(crate) fn fill(dir: &Path, argument: &str) {
    let (log, ballast_kib) = argument.split_once('-').unwrap();
    let (log, ballast_kib): (LogKind, usize) = (log.parse().unwrap(), ballast_kib.parse().unwrap());
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; ballast_kib << 10]).unwrap();
    let (written, why) = match open(dir, log) {
        Ok(db) => write_until_refused(&db),
        Err(error) => (0, chain(&error)),
    };
    if ballast_kib > 0 {
        std::fs::remove_file(&ballast).unwrap();
        check_after(dir, log, written);
    }
    println!("{written} {why}");
}

fn write_until_refused(db: &Db) -> (u64, String) {
    for number in 0..VALUES_MAX {
        let durability = if number % 10 == 0 { Durability::Synced } else { Durability::PageCache };
        let mut batch = WriteBatch::new();
        batch.put(format!("k{number:06}"), value(number));
        let Err(error) = db.write_with(batch, durability) else { continue };
        let cause = db.failure().expect("a failed write leaves its cause");
        assert!(matches!(db.put("more", "x"), Err(Error::ReadOnly { .. })), "a write after a failed one");
        for number in 0..number {
            let found = db.get(format!("k{number:06}")).expect("what was acknowledged stays readable");
            assert_eq!(found.as_deref(), Some(value(number).as_slice()), "value {number}, read-only");
        }
        // What can not be made durable is an error, not a panic and not a hang.
        let _ = db.close();
        return (number, format!("{} | {}", chain(&error), chain(&cause)));
    }
    (VALUES_MAX, "never refused".to_owned())
}

/// Everything acknowledged is there, nothing else but the write that failed, and writing goes on.
fn check_after(dir: &Path, log: LogKind, written: u64) {
    let db = open(dir, log).expect("it opens when the cause is mended");
    for number in 0..written {
        let found = db.get(format!("k{number:06}")).unwrap();
        assert_eq!(found.as_deref(), Some(value(number).as_slice()), "value {number} of {written}, reopened");
    }
    let count = db.iter().count() as u64;
    assert!(count <= written + 1, "{count} values, and {written} were acknowledged");
    db.put("more", "after").unwrap();
    db.flush().unwrap();
    assert_eq!(db.get("more").unwrap().as_deref(), Some(b"after".as_slice()));
    db.close().unwrap();
}

/// Runs the role behind a line of shell; how much it wrote and why it ended.
fn run(shell: &str, log: LogKind, ballast_kib: usize, dir: &Path) -> (u64, String) {
    let mut command = super::role::command(Some(shell), "fill", &format!("{log}-{ballast_kib}"), dir);
    let mut child = command.env("FOLDER", dir).stderr(Stdio::piped()).spawn().unwrap();
    let said: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said:#?}\n{text}");
    let ended = said.iter().find_map(|line| {
        let (written, why) = line.split_once(' ')?;
        Some((written.parse().ok()?, why.to_owned()))
    });
    ended.unwrap_or_else(|| panic!("it does not say how it ended: {said:#?}\n{text}"))
}

const LOGS: [LogKind; 2] = [LogKind::Buffered, LogKind::Mapped];

#[test]
fn files_that_may_not_grow_make_it_read_only_with_that_cause() {
    let mut written_in_all = 0;
    for log in LOGS {
        for blocks in [140, 300, 500] {
            let dir = tempfile::tempdir().unwrap();
            // In blocks of 512 bytes. Ignored, the signal that comes with it becomes an error of the write.
            let shell = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let (written, why) = run(&shell, log, 0, dir.path());
            assert!(written < VALUES_MAX, "{blocks} blocks, {log}: {why}");
            assert!(why.contains("too large"), "{blocks} blocks, {log}: {why}");
            check_after(dir.path(), log, written);
            written_in_all += written;
        }
    }
    println!(
        "6 limits of file size, {written_in_all} values acknowledged, all there after the limit was gone"
    );
}

#[test]
fn too_few_file_handles_make_it_read_only_with_that_cause() {
    let (mut written_in_all, mut limits) = (0, 0);
    for log in LOGS {
        for handles in [4, 5, 6, 8, 9, 10, 11, 12, 14, 17, 20] {
            let dir = tempfile::tempdir().unwrap();
            let (written, why) = run(&format!("ulimit -n {handles}; exec \"$@\""), log, 0, dir.path());
            assert!(written < VALUES_MAX, "{handles} handles, {log}: {why}");
            assert!(why.contains("Too many open files"), "{handles} handles, {log}: {why}");
            check_after(dir.path(), log, written);
            written_in_all += written;
            limits += 1;
        }
    }
    println!(
        "{limits} limits of handles, {written_in_all} values acknowledged, all there after the limit was gone"
    );
}

/// A file system of 4 MiB that only the role sees. Where the system does not allow one, this says so and the tests over `FaultVfs` have to do.
#[test]
fn a_full_disk_makes_it_read_only_until_there_is_room() {
    const MOUNT: &str = "mount -t tmpfs -o size=4m none \"$FOLDER\"";
    let dir = tempfile::tempdir().unwrap();
    let can = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", MOUNT])
        .env("FOLDER", dir.path())
        .output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        println!("no small file system can be made here ({can:?}): 0 full disks");
        return;
    }
    let line = format!("exec unshare -rm sh -c '{MOUNT} && exec \"$@\"' sh \"$@\"");
    let rounds: usize = std::env::var("TERRACE_FULL_DISKS").map_or(8, |rounds| rounds.parse().unwrap());
    let (mut written_in_all, mut while_opening) = (0, 0);
    for round in 0..rounds {
        // From almost nothing left to a few MiB, so that another file is the one that does not fit.
        let ballast_kib = 4080 - (round * 397) % 3200;
        let (written, why) = run(&line, LOGS[round % 2], ballast_kib, dir.path());
        assert!(written < VALUES_MAX && why.contains("No space left"), "{ballast_kib} KiB taken: {why}");
        written_in_all += written;
        while_opening += usize::from(written == 0);
    }
    println!(
        "{rounds} full disks ({while_opening} while opening), {written_in_all} values acknowledged, all there when there was room"
    );
}
