//! What went wrong, in which log, where.

use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    Vfs(#[from] terrace_vfs::Error),

    /// Bytes that were once whole, or that are known to have been durable, are not what was written.
    #[error("corruption in {} at offset {offset}: {what}", path.display())]
    Corruption {
        /// The log.
        path: PathBuf,
        /// Where the record that is not whole begins.
        offset: u64,
        /// What is wrong, and why it is not taken for a torn tail.
        what: String,
    },

    /// The file was written by a version of this crate that this one does not know.
    #[error("{} has log format version {found}; this build reads version {supported}", path.display())]
    UnsupportedVersion {
        /// The log.
        path: PathBuf,
        /// The version that the file names.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },

    /// An earlier operation on this writer failed; what is in the file's tail is unknown.
    #[error("the log {} is dead after an earlier error", path.display())]
    Dead {
        /// The log.
        path: PathBuf,
    },

    /// The record is longer than [`crate::RECORD_BYTES_MAX`]. Nothing was written and the log lives on.
    #[error("a record of {bytes} bytes is longer than the limit of {max}")]
    RecordTooLarge {
        /// Length of the record.
        bytes: u64,
        /// The limit.
        max: u64,
    },

    /// No implementation goes by this name.
    #[error("no log is called {name:?}; there are: buffered, mapped, null")]
    UnknownKind {
        /// The name asked for.
        name: String,
    },

    /// The implementation exists and is not part of this build.
    #[error("the {kind} log is not compiled in; enable the feature `{kind}` of terrace-wal")]
    NotCompiledIn {
        /// The implementation, which is also the name of its feature.
        kind: &'static str,
    },
}

impl Error {
    /// Whether the file's bytes are at fault.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Error::Corruption { .. })
    }
}
