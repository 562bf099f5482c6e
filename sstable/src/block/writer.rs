//! Writes a table: versions in order in, blocks out.
//!
//! A data block is laid out at the end of the output buffer and sealed where it lies, so that an uncompressed version is copied
//! once on its way to the file. The buffer goes to the file when it holds [`BUFFER_BYTES`].
//!
//! Costs: `add` compares the key with the last one (that gives order, shared prefix and whether the user key is new at once), hashes each
//! user key once, and copies. Memory: the buffer, the index's separators, eight bytes per distinct user key.
//!
//! Invariants: *Ascending*: `last_key` and `last_trailer` are of the version added last, and every version added is after them.
//! *Offset*: byte `i` of `out` will stand at `flushed + i` of the file.

use core::marker::PhantomData;

use terrace_bloom::{FilterSet, KeyHash, StockFilters};
use terrace_entry::{InternalKey, KeyBuffer, Kind, SeqNo};
use terrace_vfs::{PageVec, WriteFile};

use super::build::DataBlockBuilder;
use super::footer::{FOOTER_BYTES, Footer, version_for};
use super::index::{Handle, IndexBuilder};
use super::stored::{self, Packer};
use super::{BLOCK_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, describe, key};
use crate::{Error, FilterOptions, Properties, Result, TableOptions, TableWriter};

/// Bytes collected before they are written: large enough that a system call is nothing beside the copy.
const BUFFER_BYTES: usize = 256 << 10;

/// After so many bytes the system is told to begin writing them out. Left to the sync at the end, a table of 30 MiB waited 50 to 70 ms for the disk, a third
/// of the time that it took to merge it.
const SYNC_AHEAD_BYTES: u64 = 1 << 20;

/// A buffer that a large value has grown past this is given back after it is written.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// The size of the filter is estimated for each version that is added, which is no place for floating point.
const FILTER_BYTES_SCALE: u32 = 16;

/// Writes one table of the block format; see [`super::BlockTable`].
#[derive(Debug)]
pub struct BlockTableWriter<F: FilterSet = StockFilters> {
    file: Box<dyn WriteFile>,
    block_bytes: usize,
    filter: Option<FilterOptions>,
    /// Bytes of filter for each key, as a fraction of 2 to the power of [`FILTER_BYTES_SCALE`].
    filter_bytes_scaled: u64,
    out: Vec<u8>,
    flushed: u64,
    /// Bytes of the file since the system was last told to begin writing them out.
    unannounced: u64,
    block: DataBlockBuilder,
    packer: Packer,
    index: IndexBuilder,
    /// Stored length of the last block, which has no separator yet: that takes the key after it.
    unindexed: Option<usize>,
    last_key: KeyBuffer,
    last_trailer: u64,
    /// Space in which a separator is shortened.
    separator: Vec<u8>,
    hashes: PageVec<KeyHash>,
    properties: Properties,
    failed: bool,
    filters: PhantomData<fn() -> F>,
}

impl<F: FilterSet> TableWriter for BlockTableWriter<F> {
    fn create(file: Box<dyn WriteFile>, options: &TableOptions) -> Result<Self> {
        if let Some(filter) = options.filter {
            // An unknown filter is refused now and not after the whole table was written.
            F::stored_bytes(filter.id, 0, filter.bits_per_key).map_err(filter_error)?;
        }
        Ok(BlockTableWriter {
            packer: Packer::new(options.compression)?,
            file,
            block_bytes: options.block_bytes.min(BLOCK_BYTES_MAX),
            filter: options.filter,
            filter_bytes_scaled: options.filter.map_or(0, filter_bytes_scaled),
            out: Vec::with_capacity(BUFFER_BYTES + 2 * options.block_bytes.min(BUFFER_BYTES)),
            flushed: 0,
            unannounced: 0,
            block: DataBlockBuilder::new(options.restart_interval),
            index: IndexBuilder::default(),
            unindexed: None,
            last_key: KeyBuffer::new(),
            last_trailer: 0,
            separator: Vec::new(),
            hashes: PageVec::new(),
            properties: Properties {
                created_at_unix_seconds: options.created_at_unix_seconds,
                ..Properties::default()
            },
            failed: false,
            filters: PhantomData,
        })
    }

    #[inline]
    fn add(&mut self, key: InternalKey<'_>, value: &[u8]) -> Result<()> {
        if self.failed {
            return Err(Error::WriterFailed);
        }
        if key.user_key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            check_size("a key", key.user_key.len(), KEY_BYTES_MAX)?;
            check_size("a value", value.len(), VALUE_BYTES_MAX)?;
        }
        let last_key = self.last_key.as_slice();
        let common = key::common_prefix(last_key, key.user_key);
        let is_first = self.properties.entries == 0;
        let is_same_key = !is_first && common == last_key.len() && common == key.user_key.len();
        let is_after = match (last_key.get(common), key.user_key.get(common)) {
            (Some(last), Some(new)) => new > last,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => key.trailer() < self.last_trailer,
        };
        if !is_after && !is_first {
            return Err(self.out_of_order(key));
        }
        if let Some(len) = self.unindexed {
            self.index_block(len, Some(key.user_key))?;
        }
        if self.block.is_empty() {
            self.block.begin(&self.out);
        }
        self.block.add(&mut self.out, key, common, value);
        self.count(key, value, is_same_key);
        self.last_key.set(key.user_key);
        self.last_trailer = key.trailer();
        if self.block.len(&self.out) >= self.block_bytes {
            self.finish_block()?;
        }
        Ok(())
    }

    fn set_note(&mut self, note: Vec<u8>) {
        self.properties.note = note;
    }

    fn file_bytes_estimate(&self) -> u64 {
        let filter_bytes = (self.hashes.len() as u64 * self.filter_bytes_scaled) >> FILTER_BYTES_SCALE;
        let rest = self.index.len() + FOOTER_BYTES + 2 * self.last_key.len() + 3 * stored::TAIL_BYTES;
        self.offset() + filter_bytes + rest as u64
    }

    fn finish(mut self) -> Result<Properties> {
        if self.failed {
            return Err(Error::WriterFailed);
        }
        if !self.block.is_empty() {
            self.finish_block()?;
        }
        if let Some(len) = self.unindexed {
            self.index_block(len, None)?;
        }
        let index = self.write_index()?;
        let filter = self.write_filter()?;
        self.write_properties_and_footer(index, filter)?;
        self.file.append(&self.out)?;
        self.file.sync()?;
        Ok(self.properties)
    }
}

impl<F: FilterSet> BlockTableWriter<F> {
    /// Where in the file the next byte will stand.
    fn offset(&self) -> u64 {
        self.flushed + self.out.len() as u64
    }

    #[cold]
    fn out_of_order(&self, key: InternalKey<'_>) -> Error {
        let previous = InternalKey::from_trailer(self.last_key.as_slice(), self.last_trailer);
        Error::OutOfOrder {
            key: format!("{key:?}"),
            previous: previous.map_or_else(|kind| kind.to_string(), |previous| format!("{previous:?}")),
        }
    }

    #[inline]
    fn count(&mut self, key: InternalKey<'_>, value: &[u8], is_same_key: bool) {
        let p = &mut self.properties;
        if p.entries == 0 {
            p.smallest_key = key.user_key.to_vec();
            p.seqno_min = SeqNo::MAX;
        }
        p.entries += 1;
        p.tombstones += u64::from(key.kind == Kind::Delete);
        p.seqno_min = p.seqno_min.min(key.seqno);
        p.seqno_max = p.seqno_max.max(key.seqno);
        p.key_bytes += key.user_key.len() as u64;
        p.value_bytes += value.len() as u64;
        if !is_same_key {
            p.user_keys += 1;
            if self.filter.is_some() {
                self.hashes.push(KeyHash::of(key.user_key));
            }
        }
    }

    fn finish_block(&mut self) -> Result<()> {
        self.block.finish(&mut self.out, self.last_key.as_slice());
        let start = self.block.start();
        let raw = self.out.len() - start;
        // Never too large: the limits on keys, values and open blocks add up to less than a block may hold.
        self.packer.seal(&mut self.out, start, self.flushed + start as u64)?;
        let len = self.out.len() - start;
        self.properties.data_blocks += 1;
        self.properties.data_bytes_raw += raw as u64;
        self.properties.data_bytes_stored += len as u64;
        self.unindexed = Some(len);
        self.block.begin(&self.out);
        if self.out.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands the buffer to the file. No block is begun.
    fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        let appended = self.append(&out);
        self.out = out;
        self.out.clear();
        self.out.shrink_to(BUFFER_BYTES_KEPT);
        appended
    }

    /// Hands bytes to the file, which come after all that the buffer ever held.
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.append(bytes) {
            // What the file holds is unknown now.
            self.failed = true;
            return Err(error.into());
        }
        self.flushed += bytes.len() as u64;
        self.unannounced += bytes.len() as u64;
        if self.unannounced >= SYNC_AHEAD_BYTES {
            self.file.will_sync();
            self.unannounced = 0;
        }
        Ok(())
    }

    /// Adds the last block to the index; `next` is the user key that follows it.
    fn index_block(&mut self, len: usize, next: Option<&[u8]>) -> Result<()> {
        self.separator.clear();
        self.separator.extend_from_slice(self.last_key.as_slice());
        let trailer = match next {
            Some(next) if self.last_key.holds(next) => self.last_trailer,
            Some(next) => {
                key::shorten(&mut self.separator, next);
                0
            }
            None => 0,
        };
        let bytes = self.index.len() + self.separator.len() + 32;
        check_size("the index", bytes, stored::RAW_BYTES_MAX)?;
        self.index.add(&self.separator, trailer, len);
        self.unindexed = None;
        Ok(())
    }

    fn write_index(&mut self) -> Result<Handle> {
        let offset = self.offset();
        let (payload, tail) = self.packer.seal_apart(self.index.finish(), offset)?;
        self.append_large(&payload)?;
        self.out.extend_from_slice(&tail);
        Ok(Handle { offset, len: payload.len() + tail.len() })
    }

    fn write_filter(&mut self) -> Result<Option<Handle>> {
        let Some(filter) = self.filter else {
            return Ok(None);
        };
        let (hashes, bits_per_key) = (std::mem::take(&mut self.hashes), filter.bits_per_key);
        let len = F::stored_bytes(filter.id, hashes.len(), bits_per_key).map_err(filter_error)?;
        let mut body = PageVec::zeroed(len);
        F::build_into(filter.id, &hashes, bits_per_key, &mut body).map_err(filter_error)?;
        drop(hashes);
        // After the filter and not before it, so that its lines can be aligned when it is read back.
        let id = [filter.id.0];
        let offset = self.offset();
        let tail = stored::tail_of_plain([&body, &id], offset)?;
        self.append_large(&body)?;
        self.out.extend_from_slice(&id);
        self.out.extend_from_slice(&tail);
        Ok(Some(Handle { offset, len: body.len() + id.len() + tail.len() }))
    }

    /// Hands over what may be as large as an index or a filter, from where it was made if the buffer would have to grow: what that leaves in the allocator's heap stays
    /// there.
    fn append_large(&mut self, payload: &[u8]) -> Result<()> {
        if self.out.len() + payload.len() > BUFFER_BYTES {
            self.flush()?;
            return self.append(payload);
        }
        self.out.extend_from_slice(payload);
        Ok(())
    }

    fn write_properties_and_footer(&mut self, index: Handle, filter: Option<Handle>) -> Result<()> {
        self.properties.largest_key = self.last_key.as_slice().to_vec();
        let (start, offset) = (self.out.len(), self.offset());
        describe::encode(&self.properties, &mut self.out);
        let len = self.out.len() - start + stored::TAIL_BYTES;
        // Now that its length is known: it is the same with the right number in it.
        self.properties.file_bytes = offset + (len + FOOTER_BYTES) as u64;
        self.out.truncate(start);
        describe::encode(&self.properties, &mut self.out);
        stored::seal_plain(&mut self.out, start, offset)?;
        let properties = Handle { offset, len };
        let (file_bytes, version) = (self.properties.file_bytes, version_for(&self.properties.note));
        Footer { index, filter, properties, file_bytes, version }.encode(&mut self.out);
        Ok(())
    }
}

fn check_size(what: &'static str, bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes > bytes_max {
        return Err(Error::TooLarge { what, bytes: bytes as u64, bytes_max: bytes_max as u64 });
    }
    Ok(())
}

fn filter_bytes_scaled(filter: FilterOptions) -> u64 {
    (filter.bits_per_key / 8.0 * f64::from(1u32 << FILTER_BYTES_SCALE)) as u64
}

fn filter_error(source: terrace_bloom::FilterError) -> Error {
    Error::Filter { file: None, source }
}
