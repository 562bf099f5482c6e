//! What a table is measured by, and whether it is due.

use super::TriggerOptions;
use crate::PickContext;
use crate::shape::{Shape, TableMeta};
use crate::task::Reason;
use crate::weigh::{Bound, Measure, Scope, Weighed};

/// Reads in vain that any table bears.
const VAIN_READS_MIN: u64 = 100;

/// What a trigger is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Tombstones, which a rewrite at the bottom removes.
    Tombstones,
    /// Reads, which only fewer runs help against.
    Reads,
}

/// A table that must go on although its level is within its bounds.
pub(crate) struct Due {
    pub(crate) cause: Cause,
    pub(crate) reason: Reason,
    pub(crate) weighed: Weighed,
}

impl TriggerOptions {
    /// Whether one is asked for that may have something to say.
    pub(crate) fn any(&self, context: &PickContext) -> bool {
        self.tombstone_age_seconds_max.is_some()
            || self.tombstone_percent_max.is_some()
            || (self.vain_read_bytes.is_some() && !context.vain_reads.is_empty())
    }

    /// Why a table must go on, if it must: only for its tombstones' age, or for anything.
    pub(crate) fn due(
        &self,
        level: usize,
        table: &TableMeta,
        context: &PickContext,
        age_only: bool,
    ) -> Option<Due> {
        let seen = context.oldest_snapshot.is_none_or(|oldest| table.seqno_max <= oldest);
        let age = || self.age(level, table, context).filter(|_| seen);
        let density = || self.density(level, table).filter(|_| seen);
        let reads = || self.vain_reads(level, table, context);
        match age_only {
            true => age(),
            false => age().or_else(density).or_else(reads),
        }
    }

    /// When the next table will be due though nothing has changed but the time. Nobody says when a snapshot goes: what one needs is looked at again after
    /// the time that is left for merges.
    pub(crate) fn look_again(&self, shape: &Shape, context: &PickContext) -> Option<u64> {
        let age_seconds_max = self.tombstone_age_seconds_max?;
        let now = context.now_unix_seconds;
        let moment = |table: &TableMeta| {
            let due_at = table.oldest_tombstone()?.checked_add(age_bound(age_seconds_max))?;
            let needed = context.oldest_snapshot.is_some_and(|oldest| table.seqno_max > oldest);
            match due_at > now {
                true => Some(due_at),
                false if needed => now.checked_add((age_seconds_max / 4).max(1)),
                false => None,
            }
        };
        shape.tables().filter_map(|(_, table)| moment(table)).min()
    }

    fn age(&self, level: usize, table: &TableMeta, context: &PickContext) -> Option<Due> {
        let age_seconds_max = self.tombstone_age_seconds_max?;
        let age_seconds = context.now_unix_seconds.saturating_sub(table.oldest_tombstone()?);
        let bound = Bound::From(age_bound(age_seconds_max));
        let measure = Measure::Other("seconds is the age of its oldest tombstone".into());
        let reason = Reason::TombstoneAge { level, age_seconds, age_seconds_max };
        due(Cause::Tombstones, reason, Weighed::new(Scope::Table(table.id), measure, age_seconds, bound))
    }

    fn density(&self, level: usize, table: &TableMeta) -> Option<Due> {
        let percent_max = self.tombstone_percent_max.filter(|_| table.tombstones > 0)?;
        let percent = u128::from(table.tombstones) * 100 / u128::from(table.entries.max(1));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let (scope, bound) = (Scope::Table(table.id), Bound::Above(percent_max));
        let reason = Reason::TombstoneDensity { level, percent, percent_max };
        due(Cause::Tombstones, reason, Weighed::new(scope, Measure::TombstonePercent, percent, bound))
    }

    fn vain_reads(&self, level: usize, table: &TableMeta, context: &PickContext) -> Option<Due> {
        let reads_max = (table.file_bytes / self.vain_read_bytes?.max(1)).max(VAIN_READS_MIN);
        let reads = *context.vain_reads.get(&table.id)?;
        let measure = Measure::Other("look-ups read it in vain".into());
        let reason = Reason::VainReads { level, reads, reads_max };
        let weighed = Weighed::new(Scope::Table(table.id), measure, reads, Bound::Above(reads_max));
        due(Cause::Reads, reason, weighed)
    }
}

/// The age from which on a table is due.
fn age_bound(age_seconds_max: u64) -> u64 {
    (age_seconds_max - age_seconds_max / 4).max(1)
}

fn due(cause: Cause, reason: Reason, weighed: Weighed) -> Option<Due> {
    weighed.is_due().then_some(Due { cause, reason, weighed })
}

/// Whether a run older than the one that `table` is in, at `place` from the newest, may hold older versions of its keys.
pub(crate) fn has_older(shape: &Shape, place: usize, table: &TableMeta) -> bool {
    let mut older = shape.runs().skip(place + 1);
    older.any(|(_, run)| !run.overlapping(&table.smallest_key, &table.largest_key).is_empty())
}
