//! The conformance suite for [`CompactionPicker`].

use std::collections::BTreeSet;
use std::sync::Arc;
use terrace_entry::SeqNo;

use super::{ModelTree, Random};
use crate::shape::{Level, Run, RunId, Shape, ShapeEdit, TableId, TableMeta};
use crate::task::{Output, Plan, Task};
use crate::weigh::Verdict;
use crate::{CompactionPicker, PickContext};

/// Checks the laws of [`CompactionPicker`]: on the empty tree and on one table; on `steps` random shapes that no engine would make (many runs in
/// every level, sizes of zero and near the greatest number, equal ranges, single keys, anything busy); and on a living [`ModelTree`] with `steps`
/// flushes, snapshots, task starts and finishes in random order, for tables from tiny to huge. All drawn from `seed`.
///
/// # Panics
///
/// Naming the law and the shape, at the first thing that is not as it should be.
pub fn check_picker(picker: &dyn CompactionPicker, seed: u64, steps: usize) {
    assert!(!picker.name().is_empty(), "a picker has a name");
    let empty =
        pick_checked(picker, &Shape::default(), &PickContext { tasks_max: 4, ..PickContext::default() });
    assert!(empty.tasks.is_empty(), "nothing is to be done for an empty tree");
    let mut random = Random::new(seed);
    for level in [0, 1, 6] {
        let mut levels = vec![Level::default(); level];
        let table = Arc::new(TableMeta::sized(1, "a", "z", 64 << 20));
        levels.push(Level { runs: vec![Run { id: RunId(1), tables: vec![table] }] });
        check_progress(picker, Shape { levels }, &mut random);
    }
    for step in 0..steps {
        let shape = hostile_shape(&mut random, step % 3 == 0);
        let busy = random_busy(&shape, &mut random);
        let vain_reads = shape.tables().map(|(_, table)| (table.id, random.next_u64() >> random.below(64)));
        let vain_reads = vain_reads.take(20).collect();
        let context = PickContext {
            busy,
            now_unix_seconds: random.next_u64() >> 20,
            tasks_max: random.index(9),
            oldest_snapshot: random.one_in(4).then(|| SeqNo::new(random.below(1000))),
            vain_reads,
        };
        pick_checked(picker, &shape, &context);
        check_pressure(picker, &shape, &context, &mut random);
        if step % 4 == 0 {
            check_progress(picker, shape, &mut random);
        }
    }
    for version_bytes in [100, 1 << 20, 24 << 20, 1 << 30] {
        check_life(picker, version_bytes, &mut random, steps);
    }
}

/// Laws 1, 2, 5 and 6: the same plan twice, every task passes the guard, no table in two tasks, reasons, and what time does.
fn pick_checked(picker: &dyn CompactionPicker, shape: &Shape, context: &PickContext) -> Plan {
    let plan = picker.pick(shape, context);
    let again = picker.pick(&shape.clone(), &context.clone());
    assert_eq!(plan, again, "law 1: equal arguments give equal plans\n{shape}");
    assert!(plan.pressure.is_finite() && plan.pressure >= 0.0, "pressure is {}\n{shape}", plan.pressure);
    let mut claimed = context.busy.clone();
    for task in &plan.tasks {
        if let Err(error) = shape.check(task, &claimed) {
            panic!("law 2: {error}\n{task:?}\nbusy or in an earlier task: {claimed:?}\n{shape}");
        }
        claimed.extend(task.inputs.iter().copied());
    }
    check_reasons(&plan, shape);
    check_time(picker, &plan, shape, context);
    plan
}

/// Law 6.
fn check_time(picker: &dyn CompactionPicker, plan: &Plan, shape: &Shape, context: &PickContext) {
    let now = context.now_unix_seconds;
    let from = plan.look_again_unix_seconds;
    assert!(from.is_none_or(|from| from > now), "law 6: {from:?} does not lie ahead of {now}\n{shape}");
    if !plan.tasks.is_empty() || !context.busy.is_empty() || context.tasks_max == 0 {
        return;
    }
    let before = from.map_or(u64::MAX, |from| from - 1);
    let later = PickContext { now_unix_seconds: before, ..context.clone() };
    let tasks = picker.pick(shape, &later).tasks;
    assert!(
        tasks.is_empty(),
        "law 6: at {now} the picker asks to be asked again at {from:?}, and wants {tasks:?} at {before}\n{shape}"
    );
}

/// Law 5.
fn check_reasons(plan: &Plan, shape: &Shape) {
    for weighed in &plan.weighed {
        let within = weighed.verdict == Verdict::Within;
        assert_eq!(within, !weighed.is_due(), "law 5: {weighed}\n{shape}");
        if let Verdict::Picked { tasks } = weighed.verdict {
            assert!(
                (1..=plan.tasks.len()).contains(&tasks),
                "law 5: {weighed}, of {:?}\n{shape}",
                plan.tasks
            );
        }
    }
    if !plan.tasks.is_empty() {
        return;
    }
    for level in (0..shape.levels.len()).filter(|&level| !shape.runs_of(level).is_empty()) {
        let said = plan.weighed.iter().any(|weighed| weighed.covers(level));
        assert!(said, "law 5: nothing says why nothing is done in level {level}\n{shape}");
    }
}

/// Law 4, for runs of several ranges and sizes.
fn check_pressure(picker: &dyn CompactionPicker, shape: &Shape, context: &PickContext, random: &mut Random) {
    let mut shape = shape.clone();
    let mut pressure = picker.pick(&shape, context).pressure;
    for added in 0..8_u64 {
        let (a, b) = (random.below(256) as u8, random.below(256) as u8);
        let bytes = random.next_u64() >> random.below(64);
        let table = TableMeta::sized(1_000_000 + added, [a.min(b)], [a.max(b)], bytes);
        let run = Some(RunId(1_000_000 + added));
        let edit = ShapeEdit {
            removed: Vec::new(),
            added: Some((Output::NewRun { level: 0, run }, vec![Arc::new(table)])),
        };
        shape.apply(&edit).expect("a flush fits every shape");
        let now = picker.pick(&shape, context).pressure;
        assert!(
            now >= pressure,
            "law 4: pressure fell from {pressure} to {now} by a flush of {bytes} bytes\n{shape}"
        );
        pressure = now;
    }
}

/// Law 3, on metadata: tasks are applied until there are none.
fn check_progress(picker: &dyn CompactionPicker, mut shape: Shape, random: &mut Random) {
    let tables = shape.totals().tables;
    let rounds_max = 100 + 40 * tables;
    let context = PickContext { tasks_max: 1 + random.index(6), ..PickContext::default() };
    let mut name = 2_000_000;
    let begin = shape.clone();
    for _ in 0..rounds_max {
        let mut tasks = pick_checked(picker, &shape, &context).tasks;
        if tasks.is_empty() {
            return;
        }
        // Finished in another order than picked, as happens.
        while !tasks.is_empty() {
            let task = tasks.swap_remove(random.index(tasks.len()));
            let edit = merge_metadata(&shape, &task, &mut name);
            if let Err(error) = shape.apply(&edit) {
                panic!("a checked task does not fit: {error}\n{task:?}\n{shape}");
            }
            shape.check_invariants().expect("invariants hold");
        }
    }
    panic!("law 3: still not at rest after {rounds_max} rounds; began with\n{begin}\nnow\n{shape}");
}

/// The edit that carrying out a task would give, without any versions: outputs have the inputs' bytes and ranges, split where an input
/// begins. New names are counted on from `name`.
///
/// # Panics
///
/// When an input is not in the shape.
#[must_use]
pub fn merge_metadata(shape: &Shape, task: &Task, name: &mut u64) -> ShapeEdit {
    let wanted: BTreeSet<TableId> = task.inputs.iter().copied().collect();
    let tables = shape.tables().map(|(_, table)| table);
    let inputs: Vec<_> = tables.filter(|table| wanted.contains(&table.id)).cloned().collect();
    assert_eq!(inputs.len(), task.inputs.len(), "every input is in the shape");
    task.edit(inputs, name, |piece, id| {
        let bytes = piece.bytes / piece.shares * piece.share;
        Some(TableMeta::sized(id.0, piece.smallest_key, piece.largest_key, bytes))
    })
}

/// A tree with versions, written to and compacted at once, with tasks that overlap in time.
fn check_life(picker: &dyn CompactionPicker, version_bytes: u64, random: &mut Random, steps: usize) {
    let mut tree = ModelTree::new(version_bytes);
    let mut written = 0_u64;
    for _ in 0..steps {
        match random.below(8) {
            0..=2 => tree.flush(&random_writes(random, &mut written)),
            3 if random.one_in(2) => tree.take_snapshot(),
            3 => tree.release_snapshot(),
            4..=5 => {
                let plan = pick_checked(picker, tree.shape(), &tree.context(3));
                for task in plan.tasks.iter().take(3) {
                    tree.start(task).expect("checked just now");
                }
            }
            _ if tree.running() > 0 => {
                let number = random.index(tree.running());
                tree.finish(number);
            }
            _ => {}
        }
    }
    while tree.running() > 0 {
        tree.finish(random.index(tree.running()));
    }
    let rounds_max = 200 + 40 * tree.shape().totals().tables;
    for _ in 0..rounds_max {
        let plan = pick_checked(picker, tree.shape(), &tree.context(2));
        if plan.tasks.is_empty() {
            return;
        }
        for task in plan.tasks.iter().take(2) {
            tree.start(task).expect("checked just now");
        }
        while tree.running() > 0 {
            tree.finish(random.index(tree.running()));
        }
    }
    panic!("law 3: still not at rest after {rounds_max} rounds\n{}", tree.shape());
}

fn random_writes(random: &mut Random, written: &mut u64) -> Vec<(Vec<u8>, bool)> {
    let count = 1 + random.below(12);
    let (style, base) = (random.below(4), random.below(200));
    let mut writes = Vec::new();
    for _ in 0..count {
        *written += 1;
        let key = match style {
            0 => random.below(256),
            1 => base + random.below(20),
            2 => base,
            _ => 256 + *written,
        };
        writes.push(((key as u16).to_be_bytes().to_vec(), random.one_in(4)));
    }
    writes
}

fn random_busy(shape: &Shape, random: &mut Random) -> BTreeSet<TableId> {
    let odds = [1, 2, 10, 1_000_000][random.index(4)];
    shape
        .tables()
        .map(|(_, table)| table.id)
        .filter(|_| random.one_in(odds) && odds > 1 || random.one_in(40))
        .collect()
}

/// A shape that keeps the invariants, and nothing else.
fn hostile_shape(random: &mut Random, tame: bool) -> Shape {
    let (mut table_name, mut run_name) = (0, 0);
    let mut levels = Vec::new();
    for level in 0..random.index(9) {
        let run_count = match (level, tame) {
            (0, _) => random.index(40),
            (_, true) => random.index(2),
            (_, false) => random.index(4),
        };
        let mut runs = Vec::new();
        for _ in 0..run_count {
            let tables = hostile_run(random, &mut table_name);
            if !tables.is_empty() {
                run_name += 1;
                runs.push(Run { id: RunId(run_name), tables });
            }
        }
        levels.push(Level { runs });
    }
    Shape { levels }
}

fn hostile_run(random: &mut Random, name: &mut u64) -> Vec<Arc<TableMeta>> {
    let mut cuts: Vec<u8> = (0..random.index(24)).map(|_| random.below(256) as u8).collect();
    if random.one_in(3) {
        cuts = vec![0, 255];
    }
    cuts.sort_unstable();
    cuts.dedup();
    let size_class = random.below(5);
    let mut tables = Vec::new();
    for pair in cuts.chunks(if random.one_in(3) { 1 } else { 2 }) {
        let bytes = match size_class {
            0 => 0,
            1 => u64::MAX - random.below(3),
            2 => random.next_u64() >> random.below(64),
            _ => random.below(256 << 20),
        };
        *name += 1;
        let mut table = TableMeta::sized(*name, [pair[0]], [pair[pair.len() - 1]], bytes);
        table.tombstones = random.below(table.entries.saturating_add(2));
        table.created_at_unix_seconds = random.next_u64() >> random.below(64);
        tables.push(Arc::new(table));
    }
    tables
}
