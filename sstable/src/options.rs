//! How a table is written. A reader needs none of this: what leaves a trace stands in the file.

use terrace_bloom::FilterId;

/// How blocks are compressed. The numbers stand in every block and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// The LZ4 block format, by lz4_flex (feature `lz4`). A block that it does not make smaller by an eighth is stored as it is.
    Lz4,
}

/// Which filter a table carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterOptions {
    /// Its kind.
    pub id: FilterId,
    /// Its size, in bits for each distinct user key.
    pub bits_per_key: f64,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableOptions {
    /// A block is closed when it holds this many bytes before compression. One version never spans blocks, so a large value makes a large block.
    /// At most 16 MiB; more is taken as that.
    pub block_bytes: usize,
    /// Versions between two restart points: fewer is faster to search, more is smaller.
    pub restart_interval: usize,
    /// How blocks are compressed.
    pub compression: Compression,
    /// The filter, if any.
    pub filter: Option<FilterOptions>,
    /// Creation time in seconds since the Unix epoch, written into the properties. The caller has the clock.
    pub created_at_unix_seconds: u64,
}

impl Default for TableOptions {
    /// 4 KiB blocks, a restart every 16 versions, no compression, no filter.
    fn default() -> Self {
        TableOptions {
            block_bytes: 4096,
            restart_interval: 16,
            compression: Compression::None,
            filter: None,
            created_at_unix_seconds: 0,
        }
    }
}
