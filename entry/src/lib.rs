//! The words that every part of a log-structured merge tree speaks: versions of keys, the order among them,
//! the [`Cursor`] that walks them, and the k-way merge of cursors.
//!
//! This crate never touches a file, a clock or a thread, and knows nothing of how versions are stored.
//!
//! # The order
//!
//! A tree stores *versions*: an [`InternalKey`] (user key, sequence number, kind) and a value. Versions are
//! ordered by user key ascending and then by sequence number **descending**, so that the newest version of a
//! key comes first and a look-up "newest at or below sequence number `s`" is one seek.
//!
//! # Example
//!
//! ```
//! use terrace_entry::{Cursor, InternalKey, Kind, MergeCursor, SeqNo, VecCursor};
//!
//! let old = VecCursor::new(vec![(b"a".to_vec(), SeqNo::new(1), Kind::Put, b"1".to_vec())]);
//! let new = VecCursor::new(vec![(b"a".to_vec(), SeqNo::new(2), Kind::Delete, vec![])]);
//! let mut merged = MergeCursor::new(vec![new, old]);
//! merged.seek_to_first().unwrap();
//! let newest = merged.current().unwrap();
//! assert_eq!((newest.key.seqno, newest.key.kind), (SeqNo::new(2), Kind::Delete));
//! merged.next().unwrap();
//! assert_eq!(merged.current().unwrap().value, b"1");
//! ```
//!
//! # Features
//!
//! `testing`: the conformance suite for [`Cursor`] implementations, in the module `testing`.
#![forbid(unsafe_code)]

mod buffer;
mod cursor;
pub mod heads;
mod key;
mod merge;
#[cfg(feature = "testing")]
pub mod testing;

pub use buffer::KeyBuffer;
pub use cursor::{Cursor, Entry, OwnedVersion, VecCursor};
pub use key::{InternalKey, Kind, SeqNo, TRAILER_BYTES, UnknownKind};
pub use merge::MergeCursor;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
