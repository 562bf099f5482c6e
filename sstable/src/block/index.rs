//! The index: for each data block a separator and where the block is. Kept in memory, ready to be searched.
//!
//! ```text
//! n: varint | n times: separator length: varint | separator: user key | trailer: varint | stored length of the block: varint
//! ```
//!
//! Blocks lie one after another from the beginning of the file, so their offsets are sums of the lengths, and can neither
//! overlap nor leave a gap that no checksum covers.
//!
//! The separator of a block is an internal key at or after its last version and before the first of the next block. Where
//! the two have different user keys it is the shortest user key that separates them, with trailer 0, which comes after every version of
//! that user key; otherwise (versions of one key span blocks) it is the last version's own key. From this follows that
//! a look-up of one user key never needs the block after the one that the index names: if the first version at or after the target
//! lay there, the target would be at or before a separator, and after the last version of its block, so that the user keys
//! differ from the next block's.
//!
//! Separators are not prefix-compressed among themselves: they are searched where they lie in the block's payload, without a
//! second copy, and damaged bytes can not make them larger in memory than they are in the file.
//!
//! Costs: for n blocks some 17 bytes each and the payload, in pages that go back to the system with the table. A search is O(log n) over integers (heads, as in [`super::data`]), with keys
//! compared only where heads are equal. It goes over every 16th head, which are few enough to stay in the processor's first
//! caches, and then counts among 16 that lie side by side: two or three cache lines fetched at once, where a binary search
//! over all heads waits for one line after another. Where blocks lie stands apart, since who finds a block in the cache does not need it: the length of each,
//! and where every 16th begins.

use bytes::Bytes;
use core::cmp::Ordering;
use core::ops::Range;
use terrace_entry::InternalKey;
use terrace_vfs::PageVec;

use super::fault::Fault;
use super::{key, varint};

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its stored length.
    pub(crate) len: usize,
}

/// The part that a search seldom needs.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Where in the payload it begins.
    at: u32,
    /// Stored length of its block.
    block_len: u32,
}

/// Heads counted one by one at the end of a search; and blocks between two whose beginning is known without adding lengths.
const STRIDE: usize = 16;

/// The decoded index.
#[derive(Debug)]
pub(crate) struct Index {
    payload: Bytes,
    /// What all separators begin with: a part of the payload, at hand for each search.
    prefix: Bytes,
    /// Of each block's separator, after the common prefix.
    heads: PageVec<u64>,
    /// Heads 0, [`STRIDE`], 2 [`STRIDE`], ...
    sampled: Vec<u64>,
    rows: PageVec<Row>,
    /// Where blocks 0, [`STRIDE`], 2 [`STRIDE`], ... begin.
    offsets: Vec<u64>,
}

/// The least bytes that a row can take: an empty separator.
const ROW_BYTES_MIN: usize = 3;

const DAMAGED: Fault = Fault::Damage("index does not read");

impl Index {
    /// Reads a payload. The blocks must end where `data_end` is.
    pub(crate) fn decode(payload: Bytes, data_end: u64) -> Result<Self, Fault> {
        let (count, mut at) = varint::take(&payload, 0).ok_or(DAMAGED)?;
        if count > (payload.len() / ROW_BYTES_MIN) as u64 {
            return Err(Fault::Damage("index claims more blocks than it has room for"));
        }
        if u32::try_from(payload.len()).is_err() {
            return Err(Fault::Damage("index is longer than a block may be"));
        }
        let mut rows = PageVec::with_capacity(count as usize);
        let mut offsets = Vec::with_capacity(count as usize / STRIDE + 1);
        let mut offset = 0u64;
        for number in 0..count as usize {
            if number.is_multiple_of(STRIDE) {
                offsets.push(offset);
            }
            let DecodedRow { block_len, end, .. } = decode_row(&payload, at).ok_or(DAMAGED)?;
            rows.push(Row { at: at as u32, block_len });
            at = end;
            // Below 2^32 blocks of below 2^32 bytes.
            offset += u64::from(block_len);
        }
        if at != payload.len() {
            return Err(Fault::Damage("index has bytes after its last block"));
        }
        if offset != data_end {
            return Err(Fault::Damage("data blocks do not end where the index begins"));
        }
        let (heads, sampled) = (PageVec::new(), Vec::new());
        let mut index = Index { payload, prefix: Bytes::new(), heads, sampled, rows, offsets };
        index.check_order()?;
        index.make_heads();
        Ok(index)
    }

    fn check_order(&self) -> Result<(), Fault> {
        let ascending =
            (1..self.len()).all(|number| match self.separator(number - 1).cmp(self.separator(number)) {
                Ordering::Equal => self.separator_trailer(number - 1) > self.separator_trailer(number),
                unequal => unequal.is_lt(),
            });
        if ascending { Ok(()) } else { Err(Fault::Damage("separators of the index are out of order")) }
    }

    fn make_heads(&mut self) {
        let Some(last) = self.len().checked_sub(1) else {
            return;
        };
        // In order, so what the first and the last have in common all have.
        let first = self.separator(0);
        self.prefix = self.payload.slice_ref(&first[..key::common_prefix(first, self.separator(last))]);
        let head = |number| key::head(self.separator(number), self.prefix.len());
        self.heads = (0..=last).map(head).collect();
        self.sampled = self.heads.iter().copied().step_by(STRIDE).collect();
    }

    /// Data blocks.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    fn row(&self, number: usize) -> DecodedRow<'_> {
        let row = decode_row(&self.payload, self.rows[number].at as usize);
        row.expect("it was decoded once")
    }

    /// The user key of a block's separator.
    #[inline]
    pub(crate) fn separator(&self, number: usize) -> &[u8] {
        self.row(number).separator
    }

    /// The trailer of a block's separator.
    pub(crate) fn separator_trailer(&self, number: usize) -> u64 {
        self.row(number).trailer
    }

    /// Where a block is.
    #[inline]
    pub(crate) fn handle(&self, number: usize) -> Handle {
        let len = self.rows[number].block_len as usize;
        let begin = number - number % STRIDE;
        let before = self.rows[begin..number].iter().map(|row| u64::from(row.block_len));
        Handle { offset: self.offsets[number / STRIDE] + before.sum::<u64>(), len }
    }

    /// The first block whose separator is at or after `target`: the one that holds the first version at or after it, unless that is
    /// the first of the next block. [`Index::len`] when every version is before `target`.
    ///
    /// `near` is told a stretch of blocks before it is known which of them it is, or whether it is the one behind them: who will need something of the block asks
    /// for it while the processor waits for the heads. Where the common prefix decides, it is the first or none, and `near` is not called.
    #[inline]
    pub(crate) fn locate(&self, target: InternalKey<'_>, near: impl FnOnce(Range<usize>)) -> usize {
        if !self.prefix.is_empty() {
            match key::against_prefix(target.user_key, &self.prefix) {
                Ordering::Less => return 0,
                Ordering::Greater => return self.len(),
                Ordering::Equal => {}
            }
        }
        let wanted = key::head(target.user_key, self.prefix.len());
        // The last sampled head below the wanted one begins the stretch in which the first head not below it ends.
        let stretch = self.sampled.partition_point(|&head| head < wanted).saturating_sub(1) * STRIDE;
        let heads = &*self.heads;
        let stretch_end = heads.len().min(stretch + STRIDE);
        near(stretch..stretch_end);
        let below = heads[stretch.min(stretch_end)..stretch_end].iter().filter(|&&head| head < wanted);
        let low = stretch + below.count();
        if heads.get(low) != Some(&wanted) {
            return low;
        }
        let equal = heads[low..].partition_point(|&head| head == wanted);
        self.locate_among_equals(low, low + equal, target)
    }

    fn locate_among_equals(&self, mut low: usize, mut high: usize, target: InternalKey<'_>) -> usize {
        while low < high {
            let middle = low.midpoint(high);
            let row = self.row(middle);
            let is_before = match row.separator.cmp(target.user_key) {
                Ordering::Equal => row.trailer > target.trailer(),
                unequal => unequal.is_lt(),
            };
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let words = self.offsets.capacity() + self.sampled.capacity();
        self.payload.len()
            + self.heads.capacity_bytes()
            + self.rows.capacity_bytes()
            + words * size_of::<u64>()
    }
}

/// A row of the payload.
struct DecodedRow<'p> {
    separator: &'p [u8],
    trailer: u64,
    block_len: u32,
    /// Where the next row begins.
    end: usize,
}

#[inline]
fn decode_row(payload: &[u8], at: usize) -> Option<DecodedRow<'_>> {
    let (len, separator_at) = varint::take(payload, at)?;
    let separator_end = separator_at.checked_add(usize::try_from(len).ok()?)?;
    let separator = payload.get(separator_at..separator_end)?;
    let (trailer, next) = varint::take(payload, separator_end)?;
    let (block_len, end) = varint::take(payload, next)?;
    Some(DecodedRow { separator, trailer, block_len: u32::try_from(block_len).ok()?, end })
}

/// Collects the index while blocks are written.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    count: u64,
    rows: PageVec<u8>,
    /// Space in which a row is laid out.
    row: Vec<u8>,
}

impl IndexBuilder {
    /// Adds a block of `len` stored bytes.
    pub(crate) fn add(&mut self, separator: &[u8], trailer: u64, len: usize) {
        self.row.clear();
        varint::put(&mut self.row, separator.len() as u64);
        self.row.extend_from_slice(separator);
        varint::put(&mut self.row, trailer);
        varint::put(&mut self.row, len as u64);
        self.rows.extend_from_slice(&self.row);
        self.count += 1;
    }

    /// Bytes of the payload if it were finished now.
    pub(crate) fn len(&self) -> usize {
        varint::len(self.count) + self.rows.len()
    }

    /// The payload.
    pub(crate) fn finish(&self) -> PageVec<u8> {
        let mut count = Vec::new();
        varint::put(&mut count, self.count);
        let mut payload = PageVec::with_capacity(self.len());
        payload.extend_from_slice(&count);
        payload.extend_from_slice(&self.rows);
        payload
    }
}
