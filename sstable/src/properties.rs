//! What a table says of itself.

use terrace_entry::SeqNo;

/// Counts and ranges of a finished table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Versions.
    pub entries: u64,
    /// Of them, tombstones.
    pub tombstones: u64,
    /// Distinct user keys.
    pub user_keys: u64,
    /// The least user key; empty for an empty table.
    pub smallest_key: Vec<u8>,
    /// The greatest user key.
    pub largest_key: Vec<u8>,
    /// The least sequence number.
    pub seqno_min: SeqNo,
    /// The greatest.
    pub seqno_max: SeqNo,
    /// Bytes of all user keys, as given.
    pub key_bytes: u64,
    /// Bytes of all values, as given.
    pub value_bytes: u64,
    /// Data blocks.
    pub data_blocks: u64,
    /// Bytes of all data blocks before compression.
    pub data_bytes_raw: u64,
    /// Bytes of all data blocks as stored.
    pub data_bytes_stored: u64,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// When it was written, in seconds since the Unix epoch.
    pub created_at_unix_seconds: u64,
    /// The caller's own words, as given to [`crate::TableWriter::set_note`]; empty for none.
    pub note: Vec<u8>,
}
