//! The conformance suite for [`MemTable`]: call [`check`] from an integration test on your own implementation.
//!
//! Every check panics with what was asked and both answers at the first difference. All of them take some
//! seconds without optimisation.
//!
//! ```
//! use terrace_memtable::{MemTable, testing};
//!
//! fn every_law_holds<M: MemTable>() {
//!     testing::check::<M>();
//! }
//! ```

mod concurrency;
mod laws;

use crate::MemTable;
use terrace_entry::{InternalKey, OwnedVersion};

pub use concurrency::{
    check_concurrent_writers, check_cursors_during_inserts, check_inserts_are_visible_when_they_return,
};
pub use laws::{
    check_against_oracle, check_cursor_keeps_table, check_empty, check_groups_and_stragglers,
    check_insertion_orders, check_keys, check_memory, check_values, check_versions_of_few_keys,
};

/// Checks every law of [`MemTable`], first from one thread and then from several.
///
/// # Panics
///
/// At the first law that does not hold.
pub fn check<M: MemTable>() {
    check_empty::<M>();
    for (count, seed) in [(1, 1), (2, 2), (63, 3), (64, 4), (65, 5), (300, 6), (1200, 7)] {
        check_against_oracle::<M>(count, seed);
    }
    check_keys::<M>();
    check_values::<M>();
    check_versions_of_few_keys::<M>();
    check_insertion_orders::<M>();
    check_groups_and_stragglers::<M>();
    check_memory::<M>();
    check_cursor_keeps_table::<M>();
    check_concurrent_writers::<M>(4, 3000);
    check_inserts_are_visible_when_they_return::<M>(2, 4000);
    check_cursors_during_inserts::<M>(2, 2500);
}

/// Inserts `version` into `table`.
pub fn insert<M: MemTable>(table: &M, version: &OwnedVersion) {
    let (key, seqno, kind, value) = version;
    table.insert(InternalKey::new(key, *seqno, *kind), value);
}
