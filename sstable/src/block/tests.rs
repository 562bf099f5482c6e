//! Bytes that no writer made, put into every decoder under the checksums.

use bytes::Bytes;
use proptest::prelude::*;
use terrace_entry::{InternalKey, Kind, SeqNo};

use super::build::DataBlockBuilder;
use super::data::{DataBlock, Layout};
use super::index::{Index, IndexBuilder};
use super::walk::BlockWalk;
use super::{describe, stored};

/// A sound block of `count` versions.
fn sound_block(count: u64, restart_interval: usize) -> Vec<u8> {
    let (mut out, mut builder) = (Vec::new(), DataBlockBuilder::new(restart_interval));
    builder.begin(&out);
    let mut last = Vec::new();
    for number in 0..count {
        let key = format!("key{:04}", number / 2).into_bytes();
        let common = super::key::common_prefix(&last, &key);
        builder.add(&mut out, InternalKey::new(&key, SeqNo::new(count - number), Kind::Put), common, &[7; 5]);
        last = key;
    }
    builder.finish(&mut out, &last);
    out
}

/// Walks and searches a block in every way; an error ends a walk, and no walk is longer than the block has room for.
fn exercise(block: &[u8]) {
    let targets = [&b""[..], b"key0003", b"key", b"key0003x", b"zzz", &[0xff; 40]];
    if let Ok(data) = DataBlock::new(block) {
        for target in targets {
            for seqno in [0, 3, 1 << 40] {
                let target = InternalKey::seek_to(target, SeqNo::new(seqno));
                if let Ok(Some(hit)) = data.find(target) {
                    assert!(hit.value.start <= hit.value.end && hit.value.end <= block.len());
                }
            }
        }
    }
    let steps_max = block.len() / 4 + 1;
    let mut walk = BlockWalk::new();
    if walk.load(Bytes::copy_from_slice(block)).is_err() {
        return;
    }
    let mut steps = 0;
    let mut stands = walk.first();
    while stands == Ok(true) {
        assert!(walk.current().is_some());
        steps += 1;
        assert!(steps <= steps_max, "a walk that does not end");
        stands = walk.next();
    }
    assert!(walk.current().is_none());
    steps = 0;
    let mut stands = walk.last();
    while stands == Ok(true) {
        assert!(walk.current().is_some());
        steps += 1;
        assert!(steps <= steps_max, "a walk that does not end");
        stands = walk.prev();
    }
    assert!(walk.current().is_none());
    for target in targets {
        if walk.seek(InternalKey::seek_to(target, SeqNo::new(5))) == Ok(true) && walk.prev() == Ok(true) {
            let _ = walk.next();
            let _ = walk.value_bytes();
        }
    }
}

/// Bytes that end in a plausible tail, so that decoding gets past it.
fn plausible_block() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(prop_oneof![0..8u8, any::<u8>()], 0..200);
    (body, 0..210u32, 0..10u32, 0..6u32).prop_map(|(mut body, values, prefix, restarts)| {
        for field in [values, 0, prefix, restarts] {
            body.extend_from_slice(&field.to_le_bytes());
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_in_a_data_block(block in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&block);
    }

    #[test]
    fn arbitrary_bytes_with_a_plausible_tail_never_panic(block in plausible_block()) {
        exercise(&block);
    }

    #[test]
    fn a_sound_block_with_some_bytes_changed_never_panics(
        count in 1..30u64,
        interval in 1..6usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut block = sound_block(count, interval);
        for (at, byte) in changes {
            let at = at.index(block.len());
            block[at] = byte;
        }
        exercise(&block);
    }

    #[test]
    fn arbitrary_bytes_never_panic_in_index_properties_or_envelope(
        payload in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..120),
        data_end in 0..300u64,
    ) {
        if let Ok(index) = Index::decode(Bytes::from(payload.clone()), data_end) {
            let number = index.locate(InternalKey::seek_to(b"key", SeqNo::new(5)), |_| ());
            assert!(number <= index.len());
        }
        let _ = describe::decode(&payload);
        let _ = stored::open(&payload, 0);
    }
}

/// A block of these entries, of which the first is the one restart, and of no value bytes.
fn block_of(entries: &[u8]) -> Vec<u8> {
    let mut block = entries.to_vec();
    block.extend_from_slice(&[0; 16]);
    for field in [0u32, 2, 0, 1] {
        block.extend_from_slice(&field.to_le_bytes());
    }
    block
}

#[test]
fn lengths_that_overflow_are_damage() {
    for place in 0..3 {
        for length in [1 << 31, 1 << 62, u64::MAX - 3, u64::MAX] {
            let mut entry = Vec::new();
            for number in 0..3 {
                super::varint::put(&mut entry, if number == place { length } else { 0 });
            }
            entry.extend_from_slice(&[1; 20]);
            let block = block_of(&entry);
            exercise(&block);
            let mut walk = BlockWalk::new();
            walk.load(Bytes::from(block)).unwrap();
            assert!(walk.first().is_err(), "{length} in place {place}");
        }
    }
}

#[test]
fn entry_that_shares_more_than_there_is_is_damage_to_search_walk_and_return() {
    // "ab", and then one that would share three bytes of it. Shared, unshared, value length, suffix, trailer.
    let block = block_of(&[0, 2, 0, b'a', b'b', 1, 3, 1, 0, b'c', 1]);
    let data = DataBlock::new(&block).unwrap();
    assert!(data.find(InternalKey::seek_to(b"abzz", SeqNo::MAX)).is_err());
    let mut walk = BlockWalk::new();
    walk.load(Bytes::from(block.clone())).unwrap();
    assert_eq!(walk.first(), Ok(true));
    assert!(walk.next().is_err());
    assert!(walk.current().is_none());
    assert!(walk.last().is_err());
    assert!(walk.current().is_none());
    let first_shares = block_of(&[1, 2, 0, b'a', b'b', 1]);
    walk.load(Bytes::from(first_shares)).unwrap();
    assert!(walk.first().is_err());
    assert!(walk.last().is_err());
}

#[test]
fn common_prefix_longer_than_a_key_is_damage() {
    let mut block = sound_block(8, 2);
    let at = block.len() - 8;
    block[at..at + 4].copy_from_slice(&1000u32.to_le_bytes());
    let data = DataBlock::new(&block).unwrap();
    assert!(data.find(InternalKey::seek_to(b"key0001", SeqNo::MAX)).is_err());
}

#[test]
fn block_without_restarts_or_with_more_than_it_has_room_for_is_damage() {
    for restarts in [0u32, 100, u32::MAX] {
        let mut block = sound_block(8, 2);
        let at = block.len() - 4;
        block[at..].copy_from_slice(&restarts.to_le_bytes());
        assert!(Layout::of(&block).is_err(), "{restarts}");
    }
}

#[test]
fn index_that_claims_more_blocks_than_bytes_allocates_nothing() {
    let mut payload = Vec::new();
    super::varint::put(&mut payload, u64::MAX);
    assert!(Index::decode(Bytes::from(payload), 0).is_err());
}

#[test]
fn index_locates_what_a_linear_search_finds() {
    let keys = ["", "a", "aa", "aaaaaaaaaaaa", "aaaaaaaaaaab", "aaaaaaaaaaab", "b", "bbbbbbbbbb"];
    let mut builder = IndexBuilder::default();
    for (number, key) in keys.iter().enumerate() {
        builder.add(key.as_bytes(), ((20 - number as u64) << 8) | 1, 10);
    }
    let index = Index::decode(Bytes::from_owner(builder.finish()), 80).unwrap();
    for target in keys.iter().flat_map(|key| [key.to_string(), format!("{key}\0"), format!("{key}c")]) {
        for seqno in 10..22 {
            let target = InternalKey::new(target.as_bytes(), SeqNo::new(seqno), Kind::Put);
            let slow = (0..index.len())
                .find(|&number| {
                    let separator = index.separator(number);
                    (separator, u64::MAX - index.separator_trailer(number))
                        >= (target.user_key, u64::MAX - target.trailer())
                })
                .unwrap_or(index.len());
            assert_eq!(index.locate(target, |_| ()), slow, "{target:?}");
        }
    }
}
