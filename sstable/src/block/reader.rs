//! Opens a table and looks keys up.
//!
//! What is in memory: index, filter, properties. What a look-up reads: one data block, from the cache or else from the file.
//!
//! Invariant: *Checked*: every block in memory, cached or not, came out of `stored::open`, which checked its bytes.

use bytes::Bytes;
use core::cell::Cell;
use std::sync::Arc;
use terrace_bloom::{FilterId, FilterSet, KeyHash, StockFilters};
use terrace_entry::{InternalKey, SeqNo};
use terrace_vfs::{PageVec, ReadFile};

use super::cursor::BlockTableCursor;
use super::data::DataBlock;
use super::fault::Fault;
use super::footer::{Footer, MARK_BYTES, Mark};
use super::index::{Handle, Index};
use super::stored::{self, Opened};
use super::{describe, salvage, verify, warm};
use crate::prefetch::prefetch;
use crate::{
    BlockCache, CursorOptions, Error, Found, LostStretch, OpenTable, Properties, Result, TableBlocks,
    TableReader,
};

/// Reads one table of the block format; see [`super::BlockTable`].
pub struct BlockTableReader<C: BlockCache, F: FilterSet = StockFilters> {
    pub(super) file: Arc<dyn ReadFile>,
    cache: Arc<C>,
    blocks: C::Table,
    pub(super) footer: Footer,
    pub(super) index: Index,
    filter: Option<F::Reader<Bytes>>,
    filter_bytes: usize,
    properties: Properties,
    /// Whether most of its data blocks are compressed.
    is_packed: bool,
}

impl<C: BlockCache, F: FilterSet> core::fmt::Debug for BlockTableReader<C, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlockTableReader")
            .field("file", &self.file.path())
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl<C, F> TableReader<C> for BlockTableReader<C, F>
where
    C: BlockCache,
    F: FilterSet,
    F::Reader<Bytes>: Send + Sync + 'static,
{
    type Cursor = BlockTableCursor<C, F>;

    fn open(source: OpenTable<C>) -> Result<Self> {
        let file = &*source.file;
        let footer = read_footer(file)?;
        let fault = |handle: Handle| move |fault: Fault| fault.of(file.path(), handle.offset);
        let properties_payload = read_block(file, footer.properties)?;
        let properties = describe::decode(&properties_payload).map_err(fault(footer.properties))?;
        let index_payload = read_in_pages(file, footer.index)?;
        let index = Index::decode(index_payload, footer.index.offset).map_err(fault(footer.index))?;
        let counted =
            properties.file_bytes == footer.file_bytes && properties.data_blocks == index.len() as u64;
        if !counted {
            let what = Fault::Damage("properties count other blocks or bytes than the file has");
            return Err(fault(footer.properties)(what));
        }
        let filter = footer.filter.map(|handle| open_filter::<F>(file, handle)).transpose()?;
        let is_packed = properties.data_bytes_raw / 17 > properties.data_bytes_stored / 16;
        Ok(BlockTableReader {
            is_packed,
            blocks: source.cache.table(source.file_number, index.len()),
            cache: source.cache,
            index,
            filter,
            filter_bytes: footer.filter.map_or(0, |handle| handle.len),
            properties,
            footer,
            file: source.file,
        })
    }

    #[inline]
    fn get(&self, user_key: &[u8], hash: KeyHash, seqno: SeqNo) -> Result<Option<Found>> {
        if self.may_contain(hash) { self.get_passed(user_key, hash, seqno) } else { Ok(None) }
    }

    #[inline]
    fn get_passed(&self, user_key: &[u8], _hash: KeyHash, seqno: SeqNo) -> Result<Option<Found>> {
        let target = InternalKey::seek_to(user_key, seqno);
        let number = self.index.locate(target, |stretch| self.blocks.approach_one_of(stretch));
        if number >= self.index.len() {
            return Ok(None);
        }
        let mut block = self.block(number)?;
        // One block is enough: see the head of `index`.
        let hit = DataBlock::new(&block).and_then(|data| data.find(target));
        let Some(hit) = hit.map_err(|fault| self.fault_in(number, fault))? else {
            return Ok(None);
        };
        // The share of the block becomes the value's, without another count up and down.
        block.truncate(hit.value.end);
        bytes::Buf::advance(&mut block, hit.value.start);
        Ok(Some(Found { seqno: hit.seqno, kind: hit.kind, value: block }))
    }

    #[inline]
    fn may_contain(&self, hash: KeyHash) -> bool {
        self.filter.as_ref().is_none_or(|filter| F::may_contain(filter, hash))
    }

    #[inline]
    fn approach(&self, hash: KeyHash) {
        if let Some(bytes) = self.filter.as_ref().and_then(|filter| F::will_read(filter, hash)) {
            prefetch(bytes.as_ptr().addr());
        }
    }

    fn warm_blocks(&self, merged: &[&Self]) -> Vec<usize> {
        warm::warm_blocks(self, merged.iter().copied())
    }

    fn warm_block(&self, number: usize) -> Result<bool> {
        // Somebody may have asked for it meanwhile.
        if number >= self.index.len() || self.blocks.holds(number) {
            return Ok(false);
        }
        Ok(self.blocks.insert_if_room(number, self.read(number)?))
    }

    fn cursor(self: Arc<Self>, options: CursorOptions) -> BlockTableCursor<C, F> {
        BlockTableCursor::new(self, options)
    }

    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn memory_bytes(&self) -> usize {
        let keys = self.properties.smallest_key.len() + self.properties.largest_key.len();
        self.index.memory_bytes() + self.filter_bytes + keys + self.blocks.memory_bytes() + size_of::<Self>()
    }

    fn salvage(
        file: &dyn ReadFile,
        keep: &mut dyn FnMut(InternalKey<'_>, &[u8]) -> Result<()>,
        lost: &mut dyn FnMut(LostStretch),
    ) -> Result<Option<Properties>> {
        salvage::salvage(file, keep, lost)
    }

    fn verify(self: Arc<Self>) -> Result<()> {
        verify::verify(&self)
    }
}

impl<C: BlockCache, F: FilterSet> BlockTableReader<C, F> {
    /// The blocks of the table that are in the cache.
    #[inline]
    pub(super) fn blocks(&self) -> &C::Table {
        &self.blocks
    }

    #[inline]
    pub(super) fn cache(&self) -> &C {
        &self.cache
    }

    /// The error for a fault in a data block.
    #[cold]
    pub(super) fn fault_in(&self, number: usize, fault: Fault) -> Error {
        fault.of(self.file.path(), self.index.handle(number).offset)
    }

    /// A data block, from the cache or else from the file and then into the cache.
    #[inline]
    fn block(&self, number: usize) -> Result<Bytes> {
        match self.blocks.get(number) {
            Some(block) => Ok(block),
            None => self.read_into_cache(number),
        }
    }

    #[cold]
    pub(super) fn read_into_cache(&self, number: usize) -> Result<Bytes> {
        let block = self.read(number)?;
        self.blocks.insert(number, block.clone());
        Ok(block)
    }

    /// A data block from the file.
    fn read(&self, number: usize) -> Result<Bytes> {
        let handle = self.index.handle(number);
        let memory = |bytes| self.blocks.memory_for(number, bytes);
        match self.is_packed {
            true => read_packed_block(&*self.file, handle, memory),
            false => read_block_into(&*self.file, handle, memory),
        }
    }

    /// The filter's answer, for `verify`, which has no right to the trait's bounds.
    pub(super) fn filter_contains(&self, hash: KeyHash) -> bool {
        self.filter.as_ref().is_none_or(|filter| F::may_contain(filter, hash))
    }

    pub(super) fn counted(&self) -> &Properties {
        &self.properties
    }
}

/// The longest stored block that is read by way of [`SCRATCH`]: threads shall not keep more.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where blocks are read to that will be unpacked from there.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// As [`read_block_into`], for one that is most likely compressed: without a buffer of its own for what is stored.
fn read_packed_block(
    file: &dyn ReadFile,
    handle: Handle,
    memory: impl Fn(usize) -> Vec<u8>,
) -> Result<Bytes> {
    if handle.len > SCRATCH_BYTES_MAX {
        return read_block_into(file, handle, memory);
    }
    // Taken out meanwhile: a file system may be anybody's, and read a table of its own.
    let mut scratch = SCRATCH.take();
    if scratch.len() < handle.len {
        scratch.resize(handle.len, 0);
    }
    let stored = &mut scratch[..handle.len];
    let read = file.read_exact_at(stored, handle.offset).map_err(Error::from);
    let opened = read.and_then(|()| {
        let opened = stored::open_into(stored, handle.offset, &memory);
        opened.map_err(|fault| fault.of(file.path(), handle.offset))
    });
    let block = opened.map(|opened| match opened {
        Opened::Plain(len) => copy_into(memory(len), &stored[..len]),
        Opened::Unpacked(raw) => Bytes::from(raw),
    });
    SCRATCH.set(scratch);
    block
}

/// Reads and checks a block.
pub(super) fn read_block(file: &dyn ReadFile, handle: Handle) -> Result<Bytes> {
    read_block_into(file, handle, |_| Vec::new())
}

/// As [`read_block`], into what `memory` gives when it is told the length, if that is large enough.
fn read_block_into(file: &dyn ReadFile, handle: Handle, memory: impl Fn(usize) -> Vec<u8>) -> Result<Bytes> {
    let mut stored = memory(handle.len);
    if stored.capacity() < handle.len {
        // The system has zeroed it if it is large.
        stored = vec![0; stored::buffer_bytes(handle.len)];
    }
    stored.resize(handle.len, 0);
    file.read_exact_at(&mut stored, handle.offset)?;
    let opened = stored::open_into(&stored, handle.offset, memory);
    match opened.map_err(|fault| fault.of(file.path(), handle.offset))? {
        Opened::Plain(len) => {
            // Cutting the tail off leaves capacity to spare, with which `Bytes` shares the buffer as it is.
            stored.truncate(len);
            Ok(Bytes::from(stored))
        }
        Opened::Unpacked(raw) => Ok(Bytes::from(raw)),
    }
}

/// As [`read_block`], for what stays as long as the table and may be large.
fn read_in_pages(file: &dyn ReadFile, handle: Handle) -> Result<Bytes> {
    let mut stored = PageVec::zeroed(handle.len);
    file.read_exact_at(&mut stored, handle.offset)?;
    stored::open_in_pages(stored, handle.offset).map_err(|fault| fault.of(file.path(), handle.offset))
}

/// A copy in this memory, whatever was in it.
pub(super) fn copy_into(mut memory: Vec<u8>, block: &[u8]) -> Bytes {
    memory.clear();
    if memory.capacity() < block.len() {
        memory.reserve_exact(stored::buffer_bytes(block.len()));
    }
    memory.extend_from_slice(block);
    Bytes::from(memory)
}

/// Reads and checks the end of a table file.
pub(super) fn read_footer(file: &dyn ReadFile) -> Result<Footer> {
    let file_bytes = file.len()?;
    let fault = |offset: u64| move |fault: Fault| fault.of(file.path(), offset);
    let Some(mark_at) = file_bytes.checked_sub(MARK_BYTES as u64) else {
        return Err(fault(file_bytes)(Fault::Damage("file is shorter than the mark of a table")));
    };
    let mut mark = [0; MARK_BYTES];
    file.read_exact_at(&mut mark, mark_at)?;
    let mark = Mark::decode(&mark, file_bytes).map_err(fault(mark_at))?;
    let footer_at = file_bytes - mark.footer_bytes as u64;
    let mut bytes = vec![0; mark.footer_bytes];
    file.read_exact_at(&mut bytes, footer_at)?;
    Footer::decode(&bytes, mark, file_bytes).map_err(fault(footer_at))
}

/// What cache lines are aligned to.
const LINE_BYTES: usize = 64;

/// Reads the filter to an address aligned to cache lines, so that a line of a blocked filter is one miss and not two.
fn open_filter<F: FilterSet>(file: &dyn ReadFile, handle: Handle) -> Result<F::Reader<Bytes>> {
    let fault = |fault: Fault| fault.of(file.path(), handle.offset);
    let mut buffer = PageVec::zeroed(handle.len + LINE_BYTES);
    // `align_offset` may decline to answer; then the filter is merely not aligned.
    let start = buffer.as_ptr().align_offset(LINE_BYTES);
    let start = if start < LINE_BYTES { start } else { 0 };
    let end = start + handle.len;
    file.read_exact_at(&mut buffer[start..end], handle.offset)?;
    let Opened::Plain(len) = stored::open(&buffer[start..end], handle.offset).map_err(fault)? else {
        return Err(fault(Fault::Damage("filter is compressed")));
    };
    let Some(filter_len) = len.checked_sub(1) else {
        return Err(fault(Fault::Damage("filter does not say its kind")));
    };
    let id = FilterId(buffer[start + filter_len]);
    let bytes = Bytes::from_owner(buffer).slice(start..start + filter_len);
    F::open(id, bytes).map_err(|source| Error::Filter { file: Some(file.path().to_owned()), source })
}
