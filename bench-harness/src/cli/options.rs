//! The options of the command line.

use crate::cli::selection::{SLOTS, Selection};
use crate::cli::work::{self, Versus, Work};
use crate::datafile::DataFile;
use crate::store::{Durability, Parts, Settings};
use crate::workload::{Config, Workload};
use lexopt::prelude::*;
use std::fmt::Write;
use std::path::PathBuf;
use terrace::BackgroundOrder;
use terrace_throttle::QuietHours;
use terrace_throttle::stock::{LIMITERS, THROTTLES};

/// All options.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) selection: Selection,
    pub(crate) work: Work,
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) data_bytes: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) width: usize,
    pub(crate) quiet: bool,
    pub(crate) list: bool,
    /// Runs of each contender, if given.
    pub(crate) repetitions: Option<u64>,
    /// Where the page goes.
    pub(crate) html: Option<PathBuf>,
    /// Whether the work is done in this process and not in one for each contender.
    pub(crate) in_process: bool,
    /// What progress is headed by, in place of the parts.
    pub(crate) heading: Option<String>,
    /// For a count after a kill: how many writes were acknowledged.
    pub(crate) acknowledged: u64,
}

impl Options {
    /// Reads them; `None` when help was asked for.
    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut config = Config::default();
        let (mut ops, mut memtable_mib, mut workloads, mut given) = (None, None, None, None);
        let mut options = Options {
            selection: Selection::default(),
            work: Work::RealData,
            config: config.clone(),
            settings: Settings::default(),
            data_bytes: 12_000_000,
            json: None,
            dir: None,
            width: 120,
            quiet: false,
            list: false,
            repetitions: None,
            html: None,
            in_process: false,
            heading: None,
            acknowledged: 0,
        };
        let (mut versus, mut from) = (Versus::default(), Vec::new());
        while let Some(argument) = parser.next()? {
            let Long(name) = argument else {
                if argument == Short('h') {
                    return Ok(None);
                }
                return Err(argument.unexpected());
            };
            if SLOTS.iter().any(|slot| slot.option == name) {
                let slot = name.to_owned();
                let names = list(&mut parser)?;
                options.selection.ask(&slot, names);
                continue;
            }
            match name {
                "help" => return Ok(None),
                "list" => options.list = true,
                "all" => options.selection.all = true,
                "quiet" => options.quiet = true,
                "quick" => workloads = None,
                "workload" => workloads = Some(list(&mut parser)?),
                "data" => given = Some(Work::Data(parser.value()?.into())),
                "trace" => given = Some(Work::Trace(parser.value()?.into())),
                "from" => from.push(PathBuf::from(parser.value()?)),
                "against" => versus.against = list(&mut parser)?,
                "repeat" => options.repetitions = Some(parser.value()?.parse::<u64>()?.max(1)),
                "html" => options.html = Some(parser.value()?.into()),
                "warm" => config.warm = true,
                "in-process" => options.in_process = true,
                "heading" => (options.heading, options.quiet) = (Some(parser.value()?.string()?), false),
                "no-kill-check" => versus.kill_check = false,
                "write-until-killed" => options.work = Work::WriteUntilKilled(parser.value()?.into()),
                "count-after-kill" => options.work = Work::CountAfterKill(parser.value()?.into()),
                "acknowledged" => options.acknowledged = parser.value()?.parse()?,
                "records" => config.records = parser.value()?.parse()?,
                "ops" => ops = Some(parser.value()?.parse()?),
                "key" => config.key_bytes = parser.value()?.parse()?,
                "value" => config.value_bytes = parser.value()?.parse()?,
                "compressible" => config.compressible = parser.value()?.parse()?,
                "threads" => config.threads = parser.value()?.parse()?,
                "write-rate" => config.write_rate = Some(parser.value()?.parse()?),
                "batch" => config.batch_records = parser.value()?.parse()?,
                "seed" => {
                    config.load_seed = parser.value()?.parse()?;
                    config.run_seed = config.load_seed.wrapping_add(1);
                }
                "log-mb" => config.log_bytes = megabytes(parser.value()?.parse()?)? as u64,
                "run-seed" => config.run_seed = parser.value()?.parse()?,
                "durability" => config.durability = durability(&parser.value()?.string()?)?,
                "memtable-mib" => memtable_mib = Some(parser.value()?.parse::<usize>()?),
                "cache-mib" => options.settings.cache_bytes = mebibytes(parser.value()?.parse()?)?,
                "filter-bits" => options.settings.filter_bits_per_key = parser.value()?.parse()?,
                "throttle" => options.settings.throttle = parser.value()?.parse_with(throttle)?,
                "limiter" => options.settings.limiter = Some(parser.value()?.parse_with(limiter)?),
                "quiet-hours" => options.settings.quiet_hours = Some(parser.value()?.parse_with(hours)?),
                "nice" => options.settings.niceness = parser.value()?.parse()?,
                "order" => options.settings.order = parser.value()?.parse_with(order)?,
                "keyspaces" => options.settings.keyspaces = parser.value()?.parse_with(keyspaces)?,
                "data-mb" => options.data_bytes = megabytes(parser.value()?.parse()?)?,
                "json" => options.json = Some(parser.value()?.into()),
                "dir" => options.dir = Some(parser.value()?.into()),
                "width" => options.width = parser.value()?.parse()?,
                _ => return Err(argument.unexpected()),
            }
        }
        if !from.is_empty() {
            given = Some(Work::Recorded(from));
        }
        if options.settings.quiet_hours.is_some() && options.settings.limiter.is_none() {
            return Err("quiet hours lift a limiter: name one (--limiter)".into());
        }
        config.ops = ops.unwrap_or(config.records);
        options.config = config;
        let matrix = options.repetitions.is_some() || options.html.is_some();
        options.work = match options.work {
            Work::RealData => work::chosen(workloads.as_deref(), given, versus, matrix)?,
            of_a_child => of_a_child,
        };
        // Real data is small: with a small memtable it still goes through flushes and merges.
        let default_mib = match &options.work {
            Work::RealData => 2,
            Work::Data(path) => DataFile::memtable_mib(path),
            _ => 64,
        };
        options.settings.memtable_bytes = mebibytes(memtable_mib.unwrap_or(default_mib))?;
        options.config.memtable_bytes = options.settings.memtable_bytes;
        Ok(Some(options))
    }

    /// How often each contender runs.
    pub(crate) fn repetitions(&self) -> u64 {
        let usual = if matches!(self.work, Work::Versus(_)) { 3 } else { 1 };
        self.repetitions.unwrap_or(usual)
    }

    /// Whether rows go to standard output as JSON, and nothing else does.
    pub(crate) fn prints_json(&self) -> bool {
        self.json.as_deref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// The arguments that let another process do `work` just as these options say, with the parts and seeds given.
    pub(crate) fn child_arguments(&self, parts: &Parts, repetition: u64) -> Vec<String> {
        let Config { records, ops, key_bytes, value_bytes, compressible, threads, .. } = &self.config;
        let mut arguments = vec!["--quiet".to_owned(), "--in-process".to_owned()];
        if self.config.warm {
            arguments.push("--warm".to_owned());
        }
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            arguments.extend([format!("--{name}"), value.to_string()]);
        };
        for slot in &SLOTS {
            add(slot.option, &(slot.name)(parts));
        }
        add("records", records);
        add("ops", ops);
        add("key", key_bytes);
        add("value", value_bytes);
        add("compressible", compressible);
        add("threads", threads);
        if let Some(rate) = self.config.write_rate {
            add("write-rate", &rate);
        }
        add("batch", &self.config.batch_records);
        add("log-mb", &(self.config.log_bytes / MEGABYTE));
        add("durability", &self.config.durability.name());
        // Each repetition has other records and other draws; all engines have the same.
        add("seed", &self.config.load_seed.wrapping_add(10 * repetition));
        add("run-seed", &self.config.run_seed.wrapping_add(10 * repetition));
        add("memtable-mib", &(self.settings.memtable_bytes >> 20));
        add("cache-mib", &(self.settings.cache_bytes >> 20));
        add("filter-bits", &self.settings.filter_bits_per_key);
        add("throttle", &self.settings.throttle);
        if let Some((name, bytes_per_second)) = self.settings.limiter {
            add("limiter", &format!("{name}:{}", bytes_per_second / MEGABYTE));
        }
        if let Some(QuietHours { from, until }) = self.settings.quiet_hours {
            add("quiet-hours", &format!("{from}-{until}"));
        }
        add("nice", &self.settings.niceness);
        add("order", &self.settings.order.name());
        add("keyspaces", &self.settings.keyspaces);
        if let Some(dir) = &self.dir {
            add("dir", &dir.display());
        }
        arguments
    }
}

fn list(parser: &mut lexopt::Parser) -> Result<Vec<String>, lexopt::Error> {
    let text = parser.value()?.string()?;
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn throttle(name: &str) -> Result<&'static str, String> {
    let found = THROTTLES.iter().find(|(known, _)| *known == name);
    found.map(|(name, _)| *name).ok_or_else(|| format!("there is no throttle `{name}`"))
}

fn limiter(text: &str) -> Result<(&'static str, u64), String> {
    let (name, megabytes) = text.split_once(':').unwrap_or((text, "100"));
    let found = LIMITERS.iter().find(|(known, _)| *known == name);
    let (name, _) = found.ok_or_else(|| format!("there is no limiter `{name}`"))?;
    let bytes =
        megabytes.parse().ok().filter(|rate| *rate > 0).and_then(|rate: u64| rate.checked_mul(MEGABYTE));
    Ok((name, bytes.ok_or_else(|| format!("`{megabytes}` is no rate"))?))
}

fn order(name: &str) -> Result<BackgroundOrder, String> {
    let found = BackgroundOrder::ALL.into_iter().find(|order| order.name() == name);
    found.ok_or_else(|| {
        let names = BackgroundOrder::ALL.map(BackgroundOrder::name).join(", ");
        format!("there is no order `{name}`; there are {names}")
    })
}

fn keyspaces(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=64).contains(count));
    count.ok_or_else(|| format!("keyspaces are 1 to 64, not `{text}`"))
}

fn hours(text: &str) -> Result<QuietHours, String> {
    let hour = |text: &str| text.parse().ok().filter(|hour: &u8| *hour < 24);
    let parsed = text.split_once('-').and_then(|(from, until)| Some((hour(from)?, hour(until)?)));
    let (from, until) = parsed.ok_or_else(|| format!("`{text}` are no hours of the day, as 22-6"))?;
    Ok(QuietHours { from, until })
}

fn durability(name: &str) -> Result<Durability, lexopt::Error> {
    Durability::from_name(name)
        .ok_or_else(|| format!("durability is `none`, `page-cache` or `synced`, not `{name}`").into())
}

fn mebibytes(count: usize) -> Result<usize, lexopt::Error> {
    count.checked_mul(1 << 20).ok_or_else(|| format!("{count} MiB are too many").into())
}

const MEGABYTE: u64 = 1_000_000;

fn megabytes(count: usize) -> Result<usize, lexopt::Error> {
    count.checked_mul(MEGABYTE as usize).ok_or_else(|| format!("{count} MB are too many").into())
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = "\
Runs workloads on combinations of parts and prints one table. Without options: so many combinations of memtable, picker, log, filter
and compression that each two parts meet in one are loaded with real data (the source lines of this project's dependencies), read
back, scanned, closed, opened and read again, every answer checked.

Usage: cargo xtask bench [OPTIONS]

Which combinations (names separated by commas; `all` for all of a slot):
  --memtable, --picker, --log, --filter, --cache, --compression NAMES
                       one of these and more: their combinations, with the part that is listed first in every other slot;
                       none of these: so few combinations that each two parts meet in one
  --all                every combination; with parts that are named, every combination that has these
  --engine NAMES       `memory` is a map in memory (terrace)
  --list               print the combinations that would run, and end

What to run:
  --workload NAMES     `real-data` (default), `all`, or any of those below. Each combination runs in a process of its own; the table
                       says which are on the Pareto front over throughput, p99.9, the three amplifications and peak memory
  --repeat N           runs of each, interleaved; medians with 95 % confidence intervals are shown (1; against others 3)
  --data FILE          your own pairs in place of a workload: loaded in the file's order, read at random, scanned. A line for each, key and
                       value with a tab between; \\t, \\n, \\r, \\\\ and \\xHH stand for a tab, a line feed, a carriage return, a
                       backslash and the byte HH
  --trace FILE         a recorded trace in place of a workload (`cargo xtask replay --help` tells how it is done)
  --html FILE          a page with plots, tables and settings, which needs nothing else
  --quick              the default: real data
  --records N          records of the loaded store (1000000)
  --ops N              operations of a measured run (as many as records)
  --key BYTES          length of keys (16)
  --value BYTES        length of values (100)
  --compressible SHARE share of a value that compresses away (0.5)
  --threads N          clients (1)
  --warm               before a workload that reads, and outside of all figures, each record is read once, and if the workload scans
                       the whole store is gone through once; without it, it begins with what the cache holds after a load, or after
                       the workload before
  --write-rate N       the most records a second that the further thread of read-while-writing writes (no limit, so that a store that takes
                       writes faster is read beside more of them)
  --batch N            records of one batch in loads and fill-batch (100)
  --durability NAME    none, page-cache (default), synced
  --log-mb N           megabytes of records before the kill in open-after-kill (32). They are replayed as far as they are in no table
                       yet: with a memtable that is full before the kill (--memtable-mib; small records take twice their size
                       there and more) an engine has written some to tables, replays the rest only, and seems faster
  --seed N             seed of the load; the run's is one more (1)
  --run-seed N         seed of the run
  --data-mb N          megabytes of real data (12)

Against others (`cargo xtask bench --against` builds them: see bench-harness/peers):
  --against NAMES      rocksdb, fjall, leveldb, redb, lmdb: the same work on terrace and on each, every run in a process of its own
  --from FILE          rows that a comparison left (--json) in place of runs, drawn as a page (--html) or else as tables; may be given several
                       times: each file is a part of the page
  --no-kill-check      do not first kill each engine once to see whether it keeps what it acknowledged

Sizes given to every combination alike:
  --memtable-mib N     memtable (64; with real data 2; with a file of pairs an eighth of it, from 1 to 64)
  --cache-mib N        block cache (64)
  --filter-bits N      filter bits for each key (10)

Terrace's own:
  --throttle NAME      what writers pay while compaction is behind: ramp (default), plain, priced
  --limiter NAME[:MB]  how fast compaction may go, in megabytes a second (100): rising, steady, adaptive, courteous (default: no limit)
  --quiet-hours FROM-UNTIL  hours of the day, UTC, in which the limiter is lifted, as 22-6
  --nice N             nice value of the threads for compaction, 0 (default) to 19: how much they yield the processor
  --order NAME         of flushes and merges when there are more than threads: urgent-first (default), flushes-first, plain
  --keyspaces N        over which records are spread evenly, each with a memtable and a tree of its own (1)

Output:
  --json FILE          append each row to FILE as a line of JSON; `-`: print them and no table
  --dir DIR            where databases are made (the system's folder for temporary files)
  --width N            width of the table (120)
  --quiet              no progress on standard error
  --in-process         all workloads in this process, one combination after the other, once

Workloads:
"
    .to_owned();
    for workload in Workload::ALL {
        let _ = writeln!(text, "  {:<20} {}", workload.name(), workload.what());
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn parse(arguments: &[&str]) -> Result<Options, String> {
        let parser = lexopt::Parser::from_args(arguments);
        Options::parse(parser)
            .map(|options| options.expect("no help was asked for"))
            .map_err(|error| error.to_string())
    }

    pub(crate) fn parts(memtable: &'static str, picker: &'static str, compression: &'static str) -> Parts {
        Parts {
            engine: "e",
            version: "0",
            memtable,
            picker,
            log: "-",
            filter: "-",
            cache: "-",
            compression,
            table: "-",
            log_keeps: false,
        }
    }

    #[test]
    fn operations_follow_records_unless_given() {
        assert_eq!(parse(&["--records", "7"]).expect("valid").config.ops, 7);
        assert_eq!(parse(&["--ops", "3", "--records", "7"]).expect("valid").config.ops, 3);
    }

    #[test]
    fn a_comparison_has_workloads_of_its_own_and_a_large_memtable() {
        let options = parse(&["--against", "rocksdb,lmdb", "--repeat", "5"]).expect("valid");
        let Work::Versus(versus) = &options.work else { panic!("{:?}", options.work) };
        assert_eq!((versus.against.len(), options.repetitions()), (2, 5));
        assert_eq!(*versus, Versus { against: versus.against.clone(), ..Versus::default() });
        assert_eq!(options.settings.memtable_bytes, 64 << 20);
        let options = parse(&["--workload", "seek", "--against", "lmdb"]).expect("valid");
        assert!(
            matches!(options.work, Work::Versus(Versus { workloads, .. }) if workloads == [Workload::Seek])
        );
        assert!(parse(&["--workload", "real-data", "--against", "lmdb"]).is_err());
    }

    #[test]
    fn a_child_is_told_everything_that_its_parent_was() {
        let given = [
            "--records",
            "7",
            "--ops",
            "3",
            "--key",
            "20",
            "--value",
            "400",
            "--compressible",
            "0.25",
            "--threads",
            "2",
            "--batch",
            "5",
            "--log-mb",
            "3",
            "--throttle",
            "priced",
            "--limiter",
            "steady:5",
            "--quiet-hours",
            "22-6",
            "--nice",
            "3",
            "--order",
            "plain",
            "--keyspaces",
            "3",
            "--durability",
            "synced",
            "--seed",
            "4",
            "--run-seed",
            "9",
            "--memtable-mib",
            "8",
            "--cache-mib",
            "3",
            "--filter-bits",
            "12",
            "--dir",
            "d",
            "--quiet",
            "--warm",
        ];
        let options = parse(&[&given[..], &["--against", "x"]].concat()).expect("valid");
        let parts = parts("b", "q", "x");
        let arguments = options.child_arguments(&parts, 0);
        let child = parse(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect("valid");
        assert_eq!(child.config, options.config);
        assert_eq!((child.settings, child.dir, child.quiet), (options.settings, options.dir, options.quiet));
        assert_eq!(child.selection.choose(&[self::parts("a", "p", "x"), parts]), Ok(vec![1]));
    }

    #[test]
    fn repetitions_have_seeds_of_their_own() {
        let options = parse(&["--against", "x"]).expect("valid");
        let seeds = |repetition| {
            let arguments = options.child_arguments(&parts("b", "q", "x"), repetition);
            let child = parse(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect("valid");
            (child.config.load_seed, child.config.run_seed)
        };
        assert_eq!([seeds(0), seeds(1), seeds(2)], [(1, 2), (11, 12), (21, 22)]);
    }

    #[test]
    fn unknown_names_are_refused_with_what_there_is() {
        assert!(parse(&["--workload", "ycsb-z"]).expect_err("no such workload").contains("ycsb-a"));
        assert!(parse(&["--durability", "x"]).expect_err("no such durability").contains("page-cache"));
        assert!(parse(&["--nonsense"]).is_err());
        assert!(parse(&["--quiet-hours", "22-24"]).expect_err("no such hour").contains("22-24"));
        assert!(parse(&["--quiet-hours", "22-6"]).expect_err("nothing to lift").contains("--limiter"));
        assert!(parse(&["--order", "x"]).expect_err("no such order").contains("urgent-first"));
        assert!(parse(&["--keyspaces", "0"]).expect_err("no keyspace").contains("1 to 64"));
        assert!(parse(&["--memtable-mib", "99999999999999999"]).is_err());
    }

    #[test]
    fn real_data_is_the_default_and_gets_a_small_memtable() {
        let options = parse(&[]).expect("valid");
        assert_eq!((options.work, options.settings.memtable_bytes), (Work::RealData, 2 << 20));
        let options = parse(&["--workload", "seek"]).expect("valid");
        assert_eq!(
            (options.work, options.settings.memtable_bytes),
            (Work::Workloads(vec![Workload::Seek]), 64 << 20)
        );
    }
}
