//! What the disk takes for a synced write when no database stands before it.
#![expect(clippy::disallowed_methods, reason = "measures the file system itself")]

use crate::meter::{self, Latency};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Writes `count` records of `bytes` one after the other into a file that has its blocks already, syncing the data after each; the file is
/// removed at the end. Best measured just before and after a synced run: a disk's figures drift.
///
/// # Errors
///
/// Those of the file.
pub fn raw_sync(dir: &Path, bytes: usize, count: u64) -> std::io::Result<Latency> {
    let path = dir.join("raw-sync.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let record = vec![0xa5; bytes];
    let zeros = vec![0; 1 << 20];
    let mut left = bytes as u64 * count;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut latency = Latency::default();
    for _ in 0..count {
        let start = meter::now();
        file.write_all(&record)?;
        file.sync_data()?;
        latency.record(start.elapsed());
    }
    drop(file);
    super::os::leave_out(2 * bytes as u64 * count);
    std::fs::remove_file(&path)?;
    Ok(latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_a_latency_and_no_file_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let latency = raw_sync(dir.path(), 100, 20).expect("a file can be written");
        assert_eq!(latency.count(), 20);
        assert_eq!(std::fs::read_dir(dir.path()).expect("the folder can be listed").count(), 0);
    }
}
