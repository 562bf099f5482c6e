//! The long forms of the checks that run whole databases on a simulated machine.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const VERB: Verb = Verb {
    name: "simulate",
    what: "whole databases on a simulated machine: seeds, crash points, fault sites",
    // `--help` is the program's own.
    help: "",
    run,
};

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let arguments = parser.raw_args().map_err(|error| error.to_string())?.collect::<Vec<_>>();
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "terrace",
        "--all-features",
        "--example",
        "simulate",
        "--",
    ]);
    process::run(command.args(arguments))
}
