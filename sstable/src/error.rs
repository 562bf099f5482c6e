//! What went wrong, in which table, where.

use std::borrow::Cow;
use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a table.
///
/// A reader stays usable after any of these: the next call tries again from the start. A writer that failed to write
/// ([`Error::File`]) refuses everything afterwards with [`Error::WriterFailed`]; after any other error it can go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error(transparent)]
    File(#[from] terrace_vfs::Error),

    /// The bytes can not be what a writer wrote.
    #[error("damaged table {} at offset {offset}: {what}", file.display())]
    Corruption {
        /// Which file.
        file: PathBuf,
        /// Where in it the damaged region begins: a block, the footer, or the end of what is there.
        offset: u64,
        /// What is wrong with it.
        what: Cow<'static, str>,
    },

    /// The table was written by a later version of the format.
    #[error("table {} has format version {found}; this build reads up to version {supported}", file.display())]
    UnsupportedVersion {
        /// Which file.
        file: PathBuf,
        /// The version that it names.
        found: u32,
        /// The greatest version that this build reads.
        supported: u32,
    },

    /// The table uses a part of the format that this build does not know (a flag, a compression).
    #[error("table {} at offset {offset} uses {what}, which this build does not know", file.display())]
    UnknownPart {
        /// Which file.
        file: PathBuf,
        /// Where it says so.
        offset: u64,
        /// What it uses, with the number that was found.
        what: String,
    },

    /// A codec that this crate has but that is not compiled in; turning on the feature cures it.
    #[error("{what} needs the feature `{feature}` of terrace-sstable{}", file.as_ref().map(|f| format!(" (table {})", f.display())).unwrap_or_default())]
    NotCompiledIn {
        /// Which file, when reading.
        file: Option<PathBuf>,
        /// What was asked for.
        what: &'static str,
        /// The feature that brings it.
        feature: &'static str,
    },

    /// The filter is damaged or of a kind that is not known here.
    #[error("filter of table{}: {source}", file.as_ref().map(|f| format!(" {}", f.display())).unwrap_or_default())]
    Filter {
        /// Which file, when reading.
        file: Option<PathBuf>,
        /// What the filter's crate says.
        source: terrace_bloom::FilterError,
    },

    /// A version was added that is not after the last one.
    #[error("{key} was added after {previous}: versions come in strictly ascending order")]
    OutOfOrder {
        /// The version refused, printed.
        key: String,
        /// The last version accepted, printed.
        previous: String,
    },

    /// A key, a value or the index is larger than the format allows.
    #[error("{what} of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },

    /// The writer failed before; what it wrote is no table.
    #[error("this table writer failed earlier and writes no more")]
    WriterFailed,
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
