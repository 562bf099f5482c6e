//! Files that nothing needs any more, removed in the background by whoever let go of them last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::Vfs;

use crate::explain::HeldFiles;
use crate::names::FileName;
use crate::seam::executor::{Executor, Lane, Step};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Takes paths from destructors, which must not do I/O themselves: the last reader of a table may be in the middle of a look-up.
#[derive(Debug)]
pub(crate) struct Trash {
    vfs: Arc<dyn Vfs>,
    executor: Arc<dyn Executor>,
    bin: Mutex<Bin>,
    ghosts: Mutex<Ghosts>,
}

#[derive(Debug, Default)]
struct Bin {
    paths: Vec<PathBuf>,
    /// Taken out of `paths` and being removed.
    removing: usize,
}

/// Obsolete tables whose files may be there still, or again after a power cut (see `origin.rs`).
#[derive(Debug, Default)]
struct Ghosts {
    there: BTreeMap<u64, Ghost>,
    /// Removed, but the folder was not synced since.
    removed: BTreeSet<u64>,
    /// An empty table whose note names ghosts that no other note may name.
    marker: Option<u64>,
}

#[derive(Debug)]
struct Ghost {
    file_bytes: u64,
    /// Whether nobody reads it any more.
    let_go: bool,
}

impl Trash {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new(Trash { vfs, executor, bin: Mutex::default(), ghosts: Mutex::default() })
    }

    pub(crate) fn throw(self: &Arc<Self>, path: PathBuf) {
        if let Some(number) = table_number(&path)
            && let Some(ghost) = self.ghosts().there.get_mut(&number)
        {
            ghost.let_go = true;
        }
        let mut bin = self.bin();
        bin.paths.push(path);
        let first = bin.paths.len() == 1;
        drop(bin);
        if first {
            let trash = Arc::clone(self);
            self.executor.spawn(Lane::Maintenance, Box::new(move || trash.empty_one()));
        }
    }

    /// One file a step: on some systems the removal of a large file takes milliseconds.
    fn empty_one(&self) -> Step {
        let mut bin = self.bin();
        let Some(path) = bin.paths.pop() else { return Step::Done };
        bin.removing += 1;
        drop(bin);
        // What is not removed is an orphan now and goes at the next open. A file system from outside may even panic: the rest of the
        // trash is still to be emptied, here or at close.
        match catch_unwind(AssertUnwindSafe(|| self.vfs.remove(&path))) {
            Ok(Ok(())) => {
                if let Some(number) = table_number(&path) {
                    let mut ghosts = self.ghosts();
                    if ghosts.there.remove(&number).is_some() {
                        ghosts.removed.insert(number);
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "an obsolete file was not removed"),
            Err(_) => tracing::warn!(path = %path.display(), "the removal of an obsolete file panicked"),
        }
        self.bin().removing -= 1;
        if self.is_empty() {
            self.executor.notify();
        }
        Step::Again
    }

    /// Whether every file that was thrown away so far is removed, or could not be. What somebody reads still was not thrown away yet.
    pub(crate) fn is_empty(&self) -> bool {
        let bin = self.bin();
        bin.paths.is_empty() && bin.removing == 0
    }

    fn bin(&self) -> MutexGuard<'_, Bin> {
        self.bin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ghosts(&self) -> MutexGuard<'_, Ghosts> {
        self.ghosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the manifest names this table no more, though it may be read still.
    pub(crate) fn haunted_by(&self, table: u64, file_bytes: u64) {
        self.ghosts().there.insert(table, Ghost { file_bytes, let_go: false });
    }

    /// Says that there is the file of a table that no manifest names and nobody reads, which could not be removed.
    pub(crate) fn haunted_by_orphan(&self, table: u64) {
        self.ghosts().there.insert(table, Ghost { file_bytes: 0, let_go: true });
    }

    /// Obsolete tables that may be there or come back, ascending.
    pub(crate) fn ghost_numbers(&self) -> Vec<u64> {
        let ghosts = self.ghosts();
        let numbers: BTreeSet<u64> = ghosts.there.keys().chain(&ghosts.removed).copied().collect();
        numbers.into_iter().collect()
    }

    /// Whether this table is obsolete and its file there still.
    pub(crate) fn holds(&self, table: u64) -> bool {
        self.ghosts().there.contains_key(&table)
    }

    /// Obsolete tables that somebody reads still, and those whose files wait for their removal.
    pub(crate) fn held(&self) -> HeldFiles {
        let mut held = HeldFiles::default();
        for Ghost { file_bytes, let_go } in self.ghosts().there.values() {
            let (tables, bytes) = match let_go {
                true => (&mut held.waiting_tables, &mut held.waiting_bytes),
                false => (&mut held.read_tables, &mut held.read_bytes),
            };
            *tables += 1;
            *bytes += file_bytes;
        }
        held
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
