//! Counters: what a database has done, and the amplifications that follow.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use terrace_sstable::CacheStats;

use crate::histogram::{Histogram, Recorder};

/// So many threads, the first of the process, have shards of their own; later ones share as many others.
const OWNED: usize = 16;
pub(crate) const SHARDS: usize = 2 * OWNED;

/// A counter that many threads bump without sharing a cache line, and most of them without a locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicU64);

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        shard_of(NEXT.fetch_add(1, Ordering::Relaxed) as usize)
    };
}

/// The shard of the thread that was the `number`th to ask. One below [`OWNED`] is given once.
fn shard_of(number: usize) -> usize {
    if number < OWNED { number } else { OWNED + number % OWNED }
}

/// A number below [`SHARDS`] that is nearly always this thread's own.
#[inline]
pub(crate) fn shard_of_thread() -> usize {
    SHARD.try_with(|shard| *shard).unwrap_or(SHARDS - 1)
}

impl Counter {
    /// The answer is what this thread, and those that share its shard, had added before.
    #[inline]
    pub(crate) fn add(&self, n: u64) -> u64 {
        let number = shard_of_thread();
        let shard = &self.shards[number].0;
        if number < OWNED {
            // Nobody else writes to it.
            let before = shard.load(Ordering::Relaxed);
            shard.store(before.wrapping_add(n), Ordering::Relaxed);
            before
        } else {
            shard.fetch_add(n, Ordering::Relaxed)
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum()
    }
}

/// The database's own counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) writes: Counter,
    pub(crate) user_bytes: Counter,
    pub(crate) gets: Counter,
    pub(crate) seeks: Counter,
    pub(crate) tables_asked: Counter,
    pub(crate) filter_passes: Counter,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flush_bytes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) warmed_blocks: AtomicU64,
    pub(crate) compaction_read_bytes: AtomicU64,
    pub(crate) compaction_written_bytes: AtomicU64,
    pub(crate) compaction_nanos: AtomicU64,
    /// Of it, what the merges took that are in `compaction_read_bytes`.
    pub(crate) merged_nanos: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) stall_nanos: AtomicU64,
    pub(crate) stall_nanos_max: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) stall_micros: Recorder,
    pub(crate) group_writers: Recorder,
    pub(crate) flush_micros: Recorder,
    pub(crate) task_micros: Recorder,
}

impl Counters {
    pub(crate) fn stalled(&self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        self.stalls.fetch_add(1, Ordering::Relaxed);
        self.stall_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.stall_nanos_max.fetch_max(nanos, Ordering::Relaxed);
        self.stall_micros.record(duration.as_micros() as u64);
    }
}

pub(crate) fn bump(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// As [`bump`], without a locked instruction: for counters that are written only while some lock is held.
pub(crate) fn bump_locked(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What a database has done since it was opened, and what it holds now. `Display` prints it for people.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Writes: operations, not batches.
    pub writes: u64,
    /// Bytes of keys and values written.
    pub user_bytes: u64,
    /// Commit groups: appends to the log.
    pub commit_groups: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Bytes appended to logs.
    pub log_bytes: u64,
    /// Memtables flushed.
    pub flushes: u64,
    /// Bytes of tables that flushes wrote.
    pub flush_bytes: u64,
    /// Merges finished.
    pub compactions: u64,
    /// Tables given another level without being read.
    pub trivial_moves: u64,
    /// Blocks of merged tables that were brought into the cache because it held what they were made of.
    pub warmed_blocks: u64,
    /// Bytes of tables that merges read.
    pub compaction_read_bytes: u64,
    /// Bytes of tables that merges wrote.
    pub compaction_written_bytes: u64,
    /// Time that merges took, summed over threads.
    pub compaction_time: Duration,
    /// Bytes that must be merged before the picker is at ease.
    pub compaction_debt_bytes: u64,
    /// How far compaction is behind: 0 at ease, 1 where writers wait.
    pub pressure: f64,
    /// Point look-ups.
    pub gets: u64,
    /// Tables whose key range held the key, over all look-ups.
    pub tables_asked: u64,
    /// Of them, those whose filter let the look-up through.
    pub filter_passes: u64,
    /// Of them, those that a filter spared.
    pub filter_rejections: u64,
    /// Times that a writer was delayed.
    pub stalls: u64,
    /// Time that writers were delayed, summed over threads.
    pub stall_time: Duration,
    /// The longest delay of one write.
    pub stall_time_max: Duration,
    /// Writes that failed with [`crate::Error::Busy`] rather than wait.
    pub refused: u64,
    /// The delays, in microseconds.
    pub stall_micros: Histogram,
    /// Writers in a commit group.
    pub group_writers: Histogram,
    /// How long flushes took, in microseconds.
    pub flush_micros: Histogram,
    /// How long compaction tasks took, in microseconds, pauses included.
    pub compaction_micros: Histogram,
    /// The block cache.
    pub cache: CacheStats,
    /// Memory of memtables.
    pub memtable_bytes: u64,
    /// Memory of indexes, filters and properties of open tables, and of the slots of those of which blocks were cached when the tables last changed.
    pub table_memory_bytes: u64,
    /// The budget for memtables, cache and tables.
    pub memory_budget_bytes: u64,
    /// Tables.
    pub tables: u64,
    /// Sorted runs over all keyspaces.
    pub runs: u64,
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// Bytes of logs not yet removed.
    pub live_log_bytes: u64,
    /// Bytes of all tables over those of each keyspace's last level: an estimate of space amplification that needs no scan. 1 when there is
    /// nothing above the last level.
    pub space_amplification: f64,
    /// Snapshots held.
    pub snapshots: u64,
}

impl Stats {
    /// Bytes written to the log and to tables for each byte of the user's. The log counts.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        let written = self.log_bytes + self.flush_bytes + self.compaction_written_bytes;
        ratio(written, self.user_bytes)
    }

    /// Tables searched (past their filter) for each look-up.
    #[must_use]
    pub fn read_amplification(&self) -> f64 {
        ratio(self.filter_passes, self.gets)
    }

    /// Memory of memtables, cache (with what it keeps for blocks to come) and table metadata: what the budget covers.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memtable_bytes + self.table_memory_bytes + self.cache.used_bytes + self.cache.kept_bytes
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Bytes for people: three digits and a binary unit.
pub(crate) fn bytes_for_people(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = bytes_for_people;
        writeln!(
            f,
            "writes      {} ({}) in {} groups, {} log syncs",
            self.writes,
            b(self.user_bytes),
            self.commit_groups,
            self.log_syncs
        )?;
        writeln!(
            f,
            "written     log {}, flush {} ({} flushes), compaction {} ({} merges, {} moves, {:.2?})",
            b(self.log_bytes),
            b(self.flush_bytes),
            self.flushes,
            b(self.compaction_written_bytes),
            self.compactions,
            self.trivial_moves,
            self.compaction_time
        )?;
        writeln!(
            f,
            "amplified   write {:.2}, read {:.2} tables a get, space {:.2}",
            self.write_amplification(),
            self.read_amplification(),
            self.space_amplification
        )?;
        writeln!(
            f,
            "reads       {} gets, filters spared {} of {} tables, cache {} hits {} misses, {} warmed",
            self.gets,
            self.filter_rejections,
            self.tables_asked,
            self.cache.hits,
            self.cache.misses,
            self.warmed_blocks
        )?;
        writeln!(
            f,
            "memory      memtables {}, tables {}, cache {} of {}; budget {}",
            b(self.memtable_bytes),
            b(self.table_memory_bytes),
            b(self.cache.used_bytes),
            b(self.cache.capacity_bytes),
            b(self.memory_budget_bytes)
        )?;
        writeln!(
            f,
            "disk        {} tables in {} runs, {}; logs {}",
            self.tables,
            self.runs,
            b(self.table_bytes),
            b(self.live_log_bytes)
        )?;
        write!(
            f,
            "pressure    {:.2}, debt {}; {} stalls, {:.2?} in all, longest {:.2?}; {} refused; {} snapshots",
            self.pressure,
            b(self.compaction_debt_bytes),
            self.stalls,
            self.stall_time,
            self.stall_time_max,
            self.refused,
            self.snapshots
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_shards_are_given_once() {
        let numbers: Vec<usize> = (0..1000).map(shard_of).collect();
        assert!((0..OWNED).all(|shard| numbers.iter().filter(|given| **given == shard).count() == 1));
        assert!((OWNED..SHARDS).all(|shard| numbers.contains(&shard)));
        assert!(numbers.iter().all(|shard| *shard < SHARDS));
    }

    #[test]
    fn no_count_is_lost_by_more_threads_than_shards() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).map(|_| counter.add(1)).for_each(drop));
            }
        });
        assert_eq!(counter.get(), 2 * SHARDS as u64 * 1000);
    }
}
