//! RocksDB, through the crate `rocksdb`, which compiles the C++ library.
//!
//! Set alike with terrace: sizes, filters, compression by level, threads, block size. Left at its defaults: the block cache's kind
//! (hyper clock), dynamic level sizes, checksums of blocks verified on reads, index and filter blocks outside of the cache.

use crate::peer::{Counted, Peer, named};
use crate::scan::{Position, from_position};
use crate::{BLOCK_BYTES, MEMTABLES_MAX, NO_PARTS};
use ::rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    DBRawIterator, Options, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions,
};
use std::path::Path;
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, Visitor,
};

const LEVELS: usize = 7;

/// With LZ4, and without compression.
pub(crate) fn factories() -> Vec<Box<dyn StoreFactory>> {
    [true, false].into_iter().map(|lz4| Box::new(RocksFactory { lz4 }) as Box<dyn StoreFactory>).collect()
}

struct RocksFactory {
    lz4: bool,
}

impl StoreFactory for RocksFactory {
    fn parts(&self) -> Parts {
        Parts {
            engine: "rocksdb",
            version: "11.8.1",
            memtable: "skiplist",
            picker: "leveled",
            log: "buffered",
            filter: "bloom",
            cache: "hyper-clock",
            compression: if self.lz4 { "lz4" } else { "none" },
            table: "block",
            ..NO_PARTS
        }
    }

    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let mut table = BlockBasedOptions::default();
        table.set_block_size(BLOCK_BYTES as usize);
        // Zero: it finds the size of its entries out, as its default cache does.
        table.set_block_cache(&Cache::new_hyper_clock_cache(settings.cache_bytes, 0));
        table.set_bloom_filter(f64::from(settings.filter_bits_per_key), false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(settings.memtable_bytes);
        options.set_max_write_buffer_number(MEMTABLES_MAX);
        options.set_max_background_jobs(settings.background_threads as i32);
        options.set_target_file_size_base(settings.memtable_bytes.min(64 << 20) as u64);
        let deep = if self.lz4 { DBCompressionType::Lz4 } else { DBCompressionType::None };
        let mut levels = [deep; LEVELS];
        levels[..settings.uncompressed_levels.min(LEVELS)].fill(DBCompressionType::None);
        options.set_compression_per_level(&levels);
        Ok(Counted::store(RocksStore { db: named("open", DB::open(&options, dir))? }))
    }
}

struct RocksStore {
    db: DB,
}

impl Position for DBRawIterator<'_> {
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

fn durable(durability: Durability) -> WriteOptions {
    let mut options = WriteOptions::default();
    match durability {
        Durability::None => options.disable_wal(true),
        Durability::PageCache => {}
        Durability::Synced => options.set_sync(true),
    }
    options
}

impl Peer for RocksStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        match durability {
            // Without options of its own made for each call.
            Durability::PageCache => named("put", self.db.put(key, value)),
            other => named("put", self.db.put_opt(key, value, &durable(other))),
        }
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        named("delete", self.db.delete_opt(key, &durable(durability)))
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        named("write", self.db.write_opt(batch, &durable(durability)))
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let found = named("get", self.db.get_pinned(key))?;
        Ok(found.map(|value| visit(&value)).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let mut iter = self.db.raw_iterator_opt(ReadOptions::default());
        iter.seek(from);
        from_position(iter, Direction::Forward, count as u64, visit)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let mut iter = self.db.raw_iterator_opt(ReadOptions::default());
        match direction {
            Direction::Forward => iter.seek_to_first(),
            Direction::Backward => iter.seek_to_last(),
        }
        from_position(iter, direction, u64::MAX, visit)
    }

    fn flush(&self) -> StoreResult<()> {
        named("flush", self.db.flush())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        named("wait", self.db.wait_for_compact(&WaitForCompactOptions::default()))
    }

    fn compact(&self) -> StoreResult<()> {
        // By default it leaves the last level alone where nothing has to go.
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn tables(&self) -> Option<(u64, u64)> {
        let files = self.db.live_files().ok()?;
        Some((files.len() as u64, files.iter().map(|file| file.size as u64).sum()))
    }

    fn close(self) -> StoreResult<()> {
        named("close", self.db.flush_wal(false))
    }
}
