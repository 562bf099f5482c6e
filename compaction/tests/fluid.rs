//! What the fluid picker picks, as transcripts: a tree, then the plan. The expected answers are in tests/snapshots.

use terrace_compaction::testing::transcript;
use terrace_compaction::{FluidOptions, FluidPicker};
use units::trace;

mod units;

const MIB: u64 = 1 << 20;

/// Level 1 of 1 GiB, level 2 of 10 GiB; flushes of 64 MiB go down by four.
fn options(of: FluidOptions) -> FluidOptions {
    FluidOptions { base_level_bytes: 1024 * MIB, ..of }
}

/// Three runs in all levels but the last.
fn three_runs() -> FluidOptions {
    FluidOptions { inner_runs_max: 3, ..FluidOptions::lazy_leveling(10) }
}

macro_rules! picks {
    ($($name:ident: $options:expr, $tree:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(transcript(&FluidPicker::new(options($options)), $tree, 8));
        }
    )*};
}

picks! {
    leveling_merges_into_the_one_run: FluidOptions::leveling(10), "L0: a-z a-z a-z a-z\nL1: a-z=300M\nL2: a-z=4G";
    tiering_adds_a_run: FluidOptions::tiering(10), "L0: a-z a-z a-z a-z\nL1: a-z=256M\nL2: a-z=4G";
    between_the_corners_arrivals_join_the_newest_run: three_runs(), "L0: a-z a-z a-z a-z\nL1: [a-z=64M] [a-z=320M]\nL2: a-z=4G";
    until_it_has_its_share_of_the_level: three_runs(), "L0: a-z a-z a-z a-z\nL1: [a-z=320M] [a-z=128M]\nL2: a-z=4G";
    an_arrival_that_fills_a_level_takes_it_along: FluidOptions::lazy_leveling(10), "L0: a-z a-z a-z a-z\nL1: [a-z=256M] [a-z=256M] [a-z=256M]\nL2: a-z=4G";
    an_arrival_may_pass_several_levels: FluidOptions::leveling(10), "L0: a-z a-z a-z a-z\nL1: a-z=800M\nL2: a-z=9G\nL3: a-z=50G";
    a_level_from_another_policy_is_brought_into_bounds: FluidOptions::leveling(10), "L1: [a-z=3G] [a-z=1G]\nL2: [a-z=1G] [a-z=1G]\nL3: a-z=50G";
    what_is_busy_below_makes_level_0_wait: FluidOptions::leveling(10), "L0: a-z a-z a-z a-z\nL1: a-z=300M!\nL2: a-z=4G";
    and_merge_within_itself_at_last: FluidOptions::leveling(10), "L0: a-z a-z a-z a-z a-z a-z a-z a-z\nL1: a-z=300M!\nL2: a-z=4G";
}

/// With every flush going down alone, the sizes of runs count like digits.
#[test]
fn unit_flushes_fill_levels_as_the_paper_draws_them() {
    let of = |options: FluidOptions| {
        let unit = FluidOptions { l0_runs_trigger: 1, base_level_bytes: 3 * MIB, ..options };
        let lines = trace(&FluidPicker::new(unit), 9);
        // Only where runs are merged; a lone run is moved.
        lines
            .into_iter()
            .filter(|line| line.split(" => ").next() != line.split(" => ").nth(1))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(FluidOptions::leveling(3)),
        ["1 1 => 2", "1 2 => 3", "1 1 3 => 2 3", "1 2 3 => 6", "1 1 6 => 2 6", "1 2 6 => 9"]
    );
    assert_eq!(of(FluidOptions::tiering(3)), ["1 1 1 => 3", "1 1 1 3 => 3 3", "1 1 1 3 3 => 9"]);
    assert_eq!(of(FluidOptions::lazy_leveling(3)).last().map(String::as_str), Some("1 1 1 6 => 9"));
}
