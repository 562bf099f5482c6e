//! Why does my space not come back? A store is filled, nearly everything in it is deleted, and the disk stays full; the database is asked why,
//! three times, and says something else each time.
//!
//! `cargo run -p terrace --example space [picture.svg]`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use terrace::{Db, TableColour};

const KEYS: u32 = 20_000;

fn key(number: u32) -> String {
    format!("user{:08}", number.wrapping_mul(2_654_435_761) % 100_000_000)
}

/// A hundred bytes that no compression makes fewer.
fn value(number: u32) -> Vec<u8> {
    let mut state = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..100).map(next).collect()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::disallowed_methods, reason = "a picture for a person is no file of the database")]
fn save(path: &std::path::Path, picture: &str) -> std::io::Result<()> {
    std::fs::write(path, picture)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("terrace-space-{}", std::process::id()));
    let db = Db::builder(&dir).memtable_bytes(256 << 10).table_bytes(256 << 10).open()?;
    for number in 0..KEYS {
        db.put(key(number), value(number))?;
    }
    db.flush()?;
    db.wait_for_background()?;
    let full = db.stats().table_bytes;
    println!("{KEYS} keys take {:.1} MB.\n", megabytes(full));

    // Somewhere in the program a report reads a snapshot, and an export an iterator. Both are forgotten.
    let report = db.snapshot();
    for number in (0..KEYS).filter(|number| number % 10 != 0) {
        db.delete(key(number))?;
    }
    db.flush()?;
    db.wait_for_background()?;
    let deleted = db.stats().table_bytes;
    println!("Nine of ten are deleted, and the tables take {:.1} MB. Why?\n", megabytes(deleted));
    println!("{}", db.explain_compaction()?);

    // It names a snapshot, and tombstones that have not met what they hide. What would compaction do by itself?
    println!("Left to itself, compaction would do this:\n{}", db.dry_run_compaction(20)?);
    let shape = db.shape();
    let oldest = shape.keyspaces[0].shape.runs().next_back().and_then(|(_, run)| run.tables.first());
    let oldest = oldest.ok_or("there are tables")?.id;
    println!("And the first table of the oldest run:\n{}", db.why(oldest)?);
    println!("The tree as text:\n{shape}");
    let picture = shape.to_svg(TableColour::Tombstones);
    match std::env::args_os().nth(1) {
        Some(path) => save(path.as_ref(), &picture)?,
        None => {
            println!("As a picture, {} bytes of SVG, where a path is given to this program.\n", picture.len())
        }
    }

    // A merge of everything is no help while the snapshot is held: it sees what was deleted.
    db.compact()?;
    let held = db.explain_compaction()?;
    println!("Compacted by hand, with the snapshot: {:.1} MB.\n{held}", megabytes(db.stats().table_bytes));
    assert!(held.keyspaces[0].held.snapshot_versions_max >= u64::from(KEYS) / 2, "{held}");

    // The snapshot goes, and an iterator is left that reads the tables that the next merge replaces.
    let mut export = db.iter();
    assert!(export.next_ref().is_some());
    drop(report);
    db.compact()?;
    let read = db.explain_compaction()?;
    println!("Without the snapshot: {:.1} MB in the tree.\n{read}", megabytes(db.stats().table_bytes));
    assert!(read.files.read_bytes > full / 2, "{read}");
    assert!(read.snapshots.is_empty());

    drop(export);
    db.wait_for_background()?;
    let end = db.explain_compaction()?;
    let left = db.stats().table_bytes;
    println!("Without the iterator:\n{end}");
    println!("The tree takes {:.1} MB: the space is back.", megabytes(left));
    assert_eq!(end.files.read_tables, 0, "{end}");
    assert!(left < full / 5, "{left} bytes of {full}");
    db.close()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
