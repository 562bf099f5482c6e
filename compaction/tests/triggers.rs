//! Triggers beside size: what each is set off by, and that deletes are gone in time.

use std::sync::Arc;
use terrace_compaction::testing::{ModelTree, Random, shape};
use terrace_compaction::{
    CompactionPicker, FluidOptions, FluidPicker, GuardsOptions, GuardsPicker, HybridOptions, HybridPicker,
    LeveledOptions, LeveledPicker, Output, PickContext, Reason, Shape, TableId, TaskKind, TieredOptions,
    TieredPicker, TriggerOptions, UniversalOptions, UniversalPicker,
};
use terrace_entry::SeqNo;

/// Each policy that takes triggers, with small tables.
fn pickers(triggers: &TriggerOptions) -> Vec<Box<dyn CompactionPicker>> {
    let triggers = *triggers;
    let leveled = LeveledOptions { triggers, ..LeveledOptions::for_table_bytes(1000) };
    let guards = GuardsOptions { triggers, target_table_bytes: 1000, ..GuardsOptions::default() };
    let fluid = FluidOptions {
        triggers,
        target_table_bytes: 1000,
        base_level_bytes: 16_000,
        ..FluidOptions::tiering(6)
    };
    // Without a bound for space: a merge of everything removes every tombstone.
    let tiered = TieredOptions {
        triggers,
        small_run_bytes: 0,
        space_amplification_percent_max: u64::MAX,
        ..TieredOptions::default()
    };
    let universal = UniversalOptions {
        triggers,
        space_amplification_percent_max: u64::MAX,
        ..UniversalOptions::default()
    };
    vec![
        Box::new(LeveledPicker::new(leveled.clone())),
        Box::new(HybridPicker::new(HybridOptions { tiered_levels: 2, leveled })),
        Box::new(GuardsPicker::new(guards)),
        Box::new(TieredPicker::new(tiered)),
        Box::new(UniversalPicker::new(universal)),
        Box::new(FluidPicker::new(fluid)),
    ]
}

/// The greatest age of a tombstone ever seen while a tree is written to and kept at rest, by when the delete itself was flushed.
fn oldest_delete(picker: &dyn CompactionPicker) -> u64 {
    let (mut tree, mut random) = (ModelTree::new(100), Random::new(7));
    // By sequence number, which counts the writes.
    let mut flushed_at = vec![0];
    let mut oldest = 0;
    for round in 0..500_u64 {
        // Some keys are written for a while only, so that what deletes them sinks and then lies still.
        let base = round / 50 * 40;
        let key = |random: &mut Random| (base + random.below(120)) as u16;
        let writes: Vec<_> =
            (0..20).map(|_| (key(&mut random).to_be_bytes().to_vec(), random.one_in(4))).collect();
        tree.flush(&writes);
        flushed_at.extend(writes.iter().map(|_| tree.now_unix_seconds()));
        loop {
            let plan = picker.pick(tree.shape(), &tree.context(2));
            if plan.tasks.is_empty() {
                break;
            }
            plan.tasks.iter().take(2).for_each(|task| tree.start(task).expect("the guard lets it pass"));
            (0..tree.running()).for_each(|_| tree.finish(0));
        }
        let now = tree.now_unix_seconds();
        let ages = tree.tombstones().map(|(_, seqno)| now - flushed_at[seqno.get() as usize]);
        oldest = oldest.max(ages.max().unwrap_or(0));
    }
    oldest
}

#[test]
fn deletes_are_gone_within_the_time_set() {
    for (index, without) in pickers(&TriggerOptions::default()).iter().enumerate() {
        // Half of what size alone comes to, in seconds of the model tree's clock, which goes on with every table that is written.
        let free = oldest_delete(without);
        assert!(free > 100, "{}: {free} s are no time", without.name());
        let age_seconds_max = (free / 2).min(600);
        let set =
            TriggerOptions { tombstone_age_seconds_max: Some(age_seconds_max), ..TriggerOptions::default() };
        let kept = oldest_delete(&pickers(&set)[index]);
        assert!(kept <= age_seconds_max, "{}: {kept} s, not {age_seconds_max} ({free})", without.name());
    }
}

/// A shape whose table 1 has this changed.
fn with_table(text: &str, change: impl Fn(&mut terrace_compaction::TableMeta)) -> Shape {
    let mut shape = shape(text);
    let tables = shape.levels.iter_mut().flat_map(|level| &mut level.runs).flat_map(|run| &mut run.tables);
    tables.filter(|table| table.id == TableId(1)).for_each(|table| change(Arc::make_mut(table)));
    shape
}

fn context() -> PickContext {
    PickContext { now_unix_seconds: 1000, tasks_max: 4, ..PickContext::default() }
}

#[test]
fn a_table_of_tombstones_at_the_bottom_is_rewritten_where_it_is() {
    let set = TriggerOptions { tombstone_percent_max: Some(50), ..TriggerOptions::default() };
    for picker in pickers(&set) {
        let above = shape("L6: a-b#1=100K*60 c-d#2=100K*50");
        let plan = picker.pick(&above, &context());
        let [task] = &plan.tasks[..] else { panic!("{}: {plan:?}", picker.name()) };
        assert_eq!((task.kind, &task.inputs[..]), (TaskKind::Merge, &[TableId(1)][..]), "{}", picker.name());
        assert!(matches!(task.output, Output::IntoRun { level: 6, .. }), "{}", picker.name());
        let reason = Reason::TombstoneDensity { level: 6, percent: 59, percent_max: 50 };
        assert_eq!(task.reason, reason, "{}", picker.name());
    }
}

#[test]
fn what_a_snapshot_needs_is_left_until_it_is_gone() {
    let set = TriggerOptions { tombstone_age_seconds_max: Some(100), ..TriggerOptions::default() };
    let old = with_table("L6: a-b#1=900*50@10", |table| table.seqno_max = SeqNo::new(70));
    for picker in pickers(&set) {
        let tasks = |oldest| {
            let context = PickContext { oldest_snapshot: oldest, ..context() };
            picker.pick(&old, &context).tasks.len()
        };
        assert_eq!(
            (tasks(None), tasks(Some(SeqNo::new(69))), tasks(Some(SeqNo::new(70)))),
            (1, 0, 1),
            "{}",
            picker.name()
        );
    }
}

#[test]
fn age_counts_from_the_first_flush_and_not_from_the_last_merge() {
    let set = TriggerOptions { tombstone_age_seconds_max: Some(400), ..TriggerOptions::default() };
    let young = shape("L6: a-b#1=900*50@990");
    let aged =
        |at| with_table("L6: a-b#1=900*50@990", move |table| table.oldest_tombstone_unix_seconds = Some(at));
    for picker in pickers(&set) {
        let tasks = |shape: &Shape| picker.pick(shape, &context()).tasks.len();
        // Due at three quarters of the time: 300 seconds before the time of 1000.
        assert_eq!((tasks(&young), tasks(&aged(701)), tasks(&aged(700))), (0, 0, 1), "{}", picker.name());
    }
}

#[test]
fn a_table_read_in_vain_goes_down_once_the_reads_cost_what_a_merge_does() {
    let set = TriggerOptions { vain_read_bytes: Some(16 << 10), ..TriggerOptions::default() };
    // 4 MiB bear 256 reads.
    let tree = shape("L5: a-c#1=4M\nL6: a-z#2=40M");
    for picker in pickers(&set) {
        // Small tables: all of this is too large for some levels; so only what the reads add is looked at.
        let reasons = |reads: u64| {
            let context = PickContext { vain_reads: [(TableId(1), reads)].into(), ..context() };
            let plan = picker.pick(&tree, &context);
            plan.tasks.iter().filter(|task| matches!(task.reason, Reason::VainReads { .. })).count()
        };
        let sized = matches!(picker.name(), "leveled" | "hybrid" | "fluid");
        if !sized {
            assert_eq!((reasons(256), reasons(257)), (0, 1), "{}", picker.name());
        }
    }
    let leveled = LeveledPicker::new(LeveledOptions { triggers: set, ..LeveledOptions::default() });
    let pick = |reads| {
        let context = PickContext { vain_reads: [(TableId(1), reads)].into(), ..context() };
        leveled.pick(&tree, &context).tasks
    };
    assert!(pick(256).is_empty());
    assert_eq!(pick(257)[0].reason.to_string(), "a table of level 5 was read 257 times in vain, bound 256");
}

#[test]
fn leveled_holds_a_bound_for_space() {
    let tree = shape("L4: a-c#1=30M d-f#2=30M\nL5: a-c#3=300M d-f#4=300M\nL6: a-c#5=4000M d-f#6=4000M");
    let pick = |space_amplification_percent_max| {
        let options = LeveledOptions { space_amplification_percent_max, ..LeveledOptions::default() };
        LeveledPicker::new(options).pick(&tree, &context()).tasks
    };
    // 660 of 8000.
    assert!(pick(None).is_empty() && pick(Some(8)).is_empty());
    let tasks = pick(Some(6));
    assert_eq!(tasks.len(), 1, "one table is enough");
    assert_eq!(tasks[0].reason, Reason::SpaceAmplification { percent: 8, percent_max: 6 });
    assert_eq!(pick(Some(3)).len(), 2);
}
