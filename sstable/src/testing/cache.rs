//! The suite for block caches.

use bytes::Bytes;
use terrace_entry::testing::next_random;

use crate::{BlockCache, BlockKey};

/// Sizes of capacity, in bytes, that the suite uses.
const CAPACITY_BYTES: u64 = 2 << 20;
const BLOCK_BYTES: usize = 4000;

/// Checks every law of [`BlockCache`]: what is returned is what was inserted, the capacity holds at every moment, also while it changes and
/// while several threads insert.
///
/// A cache that keeps nothing passes too.
///
/// # Panics
///
/// With both numbers, at the first law broken.
pub fn check_block_cache<C: BlockCache>() {
    keys_are_told_apart::<C>();
    capacity_holds_while_blocks_come::<C>();
    shrinking_evicts_at_once::<C>();
    large_and_zero::<C>();
    threads_see_only_what_was_inserted::<C>();
}

/// A block that says for which key it is.
fn block_for(key: BlockKey, len: usize) -> Bytes {
    let mut bytes = vec![key.offset as u8; len.max(16)];
    bytes[..8].copy_from_slice(&key.file_number.to_le_bytes());
    bytes[8..16].copy_from_slice(&key.offset.to_le_bytes());
    Bytes::from(bytes)
}

fn key(file_number: u64, block: u64) -> BlockKey {
    BlockKey { file_number, offset: block * BLOCK_BYTES as u64 }
}

fn check_capacity<C: BlockCache>(cache: &C, largest: u64) {
    let stats = cache.stats();
    let limit = stats.capacity_bytes + largest;
    assert!(stats.used_bytes <= limit, "{} bytes held of {limit}", stats.used_bytes);
}

fn keys_are_told_apart<C: BlockCache>() {
    let cache = C::new(CAPACITY_BYTES);
    let keys: Vec<BlockKey> = (0..10).flat_map(|file| (0..10).map(move |block| key(file, block))).collect();
    assert!(keys.iter().all(|&key| cache.get(key).is_none()), "a new cache holds nothing");
    for &key in &keys {
        cache.insert(key, block_for(key, 100));
    }
    let mut held = 0;
    for &key in &keys {
        if let Some(block) = cache.get(key) {
            assert_eq!(block, block_for(key, 100));
            held += 1;
        }
    }
    let stats = cache.stats();
    let keeps = stats.capacity_bytes > 0;
    assert_eq!(stats.hits, held, "every block returned is a hit");
    assert_eq!(stats.misses, if keeps { 200 - held } else { 0 }, "every other look-up is a miss");
    assert!(!keeps || held == 100, "a hundred small blocks fit, and {held} are held");
    // A second insert of the same key: what is returned is one of the two, and the same every time.
    cache.insert(keys[0], block_for(keys[1], 200));
    if let Some(block) = cache.get(keys[0]) {
        assert_eq!(block, block_for(keys[1], 200));
    }
}

fn capacity_holds_while_blocks_come<C: BlockCache>() {
    let cache = C::new(CAPACITY_BYTES);
    let mut state = 5;
    for number in 0..4000 {
        let key = key(1, number);
        let len = next_random(&mut state) as usize % (2 * BLOCK_BYTES);
        cache.insert(key, block_for(key, len));
        check_capacity(&cache, 0);
        if let Some(block) = cache.get(key) {
            assert_eq!(block, block_for(key, len));
        }
    }
    let stats = cache.stats();
    assert!(
        stats.used_bytes * 2 >= stats.capacity_bytes,
        "less than half of the capacity is used: {stats:?}"
    );
}

fn shrinking_evicts_at_once<C: BlockCache>() {
    let cache = C::new(CAPACITY_BYTES);
    for number in 0..2000 {
        cache.insert(key(1, number), block_for(key(1, number), BLOCK_BYTES));
    }
    for capacity in [CAPACITY_BYTES / 2, CAPACITY_BYTES / 10, 0, CAPACITY_BYTES] {
        cache.set_capacity(capacity);
        let stats = cache.stats();
        assert!(stats.capacity_bytes == capacity || stats.capacity_bytes == 0, "{stats:?}");
        check_capacity(&cache, 0);
        for number in 0..500 {
            cache.insert(key(2, number), block_for(key(2, number), BLOCK_BYTES));
            check_capacity(&cache, 0);
        }
    }
    let stats = cache.stats();
    assert!(
        stats.used_bytes * 2 >= stats.capacity_bytes,
        "a cache made larger again is used again: {stats:?}"
    );
}

fn large_and_zero<C: BlockCache>() {
    let cache = C::new(CAPACITY_BYTES);
    cache.insert(key(1, 1), block_for(key(1, 1), CAPACITY_BYTES as usize * 2));
    check_capacity(&cache, 0);
    let nothing = C::new(0);
    nothing.insert(key(1, 1), block_for(key(1, 1), 100));
    check_capacity(&nothing, 0);
}

fn threads_see_only_what_was_inserted<C: BlockCache>() {
    let cache = &C::new(CAPACITY_BYTES / 4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut state = thread;
                for step in 0..5000 {
                    let random = next_random(&mut state);
                    let key = key(random % 3, (random >> 8) % 300);
                    match cache.get(key) {
                        Some(block) => assert_eq!(block, block_for(key, BLOCK_BYTES)),
                        None => cache.insert(key, block_for(key, BLOCK_BYTES)),
                    }
                    if thread == 0 && step % 1000 == 0 {
                        cache.set_capacity(CAPACITY_BYTES / (4 + step / 1000));
                    }
                }
            });
        }
    });
    check_capacity(cache, 0);
}
