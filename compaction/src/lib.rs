//! What to merge in a log-structured merge tree, when, and what a merge keeps.
//!
//! Three things are kept apart: *picking* ([`CompactionPicker`], a pure function from the tree's shape to tasks), *applying* a
//! task's result to the shape ([`Shape::apply`]), and *executing* (the engine reads and writes tables; here is only the decision which
//! versions survive, [`Survivors`], and where outputs are cut, [`OutputCutter`]).
//!
//! This crate never does I/O, reads no clock and has no randomness, so that the same picker drives an engine, a unit test, and a simulator
//! of a petabyte.
#![forbid(unsafe_code)]

mod cut;
mod edit;
mod guard;
#[cfg(feature = "leveled")]
mod leveled;
#[cfg(any(feature = "leveled", feature = "tiered"))]
mod pressure;
mod shape;
mod survivors;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tiered")]
mod tiered;

use core::fmt::Debug;

pub use cut::{CutOptions, OutputCutter};
pub use guard::OlderTables;
#[cfg(feature = "leveled")]
pub use leveled::{LeveledOptions, LeveledPicker};
pub use shape::{LEVELS_MAX, Level, Run, RunId, Shape, ShapeEdit, ShapeError, TableId, TableMeta, Totals};
pub use survivors::{SurvivorStats, Survivors};
pub use task::{Output, Plan, Reason, Task, TaskKind};
#[cfg(feature = "tiered")]
pub use tiered::{TieredOptions, TieredPicker};

/// What a picker may look at beside the shape. All of it plain data.
#[derive(Clone, Debug, Default)]
pub struct PickContext {
    /// Tables that running tasks read. A task must not name them.
    pub busy: std::collections::BTreeSet<TableId>,
    /// Seconds since the Unix epoch, from the engine's clock; ages are measured against it.
    pub now_unix_seconds: u64,
    /// How many tasks the caller can start now; more are ignored.
    pub tasks_max: usize,
}

/// A compaction policy: from the shape of a tree to the next tasks.
///
/// # Laws for implementers
///
/// 1. Pure: equal arguments give equal plans. State across calls belongs into the shape or nowhere.
/// 2. Every task passes [`Shape::check`]: it names no busy table, no table twice, and does not carry a version past an older or newer one of the same key.
/// 3. Progress: applying the tasks of a shape that nobody writes to, again and again, comes to a plan without tasks.
/// 4. Pressure never falls when a run is added to level 0 and nothing else changes.
///
/// # Cost
///
/// Called after every flush and every finished task. O(tables) is fine; O(tables log tables) too.
pub trait CompactionPicker: Debug + Send + Sync + 'static {
    /// The name used on command lines, in reports and in the manifest.
    fn name(&self) -> &'static str;

    /// The next tasks, most urgent first, each with its reason; and how much pressure the shape is under.
    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan;
}
