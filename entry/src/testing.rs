//! The conformance suite for [`Cursor`]: run it over your cursor and the versions that it should hold.

use crate::{Cursor, Entry, InternalKey, Kind, OwnedVersion, SeqNo, VecCursor};
use core::fmt::Debug;

type Seen = Option<(Vec<u8>, SeqNo, Kind, Vec<u8>)>;

fn seen(entry: Option<Entry<'_>>) -> Seen {
    entry.map(|e| (e.key.user_key.to_vec(), e.key.seqno, e.key.kind, e.value.to_vec()))
}

/// Checks every law of [`Cursor`] against a vector oracle.
///
/// `cursor` must walk over exactly `versions`. With n versions the suite makes some 6 n seeks and then
/// `moves` pseudo-random moves drawn from `seed`.
///
/// # Panics
///
/// With the operation and both answers, at the first difference.
pub fn check_cursor<C: Cursor>(cursor: &mut C, versions: Vec<OwnedVersion>, moves: usize, seed: u64)
where
    C::Error: Debug,
{
    let mut oracle = VecCursor::new(versions.clone());
    assert_eq!(seen(cursor.current()), None, "a new cursor stands nowhere");
    cursor.next().expect("next from nowhere");
    cursor.prev().expect("prev from nowhere");
    assert_eq!(seen(cursor.current()), None, "a move from nowhere stays nowhere");

    walk_whole(cursor, &mut oracle);

    let mut targets: Vec<(Vec<u8>, SeqNo, Kind)> = Vec::new();
    for (key, seqno, kind, _) in &versions {
        targets.push((key.clone(), *seqno, *kind));
        targets.push((key.clone(), SeqNo::MAX, Kind::Put));
        targets.push((key.clone(), SeqNo::ZERO, Kind::Delete));
        let mut after = key.clone();
        after.push(0);
        targets.push((after, SeqNo::MAX, Kind::Put));
        let mut before = key.clone();
        before.pop();
        targets.push((before, SeqNo::ZERO, Kind::Delete));
    }
    targets.push((Vec::new(), SeqNo::MAX, Kind::Put));
    targets.push((vec![0xff; 40], SeqNo::ZERO, Kind::Delete));
    for (key, seqno, kind) in &targets {
        let target = InternalKey::new(key, *seqno, *kind);
        compare(cursor, &mut oracle, &format!("seek {target:?}"), Move::Seek(target));
        compare(cursor, &mut oracle, &format!("seek {target:?} in halves"), Move::SeekInHalves(target));
        compare(cursor, &mut oracle, &format!("seek_before {target:?}"), Move::SeekBefore(target));
    }

    let mut state = seed | 1;
    for step in 0..moves {
        let random = next_random(&mut state);
        let (key, seqno, kind) = &targets[(random >> 8) as usize % targets.len()];
        let target = InternalKey::new(key, *seqno, *kind);
        let action = match random % 17 {
            0 => Move::Seek(target),
            16 => Move::SeekInHalves(target),
            1 => Move::SeekBefore(target),
            2 => Move::First,
            3 => Move::Last,
            4..=9 => Move::Next,
            _ => Move::Prev,
        };
        compare(cursor, &mut oracle, &format!("step {step} of seed {seed}: {action:?}"), action);
    }
}

fn walk_whole<C: Cursor>(cursor: &mut C, oracle: &mut VecCursor)
where
    C::Error: Debug,
{
    compare(cursor, oracle, "seek_to_first", Move::First);
    while seen(oracle.current()).is_some() {
        compare(cursor, oracle, "next", Move::Next);
    }
    compare(cursor, oracle, "next past the end", Move::Next);
    compare(cursor, oracle, "prev past the end", Move::Prev);
    compare(cursor, oracle, "seek_to_last", Move::Last);
    while seen(oracle.current()).is_some() {
        compare(cursor, oracle, "prev", Move::Prev);
    }
    compare(cursor, oracle, "prev past the start", Move::Prev);
}

#[derive(Clone, Copy, Debug)]
enum Move<'a> {
    First,
    Last,
    Seek(InternalKey<'a>),
    SeekInHalves(InternalKey<'a>),
    SeekBefore(InternalKey<'a>),
    Next,
    Prev,
}

fn apply<C: Cursor>(cursor: &mut C, action: Move<'_>) -> Result<(), C::Error> {
    match action {
        Move::First => cursor.seek_to_first(),
        Move::Last => cursor.seek_to_last(),
        Move::Seek(target) => cursor.seek(target),
        Move::SeekInHalves(target) => {
            cursor.begin_seek(target)?;
            cursor.finish_seek(target)
        }
        Move::SeekBefore(target) => cursor.seek_before(target),
        Move::Next => cursor.next(),
        Move::Prev => cursor.prev(),
    }
}

fn compare<C: Cursor>(cursor: &mut C, oracle: &mut VecCursor, what: &str, action: Move<'_>)
where
    C::Error: Debug,
{
    apply(cursor, action).unwrap_or_else(|error| panic!("{what} failed: {error:?}"));
    let Ok(()) = apply(oracle, action);
    let expected = seen(oracle.current());
    assert_eq!(seen(cursor.current()), expected, "after {what}");
    assert_eq!(seen(cursor.current()), expected, "current twice after {what}");
    let value = expected.map_or_else(Vec::new, |version| version.3);
    assert_eq!(cursor.value_bytes(), value, "value_bytes after {what}");
}

/// The SplitMix64 step: enough randomness for a test, and no dependency for those who take only the suite.
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A key of at most 19 bytes out of five, zero and the greatest among them: such keys often begin alike, and one is often a prefix of another.
pub fn random_key(state: &mut u64) -> Vec<u8> {
    let len = next_random(state) as usize % 20;
    (0..len).map(|_| [0, 1, 2, 0xfe, 0xff][next_random(state) as usize % 5]).collect()
}

/// `count` versions over a small key space with shared prefixes, several versions to a key, distinct sequence
/// numbers, some tombstones; drawn from `seed`, unsorted.
#[must_use]
pub fn sample_versions(count: usize, seed: u64) -> Vec<OwnedVersion> {
    let mut state = seed;
    (0..count)
        .map(|number| {
            let random = next_random(&mut state);
            let length = random as usize % 12;
            let stem = (random >> 16) as usize % (count / 3 + 1);
            let mut key = format!("{stem:05}").into_bytes();
            key.extend(core::iter::repeat_n(b'x', length));
            let kind = if random >> 60 == 0 { Kind::Delete } else { Kind::Put };
            let value = if kind == Kind::Delete { Vec::new() } else { random.to_le_bytes().to_vec() };
            (key, SeqNo::new(number as u64 + 1), kind, value)
        })
        .collect()
}
