//! What reads pay for runs that a merge would spare them, counted for the picker.
//!
//! The unit is a look-up that reads a block of a table and does not find its key: about a microsecond while blocks are in the cache. A seek pays as much for each run but
//! the oldest, and a filter that is asked in vain costs a sixteenth of it. The oldest run is never paid in vain: no merge would spare it.
//!
//! One read in sixteen counts for all, so that counters which threads share cost next to nothing; what passes a filter in vain is rare and is all counted, where it happens.
//! Whoever only reads asks no picker, so it is asked after so many of these.

use std::sync::Arc;
use terrace_compaction::TableId;

use crate::Parts;
use crate::batch::KeyspaceId;
use crate::seam::executor::{Lane, Step};
use crate::shared::Shared;
use crate::stats::Counter;
use crate::tree::Tree;
use crate::version::{Table, Version};

/// One read in so many is counted.
const SAMPLED_ONE_IN: u64 = 16;
/// What a sampled seek counts, for each table that it searches in vain: as much as all the seeks it stands for.
const SEEK: u64 = SAMPLED_ONE_IN;
/// What a sampled look-up counts, for each filter that it asks in vain: a sixteenth of that.
const FILTER: u64 = SAMPLED_ONE_IN / 16;
/// Reads in vain after which the picker is asked, which takes some microseconds, and more the more tables there are.
const ASK_AFTER: u64 = 4096;
const ASK_AFTER_PER_TABLE: u64 = 64;

/// Counts a read, and says whether it is among those that count for all.
#[inline]
pub(crate) fn is_sampled(counter: &Counter) -> bool {
    counter.add(1).is_multiple_of(SAMPLED_ONE_IN)
}

impl<P: Parts> Shared<P> {
    /// A sampled look-up asked the filters of the first `runs` runs in vain.
    #[cold]
    pub(crate) fn count_vain_filters(
        self: &Arc<Self>,
        tree: &Tree<P>,
        version: &Version<P>,
        runs: usize,
        key: &[u8],
    ) {
        self.count_vain(tree, version, runs, key, FILTER);
    }

    /// A sampled seek has searched every run.
    #[cold]
    pub(crate) fn count_vain_seek(self: &Arc<Self>, keyspace: KeyspaceId, version: &Version<P>, key: &[u8]) {
        if let Ok(tree) = self.tree(keyspace) {
            self.count_vain(&tree, version, version.runs.len(), key, SEEK);
        }
    }

    fn count_vain(
        self: &Arc<Self>,
        tree: &Tree<P>,
        version: &Version<P>,
        runs: usize,
        key: &[u8],
        weight: u64,
    ) {
        let newer_than_oldest = version.runs.len().saturating_sub(1);
        let mut counted = 0;
        for table in version.runs[..runs.min(newer_than_oldest)].iter().filter_map(|run| run.find(key)) {
            table.count_vain_reads(weight);
            counted += weight;
        }
        if counted > 0 && tree.count_vain_reads(counted, ask_after(version)) {
            let keyspace = tree.id;
            self.spawn(Lane::Maintenance, move |shared| {
                if let Ok(tree) = shared.tree(keyspace) {
                    shared.want_compaction(&tree);
                }
                Ok(Step::Done)
            });
        }
    }
}

fn ask_after<P: Parts>(version: &Version<P>) -> u64 {
    let tables: usize = version.runs.iter().map(|run| run.len()).sum();
    (tables as u64 * ASK_AFTER_PER_TABLE).max(ASK_AFTER)
}

/// How often tables were read in vain, for those where it happened since they were opened.
pub(crate) fn vain_reads<P: Parts>(version: &Version<P>) -> std::collections::BTreeMap<TableId, u64> {
    let count = |table: &Arc<Table<P>>| (table.meta.id, table.vain_reads());
    version.tables().map(count).filter(|(_, reads)| *reads > 0).collect()
}
