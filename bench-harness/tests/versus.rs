//! Whole comparisons by the program itself, with the stores that it has without any peer.

#![expect(clippy::disallowed_methods, reason = "looks at what a program left in a folder")]

use std::path::Path;
use std::process::{Command, Output};

fn compare(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terrace-bench"));
    command.args(["--quiet", "--records", "2000", "--ops", "1000", "--memtable-mib", "1", "--repeat", "2"]);
    command.arg("--dir").arg(dir).args(arguments);
    command.output().expect("the program starts")
}

#[test]
fn terrace_keeps_what_it_acknowledged_when_killed_with_either_log() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = compare(
        dir.path(),
        &[
            "--against",
            "terrace",
            "--log",
            "buffered,mapped",
            "--workload",
            "read-random,ycsb-a",
            "--value",
            "20",
        ],
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    for name in ["terrace buffered", "terrace mapped"] {
        assert!(errors.contains(&format!("{name}: killed after")), "{errors}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("the folder is there").count(), 0, "something is left");
}

#[test]
fn a_store_that_loses_writes_in_a_kill_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = compare(dir.path(), &["--against", "memory", "--workload", "read-random"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("memory: lost"), "{errors}");
}

#[test]
fn several_synced_writers_are_set_beside_threads_that_only_share_syncs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let json = dir.path().join("rows.jsonl");
    for threads in ["1", "3"] {
        let work =
            ["--against", "memory", "--no-kill-check", "--workload", "fill-sync", "--threads", threads];
        let output = compare(
            &dir.path().join("databases"),
            &[&["--json", json.to_str().expect("UTF-8")], &work[..]].concat(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let rows = std::fs::read_to_string(json).expect("rows were written");
    for row in rows.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")) {
        let share = row["of_bare_rounds"].as_f64();
        assert_eq!(share.is_some_and(|share| share > 0.0), row["threads"] == 3, "{row}");
    }
}

#[test]
fn a_comparison_is_a_table_lines_of_json_and_a_page() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (json, html) = (dir.path().join("rows.jsonl"), dir.path().join("page.html"));
    let databases = dir.path().join("databases");
    let paths = ["--json", json.to_str().expect("UTF-8"), "--html", html.to_str().expect("UTF-8")];
    let work =
        ["--against", "memory", "--no-kill-check", "--workload", "fill-random,fill-sync,mixgraph,ycsb-e"];
    let output = compare(&databases, &[&paths[..], &work[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table.contains("## ycsb-e") && table.contains("## terrace against the others"), "{table}");
    let rows = std::fs::read_to_string(json).expect("rows were written");
    let rows: Vec<serde_json::Value> =
        rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 2 * 2 * 4);
    let of = |engine: &str, workload: &str| {
        let found = rows.iter().find(|row| row["engine"] == engine && row["workload"] == workload);
        found.unwrap_or_else(|| panic!("no row of {engine} and {workload}"))
    };
    assert_eq!(of("terrace", "fill-random")["records_checked"], 2000);
    assert!(of("terrace", "fill-sync")["of_raw_sync"].as_f64().is_some_and(|share| share > 0.0));
    assert!(
        of("terrace", "mixgraph")["live_bytes"].as_u64()
            < of("terrace", "fill-random")["live_bytes"].as_u64()
    );
    // A repetition has seeds of its own, and both engines have the same.
    let seeds: Vec<_> =
        rows.iter().map(|row| (row["repetition"].as_u64(), row["load_seed"].as_u64())).collect();
    assert!(seeds.iter().all(|(repetition, seed)| *seed == repetition.map(|n| 1 + 10 * n)), "{seeds:?}");
    let page = std::fs::read_to_string(html).expect("a page was written");
    assert!(page.contains("</html>"));
    drawn_again(dir.path(), &page, &table);
}

/// The rows that were left make the same plots and tables, without a run; twice over they are two parts.
fn drawn_again(dir: &Path, page: &str, table: &str) {
    let (json, html) = (dir.join("rows.jsonl"), dir.join("again.html"));
    let from = |files: usize, more: &[&std::ffi::OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrace-bench"));
        for _ in 0..files {
            command.arg("--from").arg(&json);
        }
        let output = command.args(more).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(from(2, &["--html".as_ref(), html.as_os_str()]), "");
    let again = std::fs::read_to_string(html).expect("a page was written");
    let plots = |page: &str| page.matches("<svg").count();
    assert_eq!(plots(&again), 2 * plots(page));
    let figures = |table: &str| table.split_once("## ").map(|(_, figures)| figures.trim().to_owned());
    assert_eq!(figures(&from(1, &[])), figures(table));
}
