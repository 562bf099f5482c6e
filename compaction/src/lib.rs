//! What to merge in a log-structured merge tree, when, and what a merge keeps.
//!
//! Three things are kept apart: *picking* ([`CompactionPicker`], a pure function from the tree's shape to tasks), *applying* a
//! task's result to the shape ([`Shape::apply`]), and *executing* (the engine reads and writes tables; here is only the decision which
//! versions survive, [`Survivors`], and where outputs are cut, [`OutputCutter`]).
//!
//! This crate never does I/O, reads no clock and has no randomness, so that the same picker drives an engine, a unit test, and a simulator
//! of a petabyte.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "leveled")] {
//! use std::sync::Arc;
//! use terrace_compaction::{CompactionPicker, LeveledPicker, Output, PickContext, RunId, Shape, ShapeEdit, TableMeta};
//!
//! let mut shape = Shape::default();
//! for flush in 1..=4 {
//!     let table = Arc::new(TableMeta::sized(flush, "a", "z", 64 << 20));
//!     let output = Output::NewRun { level: 0, run: Some(RunId(flush)) };
//!     shape.apply(&ShapeEdit { removed: vec![], added: Some((output, vec![table])) }).unwrap();
//! }
//! let context = PickContext { tasks_max: 1, ..PickContext::default() };
//! let plan = LeveledPicker::default().pick(&shape, &context);
//! let task = &plan.tasks[0];
//! shape.check(task, &context.busy).unwrap();
//! assert_eq!(task.inputs.len(), 4);
//! assert_eq!(task.reason.to_string(), "level 0 holds 4 runs, trigger 4");
//!
//! // The engine reads the inputs and writes an output; then:
//! let table = Arc::new(TableMeta::sized(5, "a", "z", 200 << 20));
//! let output = Output::NewRun { level: task.output.level(), run: Some(RunId(5)) };
//! shape.apply(&ShapeEdit { removed: task.inputs.clone(), added: Some((output, vec![table])) }).unwrap();
//! assert_eq!(shape.read_amplification_max(), 1);
//! # }
//! ```
//!
//! # How an engine carries out a task
//!
//! 1. [`Shape::check`] it against the tables that running tasks read, and count its inputs among them.
//! 2. [`TaskKind::Move`] and [`TaskKind::Drop`] need no reading. For a [`TaskKind::Merge`] ask the shape, in the same breath as step 1, for
//!    [`Shape::older_tables`] and [`Shape::grandparents`]; feed the merged inputs to [`Survivors`], what survives to tables, and cut them where
//!    [`OutputCutter`] says.
//! 3. [`Shape::apply`] the edit to the shape as it is by then: other tasks and flushes may have come between, in any order.
//!
//! # Your own picker
//!
//! Implement [`CompactionPicker`]; `examples/own_picker.rs` is one in 50 lines. Then turn on the feature `testing` for your tests and call
//! `testing::check_picker(&your_picker, seed, steps)`: it runs the laws over empty, random, hostile and living trees and says what is wrong in
//! words; `terrace-simulator` tells what it costs. [`Shape::check`] stands between your picker and the data: a mistake is a refused task and not a lost version.
//!
//! # Features
//!
//! One for each policy; [`stock`] lists by name what is compiled in.
//!
//! * `leveled` (default): `LeveledPicker`.
//! * `tiered` (default): `TieredPicker`.
//! * `universal`: `UniversalPicker`, as RocksDB has it.
//! * `hybrid`: `HybridPicker`, which tiers the upper levels and levels the lower (with `leveled`).
//! * `guards`: `GuardsPicker`, the fragmented tree of PebblesDB.
//! * `fluid`: `FluidPicker`, with leveling, tiering and lazy leveling as its corners.
//! * `fifo`: `FifoPicker`, which drops what is too old or too much.
//! * `windowed`: `WindowedPicker`, a run for each window of time.
//! * `testing`: the module `testing` with the conformance suite, trees as text and a model tree.
//!
//! Without any, the crate is the trait and its words.
//!
//! Policies that merge by size take `TriggerOptions` beside it; leveled ones a [`Movement`], and the hybrid both.
//!
//! # Papers
//!
//! O'Neil et al., "The log-structured merge-tree", 1996. Dong et al., "Optimizing space amplification in RocksDB", CIDR 2017. Dayan and Idreos,
//! "Dostoevsky", SIGMOD 2018 (the fluid family). Sarkar et al., "Constructing and analyzing the LSM compaction design space", VLDB 2021.
//! Raju et al., "PebblesDB", SOSP 2017 (guards). Sarkar et al., "Lethe", SIGMOD 2020 (the age of tombstones).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(
        feature = "leveled",
        feature = "tiered",
        feature = "universal",
        feature = "fluid",
        feature = "hybrid",
        feature = "guards",
        feature = "fifo",
        feature = "windowed"
    )),
    allow(
        dead_code,
        reason = "a few policies use a part of what all of them share; with all of them the lint holds"
    )
)]

mod cut;
mod draw;
mod dry_run;
mod edit;
#[cfg(feature = "fifo")]
mod fifo;
#[cfg(feature = "fluid")]
mod fluid;
mod guard;
#[cfg(feature = "guards")]
mod guards;
#[cfg(feature = "hybrid")]
mod hybrid;
#[cfg(feature = "leveled")]
mod leveled;
mod linked;
mod movement;
mod outcome;
mod pressure;
mod run_list;
mod shape;
pub mod stock;
mod survivors;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tiered")]
mod tiered;
mod triggers;
#[cfg(feature = "universal")]
mod universal;
mod weigh;
#[cfg(feature = "windowed")]
mod windowed;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

use core::fmt::Debug;

pub use cut::{CutOptions, OutputCutter};
pub use draw::{Drawing, TableColour};
pub use dry_run::{DryRun, DryStep};
#[cfg(feature = "fifo")]
pub use fifo::{FifoOptions, FifoPicker};
#[cfg(feature = "fluid")]
pub use fluid::{FluidOptions, FluidPicker};
pub use guard::OlderTables;
#[cfg(feature = "guards")]
pub use guards::{GuardsOptions, GuardsPicker};
#[cfg(feature = "hybrid")]
pub use hybrid::{HybridOptions, HybridPicker};
#[cfg(feature = "leveled")]
pub use leveled::{LeveledOptions, LeveledPicker};
pub use movement::Movement;
pub use outcome::TaskCost;
pub use shape::{
    LEVELS_MAX, Level, Run, RunId, Shape, ShapeEdit, ShapeError, TableId, TableMeta, Totals, oldest_tombstone,
};
pub use survivors::{SurvivorStats, Survivors};
pub use task::{Output, Plan, Reason, Task, TaskKind};
/// Stands in descriptions of tables.
#[doc(no_inline)]
pub use terrace_entry::SeqNo;
#[cfg(feature = "tiered")]
pub use tiered::{TieredOptions, TieredPicker};
pub use triggers::TriggerOptions;
#[cfg(feature = "universal")]
pub use universal::{UniversalOptions, UniversalPicker};
pub use weigh::{Bound, Measure, Scope, Verdict, Weighed};
#[cfg(feature = "windowed")]
pub use windowed::{WindowedOptions, WindowedPicker};

/// What a picker may look at beside the shape. All of it plain data.
#[derive(Clone, Debug, Default)]
pub struct PickContext {
    /// Tables that running tasks read. A task must not name them.
    pub busy: std::collections::BTreeSet<TableId>,
    /// Seconds since the Unix epoch, from the engine's clock; ages are measured against it.
    pub now_unix_seconds: u64,
    /// How many tasks the caller can start now; more are ignored.
    pub tasks_max: usize,
    /// The sequence number that the oldest snapshot reads at, if there is one: what is deleted by later versions must stay.
    pub oldest_snapshot: Option<SeqNo>,
    /// What reads paid for tables in which they found nothing, in look-ups that read a block in vain; a seek counts as one for each run but the oldest, and a filter asked in vain as a
    /// sixteenth. Tables that are not named are taken for none.
    pub vain_reads: std::collections::BTreeMap<TableId, u64>,
}

/// A compaction policy: from the shape of a tree to the next tasks.
///
/// # Laws for implementers
///
/// 1. Pure: equal arguments give equal plans. State across calls belongs into the shape or nowhere.
/// 2. Every task passes [`Shape::check`]: it names no busy table and no table of an earlier task of the plan, no table twice, and does not
///    carry a version past an older or newer one of the same key.
/// 3. Progress: applying the tasks of a shape that nobody writes to, again and again, comes to a plan without tasks.
/// 4. Pressure is never negative and no infinity, and never falls when a run is added to level 0 and nothing else changes.
/// 5. Reasons: a plan without tasks has weighed every level that holds tables, by itself or with the whole tree ([`Plan::weighed`]); and nothing that it says is
///    due is within its bound, or the other way round.
/// 6. Time: where nothing runs and a plan has no task, time alone gives it none before [`Plan::look_again_unix_seconds`], which lies ahead; without such a moment it
///    never does.
///
/// # Cost
///
/// Called after every flush and every finished task, and when it asked for it. O(tables) is fine; O(tables log tables) too.
///
/// # Errors
///
/// None: a picker answers for every shape that keeps its invariants, however odd ([`Shape::check_invariants`]), if need be with no task.
pub trait CompactionPicker: Debug + Send + Sync + 'static {
    /// The name used on command lines, in reports and in the manifest.
    fn name(&self) -> &'static str;

    /// The next tasks, most urgent first, each with its reason; what was weighed; and how much pressure the shape is under.
    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan;
}

/// So that a policy can be chosen while the program runs, wherever one is asked for; [`stock`] makes such boxes by name.
impl<P: CompactionPicker + ?Sized> CompactionPicker for Box<P> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        (**self).pick(shape, context)
    }
}
