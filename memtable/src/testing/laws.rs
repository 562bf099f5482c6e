//! The laws that one thread can check, against a `BTreeMap` and the cursor suite of the ground floor.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use terrace_entry::testing::{check_cursor, next_random, sample_versions};
use terrace_entry::{Cursor, InternalKey, Kind, OwnedVersion, SeqNo};

use super::insert;
use crate::MemTable;

/// Versions by key and falling sequence number: slow, obvious, and right.
struct Oracle<'v>(BTreeMap<(&'v [u8], Reverse<SeqNo>), &'v OwnedVersion>);

impl<'v> Oracle<'v> {
    fn new(versions: &'v [OwnedVersion]) -> Self {
        Oracle(versions.iter().map(|version| ((&version.0[..], Reverse(version.1)), version)).collect())
    }

    fn get(&self, user_key: &'v [u8], seqno: SeqNo) -> Option<(SeqNo, Kind, &'v [u8])> {
        let (place, version) = self.0.range((user_key, Reverse(seqno))..).next()?;
        (place.0 == user_key).then_some((version.1, version.2, &version.3[..]))
    }
}

fn check_get<M: MemTable>(table: &M, oracle: &Oracle<'_>, user_key: &[u8], seqno: SeqNo) {
    let found = table.get(user_key, seqno).map(|found| (found.seqno, found.kind, found.value));
    let shown = user_key[..user_key.len().min(40)].escape_ascii();
    // The values may be megabytes: compare first, show only what helps.
    let expected = oracle.get(user_key, seqno);
    assert_eq!(found.map(|f| (f.0, f.1)), expected.map(|e| (e.0, e.1)), "get \"{shown}\" at {seqno}");
    assert!(found == expected, "get \"{shown}\" at {seqno} has another value");
}

/// Inserts `versions` in the order given and checks look-ups at every sequence number and the cursor.
fn check_versions<M: MemTable>(versions: &[OwnedVersion], bytes_hint: usize) {
    let table = Arc::new(M::new(bytes_hint));
    for (number, version) in versions.iter().enumerate() {
        assert_eq!(table.len(), number, "len counts returned inserts");
        insert(&*table, version);
    }
    assert_eq!(table.len(), versions.len(), "len counts returned inserts");
    assert_eq!(table.is_empty(), versions.is_empty(), "is_empty means that len is 0");

    let oracle = Oracle::new(versions);
    for (key, seqno, ..) in versions {
        let number = seqno.get();
        for at in [number, number.saturating_sub(1), (number + 1).min(SeqNo::MAX.get()), 0, SeqNo::MAX.get()]
        {
            check_get(&*table, &oracle, key, SeqNo::new(at));
        }
        let longer = [&key[..], b"\0"].concat();
        check_get(&*table, &oracle, &longer, SeqNo::MAX);
        check_get(&*table, &oracle, &key[..key.len().saturating_sub(1)], SeqNo::MAX);
    }
    check_get(&*table, &oracle, b"", SeqNo::MAX);
    check_get(&*table, &oracle, &[0xff; 40], SeqNo::MAX);
    check_cursor(&mut Arc::clone(&table).cursor(), versions.to_vec(), 2000, versions.len() as u64);
    check_frozen(&table, versions);

    // In a successor, whose guesses about what comes may go wrong either way.
    let never_walked = Arc::new(check_successor(&*table, versions, bytes_hint));
    versions.iter().for_each(|version| insert(&*never_walked, version));
    check_frozen(&never_walked, versions);
}

/// The successor of `table`, which holds `versions`: it holds none of them, and takes no memory for what has not come yet.
fn check_successor<M: MemTable>(table: &M, versions: &[OwnedVersion], bytes_hint: usize) -> M {
    let successor = table.successor(bytes_hint);
    successor.make_ready();
    assert!(successor.is_empty(), "a successor has {} versions", successor.len());
    let bytes = successor.memory_bytes();
    assert!(bytes <= 128 << 10, "an empty successor reports {bytes} bytes");
    for (key, ..) in versions {
        assert!(successor.get(key, SeqNo::MAX).is_none(), "a successor finds \"{}\"", key.escape_ascii());
    }
    successor
}

/// Freezes a table that holds `versions`, and checks that it holds them still: for a cursor of before, for a new one, and for look-ups.
fn check_frozen<M: MemTable>(table: &Arc<M>, versions: &[OwnedVersion]) {
    let mut old = Arc::clone(table).cursor();
    table.freeze();
    assert_eq!(table.len(), versions.len(), "freeze leaves len as it was");
    let mut new = Arc::clone(table).cursor();
    table.freeze();
    for cursor in [&mut old, &mut new] {
        check_cursor(cursor, versions.to_vec(), 300, versions.len() as u64);
    }
    let oracle = Oracle::new(versions);
    for (key, seqno, ..) in versions {
        check_get(&**table, &oracle, key, *seqno);
        check_get(&**table, &oracle, key, SeqNo::MAX);
    }
}

/// An empty table finds nothing, and its cursor stands nowhere.
pub fn check_empty<M: MemTable>() {
    check_versions::<M>(&[], 0);
    check_versions::<M>(&[], 64 << 20);
    assert!(M::new(0).get(b"", SeqNo::ZERO).is_none(), "the empty key is not in an empty table");
}

/// `count` pseudo-random versions of short keys, drawn from `seed`.
pub fn check_against_oracle<M: MemTable>(count: usize, seed: u64) {
    check_versions::<M>(&sample_versions(count, seed), 1 << 10);
}

/// The empty key, keys of 64 KiB, keys that are prefixes of each other, keys with zeros where padding would be,
/// and keys that differ only behind many equal bytes.
pub fn check_keys<M: MemTable>() {
    let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
    let stems: [&[u8]; 8] =
        [b"", b"a", b"aaaaaaa", b"aaaaaaaa", b"aaaaaaaaa", b"\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"ab"];
    let tails: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\0\0\0\0\0\0\0\0", b"\0a", b"a", b"\x01", b"\xff"];
    for stem in stems {
        for tail in tails {
            for more in tails {
                keys.insert([stem, tail, more].concat());
            }
        }
    }
    for last in [0, 1, 127, 128, 255] {
        let mut long = vec![b'k'; 64 << 10];
        long.push(last);
        keys.insert(long);
    }
    keys.insert(vec![b'k'; 64 << 10]);
    for number in 0..400_u32 {
        keys.insert(format!("a rather long common part {number:05}").into_bytes());
    }
    let mut versions = Vec::new();
    for key in keys {
        for _ in 0..2 {
            let number = versions.len() as u64 + 1;
            let kind = if number.is_multiple_of(7) { Kind::Delete } else { Kind::Put };
            let value = if kind == Kind::Delete { Vec::new() } else { number.to_le_bytes().to_vec() };
            versions.push((key.clone(), SeqNo::new(number), kind, value));
        }
    }
    shuffle(&mut versions, 11);
    check_versions::<M>(&versions, 1 << 20);
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        items.swap(last, next_random(&mut state) as usize % (last + 1));
    }
}

/// Values from none to some MiB keep their bytes and their address while thousands of others follow; the bytes
/// that a cursor gave out outlive cursor and table.
pub fn check_values<M: MemTable>() {
    let table = Arc::new(M::new(0));
    let sizes = [0, 1, 100, 4095, 4096, 5000, 70_000, 300_000, 1 << 20, 5 << 20];
    let value_of = |number: usize| vec![number as u8 + 1; sizes[number]];
    let key_of = |number: usize| format!("{number:03}").into_bytes();
    for number in 0..sizes.len() {
        let seqno = SeqNo::new(number as u64);
        insert(&*table, &(key_of(number), seqno, Kind::Put, value_of(number)));
    }
    let find = |number: usize| table.get(&key_of(number), SeqNo::MAX).expect("inserted before").value;
    let addresses: Vec<*const u8> = (0..sizes.len()).map(|number| find(number).as_ptr()).collect();
    for number in 0..3000_u64 {
        insert(&*table, &(number.to_be_bytes().to_vec(), SeqNo::new(number), Kind::Put, vec![0; 40]));
    }
    for (number, address) in addresses.iter().enumerate() {
        assert!(find(number) == value_of(number), "a value of {} bytes keeps its bytes", sizes[number]);
        assert_eq!(find(number).as_ptr(), *address, "a value of {} bytes keeps its address", sizes[number]);
    }
    let mut cursor = Arc::clone(&table).cursor();
    let mut kept = Vec::new();
    for number in 0..sizes.len() {
        let Ok(()) = cursor.seek(InternalKey::seek_to(&key_of(number), SeqNo::MAX));
        kept.push(cursor.value_bytes());
    }
    drop((cursor, table));
    for (number, bytes) in kept.iter().enumerate() {
        assert!(*bytes == value_of(number), "bytes of a value of {} outlive the table", sizes[number]);
    }
}

/// Thousands of versions of three keys, in mixed order: every one is found at its sequence number.
pub fn check_versions_of_few_keys<M: MemTable>() {
    let keys: [&[u8]; 3] = [b"counter", b"counter\0", b"d"];
    let version = |number: u64| {
        let key = keys[number as usize % 3].to_vec();
        (key, SeqNo::new(number * 2), Kind::Put, number.to_be_bytes().to_vec())
    };
    let mut versions: Vec<OwnedVersion> = (1..=1500).map(version).collect();
    check_versions::<M>(&versions, 0);
    shuffle(&mut versions, 5);
    check_versions::<M>(&versions, 0);
}

/// Ascending, descending, inwards from both ends, and as several ascending streams.
pub fn check_insertion_orders<M: MemTable>() {
    let version = |number: usize| {
        let key = format!("key{number:08}").into_bytes();
        (key, SeqNo::new(number as u64), Kind::Put, number.to_le_bytes().to_vec())
    };
    let count = 1000;
    let ascending: Vec<OwnedVersion> = (0..count).map(version).collect();
    let descending: Vec<OwnedVersion> = (0..count).rev().map(version).collect();
    let inwards: Vec<OwnedVersion> =
        (0..count).map(|i| version(if i % 2 == 0 { i / 2 } else { count - 1 - i / 2 })).collect();
    let streams: Vec<OwnedVersion> = (0..count).map(|i| version(i % 5 * (count / 5) + i / 5)).collect();
    for versions in [ascending, descending, inwards, streams] {
        check_versions::<M>(&versions, 100);
    }
}

/// Groups of keys that share much within, and stragglers between the groups that share little with either side.
pub fn check_groups_and_stragglers<M: MemTable>() {
    let groups = ["m", "a", "z", "g", "gg", "\0", "t"];
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for group in groups {
        let mut members: Vec<_> =
            (0..150).map(|number| format!("{group}/what a group shares/{number:04}").into_bytes()).collect();
        shuffle(&mut members, group.len() as u64);
        keys.extend(members);
    }
    for group in groups {
        for straggler in
            ["", "/", "/what", "/what a group shares", "/what a group shares/00755", "/x", "0", "~"]
        {
            keys.push([group, straggler].concat().into_bytes());
        }
    }
    let version = |(number, key)| (key, SeqNo::new(number as u64), Kind::Put, b"value".to_vec());
    let mut versions: Vec<OwnedVersion> = keys.into_iter().enumerate().map(version).collect();
    check_versions::<M>(&versions, 0);
    let (_, stragglers) = versions.split_at_mut(150 * groups.len());
    shuffle(stragglers, 4);
    check_versions::<M>(&versions, 0);
}

/// `memory_bytes` never falls and covers all keys and values; an empty table takes little.
pub fn check_memory<M: MemTable>() {
    for bytes_hint in [0, 1 << 20, 64 << 20] {
        let table = M::new(bytes_hint);
        let empty_bytes = table.memory_bytes();
        assert!(empty_bytes <= 128 << 10, "an empty table reports {empty_bytes} bytes");
        let (mut before, mut stored) = (empty_bytes, 0);
        let mut state = 3;
        for number in 0..3000_u64 {
            let random = next_random(&mut state);
            let value_len = if random.is_multiple_of(500) { 300_000 } else { (random >> 32) as usize % 3000 };
            let version = (random.to_be_bytes().to_vec(), SeqNo::new(number), Kind::Put, vec![0; value_len]);
            insert(&table, &version);
            stored += 8 + value_len;
            let now = table.memory_bytes();
            assert!(now >= before, "memory_bytes fell from {before} to {now}");
            assert!(now >= stored, "memory_bytes is {now}, but keys and values have {stored}");
            before = now;
        }
    }
}

/// A cursor is usable after every other handle of its table is gone.
pub fn check_cursor_keeps_table<M: MemTable>() {
    let versions = sample_versions(200, 9);
    let table = Arc::new(M::new(0));
    versions.iter().for_each(|version| insert(&*table, version));
    let mut cursor = table.cursor();
    check_cursor(&mut cursor, versions, 500, 9);
}
