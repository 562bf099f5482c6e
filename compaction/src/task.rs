//! What a picker answers: tasks with reasons, and pressure.

use core::fmt;

use crate::shape::{RunId, TableId};
use crate::weigh::Weighed;

/// Where a task's outputs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Into the run `run` of `level`, between its tables; the inputs from that run are replaced.
    ///
    /// No input may be older than that run. The run must exist when the task is picked; when another task has emptied it meanwhile,
    /// [`crate::Shape::apply`] makes it anew where [`Output::NewRun`] would.
    IntoRun {
        /// The level.
        level: usize,
        /// The run.
        run: RunId,
    },
    /// As a run of its own in `level`: right behind (older than) the oldest run of that level that holds an input, or in front of all its
    /// runs when no input is from that level (a flush, which has no inputs, thus becomes the newest run).
    ///
    /// No input may be from a deeper level.
    NewRun {
        /// The level, below [`crate::LEVELS_MAX`]; it may be deeper than any so far.
        level: usize,
        /// The new run's name, chosen by whoever executes; `None` in a plan.
        run: Option<RunId>,
    },
}

impl Output {
    /// The level that the outputs go to.
    #[must_use]
    pub fn level(&self) -> usize {
        match *self {
            Output::IntoRun { level, .. } | Output::NewRun { level, .. } => level,
        }
    }
}

/// How a task is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// Read the inputs, merge them, write outputs, remove the inputs.
    Merge,
    /// Give the inputs another place without reading them (a trivial move).
    Move,
    /// Remove the inputs without reading them (FIFO, expiry).
    Drop,
}

/// Why a task was picked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Level 0 holds more runs than its trigger.
    Level0Runs {
        /// Runs it holds.
        runs: usize,
        /// The trigger.
        trigger: usize,
    },
    /// A level that holds several runs holds more than its trigger.
    LevelRuns {
        /// The level.
        level: usize,
        /// Runs it holds.
        runs: usize,
        /// The trigger.
        trigger: usize,
    },
    /// A level is larger than its target.
    LevelSize {
        /// The level.
        level: usize,
        /// Its bytes.
        bytes: u64,
        /// Its target.
        target_bytes: u64,
    },
    /// Enough runs of similar size came together.
    SimilarRuns {
        /// How many.
        runs: usize,
        /// The greatest of their sizes over the least.
        ratio: f64,
    },
    /// Too many runs in all.
    RunCount {
        /// How many.
        runs: usize,
        /// The most allowed.
        runs_max: usize,
    },
    /// Too many tables of a level may hold the same key.
    GuardFragments {
        /// The level.
        level: usize,
        /// How many.
        fragments: usize,
        /// The most allowed.
        fragments_max: usize,
    },
    /// Space amplification is above its bound.
    SpaceAmplification {
        /// Bytes above the last run over its bytes, in percent.
        percent: u64,
        /// The bound.
        percent_max: u64,
    },
    /// A table's oldest tombstone is so old that it must get going.
    TombstoneAge {
        /// The table's level.
        level: usize,
        /// Its age.
        age_seconds: u64,
        /// The age that none may reach.
        age_seconds_max: u64,
    },
    /// A table holds too many tombstones.
    TombstoneDensity {
        /// The table's level.
        level: usize,
        /// Tombstones, in percent of its versions.
        percent: u64,
        /// The bound.
        percent_max: u64,
    },
    /// A table was read in vain too often.
    VainReads {
        /// The table's level.
        level: usize,
        /// How often.
        reads: u64,
        /// The bound.
        reads_max: u64,
    },
    /// A person asked.
    Manual,
    /// Anything else, in the picker's words.
    Other(String),
}

impl Reason {
    /// Too many runs in a level, whichever it is.
    pub(crate) fn runs_of(level: usize, runs: usize, trigger: usize) -> Self {
        match level {
            0 => Reason::Level0Runs { runs, trigger },
            _ => Reason::LevelRuns { level, runs, trigger },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Level0Runs { runs, trigger } => write!(f, "level 0 holds {runs} runs, trigger {trigger}"),
            Reason::LevelRuns { level, runs, trigger } => {
                write!(f, "level {level} holds {runs} runs, trigger {trigger}")
            }
            Reason::LevelSize { level, bytes, target_bytes } => {
                write!(f, "level {level} holds {bytes} bytes, target {target_bytes}")
            }
            Reason::SimilarRuns { runs, ratio } => {
                write!(f, "{runs} runs of similar size (ratio {ratio:.2})")
            }
            Reason::RunCount { runs, runs_max } => write!(f, "{runs} runs, at most {runs_max} wanted"),
            Reason::GuardFragments { level, fragments, fragments_max } => {
                write!(
                    f,
                    "a guard of level {level} holds {fragments} fragments, at most {fragments_max} wanted"
                )
            }
            Reason::SpaceAmplification { percent, percent_max } => {
                write!(f, "{percent} % of space above the last run, bound {percent_max} %")
            }
            Reason::TombstoneAge { level, age_seconds, age_seconds_max } => write!(
                f,
                "a table of level {level} holds a tombstone of {age_seconds} s, none may be older than {age_seconds_max} s"
            ),
            Reason::TombstoneDensity { level, percent, percent_max } => {
                write!(f, "{percent} % of a table of level {level} are tombstones, bound {percent_max} %")
            }
            Reason::VainReads { level, reads, reads_max } => {
                write!(f, "a table of level {level} was read {reads} times in vain, bound {reads_max}")
            }
            Reason::Manual => f.write_str("asked for"),
            Reason::Other(words) => f.write_str(words),
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// How.
    pub kind: TaskKind,
    /// The tables read and removed.
    pub inputs: Vec<TableId>,
    /// Where the outputs go; not looked at for [`TaskKind::Drop`].
    pub output: Output,
    /// The size to cut outputs at, in file bytes.
    pub target_table_bytes: u64,
    /// User keys, ascending, that an output must not hold together with a lesser one: where to cut beside the size. Who can not cut
    /// there loses what the policy is for, but no data.
    pub cuts: Vec<Vec<u8>>,
    /// Why.
    pub reason: Reason,
}

/// What a picker answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do, most urgent first; no table in two of them.
    pub tasks: Vec<Task>,
    /// How far the shape is behind: 0 at ease, 1 where writers must wait. Writers are slowed smoothly between, so it should rise early and
    /// steadily with the debt.
    pub pressure: f64,
    /// Bytes that must be read and merged before the shape is at ease again, as far as the picker can tell.
    pub debt_bytes: u64,
    /// When the picker is to be asked again though nothing has changed but the time, in seconds since the Unix epoch; `None` if time makes nothing due.
    pub look_again_unix_seconds: Option<u64>,
    /// What was measured against which bound, and what came of it: why each task was picked, and why nothing else was.
    pub weighed: Vec<Weighed>,
    /// For a person: what else there is to say, in words.
    pub remarks: Vec<String>,
}
