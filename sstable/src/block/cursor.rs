//! Walks a table block by block.
//!
//! A block comes from the cache, or from the window (what the last read of the file brought), or by a new read. Walking forward, a
//! read takes as many whole blocks as fit into twice what the read before it took, up to `readahead_bytes`; the first, and any other read, takes one block. So a
//! short scan reads little more than it uses, and a long one reads seldom. The buffer of the window is used
//! again for the next read when nobody shares it any more, since fresh pages and zeroing them cost more than
//! the copy out of the page cache; so is that of an unpacked block.
//!
//! A walk whose reads have grown to `readahead_bytes` is a long scan. It offers its blocks to the cache only while that has room: blocks
//! that will not be asked for again soon shall not push others out, and copying and freeing them would cost a scan more than reading them.
//!
//! Costs: a seek is a search of the index and of one block, sometimes of the next; a step O(1); and per block one look-up in the cache
//! and, when it is not there, its part of a read.
//!
//! Invariants: *Standing*: `walk` stands in block `number`, or nowhere. *Window*: the `bytes` of a window are the stored bytes of
//! its `blocks`, unchecked; a block is checked when it is taken out.

use bytes::Bytes;
use core::ops::Range;
use std::sync::Arc;
use terrace_bloom::{FilterSet, StockFilters};
use terrace_entry::{Cursor, Entry, InternalKey};
use terrace_vfs::{PageVec, ReadFile};

use super::fault::Fault;
use super::index::Index;
use super::reader::{BlockTableReader, copy_into};
use super::stored::{self, Opened};
use super::walk::BlockWalk;
use crate::{BlockCache, CursorOptions, Error, Result, TableBlocks};

/// Walks one table of the block format in both directions; see [`super::BlockTable`].
///
/// [`Cursor::value_bytes`] shares the block that it stands in. With readahead and without `fill_cache` that is a share of everything that one
/// read brought, so hold on to few of them.
pub struct BlockTableCursor<C: BlockCache, F: FilterSet = StockFilters> {
    table: Arc<BlockTableReader<C, F>>,
    options: CursorOptions,
    number: usize,
    walk: BlockWalk,
    /// Apart, since a walk over blocks that are all in the cache has none.
    reading: Option<Box<Reading>>,
}

/// What is kept from one read of the file to the next.
#[derive(Debug)]
struct Reading {
    window: Window,
    /// What the next read may take if it is of the next block.
    ahead_bytes: usize,
    /// Whether blocks of the window go to the cache.
    fills: bool,
    /// What an unpacked block was in, to be used again.
    spare: Vec<u8>,
}

/// What one read of the file brought.
#[derive(Debug, Default)]
struct Window {
    /// The blocks in it.
    blocks: Range<usize>,
    /// Where in the file it begins.
    offset: u64,
    bytes: Bytes,
    buffer: Buffer,
}

impl<C: BlockCache, F: FilterSet> core::fmt::Debug for BlockTableCursor<C, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlockTableCursor")
            .field("table", &self.table)
            .field("block", &self.number)
            .field("at", &self.walk.current().map(|entry| entry.key))
            .finish_non_exhaustive()
    }
}

impl<C: BlockCache, F: FilterSet> Cursor for BlockTableCursor<C, F> {
    type Error = Error;

    fn seek_to_first(&mut self) -> Result<()> {
        self.enter_first(0, false)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        match self.table.index.len().checked_sub(1) {
            Some(last) => self.enter_last(last),
            None => Ok(()),
        }
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        self.number = self.locate(target);
        self.finish_seek(target)
    }

    #[inline]
    fn begin_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        self.number = self.locate(target);
        self.table.blocks().approach(self.number);
        Ok(())
    }

    fn finish_seek(&mut self, target: InternalKey<'_>) -> Result<()> {
        let number = self.number;
        if number >= self.table.index.len() {
            self.walk.clear();
            return Ok(());
        }
        self.load(number, false)?;
        if self.settle(|walk| walk.seek(target))? {
            return Ok(());
        }
        // The target lies between the block's last version and its separator.
        self.enter_first(number + 1, false)
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<()> {
        self.seek(target)?;
        if self.walk.is_standing() { self.prev() } else { self.seek_to_last() }
    }

    #[inline(always)]
    fn next(&mut self) -> Result<()> {
        if !self.walk.is_standing() || self.settle(BlockWalk::next)? {
            return Ok(());
        }
        self.enter_first(self.number + 1, true)
    }

    fn prev(&mut self) -> Result<()> {
        if !self.walk.is_standing() || self.settle(BlockWalk::prev)? {
            return Ok(());
        }
        match self.number.checked_sub(1) {
            Some(before) => self.enter_last(before),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        self.walk.current()
    }

    fn value_bytes(&self) -> Bytes {
        self.walk.value_bytes()
    }
}

impl<C: BlockCache, F: FilterSet> BlockTableCursor<C, F> {
    pub(super) fn new(table: Arc<BlockTableReader<C, F>>, options: CursorOptions) -> Self {
        BlockTableCursor { table, options, number: 0, walk: BlockWalk::new(), reading: None }
    }
}

impl<C: BlockCache, F: FilterSet> BlockTableCursor<C, F> {
    #[inline]
    fn locate(&self, target: InternalKey<'_>) -> usize {
        let blocks = self.table.blocks();
        self.table.index.locate(target, |stretch| blocks.approach_one_of(stretch))
    }

    /// Moves within the block; a fault becomes an error that names the block.
    #[inline]
    fn settle(&mut self, place: impl FnOnce(&mut BlockWalk) -> Result<bool, Fault>) -> Result<bool> {
        place(&mut self.walk).map_err(|fault| self.give_up(fault))
    }

    /// Nothing of a damaged block is believed any more.
    #[cold]
    fn give_up(&mut self, fault: Fault) -> Error {
        self.walk.clear();
        self.table.fault_in(self.number, fault)
    }

    /// Stands on the first version at or after the beginning of block `number`.
    #[inline(never)]
    fn enter_first(&mut self, number: usize, ahead: bool) -> Result<()> {
        for number in number..self.table.index.len() {
            self.load(number, ahead)?;
            // A writer makes no empty blocks; a reader need not rely on that.
            if self.settle(BlockWalk::first)? {
                return Ok(());
            }
        }
        self.walk.clear();
        Ok(())
    }

    /// Stands on the last version at or before the end of block `number`.
    fn enter_last(&mut self, number: usize) -> Result<()> {
        for number in (0..=number).rev() {
            self.load(number, false)?;
            if self.settle(BlockWalk::last)? {
                return Ok(());
            }
        }
        self.walk.clear();
        Ok(())
    }

    /// Takes block `number` for the walk, which then stands nowhere.
    fn load(&mut self, number: usize, ahead: bool) -> Result<()> {
        // Before anything is read, so that the window's buffer is shared by nobody if the caller kept no value.
        let passed = self.walk.release();
        self.number = number;
        if let Some(reading) = &mut self.reading
            && reading.spare.capacity() == 0
            && let Ok(buffer) = passed.try_into_mut()
        {
            reading.spare = Vec::from(buffer);
        }
        let block = self.fetch(number, ahead)?;
        self.settle(|walk| walk.load(block).map(|()| true))?;
        Ok(())
    }

    fn fetch(&mut self, number: usize, ahead: bool) -> Result<Bytes> {
        match self.table.blocks().get(number) {
            Some(block) => Ok(block),
            None => self.read(number, ahead),
        }
    }

    /// A block that is not in the cache.
    #[cold]
    fn read(&mut self, number: usize, ahead: bool) -> Result<Bytes> {
        let (table, options) = (&*self.table, self.options);
        let handle = table.index.handle(number);
        let reading = self.reading.get_or_insert_with(|| {
            let (window, spare) = (Window::default(), Vec::new());
            Box::new(Reading { window, ahead_bytes: 0, fills: options.fill_cache, spare })
        });
        if !ahead {
            reading.ahead_bytes = 0;
        }
        if !reading.window.blocks.contains(&number) {
            let end = readahead_end(&table.index, number, reading.ahead_bytes);
            reading.ahead_bytes = (2 * reading.ahead_bytes.max(handle.len)).min(options.readahead_bytes);
            if options.fill_cache && end == number + 1 {
                // Its own buffer, which the cache will keep and count.
                return table.read_into_cache(number);
            }
            reading.window.read(&*table.file, &table.index, number..end)?;
            let is_long = reading.ahead_bytes == options.readahead_bytes;
            let room = || table.cache().has_room(reading.window.bytes.len() as u64);
            reading.fills = options.fill_cache && (!is_long || room());
        }
        let start = (handle.offset - reading.window.offset) as usize;
        let stored = &reading.window.bytes[start..start + handle.len];
        let (fills, spare) = (reading.fills, &mut reading.spare);
        let of_cache = |bytes| table.blocks().memory_for(number, bytes);
        let memory = |bytes| if fills { of_cache(bytes) } else { take_spare(spare, bytes) };
        let opened = stored::open_into(stored, handle.offset, memory);
        let block = match opened.map_err(|fault| table.fault_in(number, fault))? {
            Opened::Unpacked(raw) => Bytes::from(raw),
            // The cache counts and keeps one block, not a share of all that was read.
            Opened::Plain(len) if fills => copy_into(of_cache(len), &stored[..len]),
            Opened::Plain(len) => reading.window.bytes.slice(start..start + len),
        };
        if fills {
            table.blocks().insert(number, block.clone());
        }
        Ok(block)
    }
}

/// The spare buffer, if there is one, for so many bytes.
fn take_spare(spare: &mut Vec<u8>, bytes: usize) -> Vec<u8> {
    let mut taken = core::mem::take(spare);
    if (1..bytes).contains(&taken.capacity()) {
        // Blocks differ by some bytes: room for the next ones too.
        taken = Vec::with_capacity(bytes + bytes / 8);
    }
    taken
}

/// One past the last block that a read of `bytes_max` from block `number` on brings whole; at least one.
fn readahead_end(index: &Index, number: usize, bytes_max: usize) -> usize {
    let mut bytes = index.handle(number).len;
    let mut end = number + 1;
    while end < index.len() && bytes + index.handle(end).len <= bytes_max {
        bytes += index.handle(end).len;
        end += 1;
    }
    end
}

impl Window {
    fn read(&mut self, file: &dyn ReadFile, index: &Index, blocks: Range<usize>) -> Result<()> {
        let (first, last) = (index.handle(blocks.start), index.handle(blocks.end - 1));
        let bytes = (last.offset - first.offset) as usize + last.len;
        // Empty while it is being filled: an error below must not leave old blocks with new bytes.
        self.blocks = 0..0;
        self.bytes = Bytes::new();
        let buffer = self.buffer.at_least(bytes);
        file.read_exact_at(&mut buffer[..bytes], first.offset)?;
        self.bytes = Bytes::from_owner(self.buffer.clone()).slice(..bytes);
        (self.blocks, self.offset) = (blocks, first.offset);
        Ok(())
    }
}

/// What a window is read into, shared with those who still hold something of it. In pages of its own where it is large, since merges come and go, and an allocator
/// would keep the buffers of all their sources.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<PageVec<u8>>);

impl Buffer {
    /// The buffer to read into: the old one if it has room for so many bytes and nobody shares it.
    fn at_least(&mut self, bytes: usize) -> &mut [u8] {
        if self.0.len() < bytes || Arc::get_mut(&mut self.0).is_none() {
            // The system has zeroed it, and nothing old is copied.
            self.0 = Arc::new(PageVec::zeroed(bytes));
        }
        Arc::get_mut(&mut self.0).expect("looked at, or made")
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
