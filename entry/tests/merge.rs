//! The merge against the cursor conformance suite: any split of versions over sources walks like their union.

use proptest::prelude::*;
use terrace_entry::testing::{check_cursor, sample_versions};
use terrace_entry::{Cursor, Entry, InternalKey, Kind, MergeCursor, OwnedVersion, SeqNo, VecCursor};

fn split(count: usize, sources: usize, seed: u64) -> MergeCursor<VecCursor> {
    let versions = sample_versions(count, seed);
    let mut parts = vec![Vec::new(); sources];
    for (number, version) in versions.into_iter().enumerate() {
        parts[(number * 7 + number / 5) % sources].push(version);
    }
    MergeCursor::new(parts.into_iter().map(VecCursor::new).collect())
}

#[test]
fn vec_cursor_keeps_the_laws() {
    for count in [0, 1, 2, 50] {
        let versions = sample_versions(count, 3);
        check_cursor(&mut VecCursor::new(versions.clone()), versions, 500, 4);
    }
}

#[test]
fn merge_of_any_split_walks_like_the_union() {
    for (count, sources) in [(0, 1), (0, 3), (1, 2), (40, 1), (60, 2), (90, 5), (200, 17)] {
        for seed in 1..=4 {
            check_cursor(&mut split(count, sources, seed), sample_versions(count, seed), 2000, seed);
        }
    }
}

#[test]
fn merge_of_no_sources_is_empty() {
    check_cursor(&mut MergeCursor::<VecCursor>::new(Vec::new()), Vec::new(), 10, 1);
}

/// Fails on the move numbered `fails_at`, counting from zero.
struct Failing {
    inner: VecCursor,
    moves: usize,
    fails_at: usize,
}

impl Failing {
    fn attempt(&mut self) -> Result<(), &'static str> {
        self.moves += 1;
        if self.moves - 1 == self.fails_at { Err("planned") } else { Ok(()) }
    }
}

impl Cursor for Failing {
    type Error = &'static str;
    fn seek_to_first(&mut self) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.seek_to_first().map_err(|never| match never {})
    }
    fn seek_to_last(&mut self) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.seek_to_last().map_err(|never| match never {})
    }
    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.seek(target).map_err(|never| match never {})
    }
    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.seek_before(target).map_err(|never| match never {})
    }
    fn next(&mut self) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.next().map_err(|never| match never {})
    }
    fn prev(&mut self) -> Result<(), Self::Error> {
        self.attempt()?;
        self.inner.prev().map_err(|never| match never {})
    }
    fn current(&self) -> Option<Entry<'_>> {
        self.inner.current()
    }
}

#[test]
fn merge_stands_nowhere_after_an_error_at_any_move() {
    let versions = sample_versions(30, 9);
    for fails_at in 0..40 {
        let (left, right) = versions.split_at(13);
        let sources =
            [left, right].map(|part| Failing { inner: VecCursor::new(part.to_vec()), moves: 0, fails_at });
        let mut merged = MergeCursor::new(sources.into());
        let mut result = merged.seek_to_first();
        let mut steps = 0;
        while result.is_ok() && merged.current().is_some() {
            result = if steps % 3 == 2 { merged.prev().and_then(|()| merged.next()) } else { merged.next() };
            steps += 1;
        }
        if result.is_err() {
            assert!(merged.current().is_none(), "still standing after an error at move {fails_at}");
        }
    }
}

/// Distinct versions over a few keys, each with the number of the source that holds it.
fn placed_versions() -> impl Strategy<Value = Vec<(OwnedVersion, usize)>> {
    let key = prop::collection::vec(0..3_u8, 0..4);
    prop::collection::vec((key, any::<bool>(), 0..6_usize), 0..60).prop_map(|writes| {
        let version = |(number, (key, deletes, source)): (usize, (Vec<u8>, bool, usize))| {
            let kind = if deletes { Kind::Delete } else { Kind::Put };
            let value = if deletes { Vec::new() } else { vec![number as u8] };
            ((key, SeqNo::new(number as u64), kind, value), source)
        };
        writes.into_iter().enumerate().map(version).collect()
    })
}

fn merge_of(placed: &[(OwnedVersion, usize)], sources: usize) -> MergeCursor<VecCursor> {
    let in_source = |source| placed.iter().filter(move |(_, at)| at % sources == source);
    let cursors = (0..sources).map(|source| in_source(source).map(|(version, _)| version.clone()).collect());
    MergeCursor::new(cursors.map(VecCursor::new).collect())
}

proptest! {
    #[test]
    fn any_placing_of_any_versions_walks_like_their_union(
        placed in placed_versions(),
        sources in 1..6_usize,
        seed in any::<u64>(),
    ) {
        let versions = placed.iter().map(|(version, _)| version.clone()).collect();
        check_cursor(&mut merge_of(&placed, sources), versions, 200, seed);
    }

    /// Sources that hold equal internal keys: each is met once in both directions, the earlier source first.
    #[test]
    fn equal_keys_come_in_the_order_of_their_sources(
        placed in placed_versions(),
        turns in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        // Every source holds the same versions, told apart by their values.
        let sources = 3;
        let copy = |source: u8| {
            let versions = placed.iter().map(|((key, seqno, kind, _), _)| (key.clone(), *seqno, *kind, vec![source]));
            VecCursor::new(versions.collect())
        };
        let mut merged = MergeCursor::new((0..sources).map(copy).collect());
        let mut union: Vec<(OwnedVersion, u8)> = Vec::new();
        for ((key, seqno, kind, _), _) in &placed {
            union.extend((0..sources).map(|source| ((key.clone(), *seqno, *kind, vec![source]), source)));
        }
        union.sort_by(|(a, i), (b, j)| {
            InternalKey::new(&a.0, a.1, a.2).cmp(&InternalKey::new(&b.0, b.1, b.2)).then(i.cmp(j))
        });
        let Ok(()) = merged.seek_to_first();
        let mut at = Some(0).filter(|_| !union.is_empty());
        for forward in turns.into_iter().map(Some).chain([None]) {
            let expected = at.map(|at: usize| &union[at]);
            let met = merged.current().map(|e| (e.key.user_key.to_vec(), e.key.seqno, e.value.to_vec()));
            prop_assert_eq!(met, expected.map(|((key, seqno, _, value), _)| (key.clone(), *seqno, value.clone())));
            prop_assert_eq!(merged.current_source(), expected.map(|(_, source)| usize::from(*source)));
            match forward {
                Some(true) => {
                    let Ok(()) = merged.next();
                    at = at.map(|at| at + 1).filter(|&at| at < union.len());
                }
                Some(false) => {
                    let Ok(()) = merged.prev();
                    at = at.and_then(|at| at.checked_sub(1));
                }
                None => {}
            }
        }
    }
}
