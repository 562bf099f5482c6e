//! The calls that differ from system to system: reserving space, read-ahead, writing out ahead of a sync, syncing a folder, and the priority of a thread.
//!
//! Each has a portable fallback, so that only speed and the reservation are lost elsewhere.
#![cfg_attr(
    any(target_os = "linux", target_os = "android"),
    expect(
        unsafe_code,
        reason = "fallocate, posix_fadvise, sync_file_range, fstatfs and setpriority have no safe wrapper in std"
    )
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Lets the calling thread yield the processor to others from now on: its nice value, from 0 (as others) to 19 (hardly anything while others want
/// it; each step is some 20 % less of a processor that is fought over). It can not be taken back without a privilege.
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`] on systems where threads have no nice value of their own (all but Linux and Android), or what the system says.
pub fn set_thread_niceness(niceness: u8) -> io::Result<()> {
    system::set_niceness(niceness)
}

/// What came of asking for space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reservation {
    /// The file has its length and the space for it.
    Held,
    /// The file has its length; the file system can not promise the space.
    LengthOnly,
}

/// Makes the file at least `len` bytes long, with space behind all of it where the file system can.
pub(super) fn reserve(file: &File, len: u64) -> io::Result<Reservation> {
    let answer = system::fallocate(file, len);
    match answer {
        Ok(()) => return Ok(Reservation::Held),
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
        Err(e) => return Err(e),
    }
    if file.metadata()?.len() < len {
        file.set_len(len)?;
    }
    Ok(Reservation::LengthOnly)
}

/// Opens options that never block on a pipe: whoever puts one in place of a file gets an error, not a hang.
pub(super) fn options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the flag is for Unix"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options
}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    let file = open(options().read(true), dir)?;
    // Otherwise a file given by mistake would be synced, and the names would not be.
    if !file.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    file.sync_all()
}

/// Systems without a sync of folders journal their names; all that is left is to say whether it is one.
#[cfg(not(unix))]
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if std::fs::metadata(dir)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Opens `path`.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[cfg(unix)]
pub(super) use system::overwrites_in_place;
pub(super) use system::{begin_sync, will_read};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::{File, io};
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;

    /// `fallocate` of the first `len` bytes. `Unsupported` when the file system or the kernel has none.
    pub(in super::super) fn fallocate(file: &File, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(()); // the call refuses an empty range
        }
        let len = libc::off64_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        loop {
            // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory.
            let code = unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, len) };
            if code == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Err(io::ErrorKind::Unsupported.into()),
                _ => return Err(error),
            }
        }
    }

    /// Whether writing to reserved space can never run out of space: file systems that overwrite in place. Btrfs and
    /// others that copy on write, network file systems and anything unknown may refuse at the moment of the write; so
    /// may XFS for a file that is not `fresh`, since it may share its blocks with a copy.
    pub(in super::super) fn overwrites_in_place(file: &File, fresh: bool) -> bool {
        const EXT2_TO_4: u64 = 0xEF53;
        const XFS: u64 = 0x5846_5342;
        const TMPFS: u64 = 0x0102_1994;
        let mut found = MaybeUninit::<libc::statfs64>::uninit();
        // SAFETY: the descriptor is open for as long as `file` is borrowed; `found` has room for the answer.
        let code = unsafe { libc::fstatfs64(file.as_raw_fd(), found.as_mut_ptr()) };
        if code != 0 {
            return false;
        }
        // SAFETY: the call succeeded, so that it filled `found`.
        let found = unsafe { found.assume_init() };
        match found.f_type as u64 {
            EXT2_TO_4 | TMPFS => true,
            XFS => fresh,
            _ => false,
        }
    }

    /// Starts read-ahead. Only a hint, so that a refusal is nobody's concern.
    pub(in super::super) fn will_read(file: &File, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (libc::off64_t::try_from(offset), libc::off64_t::try_from(len)) else {
            return;
        };
        // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory.
        unsafe { libc::posix_fadvise64(file.as_raw_fd(), offset, len, libc::POSIX_FADV_WILLNEED) };
    }

    /// Starts writing dirty pages out and does not wait for that. Only a hint. Without a flag that waits, the call takes note of no page that failed: the
    /// sync that follows still reports it.
    pub(in super::super) fn begin_sync(file: &File, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (libc::off64_t::try_from(offset), libc::off64_t::try_from(len)) else {
            return;
        };
        // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory.
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    }

    /// On Linux a nice value is a thread's and not a process's, whatever POSIX says; 0 is the calling thread.
    pub(in super::super) fn set_niceness(niceness: u8) -> io::Result<()> {
        // SAFETY: the call touches no memory.
        let code = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, libc::c_int::from(niceness)) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use super::{File, io};

    pub(in super::super) fn fallocate(_file: &File, len: u64) -> io::Result<()> {
        if len == 0 { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    #[cfg(unix)]
    pub(in super::super) fn overwrites_in_place(_file: &File, _fresh: bool) -> bool {
        false
    }

    pub(in super::super) fn will_read(_file: &File, _offset: u64, _len: u64) {}

    pub(in super::super) fn begin_sync(_file: &File, _offset: u64, _len: u64) {}

    pub(in super::super) fn set_niceness(_niceness: u8) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
