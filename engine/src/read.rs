//! Point look-ups: the active memtable, sealed memtables, then runs, newest first.

use bytes::Bytes;
use std::sync::Arc;
use terrace_bloom::KeyHash;
use terrace_entry::{Kind, SeqNo};
use terrace_sstable::TableReader;

use crate::shared::Shared;
use crate::tree::Tree;
use crate::vain::is_sampled;
use crate::{Error, Parts, Result, pinned};

/// The filters of so many runs are asked before the first of their tables is searched: a filter's line is most often a miss of the processor's
/// cache, and misses that do not wait for each other's answers are served side by side.
const FILTERS_TOGETHER: usize = 8;

impl<P: Parts> Shared<P> {
    /// The value of `key` at `at`, or now.
    pub(crate) fn get(
        self: &Arc<Self>,
        tree: &Tree<P>,
        key: &[u8],
        at: Option<SeqNo>,
    ) -> Result<Option<Bytes>> {
        let answer = self.look_up(tree, key, at);
        if self.tracer.is_on() {
            self.trace_get(tree.id, key, &answer);
        }
        answer
    }

    #[inline(always)]
    fn look_up(self: &Arc<Self>, tree: &Tree<P>, key: &[u8], at: Option<SeqNo>) -> Result<Option<Bytes>> {
        self.check_open()?;
        if tree.is_removed() {
            return Err(Error::KeyspaceRemoved(tree.name.clone()));
        }
        // The view before the number. A view holds every version that was visible when it was loaded and not shadowed then; a
        // number loaded first could be so old that a compaction has meanwhile dropped what it would see.
        let view = tree.view();
        let seqno = at.unwrap_or_else(|| self.visible());
        let sampled = is_sampled(&self.counters.gets);
        let hash = KeyHash::of(key);
        // The oldest run's filters are the largest, so their lines are the least likely to be in the processor's caches.
        let in_oldest = view.version.runs.last().and_then(|run| run.find(key));
        if let Some(table) = in_oldest {
            table.reader.approach(hash);
        }
        for mem in view.mems() {
            if let Some(found) = pinned::get(&mem.table, key, seqno) {
                return Ok(value_of(found));
            }
        }
        let (mut asked, mut passed, mut runs_in_vain) = (0, 0, view.version.runs.len());
        let mut answer = Ok(None);
        'runs: for (chunk, runs) in view.version.runs.chunks(FILTERS_TOGETHER).enumerate() {
            let mut passing = [None; FILTERS_TOGETHER];
            for (place, (passing, run)) in passing.iter_mut().zip(runs).enumerate() {
                let is_oldest = chunk * FILTERS_TOGETHER + place + 1 == view.version.runs.len();
                let Some(table) = (if is_oldest { in_oldest } else { run.find(key) }) else { continue };
                asked += 1;
                if table.reader.may_contain(hash) {
                    *passing = Some((table, asked));
                }
            }
            for (place, passing) in passing[..runs.len()].iter().enumerate() {
                let Some((table, asked_by_then)) = passing else { continue };
                passed += 1;
                match table.reader.get_passed(key, hash, seqno) {
                    Ok(None) => table.count_vain_reads(1),
                    Ok(Some(found)) => {
                        // Tables behind it count as little as if they had not been asked early.
                        asked = *asked_by_then;
                        runs_in_vain = chunk * FILTERS_TOGETHER + place;
                        answer = Ok(value_of((found.kind, found.value)));
                        break 'runs;
                    }
                    Err(error) => {
                        answer = Err(error.into());
                        break 'runs;
                    }
                }
            }
        }
        if sampled {
            self.count_vain_filters(tree, &view.version, runs_in_vain, key);
        }
        if asked > 0 {
            self.counters.tables_asked.add(asked);
            self.counters.filter_passes.add(passed);
        }
        answer
    }
}

fn value_of((kind, value): (Kind, Bytes)) -> Option<Bytes> {
    (kind == Kind::Put).then_some(value)
}
