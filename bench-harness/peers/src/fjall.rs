//! fjall 3: an LSM tree in Rust.
//!
//! Set alike with terrace: sizes, filters (its own default is sharper in level 0), compression by level, threads, block size. It has one
//! mode of journal for a whole database, so `none` writes are process-safe all the same. It tells nobody when its background work is done:
//! the store is at rest when nothing has moved for some milliseconds, which its drain times hold.

use crate::peer::{Counted, Peer, named, pause};
use crate::scan::each;
use crate::{BLOCK_BYTES, NO_PARTS};
use ::fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use ::fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, Visitor,
};

/// So many looks without a change mean rest.
const QUIET_LOOKS: u32 = 15;

/// With LZ4, and without compression.
pub(crate) fn factories() -> Vec<Box<dyn StoreFactory>> {
    [true, false].into_iter().map(|lz4| Box::new(FjallFactory { lz4 }) as Box<dyn StoreFactory>).collect()
}

struct FjallFactory {
    lz4: bool,
}

impl StoreFactory for FjallFactory {
    fn parts(&self) -> Parts {
        Parts {
            engine: "fjall",
            version: "3.1.13",
            memtable: "skiplist",
            picker: "leveled",
            log: "buffered",
            filter: "bloom",
            cache: "quick",
            compression: if self.lz4 { "lz4" } else { "none" },
            table: "block",
            ..NO_PARTS
        }
    }

    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let builder = Database::builder(dir)
            .cache_size(settings.cache_bytes as u64)
            .worker_threads(settings.background_threads);
        let db = named("open", builder.open())?;
        let deep = if self.lz4 { CompressionType::Lz4 } else { CompressionType::None };
        let none = vec![CompressionType::None; settings.uncompressed_levels];
        let compression = CompressionPolicy::new([none, vec![deep]].concat());
        let bits = settings.filter_bits_per_key as f32;
        let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(bits));
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(settings.memtable_bytes as u64)
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .data_block_compression_policy(compression)
                .filter_policy(FilterPolicy::all(filter))
        };
        let data = named("open", db.keyspace("data", options))?;
        Ok(Counted::store(FjallStore { db, data }))
    }
}

struct FjallStore {
    db: Database,
    data: Keyspace,
}

fn show(pair: Guard, visit: &mut Visitor<'_>) -> StoreResult<()> {
    let (key, value) = named("scan", pair.into_inner())?;
    visit(&key, &value);
    Ok(())
}

impl FjallStore {
    fn sync(&self, durability: Durability) -> StoreResult<()> {
        match durability {
            Durability::Synced => named("sync", self.db.persist(PersistMode::SyncData)),
            Durability::None | Durability::PageCache => Ok(()),
        }
    }

    /// What changes while background work goes on.
    fn state(&self) -> [usize; 6] {
        [
            self.db.outstanding_flushes(),
            self.db.active_compactions(),
            self.data.sealed_memtable_count(),
            self.db.compactions_completed(),
            self.data.l0_table_count(),
            self.data.table_count(),
        ]
    }
}

impl Peer for FjallStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        named("put", self.data.insert(key, value))?;
        self.sync(durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        named("delete", self.data.remove(key))?;
        self.sync(durability)
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let mode = match durability {
            Durability::None | Durability::PageCache => PersistMode::Buffer,
            Durability::Synced => PersistMode::SyncData,
        };
        let mut batch = self.db.batch().durability(Some(mode));
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&self.data, *key, *value),
                None => batch.remove(&self.data, *key),
            }
        }
        named("write", batch.commit())
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let found = named("get", self.data.get(key))?;
        Ok(found.map(|value| visit(&value)).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        each(self.data.range(from..).take(count), |pair| show(pair, visit))
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let all = self.data.iter();
        match direction {
            Direction::Forward => each(all, |pair| show(pair, visit)),
            Direction::Backward => each(all.rev(), |pair| show(pair, visit)),
        }
    }

    fn flush(&self) -> StoreResult<()> {
        named("flush", self.data.rotate_memtable_and_wait())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        let (mut last, mut quiet) = (self.state(), 0);
        while quiet < QUIET_LOOKS {
            pause();
            let state = self.state();
            let busy = state[..3].iter().any(|count| *count > 0);
            quiet = if busy || state != last { 0 } else { quiet + 1 };
            last = state;
        }
        Ok(())
    }

    fn compact(&self) -> StoreResult<()> {
        named("compact", self.data.major_compact())
    }

    fn tables(&self) -> Option<(u64, u64)> {
        Some((self.data.table_count() as u64, self.data.disk_space()))
    }

    fn close(self) -> StoreResult<()> {
        named("close", self.db.persist(PersistMode::Buffer))
    }
}
