//! What a combination costs before it runs: time to build it from nothing, size of the program, crates it is made of.
//!
//! Each is measured on a program that opens a database, puts, gets and closes: a package of its own below the target folder, with the
//! workspace's lock file, built offline in release mode with symbols stripped. Its target folder is emptied before each build, so that
//! every crate is compiled; nothing of the workspace's own is touched.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const VERB: Verb = Verb {
    name: "builds",
    what: "measures build time, program size and dependencies of combinations of parts",
    help: "\
Usage: cargo xtask builds [--all] [--only TEXT]... [--json FILE] [--list]

  --all         every memtable with every policy, with LZ4 and without; otherwise the stock parts, and each other part in its slot
  --only TEXT   combinations whose name has TEXT in it (may be given several times)
  --json FILE   append each row to FILE as a line of JSON
  --list        print the combinations and build nothing
",
    run,
};

/// What is built: a name, and how the program depends on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Build {
    name: String,
    /// Features of the engine; its defaults are off.
    features: Vec<String>,
    /// Whether the program names its own parts, for there are no stock ones.
    own_parts: bool,
}

/// What was measured.
#[derive(Clone, Debug)]
struct Measured {
    build: Build,
    cold: Duration,
    /// Processor time of cargo and the compilers, which a busy machine changes less; where the system tells.
    processor: Option<Duration>,
    program_bytes: u64,
    /// Crates of this workspace, and others.
    own_crates: usize,
    foreign_crates: usize,
}

fn run(mut parser: lexopt::Parser) -> Result<(), String> {
    let (mut all, mut only, mut json, mut list) = (false, Vec::new(), None, false);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("all") => all = true,
            Long("only") => only.push(text(&mut parser)?),
            Long("json") => json = Some(PathBuf::from(text(&mut parser)?)),
            Long("list") => list = true,
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    let workspace = Workspace::load()?;
    let engine = workspace.packages.iter().find(|package| package.name == "terrace");
    let features: Vec<&str> =
        engine.ok_or("there is no package `terrace`")?.features.keys().map(String::as_str).collect();
    let mut builds = combinations(&features, all);
    builds.retain(|build| only.is_empty() || only.iter().any(|text| build.name.contains(text)));
    if list {
        builds.iter().for_each(|build| println!("{}", build.name));
        return Ok(());
    }
    let mut rows: Vec<Measured> = Vec::new();
    for (number, build) in builds.iter().enumerate() {
        let spent: Duration = rows.iter().map(|row| row.cold).sum();
        let left = spent.checked_div(number as u32).map(|mean| mean * (builds.len() - number) as u32);
        let left = left.map_or(String::new(), |left| format!(", {} s left in all", left.as_secs()));
        eprintln!("[{}/{}{left}] {}", number + 1, builds.len(), build.name);
        let row = measure(&workspace, build)?;
        if let Some(json) = &json {
            append(json, &row)?;
        }
        rows.push(row);
    }
    print!("{}", table(&rows));
    Ok(())
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
}

/// The engine's features that fill a slot.
fn parts<'a>(features: &[&'a str], slot: &str) -> Vec<&'a str> {
    features.iter().copied().filter(|feature| feature.starts_with(slot)).collect()
}

/// The stock parts, none of the stock parts, and each part in its slot; or all memtables with all policies.
fn combinations(features: &[&str], all: bool) -> Vec<Build> {
    let build = |name: &str, features: &[&str]| Build {
        name: name.to_owned(),
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        own_parts: false,
    };
    let mut builds = vec![
        build("default features", &["preset", "lz4"]),
        build("without lz4", &["preset"]),
        Build { own_parts: true, ..build("own parts: btree, leveled, no filter, no lz4", &[]) },
    ];
    let (memtables, pickers) = (parts(features, "memtable-"), parts(features, "picker-"));
    if !all {
        let one = memtables.iter().chain(&pickers);
        builds.extend(one.map(|part| build(&format!("default and {part}"), &["preset", "lz4", part])));
        return builds;
    }
    for memtable in &memtables {
        for picker in &pickers {
            for lz4 in [&["lz4"][..], &[]] {
                let chosen = [&["preset", memtable, picker], lz4].concat();
                builds.push(build(&chosen[1..].join(", "), &chosen));
            }
        }
    }
    builds
}

fn measure(workspace: &Workspace, build: &Build) -> Result<Measured, String> {
    let folder = workspace.target.join("builds");
    let package = folder.join("program");
    write_package(&workspace.root, &package, build)?;
    let target = folder.join("target");
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    }
    let mut command = process::cargo(&package);
    command.args(["build", "--release", "--offline", "--quiet", "--target-dir"]).arg(&target);
    let (begun, before) = (Instant::now(), children());
    process::output(&mut command)?;
    let cold = begun.elapsed();
    let processor = children().zip(before).map(|(after, before)| after.saturating_sub(before));
    let program = target.join("release/program").with_extension(std::env::consts::EXE_EXTENSION);
    try_out(&program, &folder.join("database"))?;
    let program_bytes =
        std::fs::metadata(&program).map_err(|error| format!("{}: {error}", program.display()))?.len();
    let tree = process::output(process::cargo(&package).args([
        "tree",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let (own_crates, foreign_crates) = crates(&tree);
    Ok(Measured { build: build.clone(), cold, processor, program_bytes, own_crates, foreign_crates })
}

/// Processor time of all processes that this one has waited for, and of those that they have (proc(5): fields 16 and 17, in ticks of 10 ms).
fn children() -> Option<Duration> {
    children_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn children_of(stat: &str) -> Option<Duration> {
    // The command, field 2, may hold spaces and parentheses, so fields count from its last one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(13);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// What is measured is a program that works.
fn try_out(program: &Path, database: &Path) -> Result<(), String> {
    if database.exists() {
        std::fs::remove_dir_all(database).map_err(|error| format!("{}: {error}", database.display()))?;
    }
    process::output(std::process::Command::new(program).arg(database)).map(drop)
}

/// Crates in the output of `cargo tree`, but for the program: those of this workspace, which have a path, and others.
fn crates(tree: &str) -> (usize, usize) {
    let names: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let rest = names.into_iter().filter(|line| !line.is_empty() && !line.starts_with("program "));
    let (own, foreign): (Vec<_>, Vec<_>) =
        rest.partition(|line| line.contains(" (/") || line.contains(":\\"));
    (own.len(), foreign.len())
}

fn write_package(root: &Path, package: &Path, build: &Build) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", package.display());
    std::fs::create_dir_all(package.join("src")).map_err(failed)?;
    std::fs::write(package.join("Cargo.toml"), manifest(root, build)).map_err(failed)?;
    std::fs::write(package.join("src/main.rs"), program(build)).map_err(failed)?;
    // The same versions as here; cargo leaves out what is not needed.
    std::fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).map(drop).map_err(failed)
}

fn manifest(root: &Path, build: &Build) -> String {
    let line = |name: &str, folder: &str, features: &[String]| {
        // A literal string, in which nothing is escaped.
        let path = root.join(folder);
        format!(
            "{name} = {{ path = '{}', default-features = false, features = {features:?} }}\n",
            path.display()
        )
    };
    let mut text = String::from(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [profile.release]\nstrip = true\n\n[dependencies]\n",
    );
    text += &line("terrace", "engine", &build.features);
    if build.own_parts {
        for (name, folder, features) in [
            ("terrace-compaction", "compaction", &["leveled"][..]),
            ("terrace-memtable", "memtable", &["btree"]),
            ("terrace-sstable", "sstable", &["block", "slots"]),
            ("terrace-wal", "wal", &["buffered"]),
        ] {
            text += &line(
                name,
                folder,
                &features.iter().map(|feature| (*feature).to_owned()).collect::<Vec<_>>(),
            );
        }
    }
    text
}

fn program(build: &Build) -> String {
    const STOCK: &str = "type Db = terrace::Db;\n";
    const OWN: &str = "\
enum Own {}

impl terrace::Parts for Own {
    type MemTable = terrace_memtable::BTreeMemTable;
    type Log = terrace_wal::BufferedLog;
    type Cache = terrace_sstable::SlotCache;
    type Table = terrace_sstable::BlockTable;
    type Picker = terrace_compaction::LeveledPicker;

    fn picker(_: &terrace::Options) -> Self::Picker {
        Self::Picker::default()
    }
}

type Db = terrace::Engine<Own>;
";
    const MAIN: &str = "
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or(\"name a folder\")?;
    let db = Db::open(folder)?;
    db.put(\"k\", \"v\")?;
    assert_eq!(db.get(\"k\")?.as_deref(), Some(&b\"v\"[..]));
    db.close()?;
    Ok(())
}
";
    format!("{}{MAIN}", if build.own_parts { OWN } else { STOCK })
}

fn append(path: &Path, row: &Measured) -> Result<(), String> {
    use std::io::Write;
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let written = opened.and_then(|mut file| writeln!(file, "{}", json_row(row)));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn json_row(row: &Measured) -> serde_json::Value {
    json!({
        "combination": row.build.name,
        "features": row.build.features,
        "own_parts": row.build.own_parts,
        "cold_build_seconds": row.cold.as_secs_f64(),
        "processor_seconds": row.processor.map(|time| time.as_secs_f64()),
        "program_bytes": row.program_bytes,
        "own_crates": row.own_crates,
        "foreign_crates": row.foreign_crates,
    })
}

fn table(rows: &[Measured]) -> String {
    let width = rows.iter().map(|row| row.build.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:<width$}  cold build s  processor s  program KiB  crates of terrace  other crates\n",
        "combination"
    );
    for row in rows {
        text += &format!(
            "{:<width$}  {:>12.1}  {:>11}  {:>11.0}  {:>17}  {:>12}\n",
            row.build.name,
            row.cold.as_secs_f64(),
            row.processor.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64())),
            row.program_bytes as f64 / 1024.0,
            row.own_crates,
            row.foreign_crates
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: [&str; 7] =
        ["default", "lz4", "memtable-btree", "memtable-hash", "picker-leveled", "picker-tiered", "preset"];

    #[test]
    fn each_part_is_built_in_its_slot_or_with_all_others() {
        let names = |all| -> Vec<String> {
            combinations(&FEATURES, all).into_iter().map(|build| build.name).collect()
        };
        let short = names(false);
        assert_eq!(short.len(), 3 + 4);
        assert!(short.contains(&"default and picker-tiered".to_owned()), "{short:?}");
        let long = names(true);
        assert_eq!(long.len(), 3 + 2 * 2 * 2);
        assert!(long.contains(&"memtable-hash, picker-leveled, lz4".to_owned()), "{long:?}");
        assert_eq!(long.iter().collect::<BTreeSet<_>>().len(), long.len());
    }

    #[test]
    fn only_the_combination_without_stock_parts_names_its_own() {
        for build in combinations(&FEATURES, false) {
            let preset = build.features.iter().any(|feature| feature == "preset");
            assert_eq!(build.own_parts, !preset, "{}", build.name);
            let manifest = manifest(Path::new("/somewhere"), &build);
            assert_eq!(manifest.contains("terrace-memtable"), build.own_parts, "{manifest}");
            assert_eq!(program(&build).contains("impl terrace::Parts"), build.own_parts);
        }
    }

    #[test]
    fn crates_are_counted_once_and_without_the_program() {
        let tree = "program v0.0.0 (/t/program)\nterrace v0.1.0 (/w/engine)\nbytes v1.10.0\nterrace-wal v0.1.0 (/w/wal)\n\
                    bytes v1.10.0\nterrace-wal v0.1.0 (/w/wal) (*)\nthiserror-impl v2.0.0 (proc-macro)\n";
        assert_eq!(crates(tree), (2, 2));
    }

    #[test]
    fn a_row_tells_people_and_programs_the_same() {
        let build = combinations(&FEATURES, false).remove(0);
        let row = Measured {
            build,
            cold: Duration::from_millis(12_340),
            processor: children_of("42 (a (b) c) S 1 42 42 0 -1 4194304 1 2 3 4 55 66 700 80 20 0 1 0"),
            program_bytes: 2048,
            own_crates: 8,
            foreign_crates: 20,
        };
        let json = json_row(&row);
        assert_eq!((&json["program_bytes"], &json["own_crates"]), (&json!(2048), &json!(8)));
        let table = table(&[row]);
        let cells: Vec<&str> = table.lines().last().expect("a row").split_whitespace().collect();
        assert_eq!(cells, ["default", "features", "12.3", "7.8", "2", "8", "20"]);
    }
}
