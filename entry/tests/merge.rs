//! The merge against the cursor conformance suite: any split of versions over sources walks like their union.

use terrace_entry::testing::{check_cursor, sample_versions};
use terrace_entry::{Cursor, Entry, InternalKey, MergeCursor, VecCursor};

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
        let sources = [left, right].map(|part| Failing {
            inner: VecCursor::new(part.to_vec()),
            moves: 0,
            fails_at,
        });
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
