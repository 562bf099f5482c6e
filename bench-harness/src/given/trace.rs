//! A recorded trace as work: done as fast as the store lets it. [`crate::replay`] says what is loaded before, and how answers are checked.
#![expect(clippy::disallowed_methods, reason = "a trace is no file of a store under test")]

use super::Given;
use crate::meter::Progress;
use crate::replay::{Pace, Replay};
use crate::runs::Stage;
use crate::store::Store;
use crate::workload::{BenchError, Config, Need, Outcome};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

pub(crate) const STAGES: [Stage; 1] = [Stage {
    name: "trace",
    what: "Does what a trace says was asked of a database, as fast as it goes.",
    writes: true,
    needs: Need::Nothing,
}];

/// A trace that can be read.
#[derive(Debug)]
pub(crate) struct TraceFile {
    path: PathBuf,
    operations: u64,
    loaded: u64,
    rate: f64,
}

impl TraceFile {
    /// Reads all of it once, to know that it can be.
    ///
    /// # Errors
    ///
    /// [`BenchError::Config`] with the file and what is wrong with it.
    pub(crate) fn open(path: &Path) -> Result<Self, BenchError> {
        let replay = read(path)?;
        if replay.is_empty() {
            return Err(BenchError::Config(format!("{}: nothing is asked in it", path.display())));
        }
        Ok(TraceFile {
            path: path.to_path_buf(),
            operations: replay.len() as u64,
            loaded: replay.initial_keys(),
            rate: replay.rate,
        })
    }
}

fn read(path: &Path) -> Result<Replay, BenchError> {
    let failed = |error: &dyn std::fmt::Display| BenchError::Config(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| failed(&error))?;
    Replay::read(BufReader::new(file)).map_err(|error| failed(&error))
}

impl Given for TraceFile {
    fn stages(&self) -> &'static [Stage] {
        &STAGES
    }

    fn in_words(&self) -> String {
        let TraceFile { operations, loaded, rate, .. } = self;
        let path = self.path.display();
        format!("{path}: {operations} operations, sampled at {rate:.4}, {loaded} keys loaded before")
    }

    fn records(&self) -> u64 {
        self.loaded
    }

    fn run(
        &self,
        store: &dyn Store,
        config: &Config,
        progress: &Progress,
    ) -> Result<Vec<Outcome>, BenchError> {
        let mut replay = read(&self.path)?;
        replay.load(store, progress)?;
        Ok(vec![replay.run(store, Pace::Full, config.durability, progress)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryFactory, Settings, StoreFactory};
    use terrace_trace::{Facts, Header, Operation, Record, TraceWriter};

    fn file(operations: u64) -> (tempfile::TempDir, PathBuf) {
        let mut writer = TraceWriter::new(&Header::default());
        for n in 0..operations {
            let operation = if n % 2 == 0 {
                Operation::Put { value_bytes: 50 }
            } else {
                Operation::Get { value_bytes: 50 }
            };
            let key = n / 4;
            writer.add(&Record { at_micros: n, operation, key_hash: key, place: key << 20, key_bytes: 16 });
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("trace");
        std::fs::write(&path, writer.finish(Facts::default())).expect("a file can be written");
        (dir, path)
    }

    #[test]
    fn a_trace_is_done_again_for_every_store() {
        let (_dir, path) = file(400);
        let trace = TraceFile::open(&path).expect("a whole trace");
        for _ in 0..2 {
            let store =
                MemoryFactory::default().open(Path::new("trace"), &Settings::default()).expect("a map opens");
            let outcomes =
                trace.run(&*store, &Config::default(), &Progress::new(true)).expect("a map does not lie");
            assert_eq!((outcomes.len(), outcomes[0].ops), (STAGES.len(), 400));
        }
    }

    #[test]
    fn what_is_no_trace_or_an_empty_one_is_named() {
        let (_dir, path) = file(0);
        assert!(TraceFile::open(&path).expect_err("empty").to_string().contains("nothing is asked"));
        std::fs::write(&path, "a\tb\n").expect("a file can be written");
        let error = TraceFile::open(&path).expect_err("no trace").to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
}
