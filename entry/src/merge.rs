//! The k-way merge of cursors.
//!
//! Algorithm: the numbers of the sources that stand somewhere, kept sorted by where they stand, winner first. After a step the
//! winner is compared with the runner-up; in a tree with one large bottom level the same source wins again most of
//! the time, and then a step costs this one comparison and moves nothing. Otherwise those that overtook it move up: a few one by one,
//! since a winner seldom falls far; among the rest a binary search finds its new place.
//!
//! Why a sorted row and not a heap or a tournament tree: comparing two keys costs far more than moving a few numbers of four bytes.
//! A heap takes two comparisons to find out that the winner stays and two for each level that it sinks; a tree of losers takes
//! log2 k always. A sorted row takes one, or one and log2 k, and its moves are one copy within a cache line or a few.
//!
//! Heads: beside each number lies the head of the key stood on, the eight bytes after what all keys in the row had in common when it was last
//! sorted anew ([`crate::head`]). Most comparisons are then one of integers, and touch neither the other source nor its key. A key that
//! lacks what was common has the row sorted anew, which makes that shorter; so do many equal heads, which makes it longer.
//!
//! Ties: sources that stand on equal internal keys are taken in the order in which they were given. In a sound
//! tree there are none, since a sequence number is used once.
//!
//! Direction: the row is sorted in one direction. Turning round re-seeks every other source to the far side of the
//! current key, which costs a seek per source, as in LevelDB.

use bytes::Bytes;
use core::cmp::Ordering;

use crate::heads::{begins_with, common_prefix, head};
use crate::{Cursor, Entry, InternalKey, KeyBuffer, Kind, SeqNo};

/// After so many comparisons of equal heads the row is sorted anew; twice as many each time that it does not help.
const TIES_MAX: u32 = 32;

/// So many that overtook the winner are found one by one.
const NEAR: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Of its key, after the common prefix.
    head: u64,
    source: u32,
}

/// Merges sources into one ordered cursor. With k sources: a seek is k seeks and O(k log k) comparisons, a step one comparison
/// when the same source wins again and at most `1 + log2 k` else, with a move of at most 16 k bytes.
#[derive(Debug)]
pub struct MergeCursor<C> {
    sources: Vec<C>,
    /// The sources that stand somewhere, sorted by where in the direction of travel; the winner first.
    order: Vec<Place>,
    /// What all keys in `order` begin with.
    prefix: KeyBuffer,
    /// How many more comparisons of equal heads are borne, and how many were at first.
    ties_left: u32,
    ties_max: u32,
    direction: Direction,
    /// The key stood on when turning round, so that a turn allocates once and not each time.
    turn_key: Vec<u8>,
}

impl<C: Cursor> MergeCursor<C> {
    /// A cursor over all that `sources` hold, standing nowhere.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let order = Vec::with_capacity(sources.len());
        MergeCursor {
            sources,
            order,
            prefix: KeyBuffer::new(),
            ties_left: TIES_MAX,
            ties_max: TIES_MAX,
            direction: Direction::Forward,
            turn_key: Vec::new(),
        }
    }

    /// The sources, in the order given.
    #[must_use]
    pub fn sources(&self) -> &[C] {
        &self.sources
    }

    /// Which source the current version comes from.
    #[must_use]
    pub fn current_source(&self) -> Option<usize> {
        self.order.first().map(|place| place.source as usize)
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
        self.find_prefix();
        let skip = self.prefix.len();
        for (number, source) in self.sources.iter().enumerate() {
            let Some(entry) = source.current() else { continue };
            let place = Place { head: head(entry.key.user_key, skip), source: number as u32 };
            let ahead = |other: &Place| !before(&self.sources, self.direction, entry.key, place, *other);
            let at = self.order.partition_point(ahead);
            self.order.insert(at, place);
        }
    }

    /// Notes what the keys of all sources that stand somewhere have in common.
    fn find_prefix(&mut self) {
        let mut keys = self.sources.iter().filter_map(|source| Some(source.current()?.key.user_key));
        let first = keys.next().unwrap_or_default();
        let common = keys.map(|key| common_prefix(first, key)).min().unwrap_or(0);
        self.prefix.set(&first[..common]);
    }

    /// After the winner moved: puts it into its new place, or drops it if it ran off its end.
    fn settle_winner(&mut self) {
        let winner = self.order[0].source;
        let Some(moved) = self.sources[winner as usize].current() else {
            self.order.remove(0);
            return;
        };
        if self.order.len() == 1 {
            return;
        }
        if !begins_with(moved.key.user_key, self.prefix.as_slice()) {
            return self.rebuild();
        }
        let place = Place { head: head(moved.key.user_key, self.prefix.len()), source: winner };
        self.sink(0, place);
    }

    /// Puts a source into its new place, which is `free` or behind it. Those before `free` are in theirs, and nobody is at `free`.
    fn sink(&mut self, free: usize, place: Place) {
        let Some(moved) = self.sources[place.source as usize].current() else { return };
        let ahead = |other: &Place| !before(&self.sources, self.direction, moved.key, place, *other);
        let tied = self.order.get(free + 1).is_some_and(|other| other.head == place.head);
        let overtook = self.order[free + 1..].partition_point(ahead);
        self.order.copy_within(free + 1..=free + overtook, free);
        self.order[free + overtook] = place;
        if tied {
            self.bear_tie();
        }
    }

    /// Counts a comparison of equal heads. When there are too many, a longer prefix may tell keys apart.
    #[cold]
    fn bear_tie(&mut self) {
        self.ties_left -= 1;
        if self.ties_left == 0 {
            let before = self.prefix.len();
            self.rebuild();
            let helped = self.prefix.len() > before;
            self.ties_max = if helped { TIES_MAX } else { self.ties_max.saturating_mul(2) };
            self.ties_left = self.ties_max;
        }
    }

    /// Puts every source but the winner on the other side of the current key.
    fn turn(&mut self, direction: Direction) -> Result<(), C::Error> {
        let winner = self.order[0].source as usize;
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
        debug_assert_eq!(self.current_source(), Some(winner));
        Ok(())
    }

    /// A step that may be the first one in its direction.
    fn step(&mut self, direction: Direction) -> Result<(), C::Error> {
        if self.order.is_empty() {
            return Ok(());
        }
        if self.direction != direction {
            self.turn(direction)?;
        }
        let winner = self.order[0].source as usize;
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

/// Whether the source of `place`, standing on `key`, comes before the one of `other` in the direction of travel.
#[inline(always)]
fn before<C: Cursor>(
    sources: &[C],
    direction: Direction,
    key: InternalKey<'_>,
    place: Place,
    other: Place,
) -> bool {
    match (place.head.cmp(&other.head), direction) {
        (Ordering::Equal, _) => before_by_key(sources, direction, key, place, other),
        (order, Direction::Forward) => order.is_lt(),
        (order, Direction::Backward) => order.is_gt(),
    }
}

/// As [`before`], where heads are equal.
#[inline(never)]
fn before_by_key<C: Cursor>(
    sources: &[C],
    direction: Direction,
    key: InternalKey<'_>,
    place: Place,
    other: Place,
) -> bool {
    // Only sources that stand somewhere are in the row; one that lost its place without a move would go last.
    let Some(entry) = sources[other.source as usize].current() else { return true };
    let order = key.cmp(&entry.key).then(place.source.cmp(&other.source));
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
        self.begin_seek(target)?;
        self.finish_seek(target)
    }

    fn begin_seek(&mut self, target: InternalKey<'_>) -> Result<(), C::Error> {
        self.order.clear();
        self.sources.iter_mut().try_for_each(|source| source.begin_seek(target))
    }

    fn finish_seek(&mut self, target: InternalKey<'_>) -> Result<(), C::Error> {
        self.reposition(Direction::Forward, |source| source.finish_seek(target))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), C::Error> {
        self.reposition(Direction::Backward, |source| source.seek_before(target))
    }

    #[inline(always)]
    fn next(&mut self) -> Result<(), C::Error> {
        if self.direction != Direction::Forward {
            return self.step(Direction::Forward);
        }
        let Some(&Place { source: winner, .. }) = self.order.first() else { return Ok(()) };
        let source = &mut self.sources[winner as usize];
        if let Err(error) = source.next() {
            self.order.clear();
            return Err(error);
        }
        let place = match source.current() {
            Some(_) if self.order.len() == 1 => return Ok(()),
            Some(moved) if begins_with(moved.key.user_key, self.prefix.as_slice()) => {
                Place { head: head(moved.key.user_key, self.prefix.len()), source: winner }
            }
            _ => {
                self.settle_winner();
                return Ok(());
            }
        };
        // As `sink`, but by heads alone and for as long as they tell.
        let mut free = 0;
        while let Some(&other) = self.order.get(free + 1) {
            if place.head < other.head {
                break;
            }
            if place.head == other.head || free == NEAR {
                self.sink(free, place);
                return Ok(());
            }
            self.order[free] = other;
            free += 1;
        }
        self.order[free] = place;
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        self.step(Direction::Backward)
    }

    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        self.sources[self.order.first()?.source as usize].current()
    }

    fn value_bytes(&self) -> Bytes {
        let winner = self.order.first();
        winner.map_or_else(Bytes::new, |place| self.sources[place.source as usize].value_bytes())
    }
}
