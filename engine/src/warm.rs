//! The cache after a merge: what was in it of the inputs is brought into it of the outputs.
//!
//! Which blocks those are is found out before the view changes, while the inputs are there; they are read after it, when the inputs' blocks have made room,
//! a few at a time, so that a flush or a merge out of level 0 can pass. Meanwhile the cache keeps the memory of blocks that go with the inputs: the same bytes are
//! about to be read again, by a thread whose part of the allocator has none of it.

use std::sync::Arc;
use terrace_compaction::Task;
use terrace_sstable::{BlockCache, TableReader};

use crate::shared::Shared;
use crate::stats::bump;
use crate::version::{Table, Version};
use crate::{Parts, Result};

/// Blocks read between two looks at whether to go on: about a millisecond.
const BLOCKS_PER_STEP: usize = 256;

/// Outputs of a merge, and what is still to be brought into the cache of each.
pub(crate) struct Warming<P: Parts> {
    tables: Vec<(Arc<Table<P>>, Vec<usize>)>,
    _keeping: Keeping<P::Cache>,
}

/// Has the cache keep memory for as long as it lives.
struct Keeping<C: BlockCache>(Arc<C>);

impl<C: BlockCache> Keeping<C> {
    fn of(cache: &Arc<C>) -> Self {
        cache.keep_memory(true);
        Keeping(Arc::clone(cache))
    }
}

impl<C: BlockCache> Drop for Keeping<C> {
    fn drop(&mut self) {
        self.0.keep_memory(false);
    }
}

impl<P: Parts> Warming<P> {
    /// What is to do once `outputs` have taken the place of the task's inputs; `None` when that is nothing. To be asked before they do: from then on the inputs may go,
    /// with the memory of their blocks.
    pub(crate) fn of(
        shared: &Shared<P>,
        version: &Version<P>,
        task: &Task,
        outputs: &[Arc<Table<P>>],
    ) -> Option<Self> {
        if !shared.options.warm_cache_after_merge || shared.cache.stats().used_bytes == 0 {
            return None;
        }
        let inputs = version.tables().filter(|table| task.inputs.contains(&table.meta.id));
        let inputs: Vec<_> = inputs.map(|table| &*table.reader).collect();
        let of_table = |table: &Arc<Table<P>>| {
            let mut blocks = table.reader.warm_blocks(&inputs);
            // Taken from the end.
            blocks.reverse();
            (Arc::clone(table), blocks)
        };
        let tables: Vec<_> = outputs.iter().map(of_table).filter(|(_, blocks)| !blocks.is_empty()).collect();
        (!tables.is_empty()).then(|| Warming { tables, _keeping: Keeping::of(&shared.cache) })
    }

    /// Brings some blocks. False when there are no more, or no more room.
    ///
    /// # Errors
    ///
    /// Those of reading a table.
    pub(crate) fn step(&mut self, shared: &Shared<P>) -> Result<bool> {
        let mut brought = 0;
        for _ in 0..BLOCKS_PER_STEP {
            let Some((table, blocks)) = self.tables.last_mut() else { break };
            match blocks.pop() {
                Some(number) => brought += u64::from(table.reader.warm_block(number)?),
                None => drop(self.tables.pop()),
            }
        }
        bump(&shared.counters.warmed_blocks, brought);
        // A whole step for nothing: readers were faster, or the room is gone.
        Ok(brought > 0 && !self.tables.is_empty())
    }
}
