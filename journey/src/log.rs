//! The log of the second step, for those after it: a record is a key's length, the key, and the value.

use std::path::PathBuf;
use terrace_wal::{BufferedLog, CreateLog, LogReader, LogWriter, RECORD_HEADER_BYTES, ReadLogOptions};

use crate::{Disk, Outcome};

/// Bytes of a record before its key.
pub const BEFORE_KEY_BYTES: usize = RECORD_HEADER_BYTES + 4;

/// The path of a log.
#[must_use]
pub fn log_path(disk: &Disk, number: u64) -> PathBuf {
    disk.path(&format!("{number:06}.log"))
}

/// Begins a log in the place of whatever is there.
///
/// # Errors
///
/// The system's.
pub fn create_log(disk: &Disk, number: u64) -> Outcome<BufferedLog> {
    let (vfs, path) = (disk.vfs(), log_path(disk, number));
    if vfs.exists(&path)? {
        vfs.remove(&path)?;
    }
    Ok(BufferedLog::create(&vfs, &path, CreateLog { number, preallocate_bytes: 0, recycle: None })?)
}

/// Writes a pair; returns where its record begins. Once this returns, the pair survives the death of the process.
///
/// # Errors
///
/// The system's.
pub fn append_pair(log: &mut BufferedLog, key: &[u8], value: &[u8]) -> Outcome<u64> {
    let offset = log.append(&[&(key.len() as u32).to_le_bytes(), key, value])?;
    log.hand_over()?;
    Ok(offset)
}

/// Reads a log from its beginning to its end, and gives each pair, with the place of its record, to `each`.
///
/// # Errors
///
/// The system's, damage, and those of `each`.
pub fn read_pairs(disk: &Disk, number: u64, mut each: impl FnMut(u64, &[u8], &[u8]) -> Outcome) -> Outcome {
    let mut log = LogReader::open(&disk.vfs(), &log_path(disk, number), number, ReadLogOptions::default())?;
    while let Some(record) = log.next()? {
        let (key_len, pair) = record.payload.split_first_chunk().ok_or("a record without a length")?;
        let (key, value) = pair.split_at_checked(u32::from_le_bytes(*key_len) as usize).ok_or("a cut key")?;
        each(record.offset, key, value)?;
    }
    Ok(())
}
