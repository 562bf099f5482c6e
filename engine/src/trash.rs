//! Files that nothing needs any more, removed in the background by whoever let go of them last.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use terrace_vfs::Vfs;

use crate::seam::executor::{Executor, Lane, Step};
use crate::sync::{Mutex, PoisonError};

/// Takes paths from destructors, which must not do I/O themselves: the last reader of a table may be in the middle of a look-up.
#[derive(Debug)]
pub(crate) struct Trash {
    vfs: Arc<dyn Vfs>,
    executor: Arc<dyn Executor>,
    paths: Mutex<Vec<PathBuf>>,
}

impl Trash {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new(Trash { vfs, executor, paths: Mutex::default() })
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
        if let Err(error) = self.vfs.remove(&path) {
            // It is an orphan now and goes at the next open.
            tracing::warn!(%error, "an obsolete file was not removed");
        }
        Step::Again
    }

    /// Removes what is left, at close.
    pub(crate) fn empty(&self) {
        while self.empty_one() == Step::Again {}
    }
}
