//! Real key-value records that any machine has on which this project was built: the source lines of its dependencies.
//!
//! A record is one non-empty line: its key `crate-1.2.3/src/file.rs:000123`, its value the line's bytes. Keys share long prefixes as real
//! keys do, values vary in length and compress as text does. The folders come from `cargo metadata`, so that a vendored or a
//! registry build both serve; where it can not tell, from the lock file and cargo's registry folder. Where they hold too little, the project's own files are taken again and again, each time under another
//! generation's prefix, and the origin says so.
//!
//! The same dependencies give the same records in the same order on every machine.
#![expect(
    clippy::disallowed_methods,
    reason = "reads source files, which are no part of any store under test"
)]

use crate::workload::BenchError;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keys and values in one buffer, sorted by key, each key once.
#[derive(Debug, Default)]
pub struct RealData {
    bytes: Vec<u8>,
    records: Vec<Slot>,
    /// Where they come from, in words.
    pub origin: String,
}

#[derive(Clone, Debug)]
struct Slot {
    key: Range<usize>,
    value_end: usize,
}

impl RealData {
    /// Some `bytes_wanted` bytes of keys and values: whole files, until there are as many.
    ///
    /// # Errors
    ///
    /// [`BenchError::File`] when a file that was listed can not be read. That `cargo` can not be asked is no error: then the files under
    /// `root` serve.
    pub fn collect(root: &Path, bytes_wanted: usize) -> Result<Self, BenchError> {
        let mut data = RealData::default();
        let (mut crates, mut files) = (0, 0);
        for (name, folder) in dependencies(root) {
            if data.bytes.len() >= bytes_wanted {
                break;
            }
            crates += 1;
            files += data.add_folder(&name, &folder, bytes_wanted)?;
        }
        data.origin = format!("{files} source files of {crates} dependencies");
        let mut generation = 0;
        while data.bytes.len() < bytes_wanted {
            let before = data.bytes.len();
            data.add_folder(&format!("generation-{generation:06}"), root, bytes_wanted)?;
            if data.bytes.len() == before {
                break;
            }
            generation += 1;
        }
        if generation > 0 {
            data.origin += &format!(", and the files of {} {generation} times", root.display());
        }
        data.sort();
        Ok(data)
    }

    /// Records from pairs, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut data = RealData { origin: "pairs".to_owned(), ..RealData::default() };
        for (key, value) in pairs {
            data.push(key, value);
        }
        data.sort();
        data
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(|slot| (slot.value_end - slot.key.start) as u64).sum()
    }

    /// The record at a place in key order.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`RealData::len`].
    pub fn get(&self, index: usize) -> (&[u8], &[u8]) {
        let slot = &self.records[index];
        (&self.bytes[slot.key.clone()], &self.bytes[slot.key.end..slot.value_end])
    }

    /// All records by ascending key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.records.push(Slot { key: start..end, value_end: self.bytes.len() });
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let key = |slot: &Slot| &bytes[slot.key.clone()];
        // Stable: of equal keys the first stays.
        self.records.sort_by(|a, b| key(a).cmp(key(b)));
        self.records.dedup_by(|a, b| key(a) == key(b));
    }

    fn add_folder(&mut self, name: &str, folder: &Path, bytes_wanted: usize) -> Result<usize, BenchError> {
        let mut files = Vec::new();
        list_sources(folder, &mut files)?;
        files.sort();
        let mut added = 0;
        for file in files {
            if self.bytes.len() >= bytes_wanted {
                break;
            }
            let text =
                std::fs::read(&file).map_err(|source| BenchError::File { path: file.clone(), source })?;
            let inside = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
                if !line.trim_ascii().is_empty() {
                    self.push(format!("{name}/{inside}:{:06}", index + 1).as_bytes(), line);
                }
            }
            added += 1;
        }
        Ok(added)
    }
}

/// Rust, TOML and Markdown files below a folder, without build outputs and hidden folders.
fn list_sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BenchError> {
    let failed = |source| BenchError::File { path: folder.to_path_buf(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(failed)?;
        if name.starts_with('.') || name.starts_with("target") {
            continue;
        }
        if kind.is_dir() {
            list_sources(&entry.path(), files)?;
        } else if kind.is_file() && [".rs", ".toml", ".md"].iter().any(|end| name.ends_with(end)) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Names with versions, and folders, of the packages that the workspace at `root` depends on, by name.
fn dependencies(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = from_metadata(root).unwrap_or_else(|| from_lock_file(root).unwrap_or_default());
    found.retain(|(_, folder)| folder.is_dir());
    found.sort();
    found
}

/// What `cargo metadata` tells; `None` when it fails, as it does while a package that only tests need was never fetched.
fn from_metadata(root: &Path) -> Option<Vec<(String, PathBuf)>> {
    let version = Command::new("rustc").arg("-vV").output().ok()?;
    let version = String::from_utf8(version.stdout).ok()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    // For this platform only: packages of others were not fetched.
    let arguments = ["metadata", "--format-version", "1", "--offline", "--quiet", "--filter-platform", host];
    let output = Command::new(cargo).args(arguments).current_dir(root).output().ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata["packages"].as_array()?;
    let foreign = packages.iter().filter(|package| !package["source"].is_null());
    let found = foreign.filter_map(|package| {
        let name = format!("{}-{}", package["name"].as_str()?, package["version"].as_str()?);
        Some((name, Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf()))
    });
    Some(found.collect())
}

/// The packages of the lock file that lie unpacked in cargo's registry folder.
fn from_lock_file(root: &Path) -> Option<Vec<(String, PathBuf)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    let registries: Vec<PathBuf> = std::fs::read_dir(home.join("registry/src"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let names = lock.split("[[package]]").filter_map(|package| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(" = ").trim_matches('"').to_owned())
        };
        field("source")?;
        Some(format!("{}-{}", field("name")?, field("version")?))
    });
    let places = |name: String| {
        let found = registries.iter().map(|registry| registry.join(&name)).find(|folder| folder.is_dir());
        found.map(|folder| (name, folder))
    };
    Some(names.filter_map(places).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_sorted_distinct_and_of_the_size_asked_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = RealData::collect(root, 300_000).expect("the sources are readable");
        assert!((300_000..3_000_000).contains(&data.bytes()), "{}", data.bytes());
        assert!(data.iter().map(|(key, _)| key).is_sorted_by(|a, b| a < b));
        assert!(data.iter().all(|(key, value)| key.contains(&b':') && !value.trim_ascii().is_empty()));
    }

    #[test]
    fn collecting_twice_gives_the_same() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let [one, two] =
            [(); 2].map(|()| RealData::collect(root, 100_000).expect("the sources are readable"));
        assert!(one.iter().eq(two.iter()));
        assert_eq!(one.origin, two.origin);
    }

    #[test]
    fn without_dependencies_the_own_files_are_repeated_under_generations() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("a.rs"), "one\n\n  \nfour\n").expect("a file");
        std::fs::write(folder.path().join("b.bin"), "not source").expect("a file");
        let data = RealData::collect(folder.path(), 100).expect("the file is readable");
        let keys: Vec<_> = data.iter().map(|(key, _)| String::from_utf8_lossy(key)).collect();
        assert_eq!(keys[..2], ["generation-000000/a.rs:000001", "generation-000000/a.rs:000004"]);
        assert!(keys.iter().any(|key| key.starts_with("generation-000001/")), "{keys:?}");
        assert!(data.origin.contains("times"), "{}", data.origin);
    }

    #[test]
    fn of_equal_keys_the_first_stays() {
        let data = RealData::from_pairs([(&b"k"[..], &b"1"[..]), (b"a", b"2"), (b"k", b"3")]);
        assert!(data.iter().eq([(&b"a"[..], &b"2"[..]), (b"k", b"1")]));
    }
}
