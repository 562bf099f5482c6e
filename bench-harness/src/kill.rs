//! Stores whose process is killed (SIGKILL).
//!
//! The child writes one record after the other and, once the store has returned, sends its number up a pipe. The parent kills it. What is
//! left is looked at twice: [`check`] finds out whether all that was acknowledged is there, [`reopen`] how long it takes until it can be read.

pub(crate) mod check;
pub(crate) mod reopen;

use crate::cli::options::Options;
use crate::random::Shuffle;
use crate::record::RecordShape;
use crate::store::{Parts, Store, StoreFactory, StoreResult};
use crate::workload::{BenchError, Config};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The length of an acknowledgement: the record's number.
const ACKNOWLEDGEMENT_BYTES: u64 = 8;

/// The records that a child writes, in the order in which it does.
struct Records {
    shape: RecordShape,
    order: Shuffle,
}

impl Records {
    fn new(config: &Config) -> Self {
        let shape = config.shape();
        Records { shape, order: Shuffle::new(config.records.min(shape.records_max()), config.load_seed) }
    }

    fn len(&self) -> u64 {
        self.order.len()
    }

    fn make(&self, number: u64, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        let rank = self.order.apply(number);
        self.shape.key(rank, false, key);
        self.shape.value(rank, 1, value);
    }

    /// Visits the first `count` of them, until an error.
    fn visit<E>(
        &self,
        count: u64,
        mut visit: impl FnMut(u64, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for number in 0..count {
            self.make(number, &mut key, &mut value);
            visit(number, &key, &value)?;
        }
        Ok(())
    }
}

/// Whether the store has this pair.
fn holds(store: &dyn Store, key: &[u8], value: &[u8]) -> StoreResult<bool> {
    let mut same = false;
    store.get(key, &mut |seen| same = seen == value)?;
    Ok(same)
}

/// Opens the store that a child is told of.
fn open(
    options: &Options,
    factories: &[Box<dyn StoreFactory>],
    dir: &Path,
) -> Result<Box<dyn Store>, String> {
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let chosen = options.selection.choose(&all)?;
    let [index] = chosen[..] else {
        return Err(format!("{} combinations are chosen, not one", chosen.len()));
    };
    factories[index].open(dir, &options.settings).map_err(|error| error.to_string())
}

/// The child: writes, and says so, until it is killed.
///
/// # Errors
///
/// The store's, as text.
pub(crate) fn write_until_killed(
    options: &Options,
    factories: &[Box<dyn StoreFactory>],
    dir: &Path,
) -> Result<(), String> {
    let store = open(options, factories, dir)?;
    let records = Records::new(&options.config);
    let mut acknowledgements = std::io::stdout().lock();
    records.visit(records.len(), |number, key, value| {
        store.put(key, value, options.config.durability).map_err(|error| error.to_string())?;
        let sent = acknowledgements.write_all(&number.to_le_bytes()).and_then(|()| acknowledgements.flush());
        sent.map_err(|error| error.to_string())
    })?;
    // Nobody writes to this pipe: waits for the kill, so that nothing is closed in good order.
    let _ = std::io::stdin().read(&mut [0]);
    std::process::abort();
}

/// The parent: lets a [`child`](crate::runs::child) write to the store in `dir`, kills it once it has acknowledged `enough` writes, and returns how many it has.
fn kill_after(mut child: Command, dir: &Path, enough: u64) -> Result<u64, BenchError> {
    let failed = |error: std::io::Error| BenchError::Child(error.to_string());
    child.arg("--write-until-killed").arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut writer = child.spawn().map_err(failed)?;
    let mut pipe =
        writer.stdout.take().ok_or_else(|| BenchError::Child("it has no standard output".to_owned()))?;
    let mut buffer = [0; 4096];
    let (mut bytes, mut killed) = (0, false);
    loop {
        let read = pipe.read(&mut buffer).map_err(failed)?;
        bytes += read as u64;
        if read == 0 {
            break;
        }
        if bytes >= ACKNOWLEDGEMENT_BYTES * enough && !killed {
            writer.kill().map_err(failed)?;
            killed = true;
        }
    }
    writer.wait().map_err(failed)?;
    let acknowledged = bytes / ACKNOWLEDGEMENT_BYTES;
    if acknowledged < enough {
        return Err(BenchError::Child(format!("it ended by itself after {acknowledged} writes")));
    }
    Ok(acknowledged)
}
