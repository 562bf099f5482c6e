//! A file system in memory that knows what would survive a power cut.
//!
//! Model: for every file the bytes that were written and the bytes that are durable, and in between an ordered list of
//! un-synced changes (writes, changes of length); for the names in folders the same. Syncing a file makes its bytes
//! durable and not its name; syncing a folder makes its names durable and not their bytes. A power cut keeps an
//! arbitrary part of the un-synced changes, which the caller chooses: each may be kept, lost, or (a write) torn.
//! This is the weakest file system that the [`Vfs`] trait allows; it is stricter than ext4 or XFS on purpose.
//!
//! Source: the abstract persistence model of Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of
//! Crafting Crash-Consistent Applications" (OSDI 2014); failed syncs after Rebello et al., "Can Applications Recover from
//! fsync Failures?" (USENIX ATC 2020).
//!
//! Costs: a write copies its bytes twice (content and pending change); a sync copies them once more; a crashed copy
//! shares its pages with the original. All is lost, memory included, when the last clone and handle are dropped.
//!
//! Locking: `names` is taken shared by changes of files and exclusively by changes of names and by copies. So a copy is a
//! cut through time: what it holds was the state at one moment. A node's lock is taken after `names`, never before.

mod content;
mod crash;
mod handles;
mod names;
mod node;

use crate::{
    CreateOptions, DirEntry, Error, Existing, FileLock, MappedFile, Operation, ReadFile, Result, Vfs,
    WriteFile,
};
use handles::{MemLock, MemMappedFile, MemReadFile, MemWriteFile};
use names::{NameChange, NameChangeKind, Names};
use node::Node;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use crash::{ChangeKind, CrashFate, PendingChange};

/// A file system in memory that knows what would survive a power cut. A clone is the same file system.
///
/// Deterministic: no clock, no randomness. The root and the current folder are always there, as two different
/// folders; all others must be made.
///
/// ```
/// use terrace_vfs::{CreateOptions, MemVfs, Vfs};
/// use std::path::Path;
///
/// let vfs = MemVfs::new();
/// let mut file = vfs.create(Path::new("log"), CreateOptions::default())?;
/// file.append(b"one")?;
/// file.sync()?;
///
/// // The bytes are durable, but the name is not: nobody synced the folder.
/// assert!(!vfs.crash_losing_everything_unsynced().exists(Path::new("log"))?);
///
/// vfs.sync_dir(Path::new(""))?;
/// file.append(b"two")?;
/// assert_eq!(vfs.crash_losing_everything_unsynced().files()[Path::new("log")], b"one");
/// assert_eq!(vfs.crash_keeping_everything().files()[Path::new("log")], b"onetwo");
/// # Ok::<(), terrace_vfs::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemVfs {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    names: RwLock<Names>,
    sequence: AtomicU64,
    operations: AtomicU64,
}

impl MemVfs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> Self {
        MemVfs::default()
    }

    /// How many operations (calls of the traits' methods that could fail) have been made, failed ones included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.operations.load(Ordering::Relaxed)
    }

    /// Every file's bytes as a reader sees them now, by path.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let names = self.names();
        names.written.iter().map(|(path, node)| (path.clone(), node.read().written.to_vec())).collect()
    }

    /// Changes the bytes of a file at rest, as a failing disk does. What was written of it and not synced counts as
    /// synced afterwards.
    ///
    /// # Errors
    ///
    /// When there is no such file.
    pub fn corrupt(&self, path: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let path = normal(path);
        let node = self.node(&path).map_err(|e| Error::new(Operation::Open, &path, e))?;
        let mut bytes = node.read().written.to_vec();
        damage(&mut bytes);
        let _cut = self.names();
        node.write().replace(&bytes);
        Ok(())
    }

    /// The file's un-synced changes stay readable but will never be durable: what is left after a failed sync.
    pub(crate) fn forget_unsynced(&self, file: &NodeHandle) {
        let _cut = self.names();
        file.0.write().forget_unsynced();
    }

    /// The file behind a path, whatever happens to its name later.
    pub(crate) fn handle(&self, path: &Path) -> Option<NodeHandle> {
        self.node(&normal(path)).ok().map(NodeHandle)
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.shared.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names> {
        self.shared.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, path: &Path) -> io::Result<Arc<Node>> {
        let names = self.names();
        match names.written.get(path) {
            Some(node) => Ok(Arc::clone(node)),
            None if names.is_dir(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sequence(&self) -> u64 {
        self.shared.sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn count(&self) {
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs an operation on a path: counted, and its error named.
    fn call<R>(
        &self,
        operation: Operation,
        path: &Path,
        f: impl FnOnce(&Path) -> io::Result<R>,
    ) -> Result<R> {
        self.count();
        f(&normal(path)).map_err(|e| Error::new(operation, path, e))
    }

    /// Finds or makes a file, as `existing` says.
    fn find_or_make(&self, path: &Path, existing: Existing) -> io::Result<Arc<Node>> {
        let mut names = self.names_mut();
        if names.is_dir(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if let Some(node) = names.written.get(path) {
            match existing {
                Existing::Refuse => return Err(io::ErrorKind::AlreadyExists.into()),
                Existing::Truncate => node.write().set_len(self.sequence(), 0),
                Existing::Reuse => {}
            }
            return Ok(Arc::clone(node));
        }
        check_parent(&names, path)?;
        let node = Arc::new(Node::new(path.to_owned()));
        names.change(NameChange {
            sequence: self.sequence(),
            node: Arc::clone(&node),
            kind: NameChangeKind::Create { path: path.to_owned() },
        });
        Ok(node)
    }

    fn make(&self, path: &Path, options: CreateOptions, exactly: bool) -> io::Result<Arc<Node>> {
        let node = self.find_or_make(path, options.existing)?;
        let _cut = self.names();
        let mut state = node.write();
        let reserved = options.preallocate_bytes;
        let len = if exactly { reserved } else { reserved.max(state.written.len()) };
        state.set_len(self.sequence(), len);
        drop(state);
        Ok(node)
    }
}

/// One file of a [`MemVfs`], for the fault injector.
#[derive(Clone, Debug)]
pub(crate) struct NodeHandle(Arc<Node>);

impl fmt::Debug for MemVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.debug_struct("MemVfs")
            .field("files", &names.written.len())
            .field("folders", &names.dirs.len())
            .field("operations", &self.operations())
            .finish_non_exhaustive()
    }
}

/// The path without `.` and `..`; there are no links, so that this needs no look at the files.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn check_parent(names: &Names, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if names.is_dir(parent) => Ok(()),
        Some(parent) if names.written.contains_key(parent) => Err(io::ErrorKind::NotADirectory.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Vfs for MemVfs {
    fn create(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn WriteFile>> {
        self.call(Operation::Create, path, |at| {
            let node = self.make(at, options, false)?;
            Ok(Box::new(MemWriteFile::new(self.clone(), node, path)) as Box<dyn WriteFile>)
        })
    }

    fn create_mapped(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn MappedFile>> {
        self.call(Operation::CreateMapped, path, |at| {
            let node = self.make(at, options, true)?;
            let file = MemMappedFile::new(self.clone(), node, path, options.preallocate_bytes);
            Ok(Box::new(file) as Box<dyn MappedFile>)
        })
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadFile>> {
        self.call(Operation::Open, path, |at| {
            let node = self.node(at)?;
            Ok(Arc::new(MemReadFile::new(self.clone(), node, path)) as Arc<dyn ReadFile>)
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        self.call(Operation::List, dir, |at| {
            let names = self.names();
            if names.written.contains_key(at) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            if !names.is_dir(at) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let files = names.written.keys().map(|path| (path, false));
            let dirs = names.dirs.iter().map(|path| (path, true));
            let mut entries: Vec<DirEntry> = files
                .chain(dirs)
                .filter(|(path, _)| path.parent() == Some(at))
                .filter_map(|(path, is_dir)| {
                    Some(DirEntry { name: path.file_name()?.to_string_lossy().into_owned(), is_dir })
                })
                .collect();
            entries.sort();
            Ok(entries)
        })
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.call(Operation::Exists, path, |at| {
            let names = self.names();
            Ok(names.is_dir(at) || names.written.contains_key(at))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(Operation::Rename, from, |from| {
            let (from, to) = (from.to_owned(), normal(to));
            let mut names = self.names_mut();
            if names.is_dir(&from) || names.is_dir(&to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let node = Arc::clone(names.written.get(&from).ok_or(io::ErrorKind::NotFound)?);
            check_parent(&names, &to)?;
            if from != to {
                node.write().path.clone_from(&to);
                let kind = NameChangeKind::Rename { from, to };
                names.change(NameChange { sequence: self.sequence(), node, kind });
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.call(Operation::Remove, path, |at| {
            let mut names = self.names_mut();
            if names.is_dir(at) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let node = Arc::clone(names.written.get(at).ok_or(io::ErrorKind::NotFound)?);
            let kind = NameChangeKind::Remove { path: at.to_owned() };
            names.change(NameChange { sequence: self.sequence(), node, kind });
            Ok(())
        })
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.call(Operation::CreateDir, dir, |at| {
            let mut names = self.names_mut();
            let ancestors: Vec<&Path> = at.ancestors().filter(|path| path.parent().is_some()).collect();
            if ancestors.iter().any(|path| names.written.contains_key(*path)) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            names.dirs.extend(ancestors.into_iter().map(Path::to_owned));
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.call(Operation::SyncDir, dir, |at| {
            let mut names = self.names_mut();
            if names.written.contains_key(at) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            if !names.is_dir(at) {
                return Err(io::ErrorKind::NotFound.into());
            }
            names.sync_dir(at);
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        self.call(Operation::Lock, path, |at| {
            let node = self.find_or_make(at, Existing::Reuse)?;
            Ok(Box::new(MemLock::take(node)?) as Box<dyn FileLock>)
        })
    }
}
