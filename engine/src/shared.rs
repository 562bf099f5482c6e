//! What the keyspaces of a database share: the log, the sequence, the cache, the manifest and the background work.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use terrace_entry::SeqNo;
use terrace_sstable::BlockCache;
use terrace_vfs::{FileLock, Vfs};

use crate::batch::KeyspaceId;
use crate::commit::Commit;
use crate::limiter::Pacer;
use crate::logs::Logs;
use crate::manifest::Manifest;
use crate::names::FileName;
use crate::pressure::Backpressure;
use crate::seam::clock::Clock;
use crate::seam::executor::{Executor, Lane, Step};
use crate::snapshot::Snapshots;
use crate::stats::Counters;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwap, Mutex, MutexGuard, OnceLock, PoisonError};
use crate::trace::Tracer;
use crate::trash::Trash;
use crate::tree::Tree;
use crate::{Error, Options, Parts, RecoverySummary, Result};

/// All keyspaces by number; replaced whole when one is made or removed.
pub(crate) type Trees<P> = BTreeMap<KeyspaceId, Arc<Tree<P>>>;

pub(crate) struct Shared<P: Parts> {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) cache: Arc<P::Cache>,
    pub(crate) picker: P::Picker,
    pub(crate) trees: ArcSwap<Trees<P>>,
    /// The last sequence number whose write, and all before it, readers may see.
    pub(crate) visible: AtomicU64,
    pub(crate) commit: Commit<P>,
    pub(crate) logs: Mutex<Logs<P>>,
    /// Whoever holds it may change the durable state and, in the same order, the views.
    manifest: Mutex<Manifest>,
    next_file: AtomicU64,
    pub(crate) snapshots: Snapshots,
    failure: OnceLock<Arc<Error>>,
    closed: AtomicBool,
    /// Whether a memtable may hold a write that is in no log.
    unlogged: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) trash: Arc<Trash>,
    pub(crate) tracer: Tracer,
    pub(crate) throttle: Backpressure,
    pub(crate) pacer: Pacer,
    lock: Mutex<Option<Box<dyn FileLock>>>,
    pub(crate) recovered: RecoverySummary,
}

/// What [`Shared::new`] takes: everything that opening has found out.
pub(crate) struct Found<P: Parts> {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) cache: Arc<P::Cache>,
    pub(crate) picker: P::Picker,
    pub(crate) throttle: Backpressure,
    pub(crate) pacer: Pacer,
    pub(crate) trees: Trees<P>,
    pub(crate) last_seqno: SeqNo,
    pub(crate) last_logged: SeqNo,
    pub(crate) log: Option<P::Log>,
    pub(crate) log_number: u64,
    pub(crate) logs: Logs<P>,
    pub(crate) manifest: Manifest,
    pub(crate) next_file: u64,
    pub(crate) trash: Arc<Trash>,
    pub(crate) lock: Box<dyn FileLock>,
    pub(crate) recovered: RecoverySummary,
}

impl<P: Parts> Shared<P> {
    pub(crate) fn new(found: Found<P>) -> Arc<Self> {
        Arc::new(Shared {
            commit: Commit::new(found.last_seqno, found.last_logged, found.log, found.log_number),
            throttle: found.throttle,
            pacer: found.pacer,
            dir: found.dir,
            options: found.options,
            vfs: found.vfs,
            clock: found.clock,
            executor: found.executor,
            cache: found.cache,
            picker: found.picker,
            trees: ArcSwap::from_pointee(found.trees),
            visible: AtomicU64::new(found.last_seqno.get()),
            logs: Mutex::new(found.logs),
            manifest: Mutex::new(found.manifest),
            next_file: AtomicU64::new(found.next_file),
            snapshots: Snapshots::default(),
            failure: OnceLock::new(),
            closed: AtomicBool::new(false),
            unlogged: AtomicBool::new(false),
            counters: Counters::default(),
            trash: found.trash,
            tracer: Tracer::default(),
            lock: Mutex::new(Some(found.lock)),
            recovered: found.recovered,
        })
    }

    pub(crate) fn new_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_file_number(&self) -> u64 {
        self.next_file.load(Ordering::Relaxed)
    }

    pub(crate) fn path_of(&self, name: FileName) -> PathBuf {
        name.in_dir(&self.dir)
    }

    pub(crate) fn visible(&self) -> SeqNo {
        SeqNo::checked(self.visible.load(Ordering::Acquire)).unwrap_or(SeqNo::MAX)
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, Logs<P>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends edits to the manifest, and begins a new one when it has grown long. A failure makes the database read-only: the
    /// manifest's tail is unknown from then on.
    pub(crate) fn record(
        &self,
        manifest: &mut Manifest,
        edits: &mut Vec<crate::manifest::edit::Edit>,
    ) -> Result<()> {
        self.check_writable()?;
        edits.push(crate::manifest::edit::Edit::Counters {
            next_file: self.next_file_number(),
            last_seqno: self.visible(),
        });
        manifest.append(edits).map_err(|error| self.fail(error))?;
        if manifest.wants_roll(self.options.manifest_bytes_max) {
            manifest.roll(self.new_file_number()).map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// A write that bypassed the log has returned: only a flush makes it durable now.
    pub(crate) fn note_unlogged(&self) {
        self.unlogged.store(true, Ordering::Release);
    }

    /// Makes durable, by a flush, what bypassed the log.
    pub(crate) fn flush_unlogged(self: &Arc<Self>) -> Result<()> {
        // Lowered first: a write that returns during the flush may be too late for it, and raises it again.
        if !self.unlogged.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let flushed = self.flush_all();
        if flushed.is_err() {
            self.note_unlogged();
        }
        flushed
    }

    /// Marks the database closed; true for the first caller.
    pub(crate) fn begin_close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn release_lock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn failure(&self) -> Option<&Arc<Error>> {
        self.failure.get()
    }

    /// Whether background work should end: nobody wants its result any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_closed() || self.failure.get().is_some()
    }

    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.failure.get() {
            Some(cause) => Err(Error::ReadOnly { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }

    /// Makes the database read-only, naming the first cause, and gives the error back.
    pub(crate) fn fail(&self, error: Error) -> Error {
        if !matches!(error, Error::Closed | Error::ReadOnly { .. }) {
            let first = self.failure.set(Arc::new(error.clone())).is_ok();
            if first {
                tracing::error!(%error, "the database is read-only from now on");
            }
        }
        self.executor.notify();
        error
    }

    /// Does `work`, which calls parts that may be anybody's. Should one panic, the database is read-only from then on, and the
    /// panic comes back as an error. What the panic left half done must be invisible to others by then.
    #[inline]
    pub(crate) fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done,
            Err(panic) => Err(self.fail(Error::Panicked(panic_text(panic.as_ref())))),
        }
    }

    /// Runs a job. Its error, or its panic, makes the database read-only; the job then ends.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        lane: Lane,
        mut step: impl FnMut(&Arc<Self>) -> Result<Step> + Send + 'static,
    ) {
        let shared = Arc::clone(self);
        self.executor.spawn(
            lane,
            Box::new(move || match shared.guarded(|| step(&shared)) {
                Ok(next) => next,
                Err(error) => {
                    shared.fail(error);
                    Step::Done
                }
            }),
        );
    }

    /// The keyspace's tree.
    pub(crate) fn tree(&self, id: KeyspaceId) -> Result<Arc<Tree<P>>> {
        self.trees.load().get(&id).cloned().ok_or_else(|| Error::KeyspaceRemoved(format!("number {}", id.0)))
    }

    /// Gives the cache what the budget leaves it: memtables (and one more about to be begun) and table metadata come first.
    pub(crate) fn share_memory(&self) {
        let trees = self.trees.load();
        let (mut mems, mut tables) = (0, 0);
        for tree in trees.values() {
            let view = tree.view();
            mems += view.mem_bytes();
            tables += view.version.memory_bytes;
        }
        let taken = mems + self.options.memtable_bytes as u64 + tables;
        let left = self.options.memory_bytes.saturating_sub(taken);
        self.cache.set_capacity(left.min(self.options.cache_bytes));
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
