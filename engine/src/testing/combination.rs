//! The stock parts in every combination, as values: for checks and tables that go over all of them.
//!
//! Memtables are types, each with an engine compiled for it; policies are values in a box, so that there are not as many engines as pairs.

use std::fmt;
use std::sync::Arc;
use terrace_compaction::stock;
use terrace_memtable::MemTable;

use super::crash_points::{CrashPoints, crash_points_with};
use super::fault_sites::{FaultSites, fault_sites_with};
use super::{Counts, Failure};
use crate::{Options, Parts};

/// Makes the policy of a database from its options.
pub(super) type MakePicker<P> = Arc<dyn Fn(&Options) -> <P as Parts>::Picker + Send + Sync>;

/// The stock parts but for the memtable and the policy, which is any that fits into a box; leveled if none is given.
pub type SwapParts<M> = crate::AnyPolicy<M>;

/// A policy and its name.
type Policy = (&'static str, stock::Make);

/// A window of time in a simulation: shorter than the steps that its clock makes, so that windows pass.
const WINDOW_SECONDS: u64 = 2;

/// The sizes that the options ask for. No bound for what is kept: the model forgets nothing.
fn sizes(options: &Options) -> stock::Sizes {
    stock::Sizes {
        memtable_bytes: options.memtable_bytes as u64,
        table_bytes: options.table_bytes,
        turnover_seconds: 20 * WINDOW_SECONDS,
        ..stock::Sizes::default()
    }
}

type SimulateFn = fn(Policy, u64, usize) -> Result<Counts, Failure>;
type NumberFn = fn(Policy, u64, usize, u64) -> Result<u64, Failure>;

/// The checks of this module for one memtable, with the policy as a value.
#[derive(Clone, Copy)]
struct Checks {
    simulate: SimulateFn,
    metamorphic: NumberFn,
    fingerprint: NumberFn,
    crash_points: fn(Policy, &CrashPoints) -> Result<Counts, Failure>,
    fault_sites: fn(Policy, &FaultSites) -> Result<Counts, Failure>,
}

#[cfg(feature = "preset")]
impl Checks {
    fn of<M: MemTable + 'static>() -> Self {
        fn make<M: MemTable + 'static>((_, make): Policy) -> MakePicker<SwapParts<M>> {
            Arc::new(move |options| make(&sizes(options)))
        }
        Checks {
            simulate: |policy, seed, len| super::simulate_with::<SwapParts<M>>(&make::<M>(policy), seed, len),
            metamorphic: |policy, seed, len, options| {
                super::metamorphic_with::<SwapParts<M>>(&make::<M>(policy), seed, len, options)
            },
            fingerprint: |policy, seed, len, _| {
                super::fingerprint_with::<SwapParts<M>>(&make::<M>(policy), seed, len)
            },
            crash_points: |policy, check| crash_points_with::<SwapParts<M>>(&make::<M>(policy), check),
            fault_sites: |policy, check| fault_sites_with::<SwapParts<M>>(&make::<M>(policy), check),
        }
    }
}

/// The checks of this module for one choice of parts.
#[derive(Clone, Copy)]
pub struct Combination {
    memtable: &'static str,
    policy: Policy,
    checks: Checks,
}

/// `memtable x policy`.
impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.memtable, self.policy.0)
    }
}

impl fmt::Debug for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Combination({self})")
    }
}

impl Combination {
    /// The name of its memtable.
    #[must_use]
    pub fn memtable(&self) -> &'static str {
        self.memtable
    }

    /// The name of its policy.
    #[must_use]
    pub fn policy(&self) -> &'static str {
        self.policy.0
    }

    /// [`super::simulate`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn simulate(&self, seed: u64, len: usize) -> Result<Counts, Failure> {
        (self.checks.simulate)(self.policy, seed, len)
    }

    /// [`super::metamorphic`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn metamorphic(&self, seed: u64, len: usize, options_seed: u64) -> Result<u64, Failure> {
        (self.checks.metamorphic)(self.policy, seed, len, options_seed)
    }

    /// [`super::fingerprint`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fingerprint(&self, seed: u64, len: usize) -> Result<u64, Failure> {
        (self.checks.fingerprint)(self.policy, seed, len, 0)
    }

    /// [`super::crash_points`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn crash_points(&self, check: &CrashPoints) -> Result<Counts, Failure> {
        (self.checks.crash_points)(self.policy, check)
    }

    /// [`super::fault_sites`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fault_sites(&self, check: &FaultSites) -> Result<Counts, Failure> {
        (self.checks.fault_sites)(self.policy, check)
    }
}

/// Every combination of the stock memtables and policies that are compiled in. The first few have each policy once, with memtables that take turns.
#[must_use]
pub fn combinations() -> Vec<Combination> {
    let memtables: Vec<(&'static str, Checks)> = vec![
        #[cfg(feature = "preset")]
        ("btree", Checks::of::<terrace_memtable::BTreeMemTable>()),
        #[cfg(all(feature = "preset", feature = "memtable-skiplist"))]
        ("skiplist", Checks::of::<terrace_memtable::SkipListMemTable>()),
        #[cfg(all(feature = "preset", feature = "memtable-hash"))]
        ("hash", Checks::of::<terrace_memtable::HashMemTable>()),
    ];
    let policies = stock::all();
    let pair = |round: usize, number: usize| {
        let (memtable, checks) = memtables[(round + number) % memtables.len()];
        Combination { memtable, policy: policies[number], checks }
    };
    let rounds = 0..memtables.len();
    rounds
        .flat_map(|round| (0..policies.len()).map(move |number| (round, number)))
        .map(|(r, n)| pair(r, n))
        .collect()
}

#[cfg(all(test, feature = "preset"))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape, stock};
    use terrace_memtable::BTreeMemTable;

    use super::super::{generate, run};
    use super::{Combination, MakePicker, SwapParts, combinations, sizes};

    #[test]
    fn each_pair_is_there_once_and_each_policy_early() {
        let combinations = combinations();
        let names: BTreeSet<String> = combinations.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), combinations.len());
        let policies: BTreeSet<_> = combinations.iter().map(Combination::policy).collect();
        let memtables: BTreeSet<_> = combinations.iter().map(Combination::memtable).collect();
        assert_eq!(names.len(), policies.len() * memtables.len());
        let early: BTreeSet<_> = combinations[..policies.len()].iter().map(Combination::policy).collect();
        assert_eq!(early, policies);
    }

    /// Counts the tasks that a policy picks.
    #[derive(Debug)]
    struct Counting(Box<dyn CompactionPicker>, Arc<AtomicUsize>);

    impl CompactionPicker for Counting {
        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
            let plan = self.0.pick(shape, context);
            self.1.fetch_add(plan.tasks.len(), Ordering::Relaxed);
            plan
        }
    }

    #[test]
    fn every_policy_has_work_in_the_simulation() {
        for (name, make) in stock::all() {
            let picked = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&picked);
            let picker: MakePicker<SwapParts<BTreeMemTable>> =
                Arc::new(move |options| Box::new(Counting(make(&sizes(options)), Arc::clone(&counter))));
            for seed in 0..8 {
                let options = crate::Options { compaction: true, ..generate::options(seed) };
                run::<SwapParts<BTreeMemTable>>(&picker, &options, seed, &generate::history(seed, 400))
                    .unwrap();
            }
            let tasks = picked.load(Ordering::Relaxed);
            // Without a bound, first in, first out keeps everything as it is.
            assert_eq!(tasks > 8, *name != "fifo", "{name} picked {tasks} tasks");
        }
    }
}
