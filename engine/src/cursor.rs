//! Cursors over a run, and over whatever a view holds.

use bytes::Bytes;
use std::sync::Arc;
use terrace_entry::{Cursor, Entry, InternalKey};
use terrace_sstable::{CursorOptions, TableReader};

use crate::parts::{MemCursorOf, TableCursorOf};
use crate::version::RunTables;
use crate::{Error, Parts, Result};

/// Walks a run, opening its tables one at a time.
pub(crate) struct RunCursor<P: Parts> {
    tables: RunTables<P>,
    options: CursorOptions,
    /// The table that `inner` walks.
    at: usize,
    inner: Option<TableCursorOf<P>>,
}

impl<P: Parts> RunCursor<P> {
    pub(crate) fn new(tables: RunTables<P>, options: CursorOptions) -> Self {
        RunCursor { tables, options, at: 0, inner: None }
    }

    /// Makes `inner` a cursor of table `at`, keeping the one it has if it is that.
    fn enter(&mut self, at: usize) -> Option<&mut TableCursorOf<P>> {
        if at >= self.tables.len() {
            self.inner = None;
            return None;
        }
        if self.inner.is_none() || self.at != at {
            self.at = at;
            self.inner = Some(Arc::clone(&self.tables[at].reader).cursor(self.options));
        }
        self.inner.as_mut()
    }

    /// From a table that ended: to the first version of the next that has one.
    fn roll_forward(&mut self) -> Result<()> {
        while let Some(inner) = &self.inner
            && inner.current().is_none()
        {
            if let Some(next) = self.enter(self.at + 1) {
                next.seek_to_first()?;
            }
        }
        Ok(())
    }

    fn roll_backward(&mut self) -> Result<()> {
        while let Some(inner) = &self.inner
            && inner.current().is_none()
        {
            let Some(before) = self.at.checked_sub(1) else {
                self.inner = None;
                return Ok(());
            };
            if let Some(previous) = self.enter(before) {
                previous.seek_to_last()?;
            }
        }
        Ok(())
    }

    /// After a step within `inner`, which failed or ran off the end.
    #[cold]
    fn leave_forward(&mut self, moved: Result<(), terrace_sstable::Error>) -> Result<()> {
        let moved = moved.map_err(Error::from).and_then(|()| self.roll_forward());
        self.settle(moved)
    }

    #[inline(always)]
    fn settle(&mut self, moved: Result<()>) -> Result<()> {
        if moved.is_err() {
            self.inner = None;
        }
        moved
    }

    fn try_begin_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        let at = self.tables.at_or_after(target.user_key);
        match self.enter(at) {
            Some(inner) => Ok(inner.begin_seek(target)?),
            None => Ok(()),
        }
    }

    fn try_finish_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        if let Some(inner) = &mut self.inner {
            inner.finish_seek(target)?;
        }
        self.roll_forward()
    }

    fn try_seek_before(&mut self, target: InternalKey<'_>) -> Result<()> {
        let at = self.tables.partition_point(|table| table.meta.smallest_key.as_slice() <= target.user_key);
        let Some(at) = at.checked_sub(1) else {
            self.inner = None;
            return Ok(());
        };
        if let Some(inner) = self.enter(at) {
            inner.seek_before(target)?;
        }
        self.roll_backward()
    }
}

impl<P: Parts> Cursor for RunCursor<P> {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<()> {
        let moved = match self.enter(0) {
            Some(inner) => inner.seek_to_first().map_err(Error::from).and_then(|()| self.roll_forward()),
            None => Ok(()),
        };
        self.settle(moved)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let last = self.tables.len().wrapping_sub(1);
        let moved = match self.enter(last) {
            Some(inner) => inner.seek_to_last().map_err(Error::from).and_then(|()| self.roll_backward()),
            None => Ok(()),
        };
        self.settle(moved)
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        self.begin_seek(target)?;
        self.finish_seek(target)
    }

    fn begin_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        let begun = self.try_begin_seek(target);
        self.settle(begun)
    }

    fn finish_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        let moved = self.try_finish_seek(target);
        self.settle(moved)
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<()> {
        let moved = self.try_seek_before(target);
        self.settle(moved)
    }

    #[inline(always)]
    fn next(&mut self) -> Result<()> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        match inner.next() {
            Ok(()) if inner.current().is_some() => Ok(()),
            Ok(()) => self.leave_forward(Ok(())),
            Err(error) => self.leave_forward(Err(error)),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let moved = match inner.prev() {
            Ok(()) if inner.current().is_some() => return Ok(()),
            Ok(()) => self.roll_backward(),
            Err(error) => Err(error.into()),
        };
        self.settle(moved)
    }

    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        self.inner.as_ref()?.current()
    }

    fn value_bytes(&self) -> Bytes {
        self.inner.as_ref().map_or_else(Bytes::new, Cursor::value_bytes)
    }
}

/// A cursor over a memtable or over a run.
pub(crate) enum Source<P: Parts> {
    Mem(MemCursorOf<P>),
    /// Apart, so that a row of sources is small: allocators are slow with rows of more than a kilobyte.
    Run(Box<RunCursor<P>>),
}

/// Moves a memtable cursor, which can not fail.
fn sure(moved: Result<(), std::convert::Infallible>) -> Result<()> {
    match moved {
        Ok(()) => Ok(()),
        Err(never) => match never {},
    }
}

impl<P: Parts> Cursor for Source<P> {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.seek_to_first()),
            Source::Run(cursor) => cursor.seek_to_first(),
        }
    }

    fn seek_to_last(&mut self) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.seek_to_last()),
            Source::Run(cursor) => cursor.seek_to_last(),
        }
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.seek(target)),
            Source::Run(cursor) => cursor.seek(target),
        }
    }

    fn begin_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.begin_seek(target)),
            Source::Run(cursor) => cursor.begin_seek(target),
        }
    }

    fn finish_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.finish_seek(target)),
            Source::Run(cursor) => cursor.finish_seek(target),
        }
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.seek_before(target)),
            Source::Run(cursor) => cursor.seek_before(target),
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.next()),
            Source::Run(cursor) => cursor.next(),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        match self {
            Source::Mem(cursor) => sure(cursor.prev()),
            Source::Run(cursor) => cursor.prev(),
        }
    }

    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        match self {
            Source::Mem(cursor) => cursor.current(),
            Source::Run(cursor) => cursor.current(),
        }
    }

    fn value_bytes(&self) -> Bytes {
        match self {
            Source::Mem(cursor) => cursor.value_bytes(),
            Source::Run(cursor) => cursor.value_bytes(),
        }
    }
}
