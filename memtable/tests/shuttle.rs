//! The memtables under shuttle: nodes of four slots, so that splits are frequent, and every atomic a place where another thread may go on.
//! Built only with `--cfg shuttle`: `cargo xtask concurrency`.
//!
//! `TERRACE_SCHEDULES` multiplies the schedules of each scenario; `SHUTTLE_RANDOM_SEED` draws others.
#![cfg(shuttle)]
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use std::sync::Arc;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_memtable::MemTable;

const SEED: u64 = 1;
const SCHEDULES: usize = 150;

fn explore(scenario: fn()) {
    let more: Option<usize> = std::env::var("TERRACE_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let each = SCHEDULES * more.unwrap_or(1);
    let tried = run(RandomScheduler::new_from_seed(SEED, each), scenario)
        + run(PctScheduler::new_from_seed(SEED, 3, each), scenario);
    println!("schedules tried: {tried}");
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) -> usize {
    let mut config = shuttle::Config::new();
    config.stack_size = 128 << 10;
    config.silence_warnings = true;
    config.failure_persistence = shuttle::FailurePersistence::None;
    shuttle::Runner::new(scheduler, config).run(scenario)
}

fn key(writer: usize, number: usize) -> Vec<u8> {
    // The writers' keys lie between one another's.
    format!("shared {:02}{writer}", number * 7 % 10).into_bytes()
}

fn seqno(writer: usize, number: usize) -> SeqNo {
    SeqNo::new((number * 2 + writer) as u64 + 1)
}

fn insert<M: MemTable>(table: &M, writer: usize, number: usize) {
    let (key, seqno) = (key(writer, number), seqno(writer, number));
    table.insert(InternalKey::new(&key, seqno, Kind::Put), &key.repeat(2));
}

fn assert_found<M: MemTable>(table: &M, writer: usize, number: usize) {
    let key = key(writer, number);
    let found = table.get(&key, SeqNo::MAX).expect("an insert that returned is found");
    assert_eq!((found.seqno, found.value), (seqno(writer, number), &key.repeat(2)[..]), "torn");
}

const WRITERS: usize = 2;
const EACH: usize = 6;

/// Two writers and what each has done, in a table that splits on the way.
struct Race<M: MemTable> {
    table: Arc<M>,
    returned: Arc<[AtomicUsize; WRITERS]>,
    writers: Vec<thread::JoinHandle<()>>,
}

impl<M: MemTable> Race<M> {
    fn begin() -> Self {
        let table = Arc::new(M::new(0));
        let returned = Arc::new([const { AtomicUsize::new(0) }; WRITERS]);
        let writers = (0..WRITERS).map(|writer| {
            let (table, returned) = (Arc::clone(&table), Arc::clone(&returned));
            thread::spawn(move || {
                for number in 0..EACH {
                    insert(&*table, writer, number);
                    returned[writer].store(number + 1, Ordering::SeqCst);
                }
            })
        });
        Race { writers: writers.collect(), table, returned }
    }

    fn end(self) {
        for writer in self.writers {
            writer.join().unwrap();
        }
        assert_eq!(self.table.len(), WRITERS * EACH);
        for writer in 0..WRITERS {
            (0..EACH).for_each(|number| assert_found(&*self.table, writer, number));
        }
        let mut cursor = self.table.cursor();
        let Ok(()) = cursor.seek_to_first();
        assert_eq!(walk(&mut cursor, true).len(), WRITERS * EACH, "an insert is lost or there twice");
    }
}

/// All keys from where the cursor stands; strictly in order.
fn walk<C: Cursor<Error = core::convert::Infallible>>(cursor: &mut C, ascending: bool) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while let Some(entry) = cursor.current() {
        let here = entry.key.user_key.to_vec();
        assert_eq!(entry.value, here.repeat(2), "torn");
        if let Some(last) = keys.last() {
            let in_order = if ascending { *last < here } else { *last > here };
            assert!(in_order, "out of order: {last:?}, {here:?}");
        }
        keys.push(here);
        let Ok(()) = if ascending { cursor.next() } else { cursor.prev() };
    }
    keys
}

fn writers_lose_nothing<M: MemTable>() {
    Race::<M>::begin().end();
}

fn readers_find_what_returned<M: MemTable>() {
    let race = Race::<M>::begin();
    for round in 0..4 {
        let writer = round % WRITERS;
        let returned = race.returned[writer].load(Ordering::SeqCst);
        (0..returned).for_each(|number| assert_found(&*race.table, writer, number));
    }
    race.end();
}

fn cursors_stay_in_order_and_miss_nothing<M: MemTable>() {
    let race = Race::<M>::begin();
    for ascending in [true, false] {
        let returned: Vec<_> = race.returned.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let mut cursor = Arc::clone(&race.table).cursor();
        let Ok(()) = if ascending { cursor.seek_to_first() } else { cursor.seek_to_last() };
        let met = walk(&mut cursor, ascending);
        for (writer, &count) in returned.iter().enumerate() {
            for number in 0..count {
                assert!(met.contains(&key(writer, number)), "a cursor passed over what had returned");
            }
        }
    }
    race.end();
}

fn versions_of_one_key_are_told_apart<M: MemTable>() {
    let table = Arc::new(M::new(0));
    let write = |first: u64| {
        let table = Arc::clone(&table);
        move || {
            for round in 0..4 {
                let seqno = SeqNo::new(first + 2 * round);
                table.insert(InternalKey::new(b"key", seqno, Kind::Put), &seqno.get().to_le_bytes());
            }
        }
    };
    let writers = [thread::spawn(write(1)), thread::spawn(write(2))];
    let mut last = SeqNo::new(0);
    for _ in 0..4 {
        if let Some(found) = table.get(b"key", SeqNo::MAX) {
            assert!(found.seqno >= last, "the newest version went back");
            assert_eq!(found.value, found.seqno.get().to_le_bytes(), "torn");
            last = found.seqno;
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    for seqno in (1..=8).map(SeqNo::new) {
        assert_eq!(table.get(b"key", seqno).map(|found| found.seqno), Some(seqno));
    }
}

fn a_walk_beside_a_freeze_misses_nothing<M: MemTable>() {
    let table = Arc::new(M::new(0));
    (0..EACH).for_each(|number| insert(&*table, number % WRITERS, number));
    let freeze = {
        let table = Arc::clone(&table);
        move || table.freeze()
    };
    let freezing = [thread::spawn(freeze.clone()), thread::spawn(freeze)];
    for ascending in [true, false] {
        let mut cursor = Arc::clone(&table).cursor();
        let Ok(()) = if ascending { cursor.seek_to_first() } else { cursor.seek_to_last() };
        assert_eq!(walk(&mut cursor, ascending).len(), EACH, "a version is lost or there twice");
    }
    for thread in freezing {
        thread.join().unwrap();
    }
    (0..EACH).for_each(|number| assert_found(&*table, number % WRITERS, number));
}

macro_rules! scenarios {
    ($table:ident: $($scenario:ident),*) => {
        $(#[test]
        fn $scenario() {
            explore(super::$scenario::<terrace_memtable::$table>);
        })*
    };
}

mod btree {
    use super::explore;
    scenarios!(BTreeMemTable: writers_lose_nothing, readers_find_what_returned,
        cursors_stay_in_order_and_miss_nothing, versions_of_one_key_are_told_apart,
        a_walk_beside_a_freeze_misses_nothing);
}

mod skiplist {
    use super::explore;
    scenarios!(SkipListMemTable: writers_lose_nothing, readers_find_what_returned,
        cursors_stay_in_order_and_miss_nothing, versions_of_one_key_are_told_apart,
        a_walk_beside_a_freeze_misses_nothing);
}

mod hash {
    use super::explore;
    scenarios!(HashMemTable: writers_lose_nothing, readers_find_what_returned,
        cursors_stay_in_order_and_miss_nothing, versions_of_one_key_are_told_apart,
        a_walk_beside_a_freeze_misses_nothing);
}
