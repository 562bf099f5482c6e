//! What a mapped log leaves to be done behind it.
#![cfg(all(target_os = "linux", feature = "mapped"))]

use std::sync::Arc;
use terrace_vfs::{CreateOptions, RealVfs, Vfs};
use terrace_wal::{CreateLog, LogReader, LogWriter, MappedLog, ReadLogOptions};

const RESERVED_BYTES: u64 = 8 << 20;

#[test]
fn chores_come_every_mebibyte_and_with_each_growth_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    let reserve = CreateOptions { preallocate_bytes: 4096, ..CreateOptions::default() };
    let has_maps = vfs.create_mapped(&dir.path().join("try"), reserve).unwrap().chore().is_some();
    let path = dir.path().join("log");
    let create = CreateLog { number: 3, preallocate_bytes: RESERVED_BYTES, recycle: None };
    let mut log = MappedLog::create(&vfs, &path, create).unwrap();
    assert_eq!(log.chore().is_some(), has_maps, "a fresh log can have the pages made that come first");
    assert!(log.chore().is_none());
    let payload = |record: u64| vec![record as u8; 5000];
    let mut records = 0;
    let mut chores = Vec::new();
    let mut grown_with_chore = false;
    std::thread::scope(|scope| {
        while log.len_bytes() < 2 * RESERVED_BYTES {
            let before = log.len_bytes();
            log.append(&[&payload(records)]).unwrap();
            records += 1;
            if let Some(chore) = log.chore() {
                grown_with_chore |= before <= RESERVED_BYTES && log.len_bytes() > RESERVED_BYTES;
                chores.push(log.len_bytes());
                scope.spawn(|| chore.run());
            }
        }
    });
    if has_maps {
        assert!(grown_with_chore, "the old mapping is left to a chore");
        let gaps: Vec<u64> = chores.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(gaps.iter().all(|gap| *gap <= (1 << 20) + 5024), "{gaps:?}");
        assert!((17..=19).contains(&chores.len()), "{gaps:?}");
    } else {
        assert!(chores.is_empty());
    }
    assert_eq!(log.last_chore().map(|chore| chore.run()).is_some(), has_maps);
    log.close().unwrap();
    let mut reader = LogReader::open(&vfs, &path, 3, ReadLogOptions::default()).unwrap();
    for record in 0..records {
        assert_eq!(reader.next().unwrap().unwrap().payload, payload(record), "record {record}");
    }
    assert!(reader.next().unwrap().is_none());
}
