//! Builds the harness and hands it the options.
//!
//! The harness is a program of its own so that this one builds in seconds. With `--against` it is another one, which has the peers in it.

mod peers;

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use std::process::Command;

pub(crate) const VERB: Verb = Verb {
    name: "bench",
    what: "measures combinations of parts, by themselves or against other engines",
    // The harness knows its options.
    help: "",
    run,
};

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let arguments = parser.raw_args().map_err(|error| error.to_string())?.collect::<Vec<_>>();
    let workspace = Workspace::load()?;
    if let Some(names) = peers::asked_for(&arguments)
        && peers::any(&names)
    {
        let program = peers::build(&workspace, &names)?;
        return process::run(Command::new(program).args(arguments));
    }
    let mut command = process::cargo(&workspace.root);
    command.args(["run", "--release", "-p", "terrace-bench", "--"]).args(arguments);
    // Relative paths in the options are those of the caller.
    command.current_dir(std::env::current_dir().unwrap_or(workspace.root));
    process::run(&mut command)
}

/// A short run over combinations in which each two parts meet, and one pass through each criterion bench.
///
/// # Errors
///
/// What fails.
pub(crate) fn smoke() -> Result<(), String> {
    let workspace = Workspace::load()?;
    // Compiled as tests are, of which most is there already; without `--bench` criterion runs each once.
    process::run(process::cargo(&workspace.root).args([
        "test",
        "--workspace",
        "--all-features",
        "--benches",
    ]))?;
    run(lexopt::Parser::from_args(["--data-mb", "2", "--quiet"]))
}
