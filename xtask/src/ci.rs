//! All that a change must pass, in the order in which a fault is found soonest.

use crate::process;
use crate::workspace::Workspace;
use crate::{Verb, bench, concurrency, deps, features, instructions, package, test, tidy};
use lexopt::prelude::*;
use std::env::consts::EXE_EXTENSION;
use std::process::Command;
use std::time::Instant;

pub(crate) const VERB: Verb = Verb {
    name: "ci",
    what: "runs every check of a change, and stops at the first that fails",
    help: "\
Usage: cargo xtask ci [--skip STEP]... [--only STEP]... [--allow-dirty]

  --skip STEP     without this step (may be given several times)
  --only STEP     just this step (may be given several times)
  --allow-dirty   package with changes that are not committed

Steps: fmt, clippy, doc, tidy, deps, test, concurrency, examples, features, bench, instructions, package
",
    run,
};

struct Step {
    name: &'static str,
    run: fn(&Options) -> Result<(), String>,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        run: |_| {
            cargo(&["fmt", "--all", "--check"])?;
            // Outside of the workspace, and too long to build here; its form at least.
            cargo(&["fmt", "--manifest-path", "bench-harness/peers/Cargo.toml", "--check"])
        },
    },
    Step {
        name: "clippy",
        run: |_| cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    },
    Step { name: "doc", run: |_| doc() },
    Step { name: "tidy", run: |_| tidy::check() },
    Step { name: "deps", run: |_| deps::check() },
    Step { name: "test", run: |_| test::check() },
    Step { name: "concurrency", run: |_| concurrency::short() },
    Step { name: "examples", run: |_| examples() },
    Step { name: "features", run: |_| features::check(&[], false, features::Extent::Pairs) },
    Step { name: "bench", run: |_| bench::smoke() },
    // After the bench, which has compiled what is counted.
    Step { name: "instructions", run: |_| instructions::if_possible() },
    Step { name: "package", run: |options| package::check(options.allow_dirty) },
];

#[derive(Default)]
struct Options {
    skip: Vec<String>,
    only: Vec<String>,
    allow_dirty: bool,
}

impl Options {
    fn wants(&self, step: &Step) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        !named(&self.skip) && (self.only.is_empty() || named(&self.only))
    }
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("skip") => options.skip.push(step_name(parser.value()?.string()?)?),
            Long("only") => options.only.push(step_name(parser.value()?.string()?)?),
            Long("allow-dirty") => options.allow_dirty = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn step_name(name: String) -> Result<String, lexopt::Error> {
    if STEPS.iter().any(|step| step.name == name) {
        Ok(name)
    } else {
        Err(format!("there is no step `{name}`").into())
    }
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    let options = parse(parser).map_err(|error| error.to_string())?;
    let steps: Vec<_> = STEPS.iter().filter(|step| options.wants(step)).collect();
    let start = Instant::now();
    for (number, step) in steps.iter().enumerate() {
        println!("== [{}/{}] {}", number + 1, steps.len(), step.name);
        let step_start = Instant::now();
        (step.run)(&options).map_err(|error| format!("step `{}` failed: {error}", step.name))?;
        println!("== {} passed in {:.1} s", step.name, step_start.elapsed().as_secs_f64());
    }
    println!("== all {} steps passed in {:.0} s", steps.len(), start.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    let workspace = Workspace::load()?;
    process::run(process::cargo(&workspace.root).args(arguments))
}

fn doc() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["doc", "--workspace", "--no-deps", "--all-features"]);
    process::run(command.env("RUSTDOCFLAGS", process::deny_warnings("RUSTDOCFLAGS")))
}

/// Runs every example: each ends by itself and checks what it shows. Built as tests are, so that the step before has built them already.
fn examples() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let all = ["build", "--workspace", "--all-features", "--examples", "--profile", "test"];
    process::run(process::cargo(&workspace.root).args(all))?;
    for (_, name) in workspace.targets("example") {
        let program = workspace.target.join("debug/examples").join(name).with_extension(EXE_EXTENSION);
        println!("example {name}");
        let mut command = Command::new(program);
        process::run(command.current_dir(&workspace.root).args(example_arguments(name)))?;
    }
    Ok(())
}

/// What an example is run with: some want a file, some would take minutes.
fn example_arguments(name: &str) -> &'static [&'static str] {
    match name {
        "dump" => &[
            "engine/tests/golden/v1/CURRENT",
            "engine/tests/golden/v1/MANIFEST-000002",
            "engine/tests/golden/v1/000004.log",
            "engine/tests/golden/v1/000007.sst",
        ],
        "ten_million" => &["100000"],
        // The steps of docs/JOURNEY.md begin with their number.
        step if step.starts_with(|first: char| first.is_ascii_digit()) => &["5000"],
        "simulate" => &["--seeds", "20"],
        // A sound folder, which neither changes.
        "verify" | "repair" => &["engine/tests/golden/v2"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(arguments: &[&str]) -> Vec<&'static str> {
        let options = parse(lexopt::Parser::from_args(arguments)).expect("valid options");
        STEPS.iter().filter(|step| options.wants(step)).map(|step| step.name).collect()
    }

    #[test]
    fn the_help_names_every_step_in_order() {
        let listed =
            VERB.help.lines().find_map(|line| line.strip_prefix("Steps: ")).expect("a line of steps");
        assert_eq!(listed.split(", ").collect::<Vec<_>>(), steps(&[]));
    }

    #[test]
    fn steps_can_be_skipped_and_chosen() {
        assert_eq!(steps(&["--only", "tidy", "--only", "fmt"]), ["fmt", "tidy"]);
        assert!(!steps(&["--skip", "features"]).contains(&"features"));
        assert!(parse(lexopt::Parser::from_args(["--skip", "tody"])).is_err());
    }
}
