//! Verify: reads everything that a database consists of and reports all that is wrong, changing nothing.
//!
//! Checked: that `CURRENT` names a whole manifest and the manifest agrees with the folder; every byte of every live table (each block's
//! checksum, the order of versions, that the filter denies no key, that the properties count what is there) and that it is the
//! table that the manifest describes; that the tables of a run are disjoint, and that of each key in several tables the newer run holds the newer versions;
//! every record of every live log, and that the records follow on one another.
//!
//! Costs: every live file is read once, and tables that overlap others a second time. Memory: index and filter of the tables, a few blocks.

mod logs;
pub(crate) mod report;
pub(crate) mod sweep;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use terrace_compaction::TableMeta;
use terrace_sstable::{BlockCache, LostKeys, OpenTable, TableFormat, TableReader};
use terrace_vfs::Vfs;

use crate::batch::KeyspaceId;
use crate::builder::Folder;
use crate::manifest::state::{KeyspaceState, State};
use crate::manifest::{read_current, read_state};
use crate::names::FileName;
use crate::origin::Origin;
use crate::outputs::{is_described, meta_of};
use crate::parts::TableReaderOf;
use crate::recover::{Listing, list_folder, lock_folder};
use crate::{Builder, Engine, Error, Parts, Result};
use logs::{Chain, LogToCheck};
use report::{Problem, VerifyProgress, VerifyReport};

impl<P: Parts> Builder<P> {
    /// Checks a database that is not open: every checksum of every live file, all orders, and that the manifest agrees with the folder. It takes the
    /// lock, and changes nothing (but makes the lock file where there is none). `progress` is called before each file.
    ///
    /// Problems do not end it; they are all in the report.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when the database is open, [`Error::Io`] when the folder can not be listed.
    pub fn verify(self, mut progress: impl FnMut(&VerifyProgress)) -> Result<VerifyReport> {
        let folder = self.folder()?;
        let listing = list_folder(&folder.vfs, &folder.dir)?;
        let _lock = lock_folder(&folder.vfs, &folder.dir)?;
        verify_folder::<P>(&folder, &listing, &mut progress)
    }
}

impl<P: Parts> Engine<P> {
    /// Checks the open database, as [`Builder::verify`] does a closed one. Reads and writes go on meanwhile; what was written after the
    /// call began may or may not be looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or [`Error::Io`] when the folder can not be listed.
    pub fn verify(&self, mut progress: impl FnMut(&VerifyProgress)) -> Result<VerifyReport> {
        let shared = self.shared();
        shared.check_open()?;
        let manifest = shared.manifest();
        let (state, number) = (manifest.state().clone(), manifest.number());
        // The pins keep every table of the state where it is.
        let pins: Vec<_> = shared.trees.load().values().map(|tree| tree.pin()).collect();
        let active = shared.commit.active_log().0;
        let trusted_bytes = shared.commit.active_log_bytes();
        let read = read_state(&shared.vfs, &shared.dir, number, &state.table_format);
        let current = read_current(&shared.vfs, &shared.dir);
        let listing = list_folder(&shared.vfs, &shared.dir)?;
        drop(manifest);
        let mut checker = Checker::<P>::new(&shared.vfs, &shared.dir, &mut progress);
        let path = FileName::Manifest(number).in_dir(&shared.dir);
        match (read, current) {
            (Err(error), _) | (_, Err(error)) => checker.problem(Problem::of(&path, &error)),
            (Ok((found, _)), _) if found != state => {
                checker.problem(Problem::new(&path, 0, "the manifest says another state than is in force"));
            }
            (_, Ok(current)) if current != Some(number) => {
                let what = format!("CURRENT names {current:?}, and {number} is in force");
                checker.problem(Problem::new(&FileName::Current.in_dir(&shared.dir), 0, what));
            }
            _ => {}
        }
        checker.plan(&state, &listing);
        checker.tables(&state);
        // A log that is not there any more was flushed meanwhile.
        let there = |number: &u64| *number >= shared.manifest().state().log_floor;
        checker.logs(&state, &listing, &there, (active, trusted_bytes));
        drop(pins);
        Ok(checker.report)
    }
}

/// Checks a folder whose lock the caller holds.
pub(crate) fn verify_folder<P: Parts>(
    folder: &Folder,
    listing: &Listing,
    progress: &mut dyn FnMut(&VerifyProgress),
) -> Result<VerifyReport> {
    let mut checker = Checker::<P>::new(&folder.vfs, &folder.dir, progress);
    if listing.half_repaired {
        let what = "a repair was begun and did not finish; repair again";
        checker.problem(Problem::new(&FileName::Repair.in_dir(&folder.dir), 0, what));
    }
    match checker.manifest(listing) {
        Some((state, number)) => {
            checker.plan(&state, listing);
            checker.tables(&state);
            checker.logs(&state, listing, &|_| true, (u64::MAX, u64::MAX));
            checker.unnamed(&state, number, listing);
        }
        None => checker.without_manifest(listing),
    }
    Ok(checker.report)
}

struct Checker<'a, P: Parts> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    progress: &'a mut dyn FnMut(&VerifyProgress),
    cache: Arc<P::Cache>,
    report: VerifyReport,
    files_total: u64,
    bytes_total: u64,
}

impl<'a, P: Parts> Checker<'a, P> {
    fn new(vfs: &'a Arc<dyn Vfs>, dir: &'a Path, progress: &'a mut dyn FnMut(&VerifyProgress)) -> Self {
        let (report, cache) = (VerifyReport::default(), Arc::new(P::Cache::new(0)));
        Checker { vfs, dir, progress, cache, report, files_total: 0, bytes_total: 0 }
    }

    fn problem(&mut self, problem: Problem) {
        self.report.problems.push(problem);
    }

    /// Says how much there is to do.
    fn plan(&mut self, state: &State, listing: &Listing) {
        let tables = state.keyspaces.values().flat_map(|keyspace| keyspace.shape.tables());
        let (tables, bytes) = tables.fold((0, 0), |sum, (_, table)| (sum.0 + 1, sum.1 + table.file_bytes));
        let logs = listing.logs.iter().filter(|&&number| is_live_log(state, number));
        self.files_total = tables + logs.count() as u64;
        self.bytes_total = bytes + state.closed_logs.values().sum::<u64>();
    }

    /// Before a file is read: tells how far it has come.
    fn next_file(&mut self, path: &Path) {
        (self.progress)(&VerifyProgress {
            file: path.to_owned(),
            files_done: self.report.files,
            files_total: self.files_total.max(self.report.files + 1),
            bytes_done: self.report.bytes,
            bytes_total: self.bytes_total.max(self.report.bytes),
        });
        self.report.files += 1;
    }

    /// Reads `CURRENT` and the manifest.
    fn manifest(&mut self, listing: &Listing) -> Option<(State, u64)> {
        let current = FileName::Current.in_dir(self.dir);
        let number = match read_current(self.vfs, self.dir) {
            Ok(Some(number)) => number,
            Ok(None) => {
                let empty = listing.tables.is_empty() && listing.logs.is_empty();
                if !empty || !listing.manifests.is_empty() {
                    self.problem(Problem::new(&current, 0, "CURRENT is missing"));
                }
                return None;
            }
            Err(error) => {
                self.problem(Problem::of(&current, &error));
                return None;
            }
        };
        let path = FileName::Manifest(number).in_dir(self.dir);
        let name = <P::Table as TableFormat<P::Cache>>::NAME;
        self.next_file(&path);
        match read_state(self.vfs, self.dir, number, name) {
            Ok((state, read)) => {
                self.report.bytes += read.valid_bytes;
                self.report.records += read.records;
                let dropped = read.dropped.iter();
                let dropped = dropped.map(|dropped| Problem::new(&path, dropped.offset, &dropped.what));
                // Nothing torn follows the trailer of a closed manifest.
                match read.clean_close {
                    true => self.report.problems.extend(dropped),
                    false => self.report.remarks.extend(dropped),
                }
                Some((state, number))
            }
            Err(error) => {
                self.problem(Problem::of(&path, &error));
                None
            }
        }
    }

    /// All tables that the state names.
    fn tables(&mut self, state: &State) {
        for (&id, keyspace) in &state.keyspaces {
            if let Err(error) = keyspace.shape.check_invariants() {
                let what = format!("keyspace `{}`: {error}", keyspace.name);
                self.problem(Problem::new(self.dir, 0, what));
            }
            let mut readers = Vec::new();
            for (_, meta) in keyspace.shape.tables() {
                self.next_file(&FileName::Table(meta.id.0).in_dir(self.dir));
                self.bounds(state, keyspace, meta);
                let reader = self.table(meta.id.0, Some((id, meta)));
                readers.extend(reader.map(|reader| (meta.id.0, reader)));
            }
            self.order_between_runs(keyspace, &readers);
        }
    }

    /// What the manifest says of a table against what it says of the whole.
    fn bounds(&mut self, state: &State, keyspace: &KeyspaceState, meta: &TableMeta) {
        let path = FileName::Table(meta.id.0).in_dir(self.dir);
        let wrong = [
            (meta.id.0 >= state.next_file, "its number is above the manifest's counter"),
            (meta.seqno_max > state.last_seqno, "it holds later versions than the manifest counts"),
            (meta.seqno_max > keyspace.flushed, "it holds later versions than were flushed"),
            (
                meta.seqno_min > meta.seqno_max,
                "the manifest has its least sequence number above its greatest",
            ),
        ];
        for (_, what) in wrong.into_iter().filter(|(is_wrong, _)| *is_wrong) {
            self.problem(Problem::new(&path, 0, what));
        }
    }

    /// One table, by itself and against the manifest. Its reader when it is sound.
    fn table(
        &mut self,
        number: u64,
        named: Option<(KeyspaceId, &TableMeta)>,
    ) -> Option<Arc<TableReaderOf<P>>> {
        let path = FileName::Table(number).in_dir(self.dir);
        self.report.tables += 1;
        let file = match self.vfs.open(&path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => {
                self.problem(Problem::new(&path, 0, "the table is missing"));
                return None;
            }
            Err(error) => {
                self.problem(Problem::of(&path, &error.into()));
                return None;
            }
        };
        self.report.bytes += file.len().unwrap_or(0);
        let source =
            OpenTable { file: Arc::clone(&file), file_number: number, cache: Arc::clone(&self.cache) };
        let opened = <TableReaderOf<P> as TableReader<P::Cache>>::open(source).map(Arc::new);
        let verified = opened.and_then(|reader| Arc::clone(&reader).verify().map(|()| reader));
        let reader = match verified {
            Ok(reader) => reader,
            Err(error) => {
                self.damaged_table(&path, &*file, error.into());
                return None;
            }
        };
        let properties = reader.properties();
        self.report.blocks += properties.data_blocks;
        self.report.entries += properties.entries;
        if let Some((keyspace, meta)) = named {
            if !is_described(meta, properties) {
                let found = meta_of(number, properties);
                let what =
                    format!("the table is not the one that the manifest describes: {found:?}, not {meta:?}");
                self.problem(Problem::new(&path, 0, what));
                return None;
            }
            let origin = Origin::decode(&properties.note);
            if let Some(origin) = origin.filter(|origin| origin.keyspace != keyspace) {
                let what = format!(
                    "the table says that it is of keyspace {}, the manifest {}",
                    origin.keyspace.0, keyspace.0
                );
                self.problem(Problem::new(&path, 0, what));
            }
        }
        Some(reader)
    }

    /// Every damaged stretch of a table, not only the first.
    fn damaged_table(&mut self, path: &Path, file: &dyn terrace_vfs::ReadFile, error: Error) {
        let mut stretches = Vec::new();
        let keep = &mut |_: terrace_entry::InternalKey<'_>, _: &[u8]| Ok(());
        // It fails only with what `keep` fails with.
        let _ = <TableReaderOf<P> as TableReader<P::Cache>>::salvage(file, keep, &mut |lost| {
            let keys = match &lost.keys {
                LostKeys::None => "; no version is lost".to_owned(),
                LostKeys::Range { smallest, largest } => format!(
                    "; versions of keys from \"{}\" to \"{}\" are lost",
                    smallest.escape_ascii(),
                    largest.escape_ascii()
                ),
                LostKeys::All => "; nothing of it can be read".to_owned(),
            };
            stretches.push(Problem::new(path, lost.offset, format!("{}{keys}", lost.what)));
        });
        match stretches.is_empty() {
            // Something that no block shows alone, such as a filter that denies a key.
            true => self.problem(Problem::of(path, &error)),
            false => self.report.problems.append(&mut stretches),
        }
    }

    /// Of each key that several tables hold, the newer run must hold the newer versions.
    fn order_between_runs(&mut self, keyspace: &KeyspaceState, tables: &[(u64, Arc<TableReaderOf<P>>)]) {
        let runs = keyspace.shape.runs().enumerate();
        let place_of: BTreeMap<u64, usize> = runs
            .flat_map(|(place, (_, run))| run.tables.iter().map(move |table| (table.id.0, place)))
            .collect();
        let places: Vec<(usize, u64)> = tables
            .iter()
            .map(|&(number, _)| (place_of.get(&number).copied().unwrap_or_default(), number))
            .collect();
        let readers: Vec<_> = tables.iter().map(|(_, reader)| Arc::clone(reader)).collect();
        let mut wrong: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
        let mut shared_keys = 0;
        let swept = sweep::sweep::<P>(&readers, |key, holders| {
            shared_keys += 1;
            for (at, one) in holders.iter().enumerate() {
                for other in &holders[at + 1..] {
                    let (newer, older) =
                        if places[one.table].0 < places[other.table].0 { (one, other) } else { (other, one) };
                    if newer.oldest <= older.newest {
                        let pair = (places[newer.table].1, places[older.table].1);
                        wrong.entry(pair).or_insert_with(|| key.to_vec());
                    }
                }
            }
        });
        self.report.shared_keys += shared_keys;
        if let Err(error) = swept {
            self.problem(Problem::of(self.dir, &error));
        }
        for ((newer, older), key) in wrong {
            let what = format!(
                "it is in a newer run than table {older}, which holds a newer version of \"{}\"",
                key.escape_ascii()
            );
            self.problem(Problem::new(&FileName::Table(newer).in_dir(self.dir), 0, what));
        }
    }

    /// All logs that the state needs. `still_needed` says of one that is not there whether it should be; the log `active.0` is trusted up to
    /// `active.1` bytes.
    fn logs(
        &mut self,
        state: &State,
        listing: &Listing,
        still_needed: &dyn Fn(&u64) -> bool,
        active: (u64, u64),
    ) {
        let closed = state.closed_logs.iter().filter(|&(_, &bytes)| bytes > 0).map(|(&number, _)| number);
        let floor_is_empty = state.closed_logs.get(&state.log_floor) == Some(&0);
        let floor = (state.log_floor != 0 && !floor_is_empty).then_some(state.log_floor);
        let needed: Vec<u64> = closed.chain(floor).collect();
        let missing = needed.iter().filter(|number| !listing.logs.contains(number) && still_needed(number));
        for &number in missing {
            self.problem(Problem::new(&FileName::Log(number).in_dir(self.dir), 0, "the log is missing"));
        }
        // In an open database more of them may be made meanwhile.
        let next_keyspace = (active.0 == u64::MAX).then_some(state.next_keyspace);
        let mut chain = Chain::new(Some(state.log_previous), next_keyspace);
        for &number in listing.logs.iter().filter(|&&number| is_live_log(state, number)) {
            let trusted_bytes = if number < active.0 { u64::MAX } else { active.1 };
            let closed = state.closed_logs.get(&number).copied();
            self.log(&mut chain, number, closed, trusted_bytes, still_needed);
        }
        chain.judge(&mut self.report);
    }

    fn log(
        &mut self,
        chain: &mut Chain,
        number: u64,
        closed: Option<u64>,
        trusted_bytes: u64,
        still_needed: &dyn Fn(&u64) -> bool,
    ) {
        let path = FileName::Log(number).in_dir(self.dir);
        self.next_file(&path);
        self.report.logs += 1;
        if let Ok(file) = self.vfs.open(&path) {
            self.report.bytes += file.len().unwrap_or(0);
        }
        let log = LogToCheck { path: &path, number, closed, trusted_bytes };
        match chain.check(self.vfs, &log, &mut self.report) {
            // It was listed and is gone: a spare log that came too late, or one that a flush has made needless. One that is needed was looked for
            // by name, and one that held something is missed in the chain.
            Err(Error::Io(error)) if error.is_not_found() => {}
            Err(error) if still_needed(&number) => self.problem(Problem::of(&path, &error)),
            _ => {}
        }
    }

    /// Files of ours that the manifest does not name: what an interrupted flush, merge or removal leaves.
    fn unnamed(&mut self, state: &State, manifest: u64, listing: &Listing) {
        let named: Vec<u64> = state
            .keyspaces
            .values()
            .flat_map(|keyspace| keyspace.shape.tables().map(|(_, table)| table.id.0))
            .collect();
        let manifests = listing.manifests.iter().filter(|&&number| number != manifest);
        let logs = listing.logs.iter().filter(|&&number| !is_live_log(state, number));
        let tables = listing.tables.iter().filter(|number| !named.contains(number));
        let names = manifests
            .map(|&number| FileName::Manifest(number))
            .chain(logs.map(|&number| FileName::Log(number)))
            .chain(tables.map(|&number| FileName::Table(number)));
        let what = "the manifest does not name it; opening the database removes it";
        let remarks = names.map(|name| Problem::new(&name.in_dir(self.dir), 0, what));
        self.report.remarks.extend(remarks);
    }

    /// Without a manifest, every file is checked by itself.
    fn without_manifest(&mut self, listing: &Listing) {
        self.files_total = (listing.tables.len() + listing.logs.len()) as u64;
        for &number in &listing.tables {
            self.next_file(&FileName::Table(number).in_dir(self.dir));
            self.table(number, None);
        }
        let mut chain = Chain::new(None, None);
        for &number in &listing.logs {
            self.log(&mut chain, number, None, u64::MAX, &|_| true);
        }
        chain.judge(&mut self.report);
    }
}

/// Whether opening replays this log.
fn is_live_log(state: &State, number: u64) -> bool {
    number >= state.log_floor && state.closed_logs.get(&number) != Some(&0)
}
