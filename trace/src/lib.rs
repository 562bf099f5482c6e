//! A trace of what is asked of a key-value store: for each sampled operation its kind, a hash of its key, the key's place in the order
//! of keys, sizes, and the time.
//!
//! This crate never does I/O, reads no clock and never keeps a byte of a key or a value: the writer gives bytes to whoever stores them, the reader
//! takes them from a [`std::io::Read`].
//!
//! # Example
//!
//! ```
//! use terrace_trace::{Facts, Header, Operation, Places, Record, Sampling, TraceReader, TraceWriter, key_hash};
//!
//! let header = Header { sampling: Sampling::of_rate(0.5), hash_seed: 1, ..Header::default() };
//! let (mut writer, mut places, mut taken) = (TraceWriter::new(&header), Places::default(), 0);
//! for number in 0..1000_u64 {
//!     let key = number.to_be_bytes();
//!     let key_hash = key_hash(header.hash_seed, &key);
//!     if header.sampling.takes(key_hash) {
//!         let operation = Operation::Put { value_bytes: 100 };
//!         writer.add(&Record { at_micros: number, operation, key_hash, place: places.of(&key), key_bytes: 8 });
//!         taken += 1;
//!     }
//! }
//! let file = writer.finish(Facts::default());
//! assert!((400..600).contains(&taken) && file.len() < taken * 24);
//!
//! let mut reader = TraceReader::new(file.as_slice())?;
//! let records = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(records.len(), taken);
//! // Keys came in ascending order, and their places say so.
//! assert!(records.is_sorted_by(|one, next| one.place < next.place));
//! # Ok::<(), terrace_trace::Error>(())
//! ```
//!
//! # Sampling, and what is lost
//!
//! [`Sampling`] takes all operations on keys whose hash is at or below a limit, as SHARDS does for caches. So a trace at a rate of r is the whole trace of
//! a database with r times as many keys: how often, how soon and in which order a key is used again are those of the whole, and sizes that count keys
//! (of data, memtables, caches) are scaled by r. What is lost:
//!
//! * The bytes of keys and values. Their lengths and the order of keys stay; how far apart two keys are does not, nor how well values compress.
//! * Scans are taken by the key that they begin with. Scans from one key are all taken or none, so a trace of few distinct starts says little of them.
//! * Which writes were made together: the operations of a batch are records of one time.
//! * Keyspaces: all are one order of keys, and a key is not the same key in another keyspace.
//! * How operations of different threads overlapped within a microsecond, and how long each took.
//! * With few keys a sample of them may lack the hottest. The rate should leave some ten thousand keys at least.
//!
//! A hash is no secret: who knows the seed, which is in the file, can try keys.
//!
//! # Sources
//!
//! Waldspurger, Park, Garthwaite and Ahmad, "Efficient MRC Construction with SHARDS", FAST 2015, for the sampling; Waldspurger, Saemundsson, Ahmad and Park,
//! "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017, for scaling sizes with the rate. Dietz and Sleator, "Two algorithms for
//! maintaining order in a list", STOC 1987, for labels that sort (here without relabeling).
#![forbid(unsafe_code)]

mod error;
mod format;
mod places;
mod reader;
mod sampling;
mod writer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

pub use error::Error;
pub use places::Places;
pub use reader::{Report, TraceReader};
pub use sampling::{Sampling, key_hash};
pub use writer::TraceWriter;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A look-up that found a value.
    Get {
        /// Length of the value.
        value_bytes: u32,
    },
    /// A look-up that found none.
    #[default]
    GetAbsent,
    /// A key was set.
    Put {
        /// Length of the value.
        value_bytes: u32,
    },
    /// A key was removed.
    Delete,
    /// Pairs were read in the order of keys.
    Scan {
        /// How many pairs it showed.
        steps: u32,
    },
}

impl Operation {
    /// Whether it changes the store.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Operation::Put { .. } | Operation::Delete)
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// When it was asked for, in microseconds since the trace began.
    pub at_micros: u64,
    /// What was asked for.
    pub operation: Operation,
    /// The hash of its key, or of the key that a scan begins with.
    pub key_hash: u64,
    /// A number that sorts as the key does.
    pub place: u64,
    /// Length of the key.
    pub key_bytes: u32,
}

/// What stands at the head of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Header {
    /// Seed of the hash of keys.
    pub hash_seed: u64,
    /// Which operations are in it.
    pub sampling: Sampling,
    /// When it began, in microseconds since the Unix epoch.
    pub start_unix_micros: u64,
    /// What the database held then.
    pub facts: Facts,
}

/// What the tables of a database hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Versions in all tables.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub raw_bytes: u64,
    /// Bytes of the tables' files.
    pub file_bytes: u64,
}
