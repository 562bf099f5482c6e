//! The simulated machine: files, time and threads, each the simulated side of its seam.

use std::sync::Arc;
use terrace_vfs::{CrashFate, Fault, FaultRule, FaultVfs, MemVfs, Operation as FileOperation, Vfs};

use super::combination::MakePicker;
use super::operation::{Crash, DiskFault};
use super::random::Random;
use crate::{Clock, Engine, Executor, Options, Parts, Result, SimClock, SimExecutor};

/// The folder of the database.
pub(super) const DIR: &str = "/db";

pub(super) struct Machine {
    pub(super) mem: MemVfs,
    pub(super) faults: FaultVfs,
    pub(super) executor: Arc<SimExecutor>,
    pub(super) clock: Arc<SimClock>,
}

impl Machine {
    pub(super) fn new(mem: MemVfs, clock: &Arc<SimClock>, seed: u64) -> Self {
        let faults = FaultVfs::new(Arc::new(mem.clone()) as Arc<dyn Vfs>);
        let executor = Arc::new(SimExecutor::new(seed, Arc::clone(clock) as Arc<dyn Clock>));
        Machine { mem, faults, executor, clock: Arc::clone(clock) }
    }

    pub(super) fn open<P: Parts>(&self, picker: &MakePicker<P>, options: &Options) -> Result<Engine<P>> {
        Engine::<P>::builder(DIR)
            .options(options.clone())
            .picker(picker(options))
            .vfs(Arc::new(self.faults.clone()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .executor(Arc::clone(&self.executor) as Arc<dyn Executor>)
            .open()
    }

    pub(super) fn break_disk(&self, fault: DiskFault) {
        self.faults.add(match fault {
            DiskFault::Syncs { after } => {
                FaultRule::new(Fault::SyncLosesData).on(FileOperation::Sync).from_nth(after)
            }
            DiskFault::Changes { after } => FaultRule::new(Fault::Error(std::io::ErrorKind::Other))
                .when(|attempt| changes_something(attempt.operation))
                .from_nth(after),
            DiskFault::Read { nth } => {
                FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).on(FileOperation::Read).nth(nth)
            }
        });
    }
}

/// Whether an operation may leave something behind.
pub(super) fn changes_something(operation: FileOperation) -> bool {
    use FileOperation::{Exists, Len, List, Open, Read};
    !matches!(operation, Read | Open | Len | List | Exists)
}

/// The file system that a machine finds which restarts after `how`.
pub(super) fn after_crash(mem: &MemVfs, how: Crash) -> MemVfs {
    match how {
        Crash::Kill => mem.crash_keeping_everything(),
        Crash::LoseUnsynced => mem.crash_losing_everything_unsynced(),
        Crash::Mixed(seed) => {
            let mut random = Random::new(seed);
            mem.crash(|_| match random.below(6) {
                0 | 1 => CrashFate::Lose,
                2 | 3 => CrashFate::Keep,
                4 => CrashFate::Torn(random.below(200) as usize),
                _ => CrashFate::LengthOnly,
            })
        }
    }
}
