//! The laws that need no crash: what went in comes out, offsets and lengths, limits, close, recycling.

use super::{options, payload, read_log};
use crate::{CreateLog, Error, LogReader, LogWriter, RECORD_BYTES_MAX, ReadLogOptions, RecoveryMode};
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::Vfs;

/// Checks the laws that need no crash, in `dir`, where it makes files whose names begin with `conformance`.
///
/// # Panics
///
/// At the first law that does not hold.
pub fn check_contract<L: LogWriter>(vfs: &Arc<dyn Vfs>, dir: &Path) {
    let path = |name: &str| dir.join(format!("conformance-{}-{name}", L::NAME));
    offsets_and_lengths_add_up::<L>(vfs, &path("lengths"));
    too_large_a_record_is_refused_and_the_log_lives_on::<L>(vfs, &path("large"));
    if !L::KEEPS {
        let nothing = path("nothing");
        L::create(vfs, &nothing, options(1, 4096)).expect("create");
        assert!(!vfs.exists(&nothing).expect("exists"), "a log that keeps nothing makes no file");
        return;
    }
    records_of_every_size_round_trip::<L>(vfs, &path("sizes"));
    parts_are_joined_without_a_trace::<L>(vfs, &path("parts"));
    handed_over_records_are_in_the_file::<L>(vfs, &path("handed"));
    a_closed_log_ends_with_its_trailer::<L>(vfs, &path("closed"));
    a_file_that_is_there_is_not_written_over::<L>(vfs, &path("there"));
    a_recycled_file_never_replays_old_records::<L>(vfs, &path("old"), &path("new"));
}

fn offsets_and_lengths_add_up<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    let mut log = L::create(vfs, path, options(3, 1 << 16)).expect("create");
    assert_eq!(log.synced_bytes(), 0, "nothing is durable in a new log");
    let mut before = log.len_bytes();
    for bytes in [10, 0, 1, 5000] {
        let offset = log.append(&[&payload(1, bytes)]).expect("append");
        assert_eq!(offset, before, "a record begins where the log ended");
        assert!(log.len_bytes() >= offset + bytes as u64, "the length grows by the record");
        before = log.len_bytes();
    }
    log.hand_over().expect("hand over");
    assert_eq!(log.synced_bytes(), 0, "handing over syncs nothing");
    log.sync().expect("sync");
    assert_eq!(log.synced_bytes(), log.len_bytes(), "a sync covers everything appended");
    log.append(&[b"more"]).expect("append");
    assert_eq!(log.synced_bytes(), before, "an append is not durable");
    let len = log.len_bytes();
    assert!(log.close().expect("close") >= len, "close returns the final length");
}

fn too_large_a_record_is_refused_and_the_log_lives_on<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    let mut log = L::create(vfs, path, options(4, 1 << 16)).expect("create");
    let before = log.len_bytes();
    // The same megabyte again and again: the length counts, not the memory.
    let piece = vec![0; 1 << 20];
    let mut parts = vec![&piece[..]; RECORD_BYTES_MAX >> 20];
    parts.push(b"!");
    let refused = log.append(&parts);
    assert!(matches!(refused, Err(Error::RecordTooLarge { .. })), "{refused:?}");
    assert_eq!(log.len_bytes(), before, "nothing was appended");
    log.append(&[b"fits"]).expect("the log lives on");
    log.close().expect("close");
    if L::KEEPS {
        let (records, _) = read_log(vfs, path, 4, ReadLogOptions::default()).expect("read");
        assert_eq!(records, [b"fits"]);
    }
}

fn records_of_every_size_round_trip<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    // From less than the smallest to more than the largest reservation that grows, and longer than the reader's window.
    let sizes = [0, 1, 2, 23, 24, 25, 100, 4095, 4096, 4097, 70 << 10, 0, (1 << 20) + 1, 3 << 20, 7];
    for (number, preallocate) in [(5, 0), (6, 200 << 10), (u64::MAX - 1, 8 << 20)] {
        let path = path.with_extension(number.to_string());
        let mut log = L::create(vfs, &path, options(number, preallocate)).expect("create");
        let mut expected = Vec::new();
        let mut offsets = Vec::new();
        for (seed, bytes) in sizes.into_iter().enumerate() {
            let record = payload(seed as u64, bytes);
            offsets.push(log.append(&[&record]).expect("append"));
            expected.push(record);
            if seed % 4 == 3 {
                log.sync().expect("sync");
            }
        }
        let len = log.close().expect("close");
        let strict = ReadLogOptions {
            mode: RecoveryMode::RefuseAny,
            durable_bytes: Some(len),
            ..ReadLogOptions::default()
        };
        let mut reader = LogReader::open(vfs, &path, number, strict).expect("open");
        for (record, offset) in expected.iter().zip(offsets) {
            let got = reader.next().expect("next").expect("one more record");
            assert_eq!(got.offset, offset, "append returns the record's offset");
            assert!(got.payload == record, "a record of {} bytes came out different", record.len());
        }
        assert_eq!(reader.next().expect("end"), None);
        assert_eq!(reader.report().records, expected.len() as u64);
        assert!(reader.report().clean_close, "{:?}", reader.report());
    }
}

fn parts_are_joined_without_a_trace<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    let mut log = L::create(vfs, path, options(8, 1 << 16)).expect("create");
    log.append(&[]).expect("append");
    log.append(&[b"", b"ab", b"", b"c", b""]).expect("append");
    log.append(&[b"abc"]).expect("append");
    log.close().expect("close");
    let (records, _) = read_log(vfs, path, 8, ReadLogOptions::default()).expect("read");
    assert_eq!(records, [&b""[..], b"abc", b"abc"]);
}

fn handed_over_records_are_in_the_file<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    let mut log = L::create(vfs, path, options(9, 1 << 20)).expect("create");
    let mut expected = Vec::new();
    for seed in 0..20 {
        let record = payload(seed, 300);
        log.append(&[&record]).expect("append");
        expected.push(record);
        log.hand_over().expect("hand over");
        let (records, report) = read_log(vfs, path, 9, ReadLogOptions::default()).expect("read");
        assert!(records == expected, "{} of {} handed over records", records.len(), expected.len());
        assert_eq!(report.valid_bytes, log.len_bytes(), "the log's length is what a reader finds");
        assert_eq!(report.dropped, [], "unwritten space is not dropped bytes");
        assert!(!report.clean_close);
    }
}

fn a_closed_log_ends_with_its_trailer<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    for (number, preallocate, bytes) in [(10, 1 << 20, 50), (11, 0, 0), (12, 1 << 16, 1 << 17)] {
        let path = path.with_extension(number.to_string());
        let mut log = L::create(vfs, &path, options(number, preallocate)).expect("create");
        log.append(&[&payload(1, bytes)]).expect("append");
        let len = log.close().expect("close");
        let file = vfs.open(&path).expect("open");
        assert_eq!(file.len().expect("len"), len, "a closed log is cut to its length");
        let (_, report) = read_log(vfs, &path, number, ReadLogOptions::default()).expect("read");
        assert!(report.clean_close, "{report:?}");
        assert_eq!(report.valid_bytes, len);
    }
}

fn a_file_that_is_there_is_not_written_over<L: LogWriter>(vfs: &Arc<dyn Vfs>, path: &Path) {
    let mut log = L::create(vfs, path, options(13, 1 << 16)).expect("create");
    log.append(&[b"mine"]).expect("append");
    log.close().expect("close");
    assert!(L::create(vfs, path, options(14, 1 << 16)).is_err(), "a log was made over another");
    let (records, _) = read_log(vfs, path, 13, ReadLogOptions::default()).expect("read");
    assert_eq!(records, [b"mine"]);
}

fn a_recycled_file_never_replays_old_records<L: LogWriter>(vfs: &Arc<dyn Vfs>, old: &Path, new: &Path) {
    let mut log = L::create(vfs, old, options(15, 0)).expect("create");
    for seed in 0..100 {
        log.append(&[&payload(seed, 100)]).expect("append");
    }
    log.close().expect("close");
    let recycle = CreateLog { number: 16, preallocate_bytes: 1 << 14, recycle: Some(old.to_owned()) };
    let mut log = L::create(vfs, new, recycle).expect("recycle");
    assert!(!vfs.exists(old).expect("exists"), "the old name is gone");
    let (records, report) = read_log(vfs, new, 16, ReadLogOptions::default()).expect("read");
    assert_eq!((records.len(), report.dropped.len()), (0, 0), "the new log has no records yet");
    let mut expected = Vec::new();
    // The same sizes as before, so that new records end exactly where old ones begin; then others.
    for seed in 0..50 {
        let record = payload(1000 + seed, if seed < 25 { 100 } else { 37 });
        log.append(&[&record]).expect("append");
        log.hand_over().expect("hand over");
        expected.push(record);
        for mode in [RecoveryMode::DropTornTail, RecoveryMode::RefuseAny, RecoveryMode::Salvage] {
            let options = ReadLogOptions { mode, ..ReadLogOptions::default() };
            let (records, report) = read_log(vfs, new, 16, options).expect("read");
            assert!(records == expected, "{mode:?}: {} records of {}", records.len(), expected.len());
            assert_eq!(report.dropped, [], "old records are not dropped bytes");
        }
    }
    let len = log.close().expect("close");
    let (records, report) = read_log(vfs, new, 16, ReadLogOptions::default()).expect("read");
    assert!(records == expected && report.clean_close, "{report:?}");
    assert_eq!(vfs.open(new).expect("open").len().expect("len"), len, "a closed log is cut to its length");
}
