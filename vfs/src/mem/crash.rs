//! The power cut: what a restarted machine may find.

use super::names::NameChangeKind;
use super::node::{Node, PendingKind, Reach};
use super::{MemVfs, Shared};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// A change that was made and is not durable, at the moment of a power cut.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PendingChange<'a> {
    /// Its place among the pending changes, from zero, in the order in which they were made.
    pub index: usize,
    /// The file that was changed: its latest name for changes of bytes and length, the old name for a rename.
    pub path: &'a Path,
    /// What was done.
    pub kind: ChangeKind<'a>,
}

/// What a [`PendingChange`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind<'a> {
    /// Bytes were written (appended, or stored into a map).
    Write {
        /// Where in the file.
        offset: u64,
        /// How many.
        len: usize,
    },
    /// The file's length was set: a cut, or a preallocation.
    SetLen {
        /// The length before, in bytes.
        from: u64,
        /// The length after, in bytes.
        to: u64,
    },
    /// The name was made.
    Create,
    /// The name was changed, and whatever bore the new name lost it, in one step.
    Rename {
        /// The new name.
        to: &'a Path,
    },
    /// The name was removed.
    Remove,
}

impl ChangeKind<'_> {
    /// Whether the change is to the names in a folder, which [`crate::Vfs::sync_dir`] makes durable, and not to a file.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self, ChangeKind::Create | ChangeKind::Rename { .. } | ChangeKind::Remove)
    }
}

/// How much of a [`PendingChange`] the restarted machine finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashFate {
    /// All of it.
    Keep,
    /// Nothing of it: bytes, length and names are as they were before.
    Lose,
    /// Of a write, the first so many bytes; the rest is as it was before. A change that is not a write is indivisible,
    /// and is lost.
    Torn(usize),
    /// Of a write, only the bytes from `start` up to `end` of it: sectors may reach a disk in any order. Bytes before
    /// that lay beyond the end of the file are zeros. A change that is not a write is lost.
    TornRange {
        /// The first byte kept, counted from the beginning of the write.
        start: usize,
        /// The byte after the last kept.
        end: usize,
    },
    /// Of a write, the growth of the file but none of the bytes, which are zeros where the file grew: what a file system
    /// does that journals lengths and not data. A change that is not a write is lost.
    LengthOnly,
}

impl CrashFate {
    fn reach(self) -> Reach {
        match self {
            CrashFate::Keep => Reach::All,
            CrashFate::Lose => Reach::Nothing,
            CrashFate::Torn(kept) => Reach::Bytes(0..kept),
            CrashFate::TornRange { start, end } => Reach::Bytes(start..end),
            CrashFate::LengthOnly => Reach::Length,
        }
    }
}

/// Up to how many pending changes [`MemVfs::crashes`] combines in every way: 1,024 power cuts.
const COMBINED_CHANGES_MAX: usize = 10;

/// One of the power cuts of [`MemVfs::crashes`], by the indexes of the changes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Kept are those whose bit is set.
    Set(u32),
    /// Kept are all before this one.
    Before(usize),
    /// Kept is this one.
    Only(usize),
    /// Lost is this one.
    Without(usize),
    /// Kept are all before this write, and the beginning of it.
    Torn { at: usize, kept: usize },
    /// Kept are all but the bytes of this write.
    Grown { at: usize },
}

impl Cut {
    fn fate(self, index: usize) -> CrashFate {
        let kept = match self {
            Cut::Set(set) => set >> index & 1 == 1,
            Cut::Before(end) => index < end,
            Cut::Only(only) => index == only,
            Cut::Without(lost) => index != lost,
            Cut::Torn { at, kept } if index == at => return CrashFate::Torn(kept),
            Cut::Torn { at, .. } => index < at,
            Cut::Grown { at } if index == at => return CrashFate::LengthOnly,
            Cut::Grown { .. } => true,
        };
        if kept { CrashFate::Keep } else { CrashFate::Lose }
    }
}

/// A pending change found in a file system.
enum Found {
    /// The index-th of the names' pending changes.
    Name(usize),
    /// The index-th pending change of a node.
    File(Arc<Node>, usize),
}

impl MemVfs {
    /// The file system as a machine finds it that restarts after a power cut now.
    ///
    /// `fate` is asked for each change that is not durable, in the order in which they were made; whatever it answers
    /// is a state that the contract of [`crate::Vfs`] allows. In the new file system everything is durable, nothing is
    /// locked and no operation has been counted. This one goes on unharmed, and so do its open files.
    #[must_use]
    pub fn crash(&self, mut fate: impl FnMut(&PendingChange<'_>) -> CrashFate) -> MemVfs {
        let crashed = self.copy(); // `fate` may look at the original, so that no lock of it is held
        let found = crashed.found();
        let mut names_kept = Vec::new();
        let mut reach: BTreeMap<*const Node, (Arc<Node>, Vec<Reach>)> = BTreeMap::new();
        for (index, found) in found.iter().enumerate() {
            let reached = crashed.with_change(index, found, |change| fate(change)).reach();
            match found {
                Found::Name(_) => names_kept.push(reached == Reach::All),
                Found::File(node, _) => {
                    let entry = reach.entry(Arc::as_ptr(node));
                    entry.or_insert_with(|| (Arc::clone(node), Vec::new())).1.push(reached);
                }
            }
        }
        for (node, reach) in reach.values() {
            node.write().settle(reach);
        }
        let mut names = crashed.names_mut();
        for node in names.nodes() {
            node.write().reboot();
        }
        names.settle(names_kept.into_iter());
        for (path, node) in &names.written {
            node.write().path.clone_from(path);
        }
        drop(names);
        crashed
    }

    /// The power cut that takes everything that was not synced.
    #[must_use]
    pub fn crash_losing_everything_unsynced(&self) -> MemVfs {
        self.crash(|_| CrashFate::Lose)
    }

    /// The death of the process (`kill -9`): whatever was written is found, and nothing is locked. What was not synced
    /// is still not: a power cut of the new file system may take it.
    #[must_use]
    pub fn crash_keeping_everything(&self) -> MemVfs {
        self.copy()
    }

    /// Power cuts now that are worth looking at, each as [`MemVfs::crash`] gives it: all combinations of kept and lost
    /// changes where there are at most ten changes, and for more, each change as the last kept, as the only one kept
    /// and as the only one lost; then each write torn in half after everything before it, and grown but empty with
    /// everything else kept. At most 1,024 + 2n for n pending changes, or 5n + 1.
    pub fn crashes(&self) -> impl Iterator<Item = MemVfs> + use<> {
        let moment = self.copy();
        let n = moment.found().len();
        let mut cuts = Vec::new();
        if n <= COMBINED_CHANGES_MAX {
            cuts.extend((0..1 << n).map(Cut::Set));
        } else {
            cuts.extend((0..=n).map(Cut::Before));
            cuts.extend((0..n).map(Cut::Only));
            cuts.extend((0..n).map(Cut::Without));
        }
        for (at, len) in moment.pending_writes() {
            cuts.push(Cut::Torn { at, kept: len / 2 });
            cuts.push(Cut::Grown { at });
        }
        cuts.into_iter().map(move |cut| moment.crash(|change| cut.fate(change.index)))
    }

    /// Index and length of each pending write.
    fn pending_writes(&self) -> Vec<(usize, usize)> {
        let mut writes = Vec::new();
        for (index, found) in self.found().iter().enumerate() {
            self.with_change(index, found, |change| {
                if let ChangeKind::Write { len, .. } = change.kind {
                    writes.push((index, len));
                }
            });
        }
        writes
    }

    /// How many changes are not durable now: how often [`MemVfs::crash`] would ask.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        self.copy().found().len()
    }

    /// The same state at one moment, with files of its own that share their pages until written to.
    fn copy(&self) -> MemVfs {
        let names = self.names_mut(); // exclusively: no change is half done
        let mut copies: BTreeMap<*const Node, Arc<Node>> = BTreeMap::new();
        let copied = names.map(|node| {
            let copy = copies.entry(Arc::as_ptr(node));
            Arc::clone(copy.or_insert_with(|| Arc::new(Node::from_state(node.read().clone()))))
        });
        MemVfs {
            shared: Arc::new(Shared {
                names: RwLock::new(copied),
                sequence: AtomicU64::new(self.shared.sequence.load(Ordering::Relaxed)),
                operations: AtomicU64::new(0),
            }),
        }
    }

    /// All pending changes in the order in which they were made.
    fn found(&self) -> Vec<Found> {
        let names = self.names();
        let mut found: Vec<(u64, Found)> = Vec::new();
        for (index, change) in names.pending.iter().enumerate() {
            found.push((change.sequence, Found::Name(index)));
        }
        let nodes: BTreeMap<*const Node, &Arc<Node>> = names.nodes().map(|n| (Arc::as_ptr(n), n)).collect();
        for node in nodes.into_values() {
            for (index, change) in node.read().pending.iter().enumerate() {
                found.push((change.sequence, Found::File(Arc::clone(node), index)));
            }
        }
        found.sort_by_key(|(sequence, _)| *sequence);
        found.into_iter().map(|(_, found)| found).collect()
    }

    /// Shows one pending change.
    fn with_change<R>(&self, index: usize, found: &Found, show: impl FnOnce(&PendingChange<'_>) -> R) -> R {
        match found {
            Found::Name(at) => {
                let names = self.names();
                let (path, kind) = match &names.pending[*at].kind {
                    NameChangeKind::Create { path } => (path, ChangeKind::Create),
                    NameChangeKind::Rename { from, to } => (from, ChangeKind::Rename { to }),
                    NameChangeKind::Remove { path } => (path, ChangeKind::Remove),
                };
                show(&PendingChange { index, path, kind })
            }
            Found::File(node, at) => {
                let state = node.read();
                let kind = match &state.pending[*at].kind {
                    PendingKind::Write { offset, bytes } => {
                        ChangeKind::Write { offset: *offset, len: bytes.len() }
                    }
                    PendingKind::SetLen { from, to } => ChangeKind::SetLen { from: *from, to: *to },
                };
                show(&PendingChange { index, path: &state.path, kind })
            }
        }
    }
}
