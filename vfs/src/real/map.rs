//! A shared memory map that is only stored into.
//!
//! The map is never borrowed as a slice: another process may change the file under it, and Rust's references promise
//! that nobody does. A raw copy into it makes no such promise.
#![expect(unsafe_code, reason = "std has no memory maps; one bounds-checked copy into one")]

use crate::Chore;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// How many bytes of a store are stored last.
const FIRST_BYTES: usize = 8;

/// What pages are let go of by: a multiple of any system's page.
const ALIGN_BYTES: usize = 64 << 10;

/// How far behind the last store pages are made ready.
const AHEAD_BYTES: usize = 2 << 20;

/// Of so many bytes at once: the system holds a lock meanwhile that whoever maps or unmaps memory waits for. Pages are let go of all at once, which takes less time
/// and after which every processor that runs this process is interrupted: in parts that was a writer's commonest delay.
const PART_BYTES: usize = 256 << 10;

/// A writable map of the first bytes of a file.
#[derive(Debug)]
pub(super) struct Map {
    /// Shared with chores, which do not store.
    map: Arc<MmapRaw>,
    /// Where what was stored ends.
    stored: usize,
    /// Pages before this are let go of, or a chore is to do it, or were never touched through this map.
    let_go: usize,
    /// Pages before this are made, or a chore is to do it.
    ready: usize,
}

impl Map {
    /// Maps the first `len` bytes, whose space the caller has reserved.
    pub(super) fn new(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let map = Arc::new(MmapOptions::new().len(len).map_raw(file)?);
        Ok(Map { map, stored: 0, let_go: 0, ready: 0 })
    }

    /// Copies `bytes` to `offset`, the first eight after all others. False, and nothing is done, when that is not wholly inside the
    /// map.
    #[must_use]
    pub(super) fn store(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Some(offset) = usize::try_from(offset).ok().filter(|o| *o <= self.map.len()) else {
            return false;
        };
        if bytes.len() > self.map.len() - offset {
            return false;
        }
        // SAFETY: offset <= len was checked above, so that the result is inside the mapping or one past its end.
        let to = unsafe { self.map.as_mut_ptr().add(offset) };
        // In which order a copy stores is the C library's business; a process may die within it. Eight bytes are one instruction.
        let (first, rest) = bytes.split_at(bytes.len().min(FIRST_BYTES));
        // SAFETY: first.len() <= bytes.len(), and offset + bytes.len() <= len was checked above.
        let rest_to = unsafe { to.add(first.len()) };
        // SAFETY: first.len() + rest.len() is bytes.len(), so that both copies are inside the mapping; the pages are mapped writable until `self.map` is dropped, and their space was reserved and is
        // not cut while the map lives (`RealMappedFile` owns both), so that the store can not fault; `bytes` is a live Rust
        // slice, which never overlaps a mapping that no reference was ever made to; `&mut self` keeps other stores of this
        // process away.
        unsafe { std::ptr::copy_nonoverlapping(rest.as_ptr(), rest_to, rest.len()) };
        fence(Ordering::Release);
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(first.as_ptr(), to, first.len()) };
        if self.stored == 0 {
            self.let_go = offset / ALIGN_BYTES * ALIGN_BYTES;
        }
        self.stored = self.stored.max(offset + bytes.len());
        true
    }

    /// Takes the pages that were stored out of this process, whose memory they count as, and if asked to has those made that come next. What was stored
    /// stays the file's, in the system's cache. The mapping ends when neither a chore nor this holds it.
    pub(super) fn chore(&mut self, prepares: bool) -> Chore {
        let (map, begin, end) = (Arc::clone(&self.map), self.let_go, self.stored / ALIGN_BYTES * ALIGN_BYTES);
        self.let_go = end.max(begin);
        let ahead = if prepares { (end + AHEAD_BYTES).min(map.len()) } else { end };
        let from = end.max(self.ready).min(ahead);
        self.ready = self.ready.max(ahead);
        Chore::new(move || {
            if begin < end {
                let_go(&map, begin, end - begin);
            }
            for part in (from..ahead).step_by(PART_BYTES) {
                prepare(&map, part, PART_BYTES.min(ahead - part));
            }
        })
    }

    /// Takes all pages out of this process, those that were made and never stored to as well.
    pub(super) fn last_chore(&mut self) -> Chore {
        let touched = self.stored.max(self.ready).next_multiple_of(ALIGN_BYTES).min(self.map.len());
        let (map, begin) = (Arc::clone(&self.map), self.let_go);
        self.let_go = touched.max(begin);
        Chore::new(move || {
            if begin < touched {
                let_go(&map, begin, touched - begin);
            }
        })
    }

    /// Hands stored bytes to the file where syncing the file does not see them.
    pub(super) fn flush(&self) -> io::Result<()> {
        // Linux finds the dirty pages of a map when it syncs the file; POSIX promises that for msync only.
        if cfg!(any(target_os = "linux", target_os = "android")) { Ok(()) } else { self.map.flush() }
    }
}

/// Should the system refuse, the pages stay until the mapping ends.
fn let_go(map: &MmapRaw, begin: usize, bytes: usize) {
    // Elsewhere the same advice may mean that what was stored is not needed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: for a shared map of a file the call loses nothing: the pages are the file's, and a later access finds them again, as does one by another thread
    // meanwhile. No reference to them exists. The range is inside the map: the callers, two chores, end it where what was stored or made ready ends.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, begin, bytes) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (map, begin, bytes);
}

/// Has pages made that will be stored to, so that no store waits for its first touch. Should the system refuse, stores do it.
fn prepare(map: &MmapRaw, begin: usize, bytes: usize) {
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::PopulateWrite, begin, bytes);
    #[cfg(not(target_os = "linux"))]
    let _ = (map, begin, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever looks on (here a thread that reads the file, elsewhere whoever reads it after a kill) sees the first eight bytes only
    /// with all others. Other processors may change the order of the reader's own loads.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_first_eight_bytes_are_stored_last() {
        use std::os::unix::fs::FileExt;
        use std::sync::atomic::AtomicU64;
        const STORES: u64 = 100_000;
        // Not a multiple of a vector register's length, so that copies of all alignments are seen.
        const BYTES: u64 = 201;
        const BYTES_ALL: usize = BYTES as usize;
        let mut seen_within = 0;
        // How many are caught in the act depends on what else the machine does.
        for _ in 0..20 {
            let file = tempfile::tempfile().unwrap();
            file.set_len(STORES * BYTES).unwrap();
            let reader = file.try_clone().unwrap();
            let mut map = Map::new(&file, STORES * BYTES).unwrap();
            let next = AtomicU64::new(0);
            seen_within += std::thread::scope(|scope| {
                let looker = scope.spawn(|| {
                    let mut bytes = [0; BYTES_ALL];
                    let mut seen_within = 0_u64;
                    loop {
                        let at = next.load(Ordering::Acquire);
                        if at == STORES {
                            return seen_within;
                        }
                        reader.read_exact_at(&mut bytes, at * BYTES).unwrap();
                        let first_is_there = bytes[..8].iter().all(|byte| *byte != 0);
                        let rest_is_there = bytes[8..].iter().all(|byte| *byte != 0);
                        assert!(rest_is_there || !first_is_there, "store {at}: {bytes:?}");
                        seen_within += u64::from(bytes.iter().any(|byte| *byte != 0) && !first_is_there);
                    }
                });
                for at in 0..STORES {
                    next.store(at, Ordering::Release);
                    assert!(map.store(at * BYTES, &[0xff; BYTES_ALL]));
                }
                next.store(STORES, Ordering::Release);
                looker.join().unwrap()
            });
        }
        println!("{seen_within} stores seen from within");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pages_are_made_ahead_and_once_stored_leave_the_process_and_stay_in_the_file() {
        const BYTES: usize = 10 << 20;
        const STORES: usize = BYTES / 1000;
        let file = tempfile::tempfile().unwrap();
        file.set_len(BYTES as u64).unwrap();
        let mut map = Map::new(&file, BYTES as u64).unwrap();
        let start = format!("{:08x}-", map.map.as_mut_ptr().addr());
        let resident = || {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let own = maps.split_once(&start).unwrap().1;
            let line = own.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
        };
        // A kernel before 5.14 can not make pages ahead.
        let can_prepare = map.map.advise_range(memmap2::Advice::PopulateWrite, 0, ALIGN_BYTES).is_ok();
        map.chore(false).run();
        assert!(resident() <= 2 * ALIGN_BYTES, "{} of {BYTES} though nothing was to be made", resident());
        map.chore(true).run();
        assert_eq!(can_prepare, resident() >= AHEAD_BYTES, "{} of {BYTES}", resident());
        let value = |store: usize| [1 + (store % 255) as u8; 1000];
        for first in (0..STORES).step_by(2000) {
            // By another thread, while stores go on.
            let chore = map.chore(true);
            std::thread::scope(|scope| {
                scope.spawn(|| chore.run());
                for store in first..STORES.min(first + 2000) {
                    assert!(map.store(store as u64 * 1000, &value(store)));
                }
            });
        }
        map.chore(true).run();
        // The last ones are shared by what is stored next; but not if nothing is.
        assert!(resident() > 0);
        map.last_chore().run();
        assert_eq!(resident(), 0);
        // Behind again, in a page that was let go of.
        assert!(map.store(500, &value(0)[500..]));
        assert!(resident() <= 2 * ALIGN_BYTES, "{} of {BYTES}", resident());
        let mut bytes = [0; 1000];
        for store in 0..STORES {
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, store as u64 * 1000).unwrap();
            assert!(bytes == value(store), "store {store}");
        }
    }

    /// What was stored through another map of the file, and what is made already, is no work any more.
    #[test]
    fn a_chore_begins_at_the_first_store_and_where_the_last_one_ended() {
        const BYTES: u64 = 10 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(BYTES).unwrap();
        let mut map = Map::new(&file, BYTES).unwrap();
        assert!(map.store((4 << 20) + 100, &[1; 1000]));
        assert_eq!(map.let_go, 4 << 20);
        let _ = map.chore(true);
        assert_eq!((map.let_go, map.ready), (4 << 20, 6 << 20));
        assert!(map.store(5 << 20, &[1; 1000]));
        let _ = map.chore(true);
        assert_eq!((map.let_go, map.ready), (5 << 20, 7 << 20));
        let _ = map.chore(false);
        assert_eq!(
            (map.let_go, map.ready),
            (5 << 20, 7 << 20),
            "nothing is to be made, and what is stays so"
        );
        assert!(map.store(BYTES - 1000, &[1; 1000]));
        let _ = map.chore(true);
        assert_eq!((map.let_go, map.ready), (BYTES as usize, BYTES as usize), "no further than the map");
    }

    #[test]
    fn stores_stay_inside_the_map() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mut map = Map::new(&file, 100).unwrap();
        assert!(map.store(0, &[1; 100]));
        assert!(map.store(100, b""));
        for (offset, len) in [(0, 101), (1, 100), (99, 2), (100, 1), (101, 0), (u64::MAX, 1), (u64::MAX, 0)] {
            assert!(!map.store(offset, &vec![2; len]), "{len} bytes at {offset}");
        }
        map.flush().unwrap();
        let mut bytes = vec![0; 8192];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
        assert!(bytes[..100].iter().all(|b| *b == 1) && bytes[100..].iter().all(|b| *b == 0));
    }
}
