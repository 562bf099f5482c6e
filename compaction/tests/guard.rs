//! `Shape::check` by example, and against a tree with real versions under random tasks that overlap in time.

use std::collections::BTreeSet;
use terrace_compaction::testing::{Fixture, ModelTree, Random, fixture};
use terrace_compaction::{Output, Reason, RunId, Shape, TableId, Task, TaskKind};

fn task(kind: TaskKind, inputs: &[u64], output: Output) -> Task {
    let inputs = inputs.iter().copied().map(TableId).collect();
    Task { kind, inputs, output, target_table_bytes: 64 << 20, cuts: Vec::new(), reason: Reason::Manual }
}

fn new_run(level: usize) -> Output {
    Output::NewRun { level, run: None }
}

/// Into the oldest run of a level.
fn into(shape: &Shape, level: usize) -> Output {
    Output::IntoRun { level, run: shape.runs_of(level).last().unwrap().id }
}

/// What the guard says; empty when it lets the task through.
fn verdict(tree: &str, kind: TaskKind, inputs: &[u64], output: impl Fn(&Shape) -> Output) -> String {
    let Fixture { shape, busy } = fixture(tree);
    shape
        .check(&task(kind, inputs, output(&shape)), &busy)
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

#[track_caller]
fn allows(tree: &str, kind: TaskKind, inputs: &[u64], output: impl Fn(&Shape) -> Output) {
    assert_eq!(verdict(tree, kind, inputs, output), "");
}

#[track_caller]
fn refuses(tree: &str, kind: TaskKind, inputs: &[u64], output: impl Fn(&Shape) -> Output, words: &str) {
    let verdict = verdict(tree, kind, inputs, output);
    assert!(verdict.contains(words), "said {verdict:?}");
}

use TaskKind::{Drop, Merge, Move};

const LEVELED: &str = "L0: a-f#3 d-k#2\nL1: a-c#10 d-h#11 m-p#12\nL2: a-z#20";

#[test]
fn level_0_goes_down_with_its_elders_and_all_it_overlaps() {
    allows(LEVELED, Merge, &[3, 2, 10, 11], |shape| into(shape, 1));
    allows(LEVELED, Merge, &[2, 11], |shape| into(shape, 1));
    refuses(LEVELED, Merge, &[3, 10, 11], |shape| into(shape, 1), "past or into table 2");
    refuses(LEVELED, Merge, &[3, 2, 10], |shape| into(shape, 1), "past or into table 11");
}

#[test]
fn a_level_is_not_skipped_where_it_overlaps() {
    refuses(LEVELED, Merge, &[2, 20], |shape| into(shape, 2), "past or into table 11");
    allows("L0: a-c#3\nL1: d-f#2\nL2: a-z#1", Merge, &[3, 1], |shape| into(shape, 2));
}

#[test]
fn names_must_be_there_once_and_idle() {
    refuses(LEVELED, Merge, &[2, 99], |_| new_run(0), "input table 99 is not there");
    refuses(LEVELED, Merge, &[2, 2], |_| new_run(0), "twice");
    refuses(LEVELED, Merge, &[], |_| new_run(0), "no inputs");
    refuses("L0: a-c#1!", Merge, &[1], |_| new_run(1), "busy");
    refuses(LEVELED, Merge, &[20], |_| Output::IntoRun { level: 2, run: RunId(99) }, "no run 99");
    refuses(LEVELED, Merge, &[20], |_| new_run(64), "past the last possible");
}

#[test]
fn versions_do_not_move_to_a_newer_place() {
    refuses(LEVELED, Merge, &[10], |_| new_run(0), "newer place");
    refuses(
        "L1: [a-c#2] [d-f#1]",
        Merge,
        &[1],
        |shape| Output::IntoRun { level: 1, run: shape.levels[1].runs[0].id },
        "newer place",
    );
}

#[test]
fn runs_around_one_that_stays_do_not_merge_if_it_overlaps() {
    refuses("L0: a-z#3 a-z#2 a-z#1", Merge, &[3, 1], |_| new_run(0), "past or into table 2");
    allows("L0: a-z#3 a-z#2 a-z#1", Merge, &[3, 2], |_| new_run(0));
    allows("L0: a-z#3 a-z#2 a-z#1", Merge, &[2, 1], |_| new_run(1));
    refuses("L0: a-z#3 a-z#2 a-z#1", Merge, &[3, 2], |_| new_run(1), "past or into table 1");
    allows("L0: a-c#3 d-f#2 a-c#1", Merge, &[3, 1], |_| new_run(0));
}

#[test]
fn part_of_a_run_may_merge_only_without_what_it_would_pass() {
    allows("L1: [a-c#5 x-z#4] [a-c#3 m-p#2]", Merge, &[5, 3], |_| new_run(1));
    refuses("L1: [a-n#5 x-z#4] [a-c#3 m-p#2]", Merge, &[5, 3], |_| new_run(1), "past or into table 2");
}

#[test]
fn merges_into_a_run_leave_no_gap() {
    refuses(
        "L1: a-c#1 x-z#2\nL2: a-b#3 m-n#4 y-z#5",
        Merge,
        &[1, 2, 3, 5],
        |shape| into(shape, 2),
        "gap between tables 1 and 2",
    );
    // Even where nothing stands in the gap now: another task may fill it.
    refuses("L1: a-c#1 x-z#2\nL2: a-b#3 y-z#5", Merge, &[1, 2, 3, 5], |shape| into(shape, 2), "gap");
    allows("L1: a-c#1 x-z#2\nL2: a-b#3 y-z#5", Merge, &[1, 2, 3, 5], |_| new_run(2));
    allows("L1: a-c#1 x-z#2\nL2: a-b#3 c-x#5", Merge, &[1, 2, 3, 5], |shape| into(shape, 2));
}

#[test]
fn moves_go_somewhere_and_fit_there() {
    allows("L0: a-c#2\nL1: d-f#1", Move, &[2], |shape| into(shape, 1));
    refuses("L0: a-d#2\nL1: d-f#1", Move, &[2], |shape| into(shape, 1), "past or into table 1");
    refuses("L0: a-d#3 c-f#2\nL1: x-z#1", Move, &[3, 2], |shape| into(shape, 1), "not disjoint");
    refuses("L1: a-d#1", Move, &[1], |shape| into(shape, 1), "leaves a table where it is");
    refuses("L1: a-d#1", Move, &[1], |_| new_run(1), "leaves a table where it is");
    allows("L0: a-c#3 d-f#2", Move, &[3, 2], |_| new_run(0));
}

#[test]
fn drops_do_not_uncover_what_is_older() {
    allows("L0: a-z#3 a-z#2 a-z#1", Drop, &[1], |_| new_run(0));
    allows("L0: a-z#3 a-z#2 a-z#1", Drop, &[2, 1], |_| new_run(0));
    refuses("L0: a-z#3 a-z#2 a-z#1", Drop, &[2], |_| new_run(0), "uncover older versions in table 1");
    refuses("L0: a-c#3\nL3: c-d#1", Drop, &[3], |_| new_run(0), "uncover older versions in table 1");
    allows("L0: a-c#3\nL3: d-f#1", Drop, &[3], |_| new_run(0));
}

#[test]
fn a_merge_needs_a_target() {
    let shape = fixture("L0: a-c#1").shape;
    let task = Task { target_table_bytes: 0, ..task(Merge, &[1], new_run(1)) };
    assert!(shape.check(&task, &BTreeSet::new()).is_err());
}

#[test]
fn bottommost_is_where_nothing_older_overlaps() {
    let shape = fixture(LEVELED).shape;
    let ids = |ids: &[u64]| ids.iter().copied().map(TableId).collect::<Vec<_>>();
    let bottom = |inputs: &[u64], output, from: &str, to: &str| {
        shape.is_bottommost(&ids(inputs), &output, from.as_bytes(), to.as_bytes()).unwrap()
    };
    assert!(!bottom(&[2, 11], into(&shape, 1), "c", "k"));
    assert!(bottom(&[12, 20], into(&shape, 2), "a", "z"), "nothing is below level 2");
    let shape = fixture("L0: a-f#3\nL1: c-d#2\nL2: x-z#1").shape;
    let mut older = shape.older_tables(&ids(&[3, 2]), &into(&shape, 1)).unwrap();
    assert!(older.is_empty() && !older.may_hold(b"y"), "table 1 is outside the hull of the inputs");
    let shape = fixture("L0: a-z#3\nL2: c-d#2 m-n#1").shape;
    let mut older = shape.older_tables(&ids(&[3]), &new_run(1)).unwrap();
    let asked = ["b", "c", "cc", "d", "e", "m", "n", "o"].map(|key| older.may_hold(key.as_bytes()));
    assert_eq!(asked, [false, true, true, true, false, true, true, false]);
    assert!(older.overlap(b"a", b"c") && !older.overlap(b"e", b"l"));
}

#[test]
fn what_is_newer_than_the_outputs_does_not_keep_tombstones() {
    let shape = fixture("L0: a-z#3 a-z#2 a-z#1").shape;
    let inputs = [TableId(2), TableId(1)];
    assert!(shape.is_bottommost(&inputs, &new_run(0), b"a", b"z").unwrap());
    assert!(!shape.is_bottommost(&[TableId(3), TableId(2)], &new_run(0), b"a", b"z").unwrap());
}

#[test]
fn a_full_merge_is_allowed_and_done_once() {
    let shape = fixture(LEVELED).shape;
    let task = shape.full_merge(64 << 20).unwrap();
    assert_eq!((task.inputs.len(), task.output.level()), (6, 2));
    shape.check(&task, &BTreeSet::new()).unwrap();
    assert!(fixture("L2: a-c d-f").shape.full_merge(1).is_none());
    assert!(Shape::default().full_merge(1).is_none());
    assert_eq!(fixture("L0: a-c").shape.full_merge(1).unwrap().output.level(), 1);
}

#[test]
fn grandparents_are_what_lies_below_the_output() {
    let shape = fixture("L0: c-f#9\nL1: a-d#1\nL3: a-b#2 c-d#3 e-f#4 x-z#5").shape;
    let names = |inputs: &[u64]| {
        let inputs: Vec<TableId> = inputs.iter().copied().map(TableId).collect();
        shape.grandparents(&inputs, &new_run(1)).iter().map(|table| table.id.0).collect::<Vec<_>>()
    };
    assert_eq!(names(&[9]), [3, 4]);
    assert_eq!(names(&[9, 1]), [2, 3, 4]);
    assert_eq!(names(&[5]), [5]);
}

/// A task that no sane picker would think of: any tables, anywhere.
fn wild_task(shape: &Shape, random: &mut Random) -> Task {
    let levels = shape.levels.len().max(1);
    let runs: Vec<_> = shape.runs().collect();
    let (level, run) = runs[random.index(runs.len())];
    let seed = &run.tables[random.index(run.tables.len())];
    let whole_runs = random.one_in(3);
    let mut inputs = vec![seed.id];
    for (_, other) in &runs {
        if random.one_in(2) {
            continue;
        }
        let tables = if whole_runs {
            &other.tables[..]
        } else {
            other.overlapping(&seed.smallest_key, &seed.largest_key)
        };
        inputs.extend(
            tables.iter().filter(|table| table.id != seed.id && !random.one_in(8)).map(|table| table.id),
        );
    }
    let deeper = runs[random.index(runs.len())];
    let output = match random.below(4) {
        0 => new_run(level),
        1 => new_run(random.index(levels + 1)),
        _ => Output::IntoRun { level: deeper.0, run: deeper.1.id },
    };
    let kind = [Merge, Merge, Merge, Move, Drop][random.index(5)];
    let target_table_bytes = [1, 4, 1000][random.index(3)];
    Task { kind, inputs, output, target_table_bytes, cuts: Vec::new(), reason: Reason::Manual }
}

#[test]
fn whatever_the_guard_lets_through_keeps_every_read_even_when_tasks_overlap_in_time() {
    let mut random = Random::new(7);
    let (mut started, mut together) = (0, 0);
    for _ in 0..40 {
        let mut tree = ModelTree::new(1);
        for _ in 0..250 {
            match random.below(10) {
                0..=1 => {
                    let (base, width) = (random.below(24), 1 + random.below(8));
                    let writes =
                        |random: &mut Random| (vec![(base + random.below(width)) as u8], random.one_in(4));
                    let count = 1 + random.below(6);
                    tree.flush(&(0..count).map(|_| writes(&mut random)).collect::<Vec<_>>());
                }
                2 if random.one_in(4) => tree.take_snapshot(),
                3 if random.one_in(3) => tree.release_snapshot(),
                4..=8 if !tree.shape().is_empty() => {
                    let task = wild_task(tree.shape(), &mut random);
                    if tree.start(&task).is_ok() {
                        started += 1;
                        together += usize::from(tree.running() > 1);
                    }
                }
                _ if tree.running() > 0 && (random.one_in(3) || tree.running() > 4) => {
                    tree.finish(random.index(tree.running()));
                }
                _ => {}
            }
        }
        while tree.running() > 0 {
            tree.finish(random.index(tree.running()));
        }
    }
    assert!(
        started > 500 && together > 200,
        "only {started} tasks passed the guard, {together} beside others"
    );
}
