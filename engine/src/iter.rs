//! Iterators: owned, both ways, over one view.

use bytes::Bytes;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use terrace_entry::{Cursor, InternalKey, Kind, MergeCursor, SeqNo};
use terrace_memtable::MemTable;
use terrace_sstable::CursorOptions;

use crate::cursor::{RunCursor, Source};
use crate::shared::Shared;
use crate::tree::Tree;
use crate::version::View;
use crate::{Error, Parts, Result};

/// Read-ahead of an iterator that walks forward, in bytes.
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
/// value shared with its block.
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
    seqno: SeqNo,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// Where the front begins: the lower bound, or where somebody sought to.
    start: Bound<Vec<u8>>,
    front_placed: bool,
    front: Option<MergeCursor<Source<P>>>,
    back: Option<MergeCursor<Source<P>>>,
    /// The last key given out at the front; what is at or below it is behind.
    front_key: Option<Vec<u8>>,
    back_key: Option<Vec<u8>>,
    done: bool,
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
        let open = Open {
            shared: Arc::clone(shared),
            view,
            seqno,
            start: lower.clone(),
            front_placed: false,
            lower,
            upper,
            front: None,
            back: None,
            front_key: None,
            back_key: None,
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
        }
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Open<P>) -> Result<Option<KeyValue>>,
    ) -> Option<Result<KeyValue>> {
        match &mut self.state {
            State::Failed(error) => Some(Err(error.clone())),
            State::Open(open) => match step(open) {
                Ok(found) => found.map(Ok),
                Err(error) => {
                    self.state = State::Failed(error.clone());
                    Some(Err(error))
                }
            },
        }
    }
}

impl<P: Parts> Open<P> {
    fn cursor(&self, options: CursorOptions) -> MergeCursor<Source<P>> {
        let mems = self.view.mems().filter(|mem| !mem.table.is_empty());
        let mut sources: Vec<_> = mems.map(|mem| Source::Mem(Arc::clone(&mem.table).cursor())).collect();
        let runs = self.view.version.runs.iter();
        sources.extend(runs.map(|run| Source::Run(RunCursor::new(Arc::clone(run), options))));
        MergeCursor::new(sources)
    }

    fn seek(&mut self, key: &[u8]) {
        let below = match &self.lower {
            Bound::Included(lower) => key < lower.as_slice(),
            Bound::Excluded(lower) => key <= lower.as_slice(),
            Bound::Unbounded => false,
        };
        self.start = if below { self.lower.clone() } else { Bound::Included(key.to_vec()) };
        self.front_key = None;
        self.front_placed = false;
        self.done = false;
    }

    fn place_front(&mut self) -> Result<()> {
        let options = CursorOptions { fill_cache: true, readahead_bytes: READAHEAD_BYTES };
        let mut cursor = self.front.take().unwrap_or_else(|| self.cursor(options));
        match &self.start {
            Bound::Unbounded => cursor.seek_to_first()?,
            Bound::Included(key) => cursor.seek(InternalKey::seek_to(key, SeqNo::MAX))?,
            // The least internal key of a user key is its newest version, the greatest its oldest tombstone.
            Bound::Excluded(key) => {
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
        self.back = Some(cursor);
        Ok(())
    }

    fn above_upper(&self, key: &[u8]) -> bool {
        let bounded = match &self.upper {
            Bound::Included(upper) => key > upper.as_slice(),
            Bound::Excluded(upper) => key >= upper.as_slice(),
            Bound::Unbounded => false,
        };
        bounded || self.back_key.as_ref().is_some_and(|back| key >= back.as_slice())
    }

    fn below_lower(&self, key: &[u8]) -> bool {
        let bounded = match &self.lower {
            Bound::Included(lower) => key < lower.as_slice(),
            Bound::Excluded(lower) => key <= lower.as_slice(),
            Bound::Unbounded => false,
        };
        bounded || self.front_key.as_ref().is_some_and(|front| key <= front.as_slice())
    }

    fn next(&mut self) -> Result<Option<KeyValue>> {
        if self.done {
            return Ok(None);
        }
        self.shared.check_open()?;
        if !self.front_placed {
            self.place_front()?;
        }
        let Some(mut cursor) = self.front.take() else { return Ok(None) };
        let found = self.next_visible(&mut cursor)?;
        self.front = Some(cursor);
        self.done = found.is_none();
        Ok(found)
    }

    /// The first key after the last one given out whose newest visible version is a value.
    fn next_visible(&mut self, cursor: &mut MergeCursor<Source<P>>) -> Result<Option<KeyValue>> {
        let mut passed = self.front_key.take();
        while let Some(entry) = cursor.current() {
            let key = entry.key;
            let seen = passed.as_ref().is_some_and(|passed| passed.as_slice() == key.user_key);
            if seen || key.seqno > self.seqno {
                cursor.next()?;
                continue;
            }
            if self.above_upper(key.user_key) {
                break;
            }
            let mut buffer = passed.unwrap_or_default();
            buffer.clear();
            buffer.extend_from_slice(key.user_key);
            if key.kind == Kind::Put {
                let found = (Bytes::copy_from_slice(key.user_key), cursor.value_bytes());
                self.front_key = Some(buffer);
                cursor.next()?;
                return Ok(Some(found));
            }
            passed = Some(buffer);
            cursor.next()?;
        }
        self.front_key = passed;
        Ok(None)
    }

    fn next_back(&mut self) -> Result<Option<KeyValue>> {
        if self.done {
            return Ok(None);
        }
        self.shared.check_open()?;
        if self.back.is_none() {
            self.place_back()?;
        }
        let Some(mut cursor) = self.back.take() else { return Ok(None) };
        let found = self.previous_visible(&mut cursor)?;
        self.back = Some(cursor);
        self.done = found.is_none();
        Ok(found)
    }

    /// Backward, the versions of a key come oldest first: the last one at or below the sequence number is the one to see.
    fn previous_visible(&mut self, cursor: &mut MergeCursor<Source<P>>) -> Result<Option<KeyValue>> {
        let mut group: Vec<u8> = Vec::new();
        loop {
            let Some(entry) = cursor.current() else { return Ok(None) };
            if self.below_lower(entry.key.user_key) {
                return Ok(None);
            }
            group.clear();
            group.extend_from_slice(entry.key.user_key);
            let mut newest: Option<(Kind, Bytes)> = None;
            while let Some(entry) = cursor.current()
                && entry.key.user_key == group.as_slice()
            {
                if entry.key.seqno <= self.seqno {
                    newest = Some((entry.key.kind, cursor.value_bytes()));
                }
                cursor.prev()?;
            }
            if let Some((Kind::Put, value)) = newest {
                let key = Bytes::copy_from_slice(&group);
                self.back_key = Some(group);
                return Ok(Some((key, value)));
            }
        }
    }
}

impl<P: Parts> Iterator for Iter<P> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Open::next)
    }
}

impl<P: Parts> DoubleEndedIterator for Iter<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Open::next_back)
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
