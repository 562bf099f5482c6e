//! The names of files: which are written, which are durable, and the changes between the two.
//!
//! A change assigns to one name (make, remove) or to two at once (rename, which is therefore atomic). Any subset of the
//! pending changes may reach the disk, as in the abstract file system of Pillai et al., "All File Systems Are Not
//! Created Equal" (OSDI 2014), except that [`Names::sync_dir`] makes durable all changes of its folder together with
//! the earlier ones they build on.
//!
//! Folders are durable when they are made, as the trait asks, and are never renamed or removed.

use super::node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type NameMap = BTreeMap<PathBuf, Arc<Node>>;

#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) written: NameMap,
    pub(super) durable: NameMap,
    pub(super) pending: Vec<NameChange>,
}

/// A change of names that is not durable.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) sequence: u64,
    pub(super) node: Arc<Node>,
    pub(super) kind: NameChangeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NameChangeKind {
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
}

impl NameChange {
    /// The names that it assigns to.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (one, other) = match &self.kind {
            NameChangeKind::Create { path } | NameChangeKind::Remove { path } => (path, None),
            NameChangeKind::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }

    fn apply(&self, names: &mut NameMap) {
        match &self.kind {
            NameChangeKind::Create { path } => {
                names.insert(path.clone(), Arc::clone(&self.node));
            }
            NameChangeKind::Remove { path } => {
                names.remove(path);
            }
            NameChangeKind::Rename { from, to } => {
                // The file moves from whatever name it bears: when an earlier rename was lost and this one was not, it
                // must not end up with two names.
                if names.get(from).is_some_and(|node| Arc::ptr_eq(node, &self.node)) {
                    names.remove(from);
                } else {
                    names.retain(|_, node| !Arc::ptr_eq(node, &self.node));
                }
                names.insert(to.clone(), Arc::clone(&self.node));
            }
        }
    }
}

impl Names {
    pub(super) fn is_dir(&self, path: &Path) -> bool {
        // The roots ("/", the current folder, a drive) have no parent and are always there.
        path.parent().is_none() || self.dirs.contains(path)
    }

    /// Makes a change, pending until its folder is synced.
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.written);
        self.pending.push(change);
    }

    /// Makes the names in `dir` durable.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        // A change that is made durable takes with it the earlier ones to the same names: left behind, they would be
        // replayed over it by the next crash. Hence from the newest to the oldest.
        let mut reached: BTreeSet<&PathBuf> = BTreeSet::new();
        let mut chosen = vec![false; self.pending.len()];
        for (change, chosen) in self.pending.iter().zip(&mut chosen).rev() {
            if change.paths().any(|path| path.parent() == Some(dir) || reached.contains(path)) {
                reached.extend(change.paths());
                *chosen = true;
            }
        }
        for (change, _) in self.pending.iter().zip(&chosen).filter(|(_, chosen)| **chosen) {
            change.apply(&mut self.durable);
        }
        let mut chosen = chosen.into_iter();
        self.pending.retain(|_| !chosen.next().expect("as many as there are changes"));
    }

    /// The power cut: the chosen changes become durable, the others never were.
    pub(super) fn settle(&mut self, kept: impl Iterator<Item = bool>) {
        for (change, kept) in std::mem::take(&mut self.pending).into_iter().zip(kept) {
            if kept {
                change.apply(&mut self.durable);
            }
        }
        self.written = self.durable.clone();
    }

    /// Every file that has, had or may get back a name.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        let pending = self.pending.iter().map(|change| &change.node);
        self.written.values().chain(self.durable.values()).chain(pending)
    }

    /// The same names over other nodes.
    pub(super) fn map(&self, mut node: impl FnMut(&Arc<Node>) -> Arc<Node>) -> Names {
        let mut names = |from: &NameMap| from.iter().map(|(path, n)| (path.clone(), node(n))).collect();
        Names {
            dirs: self.dirs.clone(),
            written: names(&self.written),
            durable: names(&self.durable),
            pending: self
                .pending
                .iter()
                .map(|change| NameChange { node: node(&change.node), ..change.clone() })
                .collect(),
        }
    }
}
