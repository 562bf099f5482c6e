//! Lays out data blocks; the layout is told at the head of [`super::data`].
//!
//! Values go straight to the end of the output buffer, where they stay. Entries are collected apart, being the smaller part, and follow
//! when the block is finished. A value is so copied once between the caller and the file's buffer.

use terrace_entry::InternalKey;

use super::data::{self, FIXED_BYTES, Position, RESTART_BYTES};
use super::{key, varint};

/// The longest suffix of a short entry.
const SUFFIX_BYTES: usize = 16;
/// The most bytes that the length of a short entry's value takes.
const LENGTH_BYTES: usize = 4;
/// What a short entry is written into: three lengths, suffix, trailer.
const ROOM_BYTES: usize = 2 + LENGTH_BYTES + SUFFIX_BYTES + 8;

/// Lays out one data block after another at the end of a buffer.
#[derive(Debug)]
pub(crate) struct DataBlockBuilder {
    restart_interval: usize,
    /// Entries since the last restart.
    since_restart: usize,
    /// Where restarts begin.
    restarts: Vec<Position>,
    /// The entries of the block are the first `entries_bytes` of it; what is behind them is room.
    entries: Vec<u8>,
    entries_bytes: usize,
    count: u32,
    /// Where in the buffer the block begins.
    start: usize,
}

impl DataBlockBuilder {
    pub(crate) fn new(restart_interval: usize) -> Self {
        DataBlockBuilder {
            restart_interval: restart_interval.max(1),
            since_restart: 0,
            restarts: Vec::new(),
            entries: vec![0; ROOM_BYTES],
            entries_bytes: 0,
            count: 0,
            start: 0,
        }
    }

    /// Begins a block at the end of `out`.
    pub(crate) fn begin(&mut self, out: &[u8]) {
        self.start = out.len();
        self.since_restart = 0;
        self.restarts.clear();
        self.entries_bytes = 0;
        self.count = 0;
    }

    /// Where in the buffer the block begins.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Whether nothing was added since [`DataBlockBuilder::begin`].
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the block has if it is finished now.
    #[inline]
    pub(crate) fn len(&self, out: &[u8]) -> usize {
        out.len() - self.start + self.entries_bytes + self.restarts.len() * RESTART_BYTES + FIXED_BYTES
    }

    /// Adds a version whose user key has `common` bytes in common with that of the version before it in the table.
    #[inline]
    pub(crate) fn add(&mut self, out: &mut Vec<u8>, key: InternalKey<'_>, common: usize, value: &[u8]) {
        let is_restart = self.count == 0 || self.since_restart >= self.restart_interval;
        let shared = if is_restart { 0 } else { common };
        if is_restart {
            self.restarts.push(Position { entry: self.entries_bytes, value: out.len() - self.start });
            self.since_restart = 0;
        }
        self.since_restart += 1;
        self.count += 1;
        if !self.add_short_entry(key, shared, value.len()) {
            self.add_any_entry(key, shared, value.len());
        }
        out.extend_from_slice(value);
    }

    /// Adds an entry whose parts but the value are each of a few bytes, as most are, by whole stores of more bytes than count. False when it is
    /// not such a one.
    #[inline(always)]
    fn add_short_entry(&mut self, key: InternalKey<'_>, shared: usize, value_bytes: usize) -> bool {
        let suffix_bytes = key.user_key.len() - shared;
        let Some(end) = key.user_key.last_chunk::<SUFFIX_BYTES>() else { return false };
        let Some((value, value_len)) = varint::encode_word(value_bytes as u64) else { return false };
        let Some((trailer, trailer_len)) = varint::encode_word(key.trailer()) else { return false };
        if shared >= 0x80 || suffix_bytes > SUFFIX_BYTES || value_len > LENGTH_BYTES {
            return false;
        }
        let start = self.entries_bytes;
        let Some(room) = self.entries.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<ROOM_BYTES>) else {
            return false;
        };
        let lengths = shared as u64 | (suffix_bytes as u64) << 8 | value << 16;
        // What is before the suffix is shifted out. The shift is too far when there is none.
        let shift = 8 * (SUFFIX_BYTES - suffix_bytes) as u32;
        let suffix = u128::from_le_bytes(*end).checked_shr(shift).unwrap_or(0);
        let suffix_at = 2 + value_len;
        let trailer_at = suffix_at + suffix_bytes;
        room[..8].copy_from_slice(&lengths.to_le_bytes());
        room[suffix_at..][..SUFFIX_BYTES].copy_from_slice(&suffix.to_le_bytes());
        room[trailer_at..][..8].copy_from_slice(&trailer.to_le_bytes());
        self.entries_bytes = start + trailer_at + trailer_len;
        true
    }

    #[inline(never)]
    fn add_any_entry(&mut self, key: InternalKey<'_>, shared: usize, value_bytes: usize) {
        let suffix = &key.user_key[shared..];
        let lengths = [shared, suffix.len(), value_bytes].map(|length| varint::encode(length as u64));
        let trailer = varint::encode(key.trailer());
        let bytes_max = 4 * trailer.0.len() + suffix.len();
        if self.entries.len() < self.entries_bytes + bytes_max {
            // As much again, so that room is made seldom, and more than a short entry needs.
            self.entries.resize(2 * self.entries_bytes + bytes_max, 0);
        }
        for (bytes, len) in &lengths {
            self.append(&bytes[..*len]);
        }
        self.append(suffix);
        self.append(&trailer.0[..trailer.1]);
    }

    /// Appends to the entries, where there is room.
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.entries[self.entries_bytes..][..bytes.len()].copy_from_slice(bytes);
        self.entries_bytes += bytes.len();
    }

    /// Appends entries and restarts. `last_key` is the user key added last; something was added.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, last_key: &[u8]) {
        // A block is at most 1 GiB long, so that every position fits 32 bits; the envelope refuses a longer one.
        let values_bytes = out.len() - self.start;
        let prefix_bytes = key::common_prefix(self.restart_key(self.restarts[0], values_bytes), last_key);
        out.reserve(self.len(out) - values_bytes);
        out.extend_from_slice(&self.entries[..self.entries_bytes]);
        for &restart in &self.restarts {
            let head = key::head(self.restart_key(restart, values_bytes), prefix_bytes);
            out.extend_from_slice(&head.to_be_bytes());
            out.extend_from_slice(&(restart.entry as u32).to_le_bytes());
            out.extend_from_slice(&(restart.value as u32).to_le_bytes());
        }
        for field in [values_bytes as u32, self.count, prefix_bytes as u32, self.restarts.len() as u32] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }

    /// The user key of an entry that shares nothing.
    fn restart_key(&self, at: Position, values_bytes: usize) -> &[u8] {
        let entry = data::decode(&self.entries[..self.entries_bytes], values_bytes, at)
            .expect("a block reads what it just wrote");
        &self.entries[entry.suffix.0..entry.suffix.1]
    }
}
