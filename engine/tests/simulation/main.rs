//! A whole database on one thread under one seed: files, time and threads simulated, against a `BTreeMap`.
//!
//! Every seed draws options, operations, interleavings of background jobs, faults and crashes. After a crash the database must hold the state
//! after some prefix of the commit order that reaches at least to the last write acknowledged as durable: for the death of a process, to the last write
//! acknowledged at all.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

mod model;
mod world;

use world::World;

/// Runs one seed; the count of operations and crashes.
fn run(seed: u64, steps: usize) -> (u64, u64) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.finish();
    (world.operations, world.crashes)
}

fn run_seeds(seeds: std::ops::Range<u64>, steps: usize) {
    let only = std::env::var("TERRACE_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(seeds, |seed: u64| seed..seed + 1);
    let (mut operations, mut crashes, mut count) = (0, 0, 0);
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| run(seed, steps));
        let Ok((ops, cuts)) = ran else {
            panic!("seed {seed} failed; run it alone with TERRACE_SIM_SEED={seed}");
        };
        operations += ops;
        crashes += cuts;
        count += 1;
    }
    println!("{count} seeds, {operations} operations, {crashes} crashes");
    if only.is_none() {
        assert!(crashes > 0 && operations > 0, "the simulation did nothing");
    }
}

#[test]
fn seeds_agree_with_the_model() {
    let count = std::env::var("TERRACE_SIM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(150);
    run_seeds(0..count, 400);
}

#[test]
fn long_seeds_agree_with_the_model() {
    run_seeds(10_000..10_010, 4000);
}

#[test]
fn one_seed_gives_one_history() {
    let trace = |seed| {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
        (world.operations, world.crashes, world.fingerprint())
    };
    for seed in 500..505 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}
