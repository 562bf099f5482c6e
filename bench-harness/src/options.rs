//! The options of the command line.

use lexopt::prelude::*;
use std::fmt::Write;
use std::path::PathBuf;
use terrace_bench::store::{Durability, Parts, Settings};
use terrace_bench::workload::{Config, Workload};

/// What to run on each chosen combination of parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// The life of a database on real data.
    RealData,
    /// These workloads, one after the other.
    Workloads(Vec<Workload>),
}

/// Which combinations of parts: for each slot the names asked for (none of them: all), or `None` where nothing was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    chosen: [Option<Vec<String>>; SLOTS.len()],
}

/// A slot of the matrix.
struct Slot {
    option: &'static str,
    name: fn(&Parts) -> &'static str,
    /// Whether all of its parts run when none is asked for; else the one that is listed first.
    all_by_default: bool,
}

const SLOTS: [Slot; 7] = [
    Slot { option: "engine", name: |p| p.engine, all_by_default: false },
    Slot { option: "memtable", name: |p| p.memtable, all_by_default: true },
    Slot { option: "picker", name: |p| p.picker, all_by_default: true },
    Slot { option: "log", name: |p| p.log, all_by_default: true },
    Slot { option: "filter", name: |p| p.filter, all_by_default: true },
    Slot { option: "cache", name: |p| p.cache, all_by_default: false },
    Slot { option: "compression", name: |p| p.compression, all_by_default: false },
];

impl Selection {
    /// The indices of the combinations that are chosen out of all that there are.
    ///
    /// # Errors
    ///
    /// A sentence naming what is there, when a name is not, or when no combination is left.
    pub(crate) fn choose(&self, all: &[Parts]) -> Result<Vec<usize>, String> {
        let mut left: Vec<usize> = (0..all.len()).collect();
        for (slot, chosen) in SLOTS.iter().zip(&self.chosen) {
            let name = |index: &usize| (slot.name)(&all[*index]);
            match chosen {
                Some(names) if names.is_empty() => {}
                Some(names) => {
                    if let Some(unknown) =
                        names.iter().find(|n| !left.iter().any(|index| name(index) == n.as_str()))
                    {
                        let mut known: Vec<_> = left.iter().map(name).collect();
                        known.sort_unstable();
                        known.dedup();
                        return Err(format!(
                            "no {} is called `{unknown}`; there are: {}",
                            slot.option,
                            known.join(", ")
                        ));
                    }
                    left.retain(|index| names.iter().any(|n| n == name(index)));
                }
                None if slot.all_by_default => {}
                None => {
                    let first = left.first().map(name);
                    left.retain(|index| Some(name(index)) == first);
                }
            }
        }
        Ok(left)
    }
}

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
}

impl Options {
    /// Reads them; `None` when help was asked for.
    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut config = Config::default();
        let (mut ops, mut memtable_mib, mut workloads) = (None, None, None);
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
        };
        while let Some(argument) = parser.next()? {
            let Long(name) = argument else {
                if argument == Short('h') {
                    return Ok(None);
                }
                return Err(argument.unexpected());
            };
            if let Some(slot) = SLOTS.iter().position(|slot| slot.option == name) {
                let names = list(&mut parser)?;
                options.selection.chosen[slot] = Some(if names == ["all"] { Vec::new() } else { names });
                continue;
            }
            match name {
                "help" => return Ok(None),
                "list" => options.list = true,
                "quiet" => options.quiet = true,
                "quick" => workloads = None,
                "workload" => workloads = Some(list(&mut parser)?),
                "records" => config.records = parser.value()?.parse()?,
                "ops" => ops = Some(parser.value()?.parse()?),
                "key" => config.key_bytes = parser.value()?.parse()?,
                "value" => config.value_bytes = parser.value()?.parse()?,
                "compressible" => config.compressible = parser.value()?.parse()?,
                "threads" => config.threads = parser.value()?.parse()?,
                "batch" => config.batch_records = parser.value()?.parse()?,
                "seed" => {
                    config.load_seed = parser.value()?.parse()?;
                    config.run_seed = config.load_seed.wrapping_add(1);
                }
                "run-seed" => config.run_seed = parser.value()?.parse()?,
                "durability" => config.durability = durability(&parser.value()?.string()?)?,
                "memtable-mib" => memtable_mib = Some(parser.value()?.parse::<usize>()?),
                "cache-mib" => options.settings.cache_bytes = mebibytes(parser.value()?.parse()?)?,
                "filter-bits" => options.settings.filter_bits_per_key = parser.value()?.parse()?,
                "data-mb" => options.data_bytes = megabytes(parser.value()?.parse()?)?,
                "json" => options.json = Some(parser.value()?.into()),
                "dir" => options.dir = Some(parser.value()?.into()),
                "width" => options.width = parser.value()?.parse()?,
                _ => return Err(argument.unexpected()),
            }
        }
        config.ops = ops.unwrap_or(config.records);
        options.config = config;
        // Real data is small: with a small memtable it still goes through flushes and merges.
        let default_mib = if workloads.is_some() { 64 } else { 2 };
        options.settings.memtable_bytes = mebibytes(memtable_mib.unwrap_or(default_mib))?;
        if let Some(names) = workloads {
            options.work = work(&names)?;
        }
        Ok(Some(options))
    }
}

fn list(parser: &mut lexopt::Parser) -> Result<Vec<String>, lexopt::Error> {
    let text = parser.value()?.string()?;
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn work(names: &[String]) -> Result<Work, lexopt::Error> {
    if names == ["real-data"] {
        return Ok(Work::RealData);
    }
    if names == ["all"] {
        return Ok(Work::Workloads(Workload::ALL.to_vec()));
    }
    let found = names.iter().map(|name| {
        let known = || Workload::ALL.iter().map(|w| w.name()).collect::<Vec<_>>().join(", ");
        Workload::from_name(name).ok_or_else(|| {
            lexopt::Error::from(format!("no workload is called `{name}`; there are: real-data, {}", known()))
        })
    });
    Ok(Work::Workloads(found.collect::<Result<_, _>>()?))
}

fn durability(name: &str) -> Result<Durability, lexopt::Error> {
    Durability::from_name(name)
        .ok_or_else(|| format!("durability is `none`, `page-cache` or `synced`, not `{name}`").into())
}

fn mebibytes(count: usize) -> Result<usize, lexopt::Error> {
    count.checked_mul(1 << 20).ok_or_else(|| format!("{count} MiB are too many").into())
}

fn megabytes(count: usize) -> Result<usize, lexopt::Error> {
    count.checked_mul(1_000_000).ok_or_else(|| format!("{count} MB are too many").into())
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = "\
Runs workloads on combinations of parts and prints one table. Without options: every combination of memtable, picker, log and
filter is loaded with real data (the source lines of this project's dependencies), read back, scanned, closed, opened and read
again, every answer checked.

Usage: cargo xtask bench [OPTIONS]

Which combinations (names separated by commas; `all` for all):
  --memtable, --picker, --log, --filter NAMES   default: all
  --cache, --compression, --engine NAMES        default: the first; `--engine memory` is a map in memory
  --list               print the combinations that would run, and end

What to run:
  --workload NAMES     `real-data` (default), `all`, or any of those below
  --quick              the default: real data
  --records N          records of the loaded store (1000000)
  --ops N              operations of a measured run (as many as records)
  --key BYTES          length of keys (16)
  --value BYTES        length of values (100)
  --compressible SHARE share of a value that compresses away (0.5)
  --threads N          clients (1)
  --batch N            records of one batch in loads and fill-batch (100)
  --durability NAME    none, page-cache (default), synced
  --seed N             seed of the load; the run's is one more (1)
  --run-seed N         seed of the run
  --data-mb N          megabytes of real data (12)

Sizes given to every combination alike:
  --memtable-mib N     memtable (64; with real data 2)
  --cache-mib N        block cache (64)
  --filter-bits N      filter bits for each key (10)

Output:
  --json FILE          append each row to FILE as a line of JSON
  --dir DIR            where databases are made (the system's folder for temporary files)
  --width N            width of the table (120)
  --quiet              no progress on standard error

Workloads:
"
    .to_owned();
    for workload in Workload::ALL {
        let _ = writeln!(text, "  {:<20} {}", workload.name(), workload.what());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let parser = lexopt::Parser::from_args(arguments);
        Options::parse(parser)
            .map(|options| options.expect("no help was asked for"))
            .map_err(|error| error.to_string())
    }

    fn parts(memtable: &'static str, picker: &'static str, compression: &'static str) -> Parts {
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
    fn a_selection_takes_all_of_some_slots_and_the_first_of_others() {
        let all = [parts("a", "p", "x"), parts("a", "p", "y"), parts("b", "p", "x"), parts("b", "q", "x")];
        let choose = |arguments: &[&str]| parse(arguments).expect("valid options").selection.choose(&all);
        assert_eq!(choose(&[]), Ok(vec![0, 2, 3]));
        assert_eq!(choose(&["--memtable", "b", "--picker", "q,p"]), Ok(vec![2, 3]));
        assert_eq!(choose(&["--compression", "x,y"]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(choose(&["--compression", "all"]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(
            choose(&["--memtable", "c"]),
            Err("no memtable is called `c`; there are: a, b".to_owned())
        );
    }

    #[test]
    fn operations_follow_records_unless_given() {
        assert_eq!(parse(&["--records", "7"]).expect("valid").config.ops, 7);
        assert_eq!(parse(&["--ops", "3", "--records", "7"]).expect("valid").config.ops, 3);
    }

    #[test]
    fn unknown_names_are_refused_with_what_there_is() {
        assert!(parse(&["--workload", "ycsb-z"]).expect_err("no such workload").contains("ycsb-a"));
        assert!(parse(&["--durability", "x"]).expect_err("no such durability").contains("page-cache"));
        assert!(parse(&["--nonsense"]).is_err());
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
