//! Repair: from a damaged folder to a database that opens, with all that can be read, and a report of the rest.
//!
//! Where the manifest can be read, trees keep their shape: a damaged table gives its place to a new one with what is whole of it, a
//! missing one leaves. Where it can not, it is made anew: every table says by its note which keyspace it is of and what it takes the
//! place of (`origin.rs`), which tells the live tables from the obsolete ones (`choose.rs`); what they hold tells their order (`arrange.rs`); what can
//! still be read of any manifest helps (`facts.rs`). Logs are left alone if they are sound and the manifest is; else their writes go into tables.
//!
//! Nothing is deleted. Repair adds files, changes `CURRENT` once, and moves whatever the new manifest does not name into the folder `lost`.
//!
//! A crash at any moment is mended by repairing again. The file `REPAIR`, which is durable before anything changes and goes last, keeps the
//! database from being opened meanwhile; it holds the first number that the repair uses. Up to the change of `CURRENT` the old files are
//! all in place, and a second repair passes over those of the first, which it knows by their numbers; after it, all that is left to do is moving files.

mod arrange;
mod choose;
mod facts;
mod logs;
mod rebuild;
pub(crate) mod report;
mod salvage;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use terrace_compaction::{Output, RunId, ShapeEdit, TableMeta};
use terrace_entry::SeqNo;
use terrace_sstable::TableFormat;
use terrace_vfs::{CreateOptions, Existing};

use crate::batch::KeyspaceId;
use crate::builder::Folder;
use crate::manifest::state::State;
use crate::manifest::{Manifest, read_current, read_state};
use crate::names::FileName;
use crate::origin::Books;
use crate::outputs::is_described;
use crate::recover::{Listing, list_folder, lock_folder};
use crate::verify::verify_folder;
use crate::{Builder, Error, Parts, Result, VerifyProgress};
use logs::{Known, Replayer};
use report::{Loss, RepairReport};
use salvage::{Damaged, salvage_table};
use terrace_sstable::TableReader;
use work::{Condition, LOST, Work};

impl<P: Parts> Builder<P> {
    /// Makes a damaged database one that opens. It first checks everything, as [`Builder::verify`] does, calling `progress` before each file; a sound
    /// database is not touched.
    ///
    /// What can not be brought back is in the report, which is also written into the folder `lost`. Files that are not needed any more, damaged ones
    /// among them, are moved there and never deleted. After a crash or an error during the repair the database does not open; repair it again.
    ///
    /// Costs: everything is read twice or three times; damaged tables and unflushed logs are written anew. Other tables stay as they are, also when
    /// the manifest is lost.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when the database is open; [`Error::NotADatabase`]; [`Error::UnsupportedVersion`] or another error that says that
    /// this build can not read what is there, with nothing changed; [`Error::Io`] when the folder can not be written.
    pub fn repair(self, mut progress: impl FnMut(&VerifyProgress)) -> Result<RepairReport> {
        let folder = self.folder()?;
        let listing = list_folder(&folder.vfs, &folder.dir)?;
        let current = read_current(&folder.vfs, &folder.dir);
        if let Err(error @ Error::NotADatabase { .. }) = current {
            return Err(error);
        }
        let is_empty = listing.manifests.is_empty() && listing.tables.is_empty() && listing.logs.is_empty();
        if is_empty {
            let what = "there is neither a manifest nor a table nor a log".to_owned();
            return Err(Error::NotADatabase { path: folder.dir.clone(), what });
        }
        let _lock = lock_folder(&folder.vfs, &folder.dir)?;
        repair_folder::<P>(&folder, &mut progress)
    }
}

fn repair_folder<P: Parts>(
    folder: &Folder,
    progress: &mut dyn FnMut(&VerifyProgress),
) -> Result<RepairReport> {
    let mut listing = list_folder(&folder.vfs, &folder.dir)?;
    let begun = read_guard(folder)?;
    let found = verify_folder::<P>(folder, &listing, progress)?;
    if found.is_sound() {
        return Ok(RepairReport::default());
    }
    let lost_greatest = match list_folder(&folder.vfs, &folder.dir.join(LOST)) {
        Ok(lost) => lost.greatest,
        Err(_) => 0,
    };
    let mut work = Work::<P>::new(folder, listing.greatest.max(lost_greatest) + 1);
    work.report.problems = found.problems;
    let (state, number) = known_state::<P>(folder, &mut listing, begun)?;
    if let (Some(state), Some(number), Some(first)) = (&state, number, begun)
        && number >= first
    {
        // An earlier repair came as far as its manifest; what is left is to move files, and then to look again.
        let what = format!("an earlier repair is finished; its report is in the folder `{LOST}`");
        work.report.remarks.push(what);
        set_aside_unnamed(&mut work, state, number, first)?;
        let mut again = repair_folder::<P>(folder, progress)?;
        again.problems.splice(0..0, work.report.problems);
        again.remarks.splice(0..0, work.report.remarks);
        again.set_aside.splice(0..0, work.report.set_aside);
        return Ok(again);
    }
    let first = begun.unwrap_or(work.next_file);
    if begun.is_none() {
        write_guard(folder, first)?;
    }
    let state = match state {
        Some(state) => mend(&mut work, state, &listing)?,
        None => {
            work.report.manifest_rebuilt = true;
            rebuild::rebuild(&mut work, &listing)?
        }
    };
    install(&mut work, state, first)?;
    Ok(work.report)
}

/// The first number that an unfinished repair uses. A guard that does not read was not written whole, so that nothing else was changed.
fn read_guard(folder: &Folder) -> Result<Option<u64>> {
    let path = FileName::Repair.in_dir(&folder.dir);
    let file = match folder.vfs.open(&path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; 12];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(None);
    }
    let (number, crc) = bytes.split_at(8);
    let number: [u8; 8] = number.try_into().unwrap_or_default();
    Ok((crc32c::crc32c(&number).to_le_bytes() == crc).then_some(u64::from_le_bytes(number)))
}

fn write_guard(folder: &Folder, first: u64) -> Result<()> {
    let create = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
    let mut file = folder.vfs.create(&FileName::Repair.in_dir(&folder.dir), create)?;
    let number = first.to_le_bytes();
    file.append(&number)?;
    file.append(&crc32c::crc32c(&number).to_le_bytes())?;
    file.sync()?;
    folder.vfs.sync_dir(&folder.dir)?;
    Ok(())
}

/// The state of the manifest in force, if it can be read, and that manifest's number. Where `CURRENT` is lost it is the latest: a new manifest
/// is written whole before it is in force. Files that an unfinished repair made, and that are not in force, leave the listing.
fn known_state<P: Parts>(
    folder: &Folder,
    listing: &mut Listing,
    begun: Option<u64>,
) -> Result<(Option<State>, Option<u64>)> {
    let name = <P::Table as TableFormat<P::Cache>>::NAME;
    let current = read_current(&folder.vfs, &folder.dir).ok().flatten();
    if let Some(first) = begun
        && current.is_none_or(|current| current < first)
    {
        listing.manifests.retain(|&number| number < first);
        listing.tables.retain(|&number| number < first);
    }
    let Some(number) = current.or(listing.manifests.last().copied()) else { return Ok((None, None)) };
    match read_state(&folder.vfs, &folder.dir, number, name) {
        Ok((state, _)) => Ok((Some(state), Some(number))),
        Err(error @ (Error::UnsupportedVersion { .. } | Error::PartsMismatch { .. })) => Err(error),
        Err(_) => Ok((None, None)),
    }
}

/// The state without what is missing or damaged, and with what could be saved of it.
fn mend<P: Parts>(work: &mut Work<'_, P>, mut state: State, listing: &Listing) -> Result<State> {
    work.next_file = work.next_file.max(state.next_file);
    work.books = Books::of(&state, work.next_file, KeyspaceId::DEFAULT, SeqNo::ZERO);
    for (id, keyspace) in state.keyspaces.clone() {
        for (level, run) in keyspace.shape.runs() {
            for table in &run.tables {
                let kept = mend_table(work, id, &keyspace.name, level, table)?;
                let Some(kept) = kept else {
                    work.report.tables_kept += 1;
                    continue;
                };
                let added = kept.map(|table| (Output::IntoRun { level, run: run.id }, vec![Arc::new(table)]));
                let edit = ShapeEdit { removed: vec![table.id], added };
                let tree = state.keyspaces.entry(id).or_default();
                tree.shape.apply(&edit).map_err(|error| Error::InvalidArgument(error.to_string()))?;
            }
        }
    }
    let is_log = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "log");
    if work.report.problems.iter().any(|problem| is_log(&problem.file)) {
        mend_logs(work, &mut state, listing)?;
    }
    Ok(state)
}

/// `None` when the table is sound; else what takes its place.
fn mend_table<P: Parts>(
    work: &mut Work<'_, P>,
    keyspace: KeyspaceId,
    name: &str,
    level: usize,
    table: &TableMeta,
) -> Result<Option<Option<TableMeta>>> {
    let number = table.id.0;
    let keys = Some((table.smallest_key.clone(), table.largest_key.clone()));
    let lost = |what: &str| Loss {
        file: FileName::Table(number).in_dir(&work.folder.dir),
        keyspace: Some(name.to_owned()),
        keys: keys.clone(),
        what: what.to_owned(),
    };
    match work.inspect(number)? {
        Condition::Sound(reader) if is_described(table, reader.properties()) => Ok(None),
        Condition::Sound(_) => {
            let loss = lost("another table was put in its place");
            work.report.lost.push(loss);
            Ok(Some(None))
        }
        Condition::Missing => {
            let loss = lost("the table is missing");
            work.report.lost.push(loss);
            Ok(Some(None))
        }
        Condition::Damaged(file, what) => {
            let keyspace_name = Some(name.to_owned());
            let damaged =
                Damaged { number, file, what: &what, keyspace, keyspace_name, level: level as u64, keys };
            salvage_table(work, &damaged).map(Some)
        }
    }
}

/// Takes the writes of all logs into tables.
fn mend_logs<P: Parts>(work: &mut Work<'_, P>, state: &mut State, listing: &Listing) -> Result<()> {
    let needed = state.closed_logs.iter().filter(|&(_, &bytes)| bytes > 0).map(|(&number, _)| number);
    let floor_is_empty = state.closed_logs.get(&state.log_floor) == Some(&0);
    let floor = (state.log_floor != 0 && !floor_is_empty).then_some(state.log_floor);
    let missing: BTreeSet<u64> =
        needed.chain(floor).filter(|number| !listing.logs.contains(number)).collect();
    for number in missing {
        let file = FileName::Log(number).in_dir(&work.folder.dir);
        let what = "the log is missing".to_owned();
        work.report.lost.push(Loss { file, keyspace: None, keys: None, what });
    }
    let flushed = state.keyspaces.iter().map(|(&id, keyspace)| (id, keyspace.flushed)).collect();
    let known = Known { flushed, next_keyspace: u64::MAX, found: Vec::new() };
    let mut replayer = Replayer::new(known, Some(state.log_previous));
    let logs = listing.logs.iter().filter(|&&number| number >= state.log_floor);
    let logs = logs.map(|&number| (number, state.closed_logs.get(&number).copied()));
    let logs: Vec<_> = logs.filter(|log| log.1 != Some(0)).collect();
    replayer.replay(work, &logs)?;
    take_over(work, state, replayer)
}

/// Puts the tables that logs gave into the trees, above all others, and says that no log is needed.
fn take_over<P: Parts>(work: &mut Work<'_, P>, state: &mut State, mut replayer: Replayer<P>) -> Result<()> {
    let (known, last) = replayer.finish(work)?;
    state.last_seqno = state.last_seqno.max(last);
    for (id, keyspace) in &mut state.keyspaces {
        keyspace.flushed = known.flushed.get(id).copied().unwrap_or_default().max(keyspace.flushed);
    }
    for (id, tables) in std::mem::take(&mut replayer.tables) {
        let Some(keyspace) = state.keyspaces.get_mut(&id) else { continue };
        for table in tables {
            let output = Output::NewRun { level: 0, run: Some(RunId(work.number())) };
            let edit = ShapeEdit { removed: Vec::new(), added: Some((output, vec![Arc::new(table)])) };
            keyspace.shape.apply(&edit).map_err(|error| Error::InvalidArgument(error.to_string()))?;
        }
    }
    // A log of this number does not exist, and is not to be replayed.
    state.log_floor = work.number();
    state.log_previous = state.last_seqno;
    state.closed_logs = [(state.log_floor, 0)].into();
    Ok(())
}

/// Makes the state the one in force, moves what it does not name aside, and takes the guard away.
fn install<P: Parts>(work: &mut Work<'_, P>, mut state: State, first: u64) -> Result<()> {
    let folder = work.folder;
    folder.vfs.sync_dir(&folder.dir)?;
    work.write_report()?;
    let current = FileName::Current.in_dir(&folder.dir);
    if read_current(&folder.vfs, &folder.dir).is_err() {
        work.set_aside(&current)?;
    }
    let number = work.number();
    state.next_file = state.next_file.max(work.next_file);
    let manifest = Manifest::create(&folder.vfs, &folder.dir, number, state)?;
    let state = manifest.state().clone();
    drop(manifest);
    set_aside_unnamed(work, &state, number, first)
}

fn set_aside_unnamed<P: Parts>(
    work: &mut Work<'_, P>,
    state: &State,
    manifest: u64,
    first: u64,
) -> Result<()> {
    let folder = work.folder;
    let lost = folder.dir.join(LOST);
    folder.vfs.create_dir_all(&lost)?;
    let listing = list_folder(&folder.vfs, &folder.dir)?;
    let named: BTreeSet<u64> = state
        .keyspaces
        .values()
        .flat_map(|keyspace| keyspace.shape.tables().map(|(_, table)| table.id.0))
        .collect();
    let manifests = listing.manifests.iter().filter(|&&number| number != manifest);
    let is_needed = |number: u64| number >= state.log_floor && state.closed_logs.get(&number) != Some(&0);
    let logs = listing.logs.iter().filter(|&&number| !is_needed(number));
    let tables = listing.tables.iter().filter(|number| !named.contains(number));
    let names: Vec<FileName> = manifests
        .map(|&number| FileName::Manifest(number))
        .chain(logs.map(|&number| FileName::Log(number)))
        .chain(tables.map(|&number| FileName::Table(number)))
        // What a repair made and did not use is no evidence of anything; opening removes it.
        .filter(|name| name.number().is_some_and(|number| number < first))
        .collect();
    for name in names {
        work.set_aside(&name.in_dir(&folder.dir))?;
    }
    folder.vfs.sync_dir(&lost)?;
    folder.vfs.sync_dir(&folder.dir)?;
    folder.vfs.remove(&FileName::Repair.in_dir(&folder.dir))?;
    folder.vfs.sync_dir(&folder.dir)?;
    Ok(())
}
