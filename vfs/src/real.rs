//! The operating system's files.
//!
//! Departures from the plain calls, all of them towards safety:
//!
//! * a folder, a pipe or a device given where a file is wanted is an error, never a hang;
//! * `create_dir_all` syncs the parent of each folder that it makes;
//! * a file whose write, sync or cut failed once is dead: a kernel marks pages clean though they never reached the
//!   disk, so a second sync that succeeds would prove nothing (Rebello et al., "Can Applications Recover from fsync
//!   Failures?", USENIX ATC 2020);
//! * a memory map is used only where the file system holds reserved space for overwriting in place; elsewhere a
//!   store is a positional write, because a store into a map of a full disk kills the process with SIGBUS.
//!
//! Costs: `open` is an open and an fstat; a read is one pread; `append` is one pwrite; `sync` is one fdatasync;
//! a store into a map is a copy of its bytes.

mod file;
#[cfg(unix)]
mod map;
mod mapped;
mod os;
mod positional;

pub use os::set_thread_niceness;

use crate::{
    CreateOptions, DirEntry, Error, FileLock, MappedFile, Operation, ReadFile, Result, Vfs, WriteFile,
};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The operating system's file system.
///
/// Paths mean what they mean to the process. It has no state, so that any number of them are one.
///
/// ```
/// use terrace_vfs::{CreateOptions, RealVfs, Vfs};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("greeting");
/// let vfs = RealVfs::new();
/// let mut file = vfs.create(&path, CreateOptions::default())?;
/// file.append(b"hello")?;
/// file.sync()?;
/// vfs.sync_dir(dir.path())?; // only now is the name durable as well
///
/// let mut bytes = [0; 5];
/// vfs.open(&path)?.read_exact_at(&mut bytes, 0)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RealVfs;

impl RealVfs {
    /// The operating system's file system.
    #[must_use]
    pub fn new() -> Self {
        RealVfs
    }
}

impl Vfs for RealVfs {
    fn create(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn WriteFile>> {
        Ok(Box::new(file::RealWriteFile::create(path, options)?))
    }

    fn create_mapped(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn MappedFile>> {
        Ok(Box::new(mapped::RealMappedFile::create(path, options)?))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(file::RealReadFile::open(path)?))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        list(or_here(dir)).map_err(|e| Error::new(Operation::List, dir, e))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(|e| Error::new(Operation::Exists, path, e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        rename(from, to).map_err(|e| Error::new(Operation::Rename, from, e))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path).map_err(|e| Error::new(Operation::Remove, path, e))
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        create_dir_all(or_here(dir)).map_err(|e| Error::new(Operation::CreateDir, dir, e))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        os::sync_dir(or_here(dir)).map_err(|e| Error::new(Operation::SyncDir, dir, e))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>> {
        Ok(Box::new(file::RealLock::take(path)?))
    }
}

/// The parent of a relative name of one part is the empty path, which no system call takes.
fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str() == OsStr::new("") { Path::new(".") } else { dir }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn list(dir: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A link to nowhere is listed as a file, so that its owner can be told of it when opening it.
            kind = std::fs::metadata(entry.path()).map_or(kind, |m| m.file_type());
        }
        entries
            .push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir: kind.is_dir() });
    }
    entries.sort();
    Ok(entries)
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    // The system would rename a folder too; the trait promises files only, and what is open below it has no name to
    // report errors under then.
    if std::fs::symlink_metadata(from)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    std::fs::rename(from, to)
}

fn create_dir_all(dir: &Path) -> io::Result<()> {
    // From the nearest ancestor that is there downwards: a folder is durable before anything is put into it.
    let mut missing = Vec::new();
    let mut next = Some(dir);
    while let Some(path) = next {
        match std::fs::metadata(or_here(path)) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(path),
            Err(e) => return Err(e),
        }
        next = path.parent();
    }
    for path in missing.into_iter().rev() {
        match std::fs::create_dir(path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(e) => return Err(e),
        }
        if let Some(parent) = path.parent() {
            os::sync_dir(or_here(parent))?;
        }
    }
    Ok(())
}
