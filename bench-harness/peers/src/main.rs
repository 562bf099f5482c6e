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
#[cfg(feature = "peer")]
mod peer;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "peer")]
mod scan;
#[cfg(feature = "peer")]
mod tally;

use std::process::ExitCode;
#[cfg(feature = "peer")]
use terrace_bench::store::Parts;
use terrace_bench::store::StoreFactory;

fn main() -> ExitCode {
    terrace_bench::cli::main(&factories())
}

/// Terrace's combinations, unless the program is for peers only, then every peer that is compiled in.
fn factories() -> Vec<Box<dyn StoreFactory>> {
    let all = if cfg!(feature = "peers-only") { Vec::new() } else { terrace_bench::store::factories() };
    #[cfg(feature = "peer")]
    let all = all.into_iter().chain(peers()).collect();
    all
}

#[cfg(feature = "peer")]
#[expect(clippy::vec_init_then_push, reason = "each push has a condition of its own")]
fn peers() -> impl Iterator<Item = Box<dyn StoreFactory>> {
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
    peers.into_iter().flatten()
}

/// A peer's parts; what it has none of is `-`.
#[cfg(feature = "peer")]
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
