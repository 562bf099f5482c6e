//! What a picker would do to a shape until it is at rest, without touching anything: its tasks are applied to a copy, again and again.
//!
//! Sizes of outputs are those that the tasks themselves expect ([`Task::outcome`]), and time stands still, so a policy that goes by age may do more
//! once time has passed.

use core::fmt;

use crate::outcome::TaskCost;
use crate::shape::{Shape, ShapeError};
use crate::task::Task;
use crate::{CompactionPicker, PickContext};

/// One task of a dry run.
#[derive(Clone, Debug, PartialEq)]
pub struct DryStep {
    /// How often the picker was asked before.
    pub round: usize,
    /// What is done, for people.
    pub what: String,
    /// The task; its inputs may be outputs of earlier ones, whose names are invented.
    pub task: Task,
    /// What it costs.
    pub cost: TaskCost,
}

/// A dry run. `Display` lists it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DryRun {
    /// What would be done, in this order.
    pub steps: Vec<DryStep>,
    /// What it costs together.
    pub cost: TaskCost,
    /// Whether the picker then wants nothing more; false when the run was cut short.
    pub at_rest: bool,
    /// A task that [`Shape::check`] refused, which ended the run.
    pub refused: Option<String>,
    /// The shape afterwards.
    pub shape: Shape,
}

impl DryRun {
    /// Asks `picker` again and again and applies its tasks to a copy of `shape`, until it wants nothing more or `steps_max` are done.
    ///
    /// Nothing is running: what the context says is busy is not looked at. Let [`Task::outcome`] end what runs first.
    ///
    /// Cost: O(tables) for each step, beside the picker's.
    #[must_use]
    pub fn new<P: CompactionPicker + ?Sized>(
        picker: &P,
        shape: &Shape,
        context: &PickContext,
        steps_max: usize,
    ) -> Self {
        let mut run = DryRun { shape: shape.clone(), ..DryRun::default() };
        let runs = shape.runs().count();
        (run.cost.runs_before, run.cost.runs_after) = (runs, runs);
        let mut context = context.clone();
        context.busy.clear();
        context.tasks_max = context.tasks_max.max(1);
        let names = shape.tables().map(|(_, table)| table.id.0).chain(shape.runs().map(|(_, run)| run.id.0));
        let mut name = names.max().unwrap_or(0);
        for round in 0.. {
            let tasks = picker.pick(&run.shape, &context).tasks;
            if tasks.is_empty() {
                run.at_rest = true;
                break;
            }
            for task in tasks.into_iter().take(context.tasks_max) {
                if run.steps.len() >= steps_max {
                    return run;
                }
                if let Err(error) = run.step(round, task, &context, &mut name) {
                    run.refused = Some(error.to_string());
                    return run;
                }
            }
        }
        run
    }

    fn step(
        &mut self,
        round: usize,
        task: Task,
        context: &PickContext,
        name: &mut u64,
    ) -> Result<(), ShapeError> {
        self.shape.check(&task, &context.busy)?;
        let (what, cost) = (task.describe(&self.shape), task.cost(&self.shape)?);
        let edit = task.outcome(&self.shape, context.now_unix_seconds, name)?;
        self.shape.apply(&edit)?;
        self.cost += cost;
        self.steps.push(DryStep { round, what, task, cost });
        Ok(())
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {}", number + 1, step.what)?;
            writeln!(f, "      because {}", step.task.reason)?;
            writeln!(f, "      {}", step.cost)?;
        }
        match (&self.refused, self.at_rest, self.steps.is_empty()) {
            (Some(words), _, _) => writeln!(f, "then a task is refused: {words}"),
            (None, true, true) => writeln!(f, "nothing is to be done"),
            (None, true, false) => writeln!(f, "then nothing more is to be done; in all: {}", self.cost),
            (None, false, _) => writeln!(f, "and more, which is not shown; so far: {}", self.cost),
        }
    }
}
