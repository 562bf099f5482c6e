//! What compaction does and would do, and why; what holds space. Everything is read off at a moment and nothing is changed.
//!
//! The policy is asked as the engine asks it, but for more tasks than may run, so that what waits for a thread is listed too. Its lock is the
//! tree's `work`, held only while the books are copied.

mod report;

use std::sync::Arc;
use terrace_compaction::{CompactionPicker, DryRun, PickContext, Plan, Shape, TableId, Task, Totals};

use crate::shared::Shared;
use crate::tree::Tree;
use crate::{Engine, Parts, Result};

pub use report::{
    CompactionReport, DryRunReport, HeldByVersions, HeldFiles, KeyspaceCompaction, KeyspaceDryRun, Pause,
    PlannedTask, SnapshotHeld, TablePlace, TableReport, TableState,
};

/// Tasks that are listed for a keyspace; a person reads no more.
const TASKS_LISTED_MAX: usize = 32;

impl<P: Parts> Engine<P> {
    /// What compaction does now, what it would do next and why, what it will cost, and what holds space. `Display` prints it for people.
    ///
    /// Asks the policy as the engine would, but starts nothing. Cost: one choice of the policy for each keyspace, and O(tables).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Panicked`] when the policy panics; the database is read-only then.
    pub fn explain_compaction(&self) -> Result<CompactionReport> {
        let shared = self.shared();
        let trees = shared.trees.load_full();
        let keyspaces = trees.values().map(|tree| shared.explain_tree(tree)).collect::<Result<_>>()?;
        let visible = shared.visible();
        let held = shared.snapshots.held().into_iter();
        let snapshots = held.map(|(seqno, handles)| SnapshotHeld {
            seqno,
            handles,
            writes_since: visible.get().saturating_sub(seqno.get()),
        });
        Ok(CompactionReport { keyspaces, snapshots: snapshots.collect(), files: shared.trash.held() })
    }

    /// Why a table is not being compacted, or in which task it is. [`Engine::shape`] tells the names of the tables.
    ///
    /// # Errors
    ///
    /// As [`Engine::explain_compaction`].
    pub fn why(&self, table: TableId) -> Result<TableReport> {
        let shared = self.shared();
        for tree in shared.trees.load_full().values() {
            let books = Books::of(shared, tree);
            let mut runs = books.shape.runs();
            let Some((level, run)) = runs.find(|(_, run)| run.tables.iter().any(|meta| meta.id == table))
            else {
                continue;
            };
            let place = TablePlace { keyspace: tree.name.clone(), level, run: run.id };
            let state = shared.state_of(table, &books)?;
            return Ok(TableReport { table, place: Some(place), state });
        }
        let state = if shared.trash.holds(table.0) { TableState::Obsolete } else { TableState::Unknown };
        Ok(TableReport { table, place: None, state })
    }

    /// What compaction would do from here until it is at rest, at most `tasks_max` tasks for each keyspace, without touching anything: the
    /// policy's tasks are applied to a copy of the shape again and again, after those that run now. Time stands still, nobody writes, and no snapshot keeps a
    /// version.
    ///
    /// # Errors
    ///
    /// As [`Engine::explain_compaction`].
    pub fn dry_run_compaction(&self, tasks_max: usize) -> Result<DryRunReport> {
        let shared = self.shared();
        let dry_run = |tree: &Arc<Tree<P>>| {
            let mut books = Books::of(shared, tree);
            books.finish_running();
            let run = shared
                .guarded(|| Ok(DryRun::new(&shared.picker, &books.shape, &books.context, tasks_max)))?;
            Ok(KeyspaceDryRun { name: tree.name.clone(), run })
        };
        let trees = shared.trees.load_full();
        Ok(DryRunReport { keyspaces: trees.values().map(dry_run).collect::<Result<_>>()? })
    }
}

/// A copy of what is known of a tree.
struct Books {
    shape: Shape,
    /// As the engine would ask, but with room for the list.
    context: PickContext,
    running: Vec<Task>,
    /// Tasks that may start now.
    room: usize,
    pause: Option<Pause>,
}

impl Books {
    fn of<P: Parts>(shared: &Shared<P>, tree: &Tree<P>) -> Self {
        let work = tree.work();
        let pause = match shared.failure() {
            Some(cause) => Some(Pause::ReadOnly(cause.to_string())),
            None if shared.is_ending() => Some(Pause::Closed),
            None if !shared.options.compaction => Some(Pause::Off),
            None => work.manual.then_some(Pause::Manual),
        };
        let version = Arc::clone(&tree.view().version);
        let context = shared.pick_context(&work, &version);
        Books {
            shape: version.shape.clone(),
            room: context.tasks_max,
            context: PickContext { tasks_max: TASKS_LISTED_MAX, ..context },
            running: work.running.clone(),
            pause,
        }
    }

    fn planned(&self, task: &Task) -> Option<PlannedTask> {
        // A task that is being recorded just now has lost its inputs.
        let cost = task.cost(&self.shape).ok()?;
        Some(PlannedTask { what: task.describe(&self.shape), task: task.clone(), cost })
    }

    /// Lets what runs end.
    fn finish_running(&mut self) {
        let names = self.shape.tables().map(|(_, meta)| meta.id.0);
        let mut name = names.chain(self.shape.runs().map(|(_, run)| run.id.0)).max().unwrap_or(0);
        for task in std::mem::take(&mut self.running) {
            let edit = task.outcome(&self.shape, self.context.now_unix_seconds, &mut name);
            if let Ok(edit) = edit {
                // What does not fit any more has been recorded already.
                let _ = self.shape.apply(&edit);
            }
        }
        self.context.busy.clear();
    }
}

/// What would start next, and what would be refused.
struct Next {
    tasks: Vec<PlannedTask>,
    refused: Vec<String>,
    plan: Plan,
}

impl<P: Parts> Shared<P> {
    fn next_of(&self, books: &Books) -> Result<Next> {
        let mut plan = self.guarded(|| Ok(self.picker.pick(&books.shape, &books.context)))?;
        let (mut tasks, mut refused) = (Vec::new(), Vec::new());
        let mut busy = books.context.busy.clone();
        for task in std::mem::take(&mut plan.tasks) {
            match books.shape.check(&task, &busy) {
                Ok(()) => {
                    busy.extend(&task.inputs);
                    tasks.extend(books.planned(&task));
                }
                Err(error) => {
                    refused.push(format!("{} ({}): {error}", task.describe(&books.shape), task.reason))
                }
            }
        }
        Ok(Next { tasks, refused, plan })
    }

    fn explain_tree(&self, tree: &Tree<P>) -> Result<KeyspaceCompaction> {
        let books = Books::of(self, tree);
        let Next { tasks, refused, plan } = self.next_of(&books)?;
        Ok(KeyspaceCompaction {
            name: tree.name.clone(),
            policy: self.picker.name(),
            totals: books.shape.totals(),
            running: books.running.iter().filter_map(|task| books.planned(task)).collect(),
            next: tasks,
            room: books.room,
            refused,
            weighed: plan.weighed,
            remarks: plan.remarks,
            pressure: plan.pressure,
            debt_bytes: plan.debt_bytes,
            held: self.held_by_versions(&books.shape),
            pause: books.pause,
        })
    }

    fn state_of(&self, table: TableId, books: &Books) -> Result<TableState> {
        let holds = |task: &&Task| task.inputs.contains(&table);
        if let Some(task) = books.running.iter().find(holds).and_then(|task| books.planned(task)) {
            return Ok(TableState::Running(task));
        }
        let Next { mut tasks, plan, .. } = self.next_of(books)?;
        if let Some(position) = tasks.iter().position(|planned| planned.task.inputs.contains(&table)) {
            let pause = books.pause.clone();
            return Ok(TableState::Next {
                position,
                room: books.room,
                task: tasks.swap_remove(position),
                pause,
            });
        }
        let mut weighed = plan.weighed;
        weighed.retain(|weighed| weighed.distance(&books.shape, table).is_some());
        weighed.sort_by_key(|weighed| weighed.distance(&books.shape, table));
        Ok(TableState::Resting { weighed, remarks: plan.remarks, pause: books.pause.clone() })
    }

    /// What the shape tells of versions that could go and have not.
    fn held_by_versions(&self, shape: &Shape) -> HeldByVersions {
        let Totals { file_bytes, entries, tombstones, .. } = shape.totals();
        let oldest_run = shape.runs().next_back().map(|(_, run)| run);
        let oldest: Option<(u64, u64)> = oldest_run.map(|run| {
            let tombstones = run.tables.iter().fold(0_u64, |sum, meta| sum.saturating_add(meta.tombstones));
            (run.file_bytes(), tombstones)
        });
        let (oldest_bytes, oldest_tombstones) = oldest.unwrap_or_default();
        let mut held = HeldByVersions {
            above_oldest_run_bytes: file_bytes.saturating_sub(oldest_bytes),
            tombstones_above_oldest_run: tombstones.saturating_sub(oldest_tombstones),
            tombstones_in_oldest_run: oldest_tombstones,
            ..HeldByVersions::default()
        };
        if let Some((oldest_snapshot, _)) = self.snapshots.held().first() {
            let sum = |is: &dyn Fn(&terrace_compaction::TableMeta) -> bool| {
                let tables = shape.tables().filter(|(_, meta)| is(meta));
                tables.fold(0_u64, |sum, (_, meta)| sum.saturating_add(meta.entries))
            };
            let newer = sum(&|meta| meta.seqno_max > *oldest_snapshot);
            let older = sum(&|meta| meta.seqno_min <= *oldest_snapshot);
            let since = self.visible().get().saturating_sub(oldest_snapshot.get());
            // Each newer version hides at most one that the oldest snapshot sees.
            held.snapshot_versions_max = newer.min(older).min(since);
            let bytes = u128::from(file_bytes) * u128::from(held.snapshot_versions_max);
            let share = bytes / u128::from(entries.max(1));
            held.snapshot_bytes_max = u64::try_from(share).unwrap_or(u64::MAX);
        }
        held
    }
}
