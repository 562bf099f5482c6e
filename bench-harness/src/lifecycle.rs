//! The life of a database on given data: load, read back, scan, close, reopen, read again; everything checked, each step timed.
//!
//! Loads in shuffled order, for a load by ascending key lets compaction move tables without merging them, and flatters.

use crate::meter::{self, Latency, Progress, Usage};
use crate::random::Shuffle;
use crate::realdata::RealData;
use crate::store::{Direction, Durability, Settings, Store, StoreFactory, StoreStats};
use crate::workload::BenchError;
use std::path::Path;
use std::time::Duration;

/// How a database's life is led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeOptions {
    /// Of the writes.
    pub durability: Durability,
    /// Of the order in which records are loaded.
    pub load_seed: u64,
    /// Of the order in which they are read.
    pub read_seed: u64,
}

/// What each step took. All answers were right, or there would be an error instead.
#[derive(Clone, Debug)]
pub struct Life {
    /// Records of the data.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Every record put, one by one.
    pub load: Duration,
    /// Latencies of the puts.
    pub load_latency: Latency,
    /// Until the store was at rest after the load.
    pub drain: Duration,
    /// Every record read back, shuffled.
    pub read: Duration,
    /// Latencies of the reads.
    pub read_latency: Latency,
    /// One scan forward over everything.
    pub scan: Duration,
    /// Close and open.
    pub reopen: Duration,
    /// Every record read back once more.
    pub reread: Duration,
    /// Counters after the reads, the store being at rest since the load.
    pub stats: StoreStats,
    /// Processor time and memory of all steps.
    pub usage: Usage,
}

/// Leads a database in the empty folder `dir` through its life.
///
/// # Errors
///
/// The store's, or [`BenchError::Wrong`] at the first wrong answer. The folder stays for a look at it.
pub fn check(
    factory: &dyn StoreFactory,
    dir: &Path,
    settings: &Settings,
    data: &RealData,
    options: LifeOptions,
    progress: &Progress,
) -> Result<Life, BenchError> {
    let usage = Usage::begin();
    let store = factory.open(dir, settings)?;
    let (load, load_latency) = put_all(&*store, data, options, progress)?;
    let start = meter::now();
    store.flush()?;
    store.wait_idle()?;
    let drain = start.elapsed();
    let (read, read_latency) = get_all(&*store, data, options.read_seed, "read", progress)?;
    let scan = scan_all(&*store, data, progress)?;
    let stats = store.stats();
    let start = meter::now();
    store.close()?;
    let store = factory.open(dir, settings)?;
    let reopen = start.elapsed();
    let (reread, _) = get_all(&*store, data, options.read_seed + 1, "read again", progress)?;
    store.close()?;
    Ok(Life {
        records: data.len() as u64,
        bytes: data.bytes(),
        load,
        load_latency,
        drain,
        read,
        read_latency,
        scan,
        reopen,
        reread,
        stats,
        usage: usage.end(),
    })
}

fn put_all(
    store: &dyn Store,
    data: &RealData,
    options: LifeOptions,
    progress: &Progress,
) -> Result<(Duration, Latency), BenchError> {
    walk(data, options.load_seed, "load", progress, |key, value| {
        let start = meter::now();
        store.put(key, value, options.durability)?;
        Ok(start.elapsed())
    })
}

fn get_all(
    store: &dyn Store,
    data: &RealData,
    seed: u64,
    stage: &str,
    progress: &Progress,
) -> Result<(Duration, Latency), BenchError> {
    walk(data, seed, stage, progress, |key, value| {
        let mut same = false;
        let start = meter::now();
        let mut latency = Duration::ZERO;
        let found = store.get(key, &mut |shown| {
            latency = start.elapsed();
            same = shown == value;
        })?;
        match (found, same) {
            (true, true) => Ok(latency),
            (true, false) => Err(BenchError::wrong(key, "another value than was written")),
            (false, _) => Err(BenchError::wrong(key, "nothing, though the record was written")),
        }
    })
}

/// Visits every record once in shuffled order.
fn walk(
    data: &RealData,
    seed: u64,
    stage: &str,
    progress: &Progress,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<Duration, BenchError>,
) -> Result<(Duration, Latency), BenchError> {
    let shuffle = Shuffle::new(data.len() as u64, seed);
    let mut latencies = Latency::default();
    progress.begin(stage, shuffle.len());
    let start = meter::now();
    for index in 0..shuffle.len() {
        let (key, value) = data.get(shuffle.apply(index) as usize);
        latencies.record(visit(key, value)?);
        if index % 64 == 63 {
            progress.add(64);
        }
    }
    let elapsed = start.elapsed();
    progress.end();
    Ok((elapsed, latencies))
}

fn scan_all(store: &dyn Store, data: &RealData, progress: &Progress) -> Result<Duration, BenchError> {
    progress.begin("scan", data.len() as u64);
    let mut expected = data.iter();
    let mut wrong = None;
    let mut unreported = 0;
    let start = meter::now();
    let shown = store.scan_all(Direction::Forward, &mut |key, value| {
        if wrong.is_none() && expected.next() != Some((key, value)) {
            wrong = Some(BenchError::wrong(key, "a scan shows another pair than comes next"));
        }
        unreported += 1;
        if unreported == 1024 {
            progress.add(std::mem::take(&mut unreported));
        }
    })?;
    let elapsed = start.elapsed();
    progress.end();
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    if shown != data.len() as u64 || expected.next().is_some() {
        return Err(BenchError::wrong(b"", "a scan ended early or miscounted"));
    }
    Ok(elapsed)
}

#[cfg(test)]
mod tests;
