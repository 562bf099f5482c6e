//! A user's own pairs as work: loaded in the order of the file, then read at random, then scanned.
//!
//! The file is streamed, once to look through it and once for each load. So that answers can be checked without holding all of it, a sample
//! is kept: the keys with the least hashes, each with the hash of the last value that the file has for it. Whatever the order and however
//! often a key is repeated, that is a uniform sample of the distinct keys, and all of them where they are few.
//!
//! Reads go to the sample, uniformly; each is checked. A scan must show strictly ascending keys, every key of the sample with its value, and no more keys
//! than the file has pairs. One client loads, since of a key's values the last must win.
#![expect(clippy::disallowed_methods, reason = "a user's file is no file of a store under test")]

mod pairs;

pub use pairs::{DataError, Pair, PairReader};

use crate::given::Given;
use crate::meter::{self, Latency, Progress, Usage};
use crate::random::{Rng, mix};
use crate::runs::Stage;
use crate::store::{Direction, Store};
use crate::workload::{BenchError, Config, Need, Outcome};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const STAGES: [Stage; 3] = [
    Stage {
        name: "data-load",
        what: "Puts each pair of the file, one by one, in its order.",
        writes: true,
        needs: Need::Nothing,
    },
    Stage {
        name: "data-read",
        what: "Looks up keys of the file, uniformly.",
        writes: false,
        needs: Need::Nothing,
    },
    Stage {
        name: "data-scan",
        what: "Reads everything by ascending key.",
        writes: false,
        needs: Need::Nothing,
    },
];

/// Most keys of a sample, and most bytes of theirs.
const SAMPLE_KEYS_MAX: usize = 200_000;
const SAMPLE_BYTES_MAX: usize = 64 << 20;

/// Pairs that are read from the file at once, when no clock runs.
const CHUNK_PAIRS: usize = 1024;
const CHUNK_BYTES: usize = 4 << 20;

/// A file of pairs that was looked through.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    records: u64,
    bytes: u64,
    sample: Sample,
}

impl DataFile {
    /// Looks through the file.
    ///
    /// # Errors
    ///
    /// [`BenchError::Data`] with the first line that is no pair.
    pub(crate) fn open(path: &Path) -> Result<Self, BenchError> {
        let mut file = DataFile { path: path.to_path_buf(), records: 0, bytes: 0, sample: Sample::default() };
        let mut reader = file.reader()?;
        while let Some((key, value)) = reader.next_pair().map_err(|error| file.failed(error))? {
            file.records += 1;
            file.bytes += (key.len() + value.len()) as u64;
            file.sample.add(key, value);
        }
        if file.records == 0 {
            return Err(file.failed(DataError::Empty));
        }
        Ok(file)
    }

    /// A memtable for a file of this size, in MiB: an eighth of it, so that it goes through flushes and merges, and at most the usual one.
    pub(crate) fn memtable_mib(path: &Path) -> usize {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        (bytes >> 23).clamp(1, 64) as usize
    }

    fn reader(&self) -> Result<PairReader<BufReader<File>>, BenchError> {
        let file = File::open(&self.path).map_err(|error| self.failed(error.into()))?;
        Ok(PairReader::new(BufReader::with_capacity(1 << 20, file)))
    }

    fn failed(&self, source: DataError) -> BenchError {
        BenchError::Data { path: self.path.clone(), source }
    }

    fn load(&self, store: &dyn Store, config: &Config, progress: &Progress) -> Result<Outcome, BenchError> {
        progress.begin(STAGES[0].name, self.records);
        let usage = Usage::begin();
        let (mut latency, mut elapsed) = (Latency::default(), Duration::ZERO);
        let mut reader = self.reader()?;
        let (mut bytes, mut pairs) = (Vec::new(), Vec::new());
        loop {
            bytes.clear();
            pairs.clear();
            while pairs.len() < CHUNK_PAIRS
                && bytes.len() < CHUNK_BYTES
                && let Some((key, value)) = reader.next_pair().map_err(|error| self.failed(error))?
            {
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(value);
                pairs.push((key.len(), value.len()));
            }
            if pairs.is_empty() {
                break;
            }
            let mut rest = bytes.as_slice();
            let begun = meter::now();
            for (key_len, value_len) in &pairs {
                let (key, after) = rest.split_at(*key_len);
                let (value, after) = after.split_at(*value_len);
                let start = meter::now();
                store.put(key, value, config.durability)?;
                latency.record(start.elapsed());
                rest = after;
            }
            elapsed += begun.elapsed();
            progress.add(pairs.len() as u64);
        }
        progress.end();
        let start = meter::now();
        store.flush()?;
        store.wait_idle()?;
        let drain = start.elapsed();
        if latency.count() != self.records {
            return Err(BenchError::Config(format!("{} changed while it was read", self.path.display())));
        }
        let stats = store.stats();
        Ok(Outcome {
            drain,
            stall: stats.stall,
            ..outcome(store, latency, self.records, self.bytes, elapsed, usage)
        })
    }

    fn read(&self, store: &dyn Store, config: &Config, progress: &Progress) -> Result<Outcome, BenchError> {
        progress.begin(STAGES[1].name, config.ops);
        let keys: Vec<(&[u8], u64)> = self.sample.iter().collect();
        let mut rng = Rng::new(config.run_seed, 0);
        let usage = Usage::begin();
        let (mut latency, mut bytes) = (Latency::default(), 0);
        let begun = meter::now();
        for op in 1..=config.ops {
            let (key, expected) = keys[rng.below(keys.len() as u64) as usize];
            let (mut same, mut took) = (false, Duration::ZERO);
            let start = meter::now();
            let found = store.get(key, &mut |value| {
                took = start.elapsed();
                same = hash(value) == expected;
                bytes += value.len() as u64;
            })?;
            if !found || !same {
                let what = if found {
                    "another value than the file's last"
                } else {
                    "nothing, though it is in the file"
                };
                return Err(BenchError::wrong(key, what));
            }
            latency.record(took);
            bytes += key.len() as u64;
            if op % 64 == 0 {
                progress.add(64);
            }
        }
        let elapsed = begun.elapsed();
        progress.end();
        Ok(outcome(store, latency, config.ops, bytes, elapsed, usage))
    }

    fn scan(&self, store: &dyn Store, progress: &Progress) -> Result<Outcome, BenchError> {
        progress.begin(STAGES[2].name, self.records);
        let mut expected = self.sample.iter().peekable();
        let (mut last, mut wrong) = (Vec::new(), None);
        let (mut records, mut bytes) = (0, 0);
        let usage = Usage::begin();
        let begun = meter::now();
        let shown = store.scan_all(Direction::Forward, &mut |key, value| {
            let first = records == 0;
            records += 1;
            bytes += (key.len() + value.len()) as u64;
            if records % 1024 == 0 {
                progress.add(1024);
            }
            if !first && last.as_slice() >= key {
                wrong.get_or_insert_with(|| BenchError::wrong(key, "a scan out of order"));
            }
            last.clear();
            last.extend_from_slice(key);
            if let Some((next, value_hash)) = expected.next_if(|(next, _)| *next <= key)
                && (next != key || value_hash != hash(value))
            {
                wrong.get_or_insert_with(|| {
                    BenchError::wrong(next, "a scan left it out or shows another value than the file's last")
                });
            }
        })?;
        let elapsed = begun.elapsed();
        progress.end();
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if shown != records || records > self.records || expected.next().is_some() {
            return Err(BenchError::wrong(
                &last,
                "a scan that ended early, miscounted or shows more than was written",
            ));
        }
        let mut latency = Latency::default();
        latency.record(elapsed);
        Ok(outcome(store, latency, records, bytes, elapsed, usage))
    }
}

impl Given for DataFile {
    fn stages(&self) -> &'static [Stage] {
        &STAGES
    }

    fn in_words(&self) -> String {
        format!(
            "{}: {} pairs, {:.1} MB of keys and values",
            self.path.display(),
            self.records,
            self.bytes as f64 / 1e6
        )
    }

    fn records(&self) -> u64 {
        self.records
    }

    fn run(
        &self,
        store: &dyn Store,
        config: &Config,
        progress: &Progress,
    ) -> Result<Vec<Outcome>, BenchError> {
        let load = self.load(store, config, progress)?;
        let read = self.read(store, config, progress)?;
        let scan = self.scan(store, progress)?;
        let live_bytes = scan.bytes;
        Ok([load, read, scan].into_iter().map(|outcome| Outcome { live_bytes, ..outcome }).collect())
    }
}

fn outcome(
    store: &dyn Store,
    latency: Latency,
    records: u64,
    bytes: u64,
    elapsed: Duration,
    usage: Usage,
) -> Outcome {
    Outcome {
        ops: latency.count(),
        records,
        bytes,
        elapsed,
        drain: Duration::ZERO,
        latency,
        usage: usage.end(),
        stats: store.stats(),
        stall: None,
        background_ops: 0,
        live_bytes: 0,
        warm: false,
        input_table_bytes: None,
    }
}

/// The keys with the least hashes, by key, each with the hash of its last value.
#[derive(Debug, Default)]
struct Sample {
    by_hash: BTreeMap<u64, (Vec<u8>, u64)>,
    key_bytes: usize,
    /// Keys whose hash is not below this were left out, or let go of, and stay out.
    below: Option<u64>,
}

impl Sample {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let own = hash(key);
        if self.below.is_some_and(|below| own >= below) {
            return;
        }
        match self.by_hash.get_mut(&own) {
            // Of two keys with one hash the first is kept.
            Some((known, last)) if known == key => *last = hash(value),
            Some(_) => {}
            None => {
                self.key_bytes += key.len();
                self.by_hash.insert(own, (key.to_vec(), hash(value)));
            }
        }
        while (self.by_hash.len() > SAMPLE_KEYS_MAX || self.key_bytes > SAMPLE_BYTES_MAX)
            && self.by_hash.len() > 1
            && let Some((greatest, (key, _))) = self.by_hash.pop_last()
        {
            self.below = Some(greatest);
            self.key_bytes -= key.len();
        }
    }

    /// By ascending key.
    fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> =
            self.by_hash.values().map(|(key, value)| (key.as_slice(), *value)).collect();
        all.sort_unstable();
        all.into_iter()
    }
}

/// A hash that is the same on every machine; not for defence against anybody.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = |sum: u64, word: u64| mix(sum ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let sum = words.iter().fold(bytes.len() as u64, |sum, chunk| word(sum, u64::from_le_bytes(*chunk)));
    rest.iter().fold(sum, |sum, byte| word(sum, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::{FaultyFactory, Lie};
    use crate::store::{MemoryFactory, Settings, StoreFactory};

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("pairs.tsv");
        std::fs::write(&path, text).expect("a file can be written");
        (dir, path)
    }

    fn many() -> String {
        // The first hundred keys come twice; of their values the last counts.
        (0..700).map(|i| format!("key{:04}\tvalue {i}\n", i % 600)).collect()
    }

    fn run(factory: &dyn StoreFactory, path: &Path) -> Result<Vec<Outcome>, BenchError> {
        let file = DataFile::open(path)?;
        let config = Config { ops: 3000, ..Config::default() };
        let store = factory.open(Path::new("data"), &Settings::default())?;
        file.run(&*store, &config, &Progress::new(true))
    }

    #[test]
    fn a_file_is_loaded_read_and_scanned() {
        let (_dir, path) = file(&many());
        let outcomes = run(&MemoryFactory::default(), &path).expect("a map does not lie");
        assert_eq!(outcomes.iter().map(|outcome| outcome.records).collect::<Vec<_>>(), [700, 3000, 600]);
        assert_eq!(outcomes.iter().map(|outcome| outcome.ops).collect::<Vec<_>>(), [700, 3000, 1]);
        let live: usize = (100..700).map(|i| 7 + format!("value {i}").len()).sum();
        assert!(outcomes.iter().all(|outcome| outcome.live_bytes == live as u64));
    }

    #[test]
    fn a_store_that_lies_about_the_file_is_found_out() {
        let (_dir, path) = file(&many());
        for lie in [
            Lie::LosesWrite(650),
            Lie::FlipsBit,
            Lie::EndsScansEarly,
            Lie::OvercountsScans,
            Lie::RepeatsEntries,
        ] {
            let answer = run(&FaultyFactory::new(lie), &path);
            assert!(matches!(answer, Err(BenchError::Wrong { .. })), "{lie:?}: {answer:?}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named_with_the_line() {
        let (_dir, path) = file("a\tb\nc\n");
        let error = DataFile::open(&path).expect_err("the second line is no pair").to_string();
        assert!(error.ends_with("pairs.tsv: line 2: no tab stands between a key and a value"), "{error}");
        let (_dir, path) = file("\n\n");
        assert!(DataFile::open(&path).is_err_and(|error| error.to_string().contains("no pair")));
        assert!(DataFile::open(Path::new("not-there.tsv")).is_err());
    }

    #[test]
    fn a_sample_is_uniform_over_the_keys_and_knows_their_last_values() {
        let mut sample = Sample::default();
        let keys = 3 * SAMPLE_KEYS_MAX as u64;
        for value in 0..2u64 {
            for key in 0..keys {
                sample.add(&key.to_be_bytes(), &value.to_be_bytes());
            }
        }
        let kept: Vec<(&[u8], u64)> = sample.iter().collect();
        assert_eq!(kept.len(), SAMPLE_KEYS_MAX);
        assert!(kept.is_sorted() && kept.iter().all(|(_, value)| *value == hash(&1u64.to_be_bytes())));
        let low = kept.iter().filter(|(key, _)| **key < (keys / 4).to_be_bytes()[..]).count();
        let share = low as f64 / kept.len() as f64;
        assert!((0.245..0.255).contains(&share), "{share}");
    }

    #[test]
    fn the_memtable_of_a_small_file_is_small() {
        let (_dir, path) = file(&"x\ty\n".repeat(6 << 20));
        assert_eq!(DataFile::memtable_mib(&path), 3);
        assert_eq!(DataFile::memtable_mib(Path::new("not-there.tsv")), 1);
    }
}
