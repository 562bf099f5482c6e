//! The conformance suite over this crate's own pickers, with several options each.

use terrace_compaction::testing::check_picker;
use terrace_compaction::{LeveledOptions, LeveledPicker, TieredOptions, TieredPicker};

#[test]
fn leveled_keeps_the_laws() {
    check_picker(&LeveledPicker::default(), 1, 100);
}

#[test]
fn leveled_with_tiny_tables_keeps_the_laws() {
    check_picker(&LeveledPicker::new(LeveledOptions::for_table_bytes(1000)), 2, 100);
}

#[test]
fn leveled_with_extreme_options_keeps_the_laws() {
    let options = LeveledOptions {
        l0_runs_trigger: 0,
        base_level_bytes: 0,
        size_ratio: 0,
        target_table_bytes: 0,
        levels_max: 0,
        grandparent_overlap_bytes_max: 0,
        ..LeveledOptions::default()
    };
    check_picker(&LeveledPicker::new(options), 3, 40);
    let options =
        LeveledOptions { size_ratio: u64::MAX, levels_max: usize::MAX, ..LeveledOptions::default() };
    check_picker(&LeveledPicker::new(options), 4, 40);
}

#[test]
fn tiered_keeps_the_laws() {
    check_picker(&TieredPicker::default(), 5, 100);
}

#[test]
fn tiered_with_extreme_options_keeps_the_laws() {
    let narrow = TieredOptions {
        merge_width_min: 0,
        merge_width_max: 0,
        size_ratio: f64::NAN,
        small_run_bytes: 0,
        runs_max: 0,
        space_amplification_percent_max: 0,
        target_table_bytes: 0,
        levels_max: 0,
        ..TieredOptions::default()
    };
    check_picker(&TieredPicker::new(narrow), 6, 40);
    let wide = TieredOptions {
        size_ratio: f64::INFINITY,
        small_run_bytes: u64::MAX,
        space_amplification_percent_max: u64::MAX,
        levels_max: usize::MAX,
        ..TieredOptions::default()
    };
    check_picker(&TieredPicker::new(wide), 7, 40);
}
