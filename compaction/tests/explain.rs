//! What a task costs, what a picker would do until it is at rest, and pictures of trees.

use std::collections::BTreeSet;
use terrace_compaction::testing::{Random, fixture, merge_metadata, shape};
use terrace_compaction::{
    CompactionPicker, Drawing, DryRun, LeveledPicker, Output, PickContext, Reason, RunId, Shape, TableColour,
    TableId, TableMeta, Task, TaskCost, TaskKind, TieredPicker, Verdict,
};

const MIB: u64 = 1 << 20;

fn task(kind: TaskKind, inputs: &[u64], output: Output) -> Task {
    Task {
        kind,
        inputs: inputs.iter().map(|&id| TableId(id)).collect(),
        output,
        target_table_bytes: 64 * MIB,
        cuts: Vec::new(),
        reason: Reason::Manual,
    }
}

fn new_run(level: usize) -> Output {
    Output::NewRun { level, run: None }
}

#[test]
fn a_merge_reads_its_inputs_and_may_write_as_much() {
    let tree = shape("L0: a-z#3 a-z#2 a-z#1\nL6: a-z#9=1G");
    let cost = task(TaskKind::Merge, &[3, 2, 1], new_run(0)).cost(&tree).unwrap();
    let bytes = 3 * 64 * MIB;
    assert_eq!((cost.read_bytes, cost.written_bytes_max, cost.transient_bytes_max), (bytes, bytes, bytes));
    // Without tombstones nothing says that it will be less.
    assert_eq!((cost.written_bytes_expected, cost.freed_bytes_expected), (bytes, 0));
    assert_eq!((cost.runs_before, cost.runs_after), (4, 2));
}

#[test]
fn tombstones_hide_older_versions_and_go_at_the_bottom() {
    // A quarter of the newer table are tombstones, as many as a quarter of the older.
    let tree = shape("L0: a-z#2*25\nL6: a-z#1");
    let into = Output::IntoRun { level: 6, run: RunId(1) };
    let all = task(TaskKind::Merge, &[2, 1], into).cost(&tree).unwrap();
    assert_eq!(all.read_bytes, 128 * MIB);
    let quarter = 16 * MIB;
    assert!(all.freed_bytes_expected.abs_diff(2 * quarter) < MIB, "{all}");
    assert_eq!((all.runs_before, all.runs_after), (2, 1));

    // Above an older table they stay, and hide what is between.
    let tree = shape("L0: a-z#3*25 a-z#2\nL6: a-z#1");
    let above = task(TaskKind::Merge, &[3, 2], new_run(0)).cost(&tree).unwrap();
    assert!(above.freed_bytes_expected.abs_diff(quarter) < MIB, "{above}");

    // A tombstone hides nothing newer.
    let tree = shape("L0: a-z#3 a-z#2*25\nL6: a-z#1");
    let below = task(TaskKind::Merge, &[3, 2], new_run(0)).cost(&tree).unwrap();
    assert_eq!(below.freed_bytes_expected, 0);
}

#[test]
fn a_move_costs_nothing_and_a_drop_frees_everything() {
    let tree = shape("L0: a-c#2 d-f#1\nL6: x-z#9");
    let moved = task(TaskKind::Move, &[1], new_run(5)).cost(&tree).unwrap();
    assert_eq!(moved, TaskCost { runs_before: 3, runs_after: 3, ..TaskCost::default() });
    let dropped = task(TaskKind::Drop, &[9], new_run(6)).cost(&tree).unwrap();
    assert_eq!((dropped.read_bytes, dropped.freed_bytes_expected, dropped.runs_after), (0, 64 * MIB, 2));
}

#[test]
fn what_is_not_there_has_no_cost() {
    let tree = shape("L0: a-z#1");
    assert!(task(TaskKind::Merge, &[1, 7], new_run(0)).cost(&tree).is_err());
    assert!(task(TaskKind::Merge, &[1, 1], new_run(0)).cost(&tree).is_err());
}

#[test]
fn an_outcome_fits_the_shape_and_holds_what_the_cost_expects() {
    let mut random = Random::new(7);
    let picker = TieredPicker::default();
    let (mut tree, mut name, mut tasks) = (Shape::default(), 1000, 0);
    for flush in 1..200_u64 {
        let mut table = TableMeta::sized(flush, "a", "z", (1 + random.below(64)) * MIB);
        table.tombstones = random.below(table.entries / 2);
        let output = Output::NewRun { level: 0, run: Some(RunId(flush)) };
        let edit =
            terrace_compaction::ShapeEdit { removed: vec![], added: Some((output, vec![table.into()])) };
        tree.apply(&edit).unwrap();
        let context = PickContext { tasks_max: 1, ..PickContext::default() };
        while let Some(task) = picker.pick(&tree, &context).tasks.first() {
            let (before, cost) = (tree.totals(), task.cost(&tree).unwrap());
            let edit = task.outcome(&tree, 5, &mut name).unwrap();
            tree.apply(&edit).unwrap();
            tree.check_invariants().unwrap();
            assert_eq!(tree.runs().count(), cost.runs_after);
            let freed = before.file_bytes - tree.totals().file_bytes;
            assert!(freed.abs_diff(cost.freed_bytes_expected) < 1000, "{freed} for {cost}");
            assert!(tree.totals().tombstones <= before.tombstones);
            tasks += 1;
        }
    }
    assert!(tasks > 20, "{tasks} tasks");
}

#[test]
fn an_outcome_is_the_conformance_suites_where_nothing_goes() {
    let tree = shape("L0: a-m#4 c-z#3\nL6: a-c#1 d-z#2");
    let merge = task(TaskKind::Merge, &[4, 3, 1, 2], new_run(6));
    let ranges = |edit: terrace_compaction::ShapeEdit| -> Vec<_> {
        let tables = edit.added.unwrap().1;
        tables.iter().map(|t| (t.smallest_key.clone(), t.largest_key.clone(), t.file_bytes)).collect()
    };
    let (mut a, mut b) = (100, 100);
    assert_eq!(
        ranges(merge.outcome(&tree, 0, &mut a).unwrap()),
        ranges(merge_metadata(&tree, &merge, &mut b))
    );
}

#[test]
fn a_dry_run_goes_on_until_rest_and_touches_nothing() {
    let tree = shape("L0: a-z=8M a-z=8M a-z=8M a-z=8M\nL5: a-c=300M d-z=300M\nL6: a-k=1G l-z=1G");
    let before = tree.clone();
    let picker = LeveledPicker::default();
    let context = PickContext { tasks_max: 2, ..PickContext::default() };
    let run = DryRun::new(&picker, &tree, &context, 100);
    assert_eq!(tree, before);
    assert!(run.at_rest && run.refused.is_none() && !run.steps.is_empty(), "{run}");
    assert!(picker.pick(&run.shape, &context).tasks.is_empty());
    let read: u64 = run.steps.iter().map(|step| step.cost.read_bytes).sum();
    assert_eq!(run.cost.read_bytes, read);
    assert_eq!((run.cost.runs_before, run.cost.runs_after), (6, run.shape.runs().count()));
    let words = run.to_string();
    assert!(words.contains("because level 0 holds 4 runs, trigger 4"), "{words}");

    let cut = DryRun::new(&picker, &tree, &context, 1);
    assert!(!cut.at_rest && cut.steps.len() == 1, "{cut}");
    let nothing = DryRun::new(&picker, &shape("L0: a-z"), &context, 10);
    assert_eq!(nothing.to_string(), "nothing is to be done\n");
}

#[derive(Debug)]
struct Wrong;

impl CompactionPicker for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn pick(&self, _shape: &Shape, _context: &PickContext) -> terrace_compaction::Plan {
        let task = task(TaskKind::Drop, &[2], new_run(0));
        terrace_compaction::Plan { tasks: vec![task], ..Default::default() }
    }
}

#[test]
fn a_refused_task_ends_a_dry_run() {
    let context = PickContext { tasks_max: 1, ..PickContext::default() };
    let run = DryRun::new(&Wrong, &shape("L0: a-z#2\nL1: a-z#1"), &context, 10);
    assert!(run.refused.as_ref().is_some_and(|words| words.contains("uncover older versions")), "{run}");
    assert!(run.steps.is_empty() && !run.at_rest);
}

#[test]
fn what_is_due_and_busy_says_so() {
    let tree = fixture("L0: a-z a-z a-z a-z\nL6: a-c! d-z!");
    let context = PickContext { busy: tree.busy, tasks_max: 1, ..PickContext::default() };
    let plan = LeveledPicker::default().pick(&tree.shape, &context);
    assert!(plan.tasks.is_empty());
    assert!(matches!(plan.weighed.last().unwrap().verdict, Verdict::Busy), "{:?}", plan.weighed);
}

/// The few rules of XML that a picture could break: tags that match, attributes in quotes, known entities, one root.
fn check_xml(xml: &str) -> usize {
    let (mut open, mut elements, mut rest) = (Vec::new(), 0, xml);
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        check_characters(before);
        assert!(!open.is_empty() || before.trim().is_empty(), "text outside the root: {before:?}");
        let end = tag.find('>').expect("a tag ends");
        let inner = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "tags match");
            continue;
        }
        assert!(elements == 0 || !open.is_empty(), "one root");
        elements += 1;
        let (inner, is_empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "a name: {name:?}");
        let mut parts = attributes.split('"');
        let mut seen = BTreeSet::new();
        while let Some(key) = parts.next().map(str::trim).filter(|key| !key.is_empty()) {
            assert!(key.ends_with('=') && seen.insert(key.to_owned()), "an attribute: {key:?} of {name}");
            check_characters(parts.next().expect("a value in quotes"));
        }
        if !is_empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}, {rest:?}");
    elements
}

fn check_characters(text: &str) {
    assert!(!text.contains(['<', '>']) && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    for entity in text.split('&').skip(1) {
        let name = entity.split(';').next().unwrap_or_default();
        assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name), "an entity: {entity:?}");
    }
}

#[test]
fn a_picture_of_a_small_tree() {
    let tree = fixture("L0: a-f#5@90 c-k#4=8M@80\nL1: a-c#3@50 d-h#2!@20*40 n-z#1@10");
    let svg = Drawing::new(&tree.shape).title("a tree").busy(&tree.busy).to_svg();
    check_xml(&svg);
    assert_eq!(svg.matches("<title>").count(), 6, "five tables, one of them hatched");
    insta::assert_snapshot!(svg);
    let tombstones = Drawing::new(&tree.shape).colour(TableColour::Tombstones).to_svg();
    check_xml(&tombstones);
    assert_ne!(svg, tombstones);
}

#[test]
fn pictures_of_odd_trees_are_well_formed() {
    let mut random = Random::new(3);
    let odd = [
        &b"<&>\"'"[..],
        b"]]>",
        b"\0\x01\xff\xfe",
        b"</svg>",
        b"",
        b"long, very long, too long to show it all",
    ];
    for _ in 0..200 {
        let mut id = 0;
        let mut run = || {
            let mut keys: Vec<Vec<u8>> = (0..2 * random.index(40))
                .map(|_| [odd[random.index(odd.len())], &random.next_u64().to_be_bytes()].concat())
                .collect();
            keys.sort();
            keys.dedup();
            let pairs = keys.chunks_exact(2).map(|pair| {
                id += 1;
                let mut table =
                    TableMeta::sized(id, &pair[0], &pair[1], random.next_u64() >> random.below(64));
                table.tombstones = random.next_u64();
                table.created_at_unix_seconds = random.next_u64();
                table
            });
            pairs.collect::<Vec<_>>()
        };
        let levels = (0..3).map(|_| (0..2).map(|_| run()).filter(|run| !run.is_empty()).collect()).collect();
        let tree = Shape::from_levels(levels);
        let busy = tree.tables().map(|(_, table)| table.id).filter(|id| id.0 % 3 == 0).collect();
        let drawing = Drawing::new(&tree).title("<\u{1}\u{fffe}&").busy(&busy);
        check_xml(&Drawing::page(&[drawing.clone(), drawing.colour(TableColour::Tombstones)]));
    }
    check_xml(&Drawing::new(&Shape::default()).to_svg());
}

#[test]
fn narrow_tables_are_drawn_as_one_box() {
    let tables = (0..20_000_u32)
        .map(|n| TableMeta::sized(n.into(), (2 * n).to_be_bytes(), (2 * n + 1).to_be_bytes(), MIB));
    let tree = Shape::from_levels(vec![vec![tables.collect()]]);
    let elements = check_xml(&Drawing::new(&tree).to_svg());
    assert!((300..3000).contains(&elements), "{elements} elements for 20000 tables");
}
