//! The workload `open-after-kill` by the program itself: it takes processes that can be killed.

#![expect(clippy::disallowed_methods, reason = "looks at what a program left in a folder")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

const OPENS: u64 = 5;

/// Records that make up a megabyte, with keys of 16 bytes and values of 84.
const RECORDS: u64 = 10_000;

fn bench(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terrace-bench"));
    command.args(["--quiet", "--workload", "open-after-kill", "--log-mb", "1", "--value", "84"]);
    command.arg("--dir").arg(dir).args(arguments);
    command.output().expect("the program starts")
}

fn rows(json: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(json).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_log_that_keeps_writes_is_opened_five_times_and_nothing_is_left() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = bench(
        dir.path(),
        &[
            "--memtable",
            "skiplist,hash",
            "--picker",
            "leveled",
            "--log",
            "all",
            "--filter",
            "blocked",
            "--json",
            "-",
        ],
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    // Behind the rows come lines that sum them up.
    let rows: Vec<_> = rows(&output.stdout).into_iter().filter(|row| row["summary"].is_null()).collect();
    let parts: BTreeSet<_> = rows.iter().map(|row| (row["memtable"].as_str(), row["log"].as_str())).collect();
    let logs = ["buffered", "mapped"].map(Some);
    let all: BTreeSet<_> =
        ["skiplist", "hash"].iter().flat_map(|m| logs.map(|log| (Some(*m), log))).collect();
    assert_eq!((parts, rows.len()), (all, 4));
    for row in &rows {
        let figure = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
        assert_eq!((row["ops"].as_u64(), row["records"].as_u64()), (Some(OPENS), Some(RECORDS)));
        assert_eq!(row["durability"], "page-cache");
        // A record counts in each opening, and the time is that of the openings alone.
        let rate = (OPENS * RECORDS) as f64 / figure("elapsed_seconds") / 1e3;
        assert!((figure("krecords_per_second") / rate - 1.0).abs() < 1e-6, "{row}");
        let mean = figure("elapsed_seconds") / OPENS as f64 * 1e6;
        assert!((figure("mean_us") / mean - 1.0).abs() < 0.01, "{row}");
    }
    assert!(errors.contains("its log keeps nothing"), "{errors}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("the folder is there").count(), 0, "something is left");
}

#[test]
fn it_is_a_part_of_comparisons() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let page = dir.path().join("page.html");
    let arguments = ["--against", "terrace", "--log", "buffered,mapped", "--repeat", "1", "--html"];
    let databases = dir.path().join("databases");
    let output = bench(&databases, &[&arguments[..], &[page.to_str().expect("UTF-8")]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).expect("a line of that name");
    let rate = |name: &str| line(name).split_whitespace().nth(2).and_then(|rate| rate.parse::<f64>().ok());
    assert!(table.contains("## open-after-kill"), "{table}");
    assert!(
        [rate("terrace buffered"), rate("terrace mapped")].iter().all(|rate| *rate > Some(0.0)),
        "{table}"
    );
    assert!(std::fs::read_to_string(page).expect("a page was written").contains(">open-after-kill</h2>"));
}

#[test]
fn a_comparison_with_a_store_that_keeps_nothing_says_so() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = bench(dir.path(), &["--against", "memory", "--no-kill-check", "--repeat", "1"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("memory std-btreemap"), "{errors}");
    assert!(errors.contains("its log keeps nothing"), "{errors}");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let rate = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).expect("a line of that name");
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    assert_eq!(rate("memory ").as_deref(), Some("-"), "{table}");
    assert!(rate("terrace ").is_some_and(|rate| rate.parse::<f64>().is_ok()), "{table}");
}
