//! The bytes of traces: round trips, every cut, every flipped bit, any bytes, and a golden file.

use proptest::prelude::*;
use terrace_trace::{Error, Facts, Header, Operation, Record, Report, Sampling, TraceReader, TraceWriter};

const END: Facts = Facts { entries: 9, raw_bytes: 1_000, file_bytes: 1_200 };

fn header() -> Header {
    Header {
        hash_seed: 0x5eed,
        sampling: Sampling::of_rate(0.25),
        start_unix_micros: 1_700_000_000_000_000,
        facts: Facts { entries: 3, raw_bytes: 300, file_bytes: 400 },
    }
}

/// One record of each kind, and again with the greatest and the least numbers.
fn some_records() -> Vec<Record> {
    let kinds = |value| {
        [
            Operation::Get { value_bytes: value },
            Operation::GetAbsent,
            Operation::Put { value_bytes: value },
            Operation::Delete,
            Operation::Scan { steps: value },
        ]
    };
    let record = |n: u64, operation| Record {
        at_micros: 1_000 + n * 37,
        operation,
        key_hash: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        place: (1 << 63) - n * 12_345,
        key_bytes: 16,
    };
    let mut records: Vec<_> = (0..).zip(kinds(100)).map(|(n, operation)| record(n, operation)).collect();
    let extremes = [(0, 0), (u64::MAX, u32::MAX), (0, u32::MAX), (u64::MAX, 0)];
    records.extend(extremes.iter().zip(kinds(u32::MAX)).map(|((long, short), operation)| Record {
        at_micros: *long,
        operation,
        key_hash: *long,
        place: *long,
        key_bytes: *short,
    }));
    records
}

fn write(records: &[Record], per_block: usize) -> Vec<u8> {
    let mut writer = TraceWriter::new(&header());
    for block in records.chunks(per_block) {
        block.iter().for_each(|record| writer.add(record));
        writer.end_block();
    }
    writer.add_dropped(5);
    writer.finish(END)
}

fn read(bytes: &[u8]) -> Result<(Vec<Record>, Report), Error> {
    let mut reader = TraceReader::new(bytes)?;
    let records = reader.by_ref().collect::<Result<_, _>>()?;
    Ok((records, reader.report()))
}

#[test]
fn what_is_read_is_what_was_written() {
    let records = some_records();
    let bytes = write(&records, 4);
    let (found, report) = read(&bytes).expect("it is whole");
    assert_eq!(found, records);
    let expected = Report { records: records.len() as u64, dropped: 5, torn_bytes: 0, ended: Some(END) };
    assert_eq!(report, expected);
    assert_eq!(*TraceReader::new(bytes.as_slice()).expect("it is whole").header(), header());
}

#[test]
fn long_traces_go_in_pieces_that_can_be_stored_one_by_one() {
    let mut writer = TraceWriter::new(&header());
    let (mut file, mut pieces) = (Vec::new(), 0);
    let records: Vec<_> = some_records().into_iter().cycle().take(30_000).collect();
    for record in &records {
        writer.add(record);
        let ready = writer.take_ready();
        pieces += u32::from(!ready.is_empty());
        file.extend(ready);
    }
    file.extend(writer.finish(END));
    assert!(pieces > 5, "{pieces}");
    assert_eq!(read(&file).expect("it is whole").0, records);
}

#[test]
fn a_cut_anywhere_leaves_the_whole_blocks_before_it_and_says_what_is_missing() {
    let records = some_records();
    let bytes = write(&records, 2);
    let mut whole_before = 0;
    for cut in 64..bytes.len() {
        let (found, report) = read(&bytes[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(found, records[..found.len()], "cut at {cut}");
        assert_eq!(report.ended, None, "cut at {cut}");
        assert!(found.len() >= whole_before && found.len() % 2 == 0 || found.len() == records.len());
        // As a power cut may leave it: the length is there, the bytes are not.
        let at_a_boundary = report.torn_bytes == 0;
        if at_a_boundary {
            let mut zeroed = bytes[..cut].to_vec();
            zeroed.resize(cut + 5_000, 0);
            let (again, report) = read(&zeroed).expect("zeros are a torn tail");
            assert_eq!((again.len(), report.torn_bytes), (found.len(), 5_000));
        }
        whole_before = found.len();
    }
    assert_eq!(whole_before, records.len());
    assert!((0..64).all(|cut| matches!(read(&bytes[..cut]), Err(Error::NotATrace))));
}

#[test]
fn every_flipped_bit_is_an_error_that_names_the_place() {
    let records = some_records();
    let bytes = write(&records, 2);
    for byte in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            match read(&flipped) {
                Err(Error::Damaged { offset, .. }) => {
                    assert!(offset <= byte as u64, "{byte}.{bit}: {offset}")
                }
                Err(Error::NotATrace) => assert!(byte < 8),
                other => panic!("bit {bit} of byte {byte}: {other:?}"),
            }
        }
    }
}

#[test]
fn blocks_that_are_missing_or_swapped_are_found() {
    let records = some_records();
    let bytes = write(&records, 3);
    let len = |at: usize| 16 + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let (first, second) = (64, 64 + len(64));
    let third = second + len(second);
    let without = [&bytes[..first], &bytes[second..]].concat();
    let swapped = [&bytes[..first], &bytes[second..third], &bytes[first..second], &bytes[third..]].concat();
    let beyond = [&bytes[..], &bytes[first..second]].concat();
    for broken in [without, swapped, beyond] {
        assert!(matches!(read(&broken), Err(Error::Damaged { .. })));
    }
}

#[test]
fn a_version_from_later_is_refused_by_name() {
    let mut bytes = write(&some_records(), 3);
    bytes[8] = 2;
    let sum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    assert!(matches!(read(&bytes), Err(Error::Unsupported { what: "version", found: 2 })));
}

/// To be made anew (with the version gone up) by writing the bytes of `write(&some_records(), 4)` to the file.
#[test]
fn the_format_is_that_of_the_golden_file() {
    let golden = include_bytes!("golden/v1.trace");
    assert_eq!(read(golden).expect("it is whole").0, some_records());
    assert!(write(&some_records(), 4) == golden, "the writer makes other bytes than version 1 has");
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(tail in proptest::collection::vec(any::<u8>(), 0..400), whole in 0..3_usize) {
        // Behind nothing, behind a header, and behind a block, of which the last bytes give way.
        let bytes = write(&some_records(), 4);
        let kept = [0, 64, 90][whole];
        let _ = read(&[&bytes[..kept], &tail].concat());
    }

    #[test]
    fn any_payload_under_a_good_checksum_is_read_to_an_end(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = write(&[], 1)[..64].to_vec();
        let mut head = Vec::new();
        for word in [payload.len() as u32, 0, crc32c::crc32c(&payload)] {
            head.extend(word.to_le_bytes());
        }
        let sum = crc32c::crc32c(&head);
        bytes.extend(head);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(&payload);
        if let Ok((records, _)) = read(&bytes) {
            prop_assert!(records.len() <= payload.len());
        }
    }
}
