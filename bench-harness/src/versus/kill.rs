//! The kill check: whether a store keeps what it acknowledged when its process is killed (SIGKILL), found out rather than believed.
//!
//! The child writes one record after the other and, once the store has returned, sends its number up a pipe. The parent kills it in the
//! middle, and a second child opens what is left and looks up every record that was acknowledged. This tells process-safe from not;
//! that a synced store survives the loss of power it can not tell (but see the column "of raw sync": whoever is faster than the disk does not sync).
#![expect(clippy::print_stdout, reason = "a command line program")]

use crate::cli::options::Options;
use crate::random::Shuffle;
use crate::record::RecordShape;
use crate::store::{Durability, Parts, Store, StoreFactory};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Acknowledged writes before the kill.
const WRITES: u64 = 20_000;
const WRITES_SYNCED: u64 = 300;

/// Records there are at most; the kill comes long before.
const RECORDS: u64 = 400_000;

/// What a store went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survived {
    acknowledged: u64,
}

impl std::fmt::Display for Survived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "killed after {} acknowledged writes, all of them there afterwards", self.acknowledged)
    }
}

/// Kills a store once.
///
/// # Errors
///
/// That it lost writes, or what a child said.
pub(crate) fn check(program: &Path, options: &Options, parts: &Parts) -> Result<Survived, String> {
    let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = parent.join(format!("terrace-bench-kill-{}-{}", std::process::id(), parts.engine));
    make_folder(&dir)?;
    let arguments = options.child_arguments(parts, 0);
    let child = || {
        let mut command = Command::new(program);
        command.args(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    let writer = child().arg("--write-until-killed").arg(&dir).spawn().map_err(|error| error.to_string())?;
    let enough = if options.config.durability == Durability::Synced { WRITES_SYNCED } else { WRITES };
    let acknowledged = kill_after(writer, enough)?;
    let mut counter = child();
    counter.arg("--count-after-kill").arg(&dir).args(["--acknowledged", &acknowledged.to_string()]);
    let output = counter.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let there: u64 = match text.trim().parse() {
        Ok(there) if output.status.success() => there,
        _ => {
            return Err(format!(
                "{}: after a kill: {}",
                parts.engine,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    };
    std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    if acknowledged < enough {
        return Err(format!("{}: its process ended by itself after {acknowledged} writes", parts.engine));
    }
    if there < acknowledged {
        let lost = acknowledged - there;
        return Err(format!(
            "{}: lost {lost} of {acknowledged} acknowledged writes in a kill; it does not belong in a comparison with `{}` writes \
             (--no-kill-check runs it all the same)",
            parts.engine,
            options.config.durability.name()
        ));
    }
    Ok(Survived { acknowledged })
}

/// Reads acknowledgements, kills in their midst, and returns how many there were.
fn kill_after(mut writer: Child, enough: u64) -> Result<u64, String> {
    let mut pipe = writer.stdout.take().ok_or("the child has no standard output")?;
    let mut buffer = [0; 4096];
    let (mut bytes, mut killed) = (0, false);
    loop {
        let read = pipe.read(&mut buffer).map_err(|error| error.to_string())?;
        bytes += read as u64;
        if read == 0 {
            break;
        }
        if bytes >= 8 * enough && !killed {
            writer.kill().map_err(|error| error.to_string())?;
            killed = true;
        }
    }
    writer.wait().map_err(|error| error.to_string())?;
    Ok(bytes / 8)
}

#[expect(clippy::disallowed_methods, reason = "makes the folder in which a database under test lives")]
fn make_folder(dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// The records of a check, in the order in which they are written.
struct Records {
    shape: RecordShape,
    order: Shuffle,
}

impl Records {
    fn new(options: &Options) -> Self {
        let config = &options.config;
        let shape = RecordShape {
            key_bytes: config.key_bytes,
            value_bytes: config.value_bytes,
            mixed_lengths: false,
            compressible: config.compressible,
            seed: config.load_seed,
        };
        Records { shape, order: Shuffle::new(RECORDS.min(shape.records_max()), config.load_seed) }
    }

    fn make(&self, index: u64, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        let rank = self.order.apply(index);
        self.shape.key(rank, false, key);
        self.shape.value(rank, 1, value);
    }
}

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

/// The first child: writes, and says so, until it is killed.
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
    let records = Records::new(options);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut acknowledgements = std::io::stdout().lock();
    for index in 0..records.order.len() {
        records.make(index, &mut key, &mut value);
        store.put(&key, &value, options.config.durability).map_err(|error| error.to_string())?;
        let sent = acknowledgements.write_all(&index.to_le_bytes()).and_then(|()| acknowledgements.flush());
        sent.map_err(|error| error.to_string())?;
    }
    // Nobody reads this pipe's end: waits for the kill, so that nothing is closed in good order.
    let _ = std::io::stdin().read(&mut [0]);
    std::process::abort();
}

/// The second child: prints how many of the acknowledged records are there.
///
/// # Errors
///
/// The store's, as text.
pub(crate) fn count_after_kill(
    options: &Options,
    factories: &[Box<dyn StoreFactory>],
    dir: &Path,
) -> Result<(), String> {
    let store = open(options, factories, dir)?;
    let records = Records::new(options);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut there = 0;
    for index in 0..options.acknowledged {
        records.make(index, &mut key, &mut value);
        let mut same = false;
        store.get(&key, &mut |seen| same = seen == value).map_err(|error| error.to_string())?;
        there += u64::from(same);
    }
    println!("{there}");
    store.close().map_err(|error| error.to_string())
}
