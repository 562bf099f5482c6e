//! What the disk takes for a synced write when no database stands before it, and what several threads take that share one.
#![expect(clippy::disallowed_methods, reason = "measures the file system itself")]

use crate::meter::{self, Latency};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Writes `count` records of `bytes` one after the other into a file that has its blocks already, syncing the data after each; the file is
/// removed at the end. Best measured just before and after a synced run: a disk's figures drift.
///
/// # Errors
///
/// Those of the file.
pub fn raw_sync(dir: &Path, bytes: usize, count: u64) -> std::io::Result<Latency> {
    let (mut file, ready) = ReadyFile::new(dir, bytes as u64 * count)?;
    let record = vec![0xa5; bytes];
    let mut latency = Latency::default();
    for _ in 0..count {
        let start = meter::now();
        file.write_all(&record)?;
        file.sync_data()?;
        latency.record(start.elapsed());
    }
    drop(file);
    ready.remove()?;
    Ok(latency)
}

/// The mean time of a round in which `threads` threads meet, the last to come writes a record of `bytes` for each of them and syncs, and all go on to the next round.
/// A store that shares a sync among all its writers will hardly be faster on this machine: these threads do nothing else.
///
/// # Errors
///
/// Those of the file.
pub fn bare_rounds(dir: &Path, bytes: usize, threads: usize, rounds: u64) -> std::io::Result<Duration> {
    let (file, ready) = ReadyFile::new(dir, (bytes * threads) as u64 * rounds)?;
    let meeting = Meeting::new(threads);
    let records = vec![0xa5; bytes * threads];
    let sync = || (&file).write_all(&records).and_then(|()| file.sync_data());
    let start = meter::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (1..=rounds).all(|round| meeting.come(round, sync)));
        }
    });
    let took = start.elapsed();
    drop(file);
    ready.remove()?;
    match meeting.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(took / rounds.max(1) as u32),
    }
}

/// Where threads meet for each sync.
struct Meeting {
    threads: usize,
    came: AtomicUsize,
    /// Rounds done; the most there can be after an error.
    done: AtomicU64,
    failed: Mutex<Option<std::io::Error>>,
}

impl Meeting {
    fn new(threads: usize) -> Self {
        Meeting { threads, came: AtomicUsize::new(0), done: AtomicU64::new(0), failed: Mutex::default() }
    }

    /// Takes part in a round; the last to come has it synced. False when there are no more, after an error.
    fn come(&self, round: u64, sync: impl Fn() -> std::io::Result<()>) -> bool {
        if self.came.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.came.store(0, Ordering::Relaxed);
            let done = match sync() {
                Ok(()) => round,
                Err(error) => {
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    u64::MAX
                }
            };
            self.done.store(done, Ordering::Release);
        }
        loop {
            match self.done.load(Ordering::Acquire) {
                u64::MAX => return false,
                done if done >= round => return true,
                _ => thread::yield_now(),
            }
        }
    }
}

/// A file that has its blocks, to be written once.
struct ReadyFile {
    path: PathBuf,
    bytes: u64,
}

impl ReadyFile {
    fn new(dir: &Path, bytes: u64) -> std::io::Result<(File, Self)> {
        let path = dir.join("raw-sync.tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        let zeros = vec![0; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(zeros.len() as u64);
            file.write_all(&zeros[..now as usize])?;
            left -= now;
        }
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        Ok((file, ReadyFile { path, bytes }))
    }

    fn remove(self) -> std::io::Result<()> {
        super::os::leave_out(2 * self.bytes);
        std::fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_a_latency_and_no_file_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let latency = raw_sync(dir.path(), 100, 20).expect("a file can be written");
        assert_eq!(latency.count(), 20);
        assert_eq!(std::fs::read_dir(dir.path()).expect("the folder can be listed").count(), 0);
    }

    #[test]
    fn in_a_bare_round_all_wait_for_the_sync_of_the_last_who_comes() {
        let (threads, rounds) = (5, 30);
        let synced = AtomicU64::new(0);
        let meeting = Meeting::new(threads);
        let sync = || {
            synced.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for round in 1..=rounds {
                        assert!(meeting.come(round, sync));
                        assert_eq!(synced.load(Ordering::Relaxed), round);
                    }
                });
            }
        });
        assert_eq!(synced.into_inner(), rounds);
    }

    #[test]
    fn bare_rounds_take_time_leave_no_file_and_end_after_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let round = bare_rounds(dir.path(), 100, 3, 10).expect("a file can be written");
        assert!(round > Duration::ZERO);
        assert_eq!(std::fs::read_dir(dir.path()).expect("the folder can be listed").count(), 0);
        let meeting = Meeting::new(2);
        let fails = || Err(std::io::Error::other("the disk is gone"));
        thread::scope(|scope| {
            let other = scope.spawn(|| meeting.come(1, fails));
            assert!(!meeting.come(1, fails));
            assert!(!other.join().expect("no panic"));
        });
        assert!(meeting.failed.into_inner().expect("no panic").is_some());
    }
}
