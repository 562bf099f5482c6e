//! A memtable panics under one of several writers.

use shuttle::thread;
use std::sync::Arc;
use terrace::{DefaultMemTable, DefaultPicker, Engine, Error, Options, Parts, StockLog};
use terrace_entry::{InternalKey, SeqNo};
use terrace_memtable::{Found, MemTable};
use terrace_sstable::{BlockTable, SlotCache};
use terrace_vfs::MemVfs;

use super::{explore, small};

struct PanickyMemTable(Arc<DefaultMemTable>);

impl MemTable for PanickyMemTable {
    const NAME: &'static str = "panicky";
    type Cursor = <DefaultMemTable as MemTable>::Cursor;

    fn new(bytes_hint: usize) -> Self {
        PanickyMemTable(Arc::new(DefaultMemTable::new(bytes_hint)))
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        assert!(!key.user_key.ends_with(b"panic"), "planted");
        self.0.insert(key, value);
    }

    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        self.0.get(user_key, seqno)
    }

    fn cursor(self: Arc<Self>) -> Self::Cursor {
        Arc::clone(&self.0).cursor()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

enum Panicky {}

impl Parts for Panicky {
    type MemTable = PanickyMemTable;
    type Log = StockLog;
    type Cache = SlotCache;
    type Table = BlockTable;
    type Picker = DefaultPicker;

    fn picker(_options: &Options) -> DefaultPicker {
        DefaultPicker::default()
    }
}

/// Whoever else writes at the time returns; what is acknowledged is visible, and what is not is not.
#[test]
fn a_panicking_insert_leaves_nobody_waiting_and_nothing_half_visible() {
    explore(400, || {
        let db: Engine<Panicky> = small(Arc::new(MemVfs::new())).open().unwrap();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let db = db.clone();
                thread::spawn(move || {
                    let mut batch = terrace::WriteBatch::new();
                    // The second comes in alone or late in its group, and two are too long for the leader to insert at once.
                    let value = vec![1; if writer < 2 { 65 << 10 } else { 10 }];
                    batch.put(format!("{writer} left"), &value);
                    batch.put(format!("{writer} {}", if writer == 1 { "panic" } else { "right" }), &value);
                    match db.write(batch) {
                        Ok(()) => true,
                        Err(Error::Panicked(_) | Error::ReadOnly { .. }) => false,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        let returned: Vec<bool> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        assert!(!returned[1], "a write whose insert panicked was acknowledged");
        for (writer, ok) in returned.into_iter().enumerate() {
            let left = db.get(format!("{writer} left")).unwrap().is_some();
            let right = db.get(format!("{writer} right")).unwrap().is_some();
            assert_eq!((left, right && writer != 1), (ok, ok), "writer {writer}");
        }
        assert!(matches!(db.put("after", "1"), Err(Error::ReadOnly { .. })));
    });
}
