//! Comparisons: terrace and other stores under the same work, each run in a process of its own.
//!
//! Medians are shown with the lowest and highest run beside them. Before anything is measured each store is killed once ([`kill::check`]).
#![expect(clippy::print_stderr, reason = "a command line program")]

mod page;
mod ratios;
pub(crate) mod recorded;
mod table;

use crate::cli::options::Options;
use crate::cli::work::{Versus, Work};
use crate::kill;
use crate::meter::{self, Machine};
use crate::report;
use crate::runs::results::Results;
use crate::runs::{self, Contender};
use crate::store::{Parts, StoreFactory};
use std::time::Duration;

/// The engine that the others are compared with.
const HOME: &str = "terrace";

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
        contenders.iter().for_each(|contender| report::print(&format!("{}\n", contender.name)));
        return Ok(());
    }
    if versus.kill_check {
        for contender in &contenders {
            let survived = kill::check::check(options, &contender.parts)?;
            eprintln!("{}: {survived}", contender.name);
        }
    }
    let stages = versus.workloads.iter().map(|workload| (*workload).into()).collect();
    let names: Vec<&str> = versus.workloads.iter().map(|workload| workload.name()).collect();
    let work = ["--workload".to_owned(), names.join(",")];
    let alone = runs::are_alone(contenders.iter().map(|contender| contender.parts.engine));
    let results = runs::run_all(options, options.repetitions(), &work, Results::new(contenders, stages))?;
    let heading = format!("{}\n{}", heading(options, alone), pauses());
    if let Some(html) = &options.html {
        let part = page::Part { title: "All workloads", heading: &heading, results: &results };
        runs::write(html, &page::render(&[part]))?;
    }
    if !options.prints_json() {
        report::print(&format!("{heading}\n\n{}", table::render(&results, options.width)));
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
    Ok(Contender::named(&parts))
}

/// What this machine takes from everybody: where latencies of a few microseconds end.
fn pauses() -> String {
    let pause = Duration::from_micros(5);
    let count = meter::pauses_per_second(pause, Duration::from_millis(500));
    format!(
        "a loop that only reads the clock was held up for {} us or more {count:.0} times a second",
        pause.as_micros()
    )
}

/// What all runs had in common, in lines.
fn heading(options: &Options, alone: bool) -> String {
    let (config, settings, machine) = (&options.config, &options.settings, Machine::this());
    format!(
        "{}, {} cores, {}\n{}\n{} records, keys of {} bytes, values of {} bytes ({} of it compressible), {} threads, {} operations\n\
         memtable {} MiB, cache {} MiB{}, filters of {} bits a key, compression {} where there is any\n\
         {} runs of each in processes of their own{}, interleaved; medians; every value read was checked, every store gone through after writing",
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
        if config.warm { " (warm: all was read once before a workload that reads)" } else { "" },
        settings.filter_bits_per_key,
        options.selection.compression(),
        options.repetitions(),
        if alone { ", whose program has no other engine in it" } else { "" },
    )
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
                "terrace btree mapped".into(),
                "terrace btree buffered".into(),
                "terrace skiplist mapped".into(),
                "terrace skiplist buffered".into(),
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
