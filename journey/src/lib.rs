//! What the programs of `docs/JOURNEY.md` share: the same keys for all, a disk that counts, a table row to compare them by, and, from the fifth
//! step on, the small tree that the first four have led to.
//!
//! The programs are in `examples/`, one for each step, to be read in the order of their numbers. What a step has introduced, the later ones
//! take from here.
//!
//! This crate is for reading. It leaves out what makes a storage engine one: threads, snapshots, a manifest, recovery from damage. Nothing
//! in the workspace depends on it.
//!
//! # Features
//!
//! `engine`: the last step, which needs the crate `terrace`. The others build without it.
#![forbid(unsafe_code)]

mod disk;
mod log;
mod row;
mod tree;
mod workload;

pub use disk::{Counts, Disk};
pub use log::{BEFORE_KEY_BYTES, append_pair, create_log, log_path, read_pairs};
pub use row::{Row, Store, note, seconds};
pub use tree::{NewTable, Reader, Tree, TreeOptions, leveled, measure_policy, tiered};
pub use workload::{KEY_BYTES, KEYS_DEFAULT, KEYS_MIN, Key, PAIR_BYTES, Pair, VALUE_BYTES, Value, Workload};

/// What a step returns: any error ends it.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
