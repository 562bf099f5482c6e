//! A store that is a `BTreeMap` behind a lock.
//!
//! The oracle of the harness's own tests, and the answer to "what does the harness itself cost": its rows show what remains when a
//! database takes no time. It keeps its data for the next open of the same folder, as long as its factory lives.

use crate::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, StoreStats, Visitor,
};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

type Map = Arc<RwLock<BTreeMap<Vec<u8>, Vec<u8>>>>;

/// A `BTreeMap` behind a lock.
#[derive(Debug, Default)]
pub struct MemoryStore {
    map: Map,
    user_bytes: AtomicU64,
}

/// Opens [`MemoryStore`]s.
#[derive(Debug, Default)]
pub struct MemoryFactory {
    folders: Mutex<HashMap<PathBuf, Map>>,
}

impl StoreFactory for MemoryFactory {
    fn parts(&self) -> Parts {
        Parts {
            engine: "memory",
            version: env!("CARGO_PKG_VERSION"),
            memtable: "std-btreemap",
            picker: "-",
            log: "-",
            filter: "-",
            cache: "-",
            compression: "-",
            table: "-",
            log_keeps: false,
        }
    }

    fn open(&self, dir: &Path, _settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let map = Arc::clone(folders.entry(dir.to_path_buf()).or_default());
        Ok(Box::new(MemoryStore { map, user_bytes: AtomicU64::new(0) }))
    }
}

impl MemoryStore {
    fn apply(&self, writes: &[BatchWrite<'_>]) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in writes {
            let bytes = key.len() + value.map_or(0, <[u8]>::len);
            self.user_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            match value {
                Some(value) => {
                    map.insert(key.to_vec(), value.to_vec());
                }
                None => {
                    map.remove(*key);
                }
            }
        }
    }
}

impl Store for MemoryStore {
    fn put(&self, key: &[u8], value: &[u8], _durability: Durability) -> StoreResult<()> {
        self.apply(&[(key, Some(value))]);
        Ok(())
    }

    fn delete(&self, key: &[u8], _durability: Durability) -> StoreResult<()> {
        self.apply(&[(key, None)]);
        Ok(())
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], _durability: Durability) -> StoreResult<()> {
        self.apply(writes);
        Ok(())
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(key).map(|value| visit(value)).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let mut shown = 0;
        for (key, value) in map.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).take(count) {
            visit(key, value);
            shown += 1;
        }
        Ok(shown)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        match direction {
            Direction::Forward => map.iter().for_each(|(key, value)| visit(key, value)),
            Direction::Backward => map.iter().rev().for_each(|(key, value)| visit(key, value)),
        }
        Ok(map.len() as u64)
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
        StoreStats {
            user_bytes_written: Some(self.user_bytes.load(Ordering::Relaxed)),
            file_bytes_written: Some(0),
            ..StoreStats::default()
        }
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}
