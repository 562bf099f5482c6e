//! A log with damage: nothing is ever silently missing.
//!
//! All cases go through [`Log`], which builds a small log in memory, and [`Log::read`], which reads a damaged copy.

use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{MemVfs, Vfs};
use terrace_wal::testing::{payload, read_log};
use terrace_wal::{
    BufferedLog, CreateLog, Error, LogWriter, MappedLog, ReadLogOptions, RecoveryMode, RecoveryReport, Result,
};

const NUMBER: u64 = 7;
/// Length of the file header, where the first record begins.
const FILE_HEADER: u64 = 44;
const HEADER: u64 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    HandedOver,
    Synced,
    Closed,
}

/// A log file's bytes and what was appended.
#[derive(Debug)]
struct Log {
    bytes: Vec<u8>,
    records: Vec<Vec<u8>>,
    offsets: Vec<u64>,
    len: u64,
}

impl Log {
    /// Two synced records of `sizes`, then the others, not synced apart.
    fn new<L: LogWriter>(sizes: &[usize], preallocate_bytes: u64, end: End) -> Self {
        let vfs = MemVfs::new();
        let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
        let path = Path::new("log");
        let options = CreateLog { number: NUMBER, preallocate_bytes, recycle: None };
        let mut log = L::create(&shared, path, options).unwrap();
        let mut built = Log { bytes: Vec::new(), records: Vec::new(), offsets: Vec::new(), len: 0 };
        for (seed, bytes) in sizes.iter().enumerate() {
            let record = payload(seed as u64, *bytes);
            built.offsets.push(log.append(&[&record]).unwrap());
            built.records.push(record);
            if seed == 1 {
                log.sync().unwrap();
            }
        }
        built.len = log.len_bytes();
        match end {
            End::HandedOver => log.hand_over().unwrap(),
            End::Synced => log.sync().unwrap(),
            End::Closed => built.len = log.close().unwrap(),
        }
        built.bytes = vfs.files()[path].clone();
        built
    }

    fn small(end: End) -> Self {
        Log::new::<BufferedLog>(&[5, 0, 60, 1, 30], 1 << 10, end)
    }

    fn read(&self, options: ReadLogOptions, damage: impl FnOnce(&mut Vec<u8>)) -> Read {
        let mut bytes = self.bytes.clone();
        damage(&mut bytes);
        read(&bytes, NUMBER, options)
    }
}

type Read = Result<(Vec<Vec<u8>>, RecoveryReport)>;

fn read(bytes: &[u8], number: u64, options: ReadLogOptions) -> Read {
    let vfs = MemVfs::new();
    drop(vfs.create(Path::new("log"), Default::default()).unwrap());
    vfs.corrupt(Path::new("log"), |file| *file = bytes.to_vec()).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(vfs);
    read_log(&vfs, Path::new("log"), number, options)
}

fn mode(mode: RecoveryMode) -> ReadLogOptions {
    ReadLogOptions { mode, ..ReadLogOptions::default() }
}

fn lenient() -> ReadLogOptions {
    ReadLogOptions::default()
}

/// The offset that a corruption error names.
fn corruption(read: &Read) -> Option<u64> {
    match read {
        Err(Error::Corruption { path, offset, .. }) => {
            assert_eq!(path, Path::new("log"));
            Some(*offset)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    }
}

/// Where the record begins that byte `at` belongs to.
fn record_of(log: &Log, at: u64) -> u64 {
    let trailer = (log.len - HEADER, log.len);
    let starts = [0].into_iter().chain(log.offsets.iter().copied()).chain([trailer.0]);
    starts.filter(|start| *start <= at).max().unwrap()
}

#[test]
fn one_wrong_byte_is_corruption_by_name_or_loses_nothing() {
    for end in [End::HandedOver, End::Synced, End::Closed] {
        let log = Log::small(end);
        for at in 0..log.bytes.len() {
            for pattern in [0x01, 0x80, 0xff, 0x24] {
                let read = log.read(lenient(), |bytes| bytes[at] ^= pattern);
                let context = format!("{end:?}, byte {at} ^ {pattern:#x}");
                match corruption(&read) {
                    Some(offset) => {
                        let trailer = if end == End::Closed { 0 } else { HEADER };
                        let starts = record_of(&Log { len: log.len + trailer, ..copy(&log) }, at as u64);
                        assert!((at as u64) < log.len, "{context}: {read:?}");
                        assert_eq!(offset, starts, "{context}: {read:?}");
                    }
                    None => {
                        let (records, report) = read.unwrap();
                        assert!(records == log.records, "{context}: lost a record: {report:?}");
                        assert!(at as u64 >= log.len, "{context}: not seen");
                        assert!(
                            report.dropped.iter().any(|gap| gap.offset <= at as u64),
                            "{context}: {report:?}"
                        );
                    }
                }
            }
        }
    }
}

fn copy(log: &Log) -> Log {
    Log { bytes: Vec::new(), records: Vec::new(), offsets: log.offsets.clone(), len: log.len }
}

#[test]
fn one_wrong_byte_loses_at_most_its_record_in_salvage_and_is_reported() {
    let log = Log::small(End::Closed);
    for at in 0..log.bytes.len() {
        let (records, report) = log.read(mode(RecoveryMode::Salvage), |bytes| bytes[at] ^= 0x55).unwrap();
        let hit = record_of(&log, at as u64);
        let expected: Vec<_> = log
            .records
            .iter()
            .zip(&log.offsets)
            .filter(|(_, offset)| **offset != hit)
            .map(|(r, _)| r.clone())
            .collect();
        assert!(records == expected, "byte {at}: {report:?}");
        let next =
            log.offsets.iter().copied().chain([log.len - HEADER, log.len]).find(|next| *next > hit).unwrap();
        assert_eq!(report.dropped.len(), 1, "byte {at}: {report:?}");
        assert_eq!(
            (report.dropped[0].offset, report.dropped[0].bytes),
            (hit, next - hit),
            "byte {at}: {report:?}"
        );
        assert_eq!(report.records, expected.len() as u64);
    }
}

#[test]
fn a_wrong_bit_in_a_long_last_record_is_corruption() {
    // Longer than 64 KiB: any one bit; longer than 2 MiB: dropped as a tail, with a report.
    for (bytes, known) in [(60 << 10, true), (300 << 10, true), (3 << 20, false)] {
        let log = Log::new::<BufferedLog>(&[5, bytes], 0, End::Synced);
        let at = log.bytes.len() - bytes / 2;
        let read = log.read(lenient(), |file| file[at] ^= 0x10);
        match corruption(&read) {
            Some(offset) => assert!(known && offset == log.offsets[1], "{read:?}"),
            None => {
                let (records, report) = read.unwrap();
                assert!(!known && records == log.records[..1], "{report:?}");
                assert_eq!(
                    (report.dropped[0].offset, report.dropped[0].bytes),
                    (log.offsets[1], HEADER + bytes as u64)
                );
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_the_records_before_the_cut() {
    let log = Log::new::<BufferedLog>(&[5, 0, 60, 1, 30], 0, End::HandedOver);
    for len in 0..=log.bytes.len() {
        let (records, report) = log.read(lenient(), |bytes| bytes.truncate(len)).unwrap();
        let whole = log.offsets.iter().zip(&log.records);
        let expected = whole.filter(|(offset, r)| *offset + HEADER + r.len() as u64 <= len as u64).count();
        assert!(records == log.records[..expected], "cut to {len}");
        let dropped: u64 = report.dropped.iter().map(|gap| gap.bytes).sum();
        // A rest of zeros only is unwritten space and nothing to drop.
        let rest = &log.bytes[report.valid_bytes as usize..len];
        let unwritten = rest.iter().all(|byte| *byte == 0);
        assert_eq!(dropped, if unwritten { 0 } else { rest.len() as u64 }, "cut to {len}: {report:?}");
    }
}

#[test]
fn a_file_shorter_than_what_is_known_durable_is_corruption() {
    let log = Log::small(End::Closed);
    let known = ReadLogOptions { durable_bytes: Some(log.len), ..lenient() };
    assert!(log.read(known.clone(), |_| {}).is_ok());
    for len in 0..log.bytes.len() {
        let read = log.read(known.clone(), |bytes| bytes.truncate(len));
        assert!(corruption(&read).is_some(), "cut to {len}: {read:?}");
        let salvage = ReadLogOptions { mode: RecoveryMode::Salvage, ..known.clone() };
        let (_, report) = log.read(salvage, |bytes| bytes.truncate(len)).unwrap();
        let last = report.dropped.last().unwrap();
        assert_eq!(last.offset + last.bytes, log.len, "what is missing is reported: {report:?}");
    }
    // Zeros, as after a lost write, instead of an end.
    for from in 0..log.bytes.len() {
        let read = log.read(known.clone(), |bytes| bytes[from..].fill(0));
        assert!(corruption(&read).is_some(), "zeros from {from}: {read:?}");
    }
}

#[test]
fn zeros_from_anywhere_on_are_a_torn_tail() {
    let log = Log::new::<MappedLog>(&[5, 0, 60, 1, 30], 1 << 10, End::HandedOver);
    for from in 0..log.len {
        let (records, report) = log.read(lenient(), |bytes| bytes[from as usize..].fill(0)).unwrap();
        let whole = log.offsets.iter().zip(&log.records);
        let expected = whole.filter(|(offset, r)| *offset + HEADER + r.len() as u64 <= from).count();
        assert!(records == log.records[..expected], "zeros from {from}: {} records", records.len());
        let valid = report.valid_bytes.min(from) as usize;
        let nothing_lost = log.bytes[valid..from as usize].iter().all(|byte| *byte == 0);
        assert_eq!(report.dropped.is_empty(), nothing_lost, "zeros from {from}: {report:?}");
        let refusing = log.read(mode(RecoveryMode::RefuseAny), |bytes| bytes[from as usize..].fill(0));
        assert_eq!(refusing.is_ok(), nothing_lost, "zeros from {from}, refusing any: {refusing:?}");
    }
}

#[test]
fn a_file_header_with_zeros_at_its_end_loses_no_record() {
    // One flipped bit can do that (the number's only byte becomes zero), and so can a tear, so that it proves nothing; but the header's
    // own checksum says what must have stood there.
    let log = Log::new::<BufferedLog>(&[5, 0, 60], 0, End::HandedOver);
    for from in HEADER..FILE_HEADER {
        let damage = |bytes: &mut Vec<u8>| bytes[from as usize..FILE_HEADER as usize].fill(0);
        let read = log.read(lenient(), damage);
        assert!(matches!(&read, Ok((records, _)) if *records == log.records), "zeros from {from}: {read:?}");
        let refusing = log.read(mode(RecoveryMode::RefuseAny), damage);
        assert!(refusing.is_ok_and(|(records, _)| records == log.records), "zeros from {from}, refusing any");
    }
}

#[test]
fn a_store_that_a_kill_cut_short_is_a_torn_tail() {
    // What `MappedFile::store` leaves then: none of the first eight bytes, any of the others.
    for bytes in [0, 1, 30, 100] {
        let log = Log::new::<MappedLog>(&[5, 0, bytes], 1 << 10, End::HandedOver);
        let (first, end) = (log.offsets[2] as usize, log.len as usize);
        for (from, to) in (first + 8..=end).flat_map(|from| (from..=end).map(move |to| (from, to))) {
            let read = log.read(lenient(), |bytes| {
                bytes[first..first + 8].fill(0);
                bytes[from..to].fill(0);
            });
            let whole = matches!(&read, Ok((records, _)) if *records == log.records[..2]);
            assert!(whole, "{bytes} bytes, zeros from {from} to {to}: {read:?}");
        }
    }
}

#[test]
fn a_header_that_misses_its_first_memory_line_is_torn_and_not_rotten() {
    // A page may go to the disk while it is stored into: then lines of it are old and others new.
    let mut single = 0;
    for bytes in 0..200 {
        let log = Log::new::<MappedLog>(&[5, 0, bytes, 40], 1 << 10, End::HandedOver);
        let first = log.offsets[3] as usize;
        let line = first.next_multiple_of(64);
        if line < first + HEADER as usize {
            let read = log.read(lenient(), |bytes| bytes[first..line].fill(0));
            // All four where nothing but zeros was missed.
            let torn = matches!(&read, Ok((records, _)) if records.starts_with(&log.records[..3]));
            assert!(torn, "the fourth record at {first}: {read:?}");
            single += usize::from(line == first + 1);
        }
    }
    assert!(single > 0, "the case that a change of one byte explains");
}

#[test]
fn a_hole_of_zeros_before_unsynced_records_ends_the_log_there() {
    // Records three and four are not synced. Whichever sector of them did not reach the disk, they are a tail.
    let log = Log::new::<BufferedLog>(&[5, 0, 2000, 100], 1 << 13, End::HandedOver);
    let unsynced = log.offsets[2] as usize;
    let mut seen = 0;
    for sector in (0..log.len as usize).step_by(512).filter(|sector| *sector > unsynced) {
        let end = (sector + 512).min(log.len as usize);
        let (records, report) = log.read(lenient(), |bytes| bytes[sector..end].fill(0)).unwrap();
        assert!(records.len() == 2 || records.len() == 3, "hole at {sector}");
        assert_eq!(report.dropped.len(), 1);
        assert!(corruption(&log.read(mode(RecoveryMode::RefuseAny), |b| b[sector..end].fill(0))).is_some());
        seen += 1;
    }
    assert!(seen > 2);
}

#[test]
fn a_sparse_record_with_a_missing_sector_is_torn_and_not_rotten() {
    // One byte of the missing sector is not zero: a changed byte would explain the checksum too.
    let mut record = vec![0; 4000];
    record[0] = 1;
    record[1500] = 7;
    record[3999] = 9;
    let vfs = MemVfs::new();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let options = CreateLog { number: NUMBER, preallocate_bytes: 1 << 13, recycle: None };
    let mut log = BufferedLog::create(&shared, Path::new("log"), options).unwrap();
    log.append(&[&record]).unwrap();
    log.hand_over().unwrap();
    let mut bytes = vfs.files()[Path::new("log")].clone();
    let at = (FILE_HEADER + HEADER) as usize + 1500;
    bytes[at] = 0;
    let (records, report) = read(&bytes, NUMBER, lenient()).unwrap();
    assert_eq!((records.len(), report.dropped.len()), (0, 1), "{report:?}");
    bytes[at] = 6;
    assert!(corruption(&read(&bytes, NUMBER, lenient())).is_some(), "six is what nobody wrote");
}

#[test]
fn garbage_after_the_end_is_dropped_and_reported() {
    for end in [End::HandedOver, End::Closed] {
        let log = Log::new::<BufferedLog>(&[5, 0, 60], 0, end);
        for garbage in [1, 23, 24, 25, 700] {
            let damage = |bytes: &mut Vec<u8>| bytes.extend(payload(99, garbage));
            let (records, report) = log.read(lenient(), damage).unwrap();
            assert_eq!(records, log.records);
            assert_eq!(report.valid_bytes, log.len);
            assert_eq!(report.dropped.len(), 1);
            assert_eq!((report.dropped[0].offset, report.dropped[0].bytes), (log.len, garbage as u64));
            assert!(corruption(&log.read(mode(RecoveryMode::RefuseAny), damage)).is_some());
        }
        for zeros in [1, 24, 5000] {
            let (records, report) =
                log.read(mode(RecoveryMode::RefuseAny), |b| b.extend(vec![0; zeros])).unwrap();
            assert_eq!((records, report.dropped), (log.records.clone(), vec![]));
        }
    }
}

#[test]
fn an_empty_file_and_zeros_are_an_empty_log() {
    for len in [0, 1, 23, 24, 44, 5000, 3 << 20] {
        for mode_of in [RecoveryMode::DropTornTail, RecoveryMode::RefuseAny, RecoveryMode::Salvage] {
            let (records, report) = read(&vec![0; len], NUMBER, mode(mode_of)).unwrap();
            assert_eq!((records.len(), report.dropped.len(), report.valid_bytes), (0, 0, 0));
            assert!(!report.clean_close);
        }
    }
}

#[test]
fn a_record_beyond_the_caller_s_limit_is_corruption_or_skipped() {
    let log = Log::small(End::Closed);
    let limited = ReadLogOptions { record_bytes_max: 59, ..lenient() };
    assert_eq!(corruption(&log.read(limited.clone(), |_| {})), Some(log.offsets[2]));
    let (records, report) =
        log.read(ReadLogOptions { mode: RecoveryMode::Salvage, ..limited }, |_| {}).unwrap();
    assert_eq!(records.len(), log.records.len() - 1);
    assert_eq!((report.dropped[0].offset, report.dropped[0].bytes), (log.offsets[2], HEADER + 60));
    let exact = ReadLogOptions { record_bytes_max: 60, ..lenient() };
    assert!(log.read(exact, |_| {}).is_ok());
}

#[test]
fn another_log_s_file_is_an_empty_recycled_file_unless_it_is_known_to_be_durable() {
    let log = Log::small(End::Closed);
    let (records, report) = read(&log.bytes, NUMBER + 1, lenient()).unwrap();
    assert_eq!((records.len(), report.recycled, report.dropped.len()), (0, true, 0));
    // The low 32 bits alone do not make it ours.
    for mode_of in [RecoveryMode::DropTornTail, RecoveryMode::Salvage] {
        let (records, report) = read(&log.bytes, NUMBER + (1 << 32), mode(mode_of)).unwrap();
        assert_eq!((records.len(), report.valid_bytes), (0, 0), "{report:?}");
    }
    let known = ReadLogOptions { durable_bytes: Some(log.len), ..lenient() };
    assert_eq!(corruption(&read(&log.bytes, NUMBER + 1, known)), Some(0));
}

#[test]
fn a_copy_of_the_log_inside_a_record_is_never_replayed() {
    let inner = Log::small(End::HandedOver);
    let vfs = MemVfs::new();
    let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let options = CreateLog { number: NUMBER, preallocate_bytes: 0, recycle: None };
    let mut log = BufferedLog::create(&shared, Path::new("log"), options).unwrap();
    let offset = log.append(&[&inner.bytes]).unwrap() as usize;
    log.append(&[b"after"]).unwrap();
    log.hand_over().unwrap();
    let mut bytes = vfs.files()[Path::new("log")].clone();
    // Without its header, the search for the next record goes through the copy.
    bytes[offset..offset + 24].fill(0xee);
    let (records, report) = read(&bytes, NUMBER, mode(RecoveryMode::Salvage)).unwrap();
    assert_eq!((records, report.dropped.len()), (vec![b"after".to_vec()], 1));
}

#[test]
fn a_record_is_found_again_wherever_it_begins() {
    // The search begins one byte after the damaged record's beginning and reads 1 MiB at a time. Headers that stand at
    // that edge, and at the edges of the 256 bytes that are skipped when they are zero.
    let edge = FILE_HEADER as usize + 1 + (1 << 20);
    let near_edge = (edge - 26..edge + 2).map(|next| (next, 0x41));
    let near_zeros = (1000..1000 + 280).map(|next| (next, 0));
    for (next, filler) in near_edge.chain(near_zeros) {
        let vfs = MemVfs::new();
        let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
        let options = CreateLog { number: NUMBER, preallocate_bytes: 0, recycle: None };
        let mut log = BufferedLog::create(&shared, Path::new("log"), options).unwrap();
        let damaged = log.append(&[&vec![filler; next - (FILE_HEADER + HEADER) as usize]]).unwrap() as usize;
        assert_eq!(log.append(&[b"found"]).unwrap(), next as u64);
        log.hand_over().unwrap();
        vfs.corrupt(Path::new("log"), |bytes| bytes[damaged..damaged + 24].fill(0x77)).unwrap();
        let (records, _) = read_log(&shared, Path::new("log"), NUMBER, mode(RecoveryMode::Salvage)).unwrap();
        assert_eq!(records, [b"found"], "a record at {next}");
    }
}

#[test]
fn an_error_stays() {
    let log = Log::small(End::Closed);
    let vfs = MemVfs::new();
    drop(vfs.create(Path::new("log"), Default::default()).unwrap());
    let mut bytes = log.bytes.clone();
    bytes[log.offsets[2] as usize + 30] ^= 4;
    vfs.corrupt(Path::new("log"), |file| *file = bytes).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(vfs);
    let mut reader = terrace_wal::LogReader::open(&vfs, Path::new("log"), NUMBER, lenient()).unwrap();
    assert!(reader.next().unwrap().is_some());
    assert!(reader.next().unwrap().is_some());
    let first = reader.next().unwrap_err().to_string();
    assert!(first.contains(&format!("offset {}", log.offsets[2])), "{first}");
    assert_eq!(reader.next().unwrap_err().to_string(), first);
    assert_eq!(reader.report().records, 2);
}
