//! Terrace and other key-value stores under the same workloads: the command behind `cargo xtask bench --against`.
//!
//! Each peer stands in a file of its own behind a feature of its name, implements `Peer` (a store but for its counters), and is given the same
//! sizes as terrace. What a peer has no setting for is said at the head of its file.
//!
//! It is built once with all that are compared, which prints the comparison, and once for each engine alone, which does that engine's runs.

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(feature = "lmdb")]
mod lmdb;
mod peer;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod scan;
mod tally;

use std::process::ExitCode;
use terrace_bench::store::{Parts, StoreFactory};

fn main() -> ExitCode {
    terrace_bench::cli::main(&factories())
}

/// Terrace's combinations, unless the program is for peers only, then every peer that is compiled in.
#[expect(clippy::vec_init_then_push, reason = "each push has a condition of its own")]
fn factories() -> Vec<Box<dyn StoreFactory>> {
    let mut all = if cfg!(feature = "peers-only") { Vec::new() } else { terrace_bench::store::factories() };
    let mut peers: Vec<Vec<Box<dyn StoreFactory>>> = Vec::new();
    #[cfg(feature = "rocksdb")]
    peers.push(rocksdb::factories());
    #[cfg(feature = "fjall")]
    peers.push(fjall::factories());
    #[cfg(feature = "leveldb")]
    peers.push(leveldb::factories());
    #[cfg(feature = "redb")]
    peers.push(redb::factories());
    #[cfg(feature = "lmdb")]
    peers.push(lmdb::factories());
    all.extend(peers.into_iter().flatten());
    all
}

/// A peer's parts; what it has none of is `-`.
const NO_PARTS: Parts = Parts {
    engine: "-",
    version: "-",
    memtable: "-",
    picker: "-",
    log: "-",
    filter: "-",
    cache: "-",
    compression: "-",
    table: "-",
    log_keeps: true,
};

/// Memtables that may wait for their flush, the active one included: as terrace's default, where a peer can be told.
#[cfg(feature = "rocksdb")]
const MEMTABLES_MAX: i32 = 4;

#[cfg(any(feature = "rocksdb", feature = "fjall", feature = "leveldb"))]
const BLOCK_BYTES: u32 = 4096;
