//! What went wrong, during what, on which path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The operation that failed; also what fault rules are matched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// [`crate::Vfs::create`]
    Create,
    /// [`crate::Vfs::create_mapped`]
    CreateMapped,
    /// [`crate::Vfs::open`]
    Open,
    /// [`crate::Vfs::list`]
    List,
    /// [`crate::Vfs::exists`]
    Exists,
    /// [`crate::Vfs::rename`]
    Rename,
    /// [`crate::Vfs::remove`]
    Remove,
    /// [`crate::Vfs::create_dir_all`]
    CreateDir,
    /// [`crate::Vfs::sync_dir`]
    SyncDir,
    /// [`crate::Vfs::lock`]
    Lock,
    /// [`crate::WriteFile::append`]
    Append,
    /// [`crate::MappedFile::store`]
    Store,
    /// `sync` of a file
    Sync,
    /// Cutting a file
    Truncate,
    /// [`crate::ReadFile::read_exact_at`]
    Read,
    /// [`crate::ReadFile::len`]
    Len,
}

/// A failed file operation.
#[derive(Debug)]
pub struct Error {
    /// What was being done.
    pub operation: Operation,
    /// To which file or folder.
    pub path: PathBuf,
    /// Where in the file, for reads and writes.
    pub offset: Option<u64>,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.operation, self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Error {
    /// An error of `operation` on `path`.
    #[must_use]
    pub fn new(operation: Operation, path: &Path, source: io::Error) -> Self {
        Error { operation, path: path.to_owned(), offset: None, source }
    }

    /// The same error, saying where in the file.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The kind of the system's error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the file or folder is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// Whether somebody else holds the lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.operation == Operation::Lock && self.kind() == io::ErrorKind::WouldBlock
    }
}
