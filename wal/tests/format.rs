//! The format held still: a golden file of version 1, a version that is not known, and hostile bytes.

use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{MemVfs, RealVfs, Vfs};
use terrace_wal::testing::{payload, read_log};
use terrace_wal::{AnyLog, CreateLog, Error, LogKind, ReadLogOptions, RecoveryMode, dump};

/// The log of the golden file. Changing this needs a new format version.
fn write_golden(kind: LogKind, vfs: &Arc<dyn Vfs>, path: &Path) {
    let options = CreateLog { number: 0x1_0000_002a, preallocate_bytes: 4096, recycle: None };
    let mut log = AnyLog::create(kind, vfs, path, options).unwrap();
    log.append(&[b"first"]).unwrap();
    log.append(&[]).unwrap();
    log.sync().unwrap();
    log.append(&[b"in ", b"three ", b"parts"]).unwrap();
    log.append(&[&payload(1, 100)]).unwrap();
    log.close().unwrap();
}

fn memory(bytes: &[u8]) -> Arc<dyn Vfs> {
    let vfs = MemVfs::new();
    drop(vfs.create(Path::new("log"), Default::default()).unwrap());
    vfs.corrupt(Path::new("log"), |file| *file = bytes.to_vec()).unwrap();
    Arc::new(vfs)
}

fn golden_bytes() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/closed-v1.log");
    let file = RealVfs::new().open(&path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn golden_file_of_version_1_reads() {
    let vfs = memory(&golden_bytes());
    insta::assert_snapshot!("closed_v1", dump(&vfs, Path::new("log")).unwrap());
    let strict = ReadLogOptions { mode: RecoveryMode::RefuseAny, ..ReadLogOptions::default() };
    let (records, report) = read_log(&vfs, Path::new("log"), 0x1_0000_002a, strict).unwrap();
    assert_eq!(records, [b"first".to_vec(), vec![], b"in three parts".to_vec(), payload(1, 100)]);
    assert!(report.clean_close);
}

#[test]
fn every_log_writes_the_golden_file_to_the_byte() {
    for kind in [LogKind::Buffered, LogKind::Mapped] {
        let vfs = MemVfs::new();
        let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
        write_golden(kind, &shared, Path::new("log"));
        assert!(vfs.files()[Path::new("log")] == golden_bytes(), "{kind} writes something else");
    }
}

#[test]
fn dump_names_damage_and_the_records_around_it() {
    let mut bytes = golden_bytes();
    bytes[70] ^= 1; // the third byte of "first"
    bytes.extend(b"garbage");
    insta::assert_snapshot!("damaged", dump(&memory(&bytes), Path::new("log")).unwrap());
}

#[test]
fn dump_of_no_log_says_so() {
    for bytes in [&b""[..], b"abc", &[0; 5000]] {
        let text = dump(&memory(bytes), Path::new("log")).unwrap();
        assert!(text.contains("no file header"), "{text}");
    }
}

/// The file header of a version, with right checksums: written here from the format's description, not by the crate.
fn file_header(version: u32, number: u64) -> Vec<u8> {
    let mut payload = b"TERRALOG".to_vec();
    payload.extend(version.to_le_bytes());
    payload.extend(number.to_le_bytes());
    record(0, number, 0x33, 0, &payload)
}

fn record(offset: u64, number: u64, kind: u8, synced_to: u64, payload: &[u8]) -> Vec<u8> {
    let mut checked = offset.to_le_bytes().to_vec();
    checked.extend(((number >> 32) as u32).to_le_bytes());
    checked.extend(crc32c::crc32c(payload).to_le_bytes());
    checked.extend((payload.len() as u32).to_le_bytes());
    checked.extend((number as u32).to_le_bytes());
    checked.extend(&synced_to.to_le_bytes()[..7]);
    checked.push(kind);
    let mut record = crc32c::crc32c(&checked).to_le_bytes().to_vec();
    record.extend(&checked[12..]);
    record.extend(payload);
    record
}

#[test]
fn a_log_written_from_the_description_reads() {
    let mut bytes = file_header(1, 5);
    bytes.extend(record(44, 5, 0x11, 44, b"by hand"));
    bytes.extend(record(75, 5, 0x22, 75, b""));
    let (records, report) =
        read_log(&memory(&bytes), Path::new("log"), 5, ReadLogOptions::default()).unwrap();
    assert_eq!(records, [b"by hand"]);
    assert!(report.clean_close);
}

#[test]
fn another_version_is_a_typed_error_that_names_both() {
    for version in [0, 2, 77] {
        for mode in [RecoveryMode::DropTornTail, RecoveryMode::RefuseAny, RecoveryMode::Salvage] {
            let options = ReadLogOptions { mode, ..ReadLogOptions::default() };
            let error =
                read_log(&memory(&file_header(version, 5)), Path::new("log"), 5, options).unwrap_err();
            assert!(
                matches!(error, Error::UnsupportedVersion { found, supported: 1, .. } if found == version),
                "{error}"
            );
        }
    }
}

#[test]
fn what_no_writer_writes_is_corruption_under_a_right_checksum() {
    let cases = [
        ("unknown kind", record(44, 5, 0x12, 0, b"x")),
        ("mark beyond its record", record(44, 5, 0x11, 45, b"x")),
        ("second file header", record(44, 5, 0x33, 0, b"x")),
        ("trailer with a payload", record(44, 5, 0x22, 44, b"x")),
    ];
    for (name, bad) in cases {
        let mut bytes = file_header(1, 5);
        bytes.extend(bad);
        let read = read_log(&memory(&bytes), Path::new("log"), 5, ReadLogOptions::default());
        assert!(matches!(read, Err(Error::Corruption { offset: 44, .. })), "{name}: {read:?}");
    }
    let first = record(0, 5, 0x11, 0, b"no file header");
    let read = read_log(&memory(&first), Path::new("log"), 5, ReadLogOptions::default());
    assert!(matches!(read, Err(Error::Corruption { offset: 0, .. })), "{read:?}");
}

#[test]
fn names_of_logs_are_parsed_and_unknown_ones_refused() {
    for kind in LogKind::ALL {
        assert_eq!(kind.to_string().parse::<LogKind>().unwrap(), kind);
        assert!(kind.is_compiled_in());
    }
    let error = "mmap".parse::<LogKind>().unwrap_err();
    assert!(matches!(&error, Error::UnknownKind { name } if name == "mmap"), "{error}");
}

#[test]
fn salvage_of_many_lying_headers_takes_linear_time() {
    // A header every 24 bytes, each claiming a payload of half the file: quadratic for a reader that tries each.
    let len = 4 << 20;
    let mut bytes = file_header(1, 5);
    while bytes.len() < len {
        let mut lying = record(bytes.len() as u64, 5, 0x11, 0, b"");
        let mut checked = (bytes.len() as u64).to_le_bytes().to_vec();
        checked.extend([0; 4]); // the number's high half
        lying[8..12].copy_from_slice(&(len as u32 / 2).to_le_bytes());
        checked.extend(&lying[4..]);
        lying[0..4].copy_from_slice(&crc32c::crc32c(&checked).to_le_bytes());
        bytes.extend(lying);
    }
    let salvage = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
    let vfs = MemVfs::new();
    drop(vfs.create(Path::new("log"), Default::default()).unwrap());
    vfs.corrupt(Path::new("log"), |file| *file = bytes).unwrap();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let before = vfs.operations();
    let (records, report) = read_log(&shared, Path::new("log"), 5, salvage).unwrap();
    assert_eq!(records.len(), 0);
    assert!(report.dropped.len() < 5, "{}", report.dropped.len());
    assert!(vfs.operations() - before < 40, "{} reads", vfs.operations() - before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_round_trip_through_any_log(
        records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0..4_u8), 0..30),
        mapped in any::<bool>(),
        preallocate_bytes in 0..5000_u64,
        number in any::<u64>(),
    ) {
        let kind = if mapped { LogKind::Mapped } else { LogKind::Buffered };
        let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
        let options = CreateLog { number, preallocate_bytes, recycle: None };
        let mut log = AnyLog::create(kind, &vfs, Path::new("log"), options).unwrap();
        for (record, action) in &records {
            let (left, right) = record.split_at(record.len() / 3);
            log.append(&[left, right]).unwrap();
            match action {
                0 => log.sync().unwrap(),
                1 => log.hand_over().unwrap(),
                _ => {}
            }
        }
        let len = log.close().unwrap();
        let strict = ReadLogOptions { mode: RecoveryMode::RefuseAny, durable_bytes: Some(len), ..Default::default() };
        let (read, report) = read_log(&vfs, Path::new("log"), number, strict).unwrap();
        prop_assert!(read.iter().eq(records.iter().map(|(record, _)| record)));
        prop_assert!(report.clean_close);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        splice_at in 0..250_usize,
        mode in prop_oneof![
            Just(RecoveryMode::DropTornTail), Just(RecoveryMode::RefuseAny), Just(RecoveryMode::Salvage)
        ],
    ) {
        // Behind a beginning that is a log's, so that more than the first check is met.
        let mut file = golden_bytes();
        file.truncate(splice_at);
        file.extend(&bytes);
        let vfs = memory(&file);
        let options = ReadLogOptions { mode, ..ReadLogOptions::default() };
        let read = read_log(&vfs, Path::new("log"), 0x1_0000_002a, options);
        if let Ok((_, report)) = read {
            prop_assert!(report.valid_bytes <= file.len() as u64);
        } else {
            prop_assert!(mode != RecoveryMode::Salvage, "salvage refuses nothing");
        }
        dump(&vfs, Path::new("log")).unwrap();
    }
}
