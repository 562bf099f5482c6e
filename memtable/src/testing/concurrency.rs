//! The laws that take several threads: what has returned is visible, and cursors stay in order while writers go on.
//!
//! Writers tell how far they are through a counter each; a reader that saw a count may rely on all that it counts.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use terrace_entry::testing::{check_cursor, next_random};
use terrace_entry::{Cursor, InternalKey, Kind, OwnedVersion, SeqNo};

use super::insert;
use crate::MemTable;

/// How many writers there are, and how many versions each has inserted.
struct Progress {
    returned: Vec<AtomicUsize>,
    stopped: AtomicBool,
}

/// Ends the readers' loops even if a writer panics, so that a failed check fails instead of hanging.
struct StopOnDrop<'p>(&'p Progress);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}

impl Progress {
    fn new(writers: usize) -> Self {
        Progress {
            returned: (0..writers).map(|_| AtomicUsize::new(0)).collect(),
            stopped: AtomicBool::new(false),
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn returned(&self, writer: usize) -> usize {
        self.returned[writer].load(Ordering::Acquire)
    }

    fn snapshot(&self) -> Vec<usize> {
        (0..self.returned.len()).map(|writer| self.returned(writer)).collect()
    }
}

/// Version `number` of `writer`. Writer 0 descends, so that each insert moves what it inserted before. The keys of
/// the others are mixed, and every third is one of a few that are written again and again.
fn version_of(writers: usize, writer: usize, number: usize) -> OwnedVersion {
    let again = number.is_multiple_of(3) && writer > 0;
    let mut state = if again { (number % 30) as u64 } else { number as u64 };
    let mixed = if writer == 0 { 0x00ff_ffff - number as u64 } else { next_random(&mut state) >> 40 };
    let key = format!("shared part {mixed:08x}.{writer}.{}", if again { 0 } else { number });
    let seqno = SeqNo::new((number * writers + writer) as u64 + 1);
    let value = [(writer as u64).to_le_bytes(), (number as u64).to_le_bytes()].concat();
    (key.into_bytes(), seqno, Kind::Put, value)
}

/// Who wrote a value, and as which of its versions.
fn source_of(value: &[u8]) -> (usize, usize) {
    let number_at = |at: usize| {
        let bytes = value.get(at..).and_then(|rest| rest.first_chunk()).expect("a value has two numbers");
        u64::from_le_bytes(*bytes) as usize
    };
    (number_at(0), number_at(8))
}

/// Runs `writers` that insert `count` versions each, and beside them one thread for each of `readers`.
fn run<M: MemTable>(table: &Arc<M>, writers: usize, count: usize, readers: &[&(dyn Fn(&Progress) + Sync)]) {
    let progress = &Progress::new(writers);
    std::thread::scope(|scope| {
        let stop = StopOnDrop(progress);
        let readers = readers.iter().map(|read| {
            scope.spawn(move || {
                // Once more after the end: then all must be there.
                while !progress.is_over() {
                    read(progress);
                }
                read(progress);
            })
        });
        let readers: Vec<_> = readers.collect();
        let handles: Vec<_> = (0..writers)
            .map(|writer| {
                scope.spawn(move || {
                    for number in 0..count {
                        insert(&**table, &version_of(writers, writer, number));
                        progress.returned[writer].store(number + 1, Ordering::Release);
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("a writer panicked");
        }
        drop(stop);
        for reader in readers {
            reader.join().expect("a reader panicked");
        }
    });
}

fn all_versions(writers: usize, count: usize) -> Vec<OwnedVersion> {
    (0..writers)
        .flat_map(|writer| (0..count).map(move |number| version_of(writers, writer, number)))
        .collect()
}

/// `writers` threads insert `count` versions each; none is lost and none is there twice.
pub fn check_concurrent_writers<M: MemTable>(writers: usize, count: usize) {
    let table = Arc::new(M::new(1 << 20));
    run(&table, writers, count, &[]);
    assert_eq!(table.len(), writers * count, "len counts the inserts of all threads");
    let versions = all_versions(writers, count);
    for (key, seqno, kind, value) in &versions {
        let found = table.get(key, *seqno).expect("every version inserted is found at its sequence number");
        assert_eq!(
            (found.seqno, found.kind, found.value),
            (*seqno, *kind, &value[..]),
            "by its own thread's insert"
        );
    }
    check_cursor(&mut table.cursor(), versions, 100, 1);
}

/// While `writers` threads insert, readers look up what has returned, at its sequence number and at the newest.
pub fn check_inserts_are_visible_when_they_return<M: MemTable>(writers: usize, count: usize) {
    let table = Arc::new(M::new(1 << 20));
    let look_up = |progress: &Progress| {
        let mut state = progress.returned(0) as u64;
        for _ in 0..400 {
            let random = next_random(&mut state);
            let writer = if random >> 63 == 0 { 0 } else { random as usize % writers };
            let returned = progress.returned(writer);
            if returned == 0 {
                continue;
            }
            // Mostly one of the last: they have the most to fear from what is under way beside them.
            let back = (random >> 16) as usize % if random >> 62 == 0 { returned } else { returned.min(32) };
            let number = returned - 1 - back;
            let (key, seqno, _, value) = version_of(writers, writer, number);
            let found = table.get(&key, seqno).expect("an insert that returned is visible");
            assert_eq!((found.seqno, found.value), (seqno, &value[..]), "what was inserted at {seqno}");
            let newest = table.get(&key, SeqNo::MAX).expect("a key that was inserted has a newest version");
            assert!(newest.seqno >= seqno, "the newest version is at least as new as one that returned");
            let mut cursor = Arc::clone(&table).cursor();
            let Ok(()) = cursor.seek(InternalKey::new(&key, seqno, Kind::Put));
            let entry = cursor.current().expect("a seek finds what returned");
            assert_eq!(
                (entry.key.user_key, entry.key.seqno),
                (&key[..], seqno),
                "a seek stands on the very version"
            );
            assert!(
                table.get(b"shared part never", SeqNo::MAX).is_none(),
                "what was never inserted is not found"
            );
        }
    };
    run(&table, writers, count, &[&look_up, &look_up]);
}

/// While `writers` threads insert, cursors walk in both directions and zigzag: in strict order, and past every
/// version whose insert had returned before they were made.
pub fn check_cursors_during_inserts<M: MemTable>(writers: usize, count: usize) {
    let table = Arc::new(M::new(1 << 20));
    let forward = |progress: &Progress| {
        let expected = progress.snapshot();
        let mut cursor = Arc::clone(&table).cursor();
        let Ok(()) = cursor.seek_to_first();
        check_walk(&mut cursor, &expected, true);
    };
    let backward = |progress: &Progress| {
        let expected = progress.snapshot();
        let mut cursor = Arc::clone(&table).cursor();
        let Ok(()) = cursor.seek_to_last();
        check_walk(&mut cursor, &expected, false);
    };
    let zigzag = |_: &Progress| check_zigzag(&mut Arc::clone(&table).cursor());
    run(&table, writers, count, &[&forward, &backward, &zigzag]);
}

type Place = (Vec<u8>, SeqNo);

fn place(cursor: &impl Cursor) -> Option<Place> {
    cursor.current().map(|entry| (entry.key.user_key.to_vec(), entry.key.seqno))
}

fn is_before(a: &Place, b: &Place) -> bool {
    InternalKey::new(&a.0, a.1, Kind::Put) < InternalKey::new(&b.0, b.1, Kind::Put)
}

/// Walks to the end, and counts for each writer how many of its first `expected` versions were met.
fn check_walk<C: Cursor<Error = core::convert::Infallible>>(
    cursor: &mut C,
    expected: &[usize],
    ascending: bool,
) {
    let mut met = vec![0; expected.len()];
    let mut last: Option<Place> = None;
    while let Some(here) = place(cursor) {
        if let Some(last) = &last {
            let in_order = if ascending { is_before(last, &here) } else { is_before(&here, last) };
            assert!(in_order, "a cursor went from {last:?} to {here:?}, ascending: {ascending}");
        }
        let (writer, number) = source_of(cursor.current().expect("it has a place").value);
        met[writer] += usize::from(number < expected[writer]);
        last = Some(here);
        let Ok(()) = if ascending { cursor.next() } else { cursor.prev() };
    }
    assert_eq!(
        met, expected,
        "versions met of those inserted before the cursor was made, ascending: {ascending}"
    );
}

/// Two steps on, one back, to the end: each step goes strictly its way.
fn check_zigzag<C: Cursor<Error = core::convert::Infallible>>(cursor: &mut C) {
    let Ok(()) = cursor.seek_to_first();
    let mut step = 0;
    while let Some(before) = place(cursor) {
        step += 1;
        let backward = step % 3 == 0;
        let Ok(()) = if backward { cursor.prev() } else { cursor.next() };
        match place(cursor) {
            Some(after) if backward => {
                assert!(is_before(&after, &before), "prev went from {before:?} to {after:?}")
            }
            Some(after) => assert!(is_before(&before, &after), "next went from {before:?} to {after:?}"),
            None => assert!(!backward, "prev after next stands somewhere"),
        }
    }
}
