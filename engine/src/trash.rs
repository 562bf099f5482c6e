//! Files that nothing needs any more, removed in the background by whoever let go of them last.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::Vfs;

use crate::names::FileName;
use crate::seam::executor::{Executor, Lane, Step};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Takes paths from destructors, which must not do I/O themselves: the last reader of a table may be in the middle of a look-up.
#[derive(Debug)]
pub(crate) struct Trash {
    vfs: Arc<dyn Vfs>,
    executor: Arc<dyn Executor>,
    paths: Mutex<Vec<PathBuf>>,
    ghosts: Mutex<Ghosts>,
}

/// Obsolete tables whose files may be there still, or again after a power cut (see `origin.rs`).
#[derive(Debug, Default)]
struct Ghosts {
    there: BTreeSet<u64>,
    /// Removed, but the folder was not synced since.
    removed: BTreeSet<u64>,
    /// An empty table whose note names ghosts that no other note may name.
    marker: Option<u64>,
}

impl Trash {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new(Trash { vfs, executor, paths: Mutex::default(), ghosts: Mutex::default() })
    }

    pub(crate) fn throw(self: &Arc<Self>, path: PathBuf) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.push(path);
        let first = paths.len() == 1;
        drop(paths);
        if first {
            let trash = Arc::clone(self);
            self.executor.spawn(Lane::Maintenance, Box::new(move || trash.empty_one()));
        }
    }

    /// One file a step: on some systems the removal of a large file takes milliseconds.
    fn empty_one(&self) -> Step {
        let path = self.paths.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(path) = path else { return Step::Done };
        // What is not removed is an orphan now and goes at the next open. A file system from outside may even panic: the rest of the
        // trash is still to be emptied, here or at close.
        match catch_unwind(AssertUnwindSafe(|| self.vfs.remove(&path))) {
            Ok(Ok(())) => {
                if let Some(number) = table_number(&path) {
                    let mut ghosts = self.ghosts();
                    if ghosts.there.remove(&number) {
                        ghosts.removed.insert(number);
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "an obsolete file was not removed"),
            Err(_) => tracing::warn!(path = %path.display(), "the removal of an obsolete file panicked"),
        }
        Step::Again
    }

    fn ghosts(&self) -> MutexGuard<'_, Ghosts> {
        self.ghosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the manifest names this table no more.
    pub(crate) fn haunted_by(&self, table: u64) {
        self.ghosts().there.insert(table);
    }

    /// Obsolete tables that may be there or come back, ascending.
    pub(crate) fn ghost_numbers(&self) -> Vec<u64> {
        let ghosts = self.ghosts();
        ghosts.there.union(&ghosts.removed).copied().collect()
    }

    /// Syncs the folder; what was removed before is then gone for good.
    pub(crate) fn sync_dir(&self, dir: &Path) -> terrace_vfs::Result<()> {
        let removed = self.ghosts().removed.clone();
        self.vfs.sync_dir(dir)?;
        self.ghosts().removed.retain(|number| !removed.contains(number));
        Ok(())
    }

    /// A marker is in force; the one before it, which names less, may go.
    pub(crate) fn replace_marker(self: &Arc<Self>, dir: &Path, marker: u64) {
        let before = self.ghosts().marker.replace(marker);
        if let Some(before) = before {
            self.throw(FileName::Table(before).in_dir(dir));
        }
    }

    /// At close: when everything that the marker names is durably removed, so may be the marker.
    pub(crate) fn remove_marker(&self, dir: &Path) {
        let Some(marker) = self.ghosts().marker.take() else { return };
        if self.sync_dir(dir).is_ok() && self.ghost_numbers().is_empty() {
            // What can not be removed is an orphan that goes at the next open.
            let _ = self.vfs.remove(&FileName::Table(marker).in_dir(dir));
        }
    }

    /// Removes what is left, at close.
    pub(crate) fn empty(&self) {
        while self.empty_one() == Step::Again {}
    }
}

fn table_number(path: &Path) -> Option<u64> {
    match FileName::parse(path.file_name()?.to_str()?)? {
        FileName::Table(number) => Some(number),
        _ => None,
    }
}
