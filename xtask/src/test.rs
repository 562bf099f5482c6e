//! Runs all tests of the workspace.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;

pub(crate) const VERB: Verb = Verb {
    name: "test",
    what: "runs all tests: of units, of crates, and in the documentation; then the engine with its default parts",
    help: "\
Usage: cargo xtask test [FILTER]

  FILTER   only tests whose name holds this
",
    run,
};

/// Tests of the engine that use the stock parts.
const STOCK_TESTS: &[&str] =
    &["basics", "bad_input", "golden", "kill", "limits", "processes", "repair", "stress", "verify"];

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let mut filter = None;
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Value(name) if filter.is_none() => filter = Some(name),
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    // Without a choice of targets this includes the tests in the documentation.
    command.args(["test", "--workspace", "--all-features"]).args(&filter);
    process::run(&mut command)?;
    // With all features the stock engine is one of other parts; so the one that most people get once more.
    let mut command = process::cargo(&workspace.root);
    command.args(["test", "-p", "terrace"]);
    command.args(STOCK_TESTS.iter().flat_map(|name| ["--test", name])).args(&filter);
    process::run(&mut command)
}

/// Runs them all.
///
/// # Errors
///
/// What cargo says.
pub(crate) fn check() -> Result<(), String> {
    run(lexopt::Parser::from_args(std::iter::empty::<&str>()))
}
