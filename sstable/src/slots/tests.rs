use bytes::Bytes;
use core::ops::Range;
use std::sync::Arc;

use super::kept::Kept;
use super::{OVERHEAD_BYTES, SlotCache, Slots};
use crate::{BlockCache, TableBlocks};

const BLOCK_BYTES: usize = 4000;
const WEIGHT: u64 = BLOCK_BYTES as u64 + OVERHEAD_BYTES;

fn block() -> Bytes {
    Bytes::from(vec![1; BLOCK_BYTES])
}

/// A cache of one shard for a hundred blocks.
fn cache() -> Arc<SlotCache> {
    let cache = Arc::new(SlotCache::new(100 * WEIGHT));
    assert_eq!(cache.shards.len(), 1);
    cache
}

fn look_up(slots: &Slots, number: usize) -> bool {
    let held = slots.get(number).is_some();
    if !held {
        slots.insert(number, block());
    }
    held
}

fn look_up_all(slots: &Slots, numbers: Range<usize>) {
    for number in numbers {
        look_up(slots, number);
    }
}

#[test]
fn blocks_in_use_outlast_a_scan() {
    let cache = cache();
    let slots = cache.table(1, 2000);
    for _ in 0..3 {
        look_up_all(&slots, 0..50);
    }
    for scanned in 100..2000 {
        assert!(!look_up(&slots, scanned));
        // Half of them are asked for as often as the scan takes forty steps.
        if scanned % 40 == 0 {
            (0..25).for_each(|number| assert!(slots.get(number).is_some(), "{number} at {scanned}"));
        }
    }
    assert_eq!(cache.stats().used_bytes, 100 * WEIGHT);
}

#[test]
fn a_block_that_comes_back_soon_is_kept_longer() {
    let cache = cache();
    let slots = cache.table(1, 2000);
    look_up_all(&slots, 0..100);
    // Number 0 goes out, comes back, and outlasts those that came once.
    look_up_all(&slots, 100..110);
    assert!(!look_up(&slots, 0));
    look_up_all(&slots, 200..290);
    assert!(slots.get(0).is_some());
    assert!(slots.get(50).is_none());
}

#[test]
fn dropped_tables_leave_nothing_behind() {
    let cache = cache();
    let kept = cache.table(1, 10);
    look_up_all(&kept, 0..10);
    for file_number in 2..200 {
        let slots = cache.table(file_number, 50);
        look_up_all(&slots, 0..50);
        (0..10).for_each(|number| assert!(kept.get(number).is_some()));
    }
    assert_eq!(cache.stats().used_bytes, 10 * WEIGHT);
    let queues = cache.shards[0].lock();
    assert!(queues.len() < 200, "{} places for 10 blocks", queues.len());
}

#[test]
fn a_table_no_block_of_which_was_offered_has_no_slots() {
    let cache = cache();
    let slots = cache.table(1, 1000);
    slots.approach(3);
    slots.approach_one_of(0..16);
    assert!(slots.get(3).is_none() && !slots.holds(3));
    assert_eq!((cache.stats().misses, slots.memory_bytes()), (1, 0));
    slots.insert(3, block());
    assert!(slots.get(3).is_some() && slots.get(4).is_none() && slots.memory_bytes() > 24 * 1000);
    cache.set_capacity(0);
    let refused = cache.table(2, 1000);
    refused.insert(3, block());
    assert_eq!(refused.memory_bytes(), 0, "what is refused needs no slot");
}

/// Blocks whose buffers are as large as they are, and ones whose buffers are a little larger; each was shared for a while, or not.
fn insert_blocks_of_all_kinds(slots: &Slots, count: usize) -> Vec<usize> {
    let kinds = (0..count).map(|number| {
        let mut buffer = Vec::with_capacity(BLOCK_BYTES + (number % 2) * 9);
        buffer.resize(BLOCK_BYTES, number as u8);
        let address = buffer.as_ptr().addr();
        slots.insert(number, Bytes::from(buffer));
        if number % 4 < 2 {
            let shared = slots.get(number).unwrap().slice(100..200);
            drop((slots.get(number), shared));
        }
        address
    });
    kinds.collect()
}

#[test]
fn memory_of_a_dropped_table_is_handed_to_the_next() {
    let cache = cache();
    let (old, new) = (cache.table(1, 40), cache.table(2, 40));
    let mut addresses = insert_blocks_of_all_kinds(&old, 40);
    cache.keep_memory(true);
    assert_eq!(new.memory_for(0, BLOCK_BYTES).capacity(), 0, "nothing went yet");
    drop(old);
    assert_eq!((cache.stats().used_bytes, cache.stats().kept_bytes / BLOCK_BYTES as u64), (0, 40));
    for refused in [BLOCK_BYTES / 2, BLOCK_BYTES - 200, BLOCK_BYTES + 10] {
        assert_eq!(new.memory_for(0, refused).capacity(), 0, "no buffer is for {refused} bytes");
    }
    let handed: Vec<Vec<u8>> = (0..40).map(|number| new.memory_for(number, BLOCK_BYTES - 100)).collect();
    let mut handed_addresses: Vec<usize> = handed.iter().map(|buffer| buffer.as_ptr().addr()).collect();
    addresses.sort_unstable();
    handed_addresses.sort_unstable();
    assert_eq!(addresses, handed_addresses);
    assert_eq!((new.memory_for(0, BLOCK_BYTES).capacity(), cache.stats().kept_bytes), (0, 0));
}

#[test]
fn memory_of_a_block_that_a_reader_shares_is_not_taken() {
    let cache = cache();
    let (old, new) = (cache.table(1, 40), cache.table(2, 40));
    insert_blocks_of_all_kinds(&old, 40);
    let shared = [old.get(3).unwrap(), old.get(5).unwrap().slice(10..20)];
    cache.keep_memory(true);
    drop(old);
    assert_eq!(cache.stats().kept_bytes / BLOCK_BYTES as u64, 38);
    for number in 0..40 {
        new.memory_for(number, BLOCK_BYTES).fill(99);
    }
    assert!(shared[0].iter().all(|&byte| byte == 3) && shared[1].iter().all(|&byte| byte == 5));
}

#[test]
fn kept_memory_gives_way_before_any_block_does() {
    let cache = cache();
    let (old, new) = (cache.table(1, 100), cache.table(2, 100));
    look_up_all(&new, 0..40);
    look_up_all(&old, 0..60);
    cache.keep_memory(true);
    drop(old);
    assert!(cache.stats().kept_bytes > 0);
    assert!((40..100).all(|number| new.insert_if_room(number, block())), "what is kept is room");
    assert_eq!((cache.stats().used_bytes, cache.stats().kept_bytes), (100 * WEIGHT, 0));
    drop(new);
    assert!(cache.stats().kept_bytes > 50 * WEIGHT);
    cache.set_capacity(50 * WEIGHT);
    assert!((1..=50 * WEIGHT).contains(&cache.stats().kept_bytes));
}

#[test]
fn memory_is_kept_until_the_last_who_wants_it_lets_go() {
    let cache = cache();
    let drop_a_table = |file_number| insert_blocks_of_all_kinds(&cache.table(file_number, 10), 10);
    drop_a_table(1);
    assert_eq!(cache.stats().kept_bytes, 0, "nobody wants it");
    cache.keep_memory(true);
    cache.keep_memory(true);
    cache.keep_memory(false);
    drop_a_table(2);
    assert_eq!(cache.stats().kept_bytes / BLOCK_BYTES as u64, 10);
    cache.keep_memory(false);
    drop_a_table(3);
    assert_eq!(cache.stats().kept_bytes, 0);
}

#[test]
fn what_comes_after_the_last_let_go_is_not_kept() {
    let kept = Kept::default();
    kept.open();
    kept.keep(block(), WEIGHT);
    assert!(kept.bytes() > 0);
    kept.close();
    kept.keep(block(), WEIGHT);
    assert_eq!(kept.bytes(), 0);
}

#[test]
fn no_buffer_counts_for_more_when_it_is_kept_than_its_block_did() {
    let cache = cache();
    let mut fits = Vec::with_capacity(BLOCK_BYTES + 100);
    let mut too_large = Vec::with_capacity(BLOCK_BYTES + 1000);
    for (number, buffer) in [&mut fits, &mut too_large].into_iter().enumerate() {
        buffer.resize(BLOCK_BYTES, 1);
        let slots = cache.table(number as u64, 1);
        slots.insert(0, Bytes::from(core::mem::take(buffer)));
        cache.keep_memory(true);
        drop(slots);
        assert_eq!(cache.stats().kept_bytes > 0, number == 0);
        cache.keep_memory(false);
    }
}
