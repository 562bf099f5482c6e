//! Step 10: a cache.
//!
//! What the last step could not do: answer without reading a file.
//!
//! Idea: keep the blocks that were read last in memory, as far as there is room. Readers seldom ask for all keys alike; here four look-ups in five go
//! to a twentieth of the keys.
//!
//! What it gives: a look-up of what is often asked for reads nothing. Memory now buys speed by as much or as little as there is, where in step 3
//! it had to hold every key.
//! What it costs: memory again, and it competes with the memtable (fewer, larger runs) and the filters (fewer useless reads) for the same
//! bytes. Keys are scattered, so a block of 4 KiB is kept for the sake of one or two popular pairs of 116 bytes in it. A merge makes new
//! tables, and the blocks kept of the old ones are of no use any more.
//!
//! `cargo run --release -p terrace-journey --example 10_cache [KEYS]`

use terrace_journey::{Disk, Outcome, Row, Store, Tree, TreeOptions, Workload, leveled};
use terrace_sstable::BlockCache;

fn main() -> Outcome {
    let (work, disk) = (Workload::from_arguments()?, Disk::new()?);
    let options = TreeOptions { filter_bits: vec![10.0], ..TreeOptions::default() };
    let mut tree = Tree::create(&disk, options)?.with_picker(leveled(4));
    Row::print_header();
    let loaded = Row::measure("no cache", &disk, work, 1_000, &mut tree)?;
    loaded.print();

    // Reads `reads` times to fill the cache, and as often again to measure.
    let reads = work.keys();
    let measure = |label: &str, share_of_data: f64, skewed: bool| -> Outcome<Row> {
        tree.cache().set_capacity((share_of_data * work.live_bytes() as f64) as u64);
        let mut row = Row { label: label.to_owned(), ..loaded.clone() };
        for numbers in [0..reads, reads..2 * reads] {
            match skewed {
                true => row.measure_gets(&disk, work.skewed_reads(numbers), &tree)?,
                false => row.measure_gets(&disk, work.reads(numbers), &tree)?,
            }
        }
        row.memory = tree.memory_bytes() as f64 / work.keys() as f64;
        row.print();
        Ok(row)
    };
    let tenth = measure("cache of a tenth of the data", 0.1, true)?;
    let half = measure("cache of half of the data", 0.5, true)?;
    let alike = measure("the same, all keys asked alike", 0.5, false)?;
    let all = measure("cache of twice the data", 2.0, true)?;

    assert!(tenth.files < loaded.files && half.files < tenth.files && half.files < alike.files);
    assert!(all.files < 0.05, "when everything fits, files are not read");
    Ok(())
}
