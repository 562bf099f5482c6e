//! Data blocks: how versions are laid out in one, and how one is searched.
//!
//! ```text
//! entries | restart heads: n x u64 big-endian | restart offsets: n x u32 | prefix length: u32 | n: u32
//! entry: shared: varint | unshared: varint | value length: varint | unshared bytes of user key | trailer: varint | value
//! ```
//!
//! An entry stores what its user key does not share with the one before. At a restart it shares nothing. A trailer is
//! `seqno << 8 | kind`; it stands apart from the user key so that versions of one key share the whole of it, and it is a varint
//! because sequence numbers zeroed in the bottommost level are most of a tree.
//!
//! Source: LevelDB's blocks (shared prefixes, restarts). Departures:
//!
//! * *Heads*: for each restart, the eight bytes of its user key that follow the prefix common to the whole block. A search compares
//!   integers that lie side by side and touches keys only where heads are equal.
//! * *Matched prefix*: the scan after it never builds a key. It keeps how many bytes of the target the last key agreed with. An
//!   entry that shares more with its predecessor than that differs from the target where its predecessor did, and is
//!   smaller for the same reason: it is passed over without looking at a byte of it. An entry that shares at most that
//!   much is compared from there on.
//!
//! Costs: with n restarts of i entries, a search is O(log n) compares of integers and a scan of O(i) headers. Nothing is
//! allocated.
//!
//! Invariants: *Inside*: no offset or length read from a block is used before it was checked against the block's bounds; any
//! bytes give an answer or [`Fault::Damage`]. *Onwards*: every entry is at least four bytes long, so a scan ends.

use core::ops::Range;

use terrace_entry::{InternalKey, Kind, SeqNo};

use super::fault::Fault;
use super::{key, varint};

/// Bytes of prefix length and restart count.
const FIXED_BYTES: usize = 8;
/// Bytes of head and offset of one restart.
const RESTART_BYTES: usize = 12;

/// One entry as it stands in a block, its user key still without the part shared with the entry before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEntry {
    /// Where it begins.
    pub(crate) at: usize,
    /// Bytes of user key shared with the entry before.
    pub(crate) shared: usize,
    /// Where the rest of the user key begins and ends.
    pub(crate) suffix: (usize, usize),
    /// Sequence number and kind.
    pub(crate) trailer: u64,
    /// Where the value begins and ends; the next entry begins there.
    pub(crate) value: (usize, usize),
}

impl RawEntry {
    /// Bytes of the whole user key.
    #[inline]
    pub(crate) fn key_bytes(&self) -> usize {
        self.shared + (self.suffix.1 - self.suffix.0)
    }
}

/// Splits a trailer that came off a disk.
#[inline]
pub(crate) fn split_trailer(trailer: u64) -> Result<(SeqNo, Kind), Fault> {
    match InternalKey::from_trailer(b"", trailer) {
        Ok(key) => Ok((key.seqno, key.kind)),
        Err(_) => Err(Fault::Damage("unknown kind of entry")),
    }
}

/// Reads the entry at `at`.
#[inline]
pub(crate) fn decode(entries: &[u8], at: usize) -> Result<RawEntry, Fault> {
    decode_checked(entries, at).ok_or(Fault::Damage("entry runs past the end of its block"))
}

#[inline]
fn decode_checked(entries: &[u8], at: usize) -> Option<RawEntry> {
    let (shared, unshared, value_bytes, suffix_at) = match entries.get(at..)?.first_chunk::<3>() {
        // The common case, lengths below 128, with one branch for the three of them.
        Some(&[shared, unshared, value]) if (shared | unshared | value) < 0x80 => {
            (usize::from(shared), usize::from(unshared), usize::from(value), at + 3)
        }
        _ => {
            let (shared, next) = varint::take(entries, at)?;
            let (unshared, next) = varint::take(entries, next)?;
            let (value, next) = varint::take(entries, next)?;
            (
                usize::try_from(shared).ok()?,
                usize::try_from(unshared).ok()?,
                usize::try_from(value).ok()?,
                next,
            )
        }
    };
    let suffix_end = suffix_at.checked_add(unshared)?;
    let (trailer, value_at) = varint::take(entries, suffix_end)?;
    let value_end = value_at.checked_add(value_bytes)?;
    // Everything before lies inside, since the trailer's first byte did.
    (value_end <= entries.len()).then_some(RawEntry {
        at,
        shared,
        suffix: (suffix_at, suffix_end),
        trailer,
        value: (value_at, value_end),
    })
}

/// A data block taken apart; positions only, so that it can be kept beside the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    /// Where the entries end.
    pub(crate) entries_end: usize,
    /// Restarts; at least one.
    pub(crate) restarts: usize,
    /// Bytes that all user keys of the block have in common.
    pub(crate) prefix_bytes: usize,
}

impl Layout {
    #[inline]
    pub(crate) fn of(block: &[u8]) -> Result<Self, Fault> {
        Self::checked(block).ok_or(Fault::Damage("data block has no room for its restarts"))
    }

    #[inline]
    fn checked(block: &[u8]) -> Option<Self> {
        let (rest, &[p0, p1, p2, p3, n0, n1, n2, n3]) = block.split_last_chunk::<FIXED_BYTES>()?;
        let restarts = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let prefix_bytes = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
        let entries_end = rest.len().checked_sub(restarts.checked_mul(RESTART_BYTES)?)?;
        (restarts > 0).then_some(Layout { entries_end, restarts, prefix_bytes })
    }
}

/// A data block ready to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataBlock<'a> {
    pub(crate) entries: &'a [u8],
    heads: &'a [[u8; 8]],
    offsets: &'a [[u8; 4]],
    pub(crate) prefix_bytes: usize,
}

impl<'a> DataBlock<'a> {
    #[inline]
    pub(crate) fn new(block: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self::with_layout(block, Layout::of(block)?))
    }

    /// `layout` is that of `block`.
    #[inline]
    pub(crate) fn with_layout(block: &'a [u8], layout: Layout) -> Self {
        let (entries, rest) = block.split_at(layout.entries_end);
        let (heads, rest) = rest.split_at(layout.restarts * 8);
        let (offsets, _) = rest.split_at(layout.restarts * 4);
        DataBlock {
            entries,
            heads: heads.as_chunks().0,
            offsets: offsets.as_chunks().0,
            prefix_bytes: layout.prefix_bytes,
        }
    }

    #[inline]
    pub(crate) fn restarts(&self) -> usize {
        self.offsets.len()
    }

    /// Where the interval of a restart begins.
    #[inline]
    pub(crate) fn offset(&self, restart: usize) -> usize {
        u32::from_le_bytes(self.offsets[restart]) as usize
    }

    #[inline]
    pub(crate) fn head(&self, restart: usize) -> u64 {
        u64::from_be_bytes(self.heads[restart])
    }

    /// The entry at a restart, which has its whole key.
    #[inline]
    pub(crate) fn restart_entry(&self, restart: usize) -> Result<RawEntry, Fault> {
        let entry = decode(self.entries, self.offset(restart))?;
        if entry.shared == 0 { Ok(entry) } else { Err(Fault::Damage("restart shares a prefix")) }
    }

    #[inline]
    pub(crate) fn bytes(&self, range: (usize, usize)) -> &'a [u8] {
        &self.entries[range.0..range.1]
    }

    /// Whether the key of a restart is before `target`, both compared whole.
    fn restart_is_before(&self, restart: usize, target: InternalKey<'_>) -> Result<bool, Fault> {
        let entry = self.restart_entry(restart)?;
        Ok(match self.bytes(entry.suffix).cmp(target.user_key) {
            core::cmp::Ordering::Equal => entry.trailer > target.trailer(),
            unequal => unequal.is_lt(),
        })
    }

    /// Restarts whose key is before `target`; they come first.
    #[inline]
    fn restarts_before(&self, target: InternalKey<'_>) -> Result<usize, Fault> {
        let count = self.restarts();
        if count == 1 {
            return Ok(1);
        }
        if self.prefix_bytes > 0 {
            let first = self.restart_entry(0)?;
            let prefix = self
                .bytes(first.suffix)
                .get(..self.prefix_bytes)
                .ok_or(Fault::Damage("common prefix is longer than a key"))?;
            match key::against_prefix(target.user_key, prefix) {
                core::cmp::Ordering::Less => return Ok(0),
                core::cmp::Ordering::Greater => return Ok(count),
                core::cmp::Ordering::Equal => {}
            }
        }
        let wanted = key::head(target.user_key, self.prefix_bytes);
        let mut before = self.heads.partition_point(|head| u64::from_be_bytes(*head) < wanted);
        if before == count || self.head(before) != wanted {
            return Ok(before);
        }
        let mut end =
            before + self.heads[before..].partition_point(|head| u64::from_be_bytes(*head) == wanted);
        while before < end {
            let middle = before.midpoint(end);
            if self.restart_is_before(middle, target)? {
                before = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(before)
    }

    /// The least entry at or after `target`. Its user key is the first `shared` bytes of the target's and then its suffix.
    #[inline]
    pub(crate) fn lower_bound(&self, target: InternalKey<'_>) -> Result<Option<RawEntry>, Fault> {
        let start = self.restarts_before(target)?.saturating_sub(1);
        let (wanted, wanted_trailer) = (target.user_key, target.trailer());
        let mut at = self.offset(start);
        // Bytes in which the last key agrees with the target, and how long that key was.
        let (mut matched, mut last_bytes) = (0, 0);
        while at < self.entries.len() {
            let entry = decode(self.entries, at)?;
            if entry.shared > last_bytes {
                return Err(Fault::Damage("entry shares more than the key before it has"));
            }
            last_bytes = entry.key_bytes();
            at = entry.value.1;
            if entry.shared > matched {
                continue;
            }
            let (suffix, rest) = (self.bytes(entry.suffix), &wanted[entry.shared..]);
            let common = key::common_prefix(suffix, rest);
            let is_before = match (suffix.get(common), rest.get(common)) {
                (Some(have), Some(want)) => have < want,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => entry.trailer > wanted_trailer,
            };
            if !is_before {
                return Ok(Some(entry));
            }
            matched = entry.shared + common;
        }
        Ok(None)
    }

    /// The newest version of the target's user key at or below its sequence number.
    #[inline]
    pub(crate) fn find(&self, target: InternalKey<'_>) -> Result<Option<Hit>, Fault> {
        let Some(entry) = self.lower_bound(target)? else {
            return Ok(None);
        };
        // The first `shared` bytes are the target's, so the keys are equal when the rests are.
        if *self.bytes(entry.suffix) != target.user_key[entry.shared..] {
            return Ok(None);
        }
        let (seqno, kind) = split_trailer(entry.trailer)?;
        Ok(Some(Hit { seqno, kind, value: entry.value.0..entry.value.1 }))
    }
}

/// A version found in a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    /// Where in the block its value is.
    pub(crate) value: Range<usize>,
}

/// Lays out a data block at the end of a buffer.
#[derive(Debug)]
pub(crate) struct DataBlockBuilder {
    restart_interval: usize,
    /// Entries since the last restart.
    since_restart: usize,
    /// Where restarts begin, relative to the block.
    restarts: Vec<u32>,
    /// Where in the buffer the block begins.
    start: usize,
}

impl DataBlockBuilder {
    pub(crate) fn new(restart_interval: usize) -> Self {
        DataBlockBuilder {
            restart_interval: restart_interval.max(1),
            since_restart: 0,
            restarts: Vec::new(),
            start: 0,
        }
    }

    /// Begins a block at the end of `out`.
    pub(crate) fn begin(&mut self, out: &[u8]) {
        self.start = out.len();
        self.since_restart = 0;
        self.restarts.clear();
    }

    /// Where in the buffer the block begins.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Whether nothing was added since [`DataBlockBuilder::begin`].
    pub(crate) fn is_empty(&self) -> bool {
        self.restarts.is_empty()
    }

    /// Bytes that the block has if it is finished now.
    #[inline]
    pub(crate) fn len(&self, out: &[u8]) -> usize {
        out.len() - self.start + self.restarts.len() * RESTART_BYTES + FIXED_BYTES
    }

    /// Adds a version whose user key has `common` bytes in common with that of the version before it in the table.
    #[inline]
    pub(crate) fn add(&mut self, out: &mut Vec<u8>, key: InternalKey<'_>, common: usize, value: &[u8]) {
        let is_restart = self.restarts.is_empty() || self.since_restart >= self.restart_interval;
        let shared = if is_restart { 0 } else { common };
        if is_restart {
            // A block is at most 1 GiB long.
            self.restarts.push((out.len() - self.start) as u32);
            self.since_restart = 0;
        }
        self.since_restart += 1;
        let suffix = &key.user_key[shared..];
        if (shared | suffix.len() | value.len()) < 0x80 {
            out.extend_from_slice(&[shared as u8, suffix.len() as u8, value.len() as u8]);
        } else {
            varint::put(out, shared as u64);
            varint::put(out, suffix.len() as u64);
            varint::put(out, value.len() as u64);
        }
        out.extend_from_slice(suffix);
        varint::put(out, key.trailer());
        out.extend_from_slice(value);
    }

    /// Appends heads and restarts. `last_key` is the user key added last.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, last_key: &[u8]) {
        let start = self.start;
        let restart_key = |out: &[u8], offset: u32| {
            let entry = decode(&out[start..], offset as usize).expect("a block reads what it just wrote");
            (start + entry.suffix.0, start + entry.suffix.1)
        };
        let first = restart_key(out, self.restarts[0]);
        let prefix_bytes = key::common_prefix(&out[first.0..first.1], last_key);
        out.reserve(self.restarts.len() * RESTART_BYTES + FIXED_BYTES);
        let entries_end = out.len();
        for &offset in &self.restarts {
            let (from, to) = restart_key(&out[..entries_end], offset);
            let head = key::head(&out[from..to], prefix_bytes);
            out.extend_from_slice(&head.to_be_bytes());
        }
        for offset in &self.restarts {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        out.extend_from_slice(&(prefix_bytes as u32).to_le_bytes());
        out.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
    }
}
