//! Which operations fail, and how.

use crate::{Error, Operation, Result};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An operation about to be made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// To which file or folder; for a file, the path it was opened under; for a rename, the old name.
    pub path: &'a Path,
    /// How many operations were made through the file system before.
    pub number: u64,
}

/// What happens to an operation in place of, or before, its success.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// It fails with an error of this kind and has no effect.
    Error(io::ErrorKind),
    /// It fails with the system's error of this number (`libc::EIO`) and has no effect.
    Errno(i32),
    /// A read fills so many bytes and then meets the end of the file. On other operations,
    /// [`io::ErrorKind::UnexpectedEof`] without effect.
    ShortRead {
        /// Bytes that are read.
        bytes: usize,
    },
    /// An append or a store writes so many bytes and then fails. On other operations, the error without effect.
    ShortWrite {
        /// Bytes that are written.
        bytes: usize,
        /// The error's kind.
        kind: io::ErrorKind,
    },
    /// A sync of a file fails, and the file's un-synced bytes stay readable but never become durable, whatever later
    /// syncs say: what Linux file systems do. That needs a [`crate::MemVfs`] within; around another, and on other
    /// operations, it is an input/output error without effect.
    SyncLosesData,
    /// A read succeeds with one bit wrong. No effect on other operations or empty reads.
    BitFlip {
        /// Which byte of those read, modulo their number.
        byte: usize,
        /// Which bit of it, modulo eight.
        bit: u8,
    },
    /// Calls the function, then lets the operation go on: to delay it, to take a crashed copy before it, to add rules.
    Call(Arc<dyn Fn(&Attempt<'_>) + Send + Sync>),
}

impl Fault {
    /// The effect on an operation that can not be done in part.
    pub(super) fn fail(&self, operation: Operation, path: &Path) -> Result<()> {
        match self.error() {
            None => Ok(()),
            Some(source) => Err(Error::new(operation, path, source)),
        }
    }

    /// The error that it ends in, unless the operation is to go on.
    pub(super) fn error(&self) -> Option<io::Error> {
        match self {
            Fault::Error(kind) | Fault::ShortWrite { kind, .. } => Some((*kind).into()),
            Fault::Errno(number) => Some(io::Error::from_raw_os_error(*number)),
            Fault::ShortRead { .. } => Some(io::ErrorKind::UnexpectedEof.into()),
            Fault::SyncLosesData => Some(io::Error::other("injected: sync failed")),
            Fault::BitFlip { .. } | Fault::Call(_) => None,
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Error(kind) => f.debug_tuple("Error").field(kind).finish(),
            Fault::Errno(number) => f.debug_tuple("Errno").field(number).finish(),
            Fault::ShortRead { bytes } => f.debug_struct("ShortRead").field("bytes", bytes).finish(),
            Fault::ShortWrite { bytes, kind } => {
                f.debug_struct("ShortWrite").field("bytes", bytes).field("kind", kind).finish()
            }
            Fault::SyncLosesData => f.write_str("SyncLosesData"),
            Fault::BitFlip { byte, bit } => {
                f.debug_struct("BitFlip").field("byte", byte).field("bit", bit).finish()
            }
            Fault::Call(_) => f.write_str("Call(..)"),
        }
    }
}

/// Which of the matching operations a rule fires on.
#[derive(Clone, Copy, Debug)]
enum Which {
    All,
    Nth(u64),
    From(u64),
}

type Predicate = Box<dyn Fn(&Attempt<'_>) -> bool + Send + Sync>;

/// A fault and the operations it happens to: at first all of them, narrowed by each method called.
pub struct FaultRule {
    fault: Fault,
    conditions: Vec<Predicate>,
    which: Which,
    matched: AtomicU64,
}

impl FaultRule {
    /// `fault` on every operation.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        FaultRule { fault, conditions: Vec::new(), which: Which::All, matched: AtomicU64::new(0) }
    }

    /// Only on operations of this kind.
    #[must_use]
    pub fn on(self, operation: Operation) -> Self {
        self.when(move |attempt| attempt.operation == operation)
    }

    /// Only on paths that end in `name` (whole components).
    #[must_use]
    pub fn path_ends_with(self, name: impl AsRef<Path>) -> Self {
        let name = name.as_ref().to_owned();
        self.when(move |attempt| attempt.path.ends_with(&name))
    }

    /// Only where the condition holds.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Attempt<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Only on one of the operations that match, counted from zero.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.which = Which::Nth(n);
        self
    }

    /// Only on the n-th (from zero) of the operations that match and on all that follow: a disk that dies.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.which = Which::From(n);
        self
    }

    pub(super) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Counts the attempt if it matches, and says whether the fault happens to it.
    pub(super) fn fires(&self, attempt: &Attempt<'_>) -> bool {
        if !self.conditions.iter().all(|condition| condition(attempt)) {
            return false;
        }
        let before = self.matched.fetch_add(1, Ordering::Relaxed);
        match self.which {
            Which::All => true,
            Which::Nth(n) => before == n,
            Which::From(n) => before >= n,
        }
    }
}

impl fmt::Debug for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultRule")
            .field("fault", &self.fault)
            .field("which", &self.which)
            .field("matched", &self.matched)
            .finish_non_exhaustive()
    }
}
