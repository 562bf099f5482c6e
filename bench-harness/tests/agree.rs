//! The simulator against this engine, small and in memory, on one thread; `cargo xtask agree` does it at size on real files.

use terrace_bench::agree::{Load, agree};
use terrace_compaction::stock;

/// What is asked of the large load.
const DEVIATION_MAX: f64 = 0.10;
/// What is asked of `universal` here: it weighs sizes of runs to a hundredth, and memtables of the engine are not all of one size as the simulator's are; in so
/// small a tree that decides whether whole levels are merged once more or less.
const DEVIATION_OF_UNIVERSAL_MAX: f64 = 0.25;

fn check(name: &str) {
    let make = stock::named(name).expect("a stock policy");
    let load = Load::of_bytes(40_000_000, 128 << 10);
    let deviation_max = if name == "universal" { DEVIATION_OF_UNIVERSAL_MAX } else { DEVIATION_MAX };
    let agreed = agree(&load, make, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(agreed.deviation() < deviation_max, "{name}: {agreed:?}, ratios {:?}", agreed.ratios());
    assert!(agreed.real.write_amplification >= 0.9 && agreed.real.space_amplification >= 0.9, "{agreed:?}");
}

macro_rules! agree {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_stock_policy_is_held_against_the_engine() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(stock::all().iter().map(|(name, _)| *name).collect::<Vec<_>>(), tested);
        }
    };
}

agree! { leveled tiered universal fluid hybrid guards windowed fifo }
