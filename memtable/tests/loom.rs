//! The memtables under loom: small races, of which every interleaving with few preemptions is tried, and every value that a weak memory may
//! let a load see. Built only with `--cfg loom`, with nodes of four slots: `cargo xtask concurrency`.
//!
//! What loom can not see: whether the bytes of a record are published, since they are not its cells. That rests on the same release
//! stores and acquire loads, and is for the thread sanitizer.
#![cfg(loom)]
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_memtable::MemTable;

/// `LOOM_MAX_PREEMPTIONS` sets another bound.
const PREEMPTIONS_MAX: usize = 3;

fn explore(scenario: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(PREEMPTIONS_MAX));
    model.max_branches = 20_000;
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("schedules tried: {}", tried.load(Ordering::Relaxed));
}

fn insert<M: MemTable>(table: &M, key: &str, seqno: u64) {
    table.insert(InternalKey::new(key.as_bytes(), SeqNo::new(seqno), Kind::Put), key.as_bytes());
}

fn assert_found<M: MemTable>(table: &M, key: &str) {
    let found = table.get(key.as_bytes(), SeqNo::MAX).expect("what was inserted is found");
    assert_eq!(found.value, key.as_bytes());
}

fn table_of<M: MemTable>(keys: &[&str]) -> Arc<M> {
    let table = Arc::new(M::new(0));
    keys.iter().zip(1..).for_each(|(key, seqno)| insert(&*table, key, seqno));
    table
}

fn spawn_insert<M: MemTable>(table: &Arc<M>, key: &'static str) -> thread::JoinHandle<()> {
    let table = Arc::clone(table);
    thread::spawn(move || insert(&*table, key, 100))
}

/// The insert moves what is looked up.
fn a_look_up_finds_its_key_beside_an_insert<M: MemTable>() {
    let table = table_of::<M>(&["b", "c"]);
    let writer = spawn_insert(&table, "a");
    assert_found(&*table, "b");
    writer.join().unwrap();
    assert_found(&*table, "a");
}

/// The fifth key splits the B-tree's root.
fn a_look_up_finds_its_key_beside_a_split<M: MemTable>() {
    let table = table_of::<M>(&["b", "c", "d", "e"]);
    let writer = spawn_insert(&table, "a");
    assert_found(&*table, "d");
    writer.join().unwrap();
    ["a", "b", "c", "d", "e"].iter().for_each(|key| assert_found(&*table, key));
}

fn two_inserts_at_one_place_both_last<M: MemTable>() {
    let table = table_of::<M>(&["a", "d"]);
    let writer = spawn_insert(&table, "b");
    insert(&*table, "c", 101);
    writer.join().unwrap();
    ["a", "b", "c", "d"].iter().for_each(|key| assert_found(&*table, key));
    assert_eq!(table.len(), 4);
}

fn two_inserts_make_the_first_node_once<M: MemTable>() {
    let table = table_of::<M>(&[]);
    let writer = spawn_insert(&table, "a");
    insert(&*table, "b", 101);
    writer.join().unwrap();
    ["a", "b"].iter().for_each(|key| assert_found(&*table, key));
}

fn a_walk_beside_an_insert_is_in_order<M: MemTable>() {
    let table = table_of::<M>(&["a", "c"]);
    let writer = spawn_insert(&table, "b");
    let mut cursor = Arc::clone(&table).cursor();
    let Ok(()) = cursor.seek_to_first();
    let mut met = Vec::new();
    while let Some(entry) = cursor.current() {
        met.push(entry.key.user_key.to_vec());
        let Ok(()) = cursor.next();
    }
    assert!(met == [b"a", b"c"] || met == [b"a", b"b", b"c"], "{met:?}");
    writer.join().unwrap();
}

/// What one insert makes true, a later one of another thread does not undo for a reader that saw it.
fn an_insert_seen_stays_seen<M: MemTable>() {
    let table = table_of::<M>(&["b"]);
    let writer = spawn_insert(&table, "a");
    let first = table.get(b"a", SeqNo::MAX).is_some();
    let second = table.get(b"a", SeqNo::MAX).is_some();
    assert!(!first || second, "a version that was found is gone");
    writer.join().unwrap();
}

macro_rules! scenarios {
    ($module:ident, $table:ident: $($scenario:ident),* $(,)?) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                super::explore(super::$scenario::<terrace_memtable::$table>);
            })*
        }
    };
    ($($module:ident $table:ident),*) => {
        $(scenarios!($module, $table:
            a_look_up_finds_its_key_beside_an_insert,
            a_look_up_finds_its_key_beside_a_split,
            two_inserts_at_one_place_both_last,
            two_inserts_make_the_first_node_once,
            a_walk_beside_an_insert_is_in_order,
            an_insert_seen_stays_seen,
        );)*
    };
}

scenarios!(btree BTreeMemTable, skiplist SkipListMemTable, hash HashMemTable);

/// The fourth key fills three quarters of the first table, so that one of these inserts moves what the other has just put there.
fn two_inserts_beside_a_larger_table_both_last() {
    let table = table_of::<terrace_memtable::HashMemTable>(&["a", "b"]);
    let writer = spawn_insert(&table, "c");
    insert(&*table, "d", 101);
    assert_found(&*table, "a");
    writer.join().unwrap();
    ["a", "b", "c", "d"].iter().for_each(|key| assert_found(&*table, key));
}

/// Whoever comes second may find nothing waiting, and must still see what the first one moves.
fn two_cursors_both_see_what_waited() {
    let table = table_of::<terrace_memtable::HashMemTable>(&["a", "b"]);
    let look = |table: &Arc<terrace_memtable::HashMemTable>| {
        let mut cursor = Arc::clone(table).cursor();
        let Ok(()) = cursor.seek(InternalKey::seek_to(b"b", SeqNo::MAX));
        assert_eq!(cursor.current().map(|entry| entry.key.user_key), Some(&b"b"[..]));
    };
    let other = Arc::clone(&table);
    let reader = thread::spawn(move || look(&other));
    look(&table);
    reader.join().unwrap();
}

fn two_versions_of_one_key_are_both_found() {
    let table = table_of::<terrace_memtable::HashMemTable>(&["a"]);
    let writer = spawn_insert(&table, "a");
    insert(&*table, "a", 101);
    writer.join().unwrap();
    for seqno in [1, 100, 101] {
        let found = table.get(b"a", SeqNo::new(seqno)).expect("every version is found");
        assert_eq!(found.seqno, SeqNo::new(seqno));
    }
}

/// Both go into the chain below a newer one.
fn two_late_versions_of_one_key_are_both_found() {
    let table = table_of::<terrace_memtable::HashMemTable>(&["a"]);
    insert(&*table, "a", 200);
    let writer = spawn_insert(&table, "a");
    insert(&*table, "a", 101);
    writer.join().unwrap();
    for seqno in [1, 100, 101, 200] {
        let found = table.get(b"a", SeqNo::new(seqno)).expect("every version is found");
        assert_eq!(found.seqno, SeqNo::new(seqno));
    }
}

mod hash_alone {
    #[test]
    fn two_late_versions_of_one_key_are_both_found() {
        super::explore(super::two_late_versions_of_one_key_are_both_found);
    }

    #[test]
    fn two_inserts_beside_a_larger_table_both_last() {
        super::explore(super::two_inserts_beside_a_larger_table_both_last);
    }

    #[test]
    fn two_cursors_both_see_what_waited() {
        super::explore(super::two_cursors_both_see_what_waited);
    }

    #[test]
    fn two_versions_of_one_key_are_both_found() {
        super::explore(super::two_versions_of_one_key_are_both_found);
    }
}
