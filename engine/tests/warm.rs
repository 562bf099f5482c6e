//! A merge leaves the cache as warm as it was.

mod sim;

use sim::Sim;
use std::sync::{Arc, Mutex};
use terrace::{AnyPolicy, DefaultMemTable, Engine, Parts};
use terrace_sstable::{BlockCache, CacheStats, SlotCache, Slots};
use terrace_vfs::MemVfs;

const KEYS: u32 = 20_000;
/// What is read and what is not must differ by more than the blocks at the border.
const BORDER_BLOCKS: u64 = 20;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Three runs over the same range, no block of which is cached.
fn three_runs<P: Parts>(warm_cache_after_merge: bool, cache_bytes: u64) -> (Sim, Engine<P>) {
    let sim = Sim::over(&MemVfs::new());
    let db = sim
        .builder::<P>()
        .vain_read_bytes(None)
        .warm_cache_after_merge(warm_cache_after_merge)
        .cache_bytes(cache_bytes)
        .table_bytes(256 << 10)
        .open()
        .unwrap();
    for first in 0..3 {
        for number in (first..KEYS).step_by(3) {
            db.put(key(number), [7; 60]).unwrap();
        }
        db.flush().unwrap();
    }
    db.wait_for_background().unwrap();
    assert_eq!(db.stats().runs, 3);
    (sim, db)
}

fn read<P: Parts>(db: &Engine<P>, keys: std::ops::Range<u32>) {
    for number in keys {
        assert_eq!(db.get(key(number)).unwrap().as_deref(), Some(&[7; 60][..]));
    }
}

/// Blocks that are missed when these keys are read.
fn misses<P: Parts>(db: &Engine<P>, keys: std::ops::Range<u32>) -> u64 {
    let before = db.stats().cache.misses;
    read(db, keys);
    db.stats().cache.misses - before
}

#[test]
fn what_was_cached_is_cached_after_a_merge() {
    let (_sim, db) = three_runs::<AnyPolicy>(true, 64 << 20);
    read(&db, 0..KEYS);
    db.compact().unwrap();
    let stats = db.stats();
    assert!(stats.runs == 1 && stats.tables > 3, "several tables in one run: {stats}");
    assert!(stats.warmed_blocks > 300, "{stats}");
    assert_eq!(misses(&db, 0..KEYS), 0);
}

#[test]
fn what_was_not_cached_is_not_brought() {
    let (_sim, db) = three_runs::<AnyPolicy>(true, 64 << 20);
    read(&db, KEYS / 4..KEYS / 2);
    db.compact().unwrap();
    let warmed = db.stats().warmed_blocks;
    let missed = misses(&db, KEYS / 4..KEYS / 2);
    assert!(missed <= BORDER_BLOCKS, "{missed} of what was read before");
    let cold = misses(&db, 0..KEYS);
    assert!(3 * warmed <= cold + 3 * BORDER_BLOCKS, "a quarter was read: {warmed} warm, {cold} cold");
}

#[test]
fn nothing_is_brought_when_nobody_read_or_wants_it() {
    let (_sim, db) = three_runs::<AnyPolicy>(true, 64 << 20);
    db.compact().unwrap();
    assert_eq!(db.stats().warmed_blocks, 0);
    let (_sim, db) = three_runs::<AnyPolicy>(false, 64 << 20);
    read(&db, 0..KEYS);
    db.compact().unwrap();
    assert_eq!(db.stats().warmed_blocks, 0);
    assert!(misses(&db, 0..KEYS) > 300);
}

#[test]
fn a_small_cache_is_not_overfilled() {
    let (_sim, db) = three_runs::<AnyPolicy>(true, 400 << 10);
    read(&db, 0..KEYS);
    db.compact().unwrap();
    let stats = db.stats();
    assert!(stats.warmed_blocks > 0 && stats.cache.used_bytes <= stats.cache.capacity_bytes, "{stats}");
    read(&db, 0..KEYS);
}

/// A reader that came before the merge goes on with the blocks that it has, and they take no room for ever.
#[test]
fn a_scan_under_way_goes_on() {
    let (sim, db) = three_runs::<AnyPolicy>(true, 64 << 20);
    read(&db, 0..KEYS);
    let mut scan = db.iter();
    let first: Vec<_> = scan.by_ref().take(100).map(|pair| pair.unwrap().0).collect();
    db.compact().unwrap();
    let rest = scan.by_ref().filter(|pair| pair.is_ok()).count();
    assert_eq!(first.len() + rest, KEYS as usize);
    drop(scan);
    while sim.executor.run_one() {}
    assert_eq!(misses(&db, 0..KEYS), 0);
}

/// The stock cache, which notes when memory is kept from and until.
#[derive(Debug)]
struct WatchedCache(Arc<SlotCache>);

/// What was there at each begin and each end, of the one test that has such a cache: an engine does not lend its own.
static NOTED: Mutex<Vec<(bool, CacheStats)>> = Mutex::new(Vec::new());

impl BlockCache for WatchedCache {
    const NAME: &'static str = "watched";

    type Table = Slots;

    fn new(capacity_bytes: u64) -> Self {
        WatchedCache(Arc::new(SlotCache::new(capacity_bytes)))
    }

    fn table(self: &Arc<Self>, file_number: u64, blocks: usize) -> Slots {
        self.0.table(file_number, blocks)
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.0.set_capacity(capacity_bytes);
    }

    fn keep_memory(&self, keep: bool) {
        NOTED.lock().unwrap().push((keep, self.stats()));
        self.0.keep_memory(keep);
    }

    fn stats(&self) -> CacheStats {
        self.0.stats()
    }
}

#[test]
fn memory_of_the_inputs_becomes_that_of_the_outputs() {
    let (_sim, db) = three_runs::<AnyPolicy<DefaultMemTable, WatchedCache>>(true, 64 << 20);
    read(&db, 0..KEYS);
    let before = db.stats().cache.used_bytes;
    db.compact().unwrap();
    let noted = core::mem::take(&mut *NOTED.lock().unwrap());
    let [(true, begin), (false, end)] = noted[..] else { panic!("{noted:?}") };
    assert_eq!(begin.used_bytes, before, "it begins while the inputs are there");
    assert!(end.used_bytes > before / 2 && end.kept_bytes > 0 && end.kept_bytes < before / 4, "{end:?}");
    assert_eq!(db.stats().cache.kept_bytes, 0);
}
