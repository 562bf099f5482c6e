//! The command behind `cargo xtask agree`: loads a real engine, simulates the same, and compares. What exactly, tells `terrace_bench::agree`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command line program")]
#![expect(clippy::disallowed_methods, reason = "a tool beside the database: it removes what it has loaded")]

use lexopt::prelude::*;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use terrace_bench::agree::{Load, agree};
use terrace_bench::report;
use terrace_compaction::stock::{self, Make};

const HELP: &str = "\
Loads a real engine, once for each policy, simulates the same, and compares write and space amplification.

Usage: cargo xtask agree [OPTIONS]

  --picker NAME        leveled, tiered, universal, fluid, windowed, fifo, several with commas, or `all` (default: all)
  --gb N               bytes of keys and values written in all, in GB of 10^9 (default: 5)
  --memtable-mib N     memory of a memtable (default: 1)
  --overwrites N       how many times each key is overwritten (default: 2)
  --free               do not let the writer wait until the policy is at ease
  --dir FOLDER         where the load goes; it is removed again (default: a folder in the system's for temporary files)

Fails when a simulation is further than a tenth from the truth.
";

const DEVIATION_MAX: f64 = 0.10;

struct Arguments {
    pickers: Vec<(&'static str, Make)>,
    load: Load,
    folder: PathBuf,
}

fn main() -> ExitCode {
    let done = parse(lexopt::Parser::from_env()).map_err(|error| error.to_string()).and_then(|arguments| {
        match arguments {
            None => {
                report::print(HELP);
                Ok(())
            }
            Some(arguments) => run(&arguments),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agree: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut pickers, mut gb, mut memtable_mib, mut overwrites) = (String::from("all"), 5.0, 1.0, 2.0);
    let mut at_rest = true;
    let mut folder = std::env::temp_dir();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("picker") => pickers = parser.value()?.string()?,
            Long("gb") => gb = parser.value()?.parse::<f64>()?,
            Long("memtable-mib") => memtable_mib = parser.value()?.parse::<f64>()?,
            Long("overwrites") => overwrites = parser.value()?.parse::<f64>()?,
            Long("free") => at_rest = false,
            Long("dir") => folder = parser.value()?.into(),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    if !(gb > 0.0 && memtable_mib > 0.0 && overwrites > 0.0) {
        return Err("sizes are positive".into());
    }
    let mut load = Load::of_bytes((gb * 1e9) as u64, (memtable_mib * f64::from(1 << 20)) as usize);
    load.keys = ((load.keys as f64) * (1.0 + load.overwrites) / (1.0 + overwrites)).max(1.0) as u64;
    (load.overwrites, load.at_rest) = (overwrites, at_rest);
    Ok(Some(Arguments { pickers: named(&pickers)?, load, folder }))
}

fn named(names: &str) -> Result<Vec<(&'static str, Make)>, String> {
    if names == "all" {
        return Ok(stock::all().to_vec());
    }
    let known = |name: &str| stock::all().iter().find(|(known, _)| *known == name).copied();
    names.split(',').map(|name| known(name).ok_or_else(|| format!("there is no picker `{name}`"))).collect()
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let Load { keys, overwrites, memtable_bytes, .. } = arguments.load;
    report::print(&format!(
        "{keys} keys, each overwritten {overwrites} times, memtables of {memtable_bytes} bytes\n\n\
         {:<10} {:>8} {:>9} {:>7}  {:>8} {:>9} {:>7} {:>8}\n",
        "picker", "write", "simulated", "ratio", "space", "simulated", "ratio", "seconds"
    ));
    let mut apart = Vec::new();
    for (name, make) in &arguments.pickers {
        let begun = Instant::now();
        let folder = arguments.folder.join(format!("terrace-agree-{}-{name}", std::process::id()));
        let agreed = agree(&arguments.load, *make, Some(&folder));
        // Whatever came of it, some gigabytes are not left behind.
        let removed = std::fs::remove_dir_all(&folder);
        let agreed = agreed.map_err(|error| format!("{name}: {error}"))?;
        removed.map_err(|error| format!("{}: {error}", folder.display()))?;
        let [write, space] = agreed.ratios();
        report::print(&format!(
            "{name:<10} {:>8.2} {:>9.2} {write:>7.3}  {:>8.3} {:>9.3} {space:>7.3} {:>8.0}\n",
            agreed.real.write_amplification,
            agreed.simulated.write_amplification,
            agreed.real.space_amplification,
            agreed.simulated.space_amplification,
            begun.elapsed().as_secs_f64()
        ));
        if agreed.deviation() > DEVIATION_MAX {
            apart.push(*name);
        }
    }
    if apart.is_empty() { Ok(()) } else { Err(format!("further than a tenth apart: {}", apart.join(", "))) }
}
