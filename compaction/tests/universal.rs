//! What the universal picker picks: RocksDB's own examples, and transcripts whose expected answers are in tests/snapshots.

#[macro_use]
mod picks;

use terrace_compaction::{UniversalOptions, UniversalPicker};
use units::trace;

mod units;

/// The example of RocksDB's wiki page for the size ratio: a ratio of 0, a trigger of 5.
#[test]
fn the_size_ratio_gathers_as_in_the_golden_trace() {
    let options = UniversalOptions { runs_trigger: 5, size_ratio_percent: 0, ..UniversalOptions::default() };
    let lines = trace(&UniversalPicker::new(options), 30);
    let expected = [
        "1 1 1 1 1 => 5",
        "1 1 1 1 5 => 4 5",
        "1 1 1 4 5 => 3 4 5",
        "1 1 3 4 5 => 2 3 4 5",
        "1 1 2 3 4 5 => 16",
        "1 1 1 1 16 => 4 16",
        "1 1 1 4 16 => 3 4 16",
        "1 1 3 4 16 => 2 3 4 16",
        "1 1 2 3 4 16 => 11 16",
    ];
    assert_eq!(lines[..expected.len()], expected);
}

/// The example of RocksDB's wiki page for space amplification: a bound of a quarter, and nothing else that would merge.
#[test]
fn the_space_bound_merges_everything_as_in_the_golden_trace() {
    let options = UniversalOptions {
        runs_trigger: 1,
        merge_width_min: usize::MAX,
        space_amplification_percent_max: 25,
        ..UniversalOptions::default()
    };
    let lines = trace(&UniversalPicker::new(options), 14);
    let expected =
        ["1 1 => 2", "1 2 => 3", "1 3 => 4", "1 1 4 => 6", "1 1 6 => 8", "1 1 1 8 => 11", "1 1 1 11 => 14"];
    assert_eq!(lines, expected);
}

picks! { UniversalPicker::default() =>
    below_the_trigger_nothing_is_done: "L0: a-z a-z a-z";
    a_full_merge_goes_to_the_last_level: "L0: a-z=3G a-z=3G a-z=3G\nL6: a-z=4G";
    gathered_runs_go_right_above_the_next_older: "L0: a-z=1M a-z=1M a-z=2M a-z=4M\nL4: a-z=1G\nL6: a-z=10G";
    within_level_0_they_stay_in_it: "L0: a-z=1M a-z=1M a-z=9M a-z=90M\nL6: a-z=10G";
    too_many_runs_that_do_not_gather_are_merged_from_the_newest: "L0: a-z=1M a-z=2M a-z=4M a-z=8M a-z=16M\nL6: a-z=10G";
    busy_runs_divide_what_is_gathered: "L0: a-z a-z a-z! a-z a-z a-z\nL6: a-z=100G";
    runs_that_do_not_overlap_are_joined_unread: "L0: s-t m-n g-h a-b\nL6: a-z=100G";
}
