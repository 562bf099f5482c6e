//! Checks that crates build without a warning whatever features are chosen.
//!
//! Features only add, so with n features there are up to 2^n builds; two subsets that turn on the same through what they imply are one. What breaks a
//! build is a feature alone, two that meet, or one that is missing. So of a crate with many features those subsets are built, and every one of them with
//! `--every`.
//! The builds have a target folder of their own, for their compiler flags would throw away the usual one's work.

use crate::Verb;
use crate::process;
use crate::workspace::{Package, Workspace};
use lexopt::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

pub(crate) const VERB: Verb = Verb {
    name: "features",
    what: "builds every crate with its features in all combinations that matter, warnings being errors",
    help: "\
Usage: cargo xtask features [--every] [--crate NAME]... [--list]

  --every        every subset; otherwise, of a crate with more than five features: none, each alone, each two together, all but one, all
  --crate NAME   only this crate (may be given several times)
  --list         print the subsets and build nothing
",
    run,
};

/// Above this a crate should be split.
const FEATURES_MAX: usize = 16;
/// Of a crate with no more features than this every subset is built.
const FEW: usize = 5;

/// Which subsets are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Pairs,
    Every,
}

impl Extent {
    /// Whether a subset of `chosen` of `all` features belongs to it.
    fn holds(self, chosen: usize, all: usize) -> bool {
        self == Extent::Every || all <= FEW || chosen <= 2 || chosen + 1 >= all
    }
}

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let (mut only, mut list, mut extent) = (Vec::new(), false, Extent::Pairs);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("crate") => {
                only.push(parser.value().and_then(|value| value.string()).map_err(|e| e.to_string())?)
            }
            Long("list") => list = true,
            Long("every") => extent = Extent::Every,
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    check(&only, list, extent)
}

/// Builds subsets of the crates named, or of all publishable ones.
///
/// # Errors
///
/// The first subset that does not build.
pub(crate) fn check(only: &[String], list: bool, extent: Extent) -> Result<(), String> {
    let workspace = Workspace::load()?;
    if let Some(unknown) =
        only.iter().find(|name| !workspace.publishable().any(|package| package.name == **name))
    {
        return Err(format!("there is no publishable crate `{unknown}`"));
    }
    let mut builds = Vec::new();
    for package in workspace.publishable().filter(|package| only.is_empty() || only.contains(&package.name)) {
        let subsets = subsets(package, extent)?;
        builds.extend(subsets.into_iter().map(|subset| (package.name.as_str(), subset.join(","))));
    }
    let start = Instant::now();
    for (number, (package, features)) in builds.iter().enumerate() {
        let shown = if features.is_empty() { "(none)" } else { features };
        println!(
            "[{:>3}/{}] {:>4} s  {package}  {shown}",
            number + 1,
            builds.len(),
            start.elapsed().as_secs()
        );
        if !list {
            build(&workspace, package, features)?;
        }
    }
    let seconds = start.elapsed().as_secs();
    if list {
        println!("features: {} subsets", builds.len());
    } else if only.is_empty() {
        build_all(&workspace)?;
        let seconds = start.elapsed().as_secs();
        println!(
            "features: {} subsets and all together built without a warning in {seconds} s",
            builds.len()
        );
    } else {
        println!("features: {} subsets built without a warning in {seconds} s", builds.len());
    }
    Ok(())
}

fn build(workspace: &Workspace, package: &str, features: &str) -> Result<(), String> {
    let mut command = cargo_check(&workspace.root, &workspace.target);
    command.args(["-p", package, "--no-default-features", "--features", features]);
    process::output(&mut command).map(drop)
}

/// Features are unified over a workspace, so all of all crates at once is one more case.
fn build_all(workspace: &Workspace) -> Result<(), String> {
    let mut command = cargo_check(&workspace.root, &workspace.target);
    command.args(["--workspace", "--all-targets", "--all-features"]);
    process::output(&mut command).map(drop)
}

fn cargo_check(root: &Path, target: &Path) -> std::process::Command {
    let mut command = process::cargo(root);
    command.args(["check", "--offline", "--quiet", "--target-dir"]).arg(target.join("features"));
    command.env("RUSTFLAGS", process::deny_warnings("RUSTFLAGS"));
    command
}

/// The subsets that differ in what they turn on, the smallest first.
fn subsets(package: &Package, extent: Extent) -> Result<Vec<Vec<String>>, String> {
    let names: Vec<&String> = package.features.keys().filter(|name| *name != "default").collect();
    if names.len() > FEATURES_MAX {
        return Err(format!("{} has {} features, more than {FEATURES_MAX}", package.name, names.len()));
    }
    let mut seen = BTreeSet::new();
    let mut found: Vec<Vec<String>> = Vec::new();
    let held = |mask: &u32| extent.holds(mask.count_ones() as usize, names.len());
    let mut masks: Vec<u32> = (0..1 << names.len()).filter(held).collect();
    masks.sort_by_key(|mask| mask.count_ones());
    for mask in masks {
        let chosen =
            names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| (*name).clone());
        let subset: Vec<String> = chosen.collect();
        if seen.insert(turned_on(package, &subset)) {
            found.push(subset);
        }
    }
    Ok(found)
}

/// Everything that a subset turns on, through what its features imply. A feature that names another is as good as both.
fn turned_on(package: &Package, subset: &[String]) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut open = subset.to_vec();
    while let Some(name) = open.pop() {
        if let Some(implied) = package.features.get(&name)
            && on.insert(name)
        {
            open.extend(implied.iter().cloned());
        }
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &[(&str, &[&str])]) -> Package {
        let features = features
            .iter()
            .map(|(name, on)| ((*name).to_owned(), on.iter().map(|o| (*o).to_owned()).collect()));
        Package { features: features.collect(), ..Package::default() }
    }

    #[test]
    fn without_features_there_is_one_build() {
        assert_eq!(subsets(&package(&[]), Extent::Every), Ok(vec![vec![]]));
        assert_eq!(subsets(&package(&[("default", &[])]), Extent::Every), Ok(vec![vec![]]));
    }

    #[test]
    fn all_subsets_are_built_without_default() {
        let package = package(&[("default", &["a"]), ("a", &["dep:x"]), ("b", &[]), ("c", &["other/f"])]);
        let subsets = subsets(&package, Extent::Pairs).expect("three features are few");
        assert_eq!(subsets.len(), 8);
        assert!(subsets.iter().flatten().all(|name| name != "default"));
    }

    #[test]
    fn subsets_that_turn_on_the_same_are_one() {
        let package = package(&[("a", &["b"]), ("b", &[])]);
        assert_eq!(
            subsets(&package, Extent::Every),
            Ok(vec![vec![], vec!["a".to_owned()], vec!["b".to_owned()]])
        );
    }

    #[test]
    fn of_many_features_each_two_meet_and_each_one_is_missing_once() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let features: Vec<(&str, &[&str])> = names.iter().map(|name| (*name, &[][..])).collect();
        let package = package(&features);
        let pairs = subsets(&package, Extent::Pairs).expect("seven features are allowed");
        assert_eq!(pairs.len(), 1 + 7 + 21 + 7 + 1);
        for (number, one) in names.iter().enumerate() {
            let with = |subset: &&Vec<String>, name: &str| subset.iter().any(|other| other == name);
            assert!(pairs.iter().any(|subset| subset.len() == 6 && !with(&subset, one)));
            for other in &names[number + 1..] {
                assert!(pairs.iter().any(|s| s.len() == 2 && with(&s, one) && with(&s, other)));
            }
        }
        assert_eq!(subsets(&package, Extent::Every).expect("seven features are allowed").len(), 128);
    }

    #[test]
    fn too_many_features_are_refused() {
        let names: Vec<String> = (0..=FEATURES_MAX).map(|n| format!("f{n}")).collect();
        let features: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        assert!(subsets(&package(&features), Extent::Pairs).is_err());
    }
}
