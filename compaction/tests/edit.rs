//! Applying edits to shapes.

use std::sync::Arc;
use terrace_compaction::testing::{render, shape};
use terrace_compaction::{Output, RunId, Shape, ShapeEdit, TableId, TableMeta};

fn edit(removed: &[u64], output: Output, added: &[(u64, &str, &str)]) -> ShapeEdit {
    let table = |&(id, from, to): &(u64, &str, &str)| Arc::new(TableMeta::sized(id, from, to, 64 << 20));
    ShapeEdit {
        removed: removed.iter().copied().map(TableId).collect(),
        added: Some((output, added.iter().map(table).collect())),
    }
}

fn new_run(level: usize) -> Output {
    Output::NewRun { level, run: Some(RunId(77)) }
}

#[track_caller]
fn applied(before: &str, edit: &ShapeEdit) -> String {
    let mut shape = shape(before);
    shape.apply(edit).unwrap();
    shape.check_invariants().unwrap();
    render(&shape)
}

/// The words of the refusal; the shape must be as before.
#[track_caller]
fn refused(before: &str, edit: &ShapeEdit) -> String {
    let mut shape = shape(before);
    let copy = shape.clone();
    let error = shape.apply(edit).unwrap_err();
    assert_eq!(shape, copy, "a refused edit changes nothing");
    error.to_string()
}

#[test]
fn a_flush_becomes_the_newest_run() {
    let mut tree = Shape::default();
    tree.apply(&edit(&[], Output::NewRun { level: 0, run: Some(RunId(1)) }, &[(1, "a", "c")])).unwrap();
    tree.apply(&edit(&[], Output::NewRun { level: 0, run: Some(RunId(2)) }, &[(2, "b", "d")])).unwrap();
    assert_eq!(render(&tree), "L0: b-d#2 a-c#1\n");
}

#[test]
fn outputs_go_between_the_tables_of_a_run() {
    let into = |run| Output::IntoRun { level: 1, run: RunId(run) };
    let after =
        applied("L0: c-g#4\nL1: a-b#1 c-f#2 x-z#3", &edit(&[4, 2], into(1), &[(5, "c", "d"), (6, "e", "g")]));
    assert_eq!(after, "L1: a-b#1 c-d#5 e-g#6 x-z#3\n");
}

#[test]
fn a_new_run_goes_behind_the_oldest_input_of_its_level() {
    let before = "L0: a-z#5 a-z#4 a-z#3 a-z#2 a-z#1";
    assert_eq!(
        applied(before, &edit(&[4, 3], new_run(0), &[(9, "a", "z")])),
        "L0: a-z#5 a-z#9 a-z#2 a-z#1\n"
    );
    let before = "L1: [a-c#4 x-z#3] [a-c#2 p-q#1]";
    assert_eq!(
        applied(before, &edit(&[4, 2], new_run(1), &[(9, "a", "c")])),
        "L1: [x-z#3] [p-q#1] [a-c#9]\n"
    );
}

#[test]
fn a_new_run_goes_to_the_front_of_a_level_without_inputs() {
    let before = "L0: a-z#3 a-z#2\nL1: a-z#1";
    assert_eq!(applied(before, &edit(&[3, 2], new_run(1), &[(9, "a", "z")])), "L1: [a-z#9] [a-z#1]\n");
    assert_eq!(applied("L0: a-z#3", &edit(&[3], new_run(6), &[(9, "a", "z")])), "L6: a-z#9\n");
}

#[test]
fn a_move_keeps_the_table() {
    let moving = edit(&[2], Output::IntoRun { level: 1, run: RunId(1) }, &[(2, "d", "f")]);
    assert_eq!(applied("L0: d-f#2\nL1: a-c#1", &moving), "L1: a-c#1 d-f#2\n");
}

#[test]
fn a_run_emptied_by_another_task_is_made_anew() {
    let mut tree = shape("L0: a-c#3\nL1: x-z#2\nL2: a-z#1");
    tree.apply(&edit(&[2, 1], Output::IntoRun { level: 2, run: RunId(1) }, &[(9, "a", "z")])).unwrap();
    tree.apply(&edit(&[3], Output::IntoRun { level: 1, run: RunId(2) }, &[(3, "a", "c")])).unwrap();
    assert_eq!(render(&tree), "L1: a-c#3\nL2: a-z#9\n");
    assert_eq!(tree.levels[1].runs[0].id, RunId(2));
}

#[test]
fn empty_runs_and_levels_vanish() {
    let drop = ShapeEdit { removed: vec![TableId(1), TableId(3)], added: None };
    assert_eq!(applied("L0: a-c#3 a-c#2\nL4: a-z#1", &drop), "L0: a-c#2\n");
    let mut tree = shape("L4: a-z#1");
    tree.apply(&ShapeEdit { removed: vec![TableId(1)], added: None }).unwrap();
    assert_eq!(tree, Shape::default());
}

#[test]
fn a_merge_may_leave_nothing() {
    assert_eq!(applied("L0: a-c#2 a-c#1", &edit(&[1], new_run(1), &[])), "L0: a-c#2\n");
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let before = "L0: a-c#3\nL1: a-c#1 x-z#2";
    let into = Output::IntoRun { level: 1, run: RunId(1) };
    assert!(refused(before, &edit(&[9], new_run(0), &[])).contains("not there: 9"));
    assert!(refused(before, &edit(&[3, 3], new_run(0), &[])).contains("twice"));
    assert!(refused(before, &edit(&[], new_run(0), &[(1, "p", "q")])).contains("there already"));
    assert!(
        refused(before, &edit(&[], new_run(0), &[(8, "p", "q"), (8, "r", "s")])).contains("table 8 twice")
    );
    assert!(refused(before, &edit(&[3], into, &[(8, "b", "d")])).contains("not disjoint"));
    assert!(
        refused(before, &edit(&[3], new_run(0), &[(8, "d", "b")])).contains("least key after its greatest")
    );
    assert!(
        refused(before, &edit(&[3], new_run(0), &[(8, "a", "d"), (9, "d", "f")])).contains("not disjoint")
    );
    assert!(refused(before, &edit(&[3], new_run(64), &[(8, "a", "d")])).contains("past the last possible"));
    assert!(
        refused(before, &edit(&[3], new_run(usize::MAX), &[(8, "a", "d")]))
            .contains("past the last possible")
    );
    let unnamed = Output::NewRun { level: 0, run: None };
    assert!(refused(before, &edit(&[3], unnamed, &[(8, "a", "d")])).contains("without a name"));
    let in_use = Output::NewRun { level: 0, run: Some(RunId(1)) };
    assert!(refused(before, &edit(&[], in_use, &[(8, "a", "d")])).contains("in level 1"));
    let elsewhere = Output::IntoRun { level: 2, run: RunId(1) };
    assert!(refused(before, &edit(&[3], elsewhere, &[(8, "a", "d")])).contains("in level 1"));
}

#[test]
fn broken_shapes_are_found() {
    let good = shape("L0: a-c#3\nL1: a-c#1 x-z#2");
    let broken = |change: &dyn Fn(&mut Shape)| {
        let mut shape = good.clone();
        change(&mut shape);
        shape.check_invariants().unwrap_err().to_string()
    };
    assert!(broken(&|shape| shape.levels[1].runs[0].tables.reverse()).contains("not disjoint and ascending"));
    assert!(broken(&|shape| shape.levels[0].runs[0].tables.clear()).contains("empty"));
    assert!(broken(&|shape| shape.levels[0].runs[0].id = RunId(1)).contains("run 1 is there twice"));
    assert!(broken(&|shape| shape.levels[0] = shape.levels[1].clone()).contains("twice"));
    assert!(
        broken(&|shape| shape.levels[0].runs[0].tables = good.levels[1].runs[0].tables[..1].to_vec())
            .contains("table 1 is there twice")
    );
    assert!(broken(&|shape| shape.levels.resize_with(65, Default::default)).contains("65 levels"));
    let touching = |shape: &mut Shape| {
        let tables = [TableMeta::sized(7, "a", "c", 1), TableMeta::sized(8, "c", "d", 1)];
        shape.levels[0].runs[0].tables = tables.map(Arc::new).to_vec();
    };
    assert!(broken(&touching).contains("tables 7 and 8"), "a key in two tables of a run");
}

#[test]
fn sums_and_amplification_are_of_all_tables() {
    let tree = shape("L0: a-c#5*50 a-c#4\nL1: a-c#1=128M d-f#2=384M");
    let totals = tree.totals();
    assert_eq!((totals.runs, totals.tables, totals.file_bytes >> 20), (3, 4, 640));
    assert_eq!(totals.tombstones, totals.entries / 20);
    assert_eq!(tree.read_amplification_max(), 3);
    assert_eq!(tree.space_amplification_estimate(), 1.25);
    assert_eq!(Shape::default().space_amplification_estimate(), 1.0);
    assert_eq!(tree.table(TableId(2)).unwrap().largest_key, b"f");
    assert!(tree.table(TableId(3)).is_none());
}

#[test]
fn display_is_for_people() {
    let text = shape("L0: a-c#5\nL2: a-b#1=1G c-d#2=512").to_string();
    assert_eq!(
        text,
        "L0: 1 runs, 1 tables, 64.0 MiB\n  run 2 (64.0 MiB): 5[a..c]\nL2: 1 runs, 2 tables, 1.0 GiB\n  run 1 (1.0 GiB): 1[a..b] 2[c..d]\n"
    );
    assert_eq!(Shape::default().to_string(), "empty\n");
    let long: String = (0..20).map(|n| format!("{n:02}-{n:02}x ")).collect();
    assert!(shape(&format!("L1: {long}")).to_string().ends_with("8[07..07x] and 12 more\n"));
}

#[test]
fn text_reads_back_as_it_was_written() {
    for text in [
        "L0: a-f#10 c-k#9=8M\nL1: a-c#1=3K*50 d-h#2=7\n",
        "L0: [a-b#4 c-d#3] a-z#2\nL3: [a-c#5] [a-z#1=2T]\n",
    ] {
        assert_eq!(render(&shape(text)), text);
    }
}
