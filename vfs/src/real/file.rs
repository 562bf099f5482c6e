//! Files of the operating system: appended to, read, locked.

use super::os;
use super::positional::PositionalFile;
use crate::{CreateOptions, Error, Existing, FileLock, Operation, ReadFile, Result, WriteFile};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What every call on a file says after one has failed.
pub(super) fn dead() -> io::Error {
    io::Error::other("an earlier write, sync or cut of this file failed, so that its state is unknown")
}

/// Makes or opens a file to write to, `reserve_bytes` long or as long as it was. A file that was made is removed again
/// when the space is not there, and one that was there gets its length back.
pub(super) fn create(path: &Path, options: CreateOptions) -> io::Result<(PositionalFile, os::Reservation)> {
    let mut open = os::options();
    open.read(true).write(true);
    match options.existing {
        Existing::Refuse => open.create_new(true),
        Existing::Truncate => open.create(true).truncate(true),
        Existing::Reuse => open.create(true).truncate(false),
    };
    let file = os::open(&open, path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_a_file(found.is_dir()));
    }
    match os::reserve(&file, options.preallocate_bytes) {
        Ok(reservation) => Ok((PositionalFile::new(file), reservation)),
        Err(error) => {
            // Best effort: the first error is the one that the caller must see.
            let _ = file.set_len(found.len());
            if options.existing == Existing::Refuse {
                #[expect(clippy::disallowed_methods, reason = "this is the door")]
                let _ = std::fs::remove_file(path);
            }
            Err(error)
        }
    }
}

fn not_a_file(is_dir: bool) -> io::Error {
    if is_dir {
        io::ErrorKind::IsADirectory.into()
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder")
    }
}

/// A file being appended to.
#[derive(Debug)]
pub(super) struct RealWriteFile {
    file: PositionalFile,
    path: PathBuf,
    offset: u64,
    /// Up to here the system was told to begin writing out.
    announced: u64,
    dead: bool,
}

impl RealWriteFile {
    pub(super) fn create(path: &Path, options: CreateOptions) -> Result<Self> {
        let (file, _) = create(path, options).map_err(|e| Error::new(Operation::Create, path, e))?;
        Ok(RealWriteFile { file, path: path.to_owned(), offset: 0, announced: 0, dead: false })
    }

    /// Runs one call; any failure is the last.
    fn call(
        &mut self,
        operation: Operation,
        f: impl FnOnce(&PositionalFile) -> io::Result<()>,
    ) -> Result<()> {
        let answer = if self.dead { Err(dead()) } else { f(&self.file) };
        answer.map_err(|source| {
            self.dead = true;
            Error::new(operation, &self.path, source).at(self.offset)
        })
    }
}

impl WriteFile for RealWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let offset = self.offset;
        self.call(Operation::Append, |file| file.write_all_at(bytes, offset))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn sync(&mut self) -> Result<()> {
        self.call(Operation::Sync, PositionalFile::sync_data)?;
        self.announced = self.offset;
        Ok(())
    }

    fn will_sync(&mut self) {
        let (begin, end) = (self.announced, self.offset);
        if !self.dead && begin < end {
            self.file.with(|file| os::begin_sync(file, begin, end - begin));
            self.announced = end;
        }
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.call(Operation::Truncate, |file| {
            if len > file.metadata()?.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "cut beyond the end of the file"));
            }
            file.set_len(len)
        })?;
        self.offset = self.offset.min(len);
        self.announced = self.announced.min(len);
        Ok(())
    }
}

/// A file being read.
#[derive(Debug)]
pub(super) struct RealReadFile {
    file: PositionalFile,
    path: PathBuf,
}

impl RealReadFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = os::open(os::options().read(true), path)?;
            let found = file.metadata()?;
            if found.is_file() { Ok(file) } else { Err(not_a_file(found.is_dir())) }
        };
        let file = open().map_err(|e| Error::new(Operation::Open, path, e))?;
        Ok(RealReadFile { file: PositionalFile::new(file), path: path.to_owned() })
    }
}

impl ReadFile for RealReadFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buf, offset)
            .map_err(|e| Error::new(Operation::Read, &self.path, e).at(offset))
    }

    fn len(&self) -> Result<u64> {
        let found = self.file.metadata().map_err(|e| Error::new(Operation::Len, &self.path, e))?;
        Ok(found.len())
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn will_read(&self, offset: u64, len: u64) {
        self.file.with(|file| os::will_read(file, offset, len));
    }
}

/// The lock belongs to the open file, and goes when the last handle of that is closed, or when it is given up. A process that another thread of ours has just begun
/// has all our handles until it runs its program, so it is given up.
#[derive(Debug)]
pub(super) struct RealLock {
    file: File,
}

impl RealLock {
    pub(super) fn take(path: &Path) -> Result<Self> {
        let take = || {
            let file = os::open(os::options().read(true).write(true).create(true).truncate(false), path)?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(e)) => Err(e),
            }
        };
        let file = take().map_err(|e| Error::new(Operation::Lock, path, e))?;
        Ok(RealLock { file })
    }
}

impl Drop for RealLock {
    fn drop(&mut self) {
        // If that fails, it goes with the file.
        let _ = self.file.unlock();
    }
}

impl FileLock for RealLock {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// A file that refuses every call: the writing end of a pipe has no positions, no length and no sync.
    fn broken() -> (std::io::PipeReader, RealWriteFile) {
        let (reader, writer) = std::io::pipe().unwrap();
        let file = PositionalFile::new(File::from(OwnedFd::from(writer)));
        (reader, RealWriteFile { file, path: PathBuf::from("p"), offset: 7, announced: 0, dead: false })
    }

    #[test]
    fn a_lock_ends_with_its_holder_even_if_a_process_just_begun_has_the_file_still() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let lock = RealLock::take(&path).unwrap();
        // As a fork has it until the new process runs its program.
        let copy = lock.file.try_clone().unwrap();
        assert!(RealLock::take(&path).is_err(), "it is held");
        drop(lock);
        assert!(RealLock::take(&path).is_ok(), "nobody holds it any more");
        drop(copy);
    }

    #[test]
    fn a_hint_that_the_system_refuses_harms_nobody() {
        let (_reader, mut file) = broken();
        file.will_sync();
        assert!(!file.dead);
        let dir = tempfile::tempdir().unwrap();
        let mut file = RealWriteFile::create(&dir.path().join("f"), CreateOptions::default()).unwrap();
        file.append(&[1; 9000]).unwrap();
        file.will_sync();
        assert_eq!(file.announced, 9000);
        file.truncate(100).unwrap();
        assert_eq!(file.announced, 100, "what is appended after a cut is to be written out too");
        file.append(&[2; 9000]).unwrap();
        file.will_sync();
        file.sync().unwrap();
        assert_eq!((file.announced, file.file.metadata().unwrap().len()), (9100, 9100));
    }

    #[test]
    fn a_file_is_dead_after_any_failure() {
        type Call = fn(&mut RealWriteFile) -> Result<()>;
        let calls: [(Operation, Call); 3] = [
            (Operation::Append, |file| file.append(b"x")),
            (Operation::Sync, |file| file.sync()),
            (Operation::Truncate, |file| file.truncate(0)),
        ];
        let healthy = tempfile::tempdir().unwrap();
        for (i, (operation, call)) in calls.into_iter().enumerate() {
            let (_reader, mut file) = broken();
            let error = call(&mut file).unwrap_err();
            assert_eq!((error.operation, error.offset), (operation, Some(7)));
            assert_ne!(error.source.to_string(), dead().to_string(), "the first error is the system's");
            // Even when the disk is well again.
            let path = healthy.path().join(i.to_string());
            file.file = RealWriteFile::create(&path, CreateOptions::default()).unwrap().file;
            for (operation, call) in calls {
                let error = call(&mut file).unwrap_err();
                assert_eq!(error.operation, operation);
                assert_eq!(error.source.to_string(), dead().to_string());
            }
            assert_eq!(file.offset(), 7);
            assert_eq!(file.file.metadata().unwrap().len(), 0);
        }
    }
}
