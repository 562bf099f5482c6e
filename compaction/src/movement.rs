//! Which table of a level that is too large goes down first (Sarkar et al., "Constructing and analyzing the LSM compaction design space", VLDB 2021,
//! call it the data movement policy).

use crate::shape::{Run, TableMeta, sum_bytes};

/// Which table of a level that is too large goes down first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Movement {
    /// The one that overlaps the fewest bytes below for each of its own, up to half of that being taken off for tombstones (RocksDB's
    /// `kMinOverlappingRatio`).
    #[default]
    LeastOverlap,
    /// The one with the oldest version, whose keys have waited longest (RocksDB's `kOldestSmallestSeqFirst`); of equals the next in turn.
    Oldest,
    /// Each in turn, in the order of keys (LevelDB; RocksDB's `kRoundRobin`). The cursor is no state of the picker: where the last one ended
    /// is the greatest key of the newest table below, since names ascend and tables below are written only when one comes down. A table that is
    /// moved keeps its name and does not move the cursor, but is gone from its level; so its follower is next all the same.
    RoundRobin,
    /// The one with the most tombstones; of equals the one with the least overlap.
    MostTombstones,
}

impl Movement {
    /// All of them.
    pub const ALL: [Movement; 4] =
        [Movement::LeastOverlap, Movement::Oldest, Movement::RoundRobin, Movement::MostTombstones];

    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Movement::LeastOverlap => "least-overlap",
            Movement::Oldest => "oldest",
            Movement::RoundRobin => "round-robin",
            Movement::MostTombstones => "most-tombstones",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Movement::ALL.into_iter().find(|movement| movement.name() == name)
    }
}

/// The tables of a level of one run, as indices, the first to go last: O(tables log tables).
pub(crate) fn candidates(runs: &[Run], runs_below: &[Run], movement: Movement) -> Vec<usize> {
    let Some(run) = runs.first() else { return Vec::new() };
    let tables = &run.tables;
    let mut order: Vec<usize> = (0..tables.len()).collect();
    match movement {
        Movement::LeastOverlap => {
            let costs = overlap_costs(run, runs_below.first());
            order.sort_unstable_by(|&a, &b| costs[b].total_cmp(&costs[a]).then(b.cmp(&a)));
        }
        Movement::Oldest | Movement::RoundRobin => {
            let below = runs_below.first().map_or(&[][..], |run| &run.tables);
            let cursor = below.iter().max_by_key(|table| table.id).map(|table| &table.largest_key);
            let from = cursor.map_or(0, |cursor| tables.partition_point(|t| t.smallest_key <= *cursor));
            order.rotate_left(from);
            if movement == Movement::Oldest {
                order.sort_by_key(|&index| tables[index].seqno_min);
            }
            order.reverse();
        }
        Movement::MostTombstones => {
            let costs = overlap_costs(run, runs_below.first());
            order.sort_unstable_by(|&a, &b| {
                let more = tables[a].tombstones.cmp(&tables[b].tombstones);
                more.then(costs[b].total_cmp(&costs[a])).then(b.cmp(&a))
            });
        }
    }
    order
}

/// For each table the bytes it overlaps below for each of its own.
fn overlap_costs(run: &Run, below: Option<&Run>) -> Vec<f64> {
    let tables_below = below.map_or(&[][..], |run| &run.tables);
    let mut from = 0;
    let cost = |table: &std::sync::Arc<TableMeta>| {
        while from < tables_below.len() && tables_below[from].largest_key < table.smallest_key {
            from += 1;
        }
        let overlapping =
            tables_below[from..].iter().take_while(|below| below.smallest_key <= table.largest_key);
        let bytes = sum_bytes(overlapping) as f64 / table.file_bytes.max(1) as f64;
        // Up to half off for tombstones: what they hide is freed only when they arrive.
        let tombstones = table.tombstones as f64 / table.entries.max(1) as f64;
        bytes * (1.0 - 0.5 * tombstones.min(1.0))
    };
    run.tables.iter().map(cost).collect()
}
