//! The public API, one claim at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use terrace::{Db, Durability, Error, WriteBatch};

fn small(path: &std::path::Path) -> terrace::Builder<terrace::DefaultParts> {
    Db::builder(path).memtable_bytes(64 << 10).table_bytes(32 << 10).log_preallocate_bytes(64 << 10)
}

fn all(iter: terrace::Iter<terrace::DefaultParts>) -> Vec<(String, String)> {
    iter.map(|kv| {
        let (k, v) = kv.expect("reads");
        (String::from_utf8_lossy(&k).into_owned(), String::from_utf8_lossy(&v).into_owned())
    })
    .collect()
}

#[test]
fn what_is_put_is_got_until_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    assert_eq!(db.get("k").unwrap(), None);
    db.put("k", "v").unwrap();
    assert_eq!(db.get("k").unwrap().as_deref(), Some(b"v".as_slice()));
    db.put("k", "w").unwrap();
    assert_eq!(db.get("k").unwrap().as_deref(), Some(b"w".as_slice()));
    db.delete("k").unwrap();
    assert_eq!(db.get("k").unwrap(), None);
    db.put("", "empty key").unwrap();
    assert_eq!(db.get("").unwrap().as_deref(), Some(b"empty key".as_slice()));
}

#[test]
fn everything_is_there_after_reopen_whether_closed_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let db = small(dir.path()).open().unwrap();
        for old in 0..round {
            for key in 0..500 {
                let value = db.get(format!("{old}-{key:04}")).unwrap();
                assert_eq!(
                    value.as_deref(),
                    Some(vec![b'x'; key % 300].as_slice()),
                    "round {round}: {old}-{key}"
                );
            }
        }
        for key in 0..500 {
            db.put(format!("{round}-{key:04}"), vec![b'x'; key % 300]).unwrap();
        }
        if round % 2 == 0 {
            db.close().unwrap();
        }
    }
}

#[test]
fn model_agrees_through_flushes_compactions_and_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = BTreeMap::new();
    let mut state = 7_u64;
    let mut random = move || terrace_entry::testing::next_random(&mut state);
    for _ in 0..3 {
        let db = small(dir.path()).open().unwrap();
        for step in 0..20_000_u64 {
            let key = format!("{:05}", random() % 3000);
            if random() % 4 == 0 {
                db.delete(&key).unwrap();
                model.remove(&key);
            } else {
                let value = format!("{step}-{}", "y".repeat((random() % 100) as usize));
                db.put(&key, &value).unwrap();
                model.insert(key, value);
            }
            if step % 5000 == 4999 {
                db.compact().unwrap();
            }
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(all(db.iter()), expected);
        let mut backward = db.iter().rev().map(|kv| kv.unwrap().0).collect::<Vec<_>>();
        backward.reverse();
        assert!(backward.iter().map(|k| k.as_ref()).eq(model.keys().map(|k| k.as_bytes())));
        for key in 0..3000 {
            let key = format!("{key:05}");
            assert_eq!(db.get(&key).unwrap().as_deref(), model.get(&key).map(|v| v.as_bytes()));
        }
        let from = "01000".to_owned();
        let to = "02000".to_owned();
        let expected: Vec<_> =
            model.range(from.clone()..to.clone()).map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(all(db.range(from..to)), expected);
        assert!(db.stats().flushes > 2, "{}", db.stats());
        println!("{}\n{}", db.shape(), db.stats());
    }
}

#[test]
fn snapshot_keeps_seeing_what_it_saw() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    db.put("a", "1").unwrap();
    db.put("b", "1").unwrap();
    let snap = db.snapshot();
    db.put("a", "2").unwrap();
    db.delete("b").unwrap();
    db.put("c", "2").unwrap();
    db.compact().unwrap();
    assert_eq!(snap.get("a").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(all(snap.iter()), [("a".into(), "1".into()), ("b".into(), "1".into())]);
    assert_eq!(all(db.iter()), [("a".into(), "2".into()), ("c".into(), "2".into())]);
    drop(snap);
    db.compact().unwrap();
    assert_eq!(all(db.iter()), [("a".into(), "2".into()), ("c".into(), "2".into())]);
}

#[test]
fn batch_spans_keyspaces_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = small(dir.path()).open().unwrap();
        let users = db.keyspace("users").unwrap();
        let mut batch = WriteBatch::new();
        batch.put("k", "default").put_in(&users, "k", "users").delete("gone");
        db.write_with(&batch, Durability::Synced).unwrap();
        users.put("u2", "x").unwrap();
    }
    let db = small(dir.path()).open().unwrap();
    assert_eq!(db.keyspaces(), ["default", "users"]);
    let users = db.keyspace("users").unwrap();
    assert_eq!(users.get("k").unwrap().as_deref(), Some(b"users".as_slice()));
    assert_eq!(db.get("k").unwrap().as_deref(), Some(b"default".as_slice()));
    db.remove_keyspace("users").unwrap();
    assert!(matches!(users.get("k"), Err(Error::KeyspaceRemoved(_))));
    assert!(matches!(users.put("k", "v"), Err(Error::KeyspaceRemoved(_))));
    drop((users, db));
    let db = small(dir.path()).open().unwrap();
    assert_eq!(db.keyspaces(), ["default"]);
    let users = db.keyspace("users").unwrap();
    assert_eq!(users.get("k").unwrap(), None);
}

/// Also when the write before went into the same keyspace, whose memtable is at hand then.
#[test]
fn a_batch_does_not_go_into_a_removed_keyspace() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    let users = db.keyspace("users").unwrap();
    let mut batch = WriteBatch::new();
    batch.put_in(&users, "k", "v");
    db.write(&batch).unwrap();
    db.remove_keyspace("users").unwrap();
    assert!(matches!(db.write(&batch), Err(Error::KeyspaceRemoved(_))));
}

#[test]
fn many_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(small(dir.path()).open().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for key in 0..2000 {
                    let durability = if key % 100 == 0 { Durability::Synced } else { Durability::PageCache };
                    let mut batch = WriteBatch::new();
                    batch.put(format!("{thread}-{key}-a"), "a").put(format!("{thread}-{key}-b"), "b");
                    db.write_with(batch, durability).unwrap();
                    let seen = db.get(format!("{thread}-{key}-b")).unwrap();
                    assert_eq!(seen.as_deref(), Some(b"b".as_slice()));
                }
            });
        }
    });
    assert_eq!(db.iter().count(), 8 * 2000 * 2);
    println!("{}", db.stats());
}

#[test]
fn user_bytes_are_those_of_keys_and_values_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    db.put("abc", "12345").unwrap();
    let mut batch = WriteBatch::new();
    batch.put("key", vec![b'x'; 300]).put("k", "").delete("abc");
    db.write(&batch).unwrap();
    assert_eq!(db.stats().user_bytes, 8 + 303 + 1 + 3);
    assert_eq!(db.stats().writes, 4);
}

#[test]
fn statistics_and_shape_can_be_asked_while_writers_write() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let stats = db.stats();
                assert!(stats.to_string().contains("amplified"));
                assert!(db.shape().to_string().contains("default"));
            }
        });
        for key in 0..20_000 {
            db.put(format!("{key:06}"), vec![b'x'; 50]).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(db.stats().writes, 20_000);
}

#[test]
fn iterator_reports_what_it_pins_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    for key in 0..3000 {
        db.put(format!("{key:06}"), vec![b'x'; 50]).unwrap();
    }
    db.flush().unwrap();
    let mut iter = db.iter();
    assert!(iter.next().unwrap().is_ok());
    let pinned = iter.pinned();
    assert!(pinned.tables > 0 && pinned.file_bytes > 0);
    db.remove_keyspace("none").unwrap_err();
    for key in 0..3000 {
        db.delete(format!("{key:06}")).unwrap();
    }
    db.compact().unwrap();
    assert_eq!(db.iter().count(), 0);
    assert_eq!(iter.count(), 2999, "what the iterator saw is gone");
}

#[test]
fn iterator_seeks_both_ways_within_its_range() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    for key in 0..100 {
        db.put(format!("{key:03}"), "v").unwrap();
    }
    let key_at = |iter: &mut terrace::Iter<terrace::DefaultParts>| {
        iter.next().map(|kv| String::from_utf8_lossy(&kv.unwrap().0).into_owned())
    };
    let mut iter = db.range("010".."090");
    iter.seek("050");
    assert_eq!(key_at(&mut iter).as_deref(), Some("050"));
    iter.seek("000");
    assert_eq!(key_at(&mut iter).as_deref(), Some("010"));
    iter.seek("0895");
    assert_eq!(key_at(&mut iter), None);
    iter.seek("020");
    assert_eq!(key_at(&mut iter).as_deref(), Some("020"));
    assert_eq!(iter.next_back().map(|kv| kv.unwrap().0), Some("089".into()));
}

/// Two runs of several tables each, one behind the other.
#[test]
fn seek_reads_one_block_of_a_run_that_reaches_the_key_and_none_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).compaction(false).open().unwrap();
    let fill = |prefix: &str| {
        for key in 0..1000 {
            db.put(format!("{prefix}{key:04}"), vec![b'x'; 200]).unwrap();
        }
    };
    fill("b");
    db.compact().unwrap();
    fill("m");
    db.flush().unwrap();
    assert!(db.stats().tables > 5 && db.stats().runs > 1, "{:?}", db.stats());
    let runs = db.stats().runs;
    let blocks = || db.stats().cache.hits + db.stats().cache.misses;
    for (key, reaching) in [("a", runs), ("b0500", runs), ("c", runs - 1), ("m0999", 1), ("z", 0)] {
        let before = blocks();
        let found = db.range(key..).next().map(|pair| pair.unwrap().0);
        assert_eq!(found.is_some(), reaching > 0, "{key}");
        assert_eq!(blocks() - before, reaching, "{key}");
    }
}

#[test]
fn lent_pairs_are_those_handed_out_and_seek_forgets_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    for key in 0..500 {
        db.put(format!("{key:03}"), format!("old {key}")).unwrap();
    }
    db.flush().unwrap();
    for key in (0..500).step_by(3) {
        db.put(format!("{key:03}"), format!("new {key}")).unwrap();
        db.delete(format!("{:03}", key + 1)).unwrap();
    }
    let handed: Vec<_> = db.iter().map(Result::unwrap).collect();
    assert_eq!(handed.len(), 333);
    let (mut iter, mut lent) = (db.iter(), Vec::new());
    while let Some(pair) = iter.next_ref() {
        let (key, value) = pair.unwrap();
        lent.push((key.to_vec().into(), value.to_vec().into()));
    }
    assert_eq!(lent, handed);
    assert!(iter.next_ref().is_none() && iter.next().is_none() && iter.next_back_ref().is_none());
    let (mut iter, mut lent) = (db.iter(), Vec::new());
    while let Some(pair) = iter.next_back_ref() {
        let (key, value) = pair.unwrap();
        lent.push((key.to_vec().into(), value.to_vec().into()));
    }
    lent.reverse();
    assert_eq!(lent, handed);
    // Standing on a key and sought to it again, it is given out again.
    let mut iter = db.iter();
    for _ in 0..2 {
        iter.seek("300");
        assert_eq!(iter.next_ref().unwrap().unwrap(), (&b"300"[..], &b"new 300"[..]));
    }
}

#[test]
fn obsolete_files_go_when_nothing_needs_them() {
    let dir = tempfile::tempdir().unwrap();
    let db = small(dir.path()).open().unwrap();
    for round in 0..5 {
        for key in 0..2000 {
            db.put(format!("{key:06}"), format!("{round}-{key}")).unwrap();
        }
        db.compact().unwrap();
    }
    let live = db.stats().tables;
    db.close().unwrap();
    let vfs = terrace_vfs::RealVfs::new();
    let names = terrace_vfs::Vfs::list(&vfs, dir.path()).unwrap();
    let count = |end: &str| names.iter().filter(|entry| entry.name.ends_with(end)).count() as u64;
    assert_eq!(count(".sst"), live);
    assert_eq!(count(".log"), 1, "{names:?}");
    assert_eq!(names.iter().filter(|entry| entry.name.starts_with("MANIFEST")).count(), 1);
}

#[test]
fn any_memtable_and_log_reads_what_another_wrote() {
    use terrace_wal::LogKind;
    let dir = tempfile::tempdir().unwrap();
    let kinds = [LogKind::Buffered, LogKind::Mapped, LogKind::Buffered, LogKind::Null, LogKind::Mapped];
    for (round, kind) in kinds.into_iter().enumerate() {
        let db = small(dir.path()).log(kind).open().unwrap();
        for key in 0..300 {
            db.put(format!("{round}-{key:03}"), "v").unwrap();
        }
        db.sync().unwrap();
        assert_eq!(db.iter().count(), (round + 1) * 300, "after opening with {kind}");
    }
}
