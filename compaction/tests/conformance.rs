//! The conformance suite over this crate's own pickers, with several options each.

use terrace_compaction::testing::check_picker;
use terrace_compaction::{
    FifoOptions, FifoPicker, FluidOptions, FluidPicker, GuardsOptions, GuardsPicker, HybridOptions,
    HybridPicker, LeveledOptions, LeveledPicker, Movement, TieredOptions, TieredPicker, TriggerOptions,
    UniversalOptions, UniversalPicker, WindowedOptions, WindowedPicker,
};

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
    check_picker(&LeveledPicker::new(least_leveled()), 3, 40);
    check_picker(&LeveledPicker::new(most_leveled()), 4, 40);
}

fn least_leveled() -> LeveledOptions {
    LeveledOptions {
        l0_runs_trigger: 0,
        l0_full_bytes: u64::MAX,
        l0_small_runs_trigger: 0,
        base_level_bytes: 0,
        size_ratio: 0,
        target_table_bytes: 0,
        levels_max: 0,
        grandparent_overlap_bytes_max: 0,
        ..LeveledOptions::default()
    }
}

fn most_leveled() -> LeveledOptions {
    LeveledOptions {
        size_ratio: u64::MAX,
        levels_max: usize::MAX,
        l0_full_bytes: 64 << 20,
        l0_small_runs_trigger: usize::MAX,
        ..LeveledOptions::default()
    }
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

#[test]
fn universal_keeps_the_laws() {
    check_picker(&UniversalPicker::default(), 8, 100);
    let eager = UniversalOptions { runs_trigger: 8, size_ratio_percent: 100, ..UniversalOptions::default() };
    check_picker(&UniversalPicker::new(eager), 9, 60);
}

#[test]
fn universal_with_extreme_options_keeps_the_laws() {
    let least = UniversalOptions {
        runs_trigger: 0,
        runs_slow: 0,
        runs_stop: 0,
        size_ratio_percent: 0,
        merge_width_min: 0,
        merge_width_max: 0,
        space_amplification_percent_max: 0,
        target_table_bytes: 0,
        levels_max: 0,
        triggers: TriggerOptions::default(),
    };
    check_picker(&UniversalPicker::new(least), 10, 40);
    let most = UniversalOptions {
        runs_trigger: usize::MAX,
        size_ratio_percent: u64::MAX,
        merge_width_min: usize::MAX,
        space_amplification_percent_max: u64::MAX,
        levels_max: usize::MAX,
        ..UniversalOptions::default()
    };
    check_picker(&UniversalPicker::new(most.clone()), 11, 40);
    let wide = UniversalOptions { runs_trigger: 2, merge_width_min: 2, ..most };
    check_picker(&UniversalPicker::new(wide), 12, 40);
}

#[test]
fn the_fluid_family_keeps_the_laws() {
    for (seed, options) in [
        (13, FluidOptions::leveling(10)),
        (14, FluidOptions::tiering(4)),
        (15, FluidOptions::lazy_leveling(4)),
        (16, FluidOptions { inner_runs_max: 3, last_runs_max: 2, ..FluidOptions::leveling(8) }),
    ] {
        check_picker(&FluidPicker::new(options.clone()), seed, 60);
        // Levels that are soon full, so that arrivals go through several.
        let small = FluidOptions { base_level_bytes: 5000, target_table_bytes: 1000, ..options };
        check_picker(&FluidPicker::new(small), seed, 60);
    }
}

#[test]
fn fluid_with_extreme_options_keeps_the_laws() {
    let least = FluidOptions {
        size_ratio: 0,
        inner_runs_max: 0,
        last_runs_max: 0,
        base_level_bytes: 0,
        l0_runs_trigger: 0,
        l0_runs_slow: 0,
        l0_runs_stop: 0,
        target_table_bytes: 0,
        levels_max: 0,
        triggers: TriggerOptions::default(),
    };
    check_picker(&FluidPicker::new(least), 17, 40);
    let most = FluidOptions {
        size_ratio: u64::MAX,
        inner_runs_max: usize::MAX,
        last_runs_max: usize::MAX,
        base_level_bytes: u64::MAX,
        l0_runs_trigger: usize::MAX,
        levels_max: usize::MAX,
        ..FluidOptions::default()
    };
    check_picker(&FluidPicker::new(most), 18, 40);
}

#[test]
fn fifo_keeps_the_laws() {
    check_picker(&FifoPicker::default(), 19, 20);
    for (seed, bytes_max, age_seconds_max) in
        [(20, Some(5000), None), (21, None, Some(20)), (22, Some(1 << 30), Some(0)), (23, Some(0), Some(40))]
    {
        check_picker(&FifoPicker::new(FifoOptions { bytes_max, age_seconds_max }), seed, 80);
    }
}

#[test]
fn windowed_keeps_the_laws() {
    check_picker(&WindowedPicker::default(), 24, 60);
    for (seed, window_seconds, keep_seconds) in
        [(25, 1, None), (26, 10, Some(50)), (27, 30, Some(0)), (28, 0, Some(u64::MAX)), (29, u64::MAX, None)]
    {
        let options = WindowedOptions { window_seconds, keep_seconds, ..WindowedOptions::default() };
        check_picker(&WindowedPicker::new(options), seed, 80);
    }
    let least = WindowedOptions { runs_trigger: 0, target_table_bytes: 0, ..WindowedOptions::default() };
    check_picker(&WindowedPicker::new(least), 30, 40);
}

#[test]
fn hybrid_keeps_the_laws() {
    check_picker(&HybridPicker::default(), 31, 100);
    for (seed, tiered_levels, l0_runs_trigger, target_table_bytes) in
        [(32, 1, 4, 1000), (33, 3, 2, 1000), (34, 2, 3, 64 << 20)]
    {
        let usual = LeveledOptions::for_table_bytes(target_table_bytes);
        let leveled = LeveledOptions { l0_runs_trigger, ..usual };
        check_picker(&HybridPicker::new(HybridOptions { tiered_levels, leveled }), seed, 60);
    }
}

#[test]
fn hybrid_with_extreme_options_keeps_the_laws() {
    let never = LeveledOptions { l0_runs_trigger: usize::MAX, ..most_leveled() };
    for (seed, tiered_levels, leveled) in
        [(35, 0, least_leveled()), (36, usize::MAX, least_leveled()), (37, 2, never)]
    {
        check_picker(&HybridPicker::new(HybridOptions { tiered_levels, leveled }), seed, 40);
    }
}

#[test]
fn guards_keeps_the_laws() {
    check_picker(&GuardsPicker::default(), 38, 100);
    for (seed, fragments_max, last_fragments_max, last_guard_tables) in
        [(39, 2, 1, 1), (40, 3, 3, 2), (41, 8, 1, 8)]
    {
        let target_table_bytes = 1000;
        let usual = GuardsOptions { target_table_bytes, ..GuardsOptions::default() };
        let options = GuardsOptions { fragments_max, last_fragments_max, last_guard_tables, ..usual };
        check_picker(&GuardsPicker::new(options), seed, 60);
    }
}

#[test]
fn guards_with_extreme_options_keeps_the_laws() {
    let least = GuardsOptions {
        fragments_max: 0,
        last_fragments_max: 0,
        guard_ratio: 0,
        last_guard_tables: 0,
        l0_runs_trigger: 0,
        l0_runs_slow: 0,
        l0_runs_stop: 0,
        target_table_bytes: 0,
        levels_max: 0,
        triggers: TriggerOptions::default(),
    };
    check_picker(&GuardsPicker::new(least), 42, 40);
    let most = GuardsOptions {
        fragments_max: usize::MAX,
        last_fragments_max: usize::MAX,
        guard_ratio: u64::MAX,
        last_guard_tables: u64::MAX,
        levels_max: usize::MAX,
        ..GuardsOptions::default()
    };
    check_picker(&GuardsPicker::new(most), 43, 40);
}

#[test]
fn every_movement_keeps_the_laws() {
    for (seed, movement) in (44..).zip(Movement::ALL) {
        let options = LeveledOptions { movement, ..LeveledOptions::for_table_bytes(1000) };
        check_picker(&LeveledPicker::new(options), seed, 60);
    }
}

/// Triggers that nearly everything sets off, in pickers that have them, one after the other and all at once.
#[test]
fn triggers_beside_size_keep_the_laws() {
    let none = TriggerOptions::default();
    let all = TriggerOptions {
        tombstone_age_seconds_max: Some(20),
        tombstone_percent_max: Some(10),
        vain_read_bytes: Some(1),
    };
    let each = [
        TriggerOptions { tombstone_age_seconds_max: Some(0), ..none },
        TriggerOptions { tombstone_percent_max: Some(0), ..none },
        TriggerOptions { vain_read_bytes: Some(u64::MAX), ..none },
        all,
    ];
    for (seed, triggers) in (50..).step_by(10).zip(each) {
        for space_amplification_percent_max in [None, Some(10)] {
            let leveled = LeveledOptions {
                triggers,
                space_amplification_percent_max,
                ..LeveledOptions::for_table_bytes(1000)
            };
            check_picker(&LeveledPicker::new(leveled.clone()), seed, 40);
            check_picker(&HybridPicker::new(HybridOptions { tiered_levels: 2, leveled }), seed + 1, 40);
        }
        let guards = GuardsOptions { triggers, target_table_bytes: 1000, ..GuardsOptions::default() };
        check_picker(&GuardsPicker::new(guards), seed + 2, 40);
        let tiered = TieredOptions { triggers, ..TieredOptions::default() };
        check_picker(&TieredPicker::new(tiered), seed + 3, 40);
        let universal = UniversalOptions { triggers, ..UniversalOptions::default() };
        check_picker(&UniversalPicker::new(universal), seed + 4, 40);
        let fluid = FluidOptions { triggers, base_level_bytes: 5000, ..FluidOptions::default() };
        check_picker(&FluidPicker::new(fluid), seed + 5, 40);
    }
}
