//! Data blocks: how versions are laid out in one, and how one is read and searched. [`super::build`] writes them.
//!
//! ```text
//! values | entries | n restarts | values length: u32 | entry count: u32 | prefix length: u32 | n: u32
//! entry:   shared: varint | unshared: varint | value length: varint | unshared bytes of user key | trailer: varint
//! restart: head: u64 big-endian | where its entry begins among the entries: u32 | where its value begins: u32
//! ```
//!
//! An entry stores what its user key does not share with the one before. At a restart it shares nothing. A trailer is
//! `seqno << 8 | kind`; it stands apart from the user key so that versions of one key share the whole of it, and it is a varint
//! because sequence numbers zeroed in the bottommost level are most of a tree. Values lie in the order of their entries.
//!
//! Source: LevelDB's blocks (shared prefixes, restarts). Departures:
//!
//! * *Values apart*: entries lie close together at the end of the block, next to the restarts. Passing over eight entries touches
//!   two cache lines, and not one for each value in between; with values of 100 bytes that is more than half of a look-up in a
//!   block that the processor's cache does not hold.
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

use core::cmp::Ordering;
use core::ops::Range;

use terrace_entry::{InternalKey, Kind, SeqNo};

use super::fault::Fault;
use super::{key, varint};

/// Bytes after the restarts.
pub(crate) const FIXED_BYTES: usize = 16;
/// Bytes of one restart.
pub(crate) const RESTART_BYTES: usize = 16;

/// Where an entry begins, and where its value does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Among the entries.
    pub(crate) entry: usize,
    /// In the block.
    pub(crate) value: usize,
}

/// One entry as it stands in a block, its user key still without the part shared with the entry before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEntry {
    /// Where it begins, among the entries.
    pub(crate) at: usize,
    /// Bytes of user key shared with the entry before.
    pub(crate) shared: usize,
    /// Where the rest of the user key begins and ends, among the entries.
    pub(crate) suffix: (usize, usize),
    /// Sequence number and kind.
    pub(crate) trailer: u64,
    /// Where the value begins and ends, in the block.
    pub(crate) value: (usize, usize),
    /// Where the next entry begins, among the entries.
    pub(crate) end: usize,
}

impl RawEntry {
    /// Bytes of the whole user key.
    #[inline]
    pub(crate) fn key_bytes(&self) -> usize {
        self.shared + (self.suffix.1 - self.suffix.0)
    }

    /// Where the entry after it begins.
    #[inline]
    pub(crate) fn next(&self) -> Position {
        Position { entry: self.end, value: self.value.1 }
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

/// A data block taken apart; positions only, so that it can be kept beside the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    /// Where the values end and the entries begin.
    pub(crate) values_end: usize,
    /// Where the entries end.
    pub(crate) entries_end: usize,
    /// Entries, as the block states it.
    pub(crate) count: usize,
    /// Restarts; at least one.
    pub(crate) restarts: usize,
    /// Bytes that all user keys of the block have in common.
    pub(crate) prefix_bytes: usize,
}

impl Layout {
    #[inline]
    pub(crate) fn of(block: &[u8]) -> Result<Self, Fault> {
        Self::checked(block).ok_or(Fault::Damage("data block has no room for its parts"))
    }

    #[inline]
    fn checked(block: &[u8]) -> Option<Self> {
        let (rest, fixed) = block.split_last_chunk::<FIXED_BYTES>()?;
        let field = |number: usize| {
            let at = 4 * number;
            u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]) as usize
        };
        let (values_end, count, prefix_bytes, restarts) = (field(0), field(1), field(2), field(3));
        let entries_end = rest.len().checked_sub(restarts.checked_mul(RESTART_BYTES)?)?;
        let fits = values_end < entries_end && restarts > 0;
        fits.then_some(Layout { values_end, entries_end, count, restarts, prefix_bytes })
    }
}

/// A data block ready to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataBlock<'a> {
    pub(crate) entries: &'a [u8],
    restarts: &'a [[u8; RESTART_BYTES]],
    pub(crate) values_end: usize,
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
        let Layout { values_end, entries_end, restarts, prefix_bytes, .. } = layout;
        let restarts = &block[entries_end..entries_end + restarts * RESTART_BYTES];
        DataBlock {
            entries: &block[values_end..entries_end],
            restarts: restarts.as_chunks().0,
            values_end,
            prefix_bytes,
        }
    }

    #[inline]
    pub(crate) fn restarts(&self) -> usize {
        self.restarts.len()
    }

    /// Where the interval of a restart begins.
    #[inline]
    pub(crate) fn position(&self, restart: usize) -> Position {
        let [_, _, _, _, _, _, _, _, e0, e1, e2, e3, v0, v1, v2, v3] = self.restarts[restart];
        Position {
            entry: u32::from_le_bytes([e0, e1, e2, e3]) as usize,
            value: u32::from_le_bytes([v0, v1, v2, v3]) as usize,
        }
    }

    #[inline]
    pub(crate) fn head(&self, restart: usize) -> u64 {
        head_of(&self.restarts[restart])
    }

    /// Bytes among the entries.
    #[inline]
    pub(crate) fn bytes(&self, range: (usize, usize)) -> &'a [u8] {
        &self.entries[range.0..range.1]
    }

    /// Reads the entry at a position.
    #[inline(always)]
    pub(crate) fn decode(&self, at: Position) -> Result<RawEntry, Fault> {
        decode(self.entries, self.values_end, at)
    }

    /// The entry at a restart, which has its whole key.
    #[inline]
    pub(crate) fn restart_entry(&self, restart: usize) -> Result<RawEntry, Fault> {
        let entry = self.decode(self.position(restart))?;
        if entry.shared == 0 { Ok(entry) } else { Err(Fault::Damage("restart shares a prefix")) }
    }

    /// Whether the key of a restart is before `target`, both compared whole.
    fn restart_is_before(&self, restart: usize, target: InternalKey<'_>) -> Result<bool, Fault> {
        let entry = self.restart_entry(restart)?;
        Ok(match self.bytes(entry.suffix).cmp(target.user_key) {
            Ordering::Equal => entry.trailer > target.trailer(),
            unequal => unequal.is_lt(),
        })
    }

    /// Restarts whose key is before `target`, which has the block's common prefix; they come first.
    #[inline]
    fn restarts_before(&self, target: InternalKey<'_>) -> Result<usize, Fault> {
        let wanted = key::head(target.user_key, self.prefix_bytes);
        let before = self.restarts.partition_point(|restart| head_of(restart) < wanted);
        if self.restarts.get(before).is_none_or(|restart| head_of(restart) != wanted) {
            return Ok(before);
        }
        self.restarts_before_among_equals(before, wanted, target)
    }

    #[inline(never)]
    fn restarts_before_among_equals(
        &self,
        mut low: usize,
        wanted: u64,
        target: InternalKey<'_>,
    ) -> Result<usize, Fault> {
        let mut high = low + self.restarts[low..].partition_point(|restart| head_of(restart) == wanted);
        while low < high {
            let middle = low.midpoint(high);
            if self.restart_is_before(middle, target)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The restart to scan from for the least entry at or after `target`; `None` when every entry is before it.
    #[inline]
    fn scan_from(&self, target: InternalKey<'_>) -> Result<Option<usize>, Fault> {
        if self.restarts() == 1 {
            return Ok(Some(0));
        }
        let restart = self.restarts_before(target)?.saturating_sub(1);
        if self.prefix_bytes == 0 {
            return Ok(Some(restart));
        }
        // Heads say nothing of a target that lacks the prefix. Any key of the block shows the prefix: this one is needed next.
        let entry = self.restart_entry(restart)?;
        let prefix = self
            .bytes(entry.suffix)
            .get(..self.prefix_bytes)
            .ok_or(Fault::Damage("common prefix is longer than a key"))?;
        Ok(match key::against_prefix(target.user_key, prefix) {
            Ordering::Less => Some(0),
            Ordering::Equal => Some(restart),
            Ordering::Greater => None,
        })
    }

    /// The least entry at or after `target`. Its user key is the first `shared` bytes of the target's and then its suffix.
    #[inline]
    pub(crate) fn lower_bound(&self, target: InternalKey<'_>) -> Result<Option<RawEntry>, Fault> {
        let Some(start) = self.scan_from(target)? else {
            return Ok(None);
        };
        let mut at = self.position(start);
        let mut rest = self.entries.get(at.entry..).unwrap_or_default();
        // Bytes in which the last key agrees with the target, and how long that key was.
        let (mut matched, mut last_bytes) = (0, 0);
        while !rest.is_empty() {
            let Lengths { shared, suffix: (from, to), value } = Lengths::read(rest, 0).ok_or(RUNS_PAST)?;
            let (upto_trailer, from_trailer) = rest.split_at_checked(to).ok_or(RUNS_PAST)?;
            if shared > last_bytes {
                return Err(Fault::Damage("entry shares more than the key before it has"));
            }
            if shared <= matched {
                let (suffix, wanted) = (&upto_trailer[from..], &target.user_key[shared..]);
                let common = key::common_prefix(suffix, wanted);
                at.entry = self.entries.len() - rest.len();
                let is_before = match (suffix.get(common), wanted.get(common)) {
                    (Some(have), Some(want)) => have < want,
                    (None, Some(_)) => true,
                    (Some(_), None) => false,
                    (None, None) => self.decode(at)?.trailer > target.trailer(),
                };
                if !is_before {
                    return self.decode(at).map(Some);
                }
                matched = shared + common;
            }
            last_bytes = shared + (to - from);
            // Where values are is checked when one is wanted.
            at.value += value;
            rest = varint::skip(from_trailer).ok_or(RUNS_PAST)?;
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

#[inline]
fn head_of(restart: &[u8; RESTART_BYTES]) -> u64 {
    let [head @ .., _, _, _, _, _, _, _, _] = *restart;
    u64::from_be_bytes(head)
}

const RUNS_PAST: Fault = Fault::Damage("entry runs past the end of its block");

/// Reads the entry at a position; the values end at `values_end`.
#[inline(always)]
pub(crate) fn decode(entries: &[u8], values_end: usize, at: Position) -> Result<RawEntry, Fault> {
    decode_inside(entries, values_end, at).ok_or(RUNS_PAST)
}

#[inline(always)]
fn decode_inside(entries: &[u8], values_end: usize, at: Position) -> Option<RawEntry> {
    let Lengths { shared, suffix, value } = Lengths::read(entries, at.entry)?;
    let (trailer, end) = varint::take(entries, suffix.1)?;
    let value_end = at.value + value;
    // The suffix lies inside, since the trailer after it does.
    (value_end <= values_end).then_some(RawEntry {
        at: at.entry,
        shared,
        suffix,
        trailer,
        value: (at.value, value_end),
        end,
    })
}

/// What an entry begins with. No length is near the end of what a usize holds: each is below 2^32.
struct Lengths {
    shared: usize,
    /// Where the suffix would begin and end; not checked against the end of the entries.
    suffix: (usize, usize),
    /// Bytes of the value.
    value: usize,
}

impl Lengths {
    #[inline(always)]
    fn read(entries: &[u8], at: usize) -> Option<Self> {
        match entries.get(at..)?.first_chunk::<3>() {
            // The common case, lengths below 128, with one branch for the three of them.
            Some(&[shared, unshared, value]) if (shared | unshared | value) < 0x80 => {
                let (from, value) = (at + 3, usize::from(value));
                Some(Lengths { shared: shared.into(), suffix: (from, from + usize::from(unshared)), value })
            }
            _ => Self::read_slowly(entries, at),
        }
    }

    #[cold]
    fn read_slowly(entries: &[u8], at: usize) -> Option<Self> {
        let (shared, next) = length(entries, at)?;
        let (unshared, next) = length(entries, next)?;
        let (value, from) = length(entries, next)?;
        Some(Lengths { shared, suffix: (from, from + unshared), value })
    }
}

/// A length; one that no block can hold is refused, so that sums of a few never overflow.
fn length(entries: &[u8], at: usize) -> Option<(usize, usize)> {
    let (value, next) = varint::take(entries, at)?;
    (value <= super::stored::RAW_BYTES_MAX as u64).then_some((value as usize, next))
}
