//! Open files of a [`FaultVfs`].

use super::{Fault, FaultVfs};
use crate::mem::NodeHandle;
use crate::{Chore, Error, MappedFile, Operation, ReadFile, Result, WriteFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a handle came from: the rules, its path, and the file itself if un-synced bytes can be taken from it.
#[derive(Debug)]
struct Origin {
    vfs: FaultVfs,
    path: PathBuf,
    node: Option<NodeHandle>,
}

impl Origin {
    fn new(vfs: &FaultVfs, path: &Path) -> Self {
        // Taken now: later the name may be another file's.
        let node = vfs.mem().and_then(|mem| mem.handle(path));
        Origin { vfs: vfs.clone(), path: path.to_owned(), node }
    }

    fn fault(&self, operation: Operation) -> Option<Fault> {
        self.vfs.fault(operation, &self.path)
    }

    fn enter(&self, operation: Operation) -> Result<()> {
        self.vfs.enter(operation, &self.path)
    }

    /// A sync about to be made.
    fn enter_sync(&self) -> Result<()> {
        let Some(fault) = self.fault(Operation::Sync) else {
            return Ok(());
        };
        if let (Fault::SyncLosesData, Some(mem), Some(node)) = (&fault, self.vfs.mem(), &self.node) {
            mem.forget_unsynced(node);
        }
        fault.fail(Operation::Sync, &self.path)
    }

    /// A write of `bytes` about to be made: an error, after `write` of the part that gets through.
    fn enter_write(
        &self,
        operation: Operation,
        offset: u64,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(fault) = self.fault(operation) else {
            return write(bytes);
        };
        match fault.error() {
            None => write(bytes),
            Some(source) => {
                if let Fault::ShortWrite { bytes: through, .. } = fault {
                    write(&bytes[..through.min(bytes.len())])?;
                }
                Err(Error::new(operation, &self.path, source).at(offset))
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct FaultWriteFile {
    origin: Origin,
    file: Box<dyn WriteFile>,
}

impl FaultWriteFile {
    pub(super) fn new(vfs: &FaultVfs, path: &Path, file: Box<dyn WriteFile>) -> Self {
        FaultWriteFile { origin: Origin::new(vfs, path), file }
    }
}

impl WriteFile for FaultWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let FaultWriteFile { origin, file } = self;
        origin.enter_write(Operation::Append, file.offset(), bytes, |bytes| file.append(bytes))
    }

    fn offset(&self) -> u64 {
        self.file.offset()
    }

    fn sync(&mut self) -> Result<()> {
        self.origin.enter_sync()?;
        self.file.sync()
    }

    fn will_sync(&mut self) {
        self.file.will_sync();
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.origin.enter(Operation::Truncate)?;
        self.file.truncate(len)
    }
}

#[derive(Debug)]
pub(super) struct FaultMappedFile {
    origin: Origin,
    file: Box<dyn MappedFile>,
}

impl FaultMappedFile {
    pub(super) fn new(vfs: &FaultVfs, path: &Path, file: Box<dyn MappedFile>) -> Self {
        FaultMappedFile { origin: Origin::new(vfs, path), file }
    }
}

impl MappedFile for FaultMappedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let FaultMappedFile { origin, file } = self;
        origin.enter_write(Operation::Store, offset, bytes, |bytes| file.store(offset, bytes))
    }

    fn chore(&mut self) -> Option<Chore> {
        self.file.chore()
    }

    fn last_chore(&mut self) -> Option<Chore> {
        self.file.last_chore()
    }

    fn sync(&mut self) -> Result<()> {
        self.origin.enter_sync()?;
        self.file.sync()
    }

    fn finish(self: Box<Self>, len: u64) -> Result<()> {
        self.origin.enter(Operation::Truncate)?;
        self.file.finish(len)
    }
}

#[derive(Debug)]
pub(super) struct FaultReadFile {
    vfs: FaultVfs,
    file: Arc<dyn ReadFile>,
}

impl FaultReadFile {
    pub(super) fn new(vfs: &FaultVfs, file: Arc<dyn ReadFile>) -> Self {
        FaultReadFile { vfs: vfs.clone(), file }
    }
}

impl ReadFile for FaultReadFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let Some(fault) = self.vfs.fault(Operation::Read, self.path()) else {
            return self.file.read_exact_at(buf, offset);
        };
        match (fault.error(), fault) {
            (None, fault) => {
                self.file.read_exact_at(buf, offset)?;
                if let (Fault::BitFlip { byte, bit }, false) = (fault, buf.is_empty()) {
                    let byte = byte % buf.len();
                    buf[byte] ^= 1 << (bit % 8);
                }
                Ok(())
            }
            (Some(source), fault) => {
                if let Fault::ShortRead { bytes } = fault {
                    let through = bytes.min(buf.len());
                    self.file.read_exact_at(&mut buf[..through], offset)?;
                }
                Err(Error::new(Operation::Read, self.path(), source).at(offset))
            }
        }
    }

    fn len(&self) -> Result<u64> {
        self.vfs.enter(Operation::Len, self.path())?;
        self.file.len()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn will_read(&self, offset: u64, len: u64) {
        self.file.will_read(offset, len);
    }
}
