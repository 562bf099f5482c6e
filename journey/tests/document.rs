//! What `docs/JOURNEY.md` names is there, and what is there is named.

use std::collections::BTreeSet;
use std::path::Path;
use terrace_compaction::CompactionPicker;
use terrace_journey::{Disk, KEYS_DEFAULT, Outcome, Row, Tree, TreeOptions, Workload, leveled, tiered};
use terrace_vfs::{RealVfs, Vfs};

const DOCUMENT: &str = include_str!("../../docs/JOURNEY.md");

/// The steps, by the names of their files.
fn steps() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names =
        RealVfs::new().list(&folder).expect("the folder of examples").into_iter().map(|entry| entry.name);
    names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect()
}

#[test]
fn each_step_has_its_command_and_the_commands_are_in_order() {
    let commands =
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("$ cargo run --release -p terrace-journey "));
    let shown: Vec<&str> = commands.filter_map(|command| command.split("--example ").nth(1)).collect();
    assert_eq!(shown, steps());
}

#[test]
fn every_file_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    let files: BTreeSet<&str> = quoted
        .filter(|words| words.contains('/') && !words.contains(|c: char| c.is_whitespace() || c == '='))
        .collect();
    assert!(files.len() > 10, "the document names the real thing for each step: {files:?}");
    for file in files {
        assert!(root.join(file).exists(), "{file} is named, but not there");
    }
}

/// The counts of a row, of which the document says that they are the same everywhere: written, disk, files a get, KiB a get, files a miss. A change
/// of a picker may move them a little; by more than a tenth, and the program's rows belong into the document anew.
fn check_row(label: &str, picker: impl CompactionPicker) -> Outcome {
    let disk = Disk::new()?;
    let mut tree = Tree::create(&disk, TreeOptions::default())?.with_picker(picker);
    let row = Row::measure(label, &disk, Workload::of(KEYS_DEFAULT), 1_000, &mut tree)?;
    let line =
        DOCUMENT.lines().find_map(|line| line.strip_prefix(label)).expect("the document shows this row");
    let shown: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let counted = [(1, row.written), (2, row.space), (4, row.files), (5, row.kib), (6, row.files_absent)];
    for (column, now) in counted {
        let apart = (shown[column] - now).abs() / now;
        assert!(
            apart < 0.1,
            "{label}: column {column} is {now:.2} now, and {} in docs/JOURNEY.md",
            shown[column]
        );
    }
    Ok(())
}

#[test]
fn the_counts_shown_are_those_of_today() -> Outcome {
    check_row("TieredPicker, 4 at once", tiered(4))?;
    check_row("LeveledPicker, ratio 4", leveled(4))
}
