//! What `explain_compaction`, `why` and `dry_run_compaction` answer, and how it is put into words.

use std::fmt;
use terrace_compaction::{DryRun, RunId, TableId, Task, TaskCost, Totals, Weighed};
use terrace_entry::SeqNo;

use crate::stats::bytes_for_people;

/// A task that runs or is to run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedTask {
    /// What it does, in words.
    pub what: String,
    /// The task, with its reason.
    pub task: Task,
    /// What it costs, as far as the shape tells.
    pub cost: TaskCost,
}

/// Why no task is started, whatever the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pause {
    /// Compaction is switched off by [`crate::Options::compaction`].
    Off,
    /// Somebody compacts by hand.
    Manual,
    /// The database is closed.
    Closed,
    /// The database is read-only, because of this.
    ReadOnly(String),
}

/// Versions that take space and could go, as far as the shape tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldByVersions {
    /// Bytes of the runs above the oldest. What they write over or delete is still in older runs.
    pub above_oldest_run_bytes: u64,
    /// Tombstones in them.
    pub tombstones_above_oldest_run: u64,
    /// Tombstones in the oldest run, which hide nothing any more.
    pub tombstones_in_oldest_run: u64,
    /// The most versions that are kept only because a snapshot sees them.
    pub snapshot_versions_max: u64,
    /// Their bytes, if they are as large as the others.
    pub snapshot_bytes_max: u64,
}

/// Tables that no tree names any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldFiles {
    /// Obsolete tables that a read, an iterator or a running task may still use.
    pub read_tables: usize,
    /// Their bytes.
    pub read_bytes: u64,
    /// Obsolete tables whose files wait to be removed in the background.
    pub waiting_tables: usize,
    /// Their bytes.
    pub waiting_bytes: u64,
}

/// A sequence number that snapshots hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotHeld {
    /// The number.
    pub seqno: SeqNo,
    /// Snapshots that hold it.
    pub handles: usize,
    /// Sequence numbers given since.
    pub writes_since: u64,
}

/// Compaction of one keyspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyspaceCompaction {
    /// The keyspace.
    pub name: String,
    /// The policy.
    pub policy: &'static str,
    /// What its tables hold.
    pub totals: Totals,
    /// Tasks under way.
    pub running: Vec<PlannedTask>,
    /// Tasks that the policy wants next, most urgent first; at most 32.
    pub next: Vec<PlannedTask>,
    /// How many of them may start now; the others wait for a thread.
    pub room: usize,
    /// Tasks of the policy that would be refused, and why.
    pub refused: Vec<String>,
    /// What the policy measured, and what came of it.
    pub weighed: Vec<Weighed>,
    /// What else it said.
    pub remarks: Vec<String>,
    /// How far compaction is behind: 0 at ease, 1 where writers wait.
    pub pressure: f64,
    /// Bytes to be merged before the policy is at ease.
    pub debt_bytes: u64,
    /// Versions that could go.
    pub held: HeldByVersions,
    /// Why nothing is started.
    pub pause: Option<Pause>,
}

/// What [`crate::Engine::explain_compaction`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompactionReport {
    /// In the order in which the keyspaces were made.
    pub keyspaces: Vec<KeyspaceCompaction>,
    /// Snapshots, the oldest first.
    pub snapshots: Vec<SnapshotHeld>,
    /// Files of no tree.
    pub files: HeldFiles,
}

/// Where a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TablePlace {
    /// The keyspace.
    pub keyspace: String,
    /// The level.
    pub level: usize,
    /// The run.
    pub run: RunId,
}

/// What compaction has in mind for a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TableState {
    /// A running task reads it.
    Running(PlannedTask),
    /// A task that is wanted next reads it.
    Next {
        /// How many tasks come before.
        position: usize,
        /// How many tasks may start now.
        room: usize,
        /// The task.
        task: PlannedTask,
        /// Why no task is started.
        pause: Option<Pause>,
    },
    /// Nothing is to be done with it.
    Resting {
        /// What the policy measured of the table, its run, its level and its tree, the nearest first.
        weighed: Vec<Weighed>,
        /// What else the policy said.
        remarks: Vec<String>,
        /// Why no task is started, whatever it measured.
        pause: Option<Pause>,
    },
    /// No tree names it any more; its file goes once nobody reads it.
    Obsolete,
    /// There is no such table, or no longer.
    Unknown,
}

/// What [`crate::Engine::why`] answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TableReport {
    /// The table asked about.
    pub table: TableId,
    /// Where it is; `None` when no tree names it.
    pub place: Option<TablePlace>,
    /// What compaction has in mind for it.
    pub state: TableState,
}

/// A dry run of one keyspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyspaceDryRun {
    /// The keyspace.
    pub name: String,
    /// What would be done.
    pub run: DryRun,
}

/// What [`crate::Engine::dry_run_compaction`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DryRunReport {
    /// In the order in which the keyspaces were made.
    pub keyspaces: Vec<KeyspaceDryRun>,
}

impl fmt::Display for PlannedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "      because {}", self.task.reason)?;
        writeln!(f, "      {}", self.cost)
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pause::Off => f.write_str("compaction is switched off by the options"),
            Pause::Manual => f.write_str("somebody compacts by hand"),
            Pause::Closed => f.write_str("the database is closed"),
            Pause::ReadOnly(cause) => write!(f, "the database is read-only: {cause}"),
        }
    }
}

impl fmt::Display for HeldByVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = bytes_for_people;
        if self.above_oldest_run_bytes > 0 {
            let (bytes, tombstones) = (b(self.above_oldest_run_bytes), self.tombstones_above_oldest_run);
            writeln!(
                f,
                "  {bytes} with {tombstones} tombstones are above the oldest run: what they replace or delete takes space \
                 until they are merged into it"
            )?;
        }
        if self.tombstones_in_oldest_run > 0 {
            let tombstones = self.tombstones_in_oldest_run;
            writeln!(f, "  {tombstones} tombstones are in the oldest run: they go when it is rewritten")?;
        }
        if self.snapshot_versions_max > 0 {
            let (versions, bytes) = (self.snapshot_versions_max, b(self.snapshot_bytes_max));
            writeln!(
                f,
                "  up to {versions} versions, some {bytes}, are kept because a snapshot sees them: they go when it is \
                 dropped and their tables are rewritten"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for KeyspaceCompaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (b, totals) = (bytes_for_people, self.totals);
        writeln!(
            f,
            "keyspace `{}`, policy {}: {} in {} and {}, pressure {:.2}, debt {}",
            self.name,
            self.policy,
            b(totals.file_bytes),
            plural(totals.tables, "table"),
            plural(totals.runs, "run"),
            self.pressure,
            b(self.debt_bytes)
        )?;
        if let Some(pause) = &self.pause {
            writeln!(f, "  nothing is started: {pause}")?;
        }
        for task in &self.running {
            write!(f, "  runs: {task}")?;
        }
        for (position, task) in self.next.iter().enumerate() {
            let when = if position < self.room { "next" } else { "later, when a thread is free" };
            write!(f, "  {when}: {task}")?;
        }
        if self.running.is_empty() && self.next.is_empty() {
            writeln!(f, "  nothing is to be done")?;
        }
        for refused in &self.refused {
            writeln!(f, "  refused: {refused}")?;
        }
        for weighed in &self.weighed {
            writeln!(f, "  - {weighed}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  - {remark}")?;
        }
        write!(f, "{}", self.held)
    }
}

impl fmt::Display for CompactionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = bytes_for_people;
        for keyspace in &self.keyspaces {
            write!(f, "{keyspace}")?;
        }
        for snapshot in &self.snapshots {
            let SnapshotHeld { handles, writes_since, .. } = snapshot;
            writeln!(f, "{} held from {writes_since} writes ago", counted(*handles, "snapshot"))?;
        }
        let files = self.files;
        if files.read_tables > 0 {
            let (tables, bytes) = (counted(files.read_tables, "obsolete table"), b(files.read_bytes));
            writeln!(f, "{tables} still read, by an iterator, a read or a running task: {bytes}")?;
        }
        if files.waiting_tables > 0 {
            let (tables, bytes) = (counted(files.waiting_tables, "obsolete table"), b(files.waiting_bytes));
            writeln!(f, "{tables} about to be removed: {bytes}")?;
        }
        Ok(())
    }
}

/// How many there are: `1 table is`, `2 tables are`.
fn counted(count: usize, what: &str) -> String {
    format!("{} {}", plural(count, what), if count == 1 { "is" } else { "are" })
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for TableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.table)?;
        if let Some(TablePlace { keyspace, level, run }) = &self.place {
            write!(f, " (keyspace `{keyspace}`, level {level}, run {run})")?;
        }
        match &self.state {
            TableState::Running(task) => write!(f, " is being compacted: {task}"),
            TableState::Next { position, room, task, pause } => match pause {
                Some(pause) => write!(f, " would be compacted, but {pause}: {task}"),
                None if position < room => write!(f, " is compacted next: {task}"),
                None => write!(f, " waits for {position} other tasks: {task}"),
            },
            TableState::Resting { weighed, remarks, pause } => {
                writeln!(f, " is left alone:")?;
                if let Some(pause) = pause {
                    writeln!(f, "  - {pause}")?;
                }
                weighed.iter().try_for_each(|weighed| writeln!(f, "  - {weighed}"))?;
                remarks.iter().try_for_each(|remark| writeln!(f, "  - {remark}"))
            }
            TableState::Obsolete => {
                writeln!(f, " is in no tree any more; its file goes once nobody reads it")
            }
            TableState::Unknown => writeln!(f, " is not there"),
        }
    }
}

impl fmt::Display for DryRunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for KeyspaceDryRun { name, run } in &self.keyspaces {
            write!(f, "keyspace `{name}`:\n{run}")?;
        }
        Ok(())
    }
}
