//! Each part alone: nanoseconds for an operation of every implementation, by the number of entries.
//!
//! Runs the parts' own criterion benches once for each size and collects the medians. The sizes reach the benches through the environment
//! (`TERRACE_BENCH_ENTRIES`), the results come back through the files that criterion writes.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(crate) const VERB: Verb = Verb {
    name: "parts",
    what: "measures every implementation of each part alone, in nanoseconds for an operation",
    help: "\
Usage: cargo xtask parts [--entries N,N,...] [--only NAME]... [--filter TEXT]

  --entries N,...  entries in a memtable, filter, table or merge (10000,1000000,10000000; the last needs some 4 GB and half an hour)
  --only NAME      entry, memtable, bloom or sstable (may be given several times; default: all)
  --filter TEXT    operations with TEXT in their name
",
    run,
};

/// Crates, each with its bench that goes by the number of entries.
const PARTS: [(&str, &str); 4] =
    [("entry", "merge"), ("memtable", "memtable"), ("bloom", "filters"), ("sstable", "table")];
const SIZES: &str = "10000,1000000,10000000";

/// Nanoseconds of an operation by its name and by the number of entries.
type Medians = BTreeMap<String, BTreeMap<u64, f64>>;

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let (mut sizes, mut only, mut filter) = (SIZES.to_owned(), Vec::new(), None);
    let text = |parser: &mut lexopt::Parser| -> Result<String, String> {
        parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
    };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("entries") => sizes = text(&mut parser)?,
            Long("only") => only.push(text(&mut parser)?),
            Long("filter") => filter = Some(text(&mut parser)?),
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    let sizes = sizes_of(&sizes)?;
    if let Some(unknown) = only.iter().find(|name| PARTS.iter().all(|(part, _)| name != part)) {
        return Err(format!(
            "no part is called `{unknown}`; there are {}",
            PARTS.map(|(part, _)| part).join(", ")
        ));
    }
    let workspace = Workspace::load()?;
    let mut medians = Medians::new();
    for &size in &sizes {
        let wanted = |part: &str| only.is_empty() || only.iter().any(|name| name == part);
        for (part, bench_name) in PARTS.into_iter().filter(|(part, _)| wanted(part)) {
            let home = workspace.root.join("target/parts").join(format!("{part}-{size}"));
            // What an earlier run left there may be of benches that are no more.
            if home.exists() {
                fs::remove_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
            }
            let package = format!("terrace-{part}");
            let mut bench = process::cargo(&workspace.root);
            bench.args(["bench", "--quiet", "--all-features", "-p", &package, "--bench", bench_name]);
            bench.args(["--", "--quick", "--quiet"]);
            bench.args(&filter);
            bench.env("TERRACE_BENCH_ENTRIES", size.to_string()).env("CRITERION_HOME", &home);
            process::run(&mut bench)?;
            collect(&home, part, size, &mut medians)?;
        }
    }
    print!("{}", table(&medians, &sizes));
    Ok(())
}

fn sizes_of(text: &str) -> Result<Vec<u64>, String> {
    let size = |one: &str| match one.trim().parse() {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(format!("`{one}` is no number of entries")),
    };
    text.split(',').map(size).collect()
}

/// Reads what criterion left below `folder`.
fn collect(folder: &Path, part: &str, size: u64, medians: &mut Medians) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.is_dir() && path.ends_with("new") {
            let (name, nanos) = median(&path)?;
            let name = format!("{part}: {}", without_size(&name, size));
            medians.entry(name).or_default().insert(size, nanos);
        } else if path.is_dir() {
            collect(&path, part, size, medians)?;
        }
    }
    Ok(())
}

/// The name of a bench, and the median nanoseconds of one of its operations.
fn median(folder: &Path) -> Result<(String, f64), String> {
    let read = |name: &str| -> Result<Value, String> {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (bench, estimates) = (read("benchmark.json")?, read("estimates.json")?);
    let name = bench["full_id"].as_str().ok_or("criterion names no bench")?;
    let nanos = estimates["median"]["point_estimate"].as_f64().ok_or("criterion gives no median")?;
    let elements = bench["throughput"]["Elements"].as_f64().unwrap_or(1.0);
    Ok((name.to_owned(), nanos / elements.max(1.0)))
}

/// A name without the part of it that tells the size.
fn without_size(name: &str, size: u64) -> String {
    let size = size.to_string();
    name.split('/').filter(|part| *part != size).collect::<Vec<_>>().join("/")
}

fn table(medians: &Medians, sizes: &[u64]) -> String {
    let width = medians.keys().map(|name| name.len()).max().unwrap_or(0).max("ns an operation".len());
    let mut text = format!("{:width$}", "ns an operation");
    sizes.iter().for_each(|size| text += &format!("  {size:>10}"));
    for (name, row) in medians {
        text += &format!("\n{name:width$}");
        for size in sizes {
            let cell = row.get(size).map_or("-".to_owned(), |nanos| format!("{nanos:.1}"));
            text += &format!("  {cell:>10}");
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_above_zero() {
        assert_eq!(sizes_of("10, 2000"), Ok(vec![10, 2000]));
        assert_eq!(sizes_of("10,0"), Err("`0` is no number of entries".to_owned()));
        assert!(sizes_of("").is_err());
    }

    #[test]
    fn what_criterion_left_becomes_a_row_for_each_bench_and_a_column_for_each_size() {
        let home = std::env::temp_dir().join(format!("terrace-parts-{}", std::process::id()));
        for (size, nanos) in [(100, 5000.0), (2000, 90000.0)] {
            let folder = home.join(format!("{size}/hash_random/put/new"));
            fs::create_dir_all(&folder).unwrap();
            let bench =
                format!(r#"{{"full_id": "hash/random/{size}/put", "throughput": {{"Elements": {size}}}}}"#);
            fs::write(folder.join("benchmark.json"), bench).unwrap();
            let estimates = format!(r#"{{"median": {{"point_estimate": {nanos:.1}}}}}"#);
            fs::write(folder.join("estimates.json"), estimates).unwrap();
        }
        let mut medians = Medians::new();
        for size in [100, 2000] {
            collect(&home.join(size.to_string()), "memtable", size, &mut medians).unwrap();
        }
        fs::remove_dir_all(&home).unwrap();
        let wanted = "ns an operation                   100        2000\n\
                      memtable: hash/random/put        50.0        45.0\n";
        assert_eq!(table(&medians, &[100, 2000]), wanted);
    }
}
