//! The kit that puts a whole engine to the test, for every choice of [`Parts`], stock or your own.
//!
//! A database runs on one thread over simulated files, time and threads, beside a model of what it should hold. Four checks:
//!
//! * [`simulate`]: a history drawn from a seed, with every call of the API, interleaved background jobs, crashes and failing disks. A failure names the
//!   seed and comes with a history cut down to what is needed;
//! * [`metamorphic`]: one history under differing options and parts must be answered alike;
//! * [`crash_points`]: a workload, and at every file operation in it the machine crashes, in several ways;
//! * [`fault_sites`]: the same workload with each file operation failing once, in each way that applies.
//!
//! (`check_*_bytes` are of another kind: what must hold of the decoders whatever bytes they are given, the bodies of the fuzz targets. Not an
//! interface to build on.)
//!
//! All follow from their arguments alone: the same arguments give the same run on every machine. They cost nothing to set up:
//!
//! ```
//! # #[cfg(feature = "preset")]
//! # fn main() {
//! let counts = terrace::testing::simulate::<terrace::DefaultParts>(7, 200).unwrap();
//! assert_eq!(counts.operations, 202);
//! # }
//! # #[cfg(not(feature = "preset"))]
//! # fn main() {}
//! ```

mod bytes;
mod combination;
mod crash_points;
mod fault_sites;
mod generate;
mod machine;
mod minimise;
mod model;
mod operation;
mod random;
mod user;
mod world;

use std::any::Any;
use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use bytes::{
    check_batch_bytes, check_current_bytes, check_edits_bytes, check_folder_bytes, check_manifest_bytes,
    seeds,
};
pub use combination::{Combination, SwapParts, combinations};
pub use crash_points::{CrashPoints, crash_points};
pub use fault_sites::{FaultSites, fault_sites};
pub use generate::{history, journey, journey_options, options};
pub use minimise::minimise;
pub use operation::{Change, Crash, DiskFault, KEYSPACES, Operation, key_bytes, value_bytes};

use crate::{Options, Parts};
use combination::MakePicker;
use world::{AfterFailure, Checked, World};

/// How much a check has tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Operations done.
    pub operations: u64,
    /// Writes among them.
    pub writes: u64,
    /// Times the database was closed and opened.
    pub reopens: u64,
    /// Crashes, those in the middle of recovery included.
    pub crashes: u64,
    /// Crashes in the middle of recovery.
    pub crashes_in_recovery: u64,
    /// File operations before which a crash was tried.
    pub crash_points: u64,
    /// Faults that the disk made, each in a run of its own.
    pub faults: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.operations += other.operations;
        self.writes += other.writes;
        self.reopens += other.reopens;
        self.crashes += other.crashes;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.crash_points += other.crash_points;
        self.faults += other.faults;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { operations, writes, reopens, crashes, crashes_in_recovery, crash_points, faults } = self;
        write!(f, "{operations} operations ({writes} writes, {reopens} reopens), {crashes} crashes")?;
        write!(f, " ({crashes_in_recovery} in recovery)")?;
        match (crash_points, faults) {
            (0, 0) => Ok(()),
            (points, 0) => write!(f, " at {points} crash points"),
            (0, faults) => write!(f, ", {faults} faults"),
            (points, faults) => write!(f, " at {points} crash points, {faults} faults"),
        }
    }
}

/// A check that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The parts, the seed, the operation or whatever else repeats it.
    pub run: String,
    /// What is wrong.
    pub what: String,
    /// Operations that show it.
    pub operations: Vec<Operation>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.run, self.what)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "    {operation}"))
    }
}

impl std::error::Error for Failure {}

/// Runs `check`; a panic in it is a failure like any other.
fn guarded<T>(check: impl FnOnce() -> Checked<T>) -> Checked<T> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| Err(panic_text(&*panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_default())
}

/// What a run ends with.
struct Ran {
    counts: Counts,
    fingerprint: u64,
    answers: u64,
}

fn run<P: Parts>(
    picker: &MakePicker<P>,
    options: &Options,
    seed: u64,
    operations: &[Operation],
) -> Checked<Ran> {
    guarded(|| {
        let mut world = World::<P>::new(picker, options.clone(), seed, AfterFailure::Restart)?;
        for (number, operation) in operations.iter().enumerate() {
            let done = world.step(operation);
            done.map_err(|what| format!("operation {number}, {operation}: {what}"))?;
        }
        world.finish()?;
        Ok(Ran { counts: world.counts, fingerprint: world.fingerprint(), answers: world.answers() })
    })
}

/// Runs a history under options: what it tried, or what is wrong.
///
/// # Errors
///
/// What the database did that the model forbids, with the operations as they are.
pub fn replay<P: Parts>(options: &Options, seed: u64, operations: &[Operation]) -> Result<Counts, Failure> {
    replay_with::<P>(&own::<P>(), options, seed, operations)
}

/// The policy that the parts come with.
fn own<P: Parts>() -> MakePicker<P> {
    std::sync::Arc::new(P::picker)
}

fn replay_with<P: Parts>(
    picker: &MakePicker<P>,
    options: &Options,
    seed: u64,
    operations: &[Operation],
) -> Result<Counts, Failure> {
    run::<P>(picker, options, seed, operations).map(|ran| ran.counts).map_err(|what| Failure {
        run: format!("seed {seed}"),
        what,
        operations: operations.to_vec(),
    })
}

/// Runs the history of a seed, `len` operations long, under the options of the seed.
///
/// # Errors
///
/// What the database did that the model forbids, with the operations cut down to those that are needed to show it.
pub fn simulate<P: Parts>(seed: u64, len: usize) -> Result<Counts, Failure> {
    simulate_with::<P>(&own::<P>(), seed, len)
}

fn simulate_with<P: Parts>(picker: &MakePicker<P>, seed: u64, len: usize) -> Result<Counts, Failure> {
    let options = options(seed);
    replay_with::<P>(picker, &options, seed, &history(seed, len)).map_err(|failure| {
        let fails = |fewer: &[Operation]| run::<P>(picker, &options, seed, fewer).is_err();
        let operations = minimise(&failure.operations, fails);
        let what = run::<P>(picker, &options, seed, &operations).err().unwrap_or(failure.what);
        Failure { run: format!("seed {seed}, {options:?}"), what, operations }
    })
}

/// A number that stands for everything that happened in the history of a seed: two runs must give the same.
///
/// # Errors
///
/// As [`simulate`], not cut down.
pub fn fingerprint<P: Parts>(seed: u64, len: usize) -> Result<u64, Failure> {
    fingerprint_with::<P>(&own::<P>(), seed, len)
}

fn fingerprint_with<P: Parts>(picker: &MakePicker<P>, seed: u64, len: usize) -> Result<u64, Failure> {
    let operations = history(seed, len);
    run::<P>(picker, &options(seed), seed, &operations).map(|ran| ran.fingerprint).map_err(|what| Failure {
        run: format!("seed {seed}"),
        what,
        operations,
    })
}

/// A number that stands for all answers to the reads in the history of a seed without its accidents (faults and crashes), under options that
/// follow from `options_seed`. It must be the same for all options and parts.
///
/// # Errors
///
/// As [`simulate`], not cut down.
pub fn metamorphic<P: Parts>(seed: u64, len: usize, options_seed: u64) -> Result<u64, Failure> {
    metamorphic_with::<P>(&own::<P>(), seed, len, options_seed)
}

fn metamorphic_with<P: Parts>(
    picker: &MakePicker<P>,
    seed: u64,
    len: usize,
    options_seed: u64,
) -> Result<u64, Failure> {
    let mut operations = history(seed, len);
    operations.retain(|operation| !operation.is_accident());
    for operation in &mut operations {
        match operation {
            // Options are what differs here, and without a log nothing can be synced.
            Operation::Reopen { options, .. } => *options = None,
            Operation::Write { durability, .. } => *durability = crate::Durability::PageCache,
            _ => {}
        }
    }
    run::<P>(picker, &options(options_seed), seed, &operations).map(|ran| ran.answers).map_err(|what| {
        Failure { run: format!("seed {seed} under the options of {options_seed}"), what, operations }
    })
}
