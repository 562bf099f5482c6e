//! Brings a store into the state in which a measured run begins; no figure holds any of it.
//!
//! After a load the store is flushed and its background work has come to rest, for a store with debts would pay them while something else is
//! measured. Two workloads want another state: that records are in the memtable and nowhere else, and that there is something to merge, which
//! is made the same for every store however far its own compaction went.

use crate::meter::Progress;
use crate::store::{Durability, Store, StoreStats};
use crate::workload::client::{Client, Writers};
use crate::workload::run::{BenchError, Session, client};
use crate::workload::{Op, Workload};

/// Younger runs that a compaction merges with the one of all records: as many as level 0 holds before stores begin to merge it themselves.
const YOUNG_RUNS: u64 = 3;
/// A younger run has one of so many records.
const YOUNG_SHARE: u64 = 10;

/// Loads the session's records, unmeasured, and waits until the store is at rest.
///
/// # Errors
///
/// The store's, unchanged; [`BenchError::Config`] when the records were to stay in the memtable and did not.
pub fn load(session: &mut Session, store: &dyn Store, progress: &Progress) -> Result<(), BenchError> {
    let records = session.config.records;
    let batch = session.config.batch_records;
    {
        let rank_of = |index| session.rank_of(index);
        let mut client = client(session, store, &rank_of, Durability::PageCache, Writers::Itself);
        progress.begin("load", records);
        for first in (0..records).step_by(batch as usize) {
            let count = batch.min(records - first);
            client.execute(Op::Insert { first, stride: 1, count })?;
            progress.add(count);
        }
        progress.end();
    }
    session.inserted = records;
    match session.workload {
        Workload::ReadMemtable => check_memtable(&store.stats()),
        Workload::Compact => make_runs(session, store, progress),
        _ => rest(store),
    }
}

fn rest(store: &dyn Store) -> Result<(), BenchError> {
    store.flush()?;
    store.wait_idle()?;
    Ok(())
}

/// Checks that the store has written no table, so that all its records are in a memtable.
pub(super) fn check_memtable(stats: &StoreStats) -> Result<(), BenchError> {
    match stats.tables {
        Some(tables @ 1..) => Err(BenchError::Config(format!(
            "the records were to stay in the memtable, and the store has written {tables} tables"
        ))),
        _ => Ok(()),
    }
}

/// Leaves a run of all records and some younger ones over all keys, of other records each.
fn make_runs(session: &mut Session, store: &dyn Store, progress: &Progress) -> Result<(), BenchError> {
    rest(store)?;
    store.compact()?;
    let inserted = session.inserted;
    // Each is flushed in one piece: it fills half of the memtable at most.
    let each = (inserted / YOUNG_SHARE).min(session.config.half_memtable()).max(1);
    let step = (inserted / each).max(1);
    let mut rewritten = 0;
    for run in 0..YOUNG_RUNS {
        let rank_of = |index| session.rank_of(index);
        let mut client = client(session, store, &rank_of, Durability::PageCache, Writers::Itself);
        progress.begin("younger runs", each);
        for index in (run..inserted).step_by(step as usize).take(each as usize) {
            client.execute(Op::Update(session.rank_of(index)))?;
            rewritten += 1;
            progress.add(1);
        }
        progress.end();
        store.flush()?;
    }
    session.rewritten = rewritten;
    store.wait_idle()?;
    Ok(())
}

/// Reads each record once, and if the workload scans goes once through everything, so that a cache holds of it what it can.
pub(super) fn warm(
    session: &Session,
    store: &dyn Store,
    workload: Workload,
    progress: &Progress,
) -> Result<(), BenchError> {
    let rank_of = |index| session.rank_of(index);
    let mut client: Client<'_> = client(session, store, &rank_of, Durability::PageCache, Writers::Itself);
    progress.begin("warming", session.inserted);
    for rank in (0..session.ledger.records()).filter(|&rank| !session.ledger.state(rank).absent) {
        client.execute(Op::Read(rank))?;
        progress.add(1);
    }
    if workload.scans() {
        client.scan_all(workload.whole_scan().unwrap_or(crate::store::Direction::Forward))?;
    }
    progress.end();
    Ok(())
}
