//! A workload, again and again, with one file operation of it failing each time.

use std::sync::{Arc, Mutex, PoisonError};
use terrace_vfs::{Attempt, ChangeKind, CrashFate, Fault, FaultRule, MemVfs, Operation as FileOperation};

use super::combination::MakePicker;
use super::machine::after_crash;
use super::operation::{Crash, Operation};
use super::world::{AfterFailure, Checked, World};
use super::{Counts, Failure, guarded};
use crate::{Error, Options, Parts};

/// What to try.
#[derive(Clone, Debug)]
pub struct FaultSites {
    /// How the database is set up.
    pub options: Options,
    /// What the user does.
    pub workload: Vec<Operation>,
    /// Try every so-many-th file operation.
    pub stride: u64,
    /// The first to try, below `stride`.
    pub first: u64,
    /// Draws the interleaving of background jobs.
    pub seed: u64,
}

/// The ways in which an operation of a kind can fail.
fn faults_of(operation: FileOperation) -> Vec<(&'static str, Fault)> {
    use std::io::ErrorKind::{self, StorageFull};
    let system = |name, kind: ErrorKind| (name, Fault::Error(kind));
    let eio = (EIO.0, Fault::Errno(EIO.1));
    // An implementation of the file system goes on after EINTR by itself; should one not, it is an error like any other.
    let mut faults = vec![eio, system("EINTR", ErrorKind::Interrupted)];
    match operation {
        FileOperation::Append | FileOperation::Store => {
            faults.push(system("ENOSPC", StorageFull));
            faults.push(("a short write", Fault::ShortWrite { bytes: 7, kind: StorageFull }));
        }
        FileOperation::Sync => {
            faults.push(("a sync that loses data", Fault::SyncLosesData));
            faults.push(system("ENOSPC", StorageFull));
        }
        FileOperation::Create | FileOperation::CreateMapped => {
            faults.push(system("ENOSPC", StorageFull));
            faults.push(("EMFILE", Fault::Errno(EMFILE)));
            faults.push(system("EACCES", ErrorKind::PermissionDenied));
        }
        FileOperation::Open => faults.push(("EMFILE", Fault::Errno(EMFILE))),
        FileOperation::Read => faults.push(("a short read", Fault::ShortRead { bytes: 3 })),
        _ => faults.push(system("EROFS", ErrorKind::ReadOnlyFilesystem)),
    }
    faults
}

/// Linux's numbers; elsewhere they are some other error, which serves as well.
const EIO: (&str, i32) = ("EIO", 5);
const EMFILE: i32 = 24;

/// Runs the workload once for each file operation in it and each way in which that can fail, once, there.
///
/// Checked: nothing panics or waits for ever; a call fails only because of the fault; a failed write or sync of the database's own makes it
/// read-only with a cause and is reported by a call, by `failure`, by opening or by closing; what was acknowledged is readable at once, after
/// the process is restarted, and, if synced, after a power cut; the next open leaves nothing in the folder that does not belong there.
///
/// # Errors
///
/// The first fault after which that does not hold, with the workload.
pub fn fault_sites<P: Parts>(check: &FaultSites) -> Result<Counts, Failure> {
    fault_sites_with::<P>(&super::own::<P>(), check)
}

pub(super) fn fault_sites_with<P: Parts>(
    picker: &MakePicker<P>,
    check: &FaultSites,
) -> Result<Counts, Failure> {
    let failed = |site: u64, what: String| Failure {
        run: format!("file operation {site}, seed {}", check.seed),
        what,
        operations: check.workload.clone(),
    };
    let sites = guarded(|| sites::<P>(picker, check)).map_err(|what| failed(u64::MAX, what))?;
    let mut counts = Counts::default();
    for (number, site) in sites.iter().enumerate() {
        let number = number as u64;
        if number % check.stride != check.first % check.stride {
            continue;
        }
        for (name, fault) in faults_of(site.operation) {
            let tried = guarded(|| try_one::<P>(picker, check, number, site, fault));
            let place = format!("{name} on {:?} of {}", site.operation, site.path);
            counts += tried.map_err(|what| failed(number, format!("{place}: {what}")))?;
        }
    }
    Ok(counts)
}

/// A file operation of the workload.
struct Site {
    operation: FileOperation,
    path: String,
    /// Whether its failure must never pass in silence: bytes or names that were to be kept may not be.
    fatal: bool,
}

/// Every file operation of the workload when nothing fails.
fn sites<P: Parts>(picker: &MakePicker<P>, check: &FaultSites) -> Checked<Vec<Site>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (seeing, mem) = (Arc::clone(&seen), MemVfs::new());
    let looked_at = mem.clone();
    let see = move |attempt: &Attempt<'_>| {
        let (operation, path) = (attempt.operation, attempt.path.display().to_string());
        let site = Site { operation, path, fatal: is_fatal(operation, &looked_at) };
        seeing.lock().unwrap_or_else(PoisonError::into_inner).push(site);
    };
    let mut world = start::<P>(picker, check, mem, FaultRule::new(Fault::Call(Arc::new(see))))?;
    for operation in &check.workload {
        world.step(operation)?;
    }
    world.db()?.close().map_err(|error| error.to_string())?;
    drop(world);
    Ok(std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn is_fatal(operation: FileOperation, mem: &MemVfs) -> bool {
    match operation {
        FileOperation::Append | FileOperation::Store | FileOperation::Sync => true,
        FileOperation::SyncDir => {
            // That a removed file comes back costs space and no data.
            let mut named = false;
            drop(mem.crash(|change| {
                named |= matches!(change.kind, ChangeKind::Create | ChangeKind::Rename { .. });
                CrashFate::Keep
            }));
            named
        }
        _ => false,
    }
}

fn start<P: Parts>(
    picker: &MakePicker<P>,
    check: &FaultSites,
    mem: MemVfs,
    rule: FaultRule,
) -> Checked<World<P>> {
    let mut world = World::<P>::on(mem, picker, check.options.clone(), check.seed, AfterFailure::GoOn);
    world.machine.faults.add(rule);
    let opened = world.open();
    world.settle(opened)?;
    Ok(world)
}

fn try_one<P: Parts>(
    picker: &MakePicker<P>,
    check: &FaultSites,
    number: u64,
    site: &Site,
    fault: Fault,
) -> Checked<Counts> {
    let mut world = start::<P>(picker, check, MemVfs::new(), FaultRule::new(fault).nth(number))?;
    let mut reported = world.db.is_none();
    for operation in &check.workload {
        let before = world.db.is_some();
        world.step(operation)?;
        // An open or a close in the middle of the workload that failed has said so.
        reported |= world.has_failed() || (before && world.db.is_none());
    }
    if world.db.is_some() {
        if world.machine.faults.injected() > 0 {
            world.check_readable()?;
            check_cause(&world)?;
        }
        let closed = world.db()?.close();
        reported |= world.settle(closed)?.is_none();
    }
    if world.machine.faults.injected() == 0 {
        return Err("the fault was not met: the run differs from the first".to_owned());
    }
    if !reported && site.fatal {
        return Err("nobody was told".to_owned());
    }
    world.machine.faults.clear();
    world.counts.faults += 1;
    let power_cut = after_crash(&world.machine.mem, Crash::LoseUnsynced);
    let history = world.history().clone();
    let mut counts = world.counts;
    world.crash(Crash::Kill, None)?;
    world.check_folder()?;
    world.finish()?;
    world.counts = Counts::default();
    *world.history() = history;
    world.machine = super::machine::Machine::new(power_cut, &world.machine.clock, check.seed);
    world.crash(Crash::LoseUnsynced, None)?;
    world.finish()?;
    counts.crashes += 2;
    Ok(counts)
}

/// A read-only database refuses writes and names what made it so.
fn check_cause<P: Parts>(world: &World<P>) -> Checked {
    let db = world.db()?;
    let Some(cause) = db.failure() else { return Ok(()) };
    match db.put("k", "v") {
        Err(Error::ReadOnly { cause: said }) if said.to_string() == cause.to_string() => Ok(()),
        other => Err(format!("read-only because of `{cause}`, and a write answered {other:?}")),
    }
}
