//! Checks a database and says all that is wrong with it.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const VERB: Verb = Verb {
    name: "verify",
    what: "checks a database: every checksum, order and count",
    help: "usage: cargo xtask verify PATH\n\nPATH: the folder of a database that is not open. Everything is read and nothing is changed.\nPrints progress, all problems, and counts; fails if there are problems.\n",
    run,
};

fn run(parser: lexopt::Parser) -> Result<(), String> {
    run_example("verify", parser)
}

/// Runs an example of the engine on one path.
pub(crate) fn run_example(example: &str, mut parser: lexopt::Parser) -> Result<(), String> {
    let paths = parser.raw_args().map_err(|error| error.to_string())?.collect::<Vec<_>>();
    let [path] = paths.as_slice() else {
        return Err(format!("which database? see `cargo xtask {example} --help`"));
    };
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["run", "--quiet", "--release", "-p", "terrace", "--example", example, "--"]).arg(path);
    command.current_dir(std::env::current_dir().unwrap_or(workspace.root));
    process::run(&mut command)
}
