//! Reads pay for merges: a tree that is read much becomes one run, and one that nobody reads stays as it is.

mod sim;

use sim::Sim;
use terrace::{AnyPolicy, Engine};
use terrace_vfs::MemVfs;

type Db = Engine<AnyPolicy>;

const KEYS: u32 = 3000;
/// Look-ups in 16 of which one counts, until the picker is asked once.
const GETS: u32 = 16 * 4096;
/// Seeks, each of which counts for every run but the oldest.
const SEEKS: u32 = 4096;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Three runs over the same even keys.
fn three_runs(vain_read_bytes: Option<u64>) -> (Sim, Db) {
    let sim = Sim::over(&MemVfs::new());
    let db = sim.builder::<AnyPolicy>().vain_read_bytes(vain_read_bytes).open().unwrap();
    for _ in 0..3 {
        for number in 0..KEYS {
            db.put(key(2 * number), [7; 20]).unwrap();
        }
        db.flush().unwrap();
    }
    db.wait_for_background().unwrap();
    assert_eq!(runs(&sim, &db), 3, "three flushes are less than leveled compaction merges for its own sake");
    (sim, db)
}

/// The picker is asked by a job of its own, which nobody waits for.
fn runs(sim: &Sim, db: &Db) -> usize {
    while sim.executor.run_one() {}
    db.shape().keyspaces[0].shape.runs().count()
}

fn get_absent(db: &Db, times: u32) {
    for number in 0..times {
        assert_eq!(db.get(key(2 * (number % (KEYS - 1)) + 1)).unwrap(), None);
    }
}

fn seek(db: &Db, times: u32) {
    for number in 0..times {
        let number = number % KEYS;
        let found = db.range(key(2 * number)..).next().unwrap().unwrap();
        assert_eq!((&found.0[..], &found.1[..]), (&key(2 * number)[..], &[7; 20][..]));
    }
}

#[test]
fn filters_asked_in_vain_make_one_run_of_a_tree() {
    let (sim, db) = three_runs(Some(256));
    get_absent(&db, GETS / 4);
    assert_eq!(runs(&sim, &db), 3, "a merge costs more than so few look-ups");
    get_absent(&db, GETS);
    assert_eq!(runs(&sim, &db), 1);
    seek(&db, 10);
}

#[test]
fn seeks_make_one_run_of_a_tree() {
    let (sim, db) = three_runs(Some(256));
    seek(&db, 100);
    assert_eq!(runs(&sim, &db), 3, "a merge costs more than so few seeks");
    seek(&db, SEEKS);
    assert_eq!(runs(&sim, &db), 1);
    get_absent(&db, 10);
}

#[test]
fn look_ups_that_the_newest_run_answers_are_not_in_vain() {
    let (sim, db) = three_runs(Some(256));
    for number in 0..2 * GETS {
        assert!(db.get(key(2 * (number % KEYS))).unwrap().is_some());
    }
    assert_eq!(runs(&sim, &db), 3);
}

#[test]
fn nothing_is_merged_for_reads_when_none_is_paid_for() {
    let (sim, db) = three_runs(None);
    get_absent(&db, 2 * GETS);
    seek(&db, 2 * SEEKS);
    assert_eq!(runs(&sim, &db), 3);
}
