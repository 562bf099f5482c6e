//! The laws about what survives: the death of the process, the loss of power, a file cut short, damage.

use super::{Random, options, payload, read_log};
use crate::{CreateLog, Error, LogWriter, ReadLogOptions, RecoveryMode};
use std::path::Path;
use std::sync::{Arc, Mutex};
use terrace_vfs::{ChangeKind, CrashFate, Fault, FaultRule, FaultVfs, MemVfs, PendingChange, Vfs};

const PATH: &str = "log";

/// Checks what survives crashes, in memory.
///
/// # Panics
///
/// At the first law that does not hold.
pub fn check_crashes<L: LogWriter>() {
    if !L::KEEPS {
        return;
    }
    for recycled in [false, true] {
        what_is_handed_over_survives_the_process::<L>(recycled);
        for seed in 0..120 {
            a_power_cut_leaves_a_prefix_that_holds_all_synced_records::<L>(seed, recycled);
        }
    }
    close_is_durable::<L>();
    a_power_cut_while_closing_leaves_a_prefix::<L>();
    a_file_cut_anywhere_gives_a_prefix_or_corruption::<L>();
    damage_before_a_durable_mark_is_corruption::<L>();
}

/// A log in memory, and what went into it.
struct Script<L> {
    vfs: MemVfs,
    log: L,
    records: Vec<Vec<u8>>,
    synced: usize,
}

impl<L: LogWriter> Script<L> {
    fn new(recycled: bool, preallocate_bytes: u64) -> Self {
        let vfs = MemVfs::new();
        let shared: Arc<dyn Vfs> = Arc::new(vfs.clone());
        let path = Path::new(PATH);
        let mut create = options(2, preallocate_bytes);
        if recycled {
            let old = Path::new("old");
            let mut log = L::create(&shared, old, options(1, 0)).expect("create");
            for seed in 0..60 {
                log.append(&[&payload(seed, 50)]).expect("append");
            }
            log.close().expect("close");
            create = CreateLog { recycle: Some(old.to_owned()), ..create };
        }
        let log = L::create(&shared, path, create).expect("create");
        vfs.sync_dir(Path::new("")).expect("sync the folder");
        Script { vfs, log, records: Vec::new(), synced: 0 }
    }

    fn append(&mut self, bytes: usize) {
        let record = payload(10_000 + self.records.len() as u64, bytes);
        self.log.append(&[&record]).expect("append");
        self.records.push(record);
    }

    /// In parts, of which one has a single byte that is not zero, so that a change of one byte explains its loss.
    fn append_sparse(&mut self, bytes: usize) {
        let body = payload(20_000 + self.records.len() as u64, bytes);
        let (left, right) = body.split_at(bytes / 2);
        self.log.append(&[left, &[0, 0, 1, 0], right]).expect("append");
        self.records.push([left, &[0, 0, 1, 0], right].concat());
    }

    fn sync(&mut self) {
        self.log.sync().expect("sync");
        self.synced = self.records.len();
    }

    /// Reads the log in `vfs`, which holds a prefix of the records, at least `at_least` of them.
    fn check(&self, vfs: MemVfs, at_least: usize, context: &str) {
        let vfs: Arc<dyn Vfs> = Arc::new(vfs);
        let (records, report) = read_log(&vfs, Path::new(PATH), 2, ReadLogOptions::default())
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(self.records.starts_with(&records), "{context}: not a prefix: {report:?}");
        assert!(records.len() >= at_least, "{context}: {} records of {at_least}: {report:?}", records.len());
    }
}

fn what_is_handed_over_survives_the_process<L: LogWriter>(recycled: bool) {
    let mut script = Script::<L>::new(recycled, 1 << 12);
    for bytes in [10, 0, 5000, 100_000, 33] {
        script.append(bytes);
        script.log.hand_over().expect("hand over");
        script.check(script.vfs.crash_keeping_everything(), script.records.len(), "killed");
    }
}

fn a_power_cut_leaves_a_prefix_that_holds_all_synced_records<L: LogWriter>(seed: u64, recycled: bool) {
    let mut random = Random::new(seed);
    let mut script = Script::<L>::new(recycled, 1 << random.below(18));
    for _ in 0..random.below(20) {
        // Some as long as the old records of a recycled file.
        let bytes = if random.below(2) == 0 { 50 } else { random.below(3000) as usize };
        if random.below(4) == 0 {
            script.append_sparse(bytes);
        } else {
            script.append(bytes);
        }
        match random.below(4) {
            0 => script.sync(),
            1 => script.log.hand_over().expect("hand over"),
            _ => {}
        }
    }
    let crashed = power_cut(&script.vfs, &mut random);
    script.check(crashed, script.synced, &format!("power cut {seed}, recycled: {recycled}"));
}

/// A machine that lost some, most or all of what was not synced.
fn power_cut(disk: &MemVfs, random: &mut Random) -> MemVfs {
    let mild = random.below(3) == 0;
    disk.crash(|change: &PendingChange<'_>| {
        let len = match change.kind {
            ChangeKind::Write { len, .. } => len as u64,
            _ => 0,
        };
        match random.below(if mild { 12 } else { 5 }) {
            0 => CrashFate::Lose,
            1 => CrashFate::Torn(random.below(len + 1) as usize),
            2 => CrashFate::LengthOnly,
            3 => {
                let start = random.below(len + 1);
                let end = start + random.below(len - start + 1);
                CrashFate::TornRange { start: start as usize, end: end as usize }
            }
            _ => CrashFate::Keep,
        }
    })
}

/// The trailer proves that everything before it was durable, so it must not be there when that is not so.
fn a_power_cut_while_closing_leaves_a_prefix<L: LogWriter>() {
    let disk = MemVfs::new();
    let faulty = FaultVfs::new(Arc::new(disk.clone()));
    let vfs: Arc<dyn Vfs> = Arc::new(faulty.clone());
    let mut log = L::create(&vfs, Path::new(PATH), options(2, 1 << 12)).expect("create");
    disk.sync_dir(Path::new("")).expect("sync the folder");
    let records = [payload(1, 50), payload(2, 70), payload(3, 600)];
    for (at, record) in records.iter().enumerate() {
        log.append(&[record]).expect("append");
        if at == 0 {
            log.sync().expect("sync");
        } else {
            log.hand_over().expect("hand over");
        }
    }
    // Every state of the disk between two operations of closing.
    let states = Arc::new(Mutex::new(Vec::new()));
    let (seen, before) = (Arc::clone(&states), disk.clone());
    faulty.add(FaultRule::new(Fault::Call(Arc::new(move |_| {
        seen.lock().expect("no panic before").push(before.crash_keeping_everything());
    }))));
    log.close().expect("close");
    let states = std::mem::take(&mut *states.lock().expect("no panic before"));
    assert!(!states.is_empty(), "closing does something");
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let state = &states[random.below(states.len() as u64) as usize];
        let crashed: Arc<dyn Vfs> = Arc::new(power_cut(state, &mut random));
        let (read, report) = read_log(&crashed, Path::new(PATH), 2, ReadLogOptions::default())
            .unwrap_or_else(|error| panic!("power cut {seed} while closing: {error}"));
        assert!(records.starts_with(&read) && !read.is_empty(), "power cut {seed} while closing: {report:?}");
        assert!(
            !report.clean_close || read.len() == records.len(),
            "power cut {seed} while closing: {report:?}"
        );
    }
}

fn close_is_durable<L: LogWriter>() {
    for synced in [false, true] {
        let Script { vfs, mut log, .. } = Script::<L>::new(false, 1 << 16);
        log.append(&[b"last"]).expect("append");
        if synced {
            log.sync().expect("sync");
        }
        let len = log.close().expect("close");
        let vfs: Arc<dyn Vfs> = Arc::new(vfs.crash_losing_everything_unsynced());
        let known = ReadLogOptions { durable_bytes: Some(len), ..ReadLogOptions::default() };
        let (records, report) = read_log(&vfs, Path::new(PATH), 2, known).expect("read");
        assert_eq!(records, [b"last"]);
        assert!(report.clean_close && report.valid_bytes == len, "{report:?}");
    }
}

fn a_file_cut_anywhere_gives_a_prefix_or_corruption<L: LogWriter>() {
    let mut script = Script::<L>::new(false, 0);
    let mut ends = vec![script.log.len_bytes()];
    for bytes in [30, 0, 1, 90] {
        script.append(bytes);
        ends.push(script.log.len_bytes());
    }
    script.log.hand_over().expect("hand over");
    let whole = script.vfs.files()[Path::new(PATH)].clone();
    let durable = ends[2];
    for len in 0..=script.log.len_bytes() {
        let vfs = script.vfs.crash_keeping_everything();
        vfs.corrupt(Path::new(PATH), |bytes| *bytes = whole[..len as usize].to_vec()).expect("cut");
        let vfs: Arc<dyn Vfs> = Arc::new(vfs);
        let (records, report) = read_log(&vfs, Path::new(PATH), 2, ReadLogOptions::default()).expect("read");
        let expected = ends[1..].iter().filter(|end| **end <= len).count();
        assert!(records == script.records[..expected], "cut to {len}: {} records", records.len());
        let valid = ends.iter().rev().find(|end| **end <= len).copied().unwrap_or(0);
        let dropped: u64 = report.dropped.iter().map(|dropped| dropped.bytes).sum();
        assert_eq!(report.valid_bytes, valid, "cut to {len}: {report:?}");
        // A rest of zeros only is unwritten space and nothing to drop.
        let rest = &whole[valid as usize..len as usize];
        let expected = if rest.iter().all(|byte| *byte == 0) { 0 } else { rest.len() as u64 };
        assert_eq!(dropped, expected, "cut to {len}: {report:?}");

        let strict = ReadLogOptions { mode: RecoveryMode::RefuseAny, ..ReadLogOptions::default() };
        let read = read_log(&vfs, Path::new(PATH), 2, strict);
        assert_eq!(read.is_err(), dropped > 0, "cut to {len}, refusing any: {read:?}");

        let known = ReadLogOptions { durable_bytes: Some(durable), ..ReadLogOptions::default() };
        let read = read_log(&vfs, Path::new(PATH), 2, known);
        assert_eq!(read.is_err(), len < durable, "cut to {len}, {durable} known durable: {read:?}");
    }
}

fn damage_before_a_durable_mark_is_corruption<L: LogWriter>() {
    let mut script = Script::<L>::new(false, 1 << 12);
    script.append(200);
    let first = (script.log.len_bytes() - 224) as usize;
    script.append(40);
    script.sync();
    let marked = script.log.synced_bytes() as usize;
    script.append(40);
    script.log.hand_over().expect("hand over");
    // Eight bytes wrong: no single changed byte explains that, so that only the mark of the third record proves it.
    for at in first..marked - 8 {
        let vfs = script.vfs.crash_keeping_everything();
        vfs.corrupt(Path::new(PATH), |bytes| bytes[at..at + 8].fill(0)).expect("damage");
        let vfs: Arc<dyn Vfs> = Arc::new(vfs);
        let read = read_log(&vfs, Path::new(PATH), 2, ReadLogOptions::default());
        match read {
            Err(Error::Corruption { path, offset, .. }) => {
                assert_eq!(path, Path::new(PATH));
                assert!(
                    offset as usize <= at && at < offset as usize + 224,
                    "damage at {at} found at {offset}"
                );
            }
            // Eight zeros over eight zeros are no damage: the high bytes of a mark.
            Ok((records, _)) => assert!(records == script.records, "damage at {at} lost a record"),
            Err(error) => panic!("damage at {at}: {error}"),
        }
        let salvage = ReadLogOptions { mode: RecoveryMode::Salvage, ..ReadLogOptions::default() };
        let (records, report) = read_log(&vfs, Path::new(PATH), 2, salvage).expect("salvage");
        assert!(records.len() >= 2 || at > marked - 64 - 8, "salvage after damage at {at}: {report:?}");
        assert_eq!(records.last(), script.records.last(), "salvage goes on behind damage at {at}");
        assert!(records.len() == 3 || !report.dropped.is_empty(), "salvage names what it skipped");
    }
}
