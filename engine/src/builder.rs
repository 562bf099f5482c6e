//! How to open a database: options, and what stands behind the seams.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use terrace_sstable::{Compression, FilterOptions};
use terrace_throttle::{Limiter, RampThrottle, Throttle};
use terrace_vfs::{RealVfs, Vfs};
use terrace_wal::{LogKind, RecoveryMode};

use crate::limiter::{Pacer, limiter_of};
use crate::options::{BackgroundOrder, CompactionRate, Durability, WhenBusy};
use crate::pressure::Backpressure;
use crate::recover::Opening;
use crate::seam::clock::{Clock, SystemClock};
use crate::seam::executor::{Executor, ThreadPool};
use crate::shared::panic_text;
use crate::{Engine, Error, Options, Parts, Result};

/// A database that is not open.
pub(crate) struct Folder {
    pub(crate) dir: PathBuf,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
}

/// Sets up and opens a database. Made by [`Engine::builder`].
///
/// Every option of [`Options`] has a method of its name; what is not set keeps the default that [`Options`] documents.
#[must_use = "a builder does nothing until `open`"]
pub struct Builder<P: Parts> {
    dir: PathBuf,
    options: Options,
    vfs: Option<Arc<dyn Vfs>>,
    clock: Option<Arc<dyn Clock>>,
    executor: Option<Arc<dyn Executor>>,
    picker: Option<P::Picker>,
    throttle: Option<Box<dyn Throttle>>,
    limiter: Option<Box<dyn Limiter>>,
}

impl<P: Parts> std::fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("dir", &self.dir).field("options", &self.options).finish()
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $type) -> Self {
                self.options.$name = $name;
                self
            }
        )*
    };
}

impl<P: Parts> Builder<P> {
    pub(crate) fn new(dir: &Path) -> Self {
        Builder {
            dir: dir.to_owned(),
            options: Options::default(),
            vfs: None,
            clock: None,
            executor: None,
            picker: None,
            throttle: None,
            limiter: None,
        }
    }

    setters! {
        /// See [`Options::memtable_bytes`].
        memtable_bytes: usize,
        /// See [`Options::memtables_max`].
        memtables_max: usize,
        /// See [`Options::cache_bytes`].
        cache_bytes: u64,
        /// See [`Options::memory_bytes`].
        memory_bytes: u64,
        /// See [`Options::table_bytes`].
        table_bytes: u64,
        /// See [`Options::block_bytes`].
        block_bytes: usize,
        /// See [`Options::restart_interval`].
        restart_interval: usize,
        /// See [`Options::compression`].
        compression: Vec<Compression>,
        /// See [`Options::filter`].
        filter: Option<FilterOptions>,
        /// See [`Options::filter_bits_by_level`].
        filter_bits_by_level: Vec<f64>,
        /// See [`Options::log`].
        log: LogKind,
        /// See [`Options::log_preallocate_bytes`].
        log_preallocate_bytes: u64,
        /// See [`Options::log_recycle_files_max`].
        log_recycle_files_max: usize,
        /// See [`Options::log_bytes_max`].
        log_bytes_max: u64,
        /// See [`Options::manifest_bytes_max`].
        manifest_bytes_max: u64,
        /// See [`Options::durability`].
        durability: Durability,
        /// See [`Options::recovery`].
        recovery: RecoveryMode,
        /// See [`Options::background_threads`].
        background_threads: usize,
        /// See [`Options::background_niceness`].
        background_niceness: u8,
        /// See [`Options::background_order`].
        background_order: BackgroundOrder,
        /// See [`Options::compaction_rate`].
        compaction_rate: Option<CompactionRate>,
        /// See [`Options::write_delay_max`].
        write_delay_max: Duration,
        /// See [`Options::when_busy`].
        when_busy: WhenBusy,
        /// See [`Options::create_if_missing`].
        create_if_missing: bool,
        /// See [`Options::error_if_exists`].
        error_if_exists: bool,
        /// See [`Options::vain_read_bytes`].
        vain_read_bytes: Option<u64>,
        /// See [`Options::warm_cache_after_merge`].
        warm_cache_after_merge: bool,
        /// See [`Options::compaction`].
        compaction: bool,
    }

    /// Sets all options at once.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The compaction policy; without it, what [`Parts::picker`] makes of the options.
    pub fn picker(mut self, picker: P::Picker) -> Self {
        self.picker = Some(picker);
        self
    }

    /// What writers pay when compaction is behind; without it, a [`terrace_throttle::RampThrottle`].
    pub fn throttle(mut self, throttle: impl Throttle) -> Self {
        self.throttle = Some(Box::new(throttle));
        self
    }

    /// How fast compaction may go; without it, what [`Options::compaction_rate`] says.
    pub fn limiter(mut self, limiter: impl Limiter) -> Self {
        self.limiter = Some(Box::new(limiter));
        self
    }

    /// The seam for files; without it, the operating system's.
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = Some(vfs);
        self
    }

    /// The seam for time; without it, the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The seam for threads; without it, a pool of [`Options::background_threads`]. An executor belongs to one database, which stops it
    /// on closing.
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// What verifying and repairing need of it.
    pub(crate) fn folder(self) -> Result<Folder> {
        self.options.check()?;
        Ok(Folder {
            dir: self.dir,
            vfs: self.vfs.unwrap_or_else(|| Arc::new(RealVfs::new())),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            options: self.options,
        })
    }

    /// Opens the database.
    ///
    /// # Errors
    ///
    /// [`crate::Error::InvalidArgument`] when the options do not fit together, or both a limiter and [`Options::compaction_rate`] are given; [`crate::Error::Panicked`] when a part panics, and then the folder is as
    /// it was; else as [`Engine::open`].
    pub fn open(self) -> Result<Engine<P>> {
        self.options.check()?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let executor = self.executor.unwrap_or_else(|| {
            let Options { background_threads, background_niceness, .. } = self.options;
            Arc::new(ThreadPool::with_niceness(background_threads, background_niceness, Arc::clone(&clock)))
        });
        if self.limiter.is_some() && self.options.compaction_rate.is_some() {
            let what = "of a limiter and compaction_rate, only one can say how fast compaction goes";
            return Err(Error::InvalidArgument(what.to_owned()));
        }
        let limiter = self.limiter.or_else(|| self.options.compaction_rate.as_ref().map(limiter_of));
        let throttle =
            Backpressure::new(self.throttle.unwrap_or_else(|| Box::new(RampThrottle)), &self.options);
        let picker = self.picker.unwrap_or_else(|| P::picker(&self.options));
        let opening = Opening {
            dir: self.dir,
            vfs: self.vfs.unwrap_or_else(|| Arc::new(RealVfs::new())),
            options: self.options,
            clock,
            executor,
            picker,
            throttle,
            pacer: Pacer::new(limiter),
        };
        // Replay calls the memtable, which may be anybody's.
        let opened = catch_unwind(AssertUnwindSafe(|| opening.open()));
        Engine::new(opened.unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic.as_ref()))))?)
    }
}
