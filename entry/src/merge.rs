//! The k-way merge of cursors.
//!
//! Algorithm: a binary heap of source numbers ordered by where each source stands, kept as a plain vector so
//! that the winner can be stepped in place. After a step the winner is compared with its two children only; in
//! a tree with one large bottom level the same source wins again most of the time, and then a step costs at
//! most two comparisons and moves nothing (the fast path that Pebble and RocksDB call winner caching).
//!
//! Ties: sources that stand on equal internal keys are taken in the order in which they were given. In a sound
//! tree there are none, since a sequence number is used once.
//!
//! Direction: the heap holds one direction. Turning round re-seeks every other source to the far side of the
//! current key, which costs a seek per source, as in LevelDB.

use bytes::Bytes;

use crate::{Cursor, Entry, InternalKey, Kind, SeqNo};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

/// Merges sources into one ordered cursor. With k sources: a seek is k seeks and O(k), a step O(log k) at
/// worst and two comparisons when the same source wins again.
#[derive(Debug)]
pub struct MergeCursor<C> {
    sources: Vec<C>,
    /// Numbers of the sources that stand somewhere; the winner first.
    heap: Vec<u32>,
    direction: Direction,
    /// The key stood on when turning round, so that a turn allocates once and not each time.
    turn_key: Vec<u8>,
}

impl<C: Cursor> MergeCursor<C> {
    /// A cursor over all that `sources` hold, standing nowhere.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        let heap = Vec::with_capacity(sources.len());
        MergeCursor { sources, heap, direction: Direction::Forward, turn_key: Vec::new() }
    }

    /// The sources, in the order given.
    #[must_use]
    pub fn sources(&self) -> &[C] {
        &self.sources
    }

    /// Which source the current version comes from.
    #[must_use]
    pub fn current_source(&self) -> Option<usize> {
        self.heap.first().map(|&source| source as usize)
    }

    fn reposition(
        &mut self,
        direction: Direction,
        mut place: impl FnMut(&mut C) -> Result<(), C::Error>,
    ) -> Result<(), C::Error> {
        self.heap.clear();
        self.direction = direction;
        for source in &mut self.sources {
            place(source)?;
        }
        self.rebuild();
        Ok(())
    }

    fn rebuild(&mut self) {
        self.heap.clear();
        let standing = self.sources.iter().enumerate().filter(|(_, source)| source.current().is_some());
        self.heap.extend(standing.map(|(number, _)| number as u32));
        for parent in (0..self.heap.len() / 2).rev() {
            self.sift_down(parent);
        }
    }

    /// Whether source `a` comes before source `b` in the direction of travel.
    #[inline]
    fn wins(&self, a: u32, b: u32) -> bool {
        let (Some(left), Some(right)) =
            (self.sources[a as usize].current(), self.sources[b as usize].current())
        else {
            return false;
        };
        match (left.key.cmp(&right.key), self.direction) {
            (core::cmp::Ordering::Equal, Direction::Forward) => a < b,
            (core::cmp::Ordering::Equal, Direction::Backward) => a > b,
            (order, Direction::Forward) => order.is_lt(),
            (order, Direction::Backward) => order.is_gt(),
        }
    }

    #[inline]
    fn sift_down(&mut self, mut parent: usize) {
        loop {
            let left = 2 * parent + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.wins(self.heap[right], self.heap[left]) {
                right
            } else {
                left
            };
            if !self.wins(self.heap[child], self.heap[parent]) {
                return;
            }
            self.heap.swap(parent, child);
            parent = child;
        }
    }

    /// After the winner moved: restores the heap, dropping the winner if it ran off its end.
    #[inline]
    fn settle_winner(&mut self) {
        if self.sources[self.heap[0] as usize].current().is_none() {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
    }

    /// Puts every source but the winner on the other side of the current key.
    fn turn(&mut self, direction: Direction) -> Result<(), C::Error> {
        let winner = self.heap[0] as usize;
        let mut key_bytes = core::mem::take(&mut self.turn_key);
        key_bytes.clear();
        let (mut seqno, mut kind) = (SeqNo::ZERO, Kind::Put);
        if let Some(entry) = self.sources[winner].current() {
            key_bytes.extend_from_slice(entry.key.user_key);
            (seqno, kind) = (entry.key.seqno, entry.key.kind);
        }
        let at = InternalKey::new(&key_bytes, seqno, kind);
        self.heap.clear();
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
        debug_assert_eq!(self.heap.first().map(|&source| source as usize), Some(winner));
        Ok(())
    }

    fn step(&mut self, direction: Direction) -> Result<(), C::Error> {
        if self.heap.is_empty() {
            return Ok(());
        }
        if self.direction != direction {
            self.turn(direction)?;
        }
        let winner = self.heap[0] as usize;
        let moved = match direction {
            Direction::Forward => self.sources[winner].next(),
            Direction::Backward => self.sources[winner].prev(),
        };
        if let Err(error) = moved {
            self.heap.clear();
            return Err(error);
        }
        self.settle_winner();
        Ok(())
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
        self.sources[*self.heap.first()? as usize].current()
    }

    fn value_bytes(&self) -> Bytes {
        self.heap.first().map_or_else(Bytes::new, |&source| self.sources[source as usize].value_bytes())
    }
}
