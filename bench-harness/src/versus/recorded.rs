//! Comparisons drawn from rows that earlier runs left as lines of JSON: one page of several files, each a part of its own.
//!
//! A file is one comparison, so all its rows have one setting; rows of one engine and workload are repetitions.

use super::page::{self, Part};
use super::table;
use crate::cli::options::Options;
use crate::report;
use crate::runs::results::Results;
use crate::runs::{self, Contender, Stage};
use crate::store::{Durability, Parts};
use crate::workload::{Need, Workload};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is the same in all rows of a comparison.
const SETTINGS: [&str; 10] = [
    "threads",
    "key_bytes",
    "value_bytes",
    "compressible",
    "memtable_bytes",
    "cache_bytes",
    "filter_bits_per_key",
    "processor",
    "cores",
    "os",
];

/// Draws the page that is asked for; prints the tables where none is.
///
/// # Errors
///
/// A sentence: a file that is none, or whose rows do not belong together.
pub(crate) fn execute(options: &Options, files: &[PathBuf]) -> Result<(), String> {
    let mut comparisons = Vec::new();
    for path in files {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let rows = rows(&text).map_err(named)?;
        let heading = heading(&rows).map_err(named)?;
        comparisons.push((title(path), heading, results(rows)));
    }
    let Some(html) = &options.html else {
        for (title, heading, results) in &comparisons {
            let table = table::render(results, options.width);
            report::print(&format!("# {title}\n\n{heading}\n\n{table}\n"));
        }
        return Ok(());
    };
    let parts: Vec<Part<'_>> =
        comparisons.iter().map(|(title, heading, results)| Part { title, heading, results }).collect();
    runs::write(html, &page::render(&parts))
}

fn title(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().replace(['-', '_'], " "))
}

/// The rows of single runs. Summaries of a matrix are left out.
fn rows(text: &str) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row: Value =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if row["summary"] != true {
            rows.push(row);
        }
    }
    match rows.is_empty() {
        true => Err("there are no rows".to_owned()),
        false => Ok(rows),
    }
}

fn results(rows: Vec<Value>) -> Results {
    let (mut contenders, mut stages): (Vec<Contender>, Vec<Stage>) = Default::default();
    let mut owners = Vec::new();
    for row in &rows {
        let parts = parts(row);
        let name = row["contender"].as_str().unwrap_or(parts.engine);
        let known = contenders.iter().position(|contender| contender.name == name);
        owners.push(known.unwrap_or(contenders.len()));
        if known.is_none() {
            contenders.push(Contender { name: name.to_owned(), parts });
        }
        let stage = text(row, "workload");
        if stages.iter().all(|known| known.name != stage) {
            stages.push(stage_named(stage));
        }
    }
    let mut results = Results::new(contenders, stages);
    for (owner, row) in owners.into_iter().zip(rows) {
        results.add(owner, vec![row]);
    }
    results
}

fn stage_named(name: &'static str) -> Stage {
    match Workload::from_name(name) {
        Some(workload) => workload.into(),
        None => Stage { name, what: "", writes: true, needs: Need::Nothing },
    }
}

fn parts(row: &Value) -> Parts {
    Parts {
        engine: text(row, "engine"),
        version: text(row, "version"),
        memtable: text(row, "memtable"),
        picker: text(row, "picker"),
        log: text(row, "log"),
        filter: text(row, "filter"),
        cache: text(row, "cache"),
        compression: text(row, "compression"),
        table: text(row, "table"),
        log_keeps: row["durability"] != Durability::None.name(),
    }
}

/// A word of a row. The names of stores that are compiled in live as long as the process; so do these few.
fn text(row: &Value, name: &str) -> &'static str {
    row[name].as_str().map_or("-", |text| text.to_owned().leak())
}

/// What all rows have in common, in lines.
fn heading(rows: &[Value]) -> Result<String, String> {
    let first = &rows[0];
    for row in rows {
        if let Some(name) = SETTINGS.iter().find(|name| row[**name] != first[**name]) {
            let (one, other) = (&first[*name], &row[*name]);
            return Err(format!(
                "{name} is {one} in one row and {other} in another: a file is one comparison"
            ));
        }
    }
    let word = |name: &str| first[name].as_str().map_or_else(|| first[name].to_string(), str::to_owned);
    let most = |name: &str| rows.iter().filter_map(|row| row[name].as_u64()).max();
    let mebibytes = |name: &str| first[name].as_u64().unwrap_or_default() >> 20;
    let durability =
        rows.iter().filter_map(|row| Durability::from_name(row["durability"].as_str()?)).next_back();
    let warm = rows.iter().any(|row| row["warm"] == true);
    Ok(format!(
        "{}, {} cores, {}\n{}\n{} records, keys of {} bytes, values of {} bytes ({} of it compressible), {} threads\n\
         memtable {} MiB, cache {} MiB{}, filters of {} bits a key\n\
         {} runs of each in processes of their own; medians; every value read was checked",
        word("processor"),
        word("cores"),
        word("os"),
        durability.map_or("", report::durability_note),
        most("records").unwrap_or_default(),
        word("key_bytes"),
        word("value_bytes"),
        word("compressible"),
        word("threads"),
        mebibytes("memtable_bytes"),
        mebibytes("cache_bytes"),
        if warm { " (warm: all was read once before a workload that reads)" } else { "" },
        word("filter_bits_per_key"),
        most("repetition").unwrap_or_default() + 1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(engine: &str, workload: &str, rate: f64) -> Value {
        json!({"engine": engine, "contender": engine, "version": "1", "table": "block", "workload": workload, "repetition": 1,
            "durability": "page-cache", "threads": 2, "records": 1000, "processor": "p", "krecords_per_second": rate})
    }

    fn lines(rows: &[Value]) -> String {
        rows.iter().map(|row| format!("{row}\n")).collect()
    }

    #[test]
    fn rows_become_the_results_that_they_came_from() {
        let all = [
            row("terrace", "read-random", 300.0),
            row("rocksdb", "read-random", 100.0),
            row("terrace", "read-random", 200.0),
            row("terrace", "of-old", 7.0),
            json!({"summary": true, "workload": "read-random"}),
        ];
        let rows = rows(&lines(&all)).expect("rows");
        assert!(heading(&rows).expect("one comparison").contains("1000 records") && rows.len() == 4);
        let results = results(rows);
        let names: Vec<_> = results.contenders.iter().map(|contender| contender.name.as_str()).collect();
        let stages: Vec<_> = results.stages.iter().map(|stage| stage.name).collect();
        assert_eq!((names, stages), (vec!["terrace", "rocksdb"], vec!["read-random", "of-old"]));
        let read = &results.stages[0];
        assert_eq!(results.rate(0, read).map(|rate| rate.median), Some(250.0));
        assert_eq!(results.fastest_lsm(read), Some(1));
        assert_eq!(results.ratio(0, 1, read), Some(2.5));
    }

    #[test]
    fn what_is_no_comparison_is_refused_with_the_reason() {
        let mut other = row("terrace", "read-random", 1.0);
        other["threads"] = 4.into();
        let mixed = [row("terrace", "read-random", 1.0), other];
        let error = heading(&rows(&lines(&mixed)).expect("rows")).expect_err("two settings");
        assert!(error.contains("threads is 2 in one row and 4"), "{error}");
        assert!(rows("").is_err() && rows("{").expect_err("torn").contains("line 1"));
    }
}
