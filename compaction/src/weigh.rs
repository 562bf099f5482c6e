//! What a picker weighed: each thing that it measured, the bound that it measured it against, and what came of it.
//!
//! Plain numbers, put into words only when somebody reads them: a picker is asked after every flush and every task, and a person asks now and then.
//! It is part of the plan, not the answer of a second method, so that it is the reason of the very decision and can not drift from it.

use core::fmt;
use std::borrow::Cow;

use crate::shape::{Bytes, RunId, Shape, TableId};

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The whole tree.
    Tree,
    /// A level.
    Level(usize),
    /// A run.
    Run(RunId),
    /// A table.
    Table(TableId),
}

/// In what respect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Sorted runs.
    Runs,
    /// Bytes of files.
    Bytes,
    /// Bytes above the oldest run over its bytes, in percent.
    SpacePercent,
    /// Neighbours in age that are similar enough to be merged.
    SimilarRuns,
    /// Age of the oldest data, in seconds.
    AgeSeconds,
    /// Tombstones among the versions, in percent.
    TombstonePercent,
    /// Anything else: the words after the number.
    Other(Cow<'static, str>),
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// From this value on.
    From(u64),
    /// Above this value.
    Above(u64),
    /// Never.
    Never,
}

impl Bound {
    /// Whether a value makes it due.
    #[must_use]
    pub fn is_reached(self, value: u64) -> bool {
        match self {
            Bound::From(bound) => value >= bound,
            Bound::Above(bound) => value > bound,
            Bound::Never => false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is not due.
    Within,
    /// It is due, and so many tasks of this plan see to it.
    Picked {
        /// How many.
        tasks: usize,
    },
    /// It is due, and what runs already, or a task that this plan picks for another reason, sees to it.
    UnderWay,
    /// It is due, but tables that it needs are busy.
    Busy,
    /// It is due, but the plan holds as many tasks as were wanted.
    NoRoom,
    /// It is due, but another level comes first.
    WaitsFor {
        /// That level.
        level: usize,
    },
    /// It is due, and not done for a reason of the policy's own: the words after `due, but`.
    Held(Cow<'static, str>),
}

/// One thing that a picker weighed. `Display` puts it into one sentence.
///
/// ```
/// use terrace_compaction::{Bound, Measure, Scope, Verdict, Weighed};
///
/// let weighed = Weighed {
///     scope: Scope::Level(0),
///     measure: Measure::Runs,
///     value: 3,
///     bound: Bound::From(4),
///     verdict: Verdict::Within,
/// };
/// assert_eq!(weighed.to_string(), "level 0 holds 3 runs, due from 4 on: not due");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// What was measured.
    pub scope: Scope,
    /// In what respect.
    pub measure: Measure,
    /// What was found.
    pub value: u64,
    /// When something would be due.
    pub bound: Bound,
    /// What came of it.
    pub verdict: Verdict,
}

impl Weighed {
    /// Something measured, before it is known what comes of it: not due, or due and held up by nothing yet, which is one task.
    #[must_use]
    pub fn new(scope: Scope, measure: Measure, value: u64, bound: Bound) -> Self {
        let verdict = if bound.is_reached(value) { Verdict::Picked { tasks: 1 } } else { Verdict::Within };
        Weighed { scope, measure, value, bound, verdict }
    }

    /// With another verdict if it is due.
    #[must_use]
    pub fn if_due(mut self, verdict: Verdict) -> Self {
        if self.is_due() {
            self.verdict = verdict;
        }
        self
    }

    /// Whether its bound is reached.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.bound.is_reached(self.value)
    }

    /// Whether it says something of all tables of a level.
    #[must_use]
    pub fn covers(&self, level: usize) -> bool {
        self.scope == Scope::Tree || self.scope == Scope::Level(level)
    }

    /// How it tells of a table of this shape, the nearest first: 0 for the table itself, then its run, its level, the tree. `None` if not at all.
    #[must_use]
    pub fn distance(&self, shape: &Shape, table: TableId) -> Option<usize> {
        let mut runs = shape.runs();
        let (level, run) = runs.find(|(_, run)| run.tables.iter().any(|meta| meta.id == table))?;
        match self.scope {
            Scope::Table(own) => (own == table).then_some(0),
            Scope::Run(own) => (own == run.id).then_some(1),
            Scope::Level(own) => (own == level).then_some(2),
            Scope::Tree => Some(3),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Tree => f.write_str("the tree"),
            Scope::Level(level) => write!(f, "level {level}"),
            Scope::Run(run) => write!(f, "run {run}"),
            Scope::Table(table) => write!(f, "table {table}"),
        }
    }
}

impl Measure {
    /// A value with its unit.
    fn amount(&self, value: u64) -> String {
        match self {
            Measure::Bytes => Bytes(value).to_string(),
            Measure::SpacePercent | Measure::TombstonePercent => format!("{value} %"),
            Measure::AgeSeconds => format!("{value} s"),
            Measure::Runs | Measure::SimilarRuns | Measure::Other(_) => value.to_string(),
        }
    }
}

impl fmt::Display for Weighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scope, value) = (self.scope, self.measure.amount(self.value));
        let plural = if self.value == 1 { "" } else { "s" };
        match &self.measure {
            Measure::Runs => write!(f, "{scope} holds {value} run{plural}")?,
            Measure::Bytes => write!(f, "{scope} holds {value}")?,
            Measure::SpacePercent => write!(f, "{scope} holds {value} of space above its oldest run")?,
            Measure::SimilarRuns => write!(f, "{scope} holds {value} similar neighbour{plural}")?,
            Measure::AgeSeconds => write!(f, "the oldest data of {scope} are {value} old")?,
            Measure::TombstonePercent => write!(f, "{scope} holds {value} of tombstones")?,
            Measure::Other(words) => write!(f, "{scope}: {value} {words}")?,
        }
        match self.bound {
            Bound::From(bound) => write!(f, ", due from {} on: ", self.measure.amount(bound))?,
            Bound::Above(bound) => write!(f, ", due above {}: ", self.measure.amount(bound))?,
            Bound::Never => return f.write_str(", which has no bound"),
        }
        match &self.verdict {
            Verdict::Within => f.write_str("not due"),
            Verdict::Picked { tasks: 1 } => f.write_str("picked"),
            Verdict::Picked { tasks } => write!(f, "picked, {tasks} tasks"),
            Verdict::UnderWay => f.write_str("under way"),
            Verdict::Busy => f.write_str("due, but waits for tables that are busy"),
            Verdict::NoRoom => f.write_str("due, but as many tasks as wanted are picked"),
            Verdict::WaitsFor { level } => write!(f, "due, but level {level} comes first"),
            Verdict::Held(words) => write!(f, "due, but {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_a_sentence() {
        let weighed = Weighed::new(Scope::Level(1), Measure::Bytes, 300 << 20, Bound::Above(256 << 20));
        let words = |verdict: Verdict| weighed.clone().if_due(verdict).to_string();
        let said = [
            words(Verdict::Picked { tasks: 1 }),
            words(Verdict::Picked { tasks: 2 }),
            words(Verdict::UnderWay),
            words(Verdict::Busy),
            words(Verdict::NoRoom),
            words(Verdict::WaitsFor { level: 2 }),
            words(Verdict::Held("nobody may".into())),
        ];
        let heads = "level 1 holds 300.0 MiB, due above 256.0 MiB: ";
        assert!(said.iter().all(|said| said.starts_with(heads)), "{said:?}");
        assert_eq!(said[3][heads.len()..], *"due, but waits for tables that are busy");
        let last = Weighed::new(Scope::Level(6), Measure::Bytes, 1 << 40, Bound::Never);
        assert_eq!(last.to_string(), "level 6 holds 1.0 TiB, which has no bound");
    }

    #[test]
    fn a_table_is_told_of_by_what_holds_it() {
        let shape = Shape::from_levels(vec![
            vec![vec![crate::TableMeta::sized(3, "a", "z", 1)]],
            vec![vec![crate::TableMeta::sized(1, "a", "c", 1), crate::TableMeta::sized(2, "d", "z", 1)]],
        ]);
        let of = |scope| Weighed::new(scope, Measure::Runs, 1, Bound::From(4)).distance(&shape, TableId(2));
        assert_eq!(of(Scope::Table(TableId(2))), Some(0));
        assert_eq!(of(Scope::Run(RunId(1))), Some(1));
        assert_eq!(of(Scope::Level(1)), Some(2));
        assert_eq!(of(Scope::Tree), Some(3));
        assert_eq!(of(Scope::Level(0)), None);
        assert_eq!(of(Scope::Table(TableId(1))), None);
    }
}
