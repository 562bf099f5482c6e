//! What can go wrong with a database, and what state it is in afterwards.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. Cheap to clone, so that an iterator can go on returning it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed; names the operation and the path. When it was a write or a sync of the database's own, the
    /// database is read-only from then on.
    Io(Arc<terrace_vfs::Error>),
    /// The log could not be written or read.
    Log(Arc<terrace_wal::Error>),
    /// A table could not be written or read.
    Table(Arc<terrace_sstable::Error>),
    /// Bytes on disk are not what was written. What does not touch them can still be read.
    Corruption {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The folder was written by a version of this software that this one can not read.
    UnsupportedVersion {
        /// The file that says so.
        file: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest that can be read.
        supported: u32,
    },
    /// The database was written with other parts than it is opened with.
    PartsMismatch {
        /// The part named in the manifest.
        written: String,
        /// The part that would read it.
        opening: String,
    },
    /// Another handle, in this process or another, has the database open.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The path is a file, or a folder that holds something else.
    NotADatabase {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// There is no database and the options say not to make one, or there is one and they say not to open it.
    Exists {
        /// The path.
        path: PathBuf,
        /// Which of the two.
        what: &'static str,
    },
    /// A key, value or batch is longer than the limit. Nothing was written.
    TooLarge {
        /// `key`, `value` or `batch`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The write would have had to wait, and was not to ([`crate::WhenBusy::Refuse`]). Nothing was written; a later try may go through.
    Busy {
        /// When it would be its turn as things are; `None` while writers are stopped, which lasts until a flush or a merge is done.
        retry_after: Option<Duration>,
    },
    /// An argument makes no sense. Nothing was done.
    InvalidArgument(String),
    /// The database was closed.
    Closed,
    /// The keyspace was removed.
    KeyspaceRemoved(String),
    /// An earlier write or sync failed, so nothing more is written; reads go on. Reopen once the cause is mended.
    ReadOnly {
        /// The failure.
        cause: Arc<Error>,
    },
    /// A part panicked. In an open database, which is read-only from then on; or while one was being opened.
    Panicked(String),
    /// Sequence numbers are used up (after 2^56 writes).
    SeqNoExhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Log(error) => error.fmt(f),
            Error::Table(error) => error.fmt(f),
            Error::Corruption { file, offset, what } => {
                write!(f, "damage in {} at offset {offset}: {what}", file.display())
            }
            Error::UnsupportedVersion { file, found, supported } => {
                write!(f, "{} has format version {found}; this build reads up to {supported}", file.display())
            }
            Error::PartsMismatch { written, opening } => {
                write!(f, "the database was written by {written} and can not be opened with {opening}")
            }
            Error::Locked { path } => write!(f, "{} is locked: the database is already open", path.display()),
            Error::NotADatabase { path, what } => write!(f, "{} is not a database: {what}", path.display()),
            Error::Exists { path, what } => write!(f, "{}: {what}", path.display()),
            Error::TooLarge { what, bytes, limit_bytes } => {
                write!(f, "a {what} of {bytes} bytes is longer than the limit of {limit_bytes}")
            }
            Error::Busy { retry_after: Some(after) } => {
                write!(f, "compaction is behind, and this write was not to wait {after:?} for its turn")
            }
            Error::Busy { retry_after: None } => f.write_str(
                "writers are stopped until a flush or a merge is done, and this write was not to wait",
            ),
            Error::InvalidArgument(what) => write!(f, "{what}"),
            Error::Closed => f.write_str("the database is closed"),
            Error::KeyspaceRemoved(what) => write!(f, "the keyspace `{what}` was removed"),
            Error::ReadOnly { cause } => write!(f, "the database is read-only since a failure: {cause}"),
            Error::Panicked(what) => write!(f, "a part panicked: {what}"),
            Error::SeqNoExhausted => f.write_str("sequence numbers are used up"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => error.source(),
            Error::Log(error) => error.source(),
            Error::Table(error) => error.source(),
            _ => None,
        }
    }
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
