//! The k-way merge of cursors.
//!
//! Algorithm: the numbers of the sources that stand somewhere, kept sorted by where they stand, winner first. After a step the
//! winner is compared with the runner-up; in a tree with one large bottom level the same source wins again most of
//! the time, and then a step costs this one comparison and moves nothing. Otherwise a binary search among the rest finds its
//! new place, and those that overtook it move up.
//!
//! Why a sorted row and not a heap or a tournament tree: comparing two keys costs far more than moving a few numbers of four bytes.
//! A heap takes two comparisons to find out that the winner stays and two for each level that it sinks; a tree of losers takes
//! log2 k always. A sorted row takes one, or one and log2 k, and its moves are one copy within a cache line or a few.
//!
//! Ties: sources that stand on equal internal keys are taken in the order in which they were given. In a sound
//! tree there are none, since a sequence number is used once.
//!
//! Direction: the row is sorted in one direction. Turning round re-seeks every other source to the far side of the
//! current key, which costs a seek per source, as in LevelDB.

use bytes::Bytes;

use crate::{Cursor, Entry, InternalKey, Kind, SeqNo};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

/// Merges sources into one ordered cursor. With k sources: a seek is k seeks and O(k log k) comparisons, a step one comparison
/// when the same source wins again and at most `1 + log2 k` else, with a move of at most 4 k bytes.
#[derive(Debug)]
pub struct MergeCursor<C> {
    sources: Vec<C>,
    /// Numbers of the sources that stand somewhere, sorted by where in the direction of travel; the winner first.
    order: Vec<u32>,
    direction: Direction,
    /// The key stood on when turning round, so that a turn allocates once and not each time.
    turn_key: Vec<u8>,
}

impl<C: Cursor> MergeCursor<C> {
    /// A cursor over all that `sources` hold, standing nowhere.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let order = Vec::with_capacity(sources.len());
        MergeCursor { sources, order, direction: Direction::Forward, turn_key: Vec::new() }
    }

    /// The sources, in the order given.
    #[must_use]
    pub fn sources(&self) -> &[C] {
        &self.sources
    }

    /// Which source the current version comes from.
    #[must_use]
    pub fn current_source(&self) -> Option<usize> {
        self.order.first().map(|&source| source as usize)
    }

    fn reposition(
        &mut self,
        direction: Direction,
        mut place: impl FnMut(&mut C) -> Result<(), C::Error>,
    ) -> Result<(), C::Error> {
        self.order.clear();
        self.direction = direction;
        for source in &mut self.sources {
            place(source)?;
        }
        self.rebuild();
        Ok(())
    }

    /// Sorts all sources that stand somewhere, each put into its place by binary search.
    fn rebuild(&mut self) {
        self.order.clear();
        for (number, source) in self.sources.iter().enumerate() {
            let Some(entry) = source.current() else { continue };
            let number = number as u32;
            let ahead = |&other: &u32| !before(&self.sources, self.direction, entry.key, number, other);
            let place = self.order.partition_point(ahead);
            self.order.insert(place, number);
        }
    }

    /// After the winner moved: puts it into its new place, or drops it if it ran off its end.
    #[inline]
    fn settle_winner(&mut self) {
        let winner = self.order[0];
        let Some(moved) = self.sources[winner as usize].current() else {
            self.order.remove(0);
            return;
        };
        let ahead = |&other: &u32| !before(&self.sources, self.direction, moved.key, winner, other);
        if !self.order.get(1).is_some_and(ahead) {
            return;
        }
        let overtaken_by = 1 + self.order[2..].partition_point(ahead);
        self.order.copy_within(1..=overtaken_by, 0);
        self.order[overtaken_by] = winner;
    }

    /// Puts every source but the winner on the other side of the current key.
    fn turn(&mut self, direction: Direction) -> Result<(), C::Error> {
        let winner = self.order[0] as usize;
        let mut key_bytes = core::mem::take(&mut self.turn_key);
        key_bytes.clear();
        let (mut seqno, mut kind) = (SeqNo::ZERO, Kind::Put);
        if let Some(entry) = self.sources[winner].current() {
            key_bytes.extend_from_slice(entry.key.user_key);
            (seqno, kind) = (entry.key.seqno, entry.key.kind);
        }
        let at = InternalKey::new(&key_bytes, seqno, kind);
        self.order.clear();
        self.direction = direction;
        for (number, source) in self.sources.iter_mut().enumerate() {
            if number == winner {
                continue;
            }
            match direction {
                Direction::Forward => {
                    source.seek(at)?;
                    // An equal key in an earlier source came before the winner, so it is behind us.
                    let behind = number < winner && source.current().is_some_and(|entry| entry.key == at);
                    if behind {
                        source.next()?;
                    }
                }
                Direction::Backward => {
                    source.seek(at)?;
                    let equal_before =
                        number < winner && source.current().is_some_and(|entry| entry.key == at);
                    if !equal_before {
                        source.seek_before(at)?;
                    }
                }
            }
        }
        self.turn_key = key_bytes;
        self.rebuild();
        // The winner still stands on the current key, which is at or before all others in the new direction.
        debug_assert_eq!(self.order.first().map(|&source| source as usize), Some(winner));
        Ok(())
    }

    fn step(&mut self, direction: Direction) -> Result<(), C::Error> {
        if self.order.is_empty() {
            return Ok(());
        }
        if self.direction != direction {
            self.turn(direction)?;
        }
        let winner = self.order[0] as usize;
        let moved = match direction {
            Direction::Forward => self.sources[winner].next(),
            Direction::Backward => self.sources[winner].prev(),
        };
        if let Err(error) = moved {
            self.order.clear();
            return Err(error);
        }
        self.settle_winner();
        Ok(())
    }
}

/// Whether source `number`, standing on `key`, comes before source `other` in the direction of travel.
#[inline]
fn before<C: Cursor>(
    sources: &[C],
    direction: Direction,
    key: InternalKey<'_>,
    number: u32,
    other: u32,
) -> bool {
    // Only sources that stand somewhere are in the row; one that lost its place without a move would go last.
    let Some(entry) = sources[other as usize].current() else { return true };
    let order = key.cmp(&entry.key).then(number.cmp(&other));
    match direction {
        Direction::Forward => order.is_lt(),
        Direction::Backward => order.is_gt(),
    }
}

impl<C: Cursor> Cursor for MergeCursor<C> {
    type Error = C::Error;

    fn seek_to_first(&mut self) -> Result<(), C::Error> {
        self.reposition(Direction::Forward, C::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<(), C::Error> {
        self.reposition(Direction::Backward, C::seek_to_last)
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), C::Error> {
        self.reposition(Direction::Forward, |source| source.seek(target))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), C::Error> {
        self.reposition(Direction::Backward, |source| source.seek_before(target))
    }

    #[inline]
    fn next(&mut self) -> Result<(), C::Error> {
        self.step(Direction::Forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        self.step(Direction::Backward)
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        self.sources[*self.order.first()? as usize].current()
    }

    fn value_bytes(&self) -> Bytes {
        self.order.first().map_or_else(Bytes::new, |&source| self.sources[source as usize].value_bytes())
    }
}
