//! What can go wrong with a database, and what state it is in afterwards.

use std::path::PathBuf;
use std::sync::Arc;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. Cheap to clone, so that an iterator can go on returning it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed; names the operation and the path. When it was a write or a sync of the database's own, the
    /// database is read-only from then on.
    #[error(transparent)]
    Io(Arc<terrace_vfs::Error>),
    /// The log could not be written or read.
    #[error(transparent)]
    Log(Arc<terrace_wal::Error>),
    /// A table could not be written or read.
    #[error(transparent)]
    Table(Arc<terrace_sstable::Error>),
    /// Bytes on disk are not what was written. What does not touch them can still be read.
    #[error("damage in {} at offset {offset}: {what}", file.display())]
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The folder was written by a version of this software that this one can not read.
    #[error("{} has format version {found}; this build reads up to {supported}", file.display())]
    UnsupportedVersion {
        /// The file that says so.
        file: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest that can be read.
        supported: u32,
    },
    /// The database was written with other parts than it is opened with.
    #[error("the database was written by {written} and can not be opened with {opening}")]
    PartsMismatch {
        /// The part named in the manifest.
        written: String,
        /// The part that would read it.
        opening: String,
    },
    /// Another handle, in this process or another, has the database open.
    #[error("{} is locked: the database is already open", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The path is a file, or a folder that holds something else.
    #[error("{} is not a database: {what}", path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// There is no database and the options say not to make one, or there is one and they say not to open it.
    #[error("{}: {what}", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
        /// Which of the two.
        what: &'static str,
    },
    /// A key, value or batch is longer than the limit. Nothing was written.
    #[error("a {what} of {bytes} bytes is longer than the limit of {limit_bytes}")]
    TooLarge {
        /// `key`, `value` or `batch`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// An argument makes no sense. Nothing was done.
    #[error("{0}")]
    InvalidArgument(String),
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// The keyspace was removed.
    #[error("the keyspace `{0}` was removed")]
    KeyspaceRemoved(String),
    /// An earlier write or sync failed, so nothing more is written; reads go on. Reopen once the cause is mended.
    #[error("the database is read-only since a failure: {cause}")]
    ReadOnly {
        /// The failure.
        cause: Arc<Error>,
    },
    /// A background job panicked; the database is read-only.
    #[error("a background job panicked: {0}")]
    Panicked(String),
    /// Sequence numbers are used up (after 2^56 writes).
    #[error("sequence numbers are used up")]
    SeqNoExhausted,
}

impl Error {
    /// Whether the error says that bytes on disk are damaged, on whichever layer it was found.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Error::Corruption { .. } => true,
            Error::Log(error) => matches!(**error, terrace_wal::Error::Corruption { .. }),
            Error::Table(error) => matches!(**error, terrace_sstable::Error::Corruption { .. }),
            Error::ReadOnly { cause } => cause.is_corruption(),
            _ => false,
        }
    }
}

impl From<terrace_vfs::Error> for Error {
    fn from(error: terrace_vfs::Error) -> Self {
        Error::Io(Arc::new(error))
    }
}

impl From<terrace_wal::Error> for Error {
    fn from(error: terrace_wal::Error) -> Self {
        match error {
            terrace_wal::Error::Vfs(error) => error.into(),
            error => Error::Log(Arc::new(error)),
        }
    }
}

impl From<terrace_sstable::Error> for Error {
    fn from(error: terrace_sstable::Error) -> Self {
        match error {
            terrace_sstable::Error::File(error) => error.into(),
            error => Error::Table(Arc::new(error)),
        }
    }
}
