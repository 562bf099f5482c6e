//! What can be wrong with a trace.

use core::fmt;

/// Why a trace can not be read, or not any further.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The bytes could not be had.
    Io {
        /// Where in the file.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    NotATrace,
    /// The file is of a version, or has a hash, that this library does not know.
    Unsupported {
        /// What it does not know.
        what: &'static str,
        /// What the file has there.
        found: u8,
    },
    /// The file has bytes in it that nobody wrote there.
    Damaged {
        /// Where in the file: the start of the header or block that is wrong.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { offset, source } => write!(f, "reading the trace at offset {offset}: {source}"),
            Error::NotATrace => write!(f, "this is no trace"),
            Error::Unsupported { what, found } => {
                write!(f, "a trace with {what} {found}, which is not known here")
            }
            Error::Damaged { offset, what } => write!(f, "the trace is damaged at offset {offset}: {what}"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
