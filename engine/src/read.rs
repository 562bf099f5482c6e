//! Point look-ups: the active memtable, sealed memtables, then runs, newest first.

use bytes::Bytes;
use std::sync::Arc;
use terrace_bloom::KeyHash;
use terrace_entry::{Kind, SeqNo};
use terrace_memtable::MemTable;
use terrace_sstable::TableReader;

use crate::pinned::InMemTable;
use crate::shared::Shared;
use crate::tree::Tree;
use crate::vain::is_sampled;
use crate::{Error, Parts, Result, pinned};

/// The filters of so many runs are asked before the first of their tables is searched: a filter's line is most often a miss of the processor's
/// cache, and misses that do not wait for each other's answers are served side by side.
const FILTERS_TOGETHER: usize = 8;

/// A value where a look-up found it.
enum Located<'v, M> {
    InMemTable(InMemTable<'v, M>),
    InTable(Bytes),
}

impl<M: MemTable> Located<'_, M> {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Located::InMemTable(found) => found.value(),
            Located::InTable(value) => value,
        }
    }

    #[inline]
    fn into_bytes(self) -> Bytes {
        match self {
            Located::InMemTable(found) => found.to_bytes(),
            Located::InTable(value) => value,
        }
    }
}

impl<P: Parts> Shared<P> {
    /// The value of `key` at `at`, or now.
    pub(crate) fn get(
        self: &Arc<Self>,
        tree: &Tree<P>,
        key: &[u8],
        at: Option<SeqNo>,
    ) -> Result<Option<Bytes>> {
        let answer = self.look_up(tree, key, at, |value| value.into_bytes());
        if self.tracer.is_on() {
            self.trace_get(tree.id, key, answer.as_ref().map(|value| value.as_ref().map(Bytes::len)));
        }
        answer
    }

    /// What `read` makes of the value of `key` at `at`, or now.
    pub(crate) fn get_ref<R>(
        self: &Arc<Self>,
        tree: &Tree<P>,
        key: &[u8],
        at: Option<SeqNo>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if !self.tracer.is_on() {
            return self.look_up(tree, key, at, |value| read(value.as_slice()));
        }
        let answer = self.look_up(tree, key, at, |value| (value.as_slice().len(), read(value.as_slice())));
        self.trace_get(tree.id, key, answer.as_ref().map(|value| value.as_ref().map(|value| value.0)));
        answer.map(|value| value.map(|value| value.1))
    }

    /// Looks a key up, and gives its value to `take` while what holds it is held.
    #[inline(always)]
    fn look_up<R>(
        self: &Arc<Self>,
        tree: &Tree<P>,
        key: &[u8],
        at: Option<SeqNo>,
        take: impl FnOnce(Located<'_, P::MemTable>) -> R,
    ) -> Result<Option<R>> {
        self.check_open()?;
        if tree.is_removed() {
            return Err(Error::KeyspaceRemoved(tree.name.clone()));
        }
        // The view before the number. A view holds every version that was visible when it was loaded and not shadowed then; a
        // number loaded first could be so old that a compaction has meanwhile dropped what it would see.
        let view = tree.view();
        let seqno = at.unwrap_or_else(|| self.visible());
        let sampled = is_sampled(&self.counters.gets);
        let runs = &view.version.runs;
        // The oldest run's filters are the largest, so their lines are the least likely to be in the processor's caches.
        let oldest = runs.last().map(|run| (KeyHash::of(key), run.find(key)));
        if let Some((hash, Some(table))) = oldest {
            table.reader.approach(hash);
        }
        for mem in view.mems() {
            if let Some(found) = pinned::get(&mem.table, key, seqno) {
                return Ok(value_of(found.kind(), Located::InMemTable(found)).map(take));
            }
        }
        let Some((hash, in_oldest)) = oldest else { return Ok(None) };
        let (mut asked, mut passed, mut runs_in_vain) = (0, 0, runs.len());
        let mut answer = Ok(None);
        'runs: for (chunk, together) in runs.chunks(FILTERS_TOGETHER).enumerate() {
            let mut passing = [None; FILTERS_TOGETHER];
            for (place, (passing, run)) in passing.iter_mut().zip(together).enumerate() {
                let is_oldest = chunk * FILTERS_TOGETHER + place + 1 == runs.len();
                let Some(table) = (if is_oldest { in_oldest } else { run.find(key) }) else { continue };
                asked += 1;
                if table.reader.may_contain(hash) {
                    *passing = Some((table, asked));
                }
            }
            for (place, passing) in passing[..together.len()].iter().enumerate() {
                let Some((table, asked_by_then)) = passing else { continue };
                passed += 1;
                match table.reader.get_passed(key, hash, seqno) {
                    Ok(None) => table.count_vain_reads(1),
                    Ok(Some(found)) => {
                        // Tables behind it count as little as if they had not been asked early.
                        asked = *asked_by_then;
                        runs_in_vain = chunk * FILTERS_TOGETHER + place;
                        answer = Ok(value_of(found.kind, Located::InTable(found.value)).map(take));
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

/// What a version says the value is.
#[inline]
fn value_of<M>(kind: Kind, located: Located<'_, M>) -> Option<Located<'_, M>> {
    (kind == Kind::Put).then_some(located)
}
