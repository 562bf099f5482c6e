//! Histories and options drawn from a seed.

use terrace_bloom::FilterId;
use terrace_sstable::{Compression, FilterOptions};
use terrace_wal::LogKind;

use super::operation::{Change, Crash, DiskFault, KEYSPACES, Operation};
use super::random::Random;
use crate::{BackgroundOrder, CompactionRate, Durability, Options};

/// Options small enough that a few hundred writes fill memtables, roll logs and reach several levels.
#[must_use]
pub fn options(seed: u64) -> Options {
    let random = &mut Random::new(seed);
    let filters = [None, Some((FilterId::STANDARD, 8.0)), Some((FilterId::BLOCKED, 10.0))];
    let filter = if cfg!(feature = "preset") { filters[random.below(3) as usize] } else { None };
    let deep = if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None };
    let logs = [LogKind::Buffered, LogKind::Buffered, LogKind::Mapped, LogKind::Mapped, LogKind::Null];
    Options {
        memtable_bytes: 4096 << random.below(4),
        memtables_max: random.between(2..5) as usize,
        table_bytes: 4096 << random.below(3),
        block_bytes: 128 << random.below(5),
        restart_interval: random.between(1..20) as usize,
        cache_bytes: 1 << random.between(10..20),
        compression: vec![Compression::None, deep],
        filter: filter.map(|(id, bits_per_key)| FilterOptions { id, bits_per_key }),
        log: if cfg!(feature = "preset") { logs[random.below(5) as usize] } else { LogKind::Buffered },
        log_preallocate_bytes: 1 << random.between(10..15),
        log_recycle_files_max: random.below(3) as usize,
        log_bytes_max: 1 << random.between(14..18),
        manifest_bytes_max: 1 << random.between(9..14),
        background_threads: random.between(1..4) as usize,
        compaction: !random.percent(5),
        compaction_rate: random
            .percent(20)
            .then_some(CompactionRate { bytes_per_second: 100_000, quiet_hours: None }),
        background_order: BackgroundOrder::ALL[random.below(3) as usize],
        ..Options::default()
    }
}

/// A history of `len` operations that follows from `seed`. Two keyspaces are made first.
#[must_use]
pub fn history(seed: u64, len: usize) -> Vec<Operation> {
    let mut generator = Generator { random: Random::new(seed ^ 0x7e44_ace0), writes: 0 };
    let mut operations = vec![Operation::CreateKeyspace { slot: 1 }, Operation::CreateKeyspace { slot: 2 }];
    operations.extend((0..len).map(|_| generator.operation()));
    operations
}

/// A workload of some hundred operations in which everything happens that touches the disk: writes of all durabilities, flushes, compactions,
/// snapshots held over them, keyspaces made and removed, logs and manifests begun anew, a close and a reopening, and writes after it.
#[must_use]
pub fn journey(seed: u64) -> Vec<Operation> {
    let mut generator = Generator { random: Random::new(seed), writes: 0 };
    let mut operations = vec![Operation::CreateKeyspace { slot: 1 }, Operation::CreateKeyspace { slot: 2 }];
    for (part, last) in [
        Operation::Sync,
        Operation::RemoveKeyspace { slot: 2 },
        Operation::Compact,
        Operation::CreateKeyspace { slot: 2 },
        Operation::Reopen { power_cut: false, options: None },
        Operation::RemoveKeyspace { slot: 1 },
    ]
    .into_iter()
    .enumerate()
    {
        operations.push(Operation::Snapshot);
        for _ in 0..14 {
            operations.push(generator.write());
            operations.push(Operation::Run { jobs: generator.random.below(4) as usize });
        }
        operations.push(if part % 2 == 0 { Operation::Flush } else { Operation::Wait });
        operations.push(Operation::ReadSnapshot { which: part, slot: 0, key: generator.key() });
        operations.push(last);
        operations.push(Operation::Scan);
    }
    operations
}

/// Options under which [`journey`] passes through everything that it is for.
#[must_use]
pub fn journey_options(seed: u64) -> Options {
    Options {
        memtable_bytes: 4096,
        table_bytes: 4096,
        block_bytes: 512,
        log_bytes_max: 1 << 14,
        manifest_bytes_max: 512,
        compaction: true,
        compaction_rate: None,
        ..options(seed)
    }
}

struct Generator {
    random: Random,
    writes: u64,
}

impl Generator {
    fn operation(&mut self) -> Operation {
        let slot = self.slot();
        let key = self.key();
        match self.random.below(1000) {
            0..=519 => self.write(),
            520..=523 => Operation::Refused,
            524..=609 => Operation::Get { slot, key },
            610..=629 => Operation::Scan,
            630..=649 => Operation::Range { slot, from: key, to: self.key(), seed: self.random.next() },
            650..=659 => Operation::Prefix { slot, key, bytes: self.random.below(6) as usize },
            660..=669 => Operation::OpenIterator { slot, seek: key },
            670..=689 => Operation::StepIterator { steps: self.random.between(1..80) as usize },
            690..=714 => Operation::Snapshot,
            715..=734 => Operation::ReadSnapshot { which: self.random.below(4) as usize, slot, key },
            735..=744 => Operation::Flush,
            745..=749 => Operation::Compact,
            750..=759 => Operation::Sync,
            760..=761 => Operation::Wait,
            762..=764 => Operation::Look,
            765..=768 => Operation::CreateKeyspace { slot },
            769..=770 => Operation::RemoveKeyspace { slot },
            771..=773 => Operation::Reopen {
                power_cut: self.random.percent(30),
                options: self.random.percent(30).then(|| self.random.next()),
            },
            774..=779 => Operation::Crash { how: self.crash(), again_after: self.again_after() },
            780..=783 => Operation::Fault(self.fault()),
            784..=789 => Operation::Time {
                millis: self.random.below(10_000),
                back_seconds: if self.random.percent(20) { self.random.below(1_000_000) } else { 0 },
            },
            _ => Operation::Run { jobs: self.random.between(1..8) as usize },
        }
    }

    fn slot(&mut self) -> usize {
        self.random.below(KEYSPACES.len() as u64) as usize
    }

    fn key(&mut self) -> u16 {
        self.random.below(300) as u16
    }

    fn write(&mut self) -> Operation {
        let single = self.random.percent(60);
        let count = if single { 1 } else { self.random.between(1..8) };
        self.writes += 1;
        Operation::Write {
            id: self.writes,
            changes: (0..count).map(|_| self.change()).collect(),
            durability: match self.random.below(100) {
                0..=9 => Durability::Synced,
                10..=12 => Durability::Off,
                _ => Durability::PageCache,
            },
            single,
        }
    }

    fn change(&mut self) -> Change {
        let long = self.random.percent(2);
        let value_bytes =
            (!self.random.percent(25)).then(|| self.random.below(if long { 6000 } else { 60 }) as usize);
        Change { slot: self.slot(), key: self.key(), value_bytes }
    }

    fn crash(&mut self) -> Crash {
        match self.random.below(4) {
            0 => Crash::Kill,
            1 => Crash::LoseUnsynced,
            _ => Crash::Mixed(self.random.next()),
        }
    }

    fn again_after(&mut self) -> Option<u64> {
        self.random.percent(30).then(|| self.random.below(60))
    }

    fn fault(&mut self) -> DiskFault {
        match self.random.below(5) {
            0 | 1 => DiskFault::Syncs { after: self.random.below(20) },
            2 | 3 => DiskFault::Changes { after: self.random.below(20) },
            _ => DiskFault::Read { nth: self.random.below(20) },
        }
    }
}

#[cfg(all(test, feature = "preset"))]
mod tests {
    use super::super::world::{AfterFailure, World};
    use super::*;

    #[test]
    fn the_journey_passes_through_everything_that_touches_the_disk() {
        let options = journey_options(1);
        let picker = super::super::own::<crate::DefaultParts>();
        let mut world = World::<crate::DefaultParts>::new(&picker, options, 1, AfterFailure::GoOn).unwrap();
        let (mut flushes, mut compactions) = (0, 0);
        for operation in &journey(1) {
            if matches!(operation, Operation::Reopen { .. }) {
                let stats = world.db().unwrap().stats();
                (flushes, compactions) = (stats.flushes, stats.compactions);
            }
            world.step(operation).unwrap();
        }
        assert!(flushes > 5 && compactions > 1, "{flushes} flushes, {compactions} compactions");
        let files = world.machine.mem.files();
        let newest = |wanted: fn(&str) -> Option<&str>| {
            let names = files.keys().filter_map(|path| path.file_name()?.to_str());
            names.filter_map(wanted).filter_map(|number| number.parse::<u64>().ok()).max()
        };
        let manifest = newest(|name| name.strip_prefix("MANIFEST-"));
        let log = newest(|name| name.strip_suffix(".log"));
        // Opening twice makes three manifests, the last with a number far below these.
        assert!(manifest > Some(25) && log > Some(25), "manifest {manifest:?}, log {log:?}");
        assert_eq!(world.counts.reopens, 1);
    }
}
