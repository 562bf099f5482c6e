//! Whole databases on one thread under one seed, against a model, for every combination of the stock parts. The long form is `cargo xtask simulate`.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use terrace::testing::{Counts, combinations};

/// `seeds`, shared out among the combinations; `TERRACE_SIM_SEED` runs one alone.
fn run(seeds: std::ops::Range<u64>, len: usize) {
    let only = std::env::var("TERRACE_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(seeds, |seed: u64| seed..seed + 1);
    let (combinations, mut counts, count) = (combinations(), Counts::default(), seeds.end - seeds.start);
    for seed in seeds {
        let combination = combinations[seed as usize % combinations.len()];
        match combination.simulate(seed, len) {
            Ok(tried) => counts += tried,
            Err(failure) => panic!("{combination}: {failure}"),
        }
    }
    println!("{count} seeds: {counts}");
    assert!(only.is_some() || (counts.crashes > 0 && counts.reopens > 0), "the simulation did nothing");
}

#[test]
fn seeds_agree_with_the_model() {
    let count = std::env::var("TERRACE_SIM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(160);
    run(0..count, 400);
}

#[test]
fn long_seeds_agree_with_the_model() {
    run(10_000..10_008, 4000);
}

#[test]
fn one_seed_gives_one_history() {
    for seed in 500..508 {
        let combination = combinations()[seed as usize % combinations().len()];
        let fingerprint = || combination.fingerprint(seed, 300).unwrap();
        assert_eq!(fingerprint(), fingerprint(), "{combination}, seed {seed}");
    }
}

#[test]
fn options_and_parts_do_not_change_an_answer() {
    for seed in 700..706 {
        let mut first = None;
        // Each combination under options of its own: the answers must not tell one from another.
        for (number, combination) in combinations().iter().enumerate() {
            let options = seed * 100 + number as u64;
            let answers = combination.metamorphic(seed, 600, options);
            let answers = answers.unwrap_or_else(|failure| panic!("{combination}: {failure}"));
            let first = *first.get_or_insert(answers);
            assert_eq!(answers, first, "{combination}, seed {seed}, options {options}");
        }
    }
}
