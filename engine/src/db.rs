//! The handle of an open database.

use bytes::Bytes;
use std::fmt;
use std::ops::{Deref, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use crate::batch::{KeyspaceId, Ops};
use crate::manifest::edit::Edit;
use crate::shape::TreeShape;
use crate::shared::Shared;
use crate::tree::Tree;
use crate::version::View;
use crate::{
    Builder, Durability, Error, Iter, Keyspace, Parts, RecoverySummary, Result, Snapshot, Stats, WriteBatch,
    WriteOptions,
};

/// The keyspace that is always there, and that the methods of [`Engine`] work on.
pub const DEFAULT_KEYSPACE: &str = "default";
/// The longest name of a keyspace, in bytes.
pub const KEYSPACE_NAME_BYTES_MAX: usize = 255;

/// Closes the database when the last handle goes.
pub(crate) struct Guard<P: Parts> {
    shared: Arc<Shared<P>>,
}

impl<P: Parts> Guard<P> {
    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        &self.shared
    }
}

impl<P: Parts> Drop for Guard<P> {
    fn drop(&mut self) {
        if let Err(error) = self.shared.close() {
            tracing::error!(%error, "closing the database failed");
        }
    }
}

/// An open database. Cheap to clone, `Send` and `Sync`; the last clone to go closes it.
///
/// Methods that read or write without naming a keyspace work on the keyspace [`DEFAULT_KEYSPACE`]. All of them block
/// the calling thread for as long as they take: `async` programs call them from blocking threads.
pub struct Engine<P: Parts> {
    default: Keyspace<P>,
}

impl<P: Parts> Clone for Engine<P> {
    fn clone(&self) -> Self {
        Engine { default: self.default.clone() }
    }
}

impl<P: Parts> fmt::Debug for Engine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("dir", &self.shared().dir).finish()
    }
}

/// Reads and writes of the default keyspace.
impl<P: Parts> Deref for Engine<P> {
    type Target = Keyspace<P>;

    fn deref(&self) -> &Keyspace<P> {
        &self.default
    }
}

impl<P: Parts> Engine<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>) -> Result<Self> {
        let tree = shared.tree(KeyspaceId::DEFAULT)?;
        shared.want_spare_log();
        Ok(Engine { default: Keyspace::new(Arc::new(Guard { shared }), tree) })
    }

    /// Opens the database in the folder `path`, making it when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when it is open elsewhere, [`Error::NotADatabase`] when the path holds something else,
    /// [`Error::UnsupportedVersion`], [`Error::PartsMismatch`], a corruption error that names file and offset, or [`Error::Io`]. After an error the folder
    /// is as it was, but for an empty lock file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Sets up how to open the database in the folder `path`.
    pub fn builder(path: impl AsRef<Path>) -> Builder<P> {
        Builder::new(path.as_ref())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        self.default.shared()
    }

    /// Sets a key in the default keyspace, as durably as the options say.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] or [`Error::Busy`], with nothing written; [`Error::ReadOnly`] after an earlier failure; [`Error::Closed`]; or the failure itself, after
    /// which the database is read-only and whether this write survives is unknown until it is opened again.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.default.put(key, value)
    }

    /// Removes a key from the default keyspace, as durably as the options say.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.default.delete(key)
    }

    /// The value of a key of the default keyspace. It shares memory with the block or memtable that holds it, so a
    /// caller that keeps small values for long should copy them.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], a corruption error that names file and offset, or [`Error::Io`]. A failed read does not harm the database.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.default.get(key)
    }

    /// Lends the value of a key of the default keyspace to `read`, and returns what that makes of it: no copy, no allocation and no count of shares, which
    /// [`Engine::get`] needs for a value that the caller may keep. What `read` holds up is the removal of obsolete tables and memtables, and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn get_ref<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.default.get_ref(key, read)
    }

    /// Makes all writes of a batch, together or not at all, as durably as the options say. The batch may name several keyspaces.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn write(&self, batch: impl std::borrow::Borrow<WriteBatch>) -> Result<()> {
        self.write_with(batch, WriteOptions::default())
    }

    /// Makes all writes of a batch, together or not at all.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn write_with(
        &self,
        batch: impl std::borrow::Borrow<WriteBatch>,
        how: impl Into<WriteOptions>,
    ) -> Result<()> {
        let batch = batch.borrow();
        self.shared().write(batch.checked()?, how.into())
    }

    /// The database as it is now, over all keyspaces.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<P> {
        Snapshot::take(self.shared(), &self.default)
    }

    /// Everything in the default keyspace, in order. See [`Iter`].
    #[must_use]
    pub fn iter(&self) -> Iter<P> {
        self.default.iter()
    }

    /// What lies in a range of keys of the default keyspace. A range whose start is after its end is empty.
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Iter<P> {
        self.default.range(range)
    }

    /// What begins with `prefix` in the default keyspace.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Iter<P> {
        self.default.prefix(prefix)
    }

    /// The keyspace of this name, made when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for an empty name or one longer than [`KEYSPACE_NAME_BYTES_MAX`]; else as [`Engine::put`].
    pub fn keyspace(&self, name: &str) -> Result<Keyspace<P>> {
        if name.is_empty() || name.len() > KEYSPACE_NAME_BYTES_MAX {
            let what = format!("a keyspace name has 1 to {KEYSPACE_NAME_BYTES_MAX} bytes");
            return Err(Error::InvalidArgument(what));
        }
        let tree = self.shared().tree_named(name)?;
        Ok(Keyspace::new(self.default.guard(), tree))
    }

    /// The names of all keyspaces, in the order in which they were made.
    #[must_use]
    pub fn keyspaces(&self) -> Vec<String> {
        self.shared().trees.load().values().map(|tree| tree.name.clone()).collect()
    }

    /// Removes a keyspace with everything in it. Handles to it then fail with [`Error::KeyspaceRemoved`]; iterators that were made
    /// before go on.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for the default keyspace; [`Error::KeyspaceRemoved`] when it is gone already; else as [`Engine::put`].
    pub fn remove_keyspace(&self, name: &str) -> Result<()> {
        self.shared().remove_tree(name)
    }

    /// Writes all memtables into tables, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn flush(&self) -> Result<()> {
        self.shared().flush_all()
    }

    /// Flushes, then merges each keyspace into one run, and waits for it. Removes every version that no snapshot sees.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn compact(&self) -> Result<()> {
        self.flush()?;
        for tree in self.shared().trees.load_full().values() {
            self.shared().compact_tree(tree)?;
        }
        Ok(())
    }

    /// Waits until there is nothing left to flush or to compact, and the files that this made obsolete are removed. It does not wait for files that
    /// an iterator reads still.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or [`Error::ReadOnly`] when background work failed.
    pub fn wait_for_background(&self) -> Result<()> {
        let shared = self.shared();
        shared.executor.wait(&|| shared.is_ending() || shared.is_idle());
        shared.check_writable()
    }

    /// Makes every write so far durable. When a write has bypassed the log since the last time ([`Durability::Off`], or a log that keeps
    /// nothing), this is a flush.
    ///
    /// # Errors
    ///
    /// As [`Engine::put`].
    pub fn sync(&self) -> Result<()> {
        self.shared().flush_unlogged()?;
        if !P::log_keeps(&self.shared().options) {
            return self.shared().check_writable();
        }
        let nothing = Ops::Encoded { bytes: &[], count: 0, keyspaces: &[] };
        self.shared().write(nothing, Durability::Synced.into())
    }

    /// What the database has done since it was opened, and what it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// The shape of every keyspace's tree, to print or to look into.
    #[must_use]
    pub fn shape(&self) -> TreeShape {
        TreeShape::of(self.shared())
    }

    /// What opening found, and what it had to drop.
    #[must_use]
    pub fn recovery(&self) -> &RecoverySummary {
        &self.shared().recovered
    }

    /// The failure that made the database read-only, if any.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<Error>> {
        self.shared().failure().cloned()
    }

    /// Closes the database: ends background work, makes every write durable and releases the folder. Every handle and iterator then fails with
    /// [`Error::Closed`]. Closing twice is no error.
    ///
    /// # Errors
    ///
    /// What could not be made durable; the folder is released all the same.
    pub fn close(&self) -> Result<()> {
        self.shared().close()
    }
}

impl<P: Parts> Shared<P> {
    fn tree_named(self: &Arc<Self>, name: &str) -> Result<Arc<Tree<P>>> {
        self.check_open()?;
        let find = || self.trees.load().values().find(|tree| tree.name == name).cloned();
        if let Some(tree) = find() {
            return Ok(tree);
        }
        let mut manifest = self.manifest();
        if let Some(tree) = find() {
            return Ok(tree);
        }
        let id = KeyspaceId(manifest.state().next_keyspace);
        self.record(&mut manifest, &mut vec![Edit::CreateKeyspace { id, name: name.to_owned() }])?;
        let tree = Tree::new(id, name.to_owned(), View::empty(self.options.memtable_bytes));
        let mut trees = (*self.trees.load_full()).clone();
        trees.insert(id, Arc::clone(&tree));
        self.trees.store(Arc::new(trees));
        Ok(tree)
    }

    fn remove_tree(self: &Arc<Self>, name: &str) -> Result<()> {
        if name == DEFAULT_KEYSPACE {
            return Err(Error::InvalidArgument("the default keyspace stays".to_owned()));
        }
        let mut manifest = self.manifest();
        let mut trees = (*self.trees.load_full()).clone();
        let found = trees.values().find(|tree| tree.name == name).cloned();
        let Some(tree) = found else { return Err(Error::KeyspaceRemoved(name.to_owned())) };
        let tables: Vec<_> = tree.view().version.tables().map(|table| table.meta.id).collect();
        self.check_writable()?;
        let mut after = manifest.state().clone();
        after.keyspaces.remove(&tree.id);
        let marker = self.write_marker(&after, tree.id, &tables).map_err(|error| self.fail(error))?;
        self.record(&mut manifest, &mut vec![Edit::RemoveKeyspace { id: tree.id }])?;
        trees.remove(&tree.id);
        self.trees.store(Arc::new(trees));
        tree.remove();
        let version = Arc::clone(&tree.view().version);
        tree.swap_view(|_| Ok(View::empty(0)))?;
        version.tables().for_each(|table| table.retire());
        self.trash.replace_marker(&self.dir, marker);
        drop(manifest);
        self.commit.forget_recent();
        self.share_memory();
        self.throttle.update(self);
        Ok(())
    }

    pub(crate) fn flush_all(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        let trees = self.trees.load_full();
        for tree in trees.values() {
            self.seal_now(tree)?;
        }
        let flushed = || trees.values().all(|tree| tree.is_removed() || tree.view().sealed.is_empty());
        self.executor.wait(&|| self.is_ending() || flushed());
        self.check_writable()
    }

    fn is_idle(&self) -> bool {
        let at_rest = self.trees.load().values().all(|tree| {
            let work = tree.work();
            tree.view().sealed.is_empty() && !work.flushing && work.compactions == 0
        });
        at_rest && self.trash.is_empty()
    }

    pub(crate) fn close(self: &Arc<Self>) -> Result<()> {
        // What is in no log must be in a table before the background work that writes it ends.
        let flushed = if self.check_writable().is_ok() { self.flush_unlogged() } else { Ok(()) };
        if !self.begin_close() {
            return Ok(());
        }
        self.executor.notify();
        self.executor.stop();
        self.end_trace_on_closing();
        let closed = match self.failure() {
            // After a failed write or sync nothing more is written.
            Some(cause) => Err(Error::ReadOnly { cause: Arc::clone(cause) }),
            None => self.guarded(|| self.close_files()),
        };
        drop(self.commit.take_log());
        self.trash.empty();
        self.trash.remove_marker(&self.dir);
        self.release_lock();
        flushed.and(closed)
    }

    fn close_files(&self) -> Result<()> {
        let mut edits = self.close_all_logs()?;
        let mut manifest = self.manifest();
        edits.push(Edit::Counters { next_file: self.next_file_number(), last_seqno: self.visible() });
        manifest.append(&edits)?;
        manifest.close()
    }

    fn stats(&self) -> Stats {
        use crate::stats::read;
        use std::time::Duration;
        use terrace_sstable::BlockCache;
        let counters = &self.counters;
        // One lock after the other: a leader takes them in the other order.
        let active_log_bytes = self.commit.active_log_bytes();
        let old_log_bytes = self.logs().bytes();
        let mut stats = Stats {
            writes: counters.writes.get(),
            user_bytes: counters.user_bytes.get(),
            commit_groups: read(&counters.groups),
            log_syncs: read(&counters.syncs),
            log_bytes: read(&counters.log_bytes),
            flushes: read(&counters.flushes),
            flush_bytes: read(&counters.flush_bytes),
            compactions: read(&counters.compactions),
            trivial_moves: read(&counters.moves),
            warmed_blocks: read(&counters.warmed_blocks),
            compaction_read_bytes: read(&counters.compaction_read_bytes),
            compaction_written_bytes: read(&counters.compaction_written_bytes),
            compaction_time: Duration::from_nanos(read(&counters.compaction_nanos)),
            pressure: self.throttle.pressure(),
            gets: counters.gets.get(),
            tables_asked: counters.tables_asked.get(),
            filter_passes: counters.filter_passes.get(),
            // Two counters are read one after the other while look-ups go on.
            filter_rejections: counters.tables_asked.get().saturating_sub(counters.filter_passes.get()),
            stalls: read(&counters.stalls),
            stall_time: Duration::from_nanos(read(&counters.stall_nanos)),
            refused: read(&counters.refused),
            stall_time_max: Duration::from_nanos(read(&counters.stall_nanos_max)),
            stall_micros: counters.stall_micros.snapshot(),
            group_writers: counters.group_writers.snapshot(),
            flush_micros: counters.flush_micros.snapshot(),
            compaction_micros: counters.task_micros.snapshot(),
            cache: self.cache.stats(),
            memory_budget_bytes: self.options.memory_bytes,
            live_log_bytes: old_log_bytes + active_log_bytes,
            snapshots: self.snapshots.count(),
            ..Stats::default()
        };
        let mut last_level_bytes = 0;
        for tree in self.trees.load().values() {
            let view = tree.view();
            let shape = &view.version.shape;
            stats.memtable_bytes += view.mem_bytes();
            stats.table_memory_bytes += view.version.memory_bytes;
            stats.tables += view.version.tables().count() as u64;
            stats.runs += view.version.runs.len() as u64;
            stats.table_bytes += view.version.file_bytes();
            stats.compaction_debt_bytes += tree.debt_bytes();
            let last = shape.levels.iter().rev().find(|level| !level.runs.is_empty());
            last_level_bytes += last.and_then(|level| level.runs.last()).map_or(0, |run| run.file_bytes());
        }
        stats.space_amplification = match last_level_bytes {
            0 => 1.0,
            bytes => stats.table_bytes as f64 / bytes as f64,
        };
        stats
    }
}
