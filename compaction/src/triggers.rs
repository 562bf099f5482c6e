//! Triggers beside size, the same for every policy that takes them.
//!
//! A trigger measures one table against a bound, which is weighed like anything else; what is due has a [`Reason`] that holds both. What is then done is the same too: a
//! table that has nothing older under it is rewritten where it is, which frees it of its tombstones; any other is on its way down before it is due by
//! size, as the policy has it.
//!
//! * *Tombstone age* (Sarkar et al., "Lethe: a tunable delete-aware LSM engine", SIGMOD 2020): a delete is gone within the time that the user sets. A table is
//!   due when its oldest tombstone has three quarters of that time behind it; the rest is for the merges on the way, one for each level. Lethe gives
//!   each level a share of the time; one bound for all writes less, since what is young enough to be merged for its size soon is left alone. Age is
//!   counted from the flush and goes with a tombstone from merge to merge ([`TableMeta::oldest_tombstone_unix_seconds`]).
//! * *Tombstone density*: a table that holds too many tombstones for what else is in it, which costs scans the most.
//! * *Reads in vain* (LevelDB's seek compaction, Pebble's read compaction): a table that reads go through again and again without finding anything there. It is worth
//!   merging once the reads cost about what the merge does, as whoever rents skis buys them once the rent comes to the price: at most twice what would
//!   have been paid by who knew how many reads will come. Each table pays for its own bytes, and those under it that are rewritten with it come on top.
//!
//! A snapshot may need what a tombstone hides, or the tombstone. Then a rewrite would free nothing and be due again at once; so tombstones of a table
//! with versions that the oldest snapshot does not see are left until it is gone ([`PickContext::oldest_snapshot`]).

pub(crate) mod due;

/// Triggers beside size; none acts unless asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriggerOptions {
    /// Deletes are gone within so many seconds after they were flushed, when the device keeps up and no snapshot needs them.
    pub tombstone_age_seconds_max: Option<u64>,
    /// The most tombstones in a table, in percent of its versions.
    pub tombstone_percent_max: Option<u64>,
    /// Bytes of a table for each read of it in vain, which is what such a read is worth; LevelDB, for disks that seek, has 16 KiB, and the engine's default, for tables in
    /// memory, is 512 bytes. A hundred reads are borne by any table.
    pub vain_read_bytes: Option<u64>,
}
