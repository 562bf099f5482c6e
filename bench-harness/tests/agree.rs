//! The simulator against this engine, small and in memory, on one thread; `cargo xtask agree` does it at size on real files.
#![expect(clippy::print_stdout, reason = "the figures of docs/LABORATORY.md, with `--nocapture`")]

use terrace_bench::agree::{Agreement, Figures, Load, agree};
use terrace_compaction::stock;

/// What is asked of the large load.
const DEVIATION_MAX: f64 = 0.10;

/// A load of 40 MB, or for `tiered` and `universal` eight of that size: they weigh sizes of runs, so that a memtable a little larger than another decides whether
/// whole levels are merged once more or less. What it writes is told by several loads, and not by one.
fn loads(name: &str) -> Vec<Load> {
    let of = |megabytes: u64, seed| Load { seed, ..Load::of_bytes(megabytes * 1_000_000, 128 << 10) };
    match name {
        "tiered" | "universal" => (0..8).map(|seed| of(36 + seed, seed)).collect(),
        _ => vec![of(40, 1)],
    }
}

fn mean(figures: impl Iterator<Item = Figures>) -> Figures {
    let figures: Vec<Figures> = figures.collect();
    let of = |figure: fn(&Figures) -> f64| figures.iter().map(figure).sum::<f64>() / figures.len() as f64;
    Figures {
        write_amplification: of(|figures| figures.write_amplification),
        space_amplification: of(|figures| figures.space_amplification),
    }
}

fn check(name: &str) {
    let make = stock::named(name).expect("a stock policy");
    let run = |load| agree(&load, make, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let each: Vec<Agreement> = loads(name).into_iter().map(run).collect();
    let agreed = Agreement {
        real: mean(each.iter().map(|agreed| agreed.real)),
        simulated: mean(each.iter().map(|agreed| agreed.simulated)),
    };
    println!("{name}: {agreed:.3?}, ratios {:.3?}", agreed.ratios());
    assert!(agreed.deviation() < DEVIATION_MAX, "{name}: {agreed:?}, ratios {:?}", agreed.ratios());
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
