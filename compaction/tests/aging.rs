//! The policies that look at ages: first in, first out, and windows of time.

use std::sync::Arc;
use terrace_compaction::testing::{merge_metadata, render};
use terrace_compaction::{
    CompactionPicker, FifoOptions, FifoPicker, Level, PickContext, Plan, Run, RunId, Shape, TableId,
    TableMeta, TaskKind, WindowedOptions, WindowedPicker,
};

/// Runs of 64 bytes from the newest to the oldest, by level, named by when they were written.
fn written_at(levels: &[&[u64]]) -> Shape {
    let run = |at: &u64| {
        let table = TableMeta { created_at_unix_seconds: *at, ..TableMeta::sized(*at, "a", "z", 64) };
        Run { id: RunId(*at), tables: vec![Arc::new(table)] }
    };
    let level = |runs: &&[u64]| Level { runs: runs.iter().map(run).collect() };
    Shape { levels: levels.iter().map(level).collect() }
}

fn pick(picker: &dyn CompactionPicker, shape: &Shape, now_unix_seconds: u64, busy: &[u64]) -> Plan {
    let busy = busy.iter().map(|id| TableId(*id)).collect();
    let context = PickContext { busy, now_unix_seconds, tasks_max: 4, ..PickContext::default() };
    let plan = picker.pick(shape, &context);
    for task in &plan.tasks {
        shape.check(task, &context.busy).expect("the guard lets it pass");
    }
    plan
}

/// Kind, inputs and level of each task.
fn tasks(plan: &Plan) -> Vec<(TaskKind, Vec<u64>, usize)> {
    let task = |task: &terrace_compaction::Task| {
        (task.kind, task.inputs.iter().map(|id| id.0).collect(), task.output.level())
    };
    plan.tasks.iter().map(task).collect()
}

#[test]
fn fifo_drops_the_oldest_until_the_rest_fits() {
    let shape = written_at(&[&[50, 40, 30], &[20, 10]]);
    let picker = FifoPicker::new(FifoOptions { bytes_max: Some(200), age_seconds_max: None });
    let plan = pick(&picker, &shape, 60, &[]);
    assert_eq!(tasks(&plan), [(TaskKind::Drop, vec![20, 10], 1)]);
    assert_eq!(plan.debt_bytes, 128);
    // The elder is busy: nothing may fall off before it. And the newest stays whatever the bound.
    assert_eq!(tasks(&pick(&picker, &shape, 60, &[10])), []);
    assert_eq!(tasks(&pick(&picker, &shape, 60, &[20])), [(TaskKind::Drop, vec![10], 1)]);
    let none = FifoPicker::new(FifoOptions { bytes_max: Some(0), age_seconds_max: None });
    assert_eq!(tasks(&pick(&none, &shape, 60, &[])), [(TaskKind::Drop, vec![40, 30, 20, 10], 0)]);
}

#[test]
fn fifo_drops_what_is_too_old_and_nothing_younger() {
    let shape = written_at(&[&[50, 40, 30, 20, 10]]);
    let picker = FifoPicker::new(FifoOptions { bytes_max: None, age_seconds_max: Some(30) });
    assert_eq!(tasks(&pick(&picker, &shape, 50, &[])), [(TaskKind::Drop, vec![10], 0)]);
    assert_eq!(tasks(&pick(&picker, &shape, 40, &[])), []);
    assert_eq!(tasks(&pick(&picker, &shape, 1000, &[])), [(TaskKind::Drop, vec![50, 40, 30, 20, 10], 0)]);
    assert_eq!(tasks(&pick(&FifoPicker::default(), &shape, u64::MAX, &[])), []);
}

fn windowed(keep_seconds: Option<u64>) -> WindowedPicker {
    WindowedPicker::new(WindowedOptions { window_seconds: 10, keep_seconds, ..WindowedOptions::default() })
}

#[test]
fn a_window_that_is_past_becomes_one_run_of_level_1() {
    let shape = written_at(&[&[25, 21, 18, 15, 12], &[9, 8]]);
    assert_eq!(tasks(&pick(&windowed(None), &shape, 27, &[])), [(TaskKind::Merge, vec![18, 15, 12], 1)]);
    // The younger window is past too, but must not overtake the elder.
    assert_eq!(tasks(&pick(&windowed(None), &shape, 30, &[15])), []);
    // A lone run is moved, not read.
    let lone = written_at(&[&[25, 12], &[9]]);
    assert_eq!(tasks(&pick(&windowed(None), &lone, 27, &[])), [(TaskKind::Move, vec![12], 1)]);
    // While the window is open its runs stay.
    assert_eq!(tasks(&pick(&windowed(None), &written_at(&[&[15, 12], &[9]]), 19, &[])), []);
}

#[test]
fn an_open_window_gathers_its_runs() {
    let shape = written_at(&[&[24, 23, 22, 21, 12], &[9]]);
    let plan = pick(&windowed(None), &shape, 25, &[]);
    assert_eq!(
        tasks(&plan),
        [(TaskKind::Move, vec![12], 1), (TaskKind::Merge, vec![24, 23, 22, 21], 0)],
        "{plan:?}"
    );
    assert_eq!(tasks(&pick(&windowed(None), &written_at(&[&[23, 22, 21]]), 25, &[])), []);
}

#[test]
fn windows_expire_from_the_old_end() {
    let shape = written_at(&[&[45], &[39, 29, 19, 9]]);
    assert_eq!(tasks(&pick(&windowed(Some(25)), &shape, 46, &[])), [(TaskKind::Drop, vec![19, 9], 1)]);
    assert_eq!(tasks(&pick(&windowed(Some(25)), &shape, 46, &[9])), []);
    assert_eq!(tasks(&pick(&windowed(None), &shape, 46, &[])), []);
}

#[test]
fn windows_are_never_merged_with_one_another() {
    let (mut shape, mut name) = (Shape::default(), 1000);
    for at in 0..200_u64 {
        let mut levels = written_at(&[&[at + 1]]).levels;
        let flush = levels.remove(0).runs.remove(0);
        if shape.levels.is_empty() {
            shape.levels.push(Level::default());
        }
        shape.levels[0].runs.insert(0, flush);
        loop {
            let plan = pick(&windowed(Some(95)), &shape, at + 1, &[]);
            let Some(task) = plan.tasks.first() else { break };
            let mut edit = merge_metadata(&shape, task, &mut name);
            if task.kind == TaskKind::Merge
                && let Some((_, tables)) = &mut edit.added
            {
                for table in tables {
                    Arc::make_mut(table).created_at_unix_seconds = at + 1;
                }
            }
            shape.apply(&edit).expect("a checked task fits");
        }
        assert!(shape.runs_of(0).len() <= 8, "{}", render(&shape));
    }
    // Ten windows are kept, and the one that was closed last is no older than its bound.
    assert!((9..=10).contains(&shape.runs_of(1).len()), "{}", render(&shape));
    assert!(shape.runs_of(1).iter().all(|run| run.file_bytes() == 640), "{}", render(&shape));
}

/// What was weighed, in words.
fn words(plan: &Plan) -> Vec<String> {
    plan.weighed.iter().map(ToString::to_string).collect()
}

#[test]
fn fifo_says_what_it_measured() {
    let shape = written_at(&[&[50, 40, 30]]);
    let bounded = FifoPicker::new(FifoOptions { bytes_max: Some(1 << 20), age_seconds_max: Some(30) });
    let bytes = "the tree holds 192 B, due above 1.0 MiB: not due";
    let said = words(&pick(&bounded, &shape, 61, &[]));
    assert_eq!(said, [bytes, "the oldest data of the tree are 31 s old, due above 30 s: picked"]);
    let said = words(&pick(&bounded, &shape, 61, &[30]));
    let busy =
        "the oldest data of the tree are 31 s old, due above 30 s: due, but waits for tables that are busy";
    assert_eq!(said, [bytes, busy]);
    let said = words(&pick(&FifoPicker::default(), &shape, 61, &[]));
    assert_eq!(
        said,
        [
            "the tree holds 192 B, which has no bound",
            "the oldest data of the tree are 31 s old, which has no bound"
        ]
    );
    let none = FifoPicker::new(FifoOptions { bytes_max: Some(0), age_seconds_max: None });
    let said = words(&pick(&none, &written_at(&[&[50]]), 60, &[]));
    assert_eq!(said[0], "the tree holds 64 B, due above 0 B: due, but the newest run stays");
}

#[test]
fn windowed_says_what_it_measured() {
    let shape = written_at(&[&[29, 28], &[15]]);
    let said = words(&pick(&windowed(Some(25)), &shape, 29, &[]));
    assert_eq!(
        said,
        [
            "the oldest data of the tree are 14 s old, due above 25 s: not due",
            "level 0: 0 windows since its oldest run was written, due from 1 on: not due",
            "level 0 holds 2 similar neighbours, due from 4 on: not due"
        ]
    );
    let said = words(&pick(&windowed(None), &shape, 45, &[28]));
    assert_eq!(said[0], "the oldest data of the tree are 30 s old, which has no bound");
    let past = "level 0: 2 windows since its oldest run was written, due from 1 on: \
                due, but waits for tables that are busy";
    assert_eq!(said[1], past);
    let said = words(&pick(&windowed(Some(25)), &shape, 45, &[]));
    assert_eq!(said[0], "the oldest data of the tree are 30 s old, due above 25 s: picked");
}
