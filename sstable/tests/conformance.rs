//! The shipped suites over the shipped implementations.
#![cfg(all(feature = "block", feature = "slots", feature = "quick"))]

use terrace_sstable::testing::{check_block_cache, check_table_format};
use terrace_sstable::{BlockTable, NullCache, QuickCache, SlotCache};

#[test]
fn block_table_without_a_cache_keeps_every_law() {
    check_table_format::<BlockTable, NullCache>();
}

#[test]
fn block_table_with_the_quick_cache_keeps_every_law() {
    check_table_format::<BlockTable, QuickCache>();
}

#[test]
fn block_table_with_the_slot_cache_keeps_every_law() {
    check_table_format::<BlockTable, SlotCache>();
}

#[test]
fn slot_cache_keeps_every_law() {
    check_block_cache::<SlotCache>();
}

#[test]
fn quick_cache_keeps_every_law() {
    check_block_cache::<QuickCache>();
}

#[test]
fn null_cache_keeps_every_law() {
    check_block_cache::<NullCache>();
}
