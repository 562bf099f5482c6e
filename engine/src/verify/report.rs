//! What checking a database tells.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;

/// How far a check or a repair has come. Bytes are those of files; the total is an estimate that may be off by files that come or go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// The file that is read next.
    pub file: PathBuf,
    /// Files read.
    pub files_done: u64,
    /// Files to read in all.
    pub files_total: u64,
    /// Bytes of the files read.
    pub bytes_done: u64,
    /// Bytes to read in all.
    pub bytes_total: u64,
}

impl fmt::Display for VerifyProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, total) = (self.bytes_done >> 20, self.bytes_total >> 20);
        write!(f, "{} of {} files, {done} of {total} MiB", self.files_done, self.files_total)
    }
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; the database's folder when it is about no file alone.
    pub file: PathBuf,
    /// Where in the file; 0 when it is about the file as a whole.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.file.display(), self.offset, self.what)
    }
}

impl Problem {
    pub(crate) fn new(file: &Path, offset: u64, what: impl Into<String>) -> Self {
        Problem { file: file.to_owned(), offset, what: what.into() }
    }

    /// The problem that an error is; `file` where the error names none.
    pub(crate) fn of(file: &Path, error: &Error) -> Self {
        match error {
            Error::Corruption { file, offset, what } => Problem::new(file, *offset, what),
            Error::Table(table) => match &**table {
                terrace_sstable::Error::Corruption { file, offset, what } => {
                    Problem::new(file, *offset, what.to_string())
                }
                other => Problem::new(file, 0, other.to_string()),
            },
            Error::Log(log) => match &**log {
                terrace_wal::Error::Corruption { path, offset, what } => Problem::new(path, *offset, what),
                other => Problem::new(file, 0, other.to_string()),
            },
            other => Problem::new(file, 0, other.to_string()),
        }
    }
}

/// What checking a database found. `Display` is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Everything that is wrong. Empty: the database is sound.
    pub problems: Vec<Problem>,
    /// What is not wrong and worth knowing: the torn tail of a log that was never acknowledged as durable, a file that nothing names.
    pub remarks: Vec<Problem>,
    /// Files read.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Tables among them.
    pub tables: u64,
    /// Data blocks of sound tables.
    pub blocks: u64,
    /// Versions in sound tables.
    pub entries: u64,
    /// Logs among them.
    pub logs: u64,
    /// Whole records in logs and in the manifest.
    pub records: u64,
    /// User keys found in more than one table, whose versions were compared.
    pub shared_keys: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "remark: {remark}")?;
        }
        writeln!(
            f,
            "{} problems; read {} files ({} bytes): {} tables of {} blocks and {} versions ({} keys compared between tables), {} logs; {} records",
            self.problems.len(),
            self.files,
            self.bytes,
            self.tables,
            self.blocks,
            self.entries,
            self.shared_keys,
            self.logs,
            self.records,
        )
    }
}
