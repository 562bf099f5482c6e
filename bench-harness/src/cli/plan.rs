//! Goes through the chosen combinations, runs the work on each in a folder of its own, and reports.
#![expect(clippy::disallowed_methods, reason = "makes the folders in which databases under test live")]

use crate::cli::options::Options;
use crate::cli::work::Work;
use crate::given::Given;
use crate::kill::reopen;
use crate::lifecycle::{self, LifeOptions};
use crate::meter::{self, Machine, Progress};
use crate::realdata::RealData;
use crate::report::{self, Provenance, Row};
use crate::runs;
use crate::store::{Durability, Parts, Store, StoreFactory};
use crate::workload::{self, BenchError, Config, Session, Workload};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Runs what the options ask for and prints the table.
///
/// # Errors
///
/// A sentence for a person: what failed, with which parts, and where the folder is that shows it.
pub(crate) fn execute(options: &Options, factories: &[Box<dyn StoreFactory>]) -> Result<(), String> {
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let chosen = options.selection.choose(&all)?;
    if options.list {
        for index in &chosen {
            report::print(&format!("{}\n", name(&all[*index])));
        }
        return Ok(());
    }
    let begun = meter::now();
    let progress = Progress::new(options.quiet);
    let data = match options.work {
        Work::RealData => Some(collect(options)?),
        _ => None,
    };
    let given = options.work.given().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for (number, index) in chosen.iter().enumerate() {
        let heading = options.heading.clone();
        progress.heading(
            heading.unwrap_or_else(|| format!("[{}/{}] {}", number + 1, chosen.len(), name(&all[*index]))),
        );
        let factory = &*factories[*index];
        let added = match (&options.work, &given) {
            (Work::Workloads(workloads), _) => run_workloads(factory, options, workloads, &progress)?,
            (_, Some(given)) => run_given(factory, options, &**given, &progress)?,
            _ => vec![live(factory, options, data.as_ref(), &progress)?],
        };
        if options.prints_json() {
            added.iter().for_each(|row| report::print(&format!("{}\n", row.json_line())));
        } else if let Some(json) = &options.json {
            report::append_json_lines(json, &added).map_err(|error| error.to_string())?;
        }
        rows.extend(added);
    }
    if options.prints_json() {
        return Ok(());
    }
    let machine = Machine::this();
    report::print(&format!(
        "{}, {} cores, {}; every value read was checked\n{}\n{}\n{} rows in {:.1} s, all answers right\n",
        machine.processor,
        machine.cores,
        machine.os,
        report::durability_note(options.config.durability),
        report::render(&rows, options.width),
        rows.len(),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn name(parts: &Parts) -> String {
    let Parts { engine, memtable, picker, log, filter, cache, compression, .. } = parts;
    format!("{engine} {memtable} {picker} {log} {filter} {cache} {compression}")
}

fn collect(options: &Options) -> Result<RealData, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = RealData::collect(&root, options.data_bytes).map_err(|error| error.to_string())?;
    if options.prints_json() {
        return Ok(data);
    }
    report::print(&format!(
        "real data: {} records, {:.1} MB of keys and values, from {}\n",
        data.len(),
        data.bytes() as f64 / 1e6,
        data.origin
    ));
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

/// Does work that is given to a fresh store; a row for each of its stages.
fn run_given(
    factory: &dyn StoreFactory,
    options: &Options,
    given: &dyn Given,
    progress: &Progress,
) -> Result<Vec<Row>, String> {
    let folder = Folder::new(options)?;
    let keep = |error| folder.keep(factory, &error);
    let store = factory.open(&folder.path, &options.settings).map_err(|error| keep(error.into()))?;
    let outcomes = given.run(&*store, &options.config, progress).map_err(keep)?;
    let (_, bytes) = folder.bytes()?;
    store.close().map_err(|error| folder.keep(factory, &error.into()))?;
    let rows = given.stages().iter().zip(&outcomes).map(|(stage, outcome)| {
        let provenance = provenance(factory, options);
        let mut row = provenance.given_row(stage.name, given.records(), &options.config, outcome);
        row.space(bytes, outcome.live_bytes);
        row
    });
    let rows = rows.collect();
    folder.remove()?;
    Ok(rows)
}

/// Runs workloads one after the other. One that only reads may go on with the store that the last one left clean; any other gets a
/// fresh one. No row of those that need what the store has not.
fn run_workloads(
    factory: &dyn StoreFactory,
    options: &Options,
    workloads: &[Workload],
    progress: &Progress,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut clean: Option<Loaded> = None;
    for workload in workloads {
        if !workload.needs().is_met_by(&factory.parts()) {
            let (name, why) = (name(&factory.parts()), workload.needs().reason());
            eprintln!("{name}: no {}, for {why}", workload.name());
            continue;
        }
        if workload.kills() {
            rows.push(open_after_kill(factory, options, *workload, progress)?);
            continue;
        }
        if !workload.shares_store()
            && let Some(loaded) = clean.take()
        {
            loaded.end(factory)?;
        }
        let mut loaded = match clean.take() {
            Some(loaded) => loaded,
            None => Loaded::new(factory, options, *workload, progress)?,
        };
        rows.push(loaded.measure(factory, options, *workload, progress)?);
        if workload.shares_store() {
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

/// Kills processes over folders of their own and measures how long it takes to open these.
fn open_after_kill(
    factory: &dyn StoreFactory,
    options: &Options,
    workload: Workload,
    progress: &Progress,
) -> Result<Row, String> {
    let options = &reopen::options(options).map_err(|error| error.to_string())?;
    let mut opened = Vec::new();
    progress.begin(workload.name(), reopen::OPENS);
    for _ in 0..reopen::OPENS {
        let folder = Folder::new(options)?;
        let writer = runs::child(options, &factory.parts(), 0)?;
        let one = reopen::once(writer, options, factory, &folder.path);
        opened.push(one.map_err(|error| folder.keep(factory, &error))?);
        folder.remove()?;
        progress.add(1);
    }
    progress.end();
    let outcome = reopen::outcome(options, &opened);
    Ok(provenance(factory, options).workload_row(workload, &options.config, &outcome))
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
        let settings = workload.settings(options.settings);
        let store = factory.open(&folder.path, &settings).map_err(|error| keep(error.into()))?;
        if !workload.fills() {
            workload::load(&mut session, &*store, progress).map_err(keep)?;
        }
        Ok(Loaded { session, store, folder })
    }

    fn measure(
        &mut self,
        factory: &dyn StoreFactory,
        options: &Options,
        workload: Workload,
        progress: &Progress,
    ) -> Result<Row, String> {
        let config = &options.config;
        let synced = config.durability == Durability::Synced || workload == Workload::FillSync;
        let writes = synced && !workload.only_reads() && workload != Workload::Compact;
        // The disk's own figure just before and just after: it drifts.
        let mut raw = if writes { Some(self.folder.raw_sync(config)?) } else { None };
        let mut bare = if writes { self.folder.bare_rounds(config)? } else { None };
        let outcome = workload::run(&mut self.session, &*self.store, workload, progress)
            .map_err(|error| self.folder.keep(factory, &error))?;
        if let Some(raw) = &mut raw {
            raw.merge(&self.folder.raw_sync(config)?);
        }
        if let Some(bare) = &mut bare {
            *bare = (*bare + self.folder.bare_rounds(config)?.unwrap_or(*bare)) / 2;
        }
        let mut provenance = provenance(factory, options);
        provenance.settings = workload.settings(options.settings);
        let mut row = provenance.workload_row(workload, config, &outcome);
        let (_, bytes) = self.folder.bytes()?;
        row.space(bytes, outcome.live_bytes);
        if let Some(raw) = raw {
            row.raw_sync(&raw, outcome.ops, outcome.elapsed);
        }
        if let Some(bare) = bare {
            row.bare_rounds(bare, config.threads, outcome.ops, outcome.elapsed);
        }
        if !workload.only_reads() {
            let checked = workload::check_all(&self.session, &*self.store)
                .map_err(|error| self.folder.keep(factory, &error))?;
            row.field("records_checked", checked);
        }
        Ok(row)
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
        /// No folder's name is used twice: a store may remember what was in it.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("terrace-bench-{}-{number}", std::process::id()));
            if path.exists() {
                continue;
            }
            let made = std::fs::create_dir_all(&path);
            return made
                .map(|()| Folder { path: path.clone() })
                .map_err(|error| format!("{}: {error}", path.display()));
        }
    }

    fn bytes(&self) -> Result<(u64, u64), String> {
        meter::folder_bytes(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn raw_sync(&self, config: &Config) -> Result<meter::Latency, String> {
        // Not only some hundreds: for so long a disk may be a quarter faster than over the run.
        let count = config.ops.clamp(1, 4_000);
        meter::raw_sync(&self.path, config.key_bytes + config.value_bytes, count)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// What a round takes of as many threads that only share a sync; `None` for one thread.
    fn bare_rounds(&self, config: &Config) -> Result<Option<Duration>, String> {
        if config.threads == 1 {
            return Ok(None);
        }
        let rounds = (config.ops / u64::from(config.threads)).clamp(1, 2_000);
        meter::bare_rounds(&self.path, config.key_bytes + config.value_bytes, config.threads as usize, rounds)
            .map(Some)
            .map_err(|error| format!("{}: {error}", self.path.display()))
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
