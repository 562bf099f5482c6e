//! Applying an edit to a shape, and the invariants that every shape keeps.
//!
//! Invariants: *named once* (no table or run is in a shape twice), *sorted* (a run's tables ascend), *disjoint* (strictly: greatest key
//! less than the next least key), *no hollow runs* (a run without tables does not exist), *levels bounded* ([`LEVELS_MAX`]).
//!
//! An edit is checked whole before anything is changed, so that a refused edit (from a damaged manifest, say) leaves the shape as it
//! was. What an edit can not show is whether it keeps the order law: that is [`Shape::check`]'s business, before a task starts.
//!
//! Cost: O(tables) for each edit; tables are shared and not copied.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::shape::{LEVELS_MAX, Level, Run, RunId, Shape, ShapeEdit, ShapeError, TableId, TableMeta};
use crate::task::Output;

pub(crate) fn refuse<T>(words: String) -> Result<T, ShapeError> {
    Err(ShapeError(words))
}

/// Refuses tables that are not strictly ascending and disjoint.
pub(crate) fn check_sorted(tables: &[Arc<TableMeta>]) -> Result<(), ShapeError> {
    for table in tables {
        if table.smallest_key > table.largest_key {
            return refuse(format!("table {} has its least key after its greatest", table.id));
        }
    }
    for pair in tables.windows(2) {
        if pair[0].largest_key >= pair[1].smallest_key {
            return refuse(format!(
                "tables {} and {} of one run are not disjoint and ascending",
                pair[0].id, pair[1].id
            ));
        }
    }
    Ok(())
}

/// Where outputs go, found before anything is removed.
enum Place {
    /// Among the tables of this run.
    Into { level: usize, run: usize },
    /// As a new run at this index of the level.
    Before { level: usize, run: usize, id: RunId },
}

impl Shape {
    /// Carries out an edit: removes, then adds (see [`Output`] for where). Runs without tables vanish, and so do empty levels at the end.
    ///
    /// Cost: O(tables).
    ///
    /// # Errors
    ///
    /// When a removed table is not there, an added one is (and is not removed by the same edit), tables would overlap in a run, a new run has no
    /// name or one in use, or a level is out of bounds. The shape is then unchanged.
    pub fn apply(&mut self, edit: &ShapeEdit) -> Result<(), ShapeError> {
        let removed: BTreeSet<TableId> = edit.removed.iter().copied().collect();
        if removed.len() != edit.removed.len() {
            return refuse("an edit removes a table twice".to_owned());
        }
        self.check_names(&removed, edit)?;
        let addition = match &edit.added {
            Some((output, tables)) if !tables.is_empty() => {
                let place = self.place(output, &removed)?;
                Some((self.merged_tables(&place, tables, &removed)?, place))
            }
            _ => None,
        };
        if !removed.is_empty() {
            for run in self.levels.iter_mut().flat_map(|level| &mut level.runs) {
                run.tables.retain(|table| !removed.contains(&table.id));
            }
        }
        if let Some((tables, place)) = addition {
            match place {
                Place::Into { level, run } => self.levels[level].runs[run].tables = tables,
                Place::Before { level, run, id } => {
                    if self.levels.len() <= level {
                        self.levels.resize_with(level + 1, Level::default);
                    }
                    self.levels[level].runs.insert(run, Run { id, tables });
                }
            }
        }
        for level in &mut self.levels {
            level.runs.retain(|run| !run.tables.is_empty());
        }
        while self.levels.last().is_some_and(|level| level.runs.is_empty()) {
            self.levels.pop();
        }
        Ok(())
    }

    /// Refuses an edit that removes what is not there or adds what is.
    fn check_names(&self, removed: &BTreeSet<TableId>, edit: &ShapeEdit) -> Result<(), ShapeError> {
        let added_tables = edit.added.iter().flat_map(|(_, tables)| tables);
        let mut added = BTreeSet::new();
        for table in added_tables {
            if !added.insert(table.id) {
                return refuse(format!("an edit adds table {} twice", table.id));
            }
        }
        let mut found = 0;
        for (_, table) in self.tables() {
            if removed.contains(&table.id) {
                found += 1;
            } else if added.contains(&table.id) {
                return refuse(format!("an edit adds table {}, which is there already", table.id));
            }
        }
        if found == removed.len() {
            return Ok(());
        }
        let present: BTreeSet<TableId> = self.tables().map(|(_, table)| table.id).collect();
        let missing: Vec<String> = removed.difference(&present).map(TableId::to_string).collect();
        refuse(format!("an edit removes tables that are not there: {}", missing.join(", ")))
    }

    fn place(&self, output: &Output, removed: &BTreeSet<TableId>) -> Result<Place, ShapeError> {
        let level = output.level();
        if level >= LEVELS_MAX {
            return refuse(format!("level {level} is past the last possible one, {}", LEVELS_MAX - 1));
        }
        let runs = self.runs_of(level);
        let id = match *output {
            Output::IntoRun { run, .. } => {
                if let Some(index) = runs.iter().position(|candidate| candidate.id == run) {
                    return Ok(Place::Into { level, run: index });
                }
                run
            }
            Output::NewRun { run: Some(run), .. } => run,
            Output::NewRun { run: None, .. } => {
                return refuse("an edit adds a run without a name".to_owned());
            }
        };
        if let Some((at, _)) = self.run(id) {
            return refuse(format!("an edit adds run {id} to level {level}, but it is in level {at}"));
        }
        // Behind the oldest input run: versions never move to a newer place, which is what makes concurrent tasks safe (see guard.rs).
        let oldest_input =
            runs.iter().rposition(|run| run.tables.iter().any(|table| removed.contains(&table.id)));
        Ok(Place::Before { level, run: oldest_input.map_or(0, |index| index + 1), id })
    }

    /// The tables of the run that receives `added`, as they will be.
    fn merged_tables(
        &self,
        place: &Place,
        added: &[Arc<TableMeta>],
        removed: &BTreeSet<TableId>,
    ) -> Result<Vec<Arc<TableMeta>>, ShapeError> {
        let mut tables = added.to_vec();
        if let Place::Into { level, run } = *place {
            let staying =
                self.levels[level].runs[run].tables.iter().filter(|table| !removed.contains(&table.id));
            tables.extend(staying.cloned());
        }
        tables.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
        check_sorted(&tables)?;
        Ok(tables)
    }

    /// Checks every invariant that can be seen without reading tables: names, order and disjointness within runs, no empty runs, bounds.
    ///
    /// Cost: O(tables log tables).
    ///
    /// # Errors
    ///
    /// Naming the first thing found wrong.
    pub fn check_invariants(&self) -> Result<(), ShapeError> {
        if self.levels.len() > LEVELS_MAX {
            return refuse(format!("{} levels, at most {LEVELS_MAX} are possible", self.levels.len()));
        }
        let (mut table_ids, mut run_ids) = (BTreeSet::new(), BTreeSet::new());
        for (level, run) in self.runs() {
            if run.tables.is_empty() {
                return refuse(format!("run {} of level {level} is empty", run.id));
            }
            if !run_ids.insert(run.id) {
                return refuse(format!("run {} is there twice", run.id));
            }
            check_sorted(&run.tables)?;
            for table in &run.tables {
                if !table_ids.insert(table.id) {
                    return refuse(format!("table {} is there twice", table.id));
                }
            }
        }
        Ok(())
    }
}
