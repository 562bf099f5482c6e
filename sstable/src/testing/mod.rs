//! Conformance suites: run them over your own table format or block cache.
//!
//! ```no_run
//! use terrace_sstable::{BlockTable, NullCache, testing};
//!
//! testing::check_table_format::<BlockTable, NullCache>();
//! testing::check_block_cache::<NullCache>();
//! ```

mod cache;
mod table;

pub use cache::check_block_cache;
pub use table::{TableFixture, check_table, check_table_format};
