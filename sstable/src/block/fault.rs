//! What is wrong with bytes, said where the file's name is not known; the reader adds file and offset.

use std::borrow::Cow;
use std::path::Path;

use crate::Error;

/// Why bytes are refused. Small, so that a hot path can return it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No writer wrote this.
    Damage(&'static str),
    /// A compression tag that no version known here has.
    UnknownCompression(u8),
    /// A flag of the footer that is not known here.
    UnknownFlags(u32),
    /// A version later than this build's.
    UnsupportedVersion(u32),
    /// A codec left out of this build.
    #[cfg_attr(feature = "lz4", expect(dead_code, reason = "every codec is compiled in"))]
    NotCompiledIn { what: &'static str, feature: &'static str },
}

impl Fault {
    /// The error to show, for a fault of what begins at `offset`.
    #[cold]
    pub(crate) fn of(self, file: &Path, offset: u64) -> Error {
        let file = file.to_owned();
        match self {
            Fault::Damage(what) => Error::Corruption { file, offset, what: Cow::Borrowed(what) },
            Fault::UnknownCompression(tag) => {
                Error::UnknownPart { file, offset, what: format!("compression {tag}") }
            }
            Fault::UnknownFlags(flags) => {
                Error::UnknownPart { file, offset, what: format!("footer flags {flags:#x}") }
            }
            Fault::UnsupportedVersion(found) => {
                Error::UnsupportedVersion { file, found, supported: super::footer::FORMAT_VERSION }
            }
            Fault::NotCompiledIn { what, feature } => {
                Error::NotCompiledIn { file: Some(file), what, feature }
            }
        }
    }
}
