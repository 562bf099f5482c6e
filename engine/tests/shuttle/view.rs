//! What readers see while the view is swapped below them.

use shuttle::thread;
use terrace::{Db, Durability};

use super::{explore, open, text};

/// Runs `read` beside a writer that overwrites its key and flushes. Many reads, since the window is between two steps of one, and a flush takes
/// thousands.
fn while_overwritten_and_flushed(read: impl Fn(&Db, usize)) -> Db {
    let db = open();
    db.put("key", "0").unwrap();
    let writer = {
        let db = db.clone();
        thread::spawn(move || {
            db.put("key", "1").unwrap();
            db.flush().unwrap();
        })
    };
    (0..60).for_each(|step| read(&db, step));
    writer.join().unwrap();
    db
}

/// Invariant *view-before-number*: an older number must not meet a newer view, out of which a flush has dropped what it would see.
#[test]
fn a_read_finds_its_key_while_it_is_overwritten_and_flushed() {
    explore(200, || {
        let last = std::cell::Cell::new(0);
        let db = while_overwritten_and_flushed(|db, _| {
            let value = text(db.get("key").unwrap()).expect("a key that is always there is always found");
            let value = value.parse().unwrap();
            assert!(last.replace(value) <= value, "a later read saw an older value");
        });
        assert_eq!(text(db.get("key").unwrap()).as_deref(), Some("1"));
    });
}

#[test]
fn an_iterator_finds_its_key_while_it_is_overwritten_and_flushed() {
    explore(8000, || {
        // One step of each, since the window is in the making of an iterator.
        while_overwritten_and_flushed(|db, step| {
            let found = match step % 2 {
                0 => db.iter().next(),
                _ => db.iter().next_back(),
            };
            assert!(found.transpose().unwrap().is_some(), "a key that is always there is always met");
        });
    });
}

/// Invariant *sealed-complete*: a memtable is sealed while a write has its place in it and has not inserted yet.
#[test]
fn a_flush_waits_for_the_writes_that_belong_into_its_memtable() {
    explore(200, || {
        let db = open();
        db.put("first", "so that there is something to seal").unwrap();
        // Too long to be inserted under the lead.
        let long = vec![7; 65 << 10];
        let writer = {
            let (db, long) = (db.clone(), long.clone());
            thread::spawn(move || db.put("long", long).unwrap())
        };
        db.flush().unwrap();
        writer.join().unwrap();
        assert!(db.get("long").unwrap().is_some_and(|value| value == long), "an acknowledged write is lost");
        db.flush().unwrap();
        assert!(db.get("long").unwrap().is_some_and(|value| value == long), "an acknowledged write is lost");
        db.close().unwrap();
    });
}

/// A snapshot is taken while compactions choose which versions to keep.
#[test]
fn a_snapshot_goes_on_seeing_what_it_saw_first() {
    explore(200, || {
        let db = open();
        db.put("key", "0").unwrap();
        db.put("other", "0").unwrap();
        let writer = {
            let db = db.clone();
            thread::spawn(move || {
                let mut batch = terrace::WriteBatch::new();
                batch.put("key", "1").delete("other");
                db.write(batch).unwrap();
                db.compact().unwrap();
            })
        };
        let snapshot = db.snapshot();
        let look = || (text(snapshot.get("key").unwrap()), text(snapshot.get("other").unwrap()));
        let first = look();
        let old = (Some("0".to_owned()), Some("0".to_owned()));
        assert!(first == old || first == (Some("1".to_owned()), None), "half a batch: {first:?}");
        writer.join().unwrap();
        assert_eq!(look(), first, "a snapshot changed its mind");
        let met = snapshot.iter().count();
        assert_eq!(met, if first == old { 2 } else { 1 });
    });
}

/// Files of merged tables go while iterators and look-ups still hold them.
#[test]
fn tables_that_are_read_are_not_removed() {
    explore(100, || {
        let db = open();
        for round in 0..2 {
            db.put("a", format!("{round}")).unwrap();
            db.put("b", format!("{round}")).unwrap();
            db.flush().unwrap();
        }
        let mut held = db.iter();
        let compacting = {
            let db = db.clone();
            thread::spawn(move || db.compact().unwrap())
        };
        let reading = {
            let db = db.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    assert_eq!(text(db.get("a").unwrap()).as_deref(), Some("1"));
                    assert_eq!(text(db.get("b").unwrap()).as_deref(), Some("1"));
                }
            })
        };
        assert_eq!(held.by_ref().map(|kv| kv.unwrap().1).collect::<Vec<_>>(), ["1", "1"]);
        drop(held);
        compacting.join().unwrap();
        reading.join().unwrap();
        db.close().unwrap();
    });
}

/// Several keyspaces, one batch over both, flushes of each.
#[test]
fn a_batch_over_two_keyspaces_is_seen_whole() {
    explore(100, || {
        let db = open();
        let other = db.keyspace("other").unwrap();
        let writer = {
            let (db, other) = (db.clone(), other.clone());
            thread::spawn(move || {
                for round in 0..2 {
                    let mut batch = terrace::WriteBatch::new();
                    batch.put("key", format!("{round}")).put_in(&other, "key", format!("{round}"));
                    db.write_with(batch, Durability::PageCache).unwrap();
                }
            })
        };
        let flusher = {
            let db = db.clone();
            thread::spawn(move || db.flush().unwrap())
        };
        let snapshot = db.snapshot();
        let both = (snapshot.get("key").unwrap(), snapshot.get_in(&other, "key").unwrap());
        assert_eq!(both.0, both.1, "a batch was seen half");
        writer.join().unwrap();
        flusher.join().unwrap();
        assert_eq!(text(other.get("key").unwrap()).as_deref(), Some("1"));
    });
}
