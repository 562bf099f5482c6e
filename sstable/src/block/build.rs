//! Lays out data blocks; the layout is told at the head of [`super::data`].
//!
//! Values go straight to the end of the output buffer, where they stay. Entries are collected apart, being the smaller part, and follow
//! when the block is finished. A value is so copied once between the caller and the file's buffer.

use terrace_entry::InternalKey;

use super::data::{self, FIXED_BYTES, Position, RESTART_BYTES};
use super::{key, varint};

/// Lays out one data block after another at the end of a buffer.
#[derive(Debug)]
pub(crate) struct DataBlockBuilder {
    restart_interval: usize,
    /// Entries since the last restart.
    since_restart: usize,
    /// Where restarts begin.
    restarts: Vec<Position>,
    entries: Vec<u8>,
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
            entries: Vec::new(),
            count: 0,
            start: 0,
        }
    }

    /// Begins a block at the end of `out`.
    pub(crate) fn begin(&mut self, out: &[u8]) {
        self.start = out.len();
        self.since_restart = 0;
        self.restarts.clear();
        self.entries.clear();
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
        out.len() - self.start + self.entries.len() + self.restarts.len() * RESTART_BYTES + FIXED_BYTES
    }

    /// Adds a version whose user key has `common` bytes in common with that of the version before it in the table.
    #[inline]
    pub(crate) fn add(&mut self, out: &mut Vec<u8>, key: InternalKey<'_>, common: usize, value: &[u8]) {
        let is_restart = self.count == 0 || self.since_restart >= self.restart_interval;
        let shared = if is_restart { 0 } else { common };
        if is_restart {
            self.restarts.push(Position { entry: self.entries.len(), value: out.len() - self.start });
            self.since_restart = 0;
        }
        self.since_restart += 1;
        self.count += 1;
        let suffix = &key.user_key[shared..];
        let entries = &mut self.entries;
        if (shared | suffix.len() | value.len()) < 0x80 {
            entries.extend_from_slice(&[shared as u8, suffix.len() as u8, value.len() as u8]);
        } else {
            varint::put(entries, shared as u64);
            varint::put(entries, suffix.len() as u64);
            varint::put(entries, value.len() as u64);
        }
        entries.extend_from_slice(suffix);
        varint::put(entries, key.trailer());
        out.extend_from_slice(value);
    }

    /// Appends entries and restarts. `last_key` is the user key added last; something was added.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, last_key: &[u8]) {
        // A block is at most 1 GiB long, so that every position fits 32 bits; the envelope refuses a longer one.
        let values_bytes = out.len() - self.start;
        let prefix_bytes = key::common_prefix(self.restart_key(self.restarts[0], values_bytes), last_key);
        out.reserve(self.len(out));
        out.extend_from_slice(&self.entries);
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
        let entry = data::decode(&self.entries, values_bytes, at).expect("a block reads what it just wrote");
        &self.entries[entry.suffix.0..entry.suffix.1]
    }
}
