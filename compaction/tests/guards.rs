//! What the picker of guards picks, as transcripts: a tree, then the plan. The expected answers are in tests/snapshots.

#[macro_use]
mod picks;

use terrace_compaction::testing::shape;
use terrace_compaction::{CompactionPicker, GuardsOptions, GuardsPicker, PickContext};

/// Three fragments in a guard, two at the last level, which is level 3; each first key of a lowest table is a guard there.
fn picker() -> GuardsPicker {
    GuardsPicker::new(GuardsOptions {
        fragments_max: 3,
        last_fragments_max: 2,
        last_guard_tables: 1,
        levels_max: 4,
        ..GuardsOptions::default()
    })
}

picks! { picker() =>
    guards_within_their_bounds_are_left_alone: "L2: [a-c d-f] [a-c]\nL3: [a-c] [a-c d-f]";
    level_0_goes_to_the_highest_level_with_guards: "L0: a-z a-z a-z a-z\nL3: a-c d-f g-k l-z";
    what_crosses_no_guard_is_moved: "L0: a-b c-d e-f g-h";
    a_full_guard_goes_down_and_its_neighbour_stays: "L2: [a-c#1 d-f#2] [a-c#3] [a-c#4 d-f#5]\nL3: a-c#6 d-f#7";
    it_is_appended_to_a_run_that_is_free_there: "L2: [a-c#1] [a-c#2] [a-c#3]\nL3: [g-h#4] [d-f#5] [a-c#6 d-f#7 g-h#8]";
    a_full_guard_of_the_last_level_is_merged_in_place: "L3: [a-c#1] [a-c#2 d-f#3] [a-c#4 d-f#5]";
    a_busy_fragment_makes_its_guard_wait: "L2: [a-c#1] [a-c#2!] [a-c#3]\nL3: a-c#4";
    tables_that_nothing_holds_up_sink: "L3: [a-c#1] [d-f#2 j-k#3] [a-c#4 d-f#5 g-h#6]";
}

#[test]
fn a_guard_of_a_level_is_one_of_all_deeper_levels() {
    let keys: Vec<String> = (0..400).map(|number| format!("k{number:03}0-k{number:03}9")).collect();
    let tree = shape(&format!("L6: {}", keys.join(" ")));
    let options = GuardsOptions { last_guard_tables: 2, ..GuardsOptions::default() };
    let guards = GuardsPicker::new(options).guards(&tree);
    let counts: Vec<usize> = guards.iter().map(Vec::len).collect();
    // 200 hoped for at the last level and a quarter of them in each above: three levels above it.
    assert!(counts[..3].iter().all(|count| *count == 0), "{counts:?}");
    assert!((150..250).contains(&counts[6]), "{counts:?}");
    assert!((30..70).contains(&counts[5]) && (5..25).contains(&counts[4]), "{counts:?}");
    for pair in guards.windows(2) {
        assert!(pair[0].iter().all(|key| pair[1].contains(key)), "{counts:?}");
    }
}

#[test]
fn an_output_is_cut_at_the_guards_below() {
    let tree = shape("L2: [a-z#1] [a-z#2] [a-z#3]\nL3: a-c d-f g-k l-z");
    let plan = picker().pick(&tree, &PickContext { tasks_max: 1, ..PickContext::default() });
    let cuts: Vec<&str> =
        plan.tasks[0].cuts.iter().map(|key| std::str::from_utf8(key).expect("a letter")).collect();
    assert_eq!(cuts, ["d", "g", "l"]);
}
