//! [`dump`]: a log file as text.

use crate::Result;
use crate::judge::examine_header;
use crate::reader::{LogReader, ReadLogOptions, RecoveryMode};
use crate::record::{FILE_HEADER_PAYLOAD_BYTES, FileHeader, HEADER_BYTES, RecordKind};
use crate::window::Window;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::Vfs;

/// How many bytes of a payload are shown.
const PAYLOAD_BYTES_SHOWN: usize = 32;

/// An annotated listing of the log file at `path`: every whole record, what was skipped, how it ends.
///
/// The log's number is taken from the file header. Damaged files are listed as far as they can be.
///
/// # Errors
///
/// Those of reading the file, and [`crate::Error::UnsupportedVersion`].
pub fn dump(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<String> {
    let mut window = Window::new(vfs.open(path)?)?;
    let mut out = format!("{} bytes\n", window.file_bytes());
    let Some(number) = log_number(&mut window)? else {
        out.push_str("no file header: empty, or not a log\n");
        return Ok(out);
    };
    let options = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
    let mut reader = LogReader::open(vfs, path, number, options)?;
    let mut dropped = 0;
    loop {
        let step = reader.step()?;
        for gap in &reader.report().dropped[dropped..] {
            line(&mut out, format_args!("{:>10}  DROPPED {} bytes: {}", gap.offset, gap.bytes, gap.what));
        }
        dropped = reader.report().dropped.len();
        let Some((offset, header)) = step else {
            break;
        };
        line(
            &mut out,
            format_args!(
                "{offset:>10}  {} payload={} crc={:#010x} log={} synced_to={}",
                header.kind.name(),
                header.payload_bytes,
                header.payload_crc,
                header.number_low,
                header.synced_to
            ),
        );
        let payload = reader.payload(offset, &header)?;
        if header.kind.is_file_header() {
            if let Some(first) = FileHeader::decode(payload) {
                line(&mut out, format_args!("            version={} number={}", first.version, first.number));
            }
        } else if header.kind == RecordKind::Data {
            line(&mut out, format_args!("            {}", preview(payload)));
        }
    }
    let report = reader.report();
    let how = if report.clean_close { "closed" } else { "not closed" };
    line(&mut out, format_args!("{:>10}  end of the log, {how}", report.valid_bytes));
    Ok(out)
}

/// The number of the log: what the file header says, be it checked or not.
fn log_number(window: &mut Window) -> Result<Option<u64>> {
    let record = window.read(0, HEADER_BYTES + FILE_HEADER_PAYLOAD_BYTES)?;
    let head = &record[..HEADER_BYTES.min(record.len())];
    let payload = &record[head.len()..];
    if let Some(first) = FileHeader::decode(payload) {
        return Ok(Some(first.number));
    }
    Ok(examine_header(head, 0, 0).ok().map(|header| u64::from(header.number_low)))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn preview(payload: &[u8]) -> String {
    let shown = &payload[..payload.len().min(PAYLOAD_BYTES_SHOWN)];
    let mut text = String::from("|");
    for byte in shown {
        match byte {
            b' '..=b'~' => text.push(*byte as char),
            _ => text.push('.'),
        }
    }
    text.push('|');
    if shown.len() < payload.len() {
        let _ = write!(text, " and {} more", payload.len() - shown.len());
    }
    text
}
