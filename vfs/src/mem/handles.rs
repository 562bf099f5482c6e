//! Open files of a [`MemVfs`]. They hold the file and not its name, so that renaming and removing do not disturb them.

use super::MemVfs;
use super::node::{Node, State};
use crate::{Error, FileLock, MappedFile, Operation, ReadFile, Result, WriteFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the three kinds of open file share.
#[derive(Debug)]
struct Open {
    vfs: MemVfs,
    node: Arc<Node>,
    path: PathBuf,
}

impl Open {
    fn new(vfs: MemVfs, node: Arc<Node>, path: &Path) -> Self {
        Open { vfs, node, path: path.to_owned() }
    }

    /// Runs a change; `change` also gets the function that numbers changes.
    fn change<R>(
        &self,
        operation: Operation,
        change: impl FnOnce(&mut State, &dyn Fn() -> u64) -> io::Result<R>,
    ) -> Result<R> {
        self.vfs.count();
        // Shared: copies of the whole file system wait until the change is done, other files do not.
        let _cut = self.vfs.names();
        let changed = change(&mut self.node.write(), &|| self.vfs.sequence());
        changed.map_err(|e| Error::new(operation, &self.path, e))
    }

    fn cut(&self, len: u64) -> Result<()> {
        self.change(Operation::Truncate, |state, sequence| {
            if len > state.written.len() {
                return Err(outside());
            }
            state.set_len(sequence(), len);
            Ok(())
        })
    }

    fn sync(&self) -> Result<()> {
        self.change(Operation::Sync, |state, _| {
            state.sync();
            Ok(())
        })
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file")
}

#[derive(Debug)]
pub(super) struct MemWriteFile {
    open: Open,
    offset: u64,
}

impl MemWriteFile {
    pub(super) fn new(vfs: MemVfs, node: Arc<Node>, path: &Path) -> Self {
        MemWriteFile { open: Open::new(vfs, node, path), offset: 0 }
    }
}

impl WriteFile for MemWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let appended = self.open.change(Operation::Append, |state, sequence| {
            let end = self.offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
            state.put(sequence(), self.offset, bytes);
            Ok(end)
        });
        self.offset = appended.map_err(|e| e.at(self.offset))?;
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn sync(&mut self) -> Result<()> {
        self.open.sync()
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.open.cut(len)?;
        self.offset = self.offset.min(len);
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct MemMappedFile {
    open: Open,
    len: u64,
}

impl MemMappedFile {
    pub(super) fn new(vfs: MemVfs, node: Arc<Node>, path: &Path, len: u64) -> Self {
        MemMappedFile { open: Open::new(vfs, node, path), len }
    }
}

impl MappedFile for MemMappedFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let stored = self.open.change(Operation::Store, |state, sequence| {
            if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.len) {
                return Err(outside());
            }
            state.put(sequence(), offset, bytes);
            Ok(())
        });
        stored.map_err(|e| e.at(offset))
    }

    fn sync(&mut self) -> Result<()> {
        self.open.sync()
    }

    fn finish(self: Box<Self>, len: u64) -> Result<()> {
        self.open.cut(len)
    }
}

#[derive(Debug)]
pub(super) struct MemReadFile {
    open: Open,
}

impl MemReadFile {
    pub(super) fn new(vfs: MemVfs, node: Arc<Node>, path: &Path) -> Self {
        MemReadFile { open: Open::new(vfs, node, path) }
    }
}

impl ReadFile for MemReadFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.open.vfs.count();
        if self.open.node.read().written.read(buf, offset) {
            return Ok(());
        }
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        Err(Error::new(Operation::Read, &self.open.path, error).at(offset))
    }

    fn len(&self) -> Result<u64> {
        self.open.vfs.count();
        Ok(self.open.node.read().written.len())
    }

    fn path(&self) -> &Path {
        &self.open.path
    }
}

/// Holds a file's lock.
#[derive(Debug)]
pub(super) struct MemLock {
    node: Arc<Node>,
}

impl MemLock {
    pub(super) fn take(node: Arc<Node>) -> io::Result<Self> {
        if node.locked.swap(true, Ordering::Acquire) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(MemLock { node })
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.node.locked.store(false, Ordering::Release);
    }
}

impl FileLock for MemLock {}
