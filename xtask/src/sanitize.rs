//! Runs the tests of concurrent and unsafe code under a sanitizer.
//!
//! The flags are unstable, the compiler is the ordinary one: `RUSTC_BOOTSTRAP=1` lets it take them, and the sanitizers' runtimes ship with it. The
//! standard library is not instrumented, which costs nothing under the address sanitizer. Under the thread sanitizer it
//! hides the orders that a contended lock makes: the engine's own primitives tell them (`--cfg thread_sanitizer`, `engine/src/sync.rs`), and what is
//! left is in `xtask/tsan.supp`, with its reasons.

use crate::Verb;
use crate::concurrency::{passed, tested};
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use std::time::{Duration, Instant};

pub(crate) const VERB: Verb = Verb {
    name: "sanitize",
    what: "runs concurrent and unsafe code under the thread or the address sanitizer",
    help: "\
Usage: cargo xtask sanitize --thread|--address [--minutes N]

  --thread      data races
  --address     memory used after it was freed or out of bounds, and leaks
  --minutes N   the tests again and again, for so long (once)

On Linux on x86-64 or arm64.
",
    run,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sanitizer {
    Thread,
    Address,
}

/// Packages and those of their tests that have threads or unsafe code in them.
const TESTS: &[(&str, &[&str])] = &[
    ("terrace-memtable", &["--test", "conformance", "--lib"]),
    ("terrace-sstable", &["--test", "conformance"]),
    ("terrace-wal", &["--test", "conformance"]),
    ("terrace", &["--test", "stress", "--test", "linearizable", "--test", "panics"]),
];

fn parse(mut parser: lexopt::Parser) -> Result<(Sanitizer, u64), lexopt::Error> {
    let (mut sanitizer, mut minutes) = (None, 0);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("thread") if sanitizer.is_none() => sanitizer = Some(Sanitizer::Thread),
            Long("address") if sanitizer.is_none() => sanitizer = Some(Sanitizer::Address),
            Long("minutes") => minutes = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok((sanitizer.ok_or("say --thread or --address")?, minutes))
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    let (sanitizer, minutes) = parse(parser).map_err(|error| error.to_string())?;
    let workspace = Workspace::load()?;
    let (start, limit) = (Instant::now(), Duration::from_secs(60 * minutes));
    let (mut rounds, mut tests) = (0_u64, 0);
    while rounds == 0 || start.elapsed() < limit {
        for (package, arguments) in TESTS {
            tests += passed(&run_tests(&workspace, sanitizer, package, arguments)?);
        }
        rounds += 1;
    }
    let name = sanitizer.name();
    let seconds = start.elapsed().as_secs_f64();
    println!("sanitize: {name}, {rounds} rounds, {tests} tests, 0 reports in {seconds:.0} s");
    Ok(())
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Sanitizer::Thread => "thread",
            Sanitizer::Address => "address",
        }
    }
}

fn run_tests(
    workspace: &Workspace,
    sanitizer: Sanitizer,
    package: &str,
    tests: &[&str],
) -> Result<String, String> {
    let name = sanitizer.name();
    // Named, so that build scripts and macros, which run in the compiler, are built without.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace.target.join(format!("sanitize-{name}"));
    let mut command = process::cargo(&workspace.root);
    // All features: a test that needs one which is not on by default is an error and not a test less.
    command
        .args(["test", "-p", package, "--all-features"])
        .args(tests)
        .args(["--target", &target, "--target-dir"])
        .arg(folder);
    // The tests that ship are mixed with a standard library built without; its answers stay right.
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags += &format!(" -Zsanitizer={name} -Cunsafe-allow-abi-mismatch=sanitizer");
    if sanitizer == Sanitizer::Thread {
        flags += " --cfg thread_sanitizer";
        let suppressions = workspace.root.join("xtask/tsan.supp");
        command.env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
    }
    command.env("RUSTFLAGS", flags.trim()).env("RUSTC_BOOTSTRAP", "1");
    tested(&mut command, &format!("{package} under the {name} sanitizer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sanitizer_is_asked_for() {
        let parsed = |arguments: &[&str]| parse(lexopt::Parser::from_args(arguments)).map(|parsed| parsed.1);
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["--thread", "--address"]).is_err());
        assert_eq!(parsed(&["--address", "--minutes", "3"]).ok(), Some(3));
    }

    #[test]
    fn suppressions_have_reasons() {
        let text = include_str!("../tsan.supp");
        let blocks = text.split("\n\n").skip(1);
        for block in blocks {
            assert!(block.trim_start().starts_with('#') && block.contains("race:"), "{block}");
        }
    }
}
