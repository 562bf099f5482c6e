//! Packages every publishable crate as it would be uploaded, and builds it from the package alone.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;

pub(crate) const VERB: Verb = Verb {
    name: "package",
    what: "packages every publishable crate and builds it from its package",
    help: "\
Usage: cargo xtask package [--allow-dirty]

  --allow-dirty   also with changes that are not committed
",
    run,
};

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let mut allow_dirty = false;
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("allow-dirty") => allow_dirty = true,
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    check(allow_dirty)
}

/// Packages and builds, without a network.
///
/// # Errors
///
/// What cargo says.
pub(crate) fn check(allow_dirty: bool) -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["package", "--workspace", "--offline"]);
    // Cargo keeps what it unpacks of the packages under a name made of this folder and their versions: in a folder used before, it would
    // check against sources of that time.
    command.arg("--target-dir").arg(workspace.target.join(format!("package-{}", std::process::id())));
    for package in workspace.packages.iter().filter(|package| !package.publish) {
        command.args(["--exclude", &package.name]);
    }
    if allow_dirty {
        command.arg("--allow-dirty");
    }
    process::run(&mut command)
}
