//! The command line: `cargo xtask replay --help`.
#![expect(clippy::print_stderr, reason = "a command line program")]
#![expect(clippy::disallowed_methods, reason = "reads a trace, and makes the folders in which stores live")]

use super::{Pace, Replay};
use crate::cli::selection::{SLOTS, Selection};
use crate::meter::{self, Machine, Progress};
use crate::report::{self, Cell, Row};
use crate::store::{Durability, Parts, Settings, StoreFactory};
use crate::workload::Outcome;
use lexopt::prelude::*;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Does what a trace says to each chosen combination of parts, checks every answer, and measures.

Usage: cargo xtask replay --trace FILE [OPTIONS]

  --trace FILE         a trace, as `Engine::start_trace` takes it
  --pace PACE          full: each operation as soon as the one before is done; real: each at its time (full)
  --memtable NAME, --picker NAME, --log NAME, --filter NAME, --compression NAME, --engine NAME, --cache NAME
                       the parts, several with commas, or `all`; what is not named is stock
  --memtable-mib N     size of the memtable (64)
  --cache-mib N        block cache (64)
  --filter-bits N      filter bits for each key (10)
  --durability D       of the writes: none, page-cache or synced (page-cache)
  --dir DIR            where databases are made (the system's folder for temporary files)
  --json FILE          append each row to FILE as a line of JSON; `-`: print them and no table
  --width N            width of the table (120)
  --quiet              no progress on standard error
";

struct Options {
    trace: PathBuf,
    pace: Pace,
    selection: Selection,
    settings: Settings,
    durability: Durability,
    dir: PathBuf,
    json: Option<PathBuf>,
    width: usize,
    quiet: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut trace = None;
    let mut options = Options {
        trace: PathBuf::new(),
        pace: Pace::Full,
        selection: Selection::default(),
        settings: Settings::default(),
        durability: Durability::PageCache,
        dir: std::env::temp_dir(),
        json: None,
        width: 120,
        quiet: false,
    };
    while let Some(argument) = parser.next()? {
        let Long(name) = argument else {
            return if argument == Short('h') { Ok(None) } else { Err(argument.unexpected()) };
        };
        if let Some(slot) = SLOTS.iter().find(|slot| slot.option == name) {
            let names = parser.value()?.string()?;
            options.selection.ask(slot.option, names.split(',').map(str::to_owned).collect());
            continue;
        }
        match name {
            "help" => return Ok(None),
            "trace" => trace = Some(parser.value()?.into()),
            "pace" => options.pace = parser.value()?.parse_with(pace)?,
            "memtable-mib" => options.settings.memtable_bytes = parser.value()?.parse_with(mebibytes)?,
            "cache-mib" => options.settings.cache_bytes = parser.value()?.parse_with(mebibytes)?,
            "filter-bits" => options.settings.filter_bits_per_key = parser.value()?.parse()?,
            "durability" => options.durability = parser.value()?.parse_with(durability)?,
            "dir" => options.dir = parser.value()?.into(),
            "json" => options.json = Some(parser.value()?.into()),
            "width" => options.width = parser.value()?.parse()?,
            "quiet" => options.quiet = true,
            _ => return Err(argument.unexpected()),
        }
    }
    options.trace = trace.ok_or("`--trace FILE` says what to do")?;
    Ok(Some(options))
}

fn pace(name: &str) -> Result<Pace, String> {
    match name {
        "full" => Ok(Pace::Full),
        "real" => Ok(Pace::Real),
        _ => Err(format!("a pace is `full` or `real`, not `{name}`")),
    }
}

fn durability(name: &str) -> Result<Durability, String> {
    Durability::from_name(name)
        .ok_or_else(|| format!("durability is `none`, `page-cache` or `synced`, not `{name}`"))
}

fn mebibytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().and_then(|mebibytes: usize| mebibytes.checked_mul(1 << 20));
    bytes.ok_or_else(|| format!("`{text}` is no number of mebibytes"))
}

/// Does what the arguments of this process ask for, with the stores that `factories` open.
pub fn main(factories: &[Box<dyn StoreFactory>]) -> ExitCode {
    let options = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            report::print(HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\nSee `cargo xtask replay --help`.");
            return ExitCode::from(2);
        }
    };
    match execute(&options, factories) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options, factories: &[Box<dyn StoreFactory>]) -> Result<(), String> {
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let chosen = options.selection.choose_stock(&all, "terrace")?;
    let progress = Progress::new(options.quiet);
    let mut rows = Vec::new();
    for (number, index) in chosen.iter().enumerate() {
        let factory = &*factories[*index];
        let Parts { engine, memtable, picker, .. } = all[*index];
        progress.heading(format!("[{}/{}] {engine} {memtable} {picker}", number + 1, chosen.len()));
        // Read anew for each: what a key holds is remembered in it.
        let file =
            File::open(&options.trace).map_err(|error| format!("{}: {error}", options.trace.display()))?;
        let replay = Replay::read(BufReader::new(file));
        let replay = replay.map_err(|error| format!("{}: {error}", options.trace.display()))?;
        if number == 0 && !prints_json(options) {
            introduce(&replay);
        }
        let row = one(factory, options, replay, &progress)?;
        if prints_json(options) {
            report::print(&format!("{}\n", row.json_line()));
        } else if let Some(json) = &options.json {
            report::append_json_lines(json, std::slice::from_ref(&row)).map_err(|error| error.to_string())?;
        }
        rows.push(row);
    }
    if !prints_json(options) {
        let machine = Machine::this();
        report::print(&format!(
            "{}, {} cores, {}; every look-up was checked\n{}\n{}",
            machine.processor,
            machine.cores,
            machine.os,
            report::durability_note(options.durability),
            report::render(&rows, options.width)
        ));
    }
    Ok(())
}

fn prints_json(options: &Options) -> bool {
    options.json.as_deref().is_some_and(|path| path.as_os_str() == "-")
}

fn introduce(replay: &Replay) {
    report::print(&format!(
        "{} operations, sampled at {:.4}, {} left out when it was taken; {} keys are loaded before\n",
        replay.len(),
        replay.rate,
        replay.report.dropped,
        replay.initial_keys()
    ));
    if replay.report.ended.is_none() {
        let torn = replay.report.torn_bytes;
        report::print(&format!("the trace was not ended in good order ({torn} bytes of a torn tail)\n"));
    }
}

fn one(
    factory: &dyn StoreFactory,
    options: &Options,
    mut replay: Replay,
    progress: &Progress,
) -> Result<Row, String> {
    let dir = options.dir.join(format!("terrace-replay-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let loaded = replay.initial_keys();
    let done = (|| {
        let store = factory.open(&dir, &options.settings)?;
        replay.load(&*store, progress)?;
        let outcome = replay.run(&*store, options.pace, options.durability, progress)?;
        let row = row(factory.parts(), options, loaded, &outcome, &dir);
        store.close()?;
        Ok::<_, crate::workload::BenchError>(row)
    })();
    let row = done.map_err(|error| format!("{error}; the database is left in {}", dir.display()))?;
    std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(row)
}

fn row(parts: Parts, options: &Options, loaded: u64, outcome: &Outcome, dir: &Path) -> Row {
    let mut row = Row::default();
    row.field("workload", "replay");
    row.field("trace", options.trace.display().to_string());
    row.field("version", parts.version);
    for slot in &SLOTS {
        row.label(slot.option, slot.option, (slot.name)(&parts));
    }
    row.field("pace", if options.pace == Pace::Real { "real" } else { "full" });
    let durability = if parts.log_keeps { options.durability } else { Durability::None };
    row.label("durability", "durability", durability.name());
    row.label_count("memtable_bytes", "memtable size", options.settings.memtable_bytes as u64);
    row.label_count("cache_bytes", "cache size", options.settings.cache_bytes as u64);
    row.label_count("filter_bits_per_key", "filter bits", u64::from(options.settings.filter_bits_per_key));
    row.field("loaded", loaded);
    let seconds = outcome.elapsed.as_secs_f64().max(1e-9);
    row.figure("ops", "ops", Cell::Int(outcome.ops));
    row.field("elapsed_seconds", seconds);
    row.figure("kops_per_second", "kop/s", Cell::Float(outcome.ops as f64 / seconds / 1e3, 1));
    row.figure("megabytes_per_second", "MB/s", Cell::Float(outcome.bytes as f64 / seconds / 1e6, 1));
    let latency = &outcome.latency;
    for (name, share) in [("p50 us", 0.5), ("p90 us", 0.9), ("p99 us", 0.99), ("p99.9 us", 0.999)] {
        row.figure(name, name, Cell::Float(latency.quantile(share).as_secs_f64() * 1e6, 2));
    }
    row.figure("max_us", "max us", Cell::Float(latency.max().as_secs_f64() * 1e6, 0));
    row.figure("drain_ms", "drain ms", Cell::Float(outcome.drain.as_secs_f64() * 1e3, 0));
    let known = |figure: Option<f64>| figure.map_or(Cell::Unknown, |figure| Cell::Float(figure, 2));
    row.figure("stall_ms", "stall ms", known(outcome.stall.map(|stall| stall.as_secs_f64() * 1e3)));
    row.figure("write_amp", "w-amp", known(outcome.stats.write_amp));
    row.figure("read_amp", "r-amp", known(outcome.stats.read_amp));
    if let Ok((_, bytes)) = meter::folder_bytes(dir) {
        row.space(bytes, outcome.live_bytes);
    }
    let processor = outcome.usage.processor().map(|time| time.as_secs_f64());
    row.figure("processor_seconds", "cpu s", known(processor));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let parsed = |arguments: &[&str]| parse(lexopt::Parser::from_args(arguments));
        let found = parsed(&["--trace", "t", "--pace", "real", "--picker", "fluid", "--cache-mib", "2"]);
        let found = found.expect("valid").expect("no help");
        assert_eq!((found.pace, found.settings.cache_bytes), (Pace::Real, 2 << 20));
        for wrong in [&["--pace", "real"][..], &["--trace", "t", "--pace", "slow"], &["--trace", "t", "x"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        assert!(parsed(&["--help"]).expect("valid").is_none());
    }
}
