//! A manifest made anew, from tables, logs, and whatever can be read of old manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrace_sstable::TableFormat;

use super::arrange::{Placed, arrange};
use super::choose::{Candidate, Found, candidates, choose, keyspace_of};
use super::facts::Facts;
use super::logs::{Known, Replayer};
use super::report::Loss;
use super::salvage::{Damaged, salvage_table};
use super::take_over;
use super::work::Work;
use crate::batch::KeyspaceId;
use crate::manifest::state::{KeyspaceState, State};
use crate::names::FileName;
use crate::origin::Books;
use crate::recover::Listing;
use crate::{DEFAULT_KEYSPACE, Parts, Result};

/// The state that tables and logs show.
pub(super) fn rebuild<P: Parts>(work: &mut Work<'_, P>, listing: &Listing) -> Result<State> {
    let name = <P::Table as TableFormat<P::Cache>>::NAME;
    let mut facts = Facts::read(work.folder, &listing.manifests, name)?;
    let candidates = candidates(work, listing.tables.iter().copied())?;
    let live = choose(&candidates, &mut facts);
    facts.names.insert(KeyspaceId::DEFAULT, DEFAULT_KEYSPACE.to_owned());
    learn_from_live(&candidates, &live, &mut facts);
    work.next_file = work.next_file.max(facts.next_file);
    report_missing(work, &candidates, &facts);
    work.report.remarks.push(
        "the manifest was made anew: a table that is missing is reported only if a manifest still names it"
            .to_owned(),
    );
    let alive: BTreeSet<KeyspaceId> =
        facts.names.keys().copied().filter(|id| !facts.removed_keyspaces.contains(id)).collect();
    work.books = books_of(&facts, &alive, work.next_file);
    let mut trees: BTreeMap<KeyspaceId, Vec<Placed<P>>> = alive.iter().map(|&id| (id, Vec::new())).collect();
    for candidate in candidates.into_iter().filter(|candidate| live.contains(&candidate.number)) {
        if let Some((keyspace, placed)) = place(work, candidate, &facts)? {
            trees.entry(keyspace).or_default().push(placed);
        }
    }
    let mut state = State::new(name);
    state.keyspaces.clear();
    state.last_seqno = facts.last_seqno;
    for (id, tables) in trees {
        let shape = arrange(work, id, tables)?;
        let name = facts.names.get(&id).cloned().unwrap_or_else(|| recovered_name(id));
        state.keyspaces.insert(id, KeyspaceState { name, shape, flushed: facts.flushed(id) });
    }
    let flushed = state.keyspaces.iter().map(|(&id, keyspace)| (id, keyspace.flushed)).collect();
    let known = Known { flushed, next_keyspace: facts.next_keyspace, found: Vec::new() };
    let mut replayer = Replayer::new(known, None);
    let logs = listing.logs.iter().filter(|&&number| number >= facts.log_floor);
    let logs: Vec<_> = logs.map(|&number| (number, facts.closed_logs.get(&number).copied())).collect();
    let logs: Vec<_> = logs.into_iter().filter(|log| log.1 != Some(0)).collect();
    replayer.replay(work, &logs)?;
    let found = replayer.finish(work)?.0.found.clone();
    for id in found {
        let name = recovered_name(id);
        work.report.remarks.push(format!("the name of keyspace {} is lost; it is `{name}` now", id.0));
        state.keyspaces.insert(id, KeyspaceState { name, ..KeyspaceState::default() });
    }
    take_over(work, &mut state, replayer)?;
    let greatest = state.keyspaces.keys().last().map_or(0, |id| id.0.saturating_add(1));
    state.next_keyspace = u32::try_from(facts.next_keyspace).unwrap_or(u32::MAX).max(greatest);
    Ok(state)
}

fn recovered_name(id: KeyspaceId) -> String {
    format!("recovered-{}", id.0)
}

/// Whatever a live table holds was flushed, and used its numbers.
fn learn_from_live<P: Parts>(candidates: &[Candidate<P>], live: &BTreeSet<u64>, facts: &mut Facts) {
    for candidate in candidates.iter().filter(|candidate| live.contains(&candidate.number)) {
        if let Some(properties) = &candidate.properties {
            facts.last_seqno = facts.last_seqno.max(properties.seqno_max);
        }
        if let Some(origin) = &candidate.origin {
            facts.next_keyspace = facts.next_keyspace.max(u64::from(origin.keyspace.0) + 1);
            facts.names.entry(origin.keyspace).or_insert_with(|| recovered_name(origin.keyspace));
        }
    }
    let flushed = facts.flushed.values().max().copied().unwrap_or_default();
    facts.last_seqno = facts.last_seqno.max(flushed);
}

/// Tables that a manifest named last and that are not there. Nothing may be lost with them: the edit that removed one may be the one that is damaged,
/// and what took its place may be replaced itself.
fn report_missing<P: Parts>(work: &mut Work<'_, P>, candidates: &[Candidate<P>], facts: &Facts) {
    for (&number, (keyspace, table)) in &facts.added {
        let there = candidates.iter().any(|candidate| candidate.number == number);
        if there || facts.removed.contains(&number) || facts.removed_keyspaces.contains(keyspace) {
            continue;
        }
        work.report.lost.push(Loss {
            file: work.path(FileName::Table(number)),
            keyspace: facts.names.get(keyspace).cloned(),
            keys: Some((table.smallest_key.clone(), table.largest_key.clone())),
            what: "the table is missing, or an edit that can not be read took it out".to_owned(),
        });
    }
}

fn books_of(facts: &Facts, alive: &BTreeSet<KeyspaceId>, stamp: u64) -> Books {
    let listed = alive.iter().map(|&id| {
        let name = facts.names.get(&id).cloned().unwrap_or_else(|| recovered_name(id));
        (id, name, facts.flushed(id))
    });
    Books {
        stamp,
        last_seqno: facts.last_seqno,
        next_keyspace: facts.next_keyspace,
        // A keyspace that only a log knows may come yet.
        lists_all: false,
        keyspaces: listed.collect(),
    }
}

/// A live table, or what is whole of it, and the keyspace that it goes into.
fn place<P: Parts>(
    work: &mut Work<'_, P>,
    candidate: Candidate<P>,
    facts: &Facts,
) -> Result<Option<(KeyspaceId, Placed<P>)>> {
    let keyspace = keyspace_of(&candidate, facts);
    let known = candidate
        .properties
        .as_ref()
        .map(|properties| (properties.smallest_key.clone(), properties.largest_key.clone()));
    let named = facts.added.get(&candidate.number);
    let keys = known.or(named.map(|(_, table)| (table.smallest_key.clone(), table.largest_key.clone())));
    let level = candidate.origin.as_ref().map_or(0, |origin| origin.level);
    let number = candidate.number;
    let Some(keyspace) = keyspace.filter(|id| !facts.removed_keyspaces.contains(id)) else {
        let (file, what) =
            (work.path(FileName::Table(number)), "it does not say which keyspace it is of".to_owned());
        work.report.lost.push(Loss { file, keyspace: None, keys, what });
        return Ok(None);
    };
    match candidate.found {
        Found::Sound(reader) => {
            work.report.tables_kept += 1;
            Ok(Some((keyspace, Placed { number, level, reader })))
        }
        Found::Damaged(file, what) => {
            let keyspace_name = facts.names.get(&keyspace).cloned();
            let damaged = Damaged { number, file, what: &what, keyspace, keyspace_name, level, keys };
            let Some(meta) = salvage_table(work, &damaged)? else { return Ok(None) };
            let reader: Arc<_> = work.reopen(meta.id.0)?;
            Ok(Some((keyspace, Placed { number: meta.id.0, level, reader })))
        }
    }
}
