//! LevelDB, through the crate `leveldb-sys`, which compiles the C++ library (version 1.22, with Snappy).
//!
//! Set alike with terrace: memtable, cache, filters, block size; checksums of blocks are verified on reads, as the others do. It has no setting
//! for: threads (one in the background), memtables that wait (one), table size (2 MiB) and first level (10 MiB). Its compression is Snappy, on
//! all levels, or none; its crc32c is the portable one, as the crate builds it. It does not say when its background work is done: the
//! store is at rest when no level is above the size at which a compaction begins.

mod handle;

use crate::peer::{Counted, Peer, named, pause};
use crate::scan::{Position, from_position};
use crate::{BLOCK_BYTES, NO_PARTS};
use handle::{Batch, Db, Iter, Sizes};
use std::path::Path;
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, Visitor,
};

/// Tables in level 0 at which it compacts, and the size of level 1; each further level may be ten times as large (db/version_set.cc).
const L0_TABLES: usize = 4;
const L1_BYTES: f64 = 10.0 * 1_048_576.0;

/// With Snappy, and without compression.
pub(crate) fn factories() -> Vec<Box<dyn StoreFactory>> {
    [true, false]
        .into_iter()
        .map(|snappy| Box::new(LevelFactory { snappy }) as Box<dyn StoreFactory>)
        .collect()
}

struct LevelFactory {
    snappy: bool,
}

impl StoreFactory for LevelFactory {
    fn parts(&self) -> Parts {
        Parts {
            engine: "leveldb",
            version: "1.22",
            memtable: "skiplist",
            picker: "leveled",
            log: "buffered",
            filter: "bloom",
            cache: "lru",
            compression: if self.snappy { "snappy" } else { "none" },
            table: "block",
            ..NO_PARTS
        }
    }

    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let sizes = Sizes {
            memtable_bytes: settings.memtable_bytes,
            cache_bytes: settings.cache_bytes,
            block_bytes: BLOCK_BYTES as usize,
            filter_bits: settings.filter_bits_per_key as i32,
            snappy: self.snappy,
        };
        Ok(Counted::store(LevelStore { db: named("open", Db::open(dir, &sizes))? }))
    }
}

struct LevelStore {
    db: Db,
}

impl Position for Iter<'_> {
    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.item()
    }

    fn step(&mut self, direction: Direction) {
        match direction {
            Direction::Forward => self.next(),
            Direction::Backward => self.prev(),
        }
    }

    fn status(&self) -> StoreResult<()> {
        named("scan", self.status())
    }
}

impl Peer for LevelStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        named("put", self.db.put(key, value, durability == Durability::Synced))
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        named("delete", self.db.delete(key, durability == Durability::Synced))
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let mut batch = Batch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        named("write", self.db.write(&mut batch, durability == Durability::Synced))
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let found = named("get", self.db.get(key))?;
        Ok(found.map(|value| visit(value.bytes())).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let mut iter = self.db.iter();
        iter.seek(from);
        from_position(iter, Direction::Forward, count as u64, visit)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let mut iter = self.db.iter();
        match direction {
            Direction::Forward => iter.seek_to_first(),
            Direction::Backward => iter.seek_to_last(),
        }
        from_position(iter, direction, u64::MAX, visit)
    }

    fn flush(&self) -> StoreResult<()> {
        // It has no flush. Compacting a range that holds nothing flushes the memtable, waits for that, and does nothing else.
        self.db.compact(Some([0xff; 32].as_slice()));
        Ok(())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        while debt(&named("wait", self.db.property("leveldb.sstables"))?) {
            pause();
        }
        Ok(())
    }

    fn compact(&self) -> StoreResult<()> {
        self.db.compact(None);
        Ok(())
    }

    fn tables(&self) -> Option<(u64, u64)> {
        let tables = self.db.property("leveldb.sstables").ok()?;
        let sizes: Vec<f64> = tables.lines().filter_map(table_bytes).collect();
        Some((sizes.len() as u64, sizes.iter().sum::<f64>() as u64))
    }
}

/// Whether a level is so large that a compaction is due, by the list of all tables (`--- level 1 ---`, then ` 7:2117['a' .. 'b']`).
fn debt(tables: &str) -> bool {
    let (mut level, mut count, mut bytes, mut due) = (0, 0, 0.0, false);
    for line in tables.lines().chain(std::iter::once("--- level 0 ---")) {
        if let Some(next) =
            line.strip_prefix("--- level ").and_then(|rest| rest.split(' ').next()?.parse::<i32>().ok())
        {
            due |= match level {
                0 => count >= L0_TABLES,
                deeper => bytes >= L1_BYTES * 10f64.powi(deeper - 1),
            };
            (level, count, bytes) = (next, 0, 0.0);
        } else if let Some(size) = table_bytes(line) {
            count += 1;
            bytes += size;
        }
    }
    due
}

/// The size of a table, from its line in the list of all.
fn table_bytes(line: &str) -> Option<f64> {
    line.split_once(':').and_then(|(_, rest)| rest.split('[').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{debt, table_bytes};

    #[test]
    fn debt_is_read_from_the_list_of_tables() {
        let level = |n: u32, sizes: &[u64]| {
            let lines = sizes.iter().map(|size| format!(" 12:{size}['a' @ 1 : 1 .. 'b' @ 2 : 1]\n"));
            format!("--- level {n} ---\n{}", lines.collect::<String>())
        };
        assert!(!debt(&(level(0, &[5; 3]) + &level(1, &[10_000_000]))));
        assert!(debt(&(level(0, &[5; 4]) + &level(1, &[]))));
        assert!(debt(&(level(0, &[]) + &level(1, &[5_000_000, 6_000_000]))));
        assert!(!debt(&(level(0, &[]) + &level(1, &[]) + &level(2, &[99_000_000]))));
        assert!(debt(&(level(1, &[]) + &level(2, &[109_000_000]))));
        let sizes: Vec<f64> = level(1, &[7, 12]).lines().filter_map(table_bytes).collect();
        assert_eq!(sizes, [7.0, 12.0]);
    }
}
