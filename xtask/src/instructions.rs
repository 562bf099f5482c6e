//! Counts the instructions of an operation on each hot path, and compares them with what was counted before.
//!
//! Unlike time, the count does not depend on what else the machine does, so a bound may be tight and hold on a busy one. What it does not
//! see: the system's own work, and what an instruction waits for.
//!
//! A path is run for one round and for two, in processes of their own; the difference is a round without start-up and preparation. The
//! paths are in `bench-harness/src/bin/hot-paths.rs`. The counter is valgrind, which is not Rust's, so a machine without it may go without
//! the check.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

pub(crate) const VERB: Verb = Verb {
    name: "instructions",
    what: "counts the instructions of the hot paths, and fails above what was recorded",
    help: "\
Usage: cargo xtask instructions [--update] [--if-possible] [PATH]...

  PATH            only this path (may be given several times)
  --update        write what was counted to xtask/instructions.txt instead of comparing
  --if-possible   without valgrind: say so and succeed

An operation may take a tenth more than recorded: compilers and C libraries differ.
",
    run,
};

/// How much more than recorded an operation may take. As much less says that the record is out of date.
const EXCESS: f64 = 0.10;

/// The record, in the folder of the workspace.
const RECORD: &str = "xtask/instructions.txt";

const NO_VALGRIND: &str =
    "nothing was counted: valgrind is not on this machine (on Debian: apt-get install valgrind)";

#[derive(Default)]
struct Options {
    update: bool,
    if_possible: bool,
    paths: Vec<String>,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("update") => options.update = true,
            Long("if-possible") => options.if_possible = true,
            Value(path) => options.paths.push(path.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    check(&parse(parser).map_err(|error| error.to_string())?)
}

/// As part of the checks of a change: where there is no valgrind, nothing is counted.
///
/// # Errors
///
/// The paths that take more than they may.
pub(crate) fn if_possible() -> Result<(), String> {
    check(&Options { if_possible: true, ..Options::default() })
}

fn check(options: &Options) -> Result<(), String> {
    if !has_valgrind() {
        if !options.if_possible {
            return Err(NO_VALGRIND.to_owned());
        }
        println!("instructions: {NO_VALGRIND}");
        return Ok(());
    }
    let counter = Counter::make()?;
    let begun = Instant::now();
    let all = counter.paths()?;
    if let Some(unknown) = options.paths.iter().find(|path| !all.contains(path)) {
        return Err(format!("there is no path `{unknown}`; there are {}", all.join(", ")));
    }
    let wanted = if options.paths.is_empty() { &all } else { &options.paths };
    let counted = counter.count_all(wanted)?;
    let file = counter.root.join(RECORD);
    let recorded = match fs::read_to_string(&file) {
        Err(_) if options.update => Record::default(),
        text => Record::parse(&text.map_err(|error| format!("{RECORD}: {error}"))?)?,
    };
    let here = Record { machine: machine(), compiler: compiler()?, counts: counted };
    print!("{}", table(&here.counts, &recorded));
    println!("instructions: {} paths in {:.0} s", here.counts.len(), begun.elapsed().as_secs_f64());
    if options.update {
        let text = recorded.updated(here, &all).to_string();
        return fs::write(&file, text).map_err(|error| format!("{RECORD}: {error}"));
    }
    compare(&here, &recorded, &all)
}

fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What decides about instructions beside the source: where a record holds.
fn machine() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn compiler() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(rustc).arg("--version"))?;
    Ok(version.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// The program with the paths, built.
struct Counter {
    root: PathBuf,
    program: PathBuf,
    /// Where databases are made. The program is given names in it, which are the same wherever it lies.
    place: PathBuf,
}

/// Instructions per operation.
type Count = (String, f64);

impl Counter {
    fn make() -> Result<Self, String> {
        let workspace = Workspace::load()?;
        let mut command = process::cargo(&workspace.root);
        // As `cargo xtask bench` builds it, so that both need to be compiled once.
        process::run(command.args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "terrace-bench",
            "--bin",
            "hot-paths",
        ]))?;
        let place = workspace.target.join("instructions");
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let name = format!("hot-paths{}", std::env::consts::EXE_SUFFIX);
        Ok(Counter { root: workspace.root, program: workspace.target.join("release").join(name), place })
    }

    fn paths(&self) -> Result<Vec<String>, String> {
        let names = process::output(&mut Command::new(&self.program))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Counts these paths, as many at once as there are processors.
    fn count_all(&self, paths: &[String]) -> Result<Vec<Count>, String> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (left, counted) = (Mutex::new(paths.iter().enumerate()), Mutex::new(Vec::new()));
        let take = || left.lock().expect("no worker panics").next();
        let work = || {
            while let Some((number, path)) = take() {
                let count = self.count(path).map(|count| (path.clone(), count));
                counted.lock().expect("no worker panics").push((number, count));
            }
        };
        std::thread::scope(|scope| (0..processors.min(paths.len())).for_each(|_| drop(scope.spawn(work))));
        let mut counted = counted.into_inner().expect("no worker panics");
        counted.sort_by_key(|(number, _)| *number);
        counted.into_iter().map(|(_, count)| count).collect()
    }

    /// Instructions per operation of one path.
    fn count(&self, path: &str) -> Result<f64, String> {
        let (once, twice) = (self.rounds(path, 1)?, self.rounds(path, 2)?);
        let instructions = twice.instructions.checked_sub(once.instructions);
        let operations = twice.operations.checked_sub(once.operations).filter(|&operations| operations > 0);
        match (instructions, operations) {
            (Some(instructions), Some(operations)) => Ok(instructions as f64 / operations as f64),
            _ => Err(format!("{path}: two rounds are no more work than one")),
        }
    }

    fn rounds(&self, path: &str, rounds: u32) -> Result<Rounds, String> {
        let name = format!("{path}-{rounds}");
        let folder = self.place.join(&name);
        let _ = fs::remove_dir_all(&folder);
        let mut command = Command::new("valgrind");
        command.current_dir(&self.place);
        // The least that counts instructions.
        command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
        let output = command.arg(&self.program).args([path, &name, &rounds.to_string()]).output();
        let _ = fs::remove_dir_all(&folder);
        let output = output.map_err(|error| format!("valgrind does not start: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let operations = String::from_utf8_lossy(&output.stdout).trim().parse();
        match (output.status.success(), operations, instructions(&said)) {
            (true, Ok(operations), Some(instructions)) => Ok(Rounds { operations, instructions }),
            _ => Err(format!("{path} failed below valgrind ({})\n{said}", output.status)),
        }
    }
}

struct Rounds {
    operations: u64,
    instructions: u64,
}

/// The count in what valgrind says at its end: `==123== I   refs:      1,234`, in newer versions `I refs:`.
fn instructions(said: &str) -> Option<u64> {
    let number = said.lines().find_map(|line| {
        let (_, rest) = line.strip_prefix("==")?.split_once("== ")?;
        rest.strip_prefix('I')?.trim_start().strip_prefix("refs:")
    })?;
    number.trim().replace(',', "").parse().ok()
}

/// What was counted, and where.
#[derive(Default)]
struct Record {
    machine: String,
    compiler: String,
    counts: Vec<Count>,
}

impl Record {
    fn parse(text: &str) -> Result<Self, String> {
        let mut record = Record::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').ok_or_else(|| format!("{RECORD}: `{line}`"))?;
            let value = value.trim();
            match name {
                "machine" => record.machine = value.to_owned(),
                "compiler" => record.compiler = value.to_owned(),
                _ => {
                    let count = value.parse().map_err(|_| format!("{RECORD}: `{line}`"))?;
                    record.counts.push((name.to_owned(), count));
                }
            }
        }
        Ok(record)
    }

    fn of(&self, path: &str) -> Option<f64> {
        self.counts.iter().find(|(name, _)| name == path).map(|(_, count)| *count)
    }

    /// What is to be written after `here` was counted: it, and what was not counted this time.
    fn updated(&self, here: Record, all: &[String]) -> Record {
        let counts = all.iter().filter_map(|path| Some((path.clone(), here.of(path).or(self.of(path))?)));
        Record { counts: counts.collect(), ..here }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "# Instructions per operation; written by `cargo xtask instructions --update`.")?;
        writeln!(f, "machine {}\ncompiler {}", self.machine, self.compiler)?;
        self.counts.iter().try_for_each(|(path, count)| writeln!(f, "{path:<14} {count:>9.1}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Above,
    Within,
    /// So far below that the record would no longer notice a path that gets slower.
    Below,
}

fn judge(count: f64, recorded: f64) -> Verdict {
    if count > recorded * (1.0 + EXCESS) {
        Verdict::Above
    } else if count < recorded * (1.0 - EXCESS) {
        Verdict::Below
    } else {
        Verdict::Within
    }
}

fn table(counts: &[Count], recorded: &Record) -> String {
    let mut text = format!("{:<14} {:>13} {:>9} {:>9}\n", "path", "instructions", "recorded", "change");
    for (path, count) in counts {
        text += &format!("{path:<14} {count:>13.1}");
        match recorded.of(path) {
            Some(before) => text += &format!(" {before:>9.1} {:>+7.1} %\n", (count / before - 1.0) * 100.0),
            None => text += "\n",
        }
    }
    text
}

/// # Errors
///
/// The paths above their bounds, and those that have none.
fn compare(here: &Record, recorded: &Record, all: &[String]) -> Result<(), String> {
    let unbound: Vec<_> = all.iter().filter(|path| recorded.of(path).is_none()).cloned().collect();
    let stale = recorded.counts.iter().map(|(path, _)| path).filter(|path| !all.contains(path)).cloned();
    let differing: Vec<_> = unbound.into_iter().chain(stale).collect();
    if !differing.is_empty() {
        return Err(format!(
            "{RECORD} does not list the same paths ({}); see --update",
            differing.join(", ")
        ));
    }
    if here.machine != recorded.machine {
        println!("recorded on {}, so this tells nothing on {}", recorded.machine, here.machine);
        return Ok(());
    }
    if here.compiler != recorded.compiler {
        println!("recorded with {}; this is {}", recorded.compiler, here.compiler);
    }
    let judged = |verdict: Verdict| {
        let counts = here.counts.iter().filter_map(|(path, count)| Some((path, *count, recorded.of(path)?)));
        let those = counts.filter(|(_, count, before)| judge(*count, *before) == verdict);
        those.map(|(path, ..)| path.as_str()).collect::<Vec<_>>()
    };
    let (above, below) = (judged(Verdict::Above), judged(Verdict::Below));
    let percent = EXCESS * 100.0;
    if !below.is_empty() {
        println!(
            "more than {percent} % below the record, which can be tightened (--update): {}",
            below.join(", ")
        );
    }
    if above.is_empty() {
        Ok(())
    } else {
        Err(format!("more than {percent} % above the record: {}", above.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TEXT: &str = "# Words.\nmachine a-b\ncompiler rustc 1\nput 100.0\nget 20.5\n";

    fn record(counts: &[(&str, f64)]) -> Record {
        let counts = counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        Record { machine: "a-b".to_owned(), compiler: "rustc 1".to_owned(), counts }
    }

    fn compared(counts: &[(&str, f64)]) -> Result<(), String> {
        let all = ["put".to_owned(), "get".to_owned()];
        compare(&record(counts), &Record::parse(TEXT).expect("a sound record"), &all)
    }

    #[test]
    fn a_path_above_its_bound_is_named() {
        assert_eq!(compared(&[("put", 109.0), ("get", 20.5)]), Ok(()));
        let error = compared(&[("put", 111.0), ("get", 20.5)]).expect_err("put is above");
        assert!(error.contains("put") && !error.contains("get"), "{error}");
        assert_eq!(compared(&[("put", 11.0), ("get", 20.5)]), Ok(()), "faster is no fault");
    }

    #[test]
    fn the_bound_is_the_same_upwards_and_downwards() {
        let judged = [109.9, 110.1, 90.1, 89.9].map(|count| judge(count, 100.0));
        assert_eq!(judged, [Verdict::Within, Verdict::Above, Verdict::Within, Verdict::Below]);
    }

    #[test]
    fn the_record_lists_the_paths_that_there_are() {
        let here = record(&[("put", 100.0), ("get", 20.5)]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let recorded = Record::parse(TEXT).expect("a sound record");
        assert!(compare(&here, &recorded, &names(&["put", "get", "seek"])).is_err());
        assert!(compare(&here, &recorded, &names(&["put"])).is_err());
    }

    #[test]
    fn on_another_machine_nothing_is_compared() {
        let here = Record { machine: "c-d".to_owned(), ..record(&[("put", 500.0), ("get", 20.5)]) };
        let all = ["put".to_owned(), "get".to_owned()];
        assert_eq!(compare(&here, &Record::parse(TEXT).expect("a sound record"), &all), Ok(()));
    }

    #[test]
    fn an_update_keeps_what_was_not_counted_and_drops_what_is_no_path() {
        let recorded = record(&[("put", 100.0), ("get", 20.5), ("gone", 1.0)]);
        let all = ["get".to_owned(), "put".to_owned(), "seek".to_owned()];
        let updated = recorded.updated(record(&[("put", 90.0), ("seek", 3.0)]), &all);
        let again = Record::parse(&updated.to_string()).expect("what is written can be read");
        assert_eq!(again.counts, record(&[("get", 20.5), ("put", 90.0), ("seek", 3.0)]).counts);
        assert_eq!((again.machine, again.compiler), ("a-b".to_owned(), "rustc 1".to_owned()));
    }

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        assert_eq!(instructions("==1== \n==1== I   refs:      249,177,717\n"), Some(249_177_717));
        assert_eq!(instructions("--1-- warning\n==12== I refs:        7\n"), Some(7));
        assert_eq!(instructions("==1== D   refs:      5\n"), None);
    }

    #[test]
    fn the_record_that_is_checked_in_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is the parent");
        let text = fs::read_to_string(root.join(RECORD)).expect("a record is checked in");
        let record = Record::parse(&text).expect("a sound record");
        assert!(record.counts.len() >= 10 && record.counts.iter().all(|(_, count)| *count > 1.0));
        assert!(Record::parse("put\n").is_err() && Record::parse("put fast\n").is_err());
    }
}
