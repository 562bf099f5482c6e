//! Step 1: a hash map.
//!
//! Question: where to keep keys and values, so that both writing and reading take one step?
//!
//! Idea: in memory, in a hash map. A write puts the pair where the key's hash points; a read looks there.
//!
//! What it gives: millions of writes and reads a second, and not one byte read or written.
//! What it costs: all of it. The pairs are gone with the process; data larger than memory has no place; and the hash tears neighbours apart, so
//! that "all keys that begin with 7f" is a question to every key.
//!
//! `cargo run --release -p terrace-journey --example 01_hash_map [KEYS]`

use std::collections::HashMap;
use terrace_journey::{Disk, Outcome, Row, Store, Workload, note};

#[derive(Default)]
struct Map(HashMap<Vec<u8>, Vec<u8>>);

impl Store for Map {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        self.0.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }

    /// An estimate from below: the map's buckets, of which it fills at most seven of eight, and the bytes behind them.
    fn memory_bytes(&self) -> usize {
        let buckets = self.0.capacity() * 8 / 7 * (size_of::<(Vec<u8>, Vec<u8>)>() + 1);
        buckets + self.0.iter().map(|(key, value)| key.capacity() + value.capacity()).sum::<usize>()
    }
}

fn main() -> Outcome {
    let (work, disk) = (Workload::from_arguments()?, Disk::new()?);
    let mut map = Map::default();
    Row::print_header();
    let row = Row::measure("hash map", &disk, work, work.keys(), &mut map)?;
    row.print();

    let found = map.0.keys().filter(|key| key.starts_with(b"7f")).count();
    note(format!("keys that begin with 7f: {found}, found by looking at {}", map.0.len()));
    note(format!("bytes that the next process would find: {}", disk.bytes()?));

    // The next step answers to this.
    assert!(row.written == 0.0 && disk.bytes()? == 0, "nothing outlives the process");
    assert!(found > 0 && map.0.len() as u64 == work.keys());
    Ok(())
}
