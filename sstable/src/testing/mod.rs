//! Conformance suites: run them over your own table format or block cache.
//!
//! ```no_run
//! use terrace_sstable::{BlockTable, NullCache, testing};
//!
//! testing::check_table_format::<BlockTable, NullCache>();
//! testing::check_block_cache::<NullCache>();
//! ```

#[cfg(feature = "block")]
mod any_bytes;
mod cache;
mod table;

#[cfg(feature = "block")]
pub use crate::block::any_bytes::{
    check_data_block_bytes, check_footer_bytes, check_index_block_bytes, check_properties_bytes,
    data_block_seeds, part_seeds, reseal_table,
};
#[cfg(feature = "block")]
pub use any_bytes::{check_table_bytes, table_seeds};
pub use cache::check_block_cache;
pub use table::{TableFixture, check_table, check_table_format};
