//! The suite for block caches.

use bytes::Bytes;
use std::sync::Arc;
use terrace_entry::testing::next_random;

use crate::{BlockCache, TableBlocks};

/// Sizes of capacity, in bytes, that the suite uses.
const CAPACITY_BYTES: u64 = 2 << 20;
const BLOCK_BYTES: usize = 4000;

/// Checks every law of [`BlockCache`]: what is returned is what was inserted, the capacity holds at every moment, also while it changes, while memory is
/// kept and while several threads insert.
///
/// A cache that keeps nothing passes too.
///
/// # Panics
///
/// With both numbers, at the first law broken.
pub fn check_block_cache<C: BlockCache>() {
    blocks_are_told_apart::<C>();
    tables_come_and_go::<C>();
    capacity_holds_while_blocks_come::<C>();
    shrinking_evicts_at_once::<C>();
    large_and_zero::<C>();
    nobody_gives_way_for_what_was_not_asked_for::<C>();
    memory_is_handed_over_within_the_capacity::<C>();
    threads_see_only_what_was_inserted::<C>();
}

/// A block that says whose it is.
fn block_for(file_number: u64, number: usize, len: usize) -> Bytes {
    let mut bytes = vec![number as u8; len.max(16)];
    bytes[..8].copy_from_slice(&file_number.to_le_bytes());
    bytes[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    Bytes::from(bytes)
}

/// Inserts a block as who read it does: in memory that the cache had for it, or else its own.
fn insert_read<T: TableBlocks>(table: &T, number: usize, block: &Bytes) {
    let mut memory = table.memory_for(number, block.len());
    let capacity = memory.capacity();
    assert!(capacity == 0 || capacity >= block.len(), "{capacity} bytes of memory for {}", block.len());
    memory.clear();
    memory.extend_from_slice(block);
    table.insert(number, Bytes::from(memory));
}

fn check_capacity<C: BlockCache>(cache: &C, largest: u64) {
    let stats = cache.stats();
    let limit = stats.capacity_bytes + largest;
    assert!(stats.used_bytes + stats.kept_bytes <= limit, "more than {limit} bytes: {stats:?}");
}

fn blocks_are_told_apart<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let tables: Vec<C::Table> = (0..10).map(|file_number| cache.table(file_number, 10)).collect();
    let all = || (0..10).flat_map(|table| (0..10).map(move |number| (table, number)));
    assert!(all().all(|(table, number)| tables[table].get(number).is_none()), "a new cache holds nothing");
    for (table, number) in all() {
        tables[table].insert(number, block_for(table as u64, number, 100));
    }
    let mut held = 0;
    for (table, number) in all() {
        if let Some(block) = tables[table].get(number) {
            assert_eq!(block, block_for(table as u64, number, 100));
            held += 1;
        }
    }
    let stats = cache.stats();
    let keeps = stats.capacity_bytes > 0;
    assert_eq!(stats.hits, held, "every block returned is a hit");
    assert_eq!(stats.misses, if keeps { 200 - held } else { 0 }, "every other look-up is a miss");
    assert!(!keeps || held == 100, "a hundred small blocks fit, and {held} are held");
    // A second insert of the same block: what is returned is the newer, and the bytes held are counted once.
    tables[0].insert(0, block_for(1, 1, 200));
    if let Some(block) = tables[0].get(0) {
        assert_eq!(block, block_for(1, 1, 200));
    }
    let used = cache.stats().used_bytes;
    assert!(used <= stats.used_bytes + 100, "{used} bytes after {} and a hundred more", stats.used_bytes);
}

fn tables_come_and_go<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let per_table = CAPACITY_BYTES as usize / BLOCK_BYTES / 3;
    for file_number in 100..150 {
        let table = cache.table(file_number, per_table);
        for number in 0..per_table {
            assert_eq!(table.get(number), None, "block {number} of a new table {file_number}");
            table.insert(number, block_for(file_number, number, BLOCK_BYTES));
            check_capacity(&*cache, 0);
        }
        let mut held = 0;
        for number in 0..per_table {
            if let Some(block) = table.get(number) {
                assert_eq!(block, block_for(file_number, number, BLOCK_BYTES));
                held += 1;
            }
        }
        let keeps = cache.stats().capacity_bytes > 0;
        assert!(!keeps || held > 0, "dropped tables leave no room for table {file_number}");
    }
}

fn capacity_holds_while_blocks_come<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let table = cache.table(1, 4000);
    let mut state = 5;
    for number in 0..4000 {
        let len = next_random(&mut state) as usize % (2 * BLOCK_BYTES);
        table.insert(number, block_for(1, number, len));
        check_capacity(&*cache, 0);
        if let Some(block) = table.get(number) {
            assert_eq!(block, block_for(1, number, len));
        }
    }
    let stats = cache.stats();
    assert!(
        stats.used_bytes * 2 >= stats.capacity_bytes,
        "less than half of the capacity is used: {stats:?}"
    );
}

fn nobody_gives_way_for_what_was_not_asked_for<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let (asked, offered) = (cache.table(1, 2000), cache.table(2, 2000));
    for number in 0..10 {
        asked.insert(number, block_for(1, number, BLOCK_BYTES));
    }
    let kept: Vec<usize> = (0..2000)
        .filter(|&number| offered.insert_if_room(number, block_for(2, number, BLOCK_BYTES)))
        .collect();
    check_capacity(&*cache, 0);
    let before = cache.stats();
    assert!((0..2000).all(|number| offered.holds(number) == kept.binary_search(&number).is_ok()));
    let held = (0..2000).filter(|&number| asked.holds(number)).count();
    let after = cache.stats();
    assert_eq!(
        (before.hits, before.misses),
        (after.hits, after.misses),
        "to ask whether it is held is no look-up"
    );
    assert_eq!(held, if kept.is_empty() { held } else { 10 }, "blocks gave way");
    for number in kept {
        assert_eq!(offered.get(number), Some(block_for(2, number, BLOCK_BYTES)));
    }
}

fn memory_is_handed_over_within_the_capacity<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let per_table = CAPACITY_BYTES as usize / BLOCK_BYTES;
    // In fresh memory, in place of a longer block, or of a shorter one.
    let block_of = |file_number: u64, number: usize| {
        block_for(file_number, number, BLOCK_BYTES - (number * 37 + file_number as usize * 101) % 600)
    };
    cache.keep_memory(true);
    for file_number in 0..12 {
        cache.keep_memory(true);
        let table = cache.table(file_number, per_table);
        for number in 0..per_table {
            insert_read(&table, number, &block_of(file_number, number));
            check_capacity(&*cache, 0);
        }
        // One that a reader still has when its table is dropped and the next one's blocks come.
        let shared = (0..per_table).find_map(|number| Some((number, table.get(number)?)));
        for number in 0..per_table {
            let block = table.get(number);
            assert!(block.is_none_or(|block| block == block_of(file_number, number)));
        }
        drop(table);
        check_capacity(&*cache, 0);
        cache.set_capacity(if file_number % 4 == 2 { CAPACITY_BYTES / 3 } else { CAPACITY_BYTES });
        check_capacity(&*cache, 0);
        let next = cache.table(100 + file_number, per_table);
        (0..per_table).for_each(|number| insert_read(&next, number, &block_of(file_number + 1, number)));
        check_capacity(&*cache, 0);
        if let Some((number, block)) = shared {
            assert_eq!(block, block_of(file_number, number), "a block changed under its reader");
        }
        cache.keep_memory(false);
    }
    cache.keep_memory(false);
    assert_eq!(cache.stats().kept_bytes, 0, "nobody wants memory kept any more");
}

fn shrinking_evicts_at_once<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    let (first, second) = (cache.table(1, 2000), cache.table(2, 500));
    for number in 0..2000 {
        first.insert(number, block_for(1, number, BLOCK_BYTES));
    }
    for capacity in [CAPACITY_BYTES / 2, CAPACITY_BYTES / 10, 0, CAPACITY_BYTES] {
        cache.set_capacity(capacity);
        let stats = cache.stats();
        assert!(stats.capacity_bytes == capacity || stats.capacity_bytes == 0, "{stats:?}");
        check_capacity(&*cache, 0);
        for number in 0..500 {
            second.insert(number, block_for(2, number, BLOCK_BYTES));
            check_capacity(&*cache, 0);
        }
    }
    let stats = cache.stats();
    assert!(
        stats.used_bytes * 2 >= stats.capacity_bytes,
        "a cache made larger again is used again: {stats:?}"
    );
}

fn large_and_zero<C: BlockCache>() {
    let cache = Arc::new(C::new(CAPACITY_BYTES));
    cache.table(1, 2).insert(1, block_for(1, 1, CAPACITY_BYTES as usize * 2));
    check_capacity(&*cache, 0);
    let nothing = Arc::new(C::new(0));
    nothing.table(1, 2).insert(1, block_for(1, 1, 100));
    check_capacity(&*nothing, 0);
}

fn threads_see_only_what_was_inserted<C: BlockCache>() {
    let cache = &Arc::new(C::new(CAPACITY_BYTES / 4));
    let tables: &Vec<C::Table> = &(0..3).map(|file_number| cache.table(file_number, 300)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut state = thread;
                for step in 0..5000 {
                    let random = next_random(&mut state);
                    let number = (random >> 8) as usize % 300;
                    // Now and then a table of one's own, which is dropped while others insert.
                    let own_number = 100 + 10_000 * thread + step;
                    let own = (step % 7 == 0).then(|| cache.table(own_number, 300));
                    let file_number = if own.is_some() { own_number } else { random % 3 };
                    let table = own.as_ref().unwrap_or_else(|| &tables[file_number as usize]);
                    let expected = block_for(file_number, number, BLOCK_BYTES);
                    match table.get(number) {
                        Some(block) => assert_eq!(block, expected),
                        None => insert_read(table, number, &expected),
                    }
                    match step % 500 {
                        100 => cache.keep_memory(true),
                        400 => cache.keep_memory(false),
                        _ => {}
                    }
                    if thread == 0 && step % 1000 == 0 {
                        cache.set_capacity(CAPACITY_BYTES / (4 + step / 1000));
                    }
                }
            });
        }
    });
    check_capacity(&**cache, 0);
    assert_eq!(cache.stats().kept_bytes, 0, "every thread let go of memory");
}
