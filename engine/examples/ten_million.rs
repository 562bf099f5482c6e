//! Loads ten million records in random order, scans them all in order, and reopens, within a gibibyte of memory.
//!
//! `cargo run --release -p terrace --example ten_million [-- RECORDS]`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]
#![expect(clippy::disallowed_methods, reason = "an example measures with the machine's clock")]

use std::time::Instant;
use terrace::Db;

/// Peak resident memory in MiB, where the system tells it.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// A shuffle of 64-bit numbers that can be undone, so that all keys differ.
fn shuffled(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

/// 100 bytes that follow from the key, half of them compressible.
fn value_of(key: u64) -> [u8; 100] {
    let mut value = [b'-'; 100];
    let mut state = key;
    for chunk in value[..50].chunks_mut(8) {
        state = shuffled(state + 1);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    value
}

fn report(what: &str, count: u64, begun: Instant) {
    let took = begun.elapsed();
    let rate = count as f64 / took.as_secs_f64() / 1000.0;
    let peak = peak_memory_mib().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
    println!("{what:<24} {took:>10.2?} {rate:>10.0} thousand a second, peak memory {peak}");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let open = || {
        Db::builder(dir.path()).memtable_bytes(64 << 20).cache_bytes(256 << 20).memory_bytes(768 << 20).open()
    };
    let db = open()?;
    let begun = Instant::now();
    for number in 0..records {
        let key = shuffled(number);
        db.put(format!("{key:016x}"), value_of(key))?;
    }
    report("load", records, begun);
    let begun = Instant::now();
    db.wait_for_background()?;
    report("drain", records, begun);
    check_scan(&db, records)?;
    println!("\n{}\n{}\n", db.shape(), db.stats());
    db.close()?;
    drop(db);
    let begun = Instant::now();
    let db = open()?;
    report("reopen", 1, begun);
    check_scan(&db, records)?;
    let begun = Instant::now();
    for number in 0..records / 10 {
        let key = shuffled(number * 10);
        let found = db.get(format!("{key:016x}"))?.ok_or("a record is missing")?;
        assert_eq!(found.as_ref(), value_of(key));
    }
    report("random reads", records / 10, begun);
    let peak = peak_memory_mib().unwrap_or(0);
    assert!(peak < 1024, "peak memory of {peak} MiB is above a gibibyte");
    Ok(())
}

/// All records, each with its value, in order.
fn check_scan(db: &Db, records: u64) -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let (mut count, mut previous) = (0, None);
    for kv in db.iter() {
        let (key, value) = kv?;
        let number = u64::from_str_radix(std::str::from_utf8(&key)?, 16)?;
        assert!(previous < Some(number), "out of order at {number:016x}");
        assert_eq!(value.as_ref(), value_of(number));
        previous = Some(number);
        count += 1;
    }
    assert_eq!(count, records, "records are missing");
    report("scan, checked", records, begun);
    Ok(())
}
