//! Scans by the two kinds of iterators that peers have: those that are Rust's, and those that stand on a pair.

use terrace_bench::store::StoreResult;
#[cfg(any(feature = "rocksdb", feature = "leveldb"))]
use terrace_bench::store::{Direction, Visitor};

/// Shows each item of an iterator; returns how many.
#[cfg(any(feature = "fjall", feature = "redb", feature = "lmdb"))]
pub(crate) fn each<T>(
    items: impl Iterator<Item = T>,
    mut show: impl FnMut(T) -> StoreResult<()>,
) -> StoreResult<u64> {
    let mut shown = 0;
    for item in items {
        show(item)?;
        shown += 1;
    }
    Ok(shown)
}

/// An iterator that stands on a pair, or on none at either end and after an error.
#[cfg(any(feature = "rocksdb", feature = "leveldb"))]
pub(crate) trait Position {
    /// The pair, until the next move.
    fn item(&self) -> Option<(&[u8], &[u8])>;

    /// Moves on by one pair.
    fn step(&mut self, direction: Direction);

    /// The error that it stopped at.
    fn status(&self) -> StoreResult<()>;
}

/// Shows up to `most` pairs from the one that `position` stands on; returns how many.
#[cfg(any(feature = "rocksdb", feature = "leveldb"))]
pub(crate) fn from_position(
    mut position: impl Position,
    direction: Direction,
    most: u64,
    visit: &mut Visitor<'_>,
) -> StoreResult<u64> {
    let mut shown = 0;
    while shown < most
        && let Some((key, value)) = position.item()
    {
        visit(key, value);
        shown += 1;
        // No step beyond the last pair that was asked for: it may cost a block.
        if shown < most {
            position.step(direction);
        }
    }
    position.status()?;
    Ok(shown)
}
