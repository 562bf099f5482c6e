//! The conformance suite finds what it promises to find: each planted bug fails it, and the sound table passes.
//!
//! The tables here also show what a stranger's implementation needs: they are built on the public API alone.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use terrace_entry::{Cursor, Entry, InternalKey, Kind, SeqNo};
use terrace_memtable::{BTreeMemTable, Found, MemTable, testing};

const SOUND: u8 = 0;
const GET_IGNORES_SEQNO: u8 = 1;
const GET_FINDS_NEIGHBOUR: u8 = 2;
const TRAILING_ZEROS_LOST: u8 = 3;
const VERSION_LOST: u8 = 4;
const SEEK_BEFORE_IS_INCLUSIVE: u8 = 5;
const NEXT_SKIPS_OLD_VERSIONS: u8 = 6;
const LEN_IS_ALWAYS_ZERO: u8 = 7;
const MEMORY_IS_OF_KEYS_ONLY: u8 = 8;
const TOMBSTONE_READ_AS_PUT: u8 = 9;
const FREEZE_ADDS_A_VERSION: u8 = 10;
const SUCCESSOR_KEEPS_A_VERSION: u8 = 11;

struct Planted<const BUG: u8>(Arc<BTreeMemTable>);

struct PlantedCursor<const BUG: u8>(<BTreeMemTable as MemTable>::Cursor);

impl<const BUG: u8> MemTable for Planted<BUG> {
    const NAME: &'static str = "planted";
    type Cursor = PlantedCursor<BUG>;

    fn new(bytes_hint: usize) -> Self {
        Planted(Arc::new(BTreeMemTable::new(bytes_hint)))
    }

    fn successor(&self, bytes_hint: usize) -> Self {
        let next = Self::new(bytes_hint);
        if BUG == SUCCESSOR_KEEPS_A_VERSION {
            next.0.insert(InternalKey::new(b"kept", SeqNo::MAX, Kind::Put), b"");
        }
        next
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        let mut key = key;
        if BUG == TRAILING_ZEROS_LOST {
            let zeros = key.user_key.iter().rev().take_while(|&&byte| byte == 0).count();
            key.user_key = &key.user_key[..key.user_key.len() - zeros];
        }
        if BUG == VERSION_LOST && self.0.len() == 100 {
            key.user_key = b"somewhere else";
        }
        self.0.insert(key, value);
    }

    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        let seqno = if BUG == GET_IGNORES_SEQNO { SeqNo::MAX } else { seqno };
        if BUG == GET_FINDS_NEIGHBOUR && user_key.ends_with(b"\0") {
            return self.0.get(&user_key[..user_key.len() - 1], seqno);
        }
        let found = self.0.get(user_key, seqno);
        found.map(|found| Found {
            kind: if BUG == TOMBSTONE_READ_AS_PUT { Kind::Put } else { found.kind },
            ..found
        })
    }

    fn cursor(self: Arc<Self>) -> Self::Cursor {
        PlantedCursor(Arc::clone(&self.0).cursor())
    }

    fn freeze(&self) {
        if BUG == FREEZE_ADDS_A_VERSION {
            self.0.insert(InternalKey::new(b"late", SeqNo::MAX, Kind::Put), b"");
        }
    }

    fn len(&self) -> usize {
        if BUG == LEN_IS_ALWAYS_ZERO { 0 } else { self.0.len() }
    }

    fn memory_bytes(&self) -> usize {
        if BUG == MEMORY_IS_OF_KEYS_ONLY { self.0.len() * 8 } else { self.0.memory_bytes() }
    }
}

impl<const BUG: u8> Cursor for PlantedCursor<BUG> {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.0.seek_to_first()
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.0.seek_to_last()
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.0.seek(target)
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        if BUG == SEEK_BEFORE_IS_INCLUSIVE {
            self.0.seek(target)?;
            if self.0.current().is_some_and(|entry| entry.key == target) {
                return Ok(());
            }
        }
        self.0.seek_before(target)
    }

    fn next(&mut self) -> Result<(), Infallible> {
        if BUG == NEXT_SKIPS_OLD_VERSIONS {
            let key = self.current().map(|entry| entry.key.user_key.to_vec());
            while key.is_some() && self.current().map(|entry| entry.key.user_key.to_vec()) == key {
                self.0.next()?;
            }
            return Ok(());
        }
        self.0.next()
    }

    fn prev(&mut self) -> Result<(), Infallible> {
        self.0.prev()
    }

    fn current(&self) -> Option<Entry<'_>> {
        self.0.current()
    }
}

fn run_suite<const BUG: u8>() -> bool {
    let suite = || {
        for (count, seed) in [(40, 1), (300, 2)] {
            testing::check_against_oracle::<Planted<BUG>>(count, seed);
        }
        testing::check_keys::<Planted<BUG>>();
        testing::check_memory::<Planted<BUG>>();
    };
    catch_unwind(AssertUnwindSafe(suite)).is_ok()
}

#[test]
fn the_sound_table_passes() {
    testing::check::<Planted<SOUND>>();
    assert!(run_suite::<SOUND>(), "the part of the suite that is used below passes too");
}

macro_rules! caught {
    ($($name:ident: $bug:ident;)*) => {
        $(#[test] fn $name() { assert!(!run_suite::<$bug>(), "the suite passes a table with a planted bug"); })*
    };
}

caught! {
    a_get_that_ignores_the_sequence_number_is_caught: GET_IGNORES_SEQNO;
    a_get_that_finds_the_neighbour_is_caught: GET_FINDS_NEIGHBOUR;
    a_table_that_loses_trailing_zeros_is_caught: TRAILING_ZEROS_LOST;
    a_table_that_loses_a_version_is_caught: VERSION_LOST;
    a_seek_before_that_is_inclusive_is_caught: SEEK_BEFORE_IS_INCLUSIVE;
    a_next_that_skips_old_versions_is_caught: NEXT_SKIPS_OLD_VERSIONS;
    a_len_that_does_not_count_is_caught: LEN_IS_ALWAYS_ZERO;
    memory_that_leaves_out_values_is_caught: MEMORY_IS_OF_KEYS_ONLY;
    a_tombstone_read_as_a_put_is_caught: TOMBSTONE_READ_AS_PUT;
    a_freeze_that_changes_what_is_there_is_caught: FREEZE_ADDS_A_VERSION;
    a_successor_that_keeps_something_is_caught: SUCCESSOR_KEEPS_A_VERSION;
}
