//! Runs the model-checked tests of concurrent code.
//!
//! They are ordinary tests behind `--cfg shuttle` or `--cfg loom`, which put a model checker's primitives in the place of the standard library's,
//! so each sort has a target folder of its own.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) const VERB: Verb = Verb {
    name: "concurrency",
    what: "runs the concurrent code under model checkers: shuttle, then loom",
    help: "\
Usage: cargo xtask concurrency [--iterations N] [--only shuttle|loom] [--seed SEED] [FILTER]

  --iterations N   shuttle: N times as many schedules of each scenario (1)
  --only CHECKER   just this one
  --seed SEED      shuttle: other schedules
  FILTER           only scenarios whose name holds this

A scenario that fails fails again with the same seed and the same iterations.
",
    run,
};

#[derive(Default)]
struct Options {
    iterations: Option<u64>,
    only: Option<String>,
    seed: Option<u64>,
    filter: Option<String>,
}

struct Checker {
    name: &'static str,
    packages: &'static [&'static str],
}

const CHECKERS: &[Checker] = &[
    Checker { name: "shuttle", packages: &["terrace-memtable", "terrace"] },
    // Loom's states grow too fast for a whole database.
    Checker { name: "loom", packages: &["terrace-memtable"] },
];

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("iterations") => options.iterations = Some(parser.value()?.parse()?),
            Long("seed") => options.seed = Some(parser.value()?.parse()?),
            Long("only") => {
                let name = parser.value()?.string()?;
                if !CHECKERS.iter().any(|checker| checker.name == name) {
                    return Err(format!("there is no checker `{name}`").into());
                }
                options.only = Some(name);
            }
            Value(filter) if options.filter.is_none() => options.filter = Some(filter.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    check(&parse(parser).map_err(|error| error.to_string())?)
}

/// What fits into the checks of every change: shuttle alone, each scenario with as many schedules as it asks for.
///
/// # Errors
///
/// The checker that found something.
pub(crate) fn short() -> Result<(), String> {
    check(&Options { only: Some("shuttle".to_owned()), ..Options::default() })
}

fn check(options: &Options) -> Result<(), String> {
    let workspace = Workspace::load()?;
    let (mut scenarios, mut schedules) = (0, 0);
    let start = Instant::now();
    for checker in CHECKERS.iter().filter(|each| options.only.as_deref().is_none_or(|only| only == each.name))
    {
        let output = run_checker(&workspace, checker, options)?;
        let found = count(&output);
        println!("{}: {} scenarios, {} schedules", checker.name, found.0, found.1);
        scenarios += found.0;
        schedules += found.1;
    }
    if scenarios == 0 {
        return Err("no scenario has such a name".to_owned());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("concurrency: {scenarios} scenarios, {schedules} schedules, 0 failures in {seconds:.1} s");
    Ok(())
}

fn run_checker(workspace: &Workspace, checker: &Checker, options: &Options) -> Result<String, String> {
    let mut command = process::cargo(&workspace.root);
    command.args(["test", "--test", checker.name, "--target-dir"]).arg(workspace.target.join(checker.name));
    command.args(checker.packages.iter().flat_map(|package| ["-p", package]));
    command.arg("--").args(&options.filter).arg("--show-output");
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg {}", checker.name).trim());
    if let Some(iterations) = options.iterations {
        command.env("TERRACE_SCHEDULES", iterations.to_string());
    }
    if let Some(seed) = options.seed {
        command.env("SHUTTLE_RANDOM_SEED", seed.to_string());
    }
    tested(&mut command, checker.name)
}

/// Runs tests, and gives back what they wrote; on a failure it is shown.
///
/// # Errors
///
/// That they failed.
pub(crate) fn tested(command: &mut Command, what: &str) -> Result<String, String> {
    eprintln!("{what}: building and running tests");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    print!("{text}");
    Err(format!("{what} failed ({})", output.status))
}

/// Tests that passed, and the schedules they say they tried.
fn count(output: &str) -> (u64, u64) {
    let schedules = output.lines().filter_map(|line| line.strip_prefix("schedules tried: "));
    (passed(output), schedules.filter_map(|number| number.trim().parse::<u64>().ok()).sum())
}

/// Tests that passed, of all binaries in the output.
pub(crate) fn passed(output: &str) -> u64 {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    results.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_all_binaries() {
        let output = "test a ... ok\nschedules tried: 200\n\ntest result: ok. 2 passed; 0 failed\n\
            schedules tried: 30\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(count(output), (3, 230));
        assert_eq!(count("nothing"), (0, 0));
    }

    #[test]
    fn an_unknown_checker_is_refused() {
        assert!(parse(lexopt::Parser::from_args(["--only", "spin"])).is_err());
        assert!(parse(lexopt::Parser::from_args(["--only", "loom", "--iterations", "3"])).is_ok());
    }
}
