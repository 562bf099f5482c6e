//! What the leveled picker picks, as transcripts: a tree, then the plan. The expected answers are in tests/snapshots.

#[macro_use]
mod picks;

use terrace_compaction::testing::transcript;
use terrace_compaction::{CompactionPicker, LeveledOptions, LeveledPicker, PickContext};

/// Tables of 64 MiB, base level 256 MiB, ratio 10 at the base as elsewhere, four levels.
fn picker() -> LeveledPicker {
    LeveledPicker::new(LeveledOptions { levels_max: 4, ..one_ratio() })
}

fn one_ratio() -> LeveledOptions {
    let usual = LeveledOptions::default();
    LeveledOptions { base_ratio_min: usual.size_ratio, ..usual }
}

picks! { picker() =>
    level_0_below_its_trigger_is_left_alone: "L0: a-f a-f a-f\nL3: a-z";
    level_0_goes_to_the_last_level_of_a_small_tree: "L0: a-f a-f a-f a-f\nL3: a-c d-h m-p";
    level_0_into_an_empty_tree_makes_a_run: "L0: a-f a-f a-f a-f";
    disjoint_parts_of_level_0_go_side_by_side: "L0: a-c m-p b-d n-q\nL3: a-b c-f l-n o-r";
    a_sequential_load_is_moved: "L0: g-h e-f c-d a-b\nL3: A-B C-D";
    a_long_blocked_level_0_merges_itself: "L0: a-f a-f a-f a-f a-f a-f\nL3: a-c! d-h";
    a_blocked_level_0_is_patient_at_first_and_holds_the_base_back: "L0: a-f a-f a-f a-f a-f\nL2: a-c=60M! d-f=100M x-z=150M\nL3: a-z=2G";
    newer_runs_wait_while_elders_are_busy: "L0: a-f a-f a-f a-f! a-f!\nL3: a-c d-h!";
    elders_go_while_newer_runs_are_busy: "L0: a-f! a-f! a-f a-f a-f a-f\nL3: a-c d-h";
    tiny_runs_merge_within_level_0: "L0: a-z=1M a-z=1M a-z=1M a-z=1M\nL3: a-f g-l m-z";
    a_level_above_its_target_gives_its_cheapest_table: "L2: a-c#1 d-f#2 g-i#3 j-l#4 m-o#5 p-r#6\nL3: a-b#10=600M c-d=600M e-f=600M g-h=300M j-k=100M l-n=200M o-p=600M q-z=600M";
    tombstones_make_a_table_cheaper: "L2: a-c#1 d-f#2*90 g-i#3 j-l#4 m-o#5\nL3: a-c=600M d-f=601M g-i=600M j-l=600M m-o=600M";
    nothing_below_means_a_move: "L2: a-c d-f g-i j-l m-o\nL3: n-z=2400M";
    neighbours_ride_along: "L2: a-c#1 d-f#2=400M g-i#3=1M j-k#4=1M k5-l#9=1M\nL3: a-b=2G d-k=500M l-z=1G";
    busy_tables_below_make_the_next_best_go: "L2: a-c#1 d-f#2 g-i#3 j-l#4 m-o#5\nL3: a-c=100M! d-f=200M g-i=600M j-l=700M m-o=800M";
    several_runs_in_a_level_become_one: "L1: [a-c#5] [b-f#4 m-p#3] [a-b#2 n-z#1]\nL3: a-z";
    a_level_above_the_base_is_drained: "L1: a-b=64M\nL3: a-k l-z";
    a_tree_from_another_policy_is_taken_over: "L0: a-z#9 a-z#8\nL1: [a-z#7=1G] [a-z#6=1G]\nL2: [a-z#5=4G] [a-z#4=4G]";
    the_level_furthest_above_its_target_is_first: "L0: a-f a-f a-f a-f\nL2: a-c=300M#1 d-f=300M#2 g-i=300M#3\nL3: a-c=800M d-f=800M g-i=800M";
}

/// Runs of 64 MiB are full at four of them, smaller ones are not.
fn patient() -> LeveledPicker {
    let options = LeveledOptions { levels_max: 4, l0_full_bytes: 256 << 20, ..LeveledOptions::default() };
    LeveledPicker::new(options)
}

picks! { patient() =>
    four_full_runs_of_level_0_go_down: "L0: a-f a-f a-f a-f\nL3: a-c d-h m-p";
    five_small_runs_of_level_0_stay: "L0: a-f=32M a-f=32M a-f=32M a-f=32M a-f=32M\nL3: a-c d-h m-p";
    six_small_runs_of_level_0_go_down: "L0: a-f=32M a-f=32M a-f=32M a-f=32M a-f=32M a-f=32M\nL3: a-c d-h m-p";
    small_runs_under_way_do_not_make_new_ones_full: "L0: a-f=32M a-f=32M a-f=32M a-f=32M a-f=128M! a-f=128M!\nL3: a-c d-h!";
}

#[test]
fn small_runs_cost_no_pressure_below_their_trigger() {
    let pressure = |runs: usize| {
        let shape = terrace_compaction::testing::shape(&format!("L0:{}", " a-f=32M".repeat(runs)));
        patient().pick(&shape, &PickContext::default()).pressure
    };
    assert_eq!(pressure(6), 0.0);
    assert!(pressure(7) > 0.0);
}

#[test]
fn fewer_tasks_than_wanted_are_explained() {
    insta::assert_snapshot!(transcript(
        &picker(),
        "L0: a-c m-p b-d n-q\nL2: a-c=300M d-f=300M\nL3: a-z=2G",
        1
    ));
}

/// MiB of each level.
fn targets(options: LeveledOptions, text: &str) -> Vec<u64> {
    let shape = terrace_compaction::testing::shape(text);
    let targets = LeveledPicker::new(options).level_targets(&shape);
    targets.into_iter().map(|bytes| bytes >> 20).collect()
}

#[test]
fn level_targets_come_from_the_largest_level() {
    let targets = |text: &str| targets(one_ratio(), text);
    assert_eq!(targets(""), [0, 0, 0, 0, 0, 0, 256]);
    assert_eq!(targets("L6: a-z=100M"), [0, 0, 0, 0, 0, 0, 256]);
    assert_eq!(targets("L6: a-z=2000M"), [0, 0, 0, 0, 0, 200, 2000]);
    assert_eq!(targets("L6: a-z=30000M"), [0, 0, 0, 30, 300, 3000, 30000]);
    assert_eq!(targets("L6: a-z=1000000M"), [0, 0, 100, 1000, 10000, 100_000, 1_000_000]);
}

#[test]
fn the_base_has_room_for_what_arrives_at_once() {
    let targets = |text: &str| targets(LeveledOptions::default(), text);
    assert_eq!(
        targets("L6: a-z=640M"),
        [0, 0, 0, 0, 0, 0, 640],
        "two and a half times what is wanted in a base"
    );
    assert_eq!(targets("L6: a-z=644M"), [0, 0, 0, 0, 0, 161, 644], "a quarter of what is below");
    assert_eq!(targets("L6: a-z=2000M"), [0, 0, 0, 0, 0, 256, 2000], "no more than is wanted in a base");
    assert_eq!(targets("L6: a-z=5000M"), [0, 0, 0, 0, 0, 500, 5000]);
    assert_eq!(targets("L6: a-z=30000M"), [0, 0, 0, 0, 300, 3000, 30000], "only the base has another ratio");
    assert_eq!(targets("L6: a-z=70000M"), [0, 0, 0, 175, 700, 7000, 70000]);
}

#[test]
fn a_level_just_above_the_base_stays_in_use_until_it_is_far_too_small() {
    let base = |options: LeveledOptions, text: &str| {
        targets(options, text).iter().position(|&mebibytes| mebibytes > 0).unwrap()
    };
    let by_one_ratio = |text: &str| base(one_ratio(), text);
    // 250 MiB in the last level would be the base itself; level 5 is in use and its share is not tiny.
    assert_eq!(by_one_ratio("L6: a-z=250M"), 6);
    assert_eq!(by_one_ratio("L5: a-z=10M\nL6: a-z=250M"), 5);
    assert_eq!(by_one_ratio("L4: a-z=10M\nL6: a-z=250M"), 6);
    let usual = |text: &str| base(LeveledOptions::default(), text);
    assert_eq!(usual("L5: a-z=10M\nL6: a-z=600M"), 5);
    assert_eq!(usual("L5: a-z=10M\nL6: a-z=256M"), 5, "the last level is never taken for less than a base");
    let ratio_of_two = LeveledOptions { size_ratio: 2, ..LeveledOptions::default() };
    assert_eq!(base(ratio_of_two, "L6: a-z=300M"), 5, "a base's ratio is no more than that of others");
}
