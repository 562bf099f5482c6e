//! Files and folders behind a trait: the one door through which a storage engine reaches a disk.
//!
//! This crate never interprets the bytes of a file, starts no thread and reads no clock.
//!
//! Three implementations of [`Vfs`]:
//!
//! * [`RealVfs`], the operating system: positional reads and writes, `fdatasync`, reserved space, memory maps where a
//!   store into one can not kill the process;
//! * [`MemVfs`], in memory: it knows for every file and folder what is durable apart from what is merely written, so
//!   that a test can cut the power at any moment and look at what a restarted machine may find;
//! * [`FaultVfs`], around another: chosen operations fail, are cut short, or lose what they should have made durable.
//!
//! # Example: a missing sync, found
//!
//! ```
//! use std::path::Path;
//! use terrace_vfs::{CreateOptions, MemVfs, Result, Vfs};
//!
//! fn save(vfs: &dyn Vfs, text: &[u8]) -> Result<()> {
//!     let mut file = vfs.create(Path::new("new"), CreateOptions::default())?;
//!     file.append(text)?;
//!     // The bug: no file.sync() before the name is changed.
//!     vfs.rename(Path::new("new"), Path::new("config"))?;
//!     vfs.sync_dir(Path::new(""))
//! }
//!
//! let vfs = MemVfs::new();
//! save(&vfs, b"colour = green")?;
//! let found: Vec<Vec<u8>> =
//!     vfs.crashes().map(|after| after.files().remove(Path::new("config")).unwrap_or_default()).collect();
//! assert!(found.contains(&b"colour = green".to_vec()));
//! assert!(found.contains(&b"".to_vec()), "a power cut may leave an empty file under the right name");
//! # Ok::<(), terrace_vfs::Error>(())
//! ```
//!
//! `examples/atomic_replace.rs` does this for every moment of a whole program.
//!
//! # Writing your own
//!
//! Implement [`Vfs`] and the four traits of handles: [`WriteFile`], [`MappedFile`], [`ReadFile`], [`FileLock`]. Each
//! method's documentation says what must be true when it returns. Then, with the feature `testing`, let
//! `terrace_vfs::testing::check_vfs` look at it from an integration test of your own:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # {
//! use std::path::Path;
//! terrace_vfs::testing::check_vfs(&terrace_vfs::MemVfs::new(), Path::new("scratch"));
//! # }
//! ```
//!
//! # Features
//!
//! `testing`: the conformance suite, in the module `testing`. Without it, and with it, all three implementations are
//! there.
//!
//! # Papers
//!
//! * Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of Crafting Crash-Consistent
//!   Applications", OSDI 2014: which states a power cut may leave.
//! * Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020: why a failed sync is final.
#![deny(unsafe_code)]

mod error;
mod fault;
mod mem;
mod pages;
mod real;
#[cfg(feature = "testing")]
pub mod testing;

use std::any::Any;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

pub use error::{Error, Operation, Result};
pub use fault::{Attempt, Fault, FaultRule, FaultVfs};
pub use mem::{ChangeKind, CrashFate, MemVfs, PendingChange};
pub use pages::PageVec;
pub use real::{RealVfs, set_thread_niceness};

/// How [`Vfs::create`] and [`Vfs::create_mapped`] prepare a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Space to reserve, in bytes. The file's length becomes this at once and its unwritten part reads as zeros
    /// (or, when reusing, as what was there). Zero: the file grows as it is written.
    pub preallocate_bytes: u64,
    /// What to do with a file that is already there.
    pub existing: Existing,
}

/// What to do with a file that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Fail with [`std::io::ErrorKind::AlreadyExists`].
    #[default]
    Refuse,
    /// Empty it.
    Truncate,
    /// Keep its bytes and its length and write over them from the start (a recycled log).
    Reuse,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name within the folder; names that are not UTF-8 are given lossily and are none of ours.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A file system.
///
/// ([`Any`] is there so that a wrapper can ask what it wraps; every `'static` type has it.)
///
/// # Contract
///
/// * *Written* bytes are seen by every later read and survive the death of the process. *Synced* bytes survive the
///   loss of power. A file's bytes and a folder's names are synced apart: a new, renamed or removed name is durable
///   only after [`Vfs::sync_dir`] of its folder.
/// * After a failed sync, what was written since the last good one may be gone for ever, and a later sync that
///   succeeds says nothing about it. An implementation must not retry on its own.
/// * A handle stays with its file, whatever becomes of the name: a reader of a file that is replaced or removed goes on
///   reading what it opened.
/// * A file where a folder is wanted, or a folder where a file is, is an error.
/// * Every error names its operation and path. After an error of a method of this trait nothing has changed, except that
///   a failed [`Vfs::create_dir_all`] may have made some of the folders.
///
/// # For implementers
///
/// Law 1: `open(p)` after `create(p)` and appends of `a`, `b` reads `a` followed by `b`, from any thread, synced or not.
/// Law 2: whatever a method refuses (a missing file, a name that is taken), [`Vfs::exists`], [`Vfs::list`] and the bytes
/// of all files are as before. Law 3: at most one guard of a lock is alive. Law 4: a sync that returned `Ok` was done.
///
/// Cost: each call is at most a few system calls. All methods may be called from many threads at once.
pub trait Vfs: Any + Debug + Send + Sync + 'static {
    /// Makes a file to append to, its cursor at offset zero.
    fn create(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn WriteFile>>;

    /// Makes a file of exactly `options.preallocate_bytes` to store into through a memory map. Its space is reserved
    /// first, so that a store can not meet a full disk. Where the system has no maps, stores are plain writes.
    fn create_mapped(&self, path: &Path, options: CreateOptions) -> Result<Box<dyn MappedFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> Result<Arc<dyn ReadFile>>;

    /// The names in a folder, sorted.
    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>>;

    /// Whether a file or folder of this name is there.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Renames a file, replacing what was at `to`, atomically for a process that looks on.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes a folder and its parents; succeeds when it is there. Parents that it makes are synced into theirs.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes the exclusive lock on a file, making the file if need be. The lock goes when the guard is dropped or
    /// the process dies. [`Error::is_locked`] when another holds it, in this process or another.
    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>>;
}

/// A file being appended to. One owner.
pub trait WriteFile: Debug + Send {
    /// Writes all of `bytes` at the end of what has been appended.
    ///
    /// After an error the file's tail is unknown; the owner must not append to it again.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Bytes appended so far; where the next append goes.
    fn offset(&self) -> u64;

    /// Makes all appended bytes, and the length needed to read them, durable.
    fn sync(&mut self) -> Result<()>;

    /// Says that what was appended will be synced soon, so that a system may begin to write it out meanwhile. A hint: nothing is durable by
    /// it, and what goes wrong is for [`WriteFile::sync`] to tell.
    fn will_sync(&mut self) {}

    /// Cuts the file to `len` bytes (giving back preallocated space), and moves the cursor there if it was beyond.
    ///
    /// # Errors
    ///
    /// When `len` is more than the file's length.
    fn truncate(&mut self, len: u64) -> Result<()>;
}

/// Work that a file has left behind: any thread may do it at any time, and it may be left undone.
pub struct Chore(Box<dyn FnOnce() + Send>);

impl Chore {
    /// A chore that consists in calling `work`.
    pub fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Chore(Box::new(work))
    }

    /// Does it.
    pub fn run(self) {
        (self.0)();
    }
}

impl Debug for Chore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chore").finish_non_exhaustive()
    }
}

/// A file of fixed length that is stored into through memory. One owner.
pub trait MappedFile: Debug + Send {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether its length is zero.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores `bytes` at `offset`; they then survive the death of the process.
    ///
    /// A process that dies within leaves any of the bytes stored and none of the first eight; or, where a store is a write, a
    /// beginning of them that ends where a page ends.
    ///
    /// # Errors
    ///
    /// When the range is outside the file.
    fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// The work of giving back memory of this process that holds what was stored since the last call, of making ready some megabytes that come next (unless the file was synced meanwhile), and of
    /// ending the mapping if the file is finished by then. It takes a system some microseconds for each page, so that a thread that nobody waits for had
    /// better do it. Left undone, stores make their pages themselves, and the memory stays until the file is finished.
    fn chore(&mut self) -> Option<Chore> {
        None
    }

    /// The work of giving back all memory of this process that holds bytes of the file, those made ready as well: for when no more will be stored. A store that
    /// comes all the same makes its page itself.
    fn last_chore(&mut self) -> Option<Chore> {
        None
    }

    /// Makes everything stored durable.
    fn sync(&mut self) -> Result<()>;

    /// Cuts the file to `len` bytes and ends the mapping. The cut is not synced: after a power cut the file may have
    /// its old length again, with zeros (or, reused, old bytes) after what was stored.
    ///
    /// # Errors
    ///
    /// When `len` is more than the file's length.
    fn finish(self: Box<Self>, len: u64) -> Result<()>;
}

/// A file being read, from any thread.
pub trait ReadFile: Debug + Send + Sync {
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    ///
    /// [`std::io::ErrorKind::UnexpectedEof`] when the file ends before. What `buf` holds after an error is not said.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// Its length in bytes now.
    fn len(&self) -> Result<u64>;

    /// Whether its length is zero now.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The path it was opened under, for error messages.
    fn path(&self) -> &Path;

    /// Says that `len` bytes from `offset` will be read soon. A hint.
    fn will_read(&self, _offset: u64, _len: u64) {}
}

/// Holds a lock on a file until dropped.
pub trait FileLock: Debug + Send + Sync {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
