//! What went wrong, in which table, where.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a table.
///
/// A reader stays usable after any of these: the next call tries again from the start. A writer that failed to write
/// ([`Error::File`]) refuses everything afterwards with [`Error::WriterFailed`]; after any other error it can go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    File(terrace_vfs::Error),

    /// The bytes can not be what a writer wrote.
    Corruption {
        /// Which file.
        file: PathBuf,
        /// Where in it the damaged region begins: a block, the footer, or the end of what is there.
        offset: u64,
        /// What is wrong with it.
        what: Cow<'static, str>,
    },

    /// The table was written by a later version of the format.
    UnsupportedVersion {
        /// Which file.
        file: PathBuf,
        /// The version that it names.
        found: u32,
        /// The greatest version that this build reads.
        supported: u32,
    },

    /// The table uses a part of the format that this build does not know (a flag, a compression).
    UnknownPart {
        /// Which file.
        file: PathBuf,
        /// Where it says so.
        offset: u64,
        /// What it uses, with the number that was found.
        what: String,
    },

    /// A codec that this crate has but that is not compiled in; turning on the feature cures it.
    NotCompiledIn {
        /// Which file, when reading.
        file: Option<PathBuf>,
        /// What was asked for.
        what: &'static str,
        /// The feature that brings it.
        feature: &'static str,
    },

    /// The filter is damaged or of a kind that is not known here.
    Filter {
        /// Which file, when reading.
        file: Option<PathBuf>,
        /// What the filter's crate says.
        source: terrace_bloom::FilterError,
    },

    /// A version was added that is not after the last one.
    OutOfOrder {
        /// The version refused, printed.
        key: String,
        /// The last version accepted, printed.
        previous: String,
    },

    /// A key, a value or the index is larger than the format allows.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },

    /// The writer failed before; what it wrote is no table.
    WriterFailed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File(error) => error.fmt(f),
            Error::Corruption { file, offset, what } => {
                write!(f, "damaged table {} at offset {offset}: {what}", file.display())
            }
            Error::UnsupportedVersion { file, found, supported } => write!(
                f,
                "table {} has format version {found}; this build reads up to version {supported}",
                file.display()
            ),
            Error::UnknownPart { file, offset, what } => write!(
                f,
                "table {} at offset {offset} uses {what}, which this build does not know",
                file.display()
            ),
            Error::NotCompiledIn { file, what, feature } => write!(
                f,
                "{what} needs the feature `{feature}` of terrace-sstable{}",
                file.as_ref().map(|f| format!(" (table {})", f.display())).unwrap_or_default()
            ),
            Error::Filter { file, source } => write!(
                f,
                "filter of table{}: {source}",
                file.as_ref().map(|f| format!(" {}", f.display())).unwrap_or_default()
            ),
            Error::OutOfOrder { key, previous } => {
                write!(f, "{key} was added after {previous}: versions come in strictly ascending order")
            }
            Error::TooLarge { what, bytes, bytes_max } => {
                write!(f, "{what} of {bytes} bytes exceeds the limit of {bytes_max}")
            }
            Error::WriterFailed => f.write_str("this table writer failed earlier and writes no more"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File(error) => error.source(),
            Error::Filter { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<terrace_vfs::Error> for Error {
    fn from(error: terrace_vfs::Error) -> Self {
        Error::File(error)
    }
}

impl Error {
    /// Whether bytes are damaged (as against an operation that failed or a build that lacks a part).
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(
            self,
            Error::Corruption { .. }
                | Error::Filter { source: terrace_bloom::FilterError::Damaged { .. }, .. }
        )
    }
}
