//! What the operating system knows of this process and machine, read from Linux's `/proc`; elsewhere each figure is `None`.
//!
//! Processor time has the kernel's tick of 10 ms (`USER_HZ` is 100 on every architecture that Rust's tier 1 and 2 name), so a figure
//! over less than a second is rough. Peak memory is the high-water mark since the last reset; where the kernel does not allow a reset it is
//! that of the whole process so far.
#![expect(clippy::disallowed_methods, reason = "reads /proc, which is no part of any store under test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const TICKS_PER_SECOND: u64 = 100;

/// Processor time and memory of a stretch of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time in user mode, all threads.
    pub user: Option<Duration>,
    /// Time in the kernel, all threads.
    pub system: Option<Duration>,
    /// Most resident memory, in bytes.
    pub peak_bytes: Option<u64>,
    /// Bytes given to the kernel by `write` and its kin: not what was stored through a mapping.
    pub written_bytes: Option<u64>,
}

impl Usage {
    /// Begins a stretch: notes the clocks and resets the peak.
    pub fn begin() -> Self {
        // "5" resets the peak resident set size (proc(5), clear_refs). Not allowed in some containers: then the peak is the process's.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Usage { written_bytes: written_bytes(), ..Self::clocks() }
    }

    /// Ends the stretch that `self` began.
    pub fn end(self) -> Self {
        let now = Self::clocks();
        let since = |now: Option<Duration>, then: Option<Duration>| Some(now?.saturating_sub(then?));
        let status = std::fs::read_to_string("/proc/self/status").ok();
        Usage {
            user: since(now.user, self.user),
            system: since(now.system, self.system),
            peak_bytes: status.as_deref().and_then(peak_bytes),
            written_bytes: written_bytes()
                .zip(self.written_bytes)
                .map(|(now, then)| now.saturating_sub(then)),
        }
    }

    fn clocks() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").ok();
        let (user, system) = stat.as_deref().and_then(processor_ticks).unzip();
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Usage { user: user.map(time), system: system.map(time), ..Usage::default() }
    }

    /// This stretch and another one as if they were one: times and bytes together, the higher peak.
    pub fn and(self, other: Self) -> Self {
        let both = |a: Option<Duration>, b: Option<Duration>| Some(a? + b?);
        Usage {
            user: both(self.user, other.user),
            system: both(self.system, other.system),
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            written_bytes: self.written_bytes.zip(other.written_bytes).map(|(a, b)| a + b),
        }
    }

    /// User and system time together.
    pub fn processor(&self) -> Option<Duration> {
        Some(self.user? + self.system?)
    }
}

/// The machine that ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The processor's name, or the architecture where the system does not tell.
    pub processor: String,
    /// Logical processors that the process may use.
    pub cores: usize,
    /// The operating system.
    pub os: &'static str,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Machine {
            processor: processor_name(&info).unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS,
        }
    }
}

/// Fields 14 and 15 of `/proc/self/stat`. The command, field 2, may hold spaces and parentheses, so fields count from its last one.
fn processor_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// What the harness itself has written.
static OWN_BYTES: AtomicU64 = AtomicU64::new(0);

/// Leaves bytes that the harness itself wrote out of all figures.
pub(super) fn leave_out(bytes: u64) {
    OWN_BYTES.fetch_add(bytes, Ordering::Relaxed);
}

/// Bytes that this process has given to the kernel to write so far, without those of [`raw_sync`](crate::meter::raw_sync).
pub fn written_bytes() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    let all: u64 = io.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()?;
    Some(all.saturating_sub(OWN_BYTES.load(Ordering::Relaxed)))
}

/// Bytes of all files in a folder and those below it: as long as they are, and as allocated on the disk.
pub fn folder_bytes(dir: &std::path::Path) -> std::io::Result<(u64, u64)> {
    let (mut long, mut allocated) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A file may be removed between the listing and the look: background work is at rest, but trash is emptied at leisure.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            let inner = folder_bytes(&entry.path())?;
            long += inner.0;
            allocated += inner.1;
        } else {
            long += metadata.len();
            allocated += allocated_bytes(&metadata);
        }
    }
    Ok((long, allocated))
}

#[cfg(unix)]
fn allocated_bytes(metadata: &std::fs::Metadata) -> u64 {
    // In units of 512 bytes, whatever the file system's block is (stat(2)).
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated_bytes(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn processor_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_after_a_command_with_spaces_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 1 2 3 4 55 66 7 8 20 0 1 0";
        assert_eq!(processor_ticks(stat), Some((55, 66)));
        assert_eq!(processor_ticks("42 (x) S 1"), None);
    }

    #[test]
    fn two_stretches_add_up_but_for_their_peaks() {
        let second = |n| Some(Duration::from_secs(n));
        let usage = |n| Usage { user: second(n), system: None, peak_bytes: Some(n), written_bytes: Some(n) };
        let both = Usage { user: second(5), system: None, peak_bytes: Some(3), written_bytes: Some(5) };
        assert_eq!(usage(3).and(usage(2)), both);
    }

    #[test]
    fn a_folder_holds_what_is_below_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(dir.path().join("a/b")).expect("folders can be made");
        std::fs::write(dir.path().join("a/b/c"), [7; 5000]).expect("a file can be written");
        std::fs::write(dir.path().join("d"), [7; 10]).expect("a file can be written");
        let (long, _) = folder_bytes(dir.path()).expect("the folder can be listed");
        assert_eq!(long, 5010);
        if let Some(before) = written_bytes() {
            std::fs::write(dir.path().join("e"), [7; 3000]).expect("a file can be written");
            assert!(written_bytes().is_some_and(|after| after >= before + 3000));
        }
    }

    #[test]
    fn peak_and_name_are_read_in_their_units() {
        assert_eq!(peak_bytes("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_bytes("Name:\tx\n"), None);
        assert_eq!(processor_name("processor\t: 0\nmodel name\t: A B: C\n"), Some("A B: C"));
    }
}
