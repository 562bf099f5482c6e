//! LMDB, through the crate `heed`, which compiles the C library.
//!
//! A copy-on-write B-tree in a memory map: reads are of the page cache itself, so that the setting of a cache means nothing to it, and its
//! resident memory counts mapped file pages. Process-safe is `MDB_NOSYNC`: commits are written by calls and not synced. It has no
//! memtable, filters, compression or background work.

use crate::NO_PARTS;
use crate::tally::Tally;
use heed::types::Bytes;
use heed::{Env, EnvFlags, EnvOpenOptions, FlagSetMode};
use std::ops::Bound;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreError, StoreFactory, StoreResult,
    StoreStats, Visitor,
};

/// Address space, not memory: more than any run needs.
const MAP_BYTES: usize = 1 << 38;

/// The one kind that there is.
pub(crate) fn factories() -> Vec<Box<dyn StoreFactory>> {
    vec![Box::new(LmdbFactory)]
}

struct LmdbFactory;

impl StoreFactory for LmdbFactory {
    fn parts(&self) -> Parts {
        Parts { engine: "lmdb", version: "0.9.70", cache: "page-cache", ..NO_PARTS }
    }

    fn open(&self, dir: &Path, _settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: with NO_SYNC a loss of power may damage the database, which the harness then does not read again.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
        // SAFETY: nobody else changes the file while it is mapped: the folder is the harness's own.
        let env = named("open", unsafe { options.open(dir) })?;
        let mut begin = named("open", env.write_txn())?;
        let data = named("open", env.create_database(&mut begin, None))?;
        named("open", begin.commit())?;
        Ok(Box::new(LmdbStore { env, data, syncs: RwLock::new(false), tally: Tally::begin() }))
    }
}

struct LmdbStore {
    env: Env,
    data: heed::Database<Bytes, Bytes>,
    /// Whether commits sync at present; held for reading by writers, for writing to change it.
    syncs: RwLock<bool>,
    tally: Tally,
}

fn named<T>(operation: &'static str, result: heed::Result<T>) -> StoreResult<T> {
    result.map_err(|error| StoreError::new(operation, error))
}

impl LmdbStore {
    fn write(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let wanted = durability == Durability::Synced;
        loop {
            let syncs = self.syncs.read().unwrap_or_else(PoisonError::into_inner);
            if *syncs == wanted {
                return self.commit(writes);
            }
            drop(syncs);
            self.switch(wanted)?;
        }
    }

    fn switch(&self, wanted: bool) -> StoreResult<()> {
        let mut syncs = self.syncs.write().unwrap_or_else(PoisonError::into_inner);
        let mode = if wanted { FlagSetMode::Disable } else { FlagSetMode::Enable };
        // SAFETY: no write transaction is under way: writers hold `syncs` for reading.
        named("flags", unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode) })?;
        *syncs = wanted;
        Ok(())
    }

    fn commit(&self, writes: &[BatchWrite<'_>]) -> StoreResult<()> {
        let mut write = named("begin", self.env.write_txn())?;
        for (key, value) in writes {
            match value {
                Some(value) => named("put", self.data.put(&mut write, key, value))?,
                None => named("delete", self.data.delete(&mut write, key)).map(drop)?,
            }
        }
        named("commit", write.commit())
    }
}

impl Store for LmdbStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        self.tally.add(key, Some(value));
        self.write(&[(key, Some(value))], durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        self.tally.add(key, None);
        self.write(&[(key, None)], durability)
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        self.tally.add_all(writes);
        self.write(writes, durability)
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let read = named("begin", self.env.read_txn())?;
        let found = named("get", self.data.get(&read, key))?;
        Ok(found.map(visit).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        let read = named("begin", self.env.read_txn())?;
        let range = (Bound::Included(from), Bound::Unbounded);
        let mut shown = 0;
        for pair in named("scan", self.data.range(&read, &range))?.take(count) {
            let (key, value) = named("scan", pair)?;
            visit(key, value);
            shown += 1;
        }
        Ok(shown)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let read = named("begin", self.env.read_txn())?;
        let mut shown = 0;
        let mut show = |pair| {
            let (key, value) = named("scan", pair)?;
            visit(key, value);
            shown += 1;
            Ok(())
        };
        match direction {
            Direction::Forward => named("scan", self.data.iter(&read))?.try_for_each(&mut show)?,
            Direction::Backward => named("scan", self.data.rev_iter(&read))?.try_for_each(&mut show)?,
        }
        Ok(shown)
    }

    fn flush(&self) -> StoreResult<()> {
        Ok(())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        Ok(())
    }

    fn compact(&self) -> StoreResult<()> {
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        self.tally.stats()
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}
