//! [`AnyLog`]: an implementation chosen by name at run time, without dynamic dispatch.

use crate::{CreateLog, Error, LogWriter, Result};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use terrace_vfs::{Chore, Vfs};

/// The name of an implementation that ships with this crate, whether or not it is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogKind {
    /// `BufferedLog`
    Buffered,
    /// `MappedLog`
    Mapped,
    /// `NullLog`
    Null,
}

impl LogKind {
    /// All of them.
    pub const ALL: [LogKind; 3] = [LogKind::Buffered, LogKind::Mapped, LogKind::Null];

    /// The name used on command lines and in reports, which is also the name of the feature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogKind::Buffered => "buffered",
            LogKind::Mapped => "mapped",
            LogKind::Null => "null",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub fn is_compiled_in(self) -> bool {
        match self {
            LogKind::Buffered => cfg!(feature = "buffered"),
            LogKind::Mapped => cfg!(feature = "mapped"),
            LogKind::Null => cfg!(feature = "null"),
        }
    }

    /// Whether such a log leaves a file behind.
    #[must_use]
    pub fn keeps(self) -> bool {
        self != LogKind::Null
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LogKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = LogKind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::UnknownKind { name: name.to_owned() })
    }
}

/// One of the logs of this build, chosen at run time: [`LogWriter`]'s methods with a `create` that is told which.
///
/// Cost: one well-predicted branch per call.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyLog {
    /// A [`crate::BufferedLog`].
    #[cfg(feature = "buffered")]
    Buffered(crate::BufferedLog),
    /// A [`crate::MappedLog`].
    #[cfg(feature = "mapped")]
    Mapped(crate::MappedLog),
    /// A [`crate::NullLog`].
    #[cfg(feature = "null")]
    Null(crate::NullLog),
}

/// Calls the same method on whichever it is.
macro_rules! each {
    ($self:expr, $log:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "buffered")]
            AnyLog::Buffered($log) => $call,
            #[cfg(feature = "mapped")]
            AnyLog::Mapped($log) => $call,
            #[cfg(feature = "null")]
            AnyLog::Null($log) => $call,
        }
    };
}

impl AnyLog {
    /// Makes a log of this kind at `path`; see [`LogWriter::create`].
    ///
    /// # Errors
    ///
    /// [`Error::NotCompiledIn`], before anything is touched; and the implementation's.
    pub fn create(kind: LogKind, vfs: &Arc<dyn Vfs>, path: &Path, options: CreateLog) -> Result<Self> {
        match kind {
            #[cfg(feature = "buffered")]
            LogKind::Buffered => crate::BufferedLog::create(vfs, path, options).map(AnyLog::Buffered),
            #[cfg(feature = "mapped")]
            LogKind::Mapped => crate::MappedLog::create(vfs, path, options).map(AnyLog::Mapped),
            #[cfg(feature = "null")]
            LogKind::Null => crate::NullLog::create(vfs, path, options).map(AnyLog::Null),
            #[cfg(not(all(feature = "buffered", feature = "mapped", feature = "null")))]
            missing => Err(Error::NotCompiledIn { kind: missing.name() }),
        }
    }

    /// Which it is.
    #[must_use]
    pub fn kind(&self) -> LogKind {
        match self {
            #[cfg(feature = "buffered")]
            AnyLog::Buffered(_) => LogKind::Buffered,
            #[cfg(feature = "mapped")]
            AnyLog::Mapped(_) => LogKind::Mapped,
            #[cfg(feature = "null")]
            AnyLog::Null(_) => LogKind::Null,
        }
    }

    /// See [`LogWriter::append`].
    #[inline]
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<u64> {
        each!(self, log => log.append(parts))
    }

    /// See [`LogWriter::chore`].
    #[inline]
    pub fn chore(&mut self) -> Option<Chore> {
        each!(self, log => log.chore())
    }

    /// See [`LogWriter::last_chore`].
    pub fn last_chore(&mut self) -> Option<Chore> {
        each!(self, log => log.last_chore())
    }

    /// See [`LogWriter::hand_over`].
    #[inline]
    pub fn hand_over(&mut self) -> Result<()> {
        each!(self, log => log.hand_over())
    }

    /// See [`LogWriter::sync`].
    pub fn sync(&mut self) -> Result<()> {
        each!(self, log => log.sync())
    }

    /// See [`LogWriter::len_bytes`].
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        each!(self, log => log.len_bytes())
    }

    /// See [`LogWriter::synced_bytes`].
    #[must_use]
    pub fn synced_bytes(&self) -> u64 {
        each!(self, log => log.synced_bytes())
    }

    /// See [`LogWriter::close`].
    pub fn close(self) -> Result<u64> {
        each!(self, log => log.close())
    }
}
