//! Sorted string tables: immutable files of versions in key order, with an index, a filter, properties and checksums.
//!
//! This crate never decides what goes into a table or when one is replaced, names no files, reads no clock, and starts no thread.
//!
//! # Traits
//!
//! A [`TableFormat`] is a [`TableWriter`] and a [`TableReader`] of the same files; [`BlockTable`] is the stock one. A [`BlockCache`]
//! keeps blocks for all tables of a database; [`SlotCache`] is the stock one, [`NullCache`] keeps nothing.
//!
//! # Example
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use terrace_bloom::KeyHash;
//! use terrace_entry::{InternalKey, Kind, SeqNo};
//! use terrace_sstable::{BlockCache, BlockTable, OpenTable, SlotCache, TableFormat, TableOptions, TableReader, TableWriter};
//! use terrace_vfs::{CreateOptions, MemVfs, Vfs};
//!
//! type Writer = <BlockTable as TableFormat<SlotCache>>::Writer;
//! type Reader = <BlockTable as TableFormat<SlotCache>>::Reader;
//!
//! let vfs = MemVfs::new();
//! vfs.create_dir_all(Path::new("/db"))?;
//! let path = Path::new("/db/000001.sst");
//!
//! let mut writer = Writer::create(vfs.create(path, CreateOptions::default())?, &TableOptions::default())?;
//! writer.add(InternalKey::new(b"apple", SeqNo::new(2), Kind::Put), b"red")?;
//! writer.add(InternalKey::new(b"apple", SeqNo::new(1), Kind::Put), b"green")?;
//! writer.finish()?;
//! vfs.sync_dir(Path::new("/db"))?;
//!
//! let cache = Arc::new(SlotCache::new(8 << 20));
//! let table = Reader::open(OpenTable { file: vfs.open(path)?, file_number: 1, cache })?;
//! let hash = KeyHash::of(b"apple");
//! assert_eq!(table.get(b"apple", hash, SeqNo::MAX)?.unwrap().value, "red");
//! assert_eq!(table.get(b"apple", hash, SeqNo::new(1))?.unwrap().value, "green");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Writing your own
//!
//! Implement [`TableWriter`] and [`TableReader`], tie them together in a [`TableFormat`], and call
//! `testing::check_table_format::<YourFormat, NullCache>()` from a test (feature `testing`): it writes tables of every awkward shape, compares
//! what is read with a sorted vector, and flips every byte of a small one. Options that your format has no use for may be
//! ignored. For a cache, implement [`BlockCache`] and call `testing::check_block_cache::<YourCache>()`. `benches/table.rs` is generic over both.
//!
//! # Features
//!
//! | feature | brings |
//! | --- | --- |
//! | `block` (default) | [`BlockTable`], and [`dump`] for its files |
//! | `slots` (default) | [`SlotCache`] |
//! | `quick` | `QuickCache`, on quick_cache |
//! | `lz4` (default) | [`Compression::Lz4`]; without it such tables give [`Error::NotCompiledIn`] |
//! | `bloom-blocked` (default), `bloom-standard` | the filters of terrace-bloom that tables may carry; one left out is refused by name |
//! | `testing` | the conformance suites |
//!
//! # Format
//!
//! `FORMAT.md` in this crate's folder describes [`BlockTable`]'s files to the byte. Its model is the table format of LevelDB
//! (J. Dean, S. Ghemawat, 2011), and the words come from F. Chang et al., "Bigtable: A Distributed Storage System for Structured Data", OSDI 2006.
#![deny(unsafe_code)]

#[cfg(feature = "block")]
mod block;
mod cache;
mod error;
mod options;
#[cfg(any(feature = "block", feature = "slots"))]
mod prefetch;
mod properties;
#[cfg(feature = "quick")]
mod quick;
#[cfg(feature = "slots")]
mod slots;
#[cfg(feature = "testing")]
pub mod testing;

use bytes::Bytes;
use std::sync::Arc;
use terrace_bloom::KeyHash;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_vfs::{ReadFile, WriteFile};

#[cfg(feature = "block")]
pub use block::{
    BlockTable, BlockTableCursor, BlockTableReader, BlockTableWriter, KEY_BYTES_MAX, VALUE_BYTES_MAX, dump,
};
pub use cache::{BlockCache, CacheStats, NullCache, TableBlocks};
pub use error::{Error, Result};
pub use options::{Compression, FilterOptions, TableOptions};
pub use properties::Properties;
#[cfg(feature = "quick")]
pub use quick::{QuickBlocks, QuickCache};
#[cfg(feature = "slots")]
pub use slots::{SlotCache, Slots};

/// The newest version of a key in a table at or below a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// When it was written.
    pub seqno: SeqNo,
    /// What was written.
    pub kind: Kind,
    /// The value: a share of the (cached) block, not a copy.
    pub value: Bytes,
}

/// A stretch of a damaged table that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostStretch {
    /// Where in the file it begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// What is wrong with it.
    pub what: String,
    /// Whose versions are lost with it.
    pub keys: LostKeys,
}

/// Which user keys a lost stretch may have held versions of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostKeys {
    /// None: it held no versions.
    None,
    /// Some of `smallest` to `largest`, both included.
    Range {
        /// The least that it may have held.
        smallest: Vec<u8>,
        /// The greatest.
        largest: Vec<u8>,
    },
    /// Any that the table held.
    All,
}

/// Where a table is read from and what it shares with other tables.
#[derive(Debug)]
pub struct OpenTable<C> {
    /// The file.
    pub file: Arc<dyn ReadFile>,
    /// The number that names the file in the cache; never reused while the cache lives.
    pub file_number: u64,
    /// The cache shared by all tables.
    pub cache: Arc<C>,
}

/// How a cursor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorOptions {
    /// Whether blocks that it reads go into the cache. Compaction and long scans say no.
    pub fill_cache: bool,
    /// The most bytes to read at once when it walks forward over blocks that are not cached: reads begin with one block and double. Zero
    /// reads block by block.
    pub readahead_bytes: usize,
}

impl Default for CursorOptions {
    fn default() -> Self {
        CursorOptions { fill_cache: true, readahead_bytes: 0 }
    }
}

/// A table format: a writer and a reader of the same files.
pub trait TableFormat<C: BlockCache>: Send + Sync + 'static {
    /// The name used on command lines, in reports and in the manifest.
    const NAME: &'static str;
    /// Writes tables.
    type Writer: TableWriter;
    /// Reads them.
    type Reader: TableReader<C>;
}

/// Writes one table.
///
/// # Contract
///
/// `add` in strictly ascending order of internal key, then `finish`. A writer dropped without `finish` leaves a file that no reader opens.
///
/// # Cost
///
/// `add` copies key and value once, O(1) amortised without allocation per version. Memory: one block, the index, and eight bytes per distinct user
/// key for the filter.
pub trait TableWriter: Send + Sized + 'static {
    /// Begins a table in `file`, which is empty.
    fn create(file: Box<dyn WriteFile>, options: &TableOptions) -> Result<Self>;

    /// Adds a version.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfOrder`] when it is not after the last one; the table can go on.
    fn add(&mut self, key: InternalKey<'_>, value: &[u8]) -> Result<()>;

    /// Sets words of the caller's own, which stand in the properties and are not looked at here. The last ones set before `finish` count; empty
    /// (as at first) is none.
    fn set_note(&mut self, note: Vec<u8>);

    /// Bytes that the file would have if it were finished now, to within a block and the filter.
    fn file_bytes_estimate(&self) -> u64;

    /// Writes what is left, syncs the file, and says what it holds. The caller syncs the folder.
    fn finish(self) -> Result<Properties>;
}

/// Reads one table, from any thread.
///
/// # Laws for implementers
///
/// 1. `get(k, h, s)` is what a cursor shows after `seek(InternalKey::seek_to(k, s))`, if that has user key `k`; else `None`.
/// 2. `may_contain` is true for the hash of every user key in the table.
/// 3. Damaged bytes give [`Error::Corruption`] naming file and offset; never a panic, an endless loop, or an allocation beyond the file's
///    size and a fixed limit. Every byte that an answer depends on is covered by a checksum.
pub trait TableReader<C: BlockCache>: Send + Sync + Sized + 'static {
    /// The cursor; owns a share of the reader.
    type Cursor: Cursor<Error = Error> + Send + 'static;

    /// Opens a table: reads and checks footer, properties, index and filter, and keeps them in memory.
    fn open(source: OpenTable<C>) -> Result<Self>;

    /// The newest version of `user_key` at or below `seqno`; `hash` is [`KeyHash::of`] the key. Asks the filter first.
    fn get(&self, user_key: &[u8], hash: KeyHash, seqno: SeqNo) -> Result<Option<Found>>;

    /// As [`TableReader::get`], for a caller to whom [`TableReader::may_contain`] has just said yes; need not ask the filter again. The provided
    /// method does.
    fn get_passed(&self, user_key: &[u8], hash: KeyHash, seqno: SeqNo) -> Result<Option<Found>> {
        self.get(user_key, hash, seqno)
    }

    /// Whether the filter lets a key of this hash through; true without a filter.
    fn may_contain(&self, hash: KeyHash) -> bool;

    /// Says that [`TableReader::may_contain`] will be asked about this hash soon, so that the processor can fetch what that reads while something else is
    /// done. The provided method does nothing.
    #[inline]
    fn approach(&self, hash: KeyHash) {
        let _ = hash;
    }

    /// Which blocks of this table are worth having in the cache once it has taken the place of `merged` tables: those whose keys, for the most part, stand in
    /// blocks of them that the cache holds. Numbers that [`TableReader::warm_block`] takes, ascending. Reads nothing from a file. The provided method says none.
    fn warm_blocks(&self, merged: &[&Self]) -> Vec<usize> {
        let _ = merged;
        Vec::new()
    }

    /// Brings a block into the cache if there is room, at the cost of reading it. True if it was brought. The provided method brings none.
    fn warm_block(&self, number: usize) -> Result<bool> {
        let _ = number;
        Ok(false)
    }

    /// A cursor, standing nowhere.
    fn cursor(self: Arc<Self>, options: CursorOptions) -> Self::Cursor;

    /// What the writer counted.
    fn properties(&self) -> &Properties;

    /// Memory held by index, filter and properties, and now by what the cache needs for the table beyond its blocks.
    fn memory_bytes(&self) -> usize;

    /// Reads everything and checks every checksum and the order of versions.
    fn verify(self: Arc<Self>) -> Result<()>;

    /// Reads what is whole of a table that may be too damaged to open: gives each version that can be trusted to `keep`, in order, and each stretch
    /// that can not be read to `lost`. For a sound table that is every version and nothing lost.
    ///
    /// It returns the properties, when they can be read.
    ///
    /// Unless the format says more, nothing can be read in part and all is lost.
    ///
    /// # Errors
    ///
    /// Only those of `keep`. What can not be read from the file is lost and no error.
    fn salvage(
        file: &dyn ReadFile,
        keep: &mut dyn FnMut(InternalKey<'_>, &[u8]) -> Result<()>,
        lost: &mut dyn FnMut(LostStretch),
    ) -> Result<Option<Properties>> {
        let _ = keep;
        let what = "this format can not be read in part".to_owned();
        lost(LostStretch { offset: 0, bytes: file.len().unwrap_or(0), what, keys: LostKeys::All });
        Ok(None)
    }
}

#[cfg(all(doctest, feature = "block", feature = "slots"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
