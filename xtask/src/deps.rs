//! Counts what each crate brings along, and holds a limit.
//!
//! Counted are the packages that a user of the crate compiles on this platform, with its default features (and, beside it, with all): normal
//! dependencies and theirs, without the crates of this workspace, and without what only tests, benches and build scripts need.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use std::collections::BTreeSet;

pub(crate) const VERB: Verb = Verb {
    name: "deps",
    what: "counts the dependencies of each crate and holds their limits",
    help: "Usage: cargo xtask deps\n",
    run,
};

/// The engine's limit.
const ENGINE_MAX: usize = 40;
/// A part's limit.
const PART_MAX: usize = 9;

fn run(parser: lexopt::Parser) -> Result<(), String> {
    crate::no_options(parser)?;
    check()
}

/// Counts and compares.
///
/// # Errors
///
/// The crates that are above their limit.
pub(crate) fn check() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    let mut above = Vec::new();
    for package in workspace.publishable() {
        let foreign = count(&workspace, &package.name, &ours, &[])?;
        let with_all = count(&workspace, &package.name, &ours, &["--all-features"])?.len();
        let max = if package.name == "terrace" { ENGINE_MAX } else { PART_MAX };
        let names: Vec<&str> = foreign.iter().map(String::as_str).collect();
        println!(
            "{:<20} {:>2} of at most {max} ({with_all} with all features)  {}",
            package.name,
            foreign.len(),
            names.join(", ")
        );
        if foreign.len() > max {
            above.push(package.name.as_str());
        }
    }
    if above.is_empty() { Ok(()) } else { Err(format!("too many dependencies: {}", above.join(", "))) }
}

/// What somebody pays who takes this crate alone.
fn count(
    workspace: &Workspace,
    name: &str,
    ours: &BTreeSet<&str>,
    features: &[&str],
) -> Result<BTreeSet<String>, String> {
    let mut command = process::cargo(&workspace.root);
    command.args(["tree", "--offline", "-e", "normal", "--prefix", "none", "-p", name]).args(features);
    Ok(foreign(&process::output(&mut command)?, ours))
}

/// Names and versions in the lines of `cargo tree`, without ours.
fn foreign(tree: &str, ours: &BTreeSet<&str>) -> BTreeSet<String> {
    let packages = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (!ours.contains(name)).then(|| format!("{name} {}", version.trim_start_matches('v')))
    });
    packages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_foreign_package_counts_once() {
        let tree = "terrace-wal v0.1.0 (/x/wal)\ncrc32c v0.6.8\nterrace-vfs v0.1.0 (/x/vfs)\nlibc v0.2.1\nlibc v0.2.1 (*)\nlibc v1.0.0\n\n";
        let ours = BTreeSet::from(["terrace-wal", "terrace-vfs"]);
        let expected = ["crc32c 0.6.8", "libc 0.2.1", "libc 1.0.0"].map(str::to_owned);
        assert_eq!(foreign(tree, &ours), BTreeSet::from(expected));
    }
}
