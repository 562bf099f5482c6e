//! Prints any file that a database leaves, annotated.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const VERB: Verb = Verb {
    name: "dump",
    what: "prints a file of a database, annotated",
    help: "usage: cargo xtask dump FILE...\n\nFILE: CURRENT, MANIFEST-*, *.log or *.sst of a database folder. Nothing is changed, and the database may be open.\n",
    run,
};

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let files = parser.raw_args().map_err(|error| error.to_string())?.collect::<Vec<_>>();
    if files.is_empty() {
        return Err("which file? see `cargo xtask dump --help`".to_owned());
    }
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["run", "--quiet", "--release", "-p", "terrace", "--example", "dump", "--"]).args(files);
    command.current_dir(std::env::current_dir().unwrap_or(workspace.root));
    process::run(&mut command)
}
