//! LMDB, through the crate `heed`, which compiles the C library.
//!
//! A copy-on-write B-tree in a memory map: reads are of the page cache itself, so that the setting of a cache means nothing to it, and its
//! resident memory counts mapped file pages. Process-safe is `MDB_NOSYNC`: commits are written by calls and not synced. It has no
//! memtable, filters, compression or background work.

use crate::NO_PARTS;
use crate::peer::{Counted, Peer, named};
use crate::scan::each;
use heed::types::Bytes;
use heed::{Env, EnvFlags, EnvOpenOptions, FlagSetMode};
use std::ops::Bound;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, Visitor,
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
        Ok(Counted::store(LmdbStore { env, data, syncs: RwLock::new(false) }))
    }
}

struct LmdbStore {
    env: Env,
    data: heed::Database<Bytes, Bytes>,
    /// Whether commits sync at present; held for reading by writers, for writing to change it.
    syncs: RwLock<bool>,
}

fn show(pair: heed::Result<(&[u8], &[u8])>, visit: &mut Visitor<'_>) -> StoreResult<()> {
    let (key, value) = named("scan", pair)?;
    visit(key, value);
    Ok(())
}

impl LmdbStore {
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

impl Peer for LmdbStore {
    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
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

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let read = named("begin", self.env.read_txn())?;
        let found = named("get", self.data.get(&read, key))?;
        Ok(found.map(visit).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let read = named("begin", self.env.read_txn())?;
        let range = (Bound::Included(from), Bound::Unbounded);
        let pairs = named("scan", self.data.range(&read, &range))?;
        each(pairs.take(count), |pair| show(pair, visit))
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let read = named("begin", self.env.read_txn())?;
        match direction {
            Direction::Forward => each(named("scan", self.data.iter(&read))?, |pair| show(pair, visit)),
            Direction::Backward => each(named("scan", self.data.rev_iter(&read))?, |pair| show(pair, visit)),
        }
    }
}
