//! Puts the stock engine, in every combination of its parts, to the test: `cargo xtask simulate` runs this.
//!
//! For an engine of your own, call the functions of `terrace::testing` with your `Parts`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]
#![expect(clippy::disallowed_methods, reason = "a tool: it has no database whose seams it could use")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use terrace::testing::{
    Combination, Counts, CrashPoints, Failure, FaultSites, combinations, journey, journey_options,
};
use terrace_wal::LogKind;

const USAGE: &str = "\
usage: simulate [--seeds N] [--from S] [--length L] [--minutes M]
                [--crash-points N | --fault-sites N | --metamorphic N] [--threads T]

  --seeds N         histories to run (default 400); each follows from its seed
  --from S          the first seed (default 0); with --seeds 1, repeats one
  --length L        operations of a history (default 400)
  --minutes M       go on with further seeds until so much time has passed
  --crash-points N  instead: N workloads, crashing at every file operation in several ways, and at every one of recovery in turn
  --fault-sites N   instead: N workloads, each file operation failing once, in each way
  --metamorphic N   instead: N histories under 8 options for each combination of parts, whose answers must agree
  --threads T       threads (default 2)
";

#[derive(Clone, Copy)]
enum Mode {
    Seeds,
    CrashPoints,
    FaultSites,
    Metamorphic,
}

struct Arguments {
    mode: Mode,
    seeds: u64,
    from: u64,
    length: usize,
    time: Duration,
    threads: usize,
}

fn arguments() -> Option<Arguments> {
    let mut found =
        Arguments { mode: Mode::Seeds, seeds: 400, from: 0, length: 400, time: Duration::ZERO, threads: 2 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let number: u64 = given.next()?.parse().ok()?;
        match name.as_str() {
            "--seeds" => found.seeds = number,
            "--from" => found.from = number,
            "--length" => found.length = number as usize,
            "--minutes" => found.time = Duration::from_secs(60 * number),
            "--threads" => found.threads = (number as usize).clamp(1, 64),
            "--crash-points" => (found.mode, found.seeds) = (Mode::CrashPoints, number),
            "--fault-sites" => (found.mode, found.seeds) = (Mode::FaultSites, number),
            "--metamorphic" => (found.mode, found.seeds) = (Mode::Metamorphic, number),
            _ => return None,
        }
    }
    Some(found)
}

fn try_seed(mode: Mode, seed: u64, length: usize) -> Result<Counts, Failure> {
    let combinations = combinations();
    let combination = combinations[seed as usize % combinations.len()];
    let logs = [LogKind::Buffered, LogKind::Mapped, LogKind::Null];
    let mut options = journey_options(seed);
    options.log = logs[seed as usize / combinations.len() % logs.len()];
    let tried = match mode {
        Mode::Seeds => combination.simulate(seed, length),
        Mode::CrashPoints => combination.crash_points(&CrashPoints {
            options,
            workload: journey(seed),
            mixed_per_point: 4,
            every_combination_up_to: 3,
            recoveries_per_point: 2,
            stride: 1,
            seed,
        }),
        Mode::FaultSites => {
            let check = FaultSites { options, workload: journey(seed), stride: 1, first: 0, seed };
            combination.fault_sites(&check)
        }
        Mode::Metamorphic => agree(&combinations, seed, length),
    };
    tried.map_err(|failure| Failure { run: format!("{combination}, {}", failure.run), ..failure })
}

/// One history, everywhere: the answers must be the same.
fn agree(combinations: &[Combination], seed: u64, length: usize) -> Result<Counts, Failure> {
    let mut first = None;
    let mut counts = Counts::default();
    for combination in combinations {
        for options in 0..8 {
            let answers = combination.metamorphic(seed, length, seed * 8 + options)?;
            counts.operations += length as u64;
            if *first.get_or_insert(answers) != answers {
                let what = format!("{combination}, options {}: other answers", seed * 8 + options);
                return Err(Failure { run: format!("seed {seed}"), what, operations: Vec::new() });
            }
        }
    }
    Ok(counts)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let (next, counts) = (AtomicU64::new(0), Mutex::new((0, Counts::default(), Vec::new())));
    // A panic on the way to a failure is part of the search for the shortest history that shows it.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds && begun.elapsed() >= arguments.time {
                        return;
                    }
                    let tried = try_seed(arguments.mode, arguments.from + number, arguments.length);
                    let mut counts = counts.lock().expect("no thread panics while it counts");
                    counts.0 += 1;
                    match tried {
                        Ok(tried) => counts.1 += tried,
                        Err(failure) => {
                            println!("FAILED {failure}");
                            counts.2.push(arguments.from + number);
                        }
                    }
                    if counts.0 % 100 == 0 {
                        eprintln!("{} seeds, {:.0} s: {}", counts.0, begun.elapsed().as_secs_f64(), counts.1);
                    }
                }
            });
        }
    });
    let (seeds, counts, failed) = counts.into_inner().expect("no thread panicked while it counted");
    println!("{seeds} seeds in {:.0} s: {counts}; {} failed", begun.elapsed().as_secs_f64(), failed.len());
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed seeds: {failed:?}; one alone: --from SEED --seeds 1");
    ExitCode::FAILURE
}
