//! Contenders under the same work, each run in a process of its own.
//!
//! One process is one contender, all of the work, one repetition: so none inherits another's heap, caches or threads, and the peak of its
//! memory is its own. Repetitions are interleaved (A B C A B C), so that a machine that grows slower does so for all, and differ in their seeds,
//! which are the same for all contenders.
#![expect(clippy::print_stderr, reason = "a command line program")]

pub(crate) mod results;

use crate::cli::options::Options;
use crate::report;
use crate::store::Parts;
use crate::workload::{Need, Workload};
use results::Results;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A store in a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The engine's name, with the parts that tell several of one engine apart.
    pub(crate) name: String,
    pub(crate) parts: Parts,
}

impl Contender {
    /// Each with a name of its own.
    pub(crate) fn named(parts: &[Parts]) -> Vec<Self> {
        parts.iter().map(|own| Contender { name: name(own, parts), parts: *own }).collect()
    }
}

/// The engine, and of its parts those that other contenders of the same engine have otherwise.
fn name(own: &Parts, all: &[Parts]) -> String {
    let slots: [fn(&Parts) -> &'static str; 6] =
        [|p| p.memtable, |p| p.picker, |p| p.log, |p| p.filter, |p| p.cache, |p| p.compression];
    let rivals = || all.iter().filter(|other| other.engine == own.engine);
    let telling = slots.iter().filter(|slot| rivals().any(|other| slot(other) != slot(own)));
    std::iter::once(own.engine).chain(telling.map(|slot| slot(own))).collect::<Vec<_>>().join(" ")
}

/// What is measured by itself, and has a row of its own: a workload, or a stage of work that is given and not drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether its figures depend on writes.
    pub(crate) writes: bool,
    /// What a store must have to have a row of it.
    pub(crate) needs: Need,
}

impl From<Workload> for Stage {
    fn from(workload: Workload) -> Self {
        Stage {
            name: workload.name(),
            what: workload.what(),
            writes: !workload.only_reads(),
            needs: workload.needs(),
        }
    }
}

/// Runs all contenders as often as asked, and appends each row to the file for them as soon as it is there.
///
/// # Errors
///
/// What a child said, or that it reported something else than was asked for.
pub(crate) fn run_all(
    options: &Options,
    repetitions: u64,
    work: &[String],
    mut results: Results,
) -> Result<Results, String> {
    let contenders = results.contenders.len();
    let total = contenders * repetitions as usize;
    let mut spent = vec![Vec::new(); contenders];
    for run in 0..total {
        let (repetition, index) = ((run / contenders) as u64, run % contenders);
        let contender = results.contenders[index].clone();
        let left = time_left(&spent, run, total)
            .map_or(String::new(), |left| format!(", {} left in all", in_words(left)));
        let heading =
            format!("[{}/{total}{left}] {}, {} of {repetitions}", run + 1, contender.name, repetition + 1);
        let mut command = child(options, &contender.parts, repetition)?;
        command.args(work);
        if !options.quiet {
            eprintln!("{heading}");
            command.args(["--heading", &heading]);
        }
        let begun = crate::meter::now();
        let rows = rows_of(command, &results.stages, &contender)
            .map_err(|error| format!("{}: {error}", contender.name))?;
        spent[index].push(begun.elapsed());
        append(options, &contender.name, repetition, &rows)?;
        results.add(index, rows);
    }
    Ok(results)
}

/// A process that opens the store of these parts.
///
/// # Errors
///
/// A sentence, if the system does not say which program this is.
pub(crate) fn child(options: &Options, parts: &Parts, repetition: u64) -> Result<Command, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let mut command = Command::new(alone(&this, parts.engine).unwrap_or(this));
    command.args(options.child_arguments(parts, repetition));
    Ok(command)
}

/// Whether each of these has a program with no other engine in it.
pub(crate) fn are_alone<'a>(mut engines: impl Iterator<Item = &'a str>) -> bool {
    let this = std::env::current_exe();
    this.is_ok_and(|this| engines.all(|engine| alone(&this, engine).is_some()))
}

/// The program with this engine and no other, if it stands beside `this` one: `NAME-ENGINE`. Code of others would be in its memory, and count in its peak.
fn alone(this: &Path, engine: &str) -> Option<PathBuf> {
    let name = this.file_stem()?.to_str()?;
    let program = this.with_file_name(format!("{name}-{engine}{}", std::env::consts::EXE_SUFFIX));
    program.is_file().then_some(program)
}

/// How long the runs from number `done` on will take: as long as each contender's runs so far on average, and one that has none as long as
/// those of the others. Nothing is known before the first.
fn time_left(spent: &[Vec<Duration>], done: usize, total: usize) -> Option<Duration> {
    let mean =
        |runs: &[Duration]| Some(runs.iter().sum::<Duration>() / u32::try_from(runs.len()).ok()?.max(1));
    let known = spent.concat();
    let usual = mean(&known).filter(|_| !known.is_empty())?;
    let expected =
        |run: usize| mean(&spent[run % spent.len()]).filter(|mean| !mean.is_zero()).unwrap_or(usual);
    Some((done..total).map(expected).sum())
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

fn rows_of(mut command: Command, stages: &[Stage], contender: &Contender) -> Result<Vec<Value>, String> {
    command.args(["--json", "-"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("its process ended with {}", output.status));
    }
    let rows = parse(&output.stdout)?;
    let expected: Vec<_> = stages
        .iter()
        .filter(|stage| stage.needs.is_met_by(&contender.parts))
        .map(|stage| stage.name)
        .collect();
    let seen: Vec<_> = rows.iter().filter_map(|row| row["workload"].as_str()).collect();
    if seen != expected {
        return Err(format!("it reported {seen:?} and not {expected:?}"));
    }
    Ok(rows)
}

fn parse(lines: &[u8]) -> Result<Vec<Value>, String> {
    let lines = std::str::from_utf8(lines).map_err(|error| error.to_string())?;
    lines.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))).collect()
}

fn append(options: &Options, name: &str, repetition: u64, rows: &[Value]) -> Result<(), String> {
    let lines = rows.iter().map(|row| {
        let mut row = row.clone();
        row["contender"] = name.into();
        row["repetition"] = repetition.into();
        row
    });
    append_lines(options, &lines.collect::<Vec<_>>())
}

/// Appends these to the file for rows, or prints them where that is standard output; nothing where no rows are asked for.
pub(crate) fn append_lines(options: &Options, lines: &[Value]) -> Result<(), String> {
    let Some(path) = &options.json else { return Ok(()) };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if options.prints_json() {
        report::print(&text);
        return Ok(());
    }
    let written = open_to_append(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "a report is no file of a store under test")]
fn open_to_append(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().create(true).append(true).open(path)
}

/// Writes a page.
///
/// # Errors
///
/// A sentence that names the file.
#[expect(clippy::disallowed_methods, reason = "a report is no file of a store under test")]
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a program is no file of a store under test")]
    fn an_engine_runs_in_a_program_of_its_own_where_there_is_one() {
        let folder = std::env::temp_dir().join(format!("terrace-bench-alone-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a new folder");
        let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        std::fs::write(program("peers-one"), "").expect("written");
        assert_eq!(alone(&program("peers"), "one"), Some(program("peers-one")));
        assert_eq!(alone(&program("peers"), "two"), None);
        assert_eq!(alone(&program("other"), "one"), None);
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn the_time_left_is_that_of_each_contender_so_far() {
        let seconds = Duration::from_secs;
        assert_eq!(time_left(&[vec![], vec![]], 0, 4), None);
        // A took 2 s; B is taken for as slow, and A comes once more.
        assert_eq!(time_left(&[vec![seconds(2)], vec![]], 1, 4), Some(seconds(6)));
        assert_eq!(time_left(&[vec![seconds(2)], vec![seconds(10)]], 2, 4), Some(seconds(12)));
        assert_eq!(time_left(&[vec![seconds(2), seconds(4)], vec![seconds(10)]], 3, 4), Some(seconds(10)));
    }

    #[test]
    fn times_are_told_in_a_unit_of_their_size() {
        let told = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!([told(7), told(119), told(121), told(9000)], ["7 s", "119 s", "3 min", "2.5 h"]);
    }
}
