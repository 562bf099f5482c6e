//! What the hybrid picker picks, as transcripts: a tree, then the plan. The expected answers are in tests/snapshots.

#[macro_use]
mod picks;

use terrace_compaction::{HybridOptions, HybridPicker, LeveledOptions};

/// Two tiers of three runs over a base level of 1 GiB; four levels.
fn picker() -> HybridPicker {
    let leveled = LeveledOptions {
        l0_runs_trigger: 3,
        base_level_bytes: 1 << 30,
        levels_max: 4,
        ..HybridOptions::default().leveled
    };
    HybridPicker::new(HybridOptions { tiered_levels: 2, leveled })
}

picks! { picker() =>
    tiers_below_their_trigger_are_left_alone: "L0: a-z a-z\nL1: [a-m n-z] [a-m n-z]\nL3: a-z";
    a_full_tier_becomes_a_run_of_the_next: "L0: a-z#9 a-z#8 a-z#7\nL1: [a-m#5 n-z#6]\nL3: a-z";
    the_deepest_tier_goes_into_the_base_level: "L1: [a-m#1 n-z#2] [a-m#3 n-z#4] [a-m#5 n-z#6]\nL3: a-m#7 n-z#8";
    its_parts_that_do_not_overlap_go_side_by_side: "L1: [a-f#1 n-q#2] [a-f#3 n-q#4] [a-f#5 n-q#6]\nL3: a-m#7 n-z#8";
    what_is_newer_than_a_busy_run_waits: "L0: a-z#9 a-z#8 a-z#7 a-z#6!\nL3: a-z";
    a_leveled_level_gives_its_cheapest_table: "L2: a-c=600M#1 d-f=600M#2 g-i=600M#3\nL3: a-c=4G d-f=3G g-i=4G";
    a_tree_from_another_policy_is_taken_over: "L0: a-z#9 a-z#8\nL2: [a-z#5=4G] [a-z#4=4G]\nL3: a-z=9G";
}
