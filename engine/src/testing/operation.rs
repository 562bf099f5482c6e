//! What a user, a machine and a scheduler may do to a database, as plain data: a list of these is a history that can be replayed, cut down and printed.

use std::fmt;

use crate::Durability;

/// Names of the keyspaces that operations speak of, by slot. Slot 0 is always there.
pub const KEYSPACES: [&str; 4] = [crate::DEFAULT_KEYSPACE, "one", "two", "three"];

/// One change of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which keyspace: an index into [`KEYSPACES`].
    pub slot: usize,
    /// The key's number.
    pub key: u16,
    /// The length of the new value; `None` removes the key. The bytes follow from the operation's number.
    pub value_bytes: Option<usize>,
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; everything handed to the system stays.
    Kill,
    /// The power goes, and everything that was not synced is gone.
    LoseUnsynced,
    /// The power goes; each change that was not synced is kept, lost or torn, by this seed.
    Mixed(u64),
}

/// What goes wrong with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// From the `after`-th sync on, syncs fail, and what they should have made durable never will be.
    Syncs {
        /// Syncs that still work.
        after: u64,
    },
    /// From the `after`-th operation that changes something on, such operations fail.
    Changes {
        /// Changes that still work.
        after: u64,
    },
    /// The `nth` read from now fails, once.
    Read {
        /// Reads that still work.
        nth: u64,
    },
}

/// One thing that happens to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// A write: one `put` or `delete` if `single`, else a batch.
    Write {
        /// Makes the values of this write unlike all others.
        id: u64,
        /// What is written. Changes of a keyspace that is not there are left out.
        changes: Vec<Change>,
        /// What is asked of it.
        durability: Durability,
        /// Through `put` and `delete` rather than as a batch. Then there is one change.
        single: bool,
    },
    /// A write that is over the limits, or to a removed keyspace, and must be refused without a trace.
    Refused,
    /// `get`, `get_ref` and `contains_key`.
    Get {
        /// Which keyspace.
        slot: usize,
        /// The key's number.
        key: u16,
    },
    /// Everything in every keyspace, forward and backward.
    Scan,
    /// A range from both ends in an order drawn from the seed, with background jobs in between.
    Range {
        /// Which keyspace.
        slot: usize,
        /// The first key's number.
        from: u16,
        /// The last key's number.
        to: u16,
        /// Draws the directions.
        seed: u64,
    },
    /// `prefix`, with a prefix that so many keys share.
    Prefix {
        /// Which keyspace.
        slot: usize,
        /// The number of a key that begins with it.
        key: u16,
        /// How long it is.
        bytes: usize,
    },
    /// Opens an iterator and keeps it.
    OpenIterator {
        /// Which keyspace.
        slot: usize,
        /// A key to seek to.
        seek: u16,
    },
    /// Takes some steps of the oldest iterator kept, and lets it go at its end.
    StepIterator {
        /// How many.
        steps: usize,
    },
    /// Takes a snapshot, or gives one back when four are held.
    Snapshot,
    /// Reads a snapshot: one look-up, and everything in a keyspace.
    ReadSnapshot {
        /// Which of those held, modulo their number.
        which: usize,
        /// Which keyspace.
        slot: usize,
        /// The key's number.
        key: u16,
    },
    /// `flush`.
    Flush,
    /// `compact`.
    Compact,
    /// `sync`.
    Sync,
    /// `wait_for_background`.
    Wait,
    /// Looks at `stats`, `shape` and `keyspaces`, which must agree, and at `verify`, which must find nothing.
    Look,
    /// `keyspace`: makes it unless it is there.
    CreateKeyspace {
        /// Which.
        slot: usize,
    },
    /// `remove_keyspace`.
    RemoveKeyspace {
        /// Which.
        slot: usize,
    },
    /// Steps so many background jobs.
    Run {
        /// How many.
        jobs: usize,
    },
    /// Time passes; the wall clock may be set back.
    Time {
        /// Milliseconds that pass.
        millis: u64,
        /// Seconds by which somebody sets the wall clock back.
        back_seconds: u64,
    },
    /// `close`, then open again.
    Reopen {
        /// The power goes in between.
        power_cut: bool,
        /// Draws new options.
        options: Option<u64>,
    },
    /// The end of the machine, now; then recovery, which may be cut short once.
    Crash {
        /// How.
        how: Crash,
        /// Recovery is cut short after so many file operations.
        again_after: Option<u64>,
    },
    /// The disk begins to fail.
    Fault(DiskFault),
}

impl Operation {
    /// Whether it is a fault or a crash: something that the same history under other options would meet elsewhere.
    #[must_use]
    pub fn is_accident(&self) -> bool {
        matches!(self, Operation::Crash { .. } | Operation::Fault(_))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation::Write { id, changes, durability, single } = self else { return write!(f, "{self:?}") };
        write!(f, "{} #{id} {durability:?}:", if *single { "write" } else { "batch" })?;
        for change in changes {
            write!(f, " {}/{}", KEYSPACES[change.slot % KEYSPACES.len()], change.key)?;
            match change.value_bytes {
                Some(bytes) => write!(f, "={bytes}B")?,
                None => write!(f, "=gone")?,
            }
        }
        Ok(())
    }
}

/// The bytes of a key: keys share prefixes and differ in length.
#[must_use]
pub fn key_bytes(number: u16) -> Vec<u8> {
    let mut key = format!("{:04}", number).into_bytes();
    key.resize(key.len() + usize::from(number) % 7, b'k');
    key
}

/// The bytes of the value that the `index`-th change of write `id` sets: no two writes set the same, unless it is too short to tell.
#[must_use]
pub fn value_bytes(id: u64, index: usize, len: usize) -> Vec<u8> {
    let mut value = vec![b'v'; len];
    let stamp = (id << 8 | index as u64 & 0xff).to_le_bytes();
    let stamped = len.min(stamp.len());
    value[..stamped].copy_from_slice(&stamp[..stamped]);
    value
}
