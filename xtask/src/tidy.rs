//! Holds what no compiler holds: the layers, where `unsafe` may stand, and what each crate must bring along.

use crate::Verb;
use crate::source::{code_only, words};
use crate::workspace::{Package, Workspace};
use std::path::{Path, PathBuf};

pub(crate) const VERB: Verb = Verb {
    name: "tidy",
    what: "checks layers, places of unsafe code, and what each crate must bring along",
    help: "Usage: cargo xtask tidy\n",
    run,
};

/// Each crate with those of this workspace that it may use, from the ground floor up.
const LAYERS: &[(&str, &[&str])] = &[
    ("terrace-entry", &[]),
    ("terrace-vfs", &[]),
    ("terrace-bloom", &[]),
    ("terrace-trace", &[]),
    ("terrace-wal", &["terrace-vfs"]),
    ("terrace-memtable", &["terrace-entry"]),
    ("terrace-sstable", &["terrace-entry", "terrace-vfs", "terrace-bloom"]),
    ("terrace-compaction", &["terrace-entry"]),
    ("terrace-throttle", &[]),
    ("terrace-simulator", &["terrace-compaction", "terrace-throttle", "terrace-trace"]),
    ("terrace", PARTS),
    ("terrace-bench", ALL_LIBRARIES),
    ("terrace-journey", PARTS_AND_ENGINE),
    ("xtask", ALL_LIBRARIES),
];

/// The parts, the engine, and what stands beside it.
const ALL_LIBRARIES: &[&str] = &[
    "terrace-entry",
    "terrace-vfs",
    "terrace-bloom",
    "terrace-trace",
    "terrace-wal",
    "terrace-memtable",
    "terrace-sstable",
    "terrace-compaction",
    "terrace-throttle",
    "terrace",
    "terrace-simulator",
    "terrace-bench",
];

const PARTS: &[&str] = ALL_LIBRARIES.split_at(9).0;
const PARTS_AND_ENGINE: &[&str] = ALL_LIBRARIES.split_at(10).0;

/// The only files that may hold unsafe code. A file that no longer does leaves the list.
const UNSAFE_FILES: &[&str] = &[
    "bench-harness/peers/src/leveldb/handle.rs",
    "bench-harness/peers/src/lmdb.rs",
    "engine/src/pinned.rs",
    "engine/tests/bytes/allocator.rs",
    "memtable/src/arena.rs",
    "memtable/src/arena/pages.rs",
    "memtable/src/btree.rs",
    "memtable/src/btree/cursor.rs",
    "memtable/src/btree/node.rs",
    "memtable/src/hash/index.rs",
    "memtable/src/hash/sorted.rs",
    "memtable/src/hash/version.rs",
    "memtable/src/skiplist.rs",
    "sstable/src/prefetch.rs",
    "vfs/src/pages.rs",
    "vfs/src/real/map.rs",
    "vfs/src/real/os.rs",
    "wal/src/checksum.rs",
];

/// Macros that say that something is not done yet, or that somebody was looking for a fault.
const FORBIDDEN_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

const LINES_MAX: usize = 800;

fn run(parser: lexopt::Parser) -> Result<(), String> {
    crate::no_options(parser)?;
    check()
}

/// Checks everything and reports all that is wrong at once.
///
/// # Errors
///
/// How many findings there are; each is printed.
pub(crate) fn check() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut findings = layers(&workspace.packages);
    let mut files = 0;
    let mut unsafe_seen = Vec::new();
    for package in &workspace.packages {
        findings.extend(belongings(package));
        for path in rust_files(&package.folder)? {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name =
                path.strip_prefix(&workspace.root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files += 1;
            let code = code_only(&text);
            findings.extend(source_findings(&name, &text, &code));
            if words(&code).any(|(_, word)| word == "unsafe") {
                unsafe_seen.push(name);
            }
        }
    }
    let stale = UNSAFE_FILES.iter().filter(|file| !unsafe_seen.iter().any(|seen| seen == *file));
    findings
        .extend(stale.map(|file| format!("{file}: holds no unsafe code (any more); take it off the list")));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} crates and {files} files are in order", workspace.packages.len());
        return Ok(());
    }
    Err(format!("{} findings", findings.len()))
}

fn layers(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
            findings.push(format!("{name}: stands on no floor; give it a line in xtask/src/tidy.rs"));
            continue;
        };
        let ours =
            package.dependencies.iter().filter(|dependency| packages.iter().any(|p| p.name == **dependency));
        let wrong = ours.filter(|dependency| !allowed.contains(&dependency.as_str()));
        findings.extend(
            wrong.map(|dependency| format!("{name}: uses {dependency}, which does not lie below it")),
        );
    }
    findings
}

/// What a crate must have beside its code.
fn belongings(package: &Package) -> Vec<String> {
    let mut missing = Vec::new();
    let mut files = vec!["README.md", "CHANGELOG.md"];
    if package.publish {
        files.extend(["LICENSE-MIT", "LICENSE-APACHE"]);
    }
    missing.extend(files.into_iter().filter(|file| !package.folder.join(file).is_file()));
    if package.description.len() < 10 {
        missing.push("a description");
    }
    if package.keywords == 0 {
        missing.push("keywords");
    }
    missing.into_iter().map(|what| format!("{}: lacks {what}", package.name)).collect()
}

fn source_findings(name: &str, text: &str, code: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{name}: {lines} lines; split it below {LINES_MAX}"));
    }
    if !UNSAFE_FILES.contains(&name) {
        let found = words(code).filter(|(_, word)| *word == "unsafe");
        findings.extend(
            found.map(|(line, _)| format!("{name}:{line}: unsafe code outside of the files named for it")),
        );
    }
    for (index, line) in code.lines().enumerate() {
        let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let at = format!("{name}:{}", index + 1);
        for forbidden in FORBIDDEN_MACROS {
            if words(line).any(|(_, word)| word == *forbidden) && calls(&dense, forbidden) {
                findings.push(format!("{at}: {forbidden}! is left over"));
            }
        }
        if dense.contains("#[ignore") {
            findings.push(format!("{at}: an ignored test; fix it or remove it"));
        }
    }
    // In documentation a test is ignored by the word behind its fence, which the blanked code does not show.
    for (index, line) in text.lines().enumerate() {
        let comment = line.trim_start();
        let is_doc = comment.starts_with("//!") || comment.starts_with("///");
        if is_doc && comment.trim_start_matches(['/', '!', ' ']).starts_with("```ignore") {
            findings.push(format!("{name}:{}: an ignored documentation test", index + 1));
        }
    }
    findings
}

/// Whether a line without its spaces calls the macro: `name!=` is a comparison.
fn calls(dense: &str, name: &str) -> bool {
    ['(', '[', '{'].iter().any(|open| dense.contains(&format!("{name}!{open}")))
}

/// All Rust files below a folder, sorted, without build outputs.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, text: &str) -> usize {
        source_findings(name, text, &code_only(text)).len()
    }

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
            ..Package::default()
        }
    }

    #[test]
    fn unsafe_code_is_found_outside_of_its_files_only() {
        assert_eq!(findings("wal/src/lib.rs", "fn f() { unsafe { g() } }"), 1);
        assert_eq!(findings(UNSAFE_FILES[0], "fn f() { unsafe { g() } }"), 0);
        assert_eq!(findings("wal/src/lib.rs", "// unsafe\nlet s = \"unsafe\";"), 0);
    }

    #[test]
    fn leftovers_and_ignored_tests_are_found() {
        let ignored_doc = format!("/// {}ignore\n/// x\n/// {0}", "```");
        for text in [
            "todo!()",
            "x(dbg!(1))",
            "unimplemented ! ()",
            "#[ignore]",
            "# [ ignore = \"slow\" ]",
            &ignored_doc,
        ] {
            assert_eq!(findings("wal/src/lib.rs", text), 1, "{text}");
        }
        assert_eq!(findings("wal/src/lib.rs", "// todo!\nlet todo = 1; // #[ignore]\nif todo != 2 {}"), 0);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(findings("wal/src/lib.rs", &"\n".repeat(LINES_MAX)), 0);
        assert_eq!(findings("wal/src/lib.rs", &"\n".repeat(LINES_MAX + 1)), 1);
    }

    #[test]
    fn an_upward_or_sideways_use_is_found() {
        let (vfs, wal) = (package("terrace-vfs", &[]), package("terrace-wal", &["terrace-vfs", "thiserror"]));
        assert!(layers(&[vfs.clone(), wal.clone()]).is_empty());
        let upward = package("terrace-vfs", &["terrace-wal"]);
        assert_eq!(layers(&[upward, wal.clone()]).len(), 1);
        let sideways = package("terrace-memtable", &["terrace-wal"]);
        assert_eq!(layers(&[vfs, wal, sideways]).len(), 1);
        assert_eq!(layers(&[package("terrace-common", &[])]).len(), 1);
    }
}
