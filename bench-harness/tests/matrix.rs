//! Whole matrices by the program itself.

#![expect(clippy::disallowed_methods, reason = "looks at what a program left in a folder")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terrace-bench"));
    command.args(["--records", "2000", "--ops", "1000", "--memtable-mib", "1"]);
    command.arg("--dir").arg(dir.join("databases")).args(arguments);
    command.output().expect("the program starts")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("rows were written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_matrix_is_interleaved_and_ends_in_a_table_summaries_and_a_page() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (json, html) = (dir.path().join("rows.jsonl"), dir.path().join("page.html"));
    let paths = ["--json", json.to_str().expect("UTF-8"), "--html", html.to_str().expect("UTF-8")];
    let work = ["--picker", "leveled,fifo", "--workload", "fill-random,ycsb-a", "--repeat", "2"];
    let output = run(dir.path(), &[&paths[..], &work].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("[1/4] leveled, 1 of 2") && errors.contains("left in all] fifo, 2 of 2"),
        "{errors}"
    );
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        table.contains("## ycsb-a") && table.contains("95 % from") && table.contains("on the front"),
        "{table}"
    );

    let rows = lines(&json);
    let (summaries, runs): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["summary"] == true);
    let order: Vec<_> =
        runs.iter().map(|row| (&row["picker"], &row["repetition"], &row["workload"])).collect();
    let expected: Vec<_> = [("leveled", 0), ("fifo", 0), ("leveled", 1), ("fifo", 1)]
        .into_iter()
        .flat_map(|(picker, run)| ["fill-random", "ycsb-a"].map(|workload| (picker, run, workload)))
        .collect();
    assert!(
        order
            .iter()
            .zip(&expected)
            .all(|(row, (picker, run, workload))| { row.0 == picker && row.1 == run && row.2 == workload })
            && order.len() == expected.len(),
        "{order:?}"
    );
    assert_eq!(summaries.len(), 2 * 2);
    assert!(summaries.iter().any(|row| row["pareto_front"] == true));
    for row in summaries {
        let rate = &row["figures"]["krecords_per_second"];
        assert!(
            rate["low"].as_f64() <= rate["high"].as_f64() && rate["median"].as_f64() > Some(0.0),
            "{row}"
        );
    }
    let page = std::fs::read_to_string(html).expect("a page was written");
    assert!(page.contains("<h2 id=\"ycsb-a\">") && page.ends_with("</html>\n"));
    assert_eq!(
        std::fs::read_dir(dir.path().join("databases")).expect("the folder").count(),
        0,
        "something is left"
    );
}

#[test]
fn a_file_of_pairs_is_loaded_read_and_scanned() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (data, json) = (dir.path().join("pairs.tsv"), dir.path().join("rows.jsonl"));
    let text: String = (0..3000).map(|i| format!("user:{:05}\tname \\t {i}\n", i * 7 % 2500)).collect();
    std::fs::write(&data, text).expect("a file can be written");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let output = run(
        dir.path(),
        &["--quiet", "--picker", "tiered,windowed", "--data", &path(&data), "--json", &path(&json)],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table.contains("3000 pairs") && table.contains("## data-scan"), "{table}");
    let rows = lines(&json);
    let of = |workload: &str| {
        let found = rows.iter().find(|row| row["workload"] == workload && row["picker"] == "windowed");
        found.unwrap_or_else(|| panic!("no row of {workload}")).clone()
    };
    assert_eq!((of("data-load")["ops"].as_u64(), of("data-read")["ops"].as_u64()), (Some(3000), Some(1000)));
    assert!(of("data-load")["live_bytes"].as_u64() == of("data-scan")["live_bytes"].as_u64());
    assert_eq!(rows.len(), 2 * 3 * 2);
}

#[test]
fn a_file_that_is_no_file_of_pairs_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().join("pairs.tsv");
    std::fs::write(&data, "a\tb\nc\n").expect("a file can be written");
    let output = run(dir.path(), &["--data", data.to_str().expect("UTF-8")]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("pairs.tsv: line 2: no tab"), "{errors}");
    assert!(!dir.path().join("databases").exists());
}
