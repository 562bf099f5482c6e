//! `Survivors` by example, and against a slow oracle: readers must not notice the merge.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::convert::Infallible;
use terrace_compaction::{SurvivorStats, Survivors};
use terrace_entry::{Cursor, Entry, InternalKey, Kind, OwnedVersion, SeqNo, VecCursor};

fn version(key: &str, seqno: u64, kind: Kind) -> OwnedVersion {
    let value = if kind == Kind::Put { seqno.to_string().into_bytes() } else { Vec::new() };
    (key.as_bytes().to_vec(), SeqNo::new(seqno), kind, value)
}

/// Versions as `a9 a7x b3`: key, number, `x` for a tombstone.
fn versions(text: &str) -> Vec<OwnedVersion> {
    let parse = |token: &str| {
        let kind = if token.ends_with('x') { Kind::Delete } else { Kind::Put };
        version(&token[..1], token[1..].trim_end_matches('x').parse().unwrap(), kind)
    };
    text.split_whitespace().map(parse).collect()
}

fn survive(
    versions: Vec<OwnedVersion>,
    boundaries: &[u64],
    bottom: impl FnMut(&[u8]) -> bool,
    zero: bool,
) -> (Vec<OwnedVersion>, SurvivorStats) {
    let mut survivors = survivors_of(versions, boundaries, bottom, zero);
    let mut kept = Vec::new();
    while let Some(entry) = survivors.next().unwrap() {
        kept.push(owned(entry));
    }
    assert!(survivors.is_complete());
    (kept, survivors.stats())
}

fn survivors_of<B: FnMut(&[u8]) -> bool>(
    versions: Vec<OwnedVersion>,
    boundaries: &[u64],
    bottom: B,
    zero: bool,
) -> Survivors<VecCursor, B> {
    let boundaries: Vec<SeqNo> = boundaries.iter().copied().map(SeqNo::new).collect();
    let mut cursor = VecCursor::new(versions);
    cursor.seek_to_first().unwrap();
    Survivors::new(cursor, &boundaries, bottom).zero_seqnos(zero)
}

fn owned(entry: Entry<'_>) -> OwnedVersion {
    (entry.key.user_key.to_vec(), entry.key.seqno, entry.key.kind, entry.value.to_vec())
}

/// All that is passed on, `versions_max` at a time, and every third time one by `next` between.
fn passed_on<B>(survivors: &mut Survivors<VecCursor, B>, versions_max: usize) -> Vec<OwnedVersion>
where
    B: FnMut(&[u8]) -> bool,
{
    let (mut passed, mut turn, mut more) = (Vec::new(), 0, true);
    while more {
        let before = passed.len();
        let Ok(may_be_more) = survivors.pass_on(versions_max, |entry| {
            passed.push(owned(entry));
            Ok::<_, Infallible>(())
        });
        more = may_be_more;
        assert!(passed.len() <= before + versions_max);
        assert!(!more || passed.len() == before + versions_max, "stopped early");
        turn += 1;
        if turn % 3 == 0 {
            passed.extend(survivors.next().unwrap().map(owned));
        }
    }
    passed
}

#[test]
fn what_was_refused_is_not_given_again() {
    let mut cursor = VecCursor::new(versions("a9 b8 c7"));
    cursor.seek_to_first().unwrap();
    let mut survivors = Survivors::new(cursor, &[SeqNo::new(9)], |_: &[u8]| false);
    assert_eq!(survivors.pass_on(9, |_| Err(Refused)), Err(Refused));
    assert!(!survivors.is_complete());
    assert_eq!(passed_on(&mut survivors, 9), versions("b8 c7"));
}

#[derive(Debug, PartialEq)]
struct Refused;

impl From<Infallible> for Refused {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[track_caller]
fn check(before: &str, boundaries: &[u64], bottom: bool, after: &str) {
    let (kept, _) = survive(versions(before), boundaries, |_| bottom, false);
    assert_eq!(kept, versions(after), "of {before}");
}

#[test]
fn the_newest_of_each_stripe_survives() {
    check("a9 a8 a7 a5 a4 a2", &[4, 10], false, "a9 a4");
    check("a9 a8 a7 a5 a4 a2", &[1, 2, 3, 4, 5, 6, 7, 8, 9], false, "a9 a8 a7 a5 a4 a2");
    check("a9 a8 b7 b5", &[9], false, "a9 b7");
}

#[test]
fn versions_above_the_last_boundary_are_all_kept() {
    check("a9 a8 a5 a4", &[6], true, "a9 a8 a5");
    check("a9 a8", &[], true, "a9 a8");
}

#[test]
fn a_tombstone_for_all_readers_goes_at_the_bottom_with_what_it_hides() {
    check("a5x a3 b4", &[9], true, "b4");
    check("a5x a3 b4", &[9], false, "a5x b4");
}

#[test]
fn a_tombstone_that_a_snapshot_can_look_past_stays() {
    check("a5x a3", &[4, 9], true, "a5x a3");
    check("a5x a3", &[5, 9], true, "");
}

#[test]
fn a_tombstone_above_the_last_boundary_stays() {
    check("a5x a3", &[4], true, "a5x a3");
}

#[test]
fn a_put_over_a_tombstone_hides_it() {
    check("a7 a5x a3", &[9], true, "a7");
    check("a7 a5x a3", &[5, 9], true, "a7");
    check("a7 a5x a3", &[5, 9], false, "a7 a5x");
}

#[test]
fn zeroed_numbers_only_where_nobody_needs_them() {
    let zeroed = |text, boundaries: &[u64], bottom| survive(versions(text), boundaries, |_| bottom, true).0;
    let seqnos =
        |kept: Vec<OwnedVersion>| kept.into_iter().map(|version| version.1.get()).collect::<Vec<_>>();
    assert_eq!(seqnos(zeroed("a5 a3", &[9], true)), [0]);
    assert_eq!(seqnos(zeroed("a5 a3", &[9], false)), [5]);
    assert_eq!(seqnos(zeroed("a5 a3", &[4, 9], true)), [5, 0]);
    assert_eq!(seqnos(zeroed("a5 a3", &[2], true)), [5, 3]);
}

#[test]
fn a_zeroed_version_keeps_its_key_and_value() {
    let (kept, stats) = survive(versions("a5"), &[9], |_| true, true);
    assert_eq!(kept, [(b"a".to_vec(), SeqNo::ZERO, Kind::Put, b"5".to_vec())]);
    assert_eq!(stats.seqnos_zeroed, 1);
}

#[test]
fn numbers_are_counted() {
    let (_, stats) = survive(versions("a9 a8 b7x b5 c3"), &[10], |_| true, false);
    let counted = (stats.entries_in, stats.entries_out, stats.shadowed, stats.tombstones_dropped);
    assert_eq!(counted, (5, 2, 2, 1));
    assert_eq!((stats.bytes_in, stats.bytes_out), (9, 4));
}

#[test]
fn bottom_is_asked_once_for_a_key_and_in_order() {
    let mut asked: Vec<Vec<u8>> = Vec::new();
    survive(
        versions("a5x a3x b4 c4x d9"),
        &[1, 9],
        |key| {
            asked.push(key.to_vec());
            true
        },
        true,
    );
    assert!(asked.is_empty(), "nothing is at or below the oldest boundary");
    survive(
        versions("a5x a3x b4 c4x d9x"),
        &[9],
        |key| {
            asked.push(key.to_vec());
            false
        },
        false,
    );
    assert_eq!(asked, [b"a".to_vec(), b"c".to_vec(), b"d".to_vec()]);
}

#[test]
fn reading_begins_where_the_cursor_stands() {
    let mut cursor = VecCursor::new(versions("a5 b4 c3"));
    cursor.seek(InternalKey::seek_to(b"b", SeqNo::MAX)).unwrap();
    let mut survivors = Survivors::new(cursor, &[SeqNo::new(9)], |_: &[u8]| false);
    assert_eq!(survivors.next().unwrap().unwrap().key.user_key, b"b");
    assert_eq!(survivors.next().unwrap().unwrap().key.user_key, b"c");
    assert!(survivors.next().unwrap().is_none());
    assert!(survivors.next().unwrap().is_none());
}

/// Fails on the step after `good` versions.
struct Failing(VecCursor, usize);

impl Cursor for Failing {
    type Error = &'static str;
    fn seek_to_first(&mut self) -> Result<(), Self::Error> {
        self.0.seek_to_first().map_err(|error| match error {})
    }
    fn seek_to_last(&mut self) -> Result<(), Self::Error> {
        Err("not used")
    }
    fn seek(&mut self, _: InternalKey<'_>) -> Result<(), Self::Error> {
        Err("not used")
    }
    fn seek_before(&mut self, _: InternalKey<'_>) -> Result<(), Self::Error> {
        Err("not used")
    }
    fn next(&mut self) -> Result<(), Self::Error> {
        self.1 = self.1.checked_sub(1).ok_or("damaged")?;
        self.0.next().map_err(|error| match error {})
    }
    fn prev(&mut self) -> Result<(), Self::Error> {
        Err("not used")
    }
    fn current(&self) -> Option<Entry<'_>> {
        self.0.current()
    }
}

#[test]
fn after_an_error_nothing_more_comes_and_the_end_is_not_clean() {
    let mut cursor = Failing(VecCursor::new(versions("a5 b4 c3")), 1);
    cursor.seek_to_first().unwrap();
    let mut survivors = Survivors::new(cursor, &[SeqNo::new(9)], |_: &[u8]| false);
    assert!(survivors.next().unwrap().is_some());
    assert!(survivors.next().unwrap().is_some());
    assert_eq!(survivors.next().unwrap_err(), "damaged");
    assert!(survivors.next().unwrap().is_none());
    assert!(!survivors.is_complete());
}

/// What a reader at `seqno` gets of `key`: the newest version at or below, unless a tombstone.
fn read(versions: &[OwnedVersion], key: &[u8], seqno: SeqNo) -> Option<Vec<u8>> {
    let seen = versions.iter().filter(|version| version.0 == key && version.1 <= seqno);
    let newest = seen.max_by_key(|version| version.1)?;
    (newest.2 == Kind::Put).then(|| newest.3.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The tree is the merge's inputs over some older tables; keys are at the bottom where the older tables do not have them.
    #[test]
    fn readers_do_not_notice(
        written in prop::collection::vec((0_u8..6, prop::bool::weighted(0.3)), 1..60),
        boundaries in prop::collection::btree_set(0_u64..70, 0..6),
        older_end in 0_usize..30,
        newest_visible in 30_u64..70,
        zero in any::<bool>(),
        versions_max in 1_usize..5,
    ) {
        let numbered = written.iter().zip(1..).map(|(&(key, deleted), seqno)| {
            let kind = if deleted { Kind::Delete } else { Kind::Put };
            version(&char::from(b'a' + key).to_string(), seqno, kind)
        });
        let all: Vec<OwnedVersion> = numbered.collect();
        let (older, inputs) = all.split_at(older_end.min(all.len()));
        let held: BTreeSet<&[u8]> = older.iter().map(|version| version.0.as_slice()).collect();
        let mut boundaries: Vec<u64> = boundaries.into_iter().filter(|&at| at < newest_visible).collect();
        boundaries.push(newest_visible);

        let (kept, stats) = survive(inputs.to_vec(), &boundaries, |key| !held.contains(key), zero);
        prop_assert!(kept.windows(2).all(|pair| {
            InternalKey::new(&pair[0].0, pair[0].1, pair[0].2) < InternalKey::new(&pair[1].0, pair[1].1, pair[1].2)
        }), "order is kept");
        let after: Vec<OwnedVersion> = kept.iter().chain(older).cloned().collect();
        let readers = boundaries.iter().copied().chain(newest_visible..80);
        for seqno in readers.map(SeqNo::new) {
            for key in [b"a", b"b", b"c", b"d", b"e", b"f"] {
                prop_assert_eq!(read(&all, key, seqno), read(&after, key, seqno), "{:?} at {:?}", key, seqno);
            }
        }
        let mut survivors = survivors_of(inputs.to_vec(), &boundaries, |key| !held.contains(key), zero);
        prop_assert_eq!(&passed_on(&mut survivors, versions_max), &kept, "by {}", versions_max);
        prop_assert!(survivors.is_complete());
        prop_assert_eq!(survivors.stats(), stats, "by {}", versions_max);
        let dropped = stats.shadowed + stats.tombstones_dropped;
        prop_assert_eq!(stats.entries_in, inputs.len() as u64);
        prop_assert_eq!(stats.entries_out + dropped, stats.entries_in);
        prop_assert_eq!(kept.len() as u64, stats.entries_out);
        // Nothing is kept that the rules say must go: at most one version for each key and stripe.
        let mut seen = BTreeSet::new();
        for (key, seqno, _, _) in kept.iter().filter(|version| version.1.get() <= newest_visible) {
            let stripe = boundaries.partition_point(|&boundary| boundary < seqno.get());
            prop_assert!(seen.insert((key.clone(), stripe)), "two of one stripe");
        }
    }
}
