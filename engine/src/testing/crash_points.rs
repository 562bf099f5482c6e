//! A workload, and at every file operation in it a crash: in several ways, followed by recovery, which is itself cut short.

use std::sync::{Arc, Mutex, PoisonError};
use terrace_vfs::{Attempt, CrashFate, Fault, FaultRule, MemVfs};

use super::combination::MakePicker;
use super::machine::{Machine, changes_something};
use super::model::History;
use super::operation::Operation;
use super::random::Random;
use super::world::{AfterFailure, Checked, World};
use super::{Counts, Failure, guarded};
use crate::{Durability, Options, Parts};

/// What to try.
#[derive(Clone, Debug)]
pub struct CrashPoints {
    /// How the database is set up.
    pub options: Options,
    /// What the user does.
    pub workload: Vec<Operation>,
    /// Mixed crashes (each change kept, lost or torn) at each point, beside the death of the process and the loss of all that was not synced.
    pub mixed_per_point: u64,
    /// Try every combination of kept, lost and torn changes at points where at most so many changes are not durable.
    pub every_combination_up_to: usize,
    /// At each point, cut recovery short at so many different file operations; each point begins where the last one stopped. With `u64::MAX`,
    /// at every one.
    pub recoveries_per_point: u64,
    /// Look at every so-many-th point.
    pub stride: u64,
    /// Draws the mixed crashes and the interleaving of background jobs.
    pub seed: u64,
}

struct Observer<P: Parts> {
    check: CrashPoints,
    history: Arc<Mutex<History>>,
    mem: MemVfs,
    findings: Mutex<Findings>,
    picker: MakePicker<P>,
}

#[derive(Default)]
struct Findings {
    points: u64,
    counts: Counts,
    next_recovery_cut: u64,
    failure: Option<String>,
}

/// Runs the workload once, crashing at every file operation that changes something.
///
/// Checked after each recovery: every acknowledged write that the kind of crash must leave is there; each batch is whole or absent; the state is
/// that after a prefix of the commit order; nothing removed is back; nothing is left in the folder that does not belong there; and the database
/// goes on: it takes a synced write, closes and opens with it.
///
/// # Errors
///
/// The first crash that is not recovered from as promised, with the workload.
pub fn crash_points<P: Parts>(check: &CrashPoints) -> Result<Counts, Failure> {
    crash_points_with::<P>(&super::own::<P>(), check)
}

pub(super) fn crash_points_with<P: Parts>(
    picker: &MakePicker<P>,
    check: &CrashPoints,
) -> Result<Counts, Failure> {
    let mut point = 0;
    let ran = guarded(|| {
        let mem = MemVfs::new();
        let options = check.options.clone();
        let mut world = World::<P>::on(mem.clone(), picker, options, check.seed, AfterFailure::GoOn);
        let observer = Arc::new(Observer::<P> {
            check: check.clone(),
            history: Arc::clone(&world.history),
            mem,
            findings: Mutex::default(),
            picker: Arc::clone(picker),
        });
        let looking = Arc::clone(&observer);
        let look = move |attempt: &Attempt<'_>| looking.look(attempt);
        let rule = FaultRule::new(Fault::Call(Arc::new(look)));
        world.machine.faults.add(rule.when(|attempt| changes_something(attempt.operation)));
        world.open().map_err(|error| format!("a new database does not open: {error}"))?;
        for operation in &check.workload {
            let done = world.step(operation);
            let findings = observer.findings.lock().unwrap_or_else(PoisonError::into_inner);
            point = findings.points;
            if let Some(failure) = &findings.failure {
                return Err(format!("while {operation}: {failure}"));
            }
            drop(findings);
            done.map_err(|what| format!("{operation}, without a crash: {what}"))?;
        }
        world.finish()?;
        let mut counts = world.counts;
        counts += observer.findings.lock().unwrap_or_else(PoisonError::into_inner).counts;
        Ok(counts)
    });
    ran.map_err(|what| Failure {
        run: format!("crash point {point}, seed {}", check.seed),
        what,
        operations: check.workload.clone(),
    })
}

impl<P: Parts> Observer<P> {
    /// Called before each operation that changes something.
    fn look(&self, attempt: &Attempt<'_>) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let point = findings.points;
        findings.points += 1;
        if findings.failure.is_some() || !point.is_multiple_of(self.check.stride) {
            return;
        }
        findings.counts.crash_points += 1;
        // Caught here: a panic must not be taken for one of the engine's own jobs.
        let tried = guarded(|| self.try_all(point, &mut findings));
        if let Err(what) = tried {
            let place = format!("before {:?} of {}", attempt.operation, attempt.path.display());
            findings.failure = Some(format!("{place}: {what}"));
        }
    }

    fn try_all(&self, point: u64, findings: &mut Findings) -> Checked {
        self.try_one("a kill", &self.mem.crash_keeping_everything(), true, findings)?;
        self.try_one("losing all", &self.mem.crash_losing_everything_unsynced(), false, findings)?;
        let mut random = Random::new(self.check.seed ^ point.wrapping_mul(0x9e37_79b9));
        for _ in 0..self.check.mixed_per_point {
            let found = self.mem.crash(|change| fate(&mut random, change));
            self.try_one("a mixed crash", &found, false, findings)?;
        }
        if self.mem.pending_changes() <= self.check.every_combination_up_to {
            for found in self.mem.crashes() {
                self.try_one("a combination", &found, false, findings)?;
            }
        }
        Ok(())
    }

    /// Recovers from a crash; and, before that, from crashes while recovering.
    fn try_one(&self, how: &str, found: &MemVfs, process_only: bool, findings: &mut Findings) -> Checked {
        let wrap = |what: String| format!("{how}: {what}");
        let operations = self.recover(&found.crash_keeping_everything(), process_only).map_err(wrap)?;
        findings.counts.crashes += 1;
        let cuts = self.check.recoveries_per_point.min(operations);
        for _ in 0..cuts {
            let cut = findings.next_recovery_cut % operations;
            findings.next_recovery_cut = findings.next_recovery_cut.wrapping_add(1);
            let wrap = |what: String| format!("{how}, again at operation {cut} of recovery: {what}");
            for (lose, left) in
                [(false, self.cut_recovery(found, cut, false)), (true, self.cut_recovery(found, cut, true))]
            {
                self.recover(&left, process_only && !lose).map_err(wrap)?;
                findings.counts.crashes += 1;
                findings.counts.crashes_in_recovery += 1;
            }
        }
        Ok(())
    }

    /// What a second crash leaves, after so many file operations of recovery.
    fn cut_recovery(&self, found: &MemVfs, cut: u64, lose: bool) -> MemVfs {
        let machine = self.machine(found.crash_keeping_everything());
        machine.faults.add(FaultRule::new(Fault::Error(std::io::ErrorKind::Other)).from_nth(cut));
        drop(machine.open::<P>(&self.picker, &self.check.options));
        match lose {
            true => machine.mem.crash_losing_everything_unsynced(),
            false => machine.mem.crash_keeping_everything(),
        }
    }

    fn machine(&self, mem: MemVfs) -> Machine {
        Machine::new(mem, &Arc::new(crate::SimClock::new()), self.check.seed)
    }

    /// Opens, checks and uses the database; how many file operations opening took.
    fn recover(&self, found: &MemVfs, process_only: bool) -> Checked<u64> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let options = self.check.options.clone();
        let mut world =
            World::<P>::on(found.clone(), &self.picker, options, self.check.seed, AfterFailure::GoOn);
        world.history = Arc::new(Mutex::new(history));
        world.open().map_err(|error| format!("no recovery: {error}"))?;
        let operations = world.machine.faults.operations();
        world.check_recovered(process_only)?;
        world.check_folder()?;
        let changes = vec![(0, (0, b"after".to_vec(), Some(b"the crash".to_vec())))];
        world.write(changes, Durability::PageCache, true)?;
        world.finish()?;
        Ok(operations)
    }
}

fn fate(random: &mut Random, change: &terrace_vfs::PendingChange<'_>) -> CrashFate {
    let len = match change.kind {
        terrace_vfs::ChangeKind::Write { len, .. } => len as u64,
        _ => 0,
    };
    match random.below(7) {
        0 | 1 => CrashFate::Lose,
        2 | 3 => CrashFate::Keep,
        4 => CrashFate::Torn(random.below(len + 1) as usize),
        5 => {
            // Sectors in any order.
            let start = random.below(len + 1) / 512 * 512;
            CrashFate::TornRange { start: start as usize, end: (start + 512).min(len) as usize }
        }
        _ => CrashFate::LengthOnly,
    }
}
