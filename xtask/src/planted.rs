//! Plants known bugs into a copy of the sources, one at a time, and shows which test catches each.
//!
//! A test that can not fail proves nothing. The list is in `planted/bugs.rs`; a unit test holds it against the sources, so that it can not rot
//! unseen.

mod bugs;

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use bugs::{BUGS, Bug, Suite};
use lexopt::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const VERB: Verb = Verb {
    name: "planted",
    what: "plants known bugs one at a time, and shows that a test catches each",
    help: "\
Usage: cargo xtask planted [--list] [FILTER]...

  --list    only names them
  FILTER    only those whose name or file holds this

Works on a copy of the committed and uncommitted sources below target/planted. A bug counts as caught when a test fails or the tests do
not end within ten minutes. Fails when one is not caught. Some twenty minutes for all of them.
",
    run,
};

/// A test that waits for ever has noticed something, too.
const TIME_MAX: Duration = Duration::from_secs(600);
const BUILD_TIME_MAX: Duration = Duration::from_secs(3600);

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let (mut list, mut filters) = (false, Vec::new());
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("list") => list = true,
            Value(filter) => filters.push(filter.string().map_err(|error| error.to_string())?),
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    let wanted = |bug: &&Bug| {
        let named =
            |filter: &String| bug.name.contains(filter.as_str()) || bug.file.contains(filter.as_str());
        filters.is_empty() || filters.iter().any(named)
    };
    let bugs: Vec<_> = BUGS.iter().filter(wanted).collect();
    if bugs.is_empty() {
        return Err("no bug has such a name".to_owned());
    }
    let workspace = Workspace::load()?;
    check_places(&workspace.root)?;
    if list {
        bugs.iter().for_each(|bug| println!("{:<64} {}", bug.name, bug.file));
        return Ok(());
    }
    let copy = Copy::make(&workspace)?;
    let begun = Instant::now();
    let mut survivors = Vec::new();
    println!("| planted bug | file | caught by |\n| --- | --- | --- |");
    for bug in &bugs {
        let caught = copy.try_bug(bug)?;
        println!("| {} | {} | {} |", bug.name, bug.file, caught.as_deref().unwrap_or("**nothing**"));
        let _ = std::io::stdout().flush();
        if caught.is_none() {
            survivors.push(bug.name);
        }
    }
    let seconds = begun.elapsed().as_secs();
    println!("{} bugs planted, {} caught, in {seconds} s", bugs.len(), bugs.len() - survivors.len());
    if survivors.is_empty() { Ok(()) } else { Err(format!("not caught: {}", survivors.join("; "))) }
}

/// A copy of the sources to break.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make(workspace: &Workspace) -> Result<Self, String> {
        let place = workspace.target.join("planted");
        let (root, target) = (place.join("sources"), place.join("target"));
        let _ = fs::remove_dir_all(&root);
        let mut git = Command::new("git");
        git.current_dir(&workspace.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        for name in process::output(&mut git)?.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (workspace.root.join(name), root.join(name));
            // Listed and deleted: not there.
            if from.is_file() {
                to.parent().map(fs::create_dir_all).transpose().map_err(|error| error.to_string())?;
                fs::copy(&from, &to).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        Ok(Copy { root, target })
    }

    /// Plants one bug, runs its tests, takes it out again. The test that failed; `None` when none did.
    fn try_bug(&self, bug: &Bug) -> Result<Option<String>, String> {
        let path = self.root.join(bug.file);
        let right = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", bug.file))?;
        let wrong = plant(bug, &right)?;
        fs::write(&path, wrong).map_err(|error| error.to_string())?;
        let mut caught = None;
        for suite in bug.suites {
            caught = self.run(suite, bug)?;
            if caught.is_some() {
                break;
            }
        }
        fs::write(&path, right).map_err(|error| error.to_string())?;
        Ok(caught)
    }

    fn run(&self, suite: &Suite, bug: &Bug) -> Result<Option<String>, String> {
        let mut command = process::cargo(&self.root);
        command.args(["test", "--no-fail-fast"]).args(suite.arguments);
        let flags = suite.flags.to_owned() + " -A warnings";
        // Suites of other flags do not throw away each other's builds.
        let target = if suite.flags.is_empty() { self.target.clone() } else { self.target.join("shuttle") };
        command.env("RUSTFLAGS", flags.trim()).env("CARGO_TARGET_DIR", target).env("RUST_BACKTRACE", "0");
        let build = process_output(command_with(&command, "--no-run"), BUILD_TIME_MAX)?;
        if !build.success {
            return Err(format!("`{}` does not compile:\n{}", bug.name, tail(&build.text)));
        }
        let ran = process_output(command, TIME_MAX)?;
        if ran.success {
            return Ok(None);
        }
        if ran.timed_out {
            return Ok(Some("tests that do not end".to_owned()));
        }
        let failed =
            ran.text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let failed: Vec<_> = failed.take(2).map(|name| format!("`{name}`")).collect();
        match failed.is_empty() {
            // A process that died of it has no list of failures.
            true => Ok(Some(format!("the death of the test process: {}", tail(&ran.text)))),
            false => Ok(Some(failed.join(", "))),
        }
    }
}

/// The file with the bug in it.
fn plant(bug: &Bug, source: &str) -> Result<String, String> {
    match source.matches(bug.right).count() {
        1 => Ok(source.replacen(bug.right, bug.wrong, 1)),
        count => Err(format!("`{}`: its place is in {} {count} times", bug.name, bug.file)),
    }
}

fn command_with(command: &Command, argument: &str) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).arg(argument);
    copy.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        copy.current_dir(dir);
    }
    copy
}

struct Ran {
    success: bool,
    timed_out: bool,
    text: String,
}

/// Runs a command to its end or for so long, and collects what it says.
fn process_output(mut command: Command, time_max: Duration) -> Result<Ran, String> {
    let log = std::env::temp_dir().join(format!("terrace-planted-{}.log", std::process::id()));
    let file = fs::File::create(&log).map_err(|error| error.to_string())?;
    let errors = file.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let mut child = command.spawn().map_err(|error| format!("cargo does not start: {error}"))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Some(status),
            None if begun.elapsed() > time_max => break None,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let _ = fs::remove_file(&log);
    Ok(Ran { success: status.is_some_and(|status| status.success()), timed_out: status.is_none(), text })
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Whether every bug of the list still has its place in the sources.
fn check_places(root: &Path) -> Result<(), String> {
    let check = |bug: &Bug| {
        let source =
            fs::read_to_string(root.join(bug.file)).map_err(|error| format!("{}: {error}", bug.file))?;
        plant(bug, &source).map(drop)
    };
    let faults: Vec<_> = BUGS.iter().filter_map(|bug| check(bug).err()).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_has_its_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is the parent");
        check_places(root).unwrap();
        assert!(BUGS.len() >= 25, "only {} bugs", BUGS.len());
    }

    #[test]
    fn a_place_that_is_not_there_once_is_refused() {
        let bug = Bug { name: "b", file: "f", right: "a == b", wrong: "a != b", suites: &[] };
        assert_eq!(plant(&bug, "if a == b {").as_deref(), Ok("if a != b {"));
        assert!(plant(&bug, "").is_err());
        assert!(plant(&bug, "a == b || a == b").is_err());
    }
}
