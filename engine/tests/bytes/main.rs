//! Any bytes in place of what a disk should hold: every decoder of the workspace reads them or refuses them, and never panics, hangs, or
//! allocates what a damaged length asks for.
//!
//! Each test replays the inputs in `fuzz/corpus` (what coverage-guided fuzzing found worth keeping) and the seeds made in code, then
//! mutates both, the same way each time. `TERRACE_BYTES_ROUNDS=1000000` makes one longer; `cargo xtask fuzz` looks for new inputs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests say how much they tried, and on what they failed"
)]
#![expect(clippy::disallowed_methods, reason = "the corpus belongs to the tests, not to a database")]

mod allocator;
mod mutate;

use allocator::{Counting, peak_bytes};
use mutate::Mutator;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a decoder may hold whatever its input: windows, pages of files in memory, tables of a compressor.
const FIXED_BYTES: usize = 4 << 20;
/// What it may hold for each byte of input. LZ4 makes up to 255 bytes of one, and both walks over a table are kept.
const PER_BYTE: usize = 1200;

/// Shows the input of a check that panics.
struct Shown<'a> {
    target: &'a str,
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {}, {}, {} bytes: {hex}", self.target, self.name, self.input.len());
        }
    }
}

fn run(target: &str, check: fn(&[u8]), name: &str, input: &[u8]) -> usize {
    let _shown = Shown { target, name, input };
    let peak = peak_bytes(|| check(input));
    assert!(
        peak <= FIXED_BYTES + PER_BYTE * input.len(),
        "{peak} bytes held for an input of {}",
        input.len()
    );
    peak
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

fn replay_and_mutate(target: &str, check: fn(&[u8]), rounds: u32) {
    let rounds = std::env::var("TERRACE_BYTES_ROUNDS").map_or(rounds, |rounds| rounds.parse().unwrap());
    let kept = corpus(target);
    assert!(!kept.is_empty(), "the corpus of {target} is empty");
    let mut peak = 0;
    for (name, input) in &kept {
        peak = peak.max(run(target, check, name, input));
    }
    let mut seeds = terrace::testing::seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for input in &seeds {
        peak = peak.max(run(target, check, "a seed", input));
    }
    let replayed = kept.len() + seeds.len();
    seeds.extend(kept.into_iter().map(|(_, input)| input));
    let mut mutator = Mutator::new(1);
    for round in 0..rounds {
        let input = mutator.next(&seeds);
        peak = peak.max(run(target, check, &format!("mutation {round}"), &input));
    }
    println!("{target}: {replayed} inputs replayed, {rounds} mutations, at most {peak} bytes held");
}

macro_rules! tests {
    ($($test:ident: $target:literal, $check:path, $rounds:literal;)*) => {$(
        #[test]
        fn $test() {
            replay_and_mutate($target, $check, $rounds);
        }
    )*};
}

tests! {
    any_bytes_as_a_log_are_read_or_refused: "log", terrace_wal::testing::check_log_bytes, 3000;
    any_bytes_as_a_table_are_read_or_refused: "table", terrace_sstable::testing::check_table_bytes, 3000;
    any_bytes_as_a_data_block_are_read_or_refused:
        "data_block", terrace_sstable::testing::check_data_block_bytes, 20000;
    any_bytes_as_an_index_are_read_or_refused:
        "index_block", terrace_sstable::testing::check_index_block_bytes, 20000;
    any_bytes_as_properties_are_read_or_refused:
        "properties", terrace_sstable::testing::check_properties_bytes, 20000;
    any_bytes_as_a_footer_are_read_or_refused: "footer", terrace_sstable::testing::check_footer_bytes, 20000;
    any_bytes_as_a_filter_are_read_or_refused: "filter", terrace_bloom::testing::check_filter_bytes, 20000;
    any_bytes_as_current_are_read_or_refused: "current", terrace::testing::check_current_bytes, 5000;
    any_bytes_as_a_manifest_are_read_or_refused: "manifest", terrace::testing::check_manifest_bytes, 3000;
    any_bytes_as_edits_are_read_or_refused: "edits", terrace::testing::check_edits_bytes, 20000;
    any_bytes_as_batches_are_read_or_refused: "batch", terrace::testing::check_batch_bytes, 20000;
    any_bytes_as_a_folder_are_opened_or_refused: "folder", terrace::testing::check_folder_bytes, 1000;
}

/// `TERRACE_CORPUS_WRITE=1` writes the seeds of the present formats to the corpora, from where the fuzzer takes them. Those of earlier
/// formats may stay: they are refused, or read as before.
#[test]
fn every_corpus_belongs_to_a_target() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(home.join(folder)).unwrap();
        let stem = |path: std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| stem(entry.unwrap().path())).collect();
        names.sort();
        names
    };
    let targets = names("fuzz_targets");
    if std::env::var_os("TERRACE_CORPUS_WRITE").is_some() {
        for target in &targets {
            let folder = home.join("corpus").join(target);
            std::fs::create_dir_all(&folder).unwrap();
            for (number, seed) in terrace::testing::seeds(target).into_iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number:02}")), &seed).unwrap();
            }
        }
    }
    assert_eq!(names("corpus"), targets);
    let missing: Vec<_> =
        targets.iter().filter(|target| terrace::testing::seeds(target).is_empty()).collect();
    assert!(missing.is_empty(), "no seeds for {missing:?}");
}
