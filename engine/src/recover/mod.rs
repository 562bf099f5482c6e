//! Recovery: from a folder to an open database.
//!
//! First everything is read and checked, and nothing in the folder changes. Only when opening can succeed does it: recovered logs are made
//! durable, a log for new writes is made, a new manifest is written and pointed at, and then files that nothing names are removed.

mod replay;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use terrace_compaction::{TableId, TableMeta};
use terrace_entry::SeqNo;
use terrace_sstable::{BlockCache, OpenTable, TableFormat, TableReader};
use terrace_vfs::{CreateOptions, Existing, FileLock, Vfs};
use terrace_wal::{CreateLog, DroppedBytes, LogWriter};

use crate::limiter::Pacer;
use crate::logs::{Logs, OldLog, payload};
use crate::manifest::state::State;
use crate::manifest::{Manifest, read_current, read_state};
use crate::names::FileName;
use crate::outputs::is_described;
use crate::parts::TableReaderOf;
use crate::pressure::Backpressure;
use crate::seam::clock::Clock;
use crate::seam::executor::Executor;
use crate::shared::{Found, Shared, Trees};
use crate::sync::atomic::Ordering;
use crate::trash::Trash;
use crate::tree::Tree;
use crate::version::{Table, Version, View};
use crate::{Error, Options, Parts, Result};
use replay::{Replay, ReplayedLog};

/// What opening found, and what it had to drop.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecoverySummary {
    /// Whether the database was made anew.
    pub created: bool,
    /// Log files read.
    pub logs: u64,
    /// Log records replayed.
    pub records: u64,
    /// The last sequence number that came back.
    pub last_seqno: SeqNo,
    /// Every range of bytes that was dropped, and why. Empty after a clean close.
    pub dropped: Vec<DroppedBytes>,
    /// How long opening took.
    pub took: Duration,
}

/// What a builder hands over.
pub(crate) struct Opening<P: Parts> {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) picker: P::Picker,
    pub(crate) throttle: Backpressure,
    pub(crate) pacer: Pacer,
}

/// The numbers of the files in a folder, each kind ascending.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) manifests: Vec<u64>,
    pub(crate) logs: Vec<u64>,
    pub(crate) tables: Vec<u64>,
    strangers: Vec<String>,
    /// Whether a repair was begun that did not finish.
    pub(crate) half_repaired: bool,
    pub(crate) greatest: u64,
}

impl<P: Parts> Opening<P> {
    pub(crate) fn open(self) -> Result<Arc<Shared<P>>> {
        let begun = self.clock.now();
        self.options.check()?;
        let exists = self.look_first()?;
        if !exists {
            self.vfs.create_dir_all(&self.dir)?;
        }
        let lock = self.lock()?;
        // Between the first look and the lock somebody else may have made, or closed, the database.
        let listing = self.list()?;
        if listing.half_repaired {
            let what = "a repair was begun and did not finish; repair again".to_owned();
            return Err(Error::Corruption { file: FileName::Repair.in_dir(&self.dir), offset: 0, what });
        }
        let current = read_current(&self.vfs, &self.dir)?;
        let name = <P::Table as TableFormat<P::Cache>>::NAME;
        let (state, report) = match current {
            Some(number) => {
                let (state, report) = read_state(&self.vfs, &self.dir, number, name)?;
                (state, Some(report))
            }
            None => (State::new(name), None),
        };
        let trash = Trash::new(Arc::clone(&self.vfs), Arc::clone(&self.executor));
        let cache = Arc::new(P::Cache::new(self.options.cache_bytes));
        let versions = self.open_tables(&state, &cache, &trash)?;
        let mut replay = Replay::<P>::new(&state, &self.options);
        if report.is_some() {
            replay.run(&self.vfs, &self.dir, &state, &listing.logs, self.options.recovery)?;
        }
        // From here on the folder changes.
        let mut dropped = report.map(|report| report.dropped).unwrap_or_default();
        dropped.append(&mut replay.dropped);
        let summary = RecoverySummary {
            created: current.is_none(),
            logs: replay.logs.iter().filter(|log| log.bytes > 0).count() as u64,
            records: replay.records,
            last_seqno: replay.last_seqno,
            dropped,
            took: self.clock.now().saturating_sub(begun),
        };
        self.finish(state, replay, versions, Held { listing, lock, trash, cache, summary })
    }

    /// What can be refused without touching anything; whether the folder exists.
    fn look_first(&self) -> Result<bool> {
        if !self.vfs.exists(&self.dir)? {
            return match self.options.create_if_missing {
                true => Ok(false),
                false => Err(self.refuse("there is no database and the options say not to make one")),
            };
        }
        let listing = self.list()?;
        if read_current(&self.vfs, &self.dir)?.is_some() {
            if self.options.error_if_exists {
                return Err(self.refuse("there is a database and the options say to refuse it"));
            }
            return Ok(true);
        }
        if !self.options.create_if_missing {
            return Err(self.refuse("there is no database and the options say not to make one"));
        }
        if !listing.logs.is_empty() || !listing.tables.is_empty() {
            let file = FileName::Current.in_dir(&self.dir);
            let what = "CURRENT is missing though there are tables or logs".to_owned();
            return Err(Error::Corruption { file, offset: 0, what });
        }
        match listing.strangers.first() {
            Some(name) => Err(Error::NotADatabase {
                path: self.dir.clone(),
                what: format!("the folder holds other files, such as `{name}`"),
            }),
            None => Ok(true),
        }
    }

    fn refuse(&self, what: &'static str) -> Error {
        Error::Exists { path: self.dir.clone(), what }
    }

    fn lock(&self) -> Result<Box<dyn FileLock>> {
        lock_folder(&self.vfs, &self.dir)
    }

    fn list(&self) -> Result<Listing> {
        list_folder(&self.vfs, &self.dir)
    }

    fn open_tables(
        &self,
        state: &State,
        cache: &Arc<P::Cache>,
        trash: &Arc<Trash>,
    ) -> Result<BTreeMap<crate::batch::KeyspaceId, Version<P>>> {
        let mut versions = BTreeMap::new();
        for (&id, keyspace) in &state.keyspaces {
            let mut open: HashMap<TableId, Arc<Table<P>>> = HashMap::new();
            for (_, meta) in keyspace.shape.tables() {
                open.insert(meta.id, self.open_table(meta, cache, trash)?);
            }
            versions.insert(id, Version::new(keyspace.shape.clone(), &open)?);
        }
        Ok(versions)
    }

    fn open_table(
        &self,
        meta: &Arc<TableMeta>,
        cache: &Arc<P::Cache>,
        trash: &Arc<Trash>,
    ) -> Result<Arc<Table<P>>> {
        let path = FileName::Table(meta.id.0).in_dir(&self.dir);
        let damaged = |what: String| Error::Corruption { file: path.clone(), offset: 0, what };
        let file = self.vfs.open(&path).map_err(|error| {
            if error.is_not_found() { damaged("the table is missing".to_owned()) } else { error.into() }
        })?;
        let source = OpenTable { file, file_number: meta.id.0, cache: Arc::clone(cache) };
        let reader = <TableReaderOf<P> as TableReader<P::Cache>>::open(source)?;
        // A whole table of another time, put back under this name, passes every checksum.
        if !is_described(meta, reader.properties()) {
            return Err(damaged("the table is not the one that the manifest describes".to_owned()));
        }
        Ok(Table::new(Arc::clone(meta), reader, path, Arc::clone(trash)))
    }

    /// Changes the folder to what a running database needs, and starts it.
    fn finish(
        self,
        mut state: State,
        replay: Replay<P>,
        versions: BTreeMap<crate::batch::KeyspaceId, Version<P>>,
        mut held: Held<P>,
    ) -> Result<Arc<Shared<P>>> {
        let mut next_file = state.next_file.max(held.listing.greatest + 1);
        let mut number = || {
            next_file += 1;
            next_file - 1
        };
        if held.summary.created {
            // An empty database first, so that a log is never found without a manifest: that would be damage.
            let first = number();
            let mut empty = state.clone();
            empty.next_file = first + 1;
            drop(Manifest::create(&self.vfs, &self.dir, first, empty)?);
            held.listing.manifests.push(first);
        }
        let log_number = number();
        self.settle_logs(&mut state, &replay, log_number)?;
        let log = self.begin_log(log_number, replay.last_logged)?;
        state.last_seqno = state.last_seqno.max(replay.last_seqno);
        let manifest_number = number();
        state.next_file = next_file;
        let live: Vec<u64> =
            versions.values().flat_map(Version::tables).map(|table| table.meta.id.0).collect();
        let old = replay.logs.iter().filter(|log| log.bytes > 0 && log.number >= state.log_floor);
        let old = old.map(|log| OldLog {
            number: log.number,
            previous: log.previous,
            bytes: log.bytes,
            writer: None,
            durable: true,
        });
        let logs = Logs::new(old.collect());
        let manifest = Manifest::create(&self.vfs, &self.dir, manifest_number, state)?;
        self.remove_orphans(&held, manifest.state(), manifest_number, &live);
        let trees = make_trees(manifest.state(), replay.trees, versions);
        let shared = Shared::new(Found {
            dir: self.dir,
            options: self.options,
            vfs: self.vfs,
            clock: self.clock,
            executor: self.executor,
            cache: held.cache,
            picker: self.picker,
            throttle: self.throttle,
            pacer: self.pacer,
            trees,
            last_seqno: replay.last_seqno,
            last_logged: replay.last_logged,
            log,
            log_number,
            logs,
            manifest,
            next_file,
            trash: held.trash,
            lock: held.lock,
            recovered: held.summary,
        });
        shared.share_memory();
        for tree in shared.trees.load().values() {
            shared.want_flush(tree);
            shared.want_compaction(tree);
        }
        Ok(shared)
    }

    /// Makes what was replayed durable and says in the state which logs count from now on, and how much of each.
    fn settle_logs(&self, state: &mut State, replay: &Replay<P>, log_number: u64) -> Result<()> {
        let mems = replay.trees.values().flat_map(|tree| tree.sealed.iter().chain([&tree.active]));
        let needed = mems.map(|mem| mem.first_log.load(Ordering::Relaxed)).min().unwrap_or(u64::MAX);
        let floor = replay.logs.iter().find(|log| log.bytes > 0 && log.number >= needed);
        let (floor, previous) =
            floor.map_or((log_number, replay.last_logged), |log| (log.number, log.previous));
        state.log_floor = floor;
        state.log_previous = previous;
        state.closed_logs.clear();
        for log in replay.logs.iter().filter(|log| log.number >= floor) {
            self.make_durable(log)?;
            state.closed_logs.insert(log.number, log.bytes);
        }
        if !P::log_keeps(&self.options) {
            state.closed_logs.insert(log_number, 0);
        }
        Ok(())
    }

    /// After a kill, what was replayed may be in the page cache only. Writes that are synced from now on must not outlive it.
    ///
    /// A sync alone would not do: if the process was killed because a sync of this log had failed, the system holds its pages for clean, and
    /// a later sync succeeds without writing them. So the bytes are written again, over themselves, and then synced.
    fn make_durable(&self, log: &ReplayedLog) -> Result<()> {
        const CHUNK_BYTES: u64 = 1 << 20;
        if log.durable || log.bytes == 0 {
            return Ok(());
        }
        let path = FileName::Log(log.number).in_dir(&self.dir);
        let reader = self.vfs.open(&path)?;
        let options = CreateOptions { preallocate_bytes: 0, existing: Existing::Reuse };
        let mut writer = self.vfs.create(&path, options)?;
        let mut buffer = vec![0; CHUNK_BYTES.min(log.bytes) as usize];
        while writer.offset() < log.bytes {
            let left = log.bytes - writer.offset();
            let chunk = &mut buffer[..left.min(CHUNK_BYTES) as usize];
            reader.read_exact_at(chunk, writer.offset())?;
            writer.append(chunk)?;
        }
        writer.sync()?;
        Ok(())
    }

    fn begin_log(&self, number: u64, last_logged: SeqNo) -> Result<Option<P::Log>> {
        if !P::log_keeps(&self.options) {
            return Ok(None);
        }
        let path = FileName::Log(number).in_dir(&self.dir);
        let create =
            CreateLog { number, preallocate_bytes: self.options.log_preallocate_bytes, recycle: None };
        let mut log = P::create_log(&self.options, &self.vfs, &path, create)?;
        // A database of which little is asked does without pages made ahead.
        drop(log.chore());
        log.append(&[&payload::head(payload::START, last_logged, last_logged)])?;
        log.hand_over()?;
        self.vfs.sync_dir(&self.dir)?;
        Ok(Some(log))
    }

    /// Removes our own files that the new manifest does not name. Others' are never touched.
    fn remove_orphans(&self, held: &Held<P>, state: &State, manifest: u64, live: &[u64]) {
        let (listing, trash) = (&held.listing, &held.trash);
        let manifests = listing.manifests.iter().filter(|&&number| number != manifest);
        let logs = listing.logs.iter().filter(|&number| {
            *number < state.log_floor || state.closed_logs.get(number).is_none_or(|&bytes| bytes == 0)
        });
        let tables = listing.tables.iter().filter(|number| !live.contains(number));
        let names: Vec<_> = manifests
            .map(|&number| FileName::Manifest(number))
            .chain(logs.map(|&number| FileName::Log(number)))
            .chain(tables.map(|&number| FileName::Table(number)))
            .collect();
        let Some((last, others)) = names.split_last() else { return };
        let remove = |name: FileName| {
            if let Err(error) = self.vfs.remove(&name.in_dir(&self.dir)) {
                tracing::warn!(%error, "an orphan was not removed");
                if let FileName::Table(number) = name {
                    trash.haunted_by_orphan(number);
                }
            }
        };
        // The last table may be a marker, which says of the others that they are obsolete (see `origin.rs`): they go for good before it goes.
        let sync = || self.vfs.sync_dir(&self.dir).is_ok();
        others.iter().copied().for_each(remove);
        if others.is_empty() || sync() {
            remove(*last);
            let _ = sync();
        }
    }
}

/// Takes the lock of the folder.
pub(crate) fn lock_folder(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Box<dyn FileLock>> {
    let path = FileName::Lock.in_dir(dir);
    vfs.lock(&path).map_err(|error| if error.is_locked() { Error::Locked { path } } else { error.into() })
}

/// What is in the folder.
pub(crate) fn list_folder(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Listing> {
    let entries = vfs.list(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => {
            Error::NotADatabase { path: dir.to_owned(), what: "it is a file, not a folder".to_owned() }
        }
        _ => error.into(),
    })?;
    let mut listing = Listing::default();
    for entry in entries {
        let name = FileName::parse(&entry.name).filter(|_| !entry.is_dir);
        listing.greatest = listing.greatest.max(name.and_then(FileName::number).unwrap_or(0));
        match name {
            Some(FileName::Manifest(number)) => listing.manifests.push(number),
            Some(FileName::Log(number)) => listing.logs.push(number),
            Some(FileName::Table(number)) => listing.tables.push(number),
            Some(FileName::Repair) => listing.half_repaired = true,
            Some(_) => {}
            // Hidden files are left by desktops and editors and say nothing of who owns the folder.
            None if entry.name.starts_with('.') || entry.name == "lost+found" => {}
            None => listing.strangers.push(entry.name),
        }
    }
    listing.manifests.sort_unstable();
    listing.logs.sort_unstable();
    listing.tables.sort_unstable();
    Ok(listing)
}

/// What opening holds on to while it goes on.
struct Held<P: Parts> {
    listing: Listing,
    lock: Box<dyn FileLock>,
    trash: Arc<Trash>,
    cache: Arc<P::Cache>,
    summary: RecoverySummary,
}

fn make_trees<P: Parts>(
    state: &State,
    mut replayed: BTreeMap<crate::batch::KeyspaceId, replay::ReplayedTree<P>>,
    mut versions: BTreeMap<crate::batch::KeyspaceId, Version<P>>,
) -> Trees<P> {
    let trees = state.keyspaces.iter().filter_map(|(&id, keyspace)| {
        let tree = replayed.remove(&id)?;
        let version = Arc::new(versions.remove(&id)?);
        let view = View { active: tree.active, sealed: tree.sealed, version };
        Some((id, Tree::new(id, keyspace.name.clone(), view)))
    });
    trees.collect()
}
