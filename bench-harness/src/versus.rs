//! Comparisons: terrace and other stores under the same work, each run in a process of its own.
//!
//! One process is one store, all workloads, one repetition: so no store inherits another's heap, caches or threads. Repetitions are
//! interleaved (A B A B), so that a machine that grows slower does so for all, and differ in their seeds; medians are shown with the
//! lowest and highest run beside them. Before anything is measured each store is killed once ([`kill::check`]).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod page;
mod plot;
mod results;
mod table;

use crate::cli::options::{Options, Versus, Work};
use crate::kill;
use crate::meter::Machine;
use crate::report;
use crate::store::{Parts, StoreFactory};
use crate::workload::Workload;
use results::Results;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The engine that the others are compared with.
const HOME: &str = "terrace";

/// A store in a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The engine's name, with the parts that tell several of one engine apart.
    pub(crate) name: String,
    pub(crate) parts: Parts,
}

impl Contender {
    fn is_home(&self) -> bool {
        self.parts.engine == HOME
    }

    /// A column's heading: the engine, or the memtable of a further combination of terrace's parts.
    fn heading(&self) -> &'static str {
        if self.is_home() { self.parts.memtable } else { self.parts.engine }
    }

    /// Whether it is a log-structured merge tree: what such a tree has and no other store does are tables.
    fn is_lsm(&self) -> bool {
        self.parts.table != "-"
    }
}

/// Runs a comparison and prints it.
///
/// # Errors
///
/// A sentence: an unknown name, a store that lost writes, or what a child said.
pub(crate) fn execute(options: &Options, factories: &[Box<dyn StoreFactory>]) -> Result<(), String> {
    let Work::Versus(versus) = &options.work else { return Err("no comparison was asked for".to_owned()) };
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let contenders = contenders(options, versus, &all)?;
    if options.list {
        contenders.iter().for_each(|contender| println!("{}", contender.name));
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    if versus.kill_check {
        for contender in &contenders {
            let survived = kill::check::check(&program, options, &contender.parts)?;
            eprintln!("{}: {survived}", contender.name);
        }
    }
    let mut results = Results::new(contenders, versus.workloads.clone());
    for repetition in 0..versus.repetitions {
        for index in 0..results.contenders.len() {
            let contender = &results.contenders[index];
            eprintln!("[{}/{}] {}", repetition + 1, versus.repetitions, contender.name);
            let rows = run_child(&program, options, versus, &contender.parts, repetition)
                .map_err(|error| format!("{}: {error}", contender.name))?;
            if let Some(json) = options.json.as_ref().filter(|_| !options.prints_json()) {
                append(json, &contender.name, repetition, &rows)?;
            }
            results.add(index, rows);
        }
    }
    let heading = heading(options, versus);
    println!("{heading}\n");
    print!("{}", table::render(&results, options.width));
    if let Some(html) = &versus.html {
        write(html, &page::render(&results, &heading))?;
    }
    Ok(())
}

/// Terrace's chosen combinations, then the others as they were named.
fn contenders(options: &Options, versus: &Versus, all: &[Parts]) -> Result<Vec<Contender>, String> {
    let mut chosen = options.selection.choose_stock(all, HOME)?;
    for engine in versus.against.iter().filter(|engine| *engine != HOME) {
        let of_engine = |index: &usize| all[*index].engine == engine;
        let wanted = |index: &usize| all[*index].compression == options.selection.compression();
        let own: Vec<usize> = (0..all.len()).filter(of_engine).collect();
        let Some(index) = own.iter().copied().find(wanted).or(own.first().copied()) else {
            let mut known: Vec<_> = all.iter().map(|parts| parts.engine).collect();
            known.dedup();
            return Err(format!(
                "no engine is called `{engine}` in this build; there are: {}",
                known.join(", ")
            ));
        };
        if !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    let parts: Vec<Parts> = chosen.iter().map(|index| all[*index]).collect();
    Ok(parts.iter().map(|own| Contender { name: name(own, &parts), parts: *own }).collect())
}

/// The engine, and of its parts those that other contenders of the same engine have otherwise.
fn name(own: &Parts, all: &[Parts]) -> String {
    let slots: [fn(&Parts) -> &'static str; 6] =
        [|p| p.memtable, |p| p.picker, |p| p.log, |p| p.filter, |p| p.cache, |p| p.compression];
    let rivals = || all.iter().filter(|other| other.engine == own.engine);
    let telling = slots.iter().filter(|slot| rivals().any(|other| slot(other) != slot(own)));
    std::iter::once(own.engine).chain(telling.map(|slot| slot(own))).collect::<Vec<_>>().join(" ")
}

fn run_child(
    program: &Path,
    options: &Options,
    versus: &Versus,
    parts: &Parts,
    repetition: u64,
) -> Result<Vec<Value>, String> {
    let names: Vec<&str> = versus.workloads.iter().map(|workload| workload.name()).collect();
    let mut command = Command::new(program);
    command.args(options.child_arguments(parts, repetition));
    command.args(["--json", "-", "--workload", &names.join(",")]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("its process ended with {}", output.status));
    }
    let rows = parse(&output.stdout)?;
    let seen: Vec<_> = rows.iter().filter_map(|row| row["workload"].as_str()).collect();
    if seen != names {
        return Err(format!("it reported {seen:?} and not {names:?}"));
    }
    Ok(rows)
}

fn parse(lines: &[u8]) -> Result<Vec<Value>, String> {
    let lines = std::str::from_utf8(lines).map_err(|error| error.to_string())?;
    lines.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))).collect()
}

/// What all runs had in common, in lines.
fn heading(options: &Options, versus: &Versus) -> String {
    let (config, settings, machine) = (&options.config, &options.settings, Machine::this());
    format!(
        "{}, {} cores, {}\n{}\n{} records, keys of {} bytes, values of {} bytes ({} of it compressible), {} threads, {} operations\n\
         memtable {} MiB, cache {} MiB, filters of {} bits a key, compression {} where there is any\n\
         {} runs of each in processes of their own, interleaved; medians; every value read was checked, every store gone through after writing",
        machine.processor,
        machine.cores,
        machine.os,
        report::durability_note(config.durability),
        config.records,
        config.key_bytes,
        config.value_bytes,
        config.compressible,
        config.threads,
        config.ops,
        settings.memtable_bytes >> 20,
        settings.cache_bytes >> 20,
        settings.filter_bits_per_key,
        options.selection.compression(),
        versus.repetitions,
    )
}

fn append(path: &Path, name: &str, repetition: u64, rows: &[Value]) -> Result<(), String> {
    let mut text = String::new();
    for row in rows {
        let mut row = row.clone();
        row["contender"] = name.into();
        row["repetition"] = repetition.into();
        text += &format!("{row}\n");
    }
    let failed = |error| format!("{}: {error}", path.display());
    open_to_append(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

#[expect(clippy::disallowed_methods, reason = "a report is no file of a store under test")]
fn open_to_append(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().create(true).append(true).open(path)
}

#[expect(clippy::disallowed_methods, reason = "a report is no file of a store under test")]
fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether a figure of this workload depends on writes.
fn writes(workload: Workload) -> bool {
    !workload.only_reads()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    fn contenders_of(arguments: &[&str]) -> Result<Vec<String>, String> {
        let options = Options::parse(lexopt::Parser::from_args(arguments)).expect("valid").expect("no help");
        let Work::Versus(versus) = &options.work else { panic!("{:?}", options.work) };
        let all: Vec<Parts> = store::factories().iter().map(|factory| factory.parts()).collect();
        Ok(contenders(&options, versus, &all)?.into_iter().map(|contender| contender.name).collect())
    }

    #[test]
    fn the_stock_parts_stand_for_terrace() {
        assert_eq!(contenders_of(&["--against", "memory"]), Ok(vec!["terrace".into(), "memory".into()]));
    }

    #[test]
    fn several_combinations_are_told_apart_by_what_differs() {
        assert_eq!(
            contenders_of(&[
                "--against",
                "memory",
                "--memtable",
                "skiplist,btree",
                "--log",
                "buffered,mapped"
            ]),
            Ok(vec![
                "terrace skiplist buffered".into(),
                "terrace skiplist mapped".into(),
                "terrace btree buffered".into(),
                "terrace btree mapped".into(),
                "memory".into()
            ])
        );
    }

    #[test]
    fn an_engine_that_is_not_built_in_is_named() {
        let error = contenders_of(&["--against", "sqlite"]).expect_err("no such engine");
        assert!(error.contains("sqlite") && error.contains("memory"), "{error}");
    }
}
