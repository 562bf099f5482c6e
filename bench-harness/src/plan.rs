//! Goes through the chosen combinations, runs the work on each in a folder of its own, and reports.
#![expect(clippy::disallowed_methods, reason = "makes the folders in which databases under test live")]

use crate::options::{Options, Work};
use std::path::{Path, PathBuf};
use terrace_bench::lifecycle::{self, LifeOptions};
use terrace_bench::meter::{self, Machine, Progress};
use terrace_bench::realdata::RealData;
use terrace_bench::report::{self, Provenance, Row};
use terrace_bench::store::{self, Parts, Store, StoreFactory};
use terrace_bench::workload::{self, BenchError, Session, Workload};

/// Runs what the options ask for and prints the table.
///
/// # Errors
///
/// A sentence for a person: what failed, with which parts, and where the folder is that shows it.
pub(crate) fn execute(options: &Options) -> Result<(), String> {
    let factories = store::factories();
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let chosen = options.selection.choose(&all)?;
    if options.list {
        for index in &chosen {
            println!("{}", name(&all[*index]));
        }
        return Ok(());
    }
    let begun = meter::now();
    let progress = Progress::new(options.quiet);
    let data = match options.work {
        Work::RealData => Some(collect(options)?),
        Work::Workloads(_) => None,
    };
    let mut rows = Vec::new();
    for (number, index) in chosen.iter().enumerate() {
        progress.heading(format!("[{}/{}] {}", number + 1, chosen.len(), name(&all[*index])));
        let factory = &*factories[*index];
        let added = match (&options.work, &data) {
            (Work::Workloads(workloads), _) => run_workloads(factory, options, workloads, &progress)?,
            (Work::RealData, data) => vec![live(factory, options, data.as_ref(), &progress)?],
        };
        if let Some(json) = &options.json {
            report::append_json_lines(json, &added).map_err(|error| error.to_string())?;
        }
        rows.extend(added);
    }
    let machine = Machine::this();
    println!("{}, {} cores, {}; every value read was checked", machine.processor, machine.cores, machine.os);
    println!("{}", report::durability_note(options.config.durability));
    print!("{}", report::render(&rows, options.width));
    println!("\n{} rows in {:.1} s, all answers right", rows.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

fn name(parts: &Parts) -> String {
    let Parts { engine, memtable, picker, log, filter, cache, compression, .. } = parts;
    format!("{engine} {memtable} {picker} {log} {filter} {cache} {compression}")
}

fn collect(options: &Options) -> Result<RealData, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = RealData::collect(&root, options.data_bytes).map_err(|error| error.to_string())?;
    println!(
        "real data: {} records, {:.1} MB of keys and values, from {}",
        data.len(),
        data.bytes() as f64 / 1e6,
        data.origin
    );
    Ok(data)
}

fn provenance(factory: &dyn StoreFactory, options: &Options) -> Provenance {
    Provenance {
        parts: factory.parts(),
        settings: options.settings,
        durability: options.config.durability,
        machine: Machine::this(),
    }
}

fn live(
    factory: &dyn StoreFactory,
    options: &Options,
    data: Option<&RealData>,
    progress: &Progress,
) -> Result<Row, String> {
    let data = data.ok_or("real data was not collected")?;
    let seeds = LifeOptions {
        durability: options.config.durability,
        load_seed: options.config.load_seed,
        read_seed: options.config.run_seed,
    };
    let folder = Folder::new(options)?;
    let life = lifecycle::check(factory, &folder.path, &options.settings, data, seeds, progress)
        .map_err(|error| folder.keep(factory, &error))?;
    folder.remove()?;
    Ok(provenance(factory, options).life_row(&life, seeds.load_seed, seeds.read_seed))
}

/// Runs workloads one after the other. One that only reads may go on with the store that the last one left clean; any other gets a
/// fresh one.
fn run_workloads(
    factory: &dyn StoreFactory,
    options: &Options,
    workloads: &[Workload],
    progress: &Progress,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut clean: Option<Loaded> = None;
    for workload in workloads {
        let reusable = clean.take().filter(|_| workload.only_reads());
        let mut loaded = match reusable {
            Some(loaded) => loaded,
            None => Loaded::new(factory, options, *workload, progress)?,
        };
        let outcome = workload::run(&mut loaded.session, &*loaded.store, *workload, progress)
            .map_err(|error| loaded.folder.keep(factory, &error))?;
        rows.push(provenance(factory, options).workload_row(*workload, &options.config, &outcome));
        if workload.only_reads() {
            clean = Some(loaded);
        } else {
            loaded.end(factory)?;
        }
    }
    if let Some(loaded) = clean {
        loaded.end(factory)?;
    }
    Ok(rows)
}

/// An open store with what is known of its content.
struct Loaded {
    session: Session,
    store: Box<dyn Store>,
    folder: Folder,
}

impl Loaded {
    fn new(
        factory: &dyn StoreFactory,
        options: &Options,
        workload: Workload,
        progress: &Progress,
    ) -> Result<Self, String> {
        let mut session = Session::new(&options.config, workload).map_err(|error| error.to_string())?;
        let folder = Folder::new(options)?;
        let keep = |error| folder.keep(factory, &error);
        let store = factory.open(&folder.path, &options.settings).map_err(|error| keep(error.into()))?;
        if !workload.fills() {
            workload::load(&mut session, &*store, progress).map_err(keep)?;
        }
        Ok(Loaded { session, store, folder })
    }

    fn end(self, factory: &dyn StoreFactory) -> Result<(), String> {
        self.store.close().map_err(|error| self.folder.keep(factory, &error.into()))?;
        self.folder.remove()
    }
}

/// A folder for one database; it stays when something goes wrong, and is named then.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(options: &Options) -> Result<Self, String> {
        let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        for number in 0.. {
            let path = parent.join(format!("terrace-bench-{}-{number}", std::process::id()));
            if path.exists() {
                continue;
            }
            let made = std::fs::create_dir_all(&path);
            return made
                .map(|()| Folder { path: path.clone() })
                .map_err(|error| format!("{}: {error}", path.display()));
        }
        unreachable!("numbers do not end")
    }

    fn remove(self) -> Result<(), String> {
        std::fs::remove_dir_all(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn keep(&self, factory: &dyn StoreFactory, error: &BenchError) -> String {
        let mut text = format!("{}: {error}", name(&factory.parts()));
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            let line = source.to_string();
            if !text.contains(&line) {
                text += &format!("\n  because: {line}");
            }
            cause = source.source();
        }
        text + &format!("\nThe database is left in {}", self.path.display())
    }
}
