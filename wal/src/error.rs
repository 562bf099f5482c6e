//! What went wrong, in which log, where.

use std::fmt;
use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    Vfs(terrace_vfs::Error),

    /// Bytes that were once whole, or that are known to have been durable, are not what was written.
    Corruption {
        /// The log.
        path: PathBuf,
        /// Where the record that is not whole begins.
        offset: u64,
        /// What is wrong, and why it is not taken for a torn tail.
        what: String,
    },

    /// The file was written by a version of this crate that this one does not know.
    UnsupportedVersion {
        /// The log.
        path: PathBuf,
        /// The version that the file names.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },

    /// An earlier operation on this writer failed; what is in the file's tail is unknown.
    Dead {
        /// The log.
        path: PathBuf,
    },

    /// The record is longer than [`crate::RECORD_BYTES_MAX`]. Nothing was written and the log lives on.
    RecordTooLarge {
        /// Length of the record.
        bytes: u64,
        /// The limit.
        max: u64,
    },

    /// No implementation goes by this name.
    UnknownKind {
        /// The name asked for.
        name: String,
    },

    /// The implementation exists and is not part of this build.
    NotCompiledIn {
        /// The implementation, which is also the name of its feature.
        kind: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Vfs(error) => error.fmt(f),
            Error::Corruption { path, offset, what } => {
                write!(f, "corruption in {} at offset {offset}: {what}", path.display())
            }
            Error::UnsupportedVersion { path, found, supported } => write!(
                f,
                "{} has log format version {found}; this build reads version {supported}",
                path.display()
            ),
            Error::Dead { path } => write!(f, "the log {} is dead after an earlier error", path.display()),
            Error::RecordTooLarge { bytes, max } => {
                write!(f, "a record of {bytes} bytes is longer than the limit of {max}")
            }
            Error::UnknownKind { name } => {
                write!(f, "no log is called {name:?}; there are: buffered, mapped, null")
            }
            Error::NotCompiledIn { kind } => {
                write!(f, "the {kind} log is not compiled in; enable the feature `{kind}` of terrace-wal")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Vfs(error) => error.source(),
            _ => None,
        }
    }
}

impl From<terrace_vfs::Error> for Error {
    fn from(error: terrace_vfs::Error) -> Self {
        Error::Vfs(error)
    }
}

impl Error {
    /// Whether the file's bytes are at fault.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Error::Corruption { .. })
    }
}
