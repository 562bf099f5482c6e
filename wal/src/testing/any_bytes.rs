//! Any bytes as a log: what must hold of a reader whatever it is given. The body of the fuzz target `log`.

use crate::record::{HEADER_BYTES, halves, header_crc};
use crate::{Error, LogReader, ReadLogOptions, RecordEncoder, RecoveryMode, RecoveryReport, dump};
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{CreateOptions, MemVfs, Vfs};

/// The number of the log that [`check_log_bytes`] takes its input for.
pub const LOG_BYTES_NUMBER: u64 = 7;

/// Set in the first byte of the input: checksums are put right first, so that what lies behind them is reached.
const RESEAL: u8 = 1;
/// Set in the first byte of the input: all of the file is known to have been durable.
const ALL_DURABLE: u8 = 2;

/// Reads `input` as a log in every mode and holds the answers against each other and against the bytes. The first byte
/// chooses how (its lowest bits: put the checksums right; all of it was durable), the rest is the file of log
/// [`LOG_BYTES_NUMBER`].
///
/// What is checked: every record given stands in the file, whole, behind the very header that the encoder makes for it;
/// records follow each other; what one mode gives another gives too, up to where that stops; an error stays; what is
/// reported as dropped lies behind what was read.
///
/// Cost: a few passes over the input.
///
/// # Panics
///
/// With the property, when it does not hold.
pub fn check_log_bytes(input: &[u8]) {
    let Some((&how, file)) = input.split_first() else { return };
    let mut file = file.to_vec();
    if how & RESEAL != 0 {
        reseal_log(&mut file, LOG_BYTES_NUMBER);
    }
    let vfs = in_memory(&file);
    let durable_bytes = (how & ALL_DURABLE != 0).then_some(file.len() as u64);
    let read = |mode| Reading::of(&vfs, &file, ReadLogOptions { mode, durable_bytes, ..Default::default() });
    let salvage = read(RecoveryMode::Salvage);
    let stock = read(RecoveryMode::DropTornTail);
    let strict = read(RecoveryMode::RefuseAny);
    assert!(salvage.offsets.starts_with(&stock.offsets), "salvage gives less than the stock mode");
    assert!(stock.offsets.starts_with(&strict.offsets), "the strict mode gives what the stock mode does not");
    if strict.error.is_none() {
        assert_eq!(stock.error, None, "the stock mode refuses what the strict one reads");
        assert_eq!(stock.offsets, strict.offsets);
        assert_eq!(strict.report.dropped, []);
    }
    let unsupported = salvage.error.as_ref().is_some_and(|error| error.contains("version"));
    assert!(salvage.error.is_none() || unsupported, "salvage fails: {:?}", salvage.error);
    // A dump takes the log's number from the file itself.
    let text = dump(&vfs, path());
    assert!(matches!(text, Ok(_) | Err(Error::UnsupportedVersion { .. })), "a dump fails: {text:?}");
}

fn path() -> &'static Path {
    Path::new("000007.log")
}

fn in_memory(file: &[u8]) -> Arc<dyn Vfs> {
    let mem = MemVfs::new();
    mem.create(path(), CreateOptions::default())
        .and_then(|mut log| log.append(file))
        .expect("memory takes it");
    Arc::new(mem)
}

struct Reading {
    offsets: Vec<u64>,
    error: Option<String>,
    report: RecoveryReport,
}

impl Reading {
    fn of(vfs: &Arc<dyn Vfs>, file: &[u8], options: ReadLogOptions) -> Self {
        let durable = options.durable_bytes.unwrap_or(0);
        let mut reader = LogReader::open(vfs, path(), LOG_BYTES_NUMBER, options).expect("the file is there");
        let (mut offsets, mut end) = (Vec::new(), 0);
        let error = loop {
            match reader.next() {
                Ok(None) => break None,
                Err(error) => {
                    let text = error.to_string();
                    let again = reader.next().map(|_| ()).expect_err("an error stays");
                    assert_eq!(again.to_string(), text);
                    assert!(!matches!(error, Error::Vfs(_)), "no file operation fails here: {text}");
                    break Some(text);
                }
                Ok(Some(record)) => {
                    assert!(record.offset >= end, "records overlap at {}", record.offset);
                    end = record.offset + (HEADER_BYTES + record.payload.len()) as u64;
                    check_record(file, record.offset as usize, record.payload);
                    offsets.push(record.offset);
                }
            }
        };
        let report = reader.report().clone();
        assert_eq!(report.records, offsets.len() as u64);
        assert!(report.valid_bytes <= file.len() as u64);
        let mut at = 0;
        for dropped in &report.dropped {
            assert!(dropped.offset >= at && dropped.bytes > 0, "{dropped:?} before {at}");
            at = dropped.offset + dropped.bytes;
        }
        assert!(at <= durable.max(file.len() as u64), "more is dropped than there is");
        Reading { offsets, error, report }
    }
}

/// The record stands in the file, and its header is what the encoder makes of what it says.
fn check_record(file: &[u8], offset: usize, payload: &[u8]) {
    let body = offset + HEADER_BYTES;
    assert_eq!(file.get(body..body + payload.len()), Some(payload), "another payload at {offset}");
    let mut mark = [0; 8];
    mark[..7].copy_from_slice(&file[offset + 16..offset + 23]);
    let synced_to = u64::from_le_bytes(mark);
    let encoder = RecordEncoder::new(LOG_BYTES_NUMBER);
    let header = encoder.data_header(offset as u64, synced_to, payload.len(), crc32c::crc32c(payload));
    assert_eq!(file[offset..body], header, "another header at {offset}");
}

/// Puts right the checksums of records that stand back to back from the file's beginning, as far as their lengths
/// lead: what a hostile writer would do, and what lets mutated bytes past the checksums.
pub fn reseal_log(file: &mut [u8], number: u64) {
    let (_, number_high) = halves(number);
    let mut at = 0;
    while let Some(header) = file.get(at..).and_then(|rest| rest.first_chunk::<HEADER_BYTES>()).copied() {
        let mut header = header;
        let payload_bytes = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let body = at + HEADER_BYTES;
        let payload = file.get(body..body.saturating_add(payload_bytes));
        if let Some(payload) = payload {
            header[4..8].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        }
        let crc = header_crc(&header, at as u64, number_high);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        let whole = payload.is_some();
        file[at..body].copy_from_slice(&header);
        if !whole {
            break;
        }
        at = body + payload_bytes;
    }
}

/// Inputs of [`check_log_bytes`] that show it every kind of record: where mutations begin.
#[must_use]
pub fn log_seeds() -> Vec<Vec<u8>> {
    let payloads: [&[u8]; 4] = [b"one", b"", &[0x41; 100], b"four"];
    let mut seeds = Vec::new();
    for (recycled, closed) in [(false, false), (false, true), (true, false)] {
        let encoder = RecordEncoder::new(LOG_BYTES_NUMBER);
        let mut file = encoder.file_header(recycled).to_vec();
        for (index, payload) in payloads.iter().enumerate() {
            let at = file.len() as u64;
            let synced_to = if index % 2 == 0 { 0 } else { at };
            file.extend(encoder.data_header(at, synced_to, payload.len(), crc32c::crc32c(payload)));
            file.extend_from_slice(payload);
        }
        if closed {
            file.extend(encoder.trailer(file.len() as u64));
        } else {
            file.extend([0; 64]);
        }
        for how in [0, RESEAL, ALL_DURABLE] {
            seeds.push([&[how], file.as_slice()].concat());
        }
    }
    seeds
}
