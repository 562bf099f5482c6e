//! Builds the simulator of compaction policies and hands it the options.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const VERB: Verb = Verb {
    name: "sim",
    what: "what a compaction policy costs at any scale, on metadata alone",
    // `--help` is the program's own.
    help: "",
    run,
};

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let arguments = parser.raw_args().map_err(|error| error.to_string())?.collect::<Vec<_>>();
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["run", "--quiet", "--release", "-p", "terrace-simulator", "--"]).args(arguments);
    // Relative paths in the options are those of the caller.
    command.current_dir(std::env::current_dir().unwrap_or(workspace.root));
    process::run(&mut command)
}
