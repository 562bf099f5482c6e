//! Walking one data block entry by entry, in both directions.
//!
//! Forward: each entry's user key is built in one buffer by cutting it to the shared part and appending the suffix.
//!
//! Backward: entries can be read only forward, so stepping back into an interval reads its headers once and keeps
//! them. A key is then rebuilt from right to left out of the suffixes that hold its bytes, stopping at the part that it shares with
//! the key stood on before. LevelDB rescans the interval at each step; RocksDB keeps all its keys, whose size damaged bytes could
//! choose. Headers are 72 bytes for an entry of at least four.
//!
//! Costs: a step O(1) amortised over an interval; the buffers are kept from block to block.
//!
//! Invariants: *Standing*: when `is_standing`, `key`, `at`, `end`, `value`, `seqno` and `kind` are those of one entry of the block. *Inside* as in
//! [`super::data`].

use bytes::Bytes;
use terrace_entry::{Entry, InternalKey, KeyBuffer, Kind, SeqNo};

use super::data::{self, DataBlock, Layout, Position, RawEntry};
use super::fault::Fault;
use crate::prefetch::prefetch;

/// Bytes of a line of the processor's cache.
const LINE_BYTES: usize = 64;
/// So many lines of values are asked for when a walk begins. Whoever seeks mostly reads on, and the lines come side by side, where steps would wait for them one after
/// the other until the processor sees the pattern.
const VALUE_LINES: usize = 16;

/// Stands on an entry of a block, or nowhere.
#[derive(Debug)]
pub(crate) struct BlockWalk {
    block: Bytes,
    layout: Layout,
    standing: bool,
    key: KeyBuffer,
    /// Where the entry begins and where the next one does, among the entries.
    at: usize,
    end: usize,
    /// Where its value begins and ends, in the block.
    value: (usize, usize),
    seqno: SeqNo,
    kind: Kind,
    /// The headers of the interval walked backward in, up to the entry stood on; empty when walking forward.
    interval: Vec<RawEntry>,
}

impl BlockWalk {
    pub(crate) fn new() -> Self {
        BlockWalk {
            block: Bytes::new(),
            layout: Layout::default(),
            standing: false,
            key: KeyBuffer::new(),
            at: 0,
            end: 0,
            value: (0, 0),
            seqno: SeqNo::ZERO,
            kind: Kind::Delete,
            interval: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn is_standing(&self) -> bool {
        self.standing
    }

    /// Lets go of the block and stands nowhere.
    pub(crate) fn clear(&mut self) {
        drop(self.release());
    }

    /// Gives up the block and stands nowhere.
    pub(crate) fn release(&mut self) -> Bytes {
        self.standing = false;
        self.interval.clear();
        self.layout = Layout::default();
        core::mem::take(&mut self.block)
    }

    /// Takes a block; stands nowhere.
    #[inline]
    pub(crate) fn load(&mut self, block: Bytes) -> Result<(), Fault> {
        let layout = Layout::of(&block).inspect_err(|_| self.clear())?;
        self.standing = false;
        self.interval.clear();
        self.layout = layout;
        self.block = block;
        Ok(())
    }

    #[inline]
    fn data(&self) -> DataBlock<'_> {
        DataBlock::with_layout(&self.block, self.layout)
    }

    /// The entry stood on.
    #[inline(always)]
    pub(crate) fn current(&self) -> Option<Entry<'_>> {
        if !self.standing {
            return None;
        }
        let key = InternalKey::new(self.key.as_slice(), self.seqno, self.kind);
        // Inside the block by *Standing*; an index would be checked again wherever only the key is asked for.
        let value = self.block.get(self.value.0..self.value.1).unwrap_or_default();
        Some(Entry { key, value })
    }

    /// The value stood on, sharing the block; empty when standing nowhere.
    pub(crate) fn value_bytes(&self) -> Bytes {
        if self.standing { self.block.slice(self.value.0..self.value.1) } else { Bytes::new() }
    }

    /// Stands on the first entry. False when there is none.
    pub(crate) fn first(&mut self) -> Result<bool, Fault> {
        self.standing = false;
        self.interval.clear();
        self.key.clear();
        if self.layout.restarts == 0 {
            return Ok(false);
        }
        self.enter_forward(Position::default())
    }

    /// Stands on the last entry. False when there is none.
    pub(crate) fn last(&mut self) -> Result<bool, Fault> {
        self.standing = false;
        let Some(restart) = self.layout.restarts.checked_sub(1) else {
            return Ok(false);
        };
        self.enter_interval(restart, self.layout.entries_end - self.layout.values_end)
    }

    /// Stands on the least entry at or after `target`. False when there is none.
    pub(crate) fn seek(&mut self, target: InternalKey<'_>) -> Result<bool, Fault> {
        self.standing = false;
        self.interval.clear();
        let data = DataBlock::with_layout(&self.block, self.layout);
        let Some(entry) = data.lower_bound(target)? else {
            return Ok(false);
        };
        let value = self.block.as_ptr().addr().wrapping_add(entry.value.0);
        (0..VALUE_LINES).for_each(|line| prefetch(value.wrapping_add(line * LINE_BYTES)));
        self.key.set(&target.user_key[..entry.shared]);
        self.append_suffix(&entry);
        self.stand_on(&entry)
    }

    /// Stands on the next entry. False, and nowhere, when there is none.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<bool, Fault> {
        self.interval.clear();
        if !self.standing || self.end >= self.layout.entries_end - self.layout.values_end {
            self.standing = false;
            return Ok(false);
        }
        self.standing = false;
        self.enter_forward(Position { entry: self.end, value: self.value.1 })
    }

    /// Stands on the entry at `at`; `key` holds the key before it.
    #[inline(always)]
    fn enter_forward(&mut self, at: Position) -> Result<bool, Fault> {
        let Layout { values_end, entries_end, .. } = self.layout;
        let entry = data::decode(&self.block[values_end..entries_end], values_end, at)?;
        if entry.shared > self.key.len() {
            return Err(Fault::Damage("entry shares more than the key before it has"));
        }
        self.append_suffix(&entry);
        self.stand_on(&entry)
    }

    /// Makes `key` the key of `entry`, whose shared part it begins with.
    #[inline(always)]
    fn append_suffix(&mut self, entry: &RawEntry) {
        let (from, to) = entry.suffix;
        // To the end of the block: what lies behind the suffix is there to be read with it.
        let suffix = &self.block[self.layout.values_end + from..];
        self.key.splice(entry.shared, suffix, to - from);
    }

    /// Stands on `entry`, whose user key is in `key`.
    #[inline(always)]
    fn stand_on(&mut self, entry: &RawEntry) -> Result<bool, Fault> {
        (self.seqno, self.kind) = data::split_trailer(entry.trailer)?;
        (self.at, self.end, self.value) = (entry.at, entry.end, entry.value);
        self.standing = true;
        Ok(true)
    }

    /// Stands on the entry before. False, and nowhere, when there is none.
    pub(crate) fn prev(&mut self) -> Result<bool, Fault> {
        if !self.standing {
            return Ok(false);
        }
        self.standing = false;
        // The last header is the entry stood on. What it shares with the one before is in `key` already.
        if self.interval.len() >= 2
            && let Some(stood_on) = self.interval.pop()
        {
            return self.rebuild_key(stood_on.shared);
        }
        let at = self.at;
        let data = self.data();
        // Restarts that begin before this entry; they come first.
        let (mut low, mut high) = (0, data.restarts());
        while low < high {
            let middle = low.midpoint(high);
            if data.position(middle).entry < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1) {
            Some(restart) => self.enter_interval(restart, at),
            None => Ok(false),
        }
    }

    /// Stands on the last entry of a restart's interval that begins before `end`.
    fn enter_interval(&mut self, restart: usize, end: usize) -> Result<bool, Fault> {
        let mut interval = core::mem::take(&mut self.interval);
        interval.clear();
        let read = read_interval(self.data(), restart, end, &mut interval);
        self.interval = interval;
        read?;
        self.rebuild_key(0)
    }

    /// Stands on the last header of `interval`. The first `kept` bytes of its key are in `key` already.
    fn rebuild_key(&mut self, kept: usize) -> Result<bool, Fault> {
        let Some((&last, before)) = self.interval.split_last() else {
            return Err(Fault::Damage("restart interval is empty"));
        };
        let data = DataBlock::with_layout(&self.block, self.layout);
        if last.shared > self.key.len() {
            self.key.resize(last.shared);
        }
        let mut missing = last.shared;
        for entry in before.iter().rev() {
            if missing <= kept {
                break;
            }
            if entry.shared < missing {
                let from = entry.shared.max(kept);
                let suffix = &data.bytes(entry.suffix)[from - entry.shared..missing - entry.shared];
                self.key.as_mut_slice()[from..missing].copy_from_slice(suffix);
                missing = entry.shared;
            }
        }
        self.append_suffix(&last);
        self.stand_on(&last)
    }
}

/// Reads the headers from a restart up to `end`, where an entry must begin or the entries end. Afterwards each entry shares at most
/// what the key before it has, and the first shares nothing.
fn read_interval(
    data: DataBlock<'_>,
    restart: usize,
    end: usize,
    headers: &mut Vec<RawEntry>,
) -> Result<(), Fault> {
    let (mut at, mut key_bytes) = (data.position(restart), 0);
    while at.entry < end {
        let entry = data.decode(at)?;
        if entry.shared > key_bytes {
            return Err(Fault::Damage("entry shares more than the key before it has"));
        }
        key_bytes = entry.key_bytes();
        at = entry.next();
        headers.push(entry);
    }
    if at.entry == end && !headers.is_empty() {
        Ok(())
    } else {
        Err(Fault::Damage("restart interval does not end at an entry"))
    }
}
