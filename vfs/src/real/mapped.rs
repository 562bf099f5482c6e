//! A file of fixed length that is stored into: through a memory map where that is safe, by writes elsewhere.
//!
//! A store into a map costs a copy and no system call, and the pages belong to the kernel at once, so that it survives
//! the death of the process exactly as a write does. Its danger: a page without space behind it kills the process when
//! it is stored to. So the space is reserved first, and a map is made only where the file system overwrites reserved
//! space in place (ext2 to ext4, XFS, tmpfs); on all others the same trait is served by positional writes.
//!
//! After a sync the next stores are writes all the same. The sync took from the map the right to be stored to, so that the first store would be a page fault, which takes as long as
//! a write; and a fault makes dirty all that the system caches together, up to megabytes of a file that is reused, where a write does that to the blocks it
//! touches. The next sync would write all of it. Writes and the map see each other's bytes, both being the page cache.
//!
//! And where little was stored before a sync, a fresh file gets zeros ahead of the stores. Space that is only reserved makes the first sync of each block wait for the file system to note
//! that it now holds something (a transaction of its journal); so that is done for many blocks at once.
//!
//! Invariant *space*: while `map` is `Some`, the file is at least `len` bytes long and all of it is reserved; nothing
//! here cuts the file before `map` is `None`, after which nobody stores (a chore may still hold the mapping, and touches no page of it). What is left is what no map can promise: when a stranger cuts the file
//! under us, or the disk fails to read a page of a reused file, the system answers a store with SIGBUS.

use super::file::{create, dead};
#[cfg(unix)]
use super::map::Map;
#[cfg(unix)]
use super::os;
use super::positional::PositionalFile;
#[cfg(unix)]
use crate::{Chore, Existing};
use crate::{CreateOptions, Error, MappedFile, Operation, Result};
use std::io;
use std::path::{Path, PathBuf};

/// So many stores after a sync are writes: whoever syncs each of its stores, or every few of them, has no need for the map, and whoever does not is soon back to it.
#[cfg(unix)]
const WRITES_AFTER_SYNC: u8 = 4;
/// Written ahead: so much, and once for all the syncs of its blocks.
#[cfg(unix)]
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Whoever stores more than this from one sync to the next writes many blocks with each anyway.
#[cfg(unix)]
const LITTLE: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct RealMappedFile {
    #[cfg(unix)]
    map: Option<Map>,
    /// Whether it was synced since the last chore.
    #[cfg(unix)]
    synced: bool,
    /// So many of the next stores are writes.
    #[cfg(unix)]
    writes_left: u8,
    #[cfg(unix)]
    ahead: Ahead,
    file: PositionalFile,
    path: PathBuf,
    len: u64,
    dead: bool,
}

/// How far a file is stored to and written.
#[cfg(unix)]
#[derive(Debug, Default)]
struct Ahead {
    /// The blocks of a reused file hold something already.
    fresh: bool,
    /// Invariant *untouched*: nothing was stored from here on.
    stored: u64,
    /// What was stored at the last sync.
    synced: u64,
    /// Whether little was stored between the last two syncs.
    little: bool,
    /// Zeros are written up to here.
    zeros: u64,
}

#[cfg(unix)]
impl Ahead {
    fn note_sync(&mut self) {
        self.little = self.stored - self.synced <= LITTLE;
        self.synced = self.stored;
    }

    /// Where zeros are to be written, in a file so long.
    fn wanted(&self, len: u64) -> Option<(u64, u64)> {
        if !self.fresh || !self.little || self.stored <= self.zeros {
            return None;
        }
        let end = (self.stored + ZEROS.len() as u64).min(len);
        // Whole blocks, save at the end of the file.
        let end = if end == len { end } else { end & !0xfff };
        (end > self.stored).then_some((self.stored, end))
    }
}

impl RealMappedFile {
    pub(super) fn create(path: &Path, options: CreateOptions) -> Result<Self> {
        let error = |e| Error::new(Operation::CreateMapped, path, e);
        let len = options.preallocate_bytes;
        #[cfg_attr(not(unix), expect(unused_variables, reason = "only a map needs to know"))]
        let (file, reservation) = create(path, options).map_err(error)?;
        if file.metadata().map_err(error)?.len() > len {
            file.set_len(len).map_err(error)?; // a longer file that is reused
        }
        #[cfg(unix)]
        let fresh = options.existing != Existing::Reuse;
        #[cfg(unix)]
        let safe = len > 0
            && reservation == os::Reservation::Held
            && file.with(|file| os::overwrites_in_place(file, fresh));
        Ok(RealMappedFile {
            // A refused map (no address space, no maps here) costs speed and nothing else.
            #[cfg(unix)]
            map: if safe { file.with(|f| Map::new(f, len)).ok() } else { None },
            #[cfg(unix)]
            synced: false,
            #[cfg(unix)]
            writes_left: 0,
            #[cfg(unix)]
            ahead: Ahead { fresh: fresh && safe, ..Ahead::default() },
            file,
            path: path.to_owned(),
            len,
            dead: false,
        })
    }

    fn store_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(unix)]
        if self.writes_left == 0
            && let Some(map) = &mut self.map
        {
            if !map.store(offset, bytes) {
                return Err(outside());
            }
            self.ahead.stored = self.ahead.stored.max(offset + bytes.len() as u64);
            return Ok(());
        }
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.len) {
            return Err(outside());
        }
        #[cfg(unix)]
        {
            self.writes_left = self.writes_left.saturating_sub(1);
        }
        let mut written = self.file.write_all_at(bytes, offset);
        #[cfg(unix)]
        if written.is_ok() {
            self.ahead.stored = self.ahead.stored.max(offset + bytes.len() as u64);
            written = self.write_zeros_ahead();
        }
        self.dead = written.is_err();
        written
    }

    #[cfg(unix)]
    fn write_zeros_ahead(&mut self) -> io::Result<()> {
        let Some((from, to)) = self.ahead.wanted(self.len) else {
            return Ok(());
        };
        self.ahead.zeros = to;
        self.file.write_all_at(&ZEROS[..(to - from) as usize], from)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.dead {
            return Err(dead());
        }
        if len > self.len {
            return Err(outside());
        }
        self.flush()?;
        #[cfg(unix)]
        drop(self.map.take()); // before the cut: invariant *space*
        // To its own length would be a transaction of the file system all the same.
        if len == self.len { Ok(()) } else { self.file.set_len(len) }
    }

    fn flush(&self) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            map.flush()?;
        }
        Ok(())
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "store outside the file")
}

impl MappedFile for RealMappedFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let stored = if self.dead { Err(dead()) } else { self.store_at(offset, bytes) };
        stored.map_err(|e| Error::new(Operation::Store, &self.path, e).at(offset))
    }

    #[cfg(unix)]
    fn chore(&mut self) -> Option<Chore> {
        let often_synced = std::mem::take(&mut self.synced);
        // A sync would write what was made ready, and have stores touch it for the first time again.
        self.map.as_mut().map(|map| map.chore(!often_synced))
    }

    #[cfg(unix)]
    fn last_chore(&mut self) -> Option<Chore> {
        self.map.as_mut().map(Map::last_chore)
    }

    fn sync(&mut self) -> Result<()> {
        #[cfg(unix)]
        {
            self.synced = true;
            self.writes_left = WRITES_AFTER_SYNC;
            self.ahead.note_sync();
        }
        let synced = if self.dead { Err(dead()) } else { self.flush().and_then(|()| self.file.sync_data()) };
        synced.map_err(|e| {
            self.dead = true;
            Error::new(Operation::Sync, &self.path, e)
        })
    }

    fn finish(mut self: Box<Self>, len: u64) -> Result<()> {
        let finished = self.cut(len);
        finished.map_err(|e| Error::new(Operation::Truncate, &self.path, e))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    #[test]
    fn without_a_map_stores_are_writes_that_mean_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let options = CreateOptions { preallocate_bytes: 100, existing: Existing::Refuse };
        let mut file = RealMappedFile::create(&path, options).unwrap();
        file.map = None;
        file.store(10, b"written").unwrap();
        for offset in [94, 100, 101, u64::MAX] {
            assert_eq!(file.store(offset, b"outside").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        file.store(93, b"outside").unwrap();
        assert_eq!(file.file.metadata().unwrap().len(), 100, "no store lengthens the file");
        file.sync().unwrap();
        Box::new(file).finish(17).unwrap();
        let reader = super::super::file::RealReadFile::open(&path).unwrap();
        let mut bytes = [1; 17];
        crate::ReadFile::read_exact_at(&reader, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0\0\0written");
    }

    #[test]
    fn stores_after_a_sync_are_writes_that_the_map_sees() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let options = CreateOptions { preallocate_bytes: 100, existing: Existing::Refuse };
        let mut file = RealMappedFile::create(&path, options).unwrap();
        let mut expected = Vec::new();
        for byte in 1..=20_u8 {
            file.store(expected.len() as u64, &[byte; 3]).unwrap();
            // The next store goes over some of this one, whichever way each of them goes.
            expected.extend([byte; 2]);
            if byte == 3 || byte == 5 {
                file.sync().unwrap();
                assert_eq!(file.writes_left, WRITES_AFTER_SYNC);
            }
        }
        expected.push(20);
        assert_eq!(file.writes_left, 0);
        for offset in [98, u64::MAX] {
            file.sync().unwrap();
            assert_eq!(file.store(offset, b"outside").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        Box::new(file).finish(expected.len() as u64).unwrap();
        let reader = super::super::file::RealReadFile::open(&path).unwrap();
        let mut bytes = vec![0; expected.len()];
        crate::ReadFile::read_exact_at(&reader, &mut bytes, 0).unwrap();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn zeros_ahead_go_over_nothing_that_was_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let len = 300_000_u64;
        let options = CreateOptions { preallocate_bytes: len, existing: Existing::Refuse };
        let mut file = RealMappedFile::create(&path, options).unwrap();
        // The same where no map can be.
        file.ahead.fresh = true;
        let mut expected = vec![0; len as usize];
        for (n, offset) in
            [9, 10, 20_000, 13, 100_000, 99_000, 210_000, 16, 80_000, 299_000].into_iter().enumerate()
        {
            for sync in [true, false] {
                let stored = [n as u8 + 1; 7];
                file.store(offset, &stored).unwrap();
                expected[offset as usize..][..7].copy_from_slice(&stored);
                if sync {
                    file.sync().unwrap();
                }
            }
        }
        assert_eq!(file.ahead.zeros, len, "it did write zeros");
        Box::new(file).finish(len).unwrap();
        let reader = super::super::file::RealReadFile::open(&path).unwrap();
        let mut bytes = vec![1; len as usize];
        crate::ReadFile::read_exact_at(&reader, &mut bytes, 0).unwrap();
        assert!(bytes == expected);
    }

    #[test]
    fn zeros_are_written_where_little_is_synced_and_once() {
        let mut ahead = Ahead { fresh: true, ..Ahead::default() };
        let len = 1 << 20;
        ahead.stored = 100;
        assert_eq!(ahead.wanted(len), None, "not synced yet");
        ahead.note_sync();
        ahead.stored = 200;
        assert_eq!(ahead.wanted(len), Some((200, 64 << 10)));
        ahead.zeros = 64 << 10;
        ahead.stored = 64 << 10;
        assert_eq!(ahead.wanted(len), None, "there are zeros up to there");
        ahead.stored += LITTLE;
        assert_eq!(ahead.wanted(len), Some((80 << 10, 144 << 10)));
        assert_eq!(ahead.wanted(90 << 10), Some((80 << 10, 90 << 10)), "to the end of the file");
        assert_eq!(ahead.wanted(80 << 10), None);
        ahead.note_sync();
        assert_eq!(ahead.wanted(len), None, "more than little was synced");
        let reused = Ahead { fresh: false, little: true, stored: 100, ..Ahead::default() };
        assert_eq!(reused.wanted(len), None);
    }

    #[test]
    fn a_file_is_dead_after_a_failed_write_or_sync() {
        for fail in [|file: &mut RealMappedFile| file.store(0, b"x"), |file: &mut RealMappedFile| file.sync()]
        {
            let (_reader, writer) = std::io::pipe().unwrap();
            let broken = PositionalFile::new(File::from(OwnedFd::from(writer)));
            let path = PathBuf::from("p");
            let mut file = RealMappedFile {
                map: None,
                synced: false,
                writes_left: 0,
                ahead: Ahead::default(),
                file: broken,
                path,
                len: 10,
                dead: false,
            };
            fail(&mut file).unwrap_err();
            // Even when the disk is well again.
            file.file = PositionalFile::new(tempfile::tempfile().unwrap());
            let dead = dead().to_string();
            assert_eq!(file.store(0, b"x").unwrap_err().source.to_string(), dead);
            assert_eq!(file.sync().unwrap_err().source.to_string(), dead);
            assert_eq!(Box::new(file).finish(0).unwrap_err().source.to_string(), dead);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn maps_are_used_where_space_is_held_and_only_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let options = CreateOptions { preallocate_bytes: 100, existing: Existing::Refuse };
        let file = RealMappedFile::create(&path, options).unwrap();
        assert_eq!(file.map.is_some(), file.file.with(|f| os::overwrites_in_place(f, true)));
        let shm = std::path::Path::new("/dev/shm");
        if let Ok(dir) = tempfile::tempdir_in(shm) {
            let file = RealMappedFile::create(&dir.path().join("f"), options).unwrap();
            assert!(file.map.is_some(), "tmpfs holds reserved space");
        }
        let proc = os::open(os::options().read(true), Path::new("/proc/self/status")).unwrap();
        assert!(!os::overwrites_in_place(&proc, true), "an unknown file system is not trusted");
    }
}
