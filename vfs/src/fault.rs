//! A wrapper that makes chosen operations fail.
//!
//! Every operation on the file system, and on every handle made through it, is first shown to a list of rules in the
//! order in which they were added; the first that fires decides what happens. Without a rule that fires, the operation
//! goes through unchanged. A rule counts what it matches, so that "the third sync of a log" can be said, and a test can
//! run its workload once to count operations and then once for each of them.
//!
//! A failed operation is not repeated and leaves no mark on the handle: unlike a [`crate::RealVfs`] file, one that failed
//! by a rule accepts the next call. That is on purpose: an owner who wrongly retries a failed sync is told that it
//! worked, as by a kernel, and a crash then shows the loss.
//!
//! Costs: one read lock and a walk over the rules per operation.

mod handles;
mod rule;

use crate::{
    CreateOptions, DirEntry, FileLock, MappedFile, MemVfs, Operation, ReadFile, Result, Vfs, WriteFile,
};
use handles::{FaultMappedFile, FaultReadFile, FaultWriteFile};
use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub use rule::{Attempt, Fault, FaultRule};

/// A file system around another, in which chosen operations fail. A clone is the same file system.
///
/// What to write for what:
///
/// | wanted | rule |
/// | --- | --- |
/// | a dying disk | `Fault::Errno(libc::EIO)` with [`FaultRule::from_nth`] |
/// | no space, no file handles | `Fault::Error(ErrorKind::StorageFull)`, `Fault::Errno(libc::EMFILE)` |
/// | an interrupted call that nobody repeats | `Fault::Error(ErrorKind::Interrupted)`: [`crate::RealVfs`] repeats such calls itself, so that a program never sees one; one that does must take it for a failure like any other |
/// | short reads and writes | [`Fault::ShortRead`], [`Fault::ShortWrite`] |
/// | a sync after which the bytes are gone | [`Fault::SyncLosesData`] |
/// | a slow operation | [`Fault::Call`] that moves a simulated clock on, or waits |
/// | a wrong bit on the way, or at rest | [`Fault::BitFlip`], [`crate::MemVfs::corrupt`] |
/// | a power cut at this very operation | [`Fault::Call`] that takes a copy ([`crate::MemVfs::crash_keeping_everything`]), whose power is cut later |
///
/// ```
/// use terrace_vfs::{CreateOptions, Fault, FaultRule, FaultVfs, MemVfs, Operation, Vfs};
/// use std::{io, path::Path, sync::Arc};
///
/// let vfs = FaultVfs::new(Arc::new(MemVfs::new()));
/// vfs.add(FaultRule::new(Fault::Error(io::ErrorKind::StorageFull)).on(Operation::Append).nth(1));
/// let mut file = vfs.create(Path::new("log"), CreateOptions::default())?;
/// file.append(b"fits")?;
/// let error = file.append(b"does not").unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::StorageFull);
/// assert_eq!((vfs.operations(), vfs.injected()), (3, 1));
/// # Ok::<(), terrace_vfs::Error>(())
/// ```
#[derive(Clone)]
pub struct FaultVfs {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn Vfs>,
    rules: RwLock<Vec<Arc<FaultRule>>>,
    operations: AtomicU64,
    injected: AtomicU64,
}

impl FaultVfs {
    /// Wraps a file system, without rules.
    #[must_use]
    pub fn new(inner: Arc<dyn Vfs>) -> Self {
        FaultVfs {
            shared: Arc::new(Shared {
                inner,
                rules: RwLock::default(),
                operations: AtomicU64::new(0),
                injected: AtomicU64::new(0),
            }),
        }
    }

    /// Adds a rule after those that are there.
    pub fn add(&self, rule: FaultRule) {
        self.shared.rules.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(rule));
    }

    /// Removes all rules; the disk is well again.
    pub fn clear(&self) {
        self.shared.rules.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many operations (calls of the traits' methods that could fail) have been made, failed ones included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.operations.load(Ordering::Relaxed)
    }

    /// How many rules have fired.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::Relaxed)
    }

    /// Counts an operation and finds its fault. A call to be made is made here.
    fn fault(&self, operation: Operation, path: &Path) -> Option<Fault> {
        let number = self.shared.operations.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt { operation, path, number };
        // The lock is not held while conditions and calls run: they may add rules or make operations of their own.
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Every rule counts every match, also behind one that fires: its count must not depend on other rules.
        let mut first: Option<&Fault> = None;
        for rule in &rules {
            if rule.fires(&attempt) {
                first = first.or(Some(rule.fault()));
            }
        }
        let fault = first?;
        self.shared.injected.fetch_add(1, Ordering::Relaxed);
        if let Fault::Call(call) = fault {
            call(&attempt);
        }
        Some(fault.clone())
    }

    /// What a fault does to an operation that is done or not done: an error, or a call before it is done.
    fn enter(&self, operation: Operation, path: &Path) -> Result<()> {
        match self.fault(operation, path) {
            None => Ok(()),
            Some(fault) => fault.fail(operation, path),
        }
    }

    /// The file system within, when it is one that models failing syncs.
    fn mem(&self) -> Option<&MemVfs> {
        let inner: &dyn Any = &*self.shared.inner;
        inner.downcast_ref()
    }
}

impl fmt::Debug for FaultVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultVfs")
            .field("inner", &self.shared.inner)
            .field("operations", &self.operations())
            .field("injected", &self.injected())
            .finish_non_exhaustive()
    }
}

impl Vfs for FaultVfs {
    fn create(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn WriteFile>> {
        self.enter(Operation::Create, path)?;
        let file = self.shared.inner.create(path, options)?;
        Ok(Box::new(FaultWriteFile::new(self, path, file)))
    }

    fn create_mapped(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn MappedFile>> {
        self.enter(Operation::CreateMapped, path)?;
        let file = self.shared.inner.create_mapped(path, options)?;
        Ok(Box::new(FaultMappedFile::new(self, path, file)))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadFile>> {
        self.enter(Operation::Open, path)?;
        let file = self.shared.inner.open(path)?;
        Ok(Arc::new(FaultReadFile::new(self, file)))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        self.enter(Operation::List, dir)?;
        self.shared.inner.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.enter(Operation::Exists, path)?;
        self.shared.inner.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.enter(Operation::Rename, from)?;
        self.shared.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.enter(Operation::Remove, path)?;
        self.shared.inner.remove(path)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.enter(Operation::CreateDir, dir)?;
        self.shared.inner.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.enter(Operation::SyncDir, dir)?;
        self.shared.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        self.enter(Operation::Lock, path)?;
        self.shared.inner.lock(path)
    }
}
