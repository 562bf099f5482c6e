//! The block format: sorted versions in checked, optionally compressed blocks, with an index, a filter, properties and a footer.
//!
//! ```text
//! data block 0 | data block 1 | ... | index | filter? | properties | footer
//! ```
//!
//! Source: LevelDB's table format (data blocks with restarts, an index of shortest separators, a footer at the end). Departures are told at
//! the head of the file that makes them: `data` (heads, search without building keys), `stored` (checksums bound to place),
//! `index` (whole in memory, one block per look-up), `footer` (versions told from damage, no byte outside a checksum).
//!
//! `FORMAT.md` beside the crate's manifest describes every byte.

#[cfg(feature = "testing")]
pub(crate) mod any_bytes;
mod build;
mod cursor;
mod data;
mod describe;
mod dump;
mod fault;
mod footer;
mod index;
mod key;
mod reader;
mod salvage;
mod stored;
#[cfg(test)]
mod tests;
mod varint;
mod verify;
mod walk;
mod warm;
mod writer;

use bytes::Bytes;
use core::marker::PhantomData;
use terrace_bloom::{FilterSet, StockFilters};

use crate::{BlockCache, TableFormat};

pub use cursor::BlockTableCursor;
pub use dump::dump;
pub use reader::BlockTableReader;
pub use writer::BlockTableWriter;

/// The longest user key that a table takes: 16 MiB. Keys stand in memory in the index and in cursors.
pub const KEY_BYTES_MAX: usize = 16 << 20;

/// The longest value that a table takes, 960 MiB: with the longest key it fits into a block of 1 GiB that already held
/// the 16 MiB at which any block is closed.
pub const VALUE_BYTES_MAX: usize = (1 << 30) - 4 * KEY_BYTES_MAX;

/// A block is closed at this size whatever the options say.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// The block-based table format, with the filters of `F`.
///
/// Costs, for a table of n versions in blocks of b bytes: a look-up asks the filter (one or a few cache lines), searches the index in
/// memory (O(log n) integers), takes one block from cache or file, and searches it (O(log b) integers and one restart
/// interval). A step of a cursor decodes one entry.
///
/// # Example
///
/// ```
/// use std::{path::Path, sync::Arc};
/// use terrace_bloom::KeyHash;
/// use terrace_entry::{InternalKey, Kind, SeqNo};
/// use terrace_sstable::{BlockCache, BlockTable, NullCache, OpenTable, TableFormat, TableOptions, TableReader, TableWriter};
/// use terrace_vfs::{CreateOptions, MemVfs, Vfs};
///
/// type Writer = <BlockTable as TableFormat<NullCache>>::Writer;
/// type Reader = <BlockTable as TableFormat<NullCache>>::Reader;
///
/// let vfs = MemVfs::new();
/// let path = Path::new("/1.sst");
/// # vfs.create_dir_all(Path::new("/"))?;
/// let mut writer = Writer::create(vfs.create(path, CreateOptions::default())?, &TableOptions::default())?;
/// writer.add(InternalKey::new(b"key", SeqNo::new(1), Kind::Put), b"value")?;
/// writer.finish()?;
///
/// let source = OpenTable { file: vfs.open(path)?, file_number: 1, cache: Arc::new(NullCache::new(0)) };
/// let table = Reader::open(source)?;
/// let found = table.get(b"key", KeyHash::of(b"key"), SeqNo::MAX)?.expect("it is there");
/// assert_eq!(found.value, "value");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BlockTable<F = StockFilters>(PhantomData<fn() -> F>);

impl<C, F> TableFormat<C> for BlockTable<F>
where
    C: BlockCache,
    F: FilterSet,
    F::Reader<Bytes>: Send + Sync + 'static,
{
    const NAME: &'static str = "block";
    type Writer = BlockTableWriter<F>;
    type Reader = BlockTableReader<C, F>;
}
