//! What the tiered picker picks, as transcripts: a tree, then the plan. The expected answers are in tests/snapshots.

#[macro_use]
mod picks;

use terrace_compaction::{TieredOptions, TieredPicker};
use units::trace;

mod units;

picks! { TieredPicker::default() =>
    three_runs_are_left_alone: "L0: a-z a-z a-z";
    four_runs_of_one_size_go_one_level_down: "L0: a-z a-z a-z a-z\nL2: a-z=10G";
    part_of_a_level_stays_in_it: "L0: a-z a-z a-z a-z a-z=1G\nL2: a-z=10G";
    runs_of_different_sizes_do_not_merge: "L0: a-z=10M a-z=20M a-z=40M a-z=80M\nL2: a-z=10G";
    small_runs_are_all_alike: "L0: a-z=10K a-z=4M a-z=300K a-z=1M\nL2: a-z=10G";
    a_window_may_span_levels: "L0: a-z a-z\nL1: [a-z] [a-z]\nL2: a-z=10G";
    a_busy_run_divides: "L0: a-z a-z a-z! a-z a-z a-z a-z\nL2: a-z=10G";
    too_much_above_the_oldest_run_merges_everything: "L0: a-z=1G a-z=1G\nL1: a-z=9G\nL2: a-z=5G";
    a_full_merge_waits_for_busy_tables: "L0: a-z=1G! a-z=1G\nL1: a-z=9G\nL2: a-z=5G";
    two_windows_are_two_tasks_the_cheaper_first: "L0: a-z=1G a-z=1G a-z=1G a-z=1G\nL1: [a-z] [a-z] [a-z] [a-z]\nL2: a-z=90G";
    runs_that_do_not_overlap_are_joined_unread: "L0: g-h e-f c-d a-b\nL2: a-z=10G";
    too_many_runs_merge_where_it_is_cheapest: "L0: a-z=1M a-z=2M a-z=4M a-z=8M a-z=16M a-z=32M a-z=64M a-z=128M a-z=256M a-z=512M a-z=1G a-z=2G a-z=4G a-z=8G a-z=16G a-z=32G a-z=64G a-z=128G";
}

#[test]
fn unit_flushes_carry_over_like_digits() {
    let options = TieredOptions {
        small_run_bytes: 0,
        space_amplification_percent_max: 100_000,
        ..TieredOptions::default()
    };
    let lines = trace(&TieredPicker::new(options), 20);
    assert_eq!(
        lines,
        [
            "1 1 1 1 => 4",
            "1 1 1 1 4 => 4 4",
            "1 1 1 1 4 4 => 4 4 4",
            "1 1 1 1 4 4 4 => 4 4 4 4",
            "4 4 4 4 => 16",
            "1 1 1 1 16 => 4 16",
        ]
    );
}

#[test]
fn a_space_bound_of_a_quarter_merges_everything_again_and_again() {
    let options = TieredOptions {
        small_run_bytes: 0,
        size_ratio: 1.0,
        merge_width_min: 2,
        merge_width_max: 2,
        space_amplification_percent_max: 25,
        ..TieredOptions::default()
    };
    // RocksDB's wiki gives this sequence for a bound of 25 percent; a run of equal neighbours never arises in it.
    let lines = trace(&TieredPicker::new(options), 9);
    let expected = ["1 1 => 2", "1 2 => 3", "1 3 => 4", "1 1 4 => 6", "1 1 6 => 8"];
    assert_eq!(lines, expected);
}
