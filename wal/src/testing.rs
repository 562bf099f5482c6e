//! The conformance suite for [`LogWriter`]: call [`check_log_writer`] from a test of your own implementation.
//!
//! The suite reads what was written with [`LogReader`], so an implementation that keeps a file must write this crate's
//! record format. One that keeps nothing ([`LogWriter::KEEPS`] is `false`) is held to offsets, lengths and limits only.
//!
//! Cost: some seconds in a debug build, 100 MB of memory, 10 MB of disk.

mod any_bytes;
mod contract;
mod crash;
mod fault;

use crate::{CreateLog, LogReader, LogWriter, ReadLogOptions, RecoveryReport, Result};
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{MemVfs, Vfs};

pub use any_bytes::{LOG_BYTES_NUMBER, check_log_bytes, log_seeds, reseal_log};
pub use contract::check_contract;
pub use crash::check_crashes;
pub use fault::check_faults;

/// Everything: the contract in memory and on the real file system within `dir` (an empty folder), then crashes
/// and faults.
///
/// # Panics
///
/// With the law and the values, at the first that does not hold.
pub fn check_log_writer<L: LogWriter>(real: &Arc<dyn Vfs>, dir: &Path) {
    let memory: Arc<dyn Vfs> = Arc::new(MemVfs::new());
    check_contract::<L>(&memory, Path::new(""));
    check_contract::<L>(real, dir);
    check_crashes::<L>();
    check_faults::<L>();
}

/// A payload of `bytes` bytes that no other `seed` has, without zeros.
#[must_use]
pub fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut payload = Vec::with_capacity(bytes + 8);
    while payload.len() < bytes {
        payload.extend(random.next().to_le_bytes().map(|byte| byte | 0x41));
    }
    payload.truncate(bytes);
    payload
}

/// All records of a log and the report.
///
/// # Errors
///
/// The reader's.
pub fn read_log(
    vfs: &Arc<dyn Vfs>,
    path: &Path,
    number: u64,
    options: ReadLogOptions,
) -> Result<(Vec<Vec<u8>>, RecoveryReport)> {
    let mut reader = LogReader::open(vfs, path, number, options)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record.payload.to_vec());
    }
    Ok((records, reader.report().clone()))
}

/// A small pseudo-random generator (xorshift64*, Vigna 2016), so that the suite needs no other crate.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Spread, since neighbouring seeds give similar first numbers; odd, since zero would stay zero.
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }
}

fn options(number: u64, preallocate_bytes: u64) -> CreateLog {
    CreateLog { number, preallocate_bytes, recycle: None }
}
