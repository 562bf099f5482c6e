//! [`MappedLog`]: records are stored straight into a mapped file, so that an append survives the death of the process
//! at the price of a copy and without a system call.
//!
//! Algorithm: the file is reserved and mapped up front. A record is put together in a small buffer and stored with one copy; of
//! a long one only the beginning, and that last, after the rest went from the caller's slices into the map. A process
//! that dies within a copy has not stored the header's first eight bytes, both checksums ([`MappedFile::store`]): zeros stand there
//! (or, in a recycled file, stale bytes), and a torn tail is what that is. A copy in the C library's order would not do: it may
//! leave out one byte alone, which looks like rot.
//! Power cuts may tear in any order, which checksums and durable marks settle as for every log.
//!
//! Why not each slice straight into the map: for records of some hundred bytes the calls cost more than the copy, and where
//! the file system allows no map a store is a system call.
//!
//! Growth: a full reservation is ended and the same file mapped again, longer by at least the reservation's size and by
//! as much as the record needs. Nothing is copied and what was stored stays written; one grow costs a few system
//! calls per reservation. The end of the old mapping, which costs most, is left to a chore. A second mapping beside the first would save the remapping and need a store that straddles.
//!
//! Costs: `append` is a crc32c and two copies of which one stays in the cache (above [`TOGETHER_BYTES`] one copy), some 30 ns
//! for 134 bytes, and a page fault every 4 KiB of log (25 records) where nobody does its chores in time; `hand_over` nothing; `sync` one sync of the file. Address space of
//! the file's length. Where there are no maps, and on XFS after the first growth, stores are writes.
//!
//! Invariants:
//! * *dead is final*: `file` is `None` after any error, and only then.
//! * *beginning last*: a record's header is stored with or after its payload.

use crate::checksum::crc32c;
use crate::create::prepare_file;
use crate::record::HEADER_BYTES;
use crate::{CreateLog, Error, LogWriter, RecordEncoder, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::{Chore, CreateOptions, Existing, MappedFile, Vfs};

/// The smallest reservation: a map needs some bytes, and growing by less would be all system calls.
const RESERVE_BYTES_MIN: u64 = 64 << 10;

/// How often there is a chore. What was stored stays in the process's memory that long; all of a reservation would be a tenth of a database's memory.
const CHORE_BYTES: u64 = 1 << 20;

/// Up to here a record is stored with one copy; of a longer one so much goes with its header.
const TOGETHER_BYTES: usize = 4096;

/// A log whose records are stored into a memory map of the file.
#[derive(Debug)]
pub struct MappedLog {
    file: Option<Box<dyn MappedFile>>,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    encoder: RecordEncoder,
    /// The beginning of a record, while it is put together.
    beginning: Box<[u8; TOGETHER_BYTES]>,
    /// By how much the file grows.
    reserve_bytes: u64,
    /// Length of the mapping.
    mapped: u64,
    len: u64,
    synced: u64,
    /// At this length there is a chore again.
    chore_at: u64,
    chore: Option<Chore>,
}

impl MappedLog {
    fn dead(&self) -> Error {
        Error::Dead { path: self.path.clone() }
    }

    /// Runs `act` on the file; an error kills the log.
    #[inline]
    fn with_file(&mut self, act: impl FnOnce(&mut dyn MappedFile) -> terrace_vfs::Result<()>) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(self.dead());
        };
        match act(&mut **file) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.file = None;
                Err(error.into())
            }
        }
    }

    /// Stores what of a long record at `offset` does not go with its beginning, whose checksum is `crc`; returns the whole's.
    #[cold]
    fn store_rest(&mut self, parts: &[&[u8]], offset: u64, mut crc: u32) -> Result<u32> {
        let mut skip = TOGETHER_BYTES - HEADER_BYTES;
        let mut at = offset + TOGETHER_BYTES as u64;
        for part in parts {
            let rest = &part[skip.min(part.len())..];
            skip -= part.len() - rest.len();
            crc = ::crc32c::crc32c_append(crc, rest);
            self.with_file(|file| file.store(at, rest))?;
            at += rest.len() as u64;
        }
        Ok(crc)
    }

    /// Makes a chore of what was stored, unless nobody took the last one.
    #[cold]
    fn leave_chore(&mut self) {
        if self.chore.is_none()
            && let Some(file) = &mut self.file
        {
            self.chore_at = self.len + CHORE_BYTES;
            self.chore = file.chore();
        }
    }

    /// Makes room for everything up to `end`.
    #[cold]
    fn grow(&mut self, end: u64) -> Result<()> {
        // Taken out: a grow that fails leaves the log dead.
        let Some(mut file) = self.file.take() else {
            return Err(self.dead());
        };
        // It holds the old mapping, whose end takes longer than all the rest of this.
        self.chore = file.chore();
        // Nothing of the new one is ready.
        self.chore_at = self.mapped;
        let longer = (end - self.mapped).div_ceil(self.reserve_bytes) * self.reserve_bytes + self.mapped;
        file.finish(self.mapped)?;
        let create = CreateOptions { preallocate_bytes: longer, existing: Existing::Reuse };
        let file = self.vfs.create_mapped(&self.path, create)?;
        self.mapped = longer;
        self.file = Some(file);
        Ok(())
    }
}

impl LogWriter for MappedLog {
    const NAME: &'static str = "mapped";
    const KEEPS: bool = true;

    fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: CreateLog) -> Result<Self> {
        let mut create = prepare_file(&**vfs, path, &options)?;
        let reserve_bytes = options.preallocate_bytes.max(RESERVE_BYTES_MIN);
        create.preallocate_bytes = reserve_bytes;
        let mut file = vfs.create_mapped(path, create)?;
        let encoder = RecordEncoder::new(options.number);
        let first = encoder.file_header(options.recycle.is_some());
        file.store(0, &first)?;
        let chore = file.chore();
        Ok(MappedLog {
            file: Some(file),
            vfs: Arc::clone(vfs),
            path: path.to_owned(),
            encoder,
            beginning: Box::new([0; TOGETHER_BYTES]),
            reserve_bytes,
            mapped: reserve_bytes,
            len: first.len() as u64,
            synced: 0,
            chore_at: CHORE_BYTES,
            chore,
        })
    }

    #[inline]
    fn append(&mut self, parts: &[&[u8]]) -> Result<u64> {
        if self.file.is_none() {
            return Err(self.dead());
        }
        let payload = RecordEncoder::payload_bytes(parts)?;
        let offset = self.len;
        let end = offset + (HEADER_BYTES + payload) as u64;
        if end > self.mapped {
            self.grow(end)?;
        }
        let mut filled = HEADER_BYTES;
        for part in parts {
            let end = (filled + part.len()).min(TOGETHER_BYTES);
            self.beginning[filled..end].copy_from_slice(&part[..end - filled]);
            filled = end;
        }
        // Over the whole beginning at once: a checksum's start and end take as long as some of its middle.
        let mut crc = crc32c(&self.beginning[HEADER_BYTES..filled]);
        if HEADER_BYTES + payload > TOGETHER_BYTES {
            crc = self.store_rest(parts, offset, crc)?;
        }
        let header = self.encoder.data_header(offset, self.synced, payload, crc);
        self.beginning[..HEADER_BYTES].copy_from_slice(&header);
        let Some(file) = &mut self.file else {
            return Err(self.dead());
        };
        // Last: see *beginning last*.
        let stored = file.store(offset, &self.beginning[..filled]);
        if stored.is_err() {
            self.file = None;
        }
        stored?;
        self.len = end;
        if end >= self.chore_at {
            self.leave_chore();
        }
        Ok(offset)
    }

    #[inline]
    fn chore(&mut self) -> Option<Chore> {
        self.chore.take()
    }

    fn last_chore(&mut self) -> Option<Chore> {
        self.file.as_mut().and_then(|file| file.last_chore())
    }

    /// Nothing to do: what is stored is the system's already.
    fn hand_over(&mut self) -> Result<()> {
        self.with_file(|_| Ok(()))
    }

    fn sync(&mut self) -> Result<()> {
        if self.synced == self.len {
            return self.hand_over();
        }
        self.with_file(|file| file.sync())?;
        self.synced = self.len;
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn synced_bytes(&self) -> u64 {
        self.synced
    }

    fn close(mut self) -> Result<u64> {
        // Durable before the trailer is stored, as its mark says.
        self.sync()?;
        let trailer = self.encoder.trailer(self.len);
        let (offset, end) = (self.len, self.len + trailer.len() as u64);
        if end > self.mapped {
            self.grow(end)?;
        }
        self.with_file(|file| {
            file.store(offset, &trailer)?;
            file.sync()
        })?;
        let Some(file) = self.file.take() else {
            return Err(self.dead());
        };
        // The cut need not be durable: what a power cut may bring back after the trailer is unwritten space.
        file.finish(end)?;
        Ok(end)
    }
}
