//! Writers that meet: groups, the log, the order of visibility.

use shuttle::thread;
use std::sync::Arc;
use terrace::{Db, DefaultParts, Durability, Error};
use terrace_vfs::{Fault, FaultRule, FaultVfs, MemVfs, Operation};

use super::{explore, open, small, text};

const WRITERS: usize = 3;

fn spawn_writers(db: &Db, write: fn(&Db, usize)) -> Vec<thread::JoinHandle<()>> {
    (0..WRITERS)
        .map(|writer| {
            let db = db.clone();
            thread::spawn(move || write(&db, writer))
        })
        .collect()
}

#[test]
fn a_writer_reads_what_it_wrote() {
    explore(200, || {
        let db = open();
        let writers = spawn_writers(&db, |db, writer| {
            for round in 0..3 {
                let (key, value) = (format!("key {writer}"), format!("{round}"));
                let durability = if round == 1 { Durability::Synced } else { Durability::PageCache };
                let mut batch = terrace::WriteBatch::new();
                batch.put(&key, &value);
                db.write_with(batch, durability).unwrap();
                assert_eq!(text(db.get(&key).unwrap()), Some(value), "a write that returned is not visible");
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(db.iter().count(), WRITERS);
    });
}

/// Two keys are always written together and in the same order; nobody ever sees them apart, or an older pair after a newer one.
#[test]
fn writes_become_visible_whole_and_in_order() {
    explore(200, || {
        let db = open();
        let writers = spawn_writers(&db, |db, writer| {
            for round in 0..2 {
                let mut batch = terrace::WriteBatch::new();
                batch.put("left", format!("{writer}.{round}")).put("right", format!("{writer}.{round}"));
                db.write(batch).unwrap();
            }
        });
        let mut last = terrace::SeqNo::new(0);
        for _ in 0..4 {
            let snapshot = db.snapshot();
            assert!(snapshot.seqno() >= last, "visibility went back");
            assert_eq!(snapshot.seqno().get() % 2, 0, "half a batch is visible");
            last = snapshot.seqno();
            assert_eq!(
                snapshot.get("left").unwrap(),
                snapshot.get("right").unwrap(),
                "half a batch is visible"
            );
        }
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(db.snapshot().seqno().get(), 2 * 2 * WRITERS as u64);
    });
}

/// A number is not visible before everything up to it is inserted, be it by its writer or by the leader of its group.
#[test]
fn a_snapshot_among_writers_does_not_change_its_mind() {
    explore(200, || {
        let db = open();
        let writers = spawn_writers(&db, |db, writer| {
            for round in 0..3 {
                db.put(format!("{writer}"), format!("{round}")).unwrap();
            }
        });
        for _ in 0..30 {
            let snapshot = db.snapshot();
            let look = || [0, 1, 2].map(|writer| text(snapshot.get(format!("{writer}")).unwrap()));
            let first = look();
            thread::yield_now();
            assert_eq!(look(), first, "a snapshot changed its mind");
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

/// Groups with long writes, which are inserted after the lead has passed on.
#[test]
fn long_and_short_writes_share_groups() {
    explore(60, || {
        let db = open();
        let writers = spawn_writers(&db, |db, writer| {
            let length = if writer == 0 { 65 << 10 } else { 10 };
            for round in 0..2 {
                let key = format!("{writer} {round}");
                db.put(&key, vec![writer as u8; length]).unwrap();
                assert_eq!(db.get(&key).unwrap().map(|value| value.len()), Some(length));
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(db.iter().count(), 2 * WRITERS);
        db.close().unwrap();
    });
}

/// The log fails under one of the groups: every writer returns, those of the group with an error, and the acknowledged stay readable.
#[test]
fn a_failing_log_fails_its_whole_group_and_leaves_nobody_waiting() {
    explore(200, || {
        let faults = FaultVfs::new(Arc::new(MemVfs::new()));
        let db = small::<DefaultParts>(Arc::new(faults.clone())).open().unwrap();
        db.put("before", "1").unwrap();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = db.clone();
                thread::spawn(move || {
                    let mut batch = terrace::WriteBatch::new();
                    batch.put(format!("{writer}"), "1");
                    match db.write_with(batch, Durability::Synced) {
                        Ok(()) => true,
                        Err(Error::ReadOnly { .. } | Error::Io(_) | Error::Log(_)) => false,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        faults.add(FaultRule::new(Fault::SyncLosesData).on(Operation::Sync));
        let returned: Vec<bool> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for (writer, ok) in returned.into_iter().enumerate() {
            let found = db.get(format!("{writer}")).unwrap().is_some();
            assert_eq!(found, ok, "a write is visible exactly if it was acknowledged");
        }
        assert_eq!(text(db.get("before").unwrap()).as_deref(), Some("1"));
    });
}
