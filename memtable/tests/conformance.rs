//! All implementations obey every law of `MemTable`, alone and against a model.

use std::sync::Arc;

use proptest::prelude::*;
use terrace_entry::testing::check_cursor;
use terrace_entry::{Kind, OwnedVersion, SeqNo};
use terrace_memtable::{BTreeMemTable, HashMemTable, MemTable, SkipListMemTable, testing};

/// Keys from a small alphabet, so that equal heads, prefixes and zeros are common.
fn any_versions() -> impl Strategy<Value = Vec<OwnedVersion>> {
    let byte = prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xff)];
    let key = prop_oneof![
        prop::collection::vec(byte.clone(), 0..12),
        prop::collection::vec(byte, 0..4).prop_map(|tail| [b"common prefix of all".to_vec(), tail].concat()),
    ];
    prop::collection::vec((key, any::<bool>()), 0..300).prop_map(|keys| {
        let numbered = keys.into_iter().enumerate().map(|(number, (key, put))| {
            let value = if put { vec![number as u8; number % 9] } else { Vec::new() };
            (key, SeqNo::new(number as u64), if put { Kind::Put } else { Kind::Delete }, value)
        });
        numbered.collect()
    })
}

fn check_against_model<M: MemTable>(versions: Vec<OwnedVersion>) {
    let table = Arc::new(M::new(0));
    for version in &versions {
        testing::insert(&*table, version);
    }
    check_cursor(&mut table.cursor(), versions, 300, 1);
}

macro_rules! suite {
    ($name:ident, $table:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn an_empty_table_finds_nothing() {
                testing::check_empty::<$table>();
            }

            #[test]
            fn look_ups_and_cursors_agree_with_a_map() {
                for (count, seed) in [(1, 1), (63, 2), (64, 3), (65, 4), (129, 5), (2500, 6)] {
                    testing::check_against_oracle::<$table>(count, seed);
                }
            }

            #[test]
            fn keys_of_all_shapes_keep_their_order() {
                testing::check_keys::<$table>();
            }

            #[test]
            fn values_of_all_sizes_keep_their_bytes_and_place() {
                testing::check_values::<$table>();
            }

            #[test]
            fn every_version_of_a_hot_key_is_found() {
                testing::check_versions_of_few_keys::<$table>();
            }

            #[test]
            fn any_order_of_insertion_gives_the_same_table() {
                testing::check_insertion_orders::<$table>();
            }

            #[test]
            fn keys_between_groups_that_share_much_are_found() {
                testing::check_groups_and_stragglers::<$table>();
            }

            #[test]
            fn memory_never_falls_and_covers_what_is_stored() {
                testing::check_memory::<$table>();
            }

            #[test]
            fn a_cursor_keeps_its_table_alive() {
                testing::check_cursor_keeps_table::<$table>();
            }

            #[test]
            fn no_insert_of_many_threads_is_lost() {
                testing::check_concurrent_writers::<$table>(4, 5000);
            }

            #[test]
            fn an_insert_that_returned_is_visible_to_all_threads() {
                testing::check_inserts_are_visible_when_they_return::<$table>(3, 5000);
            }

            #[test]
            fn cursors_stay_in_order_while_writers_go_on() {
                testing::check_cursors_during_inserts::<$table>(3, 3000);
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(48))]
                #[test]
                fn any_versions_agree_with_a_model(versions in any_versions()) {
                    check_against_model::<$table>(versions);
                }
            }
        }
    };
}

suite!(skiplist, SkipListMemTable);
suite!(btree, BTreeMemTable);
suite!(hash, HashMemTable);
