//! Iterators: owned, both ways, over one view.

use bytes::Bytes;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use terrace_entry::{Cursor, InternalKey, KeyBuffer, Kind, MergeCursor, SeqNo};
use terrace_memtable::MemTable;
use terrace_sstable::CursorOptions;

use crate::batch::KeyspaceId;
use crate::cursor::{RunCursor, Source};
use crate::shared::Shared;
use crate::trace::Scan;
use crate::tree::Tree;
use crate::vain::is_sampled;
use crate::version::View;
use crate::{Error, Parts, Result};

/// The most read-ahead of an iterator that walks forward, in bytes.
const READAHEAD_BYTES: usize = 256 << 10;

type KeyValue = (Bytes, Bytes);

/// What an iterator keeps from being freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// Memtables, and their memory.
    pub memtables: usize,
    /// Bytes of those memtables.
    pub memtable_bytes: u64,
    /// Tables.
    pub tables: usize,
    /// Bytes of those tables' files, which stay on disk for as long as the iterator lives.
    pub file_bytes: u64,
}

/// Walks the keys of a range with their values, from both ends. Owned and `Send`: no lifetime ties it to the database.
///
/// It sees the database as it was when the iterator was made and pins that view ([`Iter::pinned`]). Once it has returned an error it
/// returns that error for ever, so a loop must end at the first `Err` (`?` does, and so does collecting into a `Result`).
///
/// Cost: the first step is a seek in every memtable and run; a step after it O(log runs) at worst, one comparison mostly; a key is copied, a
/// value shared with its block. [`Iter::next_ref`] lends both instead.
pub struct Iter<P: Parts> {
    state: State<P>,
}

enum State<P: Parts> {
    Open(Box<Open<P>>),
    Failed(Error),
}

struct Open<P: Parts> {
    shared: Arc<Shared<P>>,
    view: Arc<View<P>>,
    keyspace: KeyspaceId,
    seqno: SeqNo,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// Where the front begins if not at the lower bound: what somebody sought.
    sought: Option<Vec<u8>>,
    front_placed: bool,
    front: Option<MergeCursor<Source<P>>>,
    /// Apart, since few iterators have one.
    back: Option<Box<MergeCursor<Source<P>>>>,
    /// The last key passed at the front, if there is one; what is at or below it is behind.
    front_key: KeyBuffer,
    front_passed: bool,
    /// Whether the front still stands on what it gave out last.
    front_stands: bool,
    /// The last key passed at the back, and its value.
    back_key: Option<Vec<u8>>,
    back_value: Bytes,
    done: bool,
    /// Counts the steps for a trace, if one is taken and this scan is in its sample.
    traced: Option<Box<Scan>>,
}

fn owned(bound: Bound<&[u8]>) -> Bound<Vec<u8>> {
    match bound {
        Bound::Included(key) => Bound::Included(key.to_vec()),
        Bound::Excluded(key) => Bound::Excluded(key.to_vec()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The least key above every key that begins with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

impl<P: Parts> Iter<P> {
    pub(crate) fn new<K: AsRef<[u8]>>(
        shared: &Arc<Shared<P>>,
        tree: &Tree<P>,
        at: Option<SeqNo>,
        range: &impl RangeBounds<K>,
    ) -> Self {
        let bytes = |bound: Bound<&K>| match bound {
            Bound::Included(key) => Bound::Included(key.as_ref().to_vec()),
            Bound::Excluded(key) => Bound::Excluded(key.as_ref().to_vec()),
            Bound::Unbounded => Bound::Unbounded,
        };
        Iter::between(shared, tree, at, bytes(range.start_bound()), bytes(range.end_bound()))
    }

    pub(crate) fn with_prefix(
        shared: &Arc<Shared<P>>,
        tree: &Tree<P>,
        at: Option<SeqNo>,
        prefix: &[u8],
    ) -> Self {
        Iter::between(shared, tree, at, owned(Bound::Included(prefix)), after_prefix(prefix))
    }

    fn between(
        shared: &Arc<Shared<P>>,
        tree: &Tree<P>,
        at: Option<SeqNo>,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Self {
        if let Err(error) = shared.check_open() {
            return Iter::failed(error);
        }
        if tree.is_removed() {
            return Iter::failed(Error::KeyspaceRemoved(tree.name.clone()));
        }
        // The view before the number, as in a look-up.
        let view = tree.pin();
        let seqno = at.unwrap_or_else(|| shared.visible());
        let traced = if shared.tracer.is_on() { shared.trace_scan(tree.id, None, &lower) } else { None };
        let open = Open {
            shared: Arc::clone(shared),
            traced,
            view,
            keyspace: tree.id,
            seqno,
            sought: None,
            front_placed: false,
            lower,
            upper,
            front: None,
            back: None,
            front_key: KeyBuffer::new(),
            front_passed: false,
            front_stands: false,
            back_key: None,
            back_value: Bytes::new(),
            done: false,
        };
        Iter { state: State::Open(Box::new(open)) }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Iter { state: State::Failed(error) }
    }

    /// What the iterator keeps from being freed.
    #[must_use]
    pub fn pinned(&self) -> Pinned {
        let State::Open(open) = &self.state else { return Pinned::default() };
        Pinned {
            memtables: open.view.mems().count(),
            memtable_bytes: open.view.mem_bytes(),
            tables: open.view.version.tables().count(),
            file_bytes: open.view.version.file_bytes(),
        }
    }

    /// Goes on from the first key at or after `key`, within the range; steps from the back stay where they are.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        if let State::Open(open) = &mut self.state {
            open.seek(key.as_ref());
            if open.traced.is_some() || open.shared.tracer.is_on() {
                open.traced = open.shared.trace_scan(open.keyspace, open.sought.as_deref(), &open.lower);
            }
        }
    }

    /// As [`Iterator::next`], but lends key and value instead of handing them out: nothing is allocated or copied. The borrow ends with the next
    /// step.
    pub fn next_ref(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        self.step(Open::next, Open::front)
    }

    /// As [`DoubleEndedIterator::next_back`], but lends key and value. The borrow ends with the next step.
    pub fn next_back_ref(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        self.step(Open::next_back, Open::back)
    }

    /// Moves, then shows what is stood on if that is anything.
    #[inline]
    fn step<'a, T: 'a>(
        &'a mut self,
        moves: impl FnOnce(&mut Open<P>) -> Result<bool>,
        shows: impl FnOnce(&'a Open<P>) -> Option<T>,
    ) -> Option<Result<T>> {
        let State::Open(open) = &mut self.state else { return self.refuse().map(Err) };
        let moved = moves(open);
        if let Some(scan) = &mut open.traced {
            scan.count(&moved);
        }
        match moved {
            Ok(false) => None,
            Ok(true) => match &self.state {
                State::Open(open) => shows(open).map(Ok),
                State::Failed(_) => None,
            },
            Err(error) => {
                self.state = State::Failed(error);
                self.refuse().map(Err)
            }
        }
    }

    /// The error for ever.
    #[cold]
    fn refuse(&self) -> Option<Error> {
        match &self.state {
            State::Failed(error) => Some(error.clone()),
            State::Open(_) => None,
        }
    }
}

impl<P: Parts> Open<P> {
    fn cursor(&self, options: CursorOptions) -> MergeCursor<Source<P>> {
        let (mems, runs) = (self.view.mems(), &self.view.version.runs);
        let mut sources = Vec::with_capacity(1 + self.view.sealed.len() + runs.len());
        let mems = mems.filter(|mem| !mem.table.is_empty());
        sources.extend(mems.map(|mem| Source::Mem(Arc::clone(&mem.table).cursor())));
        let run = |run| Source::Run(Box::new(RunCursor::new(Arc::clone(run), options)));
        sources.extend(runs.iter().map(run));
        MergeCursor::new(sources)
    }

    fn seek(&mut self, key: &[u8]) {
        let below = match &self.lower {
            Bound::Included(lower) => key < lower.as_slice(),
            Bound::Excluded(lower) => key <= lower.as_slice(),
            Bound::Unbounded => false,
        };
        self.sought = (!below).then(|| key.to_vec());
        self.front_passed = false;
        self.front_stands = false;
        self.front_placed = false;
        self.done = false;
    }

    #[cold]
    fn place_front(&mut self) -> Result<()> {
        let options = CursorOptions { fill_cache: true, readahead_bytes: READAHEAD_BYTES };
        let mut cursor = self.front.take().unwrap_or_else(|| self.cursor(options));
        match (&self.sought, &self.lower) {
            (Some(key), _) | (None, Bound::Included(key)) => {
                cursor.seek(InternalKey::seek_to(key, SeqNo::MAX))?;
                if is_sampled(&self.shared.counters.seeks) {
                    self.shared.count_vain_seek(self.keyspace, &self.view.version, key);
                }
            }
            (None, Bound::Unbounded) => cursor.seek_to_first()?,
            // The least internal key of a user key is its newest version, the greatest its oldest tombstone.
            (None, Bound::Excluded(key)) => {
                cursor.seek(InternalKey::new(key, SeqNo::ZERO, Kind::Delete))?;
                if cursor.current().is_some_and(|entry| entry.key.user_key == key.as_slice()) {
                    cursor.next()?;
                }
            }
        }
        self.front = Some(cursor);
        self.front_placed = true;
        Ok(())
    }

    fn place_back(&mut self) -> Result<()> {
        let mut cursor = self.cursor(CursorOptions { fill_cache: true, readahead_bytes: 0 });
        match &self.upper {
            Bound::Unbounded => cursor.seek_to_last()?,
            Bound::Excluded(key) => cursor.seek_before(InternalKey::seek_to(key, SeqNo::MAX))?,
            Bound::Included(key) => {
                // To the last version of the key, or before it.
                let oldest = InternalKey::new(key, SeqNo::ZERO, Kind::Delete);
                cursor.seek(oldest)?;
                if cursor.current().is_none_or(|entry| entry.key != oldest) {
                    cursor.seek_before(oldest)?;
                }
            }
        }
        self.back = Some(Box::new(cursor));
        Ok(())
    }

    /// Moves the front to the first key after the last one given out whose newest visible version is a value. False at the end.
    #[inline]
    fn next(&mut self) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        self.shared.check_open()?;
        if !self.front_placed {
            self.place_front()?;
        }
        let Some(cursor) = &mut self.front else { return Ok(false) };
        // Not before now: whoever asks for ten keys shall not pay for a step to the eleventh, which may be in another block.
        let mut passed = std::mem::take(&mut self.front_stands);
        loop {
            if passed {
                cursor.next()?;
            }
            let Some(entry) = cursor.current() else { break };
            let key = entry.key;
            passed = true;
            if key.seqno > self.seqno || (self.front_passed && self.front_key.holds(key.user_key)) {
                continue;
            }
            if is_above(key.user_key, &self.upper, self.back_key.as_deref()) {
                break;
            }
            self.front_key.set(key.user_key);
            self.front_passed = true;
            if key.kind == Kind::Put {
                self.front_stands = true;
                return Ok(true);
            }
        }
        self.done = true;
        Ok(false)
    }

    /// What the front stands on.
    #[inline]
    fn front(&self) -> Option<(&[u8], &[u8])> {
        let entry = self.front.as_ref()?.current()?;
        Some((self.front_key.as_slice(), entry.value))
    }

    /// Backward, the versions of a key come oldest first: the last one at or below the sequence number is the one to see. The cursor has then gone past it.
    fn next_back(&mut self) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        self.shared.check_open()?;
        if self.back.is_none() {
            self.place_back()?;
        }
        let Some(cursor) = &mut self.back else { return Ok(false) };
        while let Some(entry) = cursor.current() {
            let front = self.front_passed.then(|| self.front_key.as_slice());
            if is_below(entry.key.user_key, &self.lower, front) {
                break;
            }
            let group = self.back_key.get_or_insert_default();
            group.clear();
            group.extend_from_slice(entry.key.user_key);
            let mut newest: Option<Kind> = None;
            while let Some(entry) = cursor.current()
                && entry.key.user_key == group.as_slice()
            {
                if entry.key.seqno <= self.seqno {
                    newest = Some(entry.key.kind);
                    self.back_value = cursor.value_bytes();
                }
                cursor.prev()?;
            }
            if newest == Some(Kind::Put) {
                return Ok(true);
            }
        }
        self.done = true;
        Ok(false)
    }

    /// What the back has given out last.
    fn back(&self) -> Option<(&[u8], &[u8])> {
        Some((self.back_key.as_deref()?, &self.back_value))
    }
}

/// Whether a key is behind the upper end of the range, or at or behind the last key given out at the back.
#[inline]
fn is_above(key: &[u8], upper: &Bound<Vec<u8>>, back: Option<&[u8]>) -> bool {
    let bounded = match upper {
        Bound::Included(upper) => key > upper.as_slice(),
        Bound::Excluded(upper) => key >= upper.as_slice(),
        Bound::Unbounded => false,
    };
    bounded || back.is_some_and(|back| key >= back)
}

/// Whether a key is before the lower end of the range, or at or before the last key given out at the front.
#[inline]
fn is_below(key: &[u8], lower: &Bound<Vec<u8>>, front: Option<&[u8]>) -> bool {
    let bounded = match lower {
        Bound::Included(lower) => key < lower.as_slice(),
        Bound::Excluded(lower) => key <= lower.as_slice(),
        Bound::Unbounded => false,
    };
    bounded || front.is_some_and(|front| key <= front)
}

impl<P: Parts> Iterator for Iter<P> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Open::next, |open| {
            let value = open.front.as_ref()?.value_bytes();
            Some((Bytes::copy_from_slice(open.front_key.as_slice()), value))
        })
    }
}

impl<P: Parts> DoubleEndedIterator for Iter<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Open::next_back, |open| {
            Some((Bytes::copy_from_slice(open.back_key.as_deref()?), open.back_value.clone()))
        })
    }
}

impl<P: Parts> fmt::Debug for Iter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Open(open) => f.debug_struct("Iter").field("seqno", &open.seqno).finish(),
            State::Failed(error) => f.debug_tuple("Iter").field(error).finish(),
        }
    }
}
