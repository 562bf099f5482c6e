//! Closing, from any thread, at any moment.

use shuttle::thread;
use std::sync::Arc;
use terrace::{DefaultParts, Error};
use terrace_vfs::MemVfs;

use super::{explore, open, small};

/// What was acknowledged is there after opening anew, and nothing else is.
#[test]
fn close_against_writers_keeps_what_was_acknowledged() {
    explore(150, || {
        let vfs = Arc::new(MemVfs::new());
        let db = small::<DefaultParts>(Arc::clone(&vfs) as _).open().unwrap();
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let db = db.clone();
                thread::spawn(move || {
                    for round in 0..3 {
                        match db.put(format!("{writer}{round}"), "1") {
                            Ok(()) => {}
                            Err(Error::Closed) => return round,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    3
                })
            })
            .collect();
        db.close().unwrap();
        let acknowledged: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        drop(db);
        let db = small::<DefaultParts>(vfs).open().unwrap();
        assert_eq!(db.iter().count(), acknowledged);
    });
}

#[test]
fn close_against_a_flush_and_a_compaction_returns() {
    explore(150, || {
        let vfs = Arc::new(MemVfs::new());
        let db = small::<DefaultParts>(Arc::clone(&vfs) as _).open().unwrap();
        db.put("a", "1").unwrap();
        db.flush().unwrap();
        db.put("b", "1").unwrap();
        let worker = {
            let db = db.clone();
            thread::spawn(move || match db.compact() {
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => panic!("{error}"),
            })
        };
        let reader = {
            let db = db.clone();
            thread::spawn(move || {
                for kv in db.iter() {
                    match kv {
                        Ok(_) => {}
                        Err(Error::Closed) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        db.close().unwrap();
        worker.join().unwrap();
        reader.join().unwrap();
        drop(db);
        assert_eq!(small::<DefaultParts>(vfs).open().unwrap().iter().count(), 2);
    });
}

/// The last handle may go in any thread; the background threads end with it.
#[test]
fn the_last_handle_closes_wherever_it_goes() {
    explore(100, || {
        let db = open();
        let others: Vec<_> = (0..2)
            .map(|number| {
                let db = db.clone();
                thread::spawn(move || {
                    db.put(format!("{number}"), "1").unwrap();
                    drop(db);
                })
            })
            .collect();
        drop(db);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn two_closes_at_once_both_return() {
    explore(100, || {
        let db = open();
        db.put("a", "1").unwrap();
        let other = {
            let db = db.clone();
            thread::spawn(move || db.close().unwrap())
        };
        db.close().unwrap();
        other.join().unwrap();
    });
}
