//! Coverage-guided fuzzing of every decoder, on the stable compiler and without cargo-fuzz.
//!
//! libFuzzer's runtime is built by the crate libfuzzer-sys with the C++ compiler of the machine. The instrumentation is LLVM's own, asked for with
//! the flags that cargo-fuzz passes; they are unstable, hence `RUSTC_BOOTSTRAP`. The package `fuzz` stands outside of the workspace, so that
//! neither reaches a normal build. `cargo fuzz run TARGET` of cargo-fuzz works on it, too.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const VERB: Verb = Verb {
    name: "fuzz",
    what: "feeds every decoder with bytes that coverage leads to",
    help: "\
Usage: cargo xtask fuzz [TARGET]... [--minutes N] [--keep] [--plain]

  TARGET         log, table, folder, ... (fuzz/fuzz_targets); all of them if none is named
  --minutes N    for each target (default 1)
  --keep         afterwards add to fuzz/corpus what reaches code that nothing in it reached before
  --plain        no libFuzzer: random mutations by the ordinary tests, a million for every target

Inputs that break a target are left in fuzz/artifacts/TARGET. Needs a C++ compiler and, once, the sources of libfuzzer-sys.
Ends with the count of executions.
",
    run,
};

const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

/// A length that a damaged file asks for must not be allocated: no decoder needs this much for the inputs below.
const LIMITS: [&str; 4] = ["-max_len=16384", "-malloc_limit_mb=256", "-rss_limit_mb=2048", "-timeout=10"];

struct Options {
    targets: Vec<String>,
    minutes: f64,
    keep: bool,
    plain: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { targets: Vec::new(), minutes: 1.0, keep: false, plain: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => options.minutes = parser.value()?.parse()?,
            Long("keep") => options.keep = true,
            Long("plain") => options.plain = true,
            Value(target) => options.targets.push(target.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    let mut options = parse(parser).map_err(|error| error.to_string())?;
    let workspace = Workspace::load()?;
    let known = targets(&workspace.root)?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(", ")));
    }
    if options.plain {
        return plain(&workspace, known.len() as u64);
    }
    if options.targets.is_empty() {
        options.targets = known;
    }
    let programs = build(&workspace)?;
    let mut executed = 0;
    let mut broken = Vec::new();
    for target in &options.targets {
        let (executions, fine) = fuzz(&workspace, &programs, target, &options)?;
        println!(
            "{target}: {executions} executions{}",
            if fine { "" } else { ", BROKEN: see fuzz/artifacts" }
        );
        executed += executions;
        if !fine {
            broken.push(target.as_str());
        }
    }
    println!("fuzz: {} targets, {executed} executions, {} broken", options.targets.len(), broken.len());
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join(", "))) }
}

/// The names of all targets.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds all targets; the folder that they are in.
fn build(workspace: &Workspace) -> Result<PathBuf, String> {
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    let mut command = process::cargo(&workspace.root.join("fuzz"));
    // With a target named, flags do not reach build scripts, which could not be linked with them.
    command.args(["build", "--release", "--target", &host, "--target-dir"]).arg(&folder);
    command.env("RUSTFLAGS", COVERAGE).env("RUSTC_BOOTSTRAP", "1");
    process::run(&mut command).map_err(|error| {
        format!(
            "{error}\nlibFuzzer can not be built here (a C++ compiler? the network?); `--plain` goes without"
        )
    })?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Result<String, String> {
    let told = process::output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what its host is".to_owned())
}

/// Runs one target; how often it was executed, and whether it held.
fn fuzz(
    workspace: &Workspace,
    programs: &Path,
    target: &str,
    options: &Options,
) -> Result<(u64, bool), String> {
    let home = workspace.root.join("fuzz");
    // What is found goes beside the build first: most of it is not worth keeping.
    let found = workspace.target.join("fuzz-corpus").join(target);
    let artifacts = home.join("artifacts").join(target);
    for folder in [&found, &artifacts] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let corpus = home.join("corpus").join(target);
    let mut command = Command::new(programs.join(target));
    command.args(LIMITS).arg("-print_final_stats=1").arg("-verbosity=0");
    command.arg(format!("-max_total_time={}", (options.minutes * 60.0).ceil().max(1.0)));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    let output = command
        .args([&found, &corpus])
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("`{target}` does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let fine = output.status.success();
    if !fine {
        println!("{text}");
    }
    if fine && options.keep {
        let mut merge = Command::new(programs.join(target));
        merge.args(["-merge=1", "-verbosity=0"]).args([&corpus, &found]).stderr(Stdio::null());
        process::run(&mut merge)?;
    }
    Ok((executions(&text), fine))
}

/// What libFuzzer says of how often it called the target.
fn executions(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

fn plain(workspace: &Workspace, targets: u64) -> Result<(), String> {
    const ROUNDS: u64 = 1_000_000;
    let mut command = process::cargo(&workspace.root);
    command.args(["test", "--release", "-p", "terrace", "--test", "bytes", "--", "--nocapture", "any_bytes"]);
    process::run(command.env("TERRACE_BYTES_ROUNDS", ROUNDS.to_string()))?;
    println!("fuzz: without coverage, {targets} targets, {} executions, 0 broken", targets * ROUNDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let arguments = ["log", "--minutes", "0.5", "--keep", "table"];
        let options = parse(lexopt::Parser::from_args(arguments)).expect("valid options");
        assert_eq!(options.targets, ["log", "table"]);
        assert!(options.keep && !options.plain && options.minutes == 0.5);
        assert!(parse(lexopt::Parser::from_args(["--seeds", "3"])).is_err());
    }

    #[test]
    fn executions_are_counted() {
        let text = "Done\nstat::number_of_executed_units: 169585\nstat::new_units_added: 3\n";
        assert_eq!(executions(text), 169_585);
        assert_eq!(executions("nothing"), 0);
    }
}
