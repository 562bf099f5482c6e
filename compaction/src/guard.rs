//! The guard: which tasks keep the order law, so that strangers can write pickers safely.
//!
//! Read a shape as one list of runs from the newest to the oldest. A task takes its inputs out of the list and puts its outputs at one
//! *place*: within a run, behind a run, or in front of a level. It keeps the order law when
//!
//! 1. *older-wards*: the place is not newer than any input, and
//! 2. *nothing passed*: no table that stays, lies between an input and the place (or in the output's run) and overlaps that input, and
//! 3. *linked*: when outputs of a merge go between the tables of a run, the inputs' key ranges leave no gap between them.
//!
//! Why 3: outputs are cut by size, so one may span any gap between inputs, and a table that stands or will stand in the gap would
//! overlap it. Without gaps, whatever could be in the way overlaps an input and is caught by 2.
//!
//! Why these are enough while other tasks run, though a task is checked when it is picked and applied much later: let tasks A and B run at
//! once, with inputs a and b that overlap, a newer than b. Each was a table that stays when the other was checked (or b did not exist when
//! A was picked; but new tables come by flushes, in front of all). By 2, A's place is newer than b's; by 1, b only ever moves
//! further from it. So a stays newer than b whichever is applied first. Were merges allowed to lift versions to a newer place, this would be false, and
//! the set of busy tables would not suffice as a description of what runs.
//!
//! Dropping without reading ([`TaskKind::Drop`]) must not uncover an older version: nothing older that stays may overlap.
//!
//! Cost: with n tables, i inputs and r runs O(n log i + i r log n).

use std::collections::BTreeSet;
use std::sync::Arc;
use terrace_entry::SeqNo;

use crate::edit::{check_sorted, refuse};
use crate::shape::{LEVELS_MAX, Run, Shape, ShapeError, TableId, TableMeta};
use crate::task::{Output, Reason, Task, TaskKind};

/// Places in the list of runs, so that they can be compared: run number k stands at 2k + 1, the gaps around it at 2k and 2k + 2.
type Place = usize;

fn place_of_run(number: usize) -> Place {
    2 * number + 1
}

/// An input and where it stands.
struct Input<'a> {
    place: Place,
    level: usize,
    table: &'a Arc<TableMeta>,
}

/// A run with what the guard asks of it.
struct RunView<'a> {
    level: usize,
    run: &'a Run,
    /// Whether any of its tables is no input.
    stays: bool,
}

/// A task's view of a shape.
struct View<'a> {
    /// Sorted, to be searched.
    names: Vec<TableId>,
    runs: Vec<RunView<'a>>,
    inputs: Vec<Input<'a>>,
}

impl<'a> View<'a> {
    fn new(shape: &'a Shape, inputs: &[TableId]) -> Result<Self, ShapeError> {
        let mut names = inputs.to_vec();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(format!("table {} is an input twice", pair[0]));
        }
        let mut view = View { names, runs: Vec::new(), inputs: Vec::with_capacity(inputs.len()) };
        for (number, (level, run)) in shape.runs().enumerate() {
            let before = view.inputs.len();
            for table in &run.tables {
                if view.names.binary_search(&table.id).is_ok() {
                    view.inputs.push(Input { place: place_of_run(number), level, table });
                }
            }
            let stays = view.inputs.len() - before < run.tables.len();
            view.runs.push(RunView { level, run, stays });
        }
        if view.inputs.len() == view.names.len() {
            return Ok(view);
        }
        let missing = view.names.iter().find(|&&name| view.inputs.iter().all(|input| input.table.id != name));
        refuse(missing.map_or_else(
            || "a table is in the shape twice".to_owned(),
            |name| format!("input table {name} is not there"),
        ))
    }

    fn place(&self, output: &Output) -> Result<Place, ShapeError> {
        let level = output.level();
        if level >= LEVELS_MAX {
            return refuse(format!("level {level} is past the last possible one, {}", LEVELS_MAX - 1));
        }
        match *output {
            Output::IntoRun { run, .. } => {
                let found = self.runs.iter().position(|view| view.level == level && view.run.id == run);
                found.map(place_of_run).ok_or_else(|| ShapeError(format!("level {level} has no run {run}")))
            }
            Output::NewRun { .. } => {
                let oldest =
                    self.inputs.iter().filter(|input| input.level == level).map(|input| input.place).max();
                let front = || 2 * self.runs.partition_point(|view| view.level < level);
                Ok(oldest.map_or_else(front, |place| place + 1))
            }
        }
    }

    /// A table that stays, in one of the runs at `places`, and overlaps `input`.
    fn obstacle(
        &self,
        input: &Input<'_>,
        places: core::ops::RangeInclusive<Place>,
    ) -> Option<&'a Arc<TableMeta>> {
        let (smallest, largest) = (&input.table.smallest_key, &input.table.largest_key);
        let (first, last) = (places.start() / 2, (places.end().saturating_sub(1)) / 2);
        let runs = self.runs.iter().take(last + 1).skip(first).filter(|view| view.stays);
        runs.flat_map(|view| view.run.overlapping(smallest, largest))
            .find(|table| self.names.binary_search(&table.id).is_err())
    }

    fn sorted_inputs(&self) -> Vec<Arc<TableMeta>> {
        let mut tables: Vec<Arc<TableMeta>> =
            self.inputs.iter().map(|input| Arc::clone(input.table)).collect();
        tables.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
        tables
    }

    fn check_carry(&self, place: Place, level: usize) -> Result<(), ShapeError> {
        for input in &self.inputs {
            let id = input.table.id;
            if input.place > place {
                return refuse(format!(
                    "table {id} of level {} would move to a newer place in level {level}",
                    input.level
                ));
            }
            if let Some(table) = self.obstacle(input, input.place + 1..=place) {
                return refuse(format!(
                    "table {id} would be carried past or into table {}, which overlaps it, is older and stays",
                    table.id
                ));
            }
        }
        Ok(())
    }

    fn check_linked(&self) -> Result<(), ShapeError> {
        let tables = self.sorted_inputs();
        let mut reach = &tables[0];
        for table in &tables[1..] {
            if table.smallest_key > reach.largest_key {
                let words = format!(
                    "the inputs leave a gap between tables {} and {}; a merge into a run must have none (make two tasks of it)",
                    reach.id, table.id
                );
                return refuse(words);
            }
            if table.largest_key > reach.largest_key {
                reach = table;
            }
        }
        Ok(())
    }

    fn check_move(&self, output: &Output, place: Place) -> Result<(), ShapeError> {
        check_sorted(&self.sorted_inputs())?;
        let first = self.inputs[0].place;
        let stays_put = match output {
            Output::IntoRun { .. } => self.inputs.iter().any(|input| input.place == place),
            Output::NewRun { .. } => {
                place == first + 1
                    && self.inputs.iter().all(|input| input.place == first)
                    && self.inputs[0].level == output.level()
                    && !self.runs[first / 2].stays
            }
        };
        if stays_put {
            return refuse("a move leaves a table where it is".to_owned());
        }
        Ok(())
    }
}

impl Shape {
    /// Whether a task may be carried out on this shape, now or while the tasks that read `busy` run: see the laws of
    /// [`crate::CompactionPicker`].
    ///
    /// Refused are tasks that
    /// * have no inputs, or name a table twice, one that is not there or one that is busy;
    /// * would move a version to a newer place, or past (or into the run of) a table that stays and overlaps the version's table;
    /// * merge into a run from inputs with a gap between their key ranges (what is put in the gap meanwhile could collide with an output);
    /// * move tables that overlap each other, or move nothing;
    /// * drop a table while an older one that overlaps it stays, so that deleted or replaced versions would come back.
    ///
    /// Cost: O(tables log inputs + inputs · runs · log tables).
    ///
    /// # Errors
    ///
    /// Says what is wrong, naming tables.
    pub fn check(&self, task: &Task, busy: &BTreeSet<TableId>) -> Result<(), ShapeError> {
        if let Some(id) = task.inputs.iter().find(|id| busy.contains(id)) {
            return refuse(format!("input table {id} is busy"));
        }
        if task.inputs.is_empty() {
            return refuse("a task has no inputs".to_owned());
        }
        let view = View::new(self, &task.inputs)?;
        if task.kind == TaskKind::Drop {
            for input in &view.inputs {
                if let Some(table) = view.obstacle(input, input.place + 1..=place_of_run(view.runs.len())) {
                    let id = input.table.id;
                    return refuse(format!(
                        "dropping table {id} would uncover older versions in table {}",
                        table.id
                    ));
                }
            }
            return Ok(());
        }
        let place = view.place(&task.output)?;
        view.check_carry(place, task.output.level())?;
        match (task.kind, task.output) {
            (TaskKind::Move, output) => view.check_move(&output, place),
            (_, _) if task.target_table_bytes == 0 => {
                refuse("a merge has a target of 0 bytes for its tables".to_owned())
            }
            (_, Output::IntoRun { .. }) => view.check_linked(),
            (_, Output::NewRun { .. }) => Ok(()),
        }
    }

    /// The tables that stay and may hold versions older than the outputs of a task with these inputs and output: when none of
    /// them can hold a key, the key's tombstones may go. For a task that passes [`Shape::check`].
    ///
    /// The answer holds until the task is applied, whatever else is: versions move older-wards only and past no input.
    ///
    /// # Errors
    ///
    /// When an input or the output run is not there.
    pub fn older_tables(&self, inputs: &[TableId], output: &Output) -> Result<OlderTables, ShapeError> {
        let view = View::new(self, inputs)?;
        let place = view.place(output)?;
        let smallest = view.inputs.iter().map(|input| &input.table.smallest_key).min();
        let largest = view.inputs.iter().map(|input| &input.table.largest_key).max();
        let (Some(smallest), Some(largest)) = (smallest, largest) else {
            return Ok(OlderTables { runs: Vec::new() });
        };
        let older =
            view.runs.iter().enumerate().filter(|(number, run)| place_of_run(*number) > place && run.stays);
        let staying = older.map(|(_, run)| {
            let tables = run.run.overlapping(smallest, largest).iter();
            tables.filter(|table| view.names.binary_search(&table.id).is_err()).cloned().collect::<Vec<_>>()
        });
        Ok(OlderTables {
            runs: staying.filter(|tables| !tables.is_empty()).map(|tables| (0, tables)).collect(),
        })
    }

    /// Whether no table that stays holds, by its key range, versions of `smallest..=largest` older than the outputs of such a task.
    ///
    /// # Errors
    ///
    /// As [`Shape::older_tables`].
    pub fn is_bottommost(
        &self,
        inputs: &[TableId],
        output: &Output,
        smallest: &[u8],
        largest: &[u8],
    ) -> Result<bool, ShapeError> {
        Ok(!self.older_tables(inputs, output)?.overlap(smallest, largest))
    }

    /// The tables that outputs in the next level would meet when they are compacted further: those of the largest run of the first deeper level that
    /// is not empty, within the hull of `inputs`. For [`crate::OutputCutter`].
    ///
    /// Cost: O(tables).
    #[must_use]
    pub fn grandparents(&self, inputs: &[TableId], output: &Output) -> Vec<Arc<TableMeta>> {
        let Ok(view) = View::new(self, inputs) else { return Vec::new() };
        let deeper = self.levels.iter().skip(output.level() + 1).find(|level| !level.runs.is_empty());
        let run = deeper.and_then(|level| level.runs.iter().max_by_key(|run| run.file_bytes()));
        let smallest = view.inputs.iter().map(|input| &input.table.smallest_key).min();
        let largest = view.inputs.iter().map(|input| &input.table.largest_key).max();
        match (run, smallest, largest) {
            (Some(run), Some(smallest), Some(largest)) => run.overlapping(smallest, largest).to_vec(),
            _ => Vec::new(),
        }
    }

    /// The task that merges everything into one run at the deepest level in use (at least level 1): what a person who asks for a full compaction gets.
    /// `None` for an empty shape and for one that is a single run there already, out of which such a merge has taken all that could go: it holds no
    /// tombstone, and its versions have lost their sequence numbers, as they do where nothing older is and no snapshot needs them.
    #[must_use]
    pub fn full_merge(&self, target_table_bytes: u64) -> Option<Task> {
        let deepest = self.runs().next_back()?.0.max(1);
        let is_done = |meta: &TableMeta| meta.tombstones == 0 && meta.seqno_max == SeqNo::ZERO;
        let is_one_run = self.runs().count() == 1 && self.runs_of(deepest).len() == 1;
        if is_one_run && self.tables().all(|(_, meta)| is_done(meta)) {
            return None;
        }
        Some(Task {
            kind: TaskKind::Merge,
            inputs: self.tables().map(|(_, table)| table.id).collect(),
            output: Output::NewRun { level: deepest, run: None },
            target_table_bytes,
            cuts: Vec::new(),
            reason: Reason::Manual,
        })
    }
}

/// Tables that may hold older versions than a task's outputs; asked key by key in a merge. Made by [`Shape::older_tables`].
#[derive(Clone, Debug)]
pub struct OlderTables {
    /// For each run: the first table that is not before the last key asked, and the tables.
    runs: Vec<(usize, Vec<Arc<TableMeta>>)>,
}

impl OlderTables {
    /// Whether one of them holds `user_key`, by its key range.
    ///
    /// Keys must be asked in ascending order (equal ones may repeat), as a merge meets them; then m questions cost O(m · runs + tables).
    #[inline]
    pub fn may_hold(&mut self, user_key: &[u8]) -> bool {
        let mut held = false;
        for (at, tables) in &mut self.runs {
            while tables.get(*at).is_some_and(|table| table.largest_key.as_slice() < user_key) {
                *at += 1;
            }
            held |= tables.get(*at).is_some_and(|table| table.smallest_key.as_slice() <= user_key);
        }
        held
    }

    /// Whether one of them overlaps `smallest..=largest`.
    #[must_use]
    pub fn overlap(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.runs.iter().any(|(_, tables)| tables.iter().any(|table| table.overlaps(smallest, largest)))
    }

    /// Whether there are none: every key is at the bottom.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}
