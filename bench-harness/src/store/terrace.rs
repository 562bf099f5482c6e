//! Every combination of terrace's own parts.
//!
//! The memtable is a type, so each has an engine compiled for it; log, filter and compression are options of a database. A policy is asked when
//! a tree has changed and not for each key, so it is chosen by name behind a pointer. All get the same sizes. Sizes that the harness does not
//! set follow from the memtable's, so that a small data set meets as many flushes and merges as a large one would.

mod spread;

use self::spread::SpreadStore;
use crate::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreError, StoreFactory, StoreResult,
    StoreStats, Visitor,
};
use std::marker::PhantomData;
use std::path::Path;
use terrace::{AnyPolicy, Engine, Options, WriteBatch};
use terrace_bloom::{BlockedBloom, Filter, FilterId, StandardBloom};
use terrace_compaction::TriggerOptions;
use terrace_compaction::stock::{self, Sizes};
use terrace_memtable::{BTreeMemTable, HashMemTable, MemTable, SkipListMemTable};
use terrace_sstable::{BlockCache, Compression, FilterOptions, QuickCache, SlotCache};
use terrace_throttle::InQuietHours;
use terrace_wal::LogKind;

/// What a policy's sizes follow from, as the leveled one's do. Everything is kept: what `fifo` dropped could not be read back.
fn sizes(options: &Options) -> Sizes {
    Sizes {
        memtable_bytes: options.memtable_bytes as u64,
        table_bytes: options.table_bytes,
        // A run of the harness takes seconds, so it meets several windows of one second.
        turnover_seconds: 20,
        triggers: TriggerOptions { vain_read_bytes: options.vain_read_bytes, ..TriggerOptions::default() },
        ..Sizes::default()
    }
}

/// Opens one combination.
struct TerraceFactory<M, C> {
    parts: Parts,
    picker: stock::Make,
    log: LogKind,
    filter: Option<FilterId>,
    compression: Compression,
    types: PhantomData<fn() -> (M, C)>,
}

/// Every combination; the stock one is the first.
pub(super) fn factories() -> Vec<Box<dyn StoreFactory>> {
    let mut all = Vec::new();
    add::<HashMemTable, SlotCache>(&mut all);
    add::<BTreeMemTable, SlotCache>(&mut all);
    add::<SkipListMemTable, SlotCache>(&mut all);
    // Each further pair of these is one more engine to compile.
    add::<HashMemTable, QuickCache>(&mut all);
    all
}

fn add<M: MemTable, C: BlockCache>(all: &mut Vec<Box<dyn StoreFactory>>) {
    let filters = [
        (BlockedBloom::NAME, Some(BlockedBloom::ID)),
        (StandardBloom::NAME, Some(StandardBloom::ID)),
        ("none", None),
    ];
    let compressions = [("lz4", Compression::Lz4), ("none", Compression::None)];
    for (picker_name, picker) in stock::all() {
        for log in [LogKind::Mapped, LogKind::Buffered, LogKind::Null] {
            for (filter_name, filter) in filters {
                for (compression_name, compression) in compressions {
                    let parts = Parts {
                        engine: "terrace",
                        version: env!("CARGO_PKG_VERSION"),
                        memtable: M::NAME,
                        picker: picker_name,
                        log: log.name(),
                        filter: filter_name,
                        cache: C::NAME,
                        compression: compression_name,
                        table: "block",
                        log_keeps: log.keeps(),
                    };
                    all.push(Box::new(TerraceFactory::<M, C> {
                        parts,
                        picker: *picker,
                        log,
                        filter,
                        compression,
                        types: PhantomData,
                    }));
                }
            }
        }
    }
}

impl<M: MemTable, C: BlockCache> StoreFactory for TerraceFactory<M, C> {
    fn parts(&self) -> Parts {
        self.parts
    }

    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let memtable_bytes = settings.memtable_bytes;
        let bits_per_key = f64::from(settings.filter_bits_per_key);
        let defaults = Options::default();
        let options = Options {
            memtable_bytes,
            cache_bytes: settings.cache_bytes as u64,
            // Enough for all memtables, the cache and what tables pin: the budget is not what is compared here.
            memory_bytes: 8 * (memtable_bytes * settings.keyspaces) as u64
                + settings.cache_bytes as u64
                + (256 << 20),
            table_bytes: defaults.table_bytes.min(memtable_bytes as u64),
            log_preallocate_bytes: defaults.log_preallocate_bytes.min(memtable_bytes as u64),
            filter: self.filter.map(|id| FilterOptions { id, bits_per_key }),
            log: self.log,
            background_threads: settings.background_threads,
            background_niceness: settings.niceness,
            background_order: settings.order,
            compression: [vec![Compression::None; settings.uncompressed_levels], vec![self.compression]]
                .concat(),
            ..defaults
        };
        let picker = (self.picker)(&sizes(&options));
        let unknown =
            |name: &str| StoreError::new("open", format!("there is no throttle or limiter `{name}`"));
        let throttle =
            terrace_throttle::stock::throttle(settings.throttle).ok_or_else(|| unknown(settings.throttle))?;
        let mut builder =
            Engine::<AnyPolicy<M, C>>::builder(dir).options(options).picker(picker).throttle(throttle);
        if let Some((name, bytes_per_second)) = settings.limiter {
            let limiter = terrace_throttle::stock::limiter(name, bytes_per_second as f64);
            let otherwise = limiter.ok_or_else(|| unknown(name))?;
            builder = match settings.quiet_hours {
                Some(hours) => builder.limiter(InQuietHours { otherwise, hours }),
                None => builder.limiter(otherwise),
            };
        }
        let engine = named("open", builder.open())?;
        match settings.keyspaces {
            0 | 1 => Ok(Box::new(TerraceStore { engine })),
            several => Ok(Box::new(SpreadStore::new(engine, several)?)),
        }
    }
}

/// An open engine.
struct TerraceStore<P: terrace::Parts> {
    engine: Engine<P>,
}

fn durability(durability: Durability) -> terrace::Durability {
    match durability {
        Durability::None => terrace::Durability::Off,
        Durability::PageCache => terrace::Durability::PageCache,
        Durability::Synced => terrace::Durability::Synced,
    }
}

fn named<T>(operation: &'static str, result: terrace::Result<T>) -> StoreResult<T> {
    result.map_err(|error| StoreError::new(operation, error))
}

impl<P: terrace::Parts> Store for TerraceStore<P> {
    fn put(&self, key: &[u8], value: &[u8], wanted: Durability) -> StoreResult<()> {
        named("put", self.engine.put_with(key, value, durability(wanted)))
    }

    fn delete(&self, key: &[u8], wanted: Durability) -> StoreResult<()> {
        named("delete", self.engine.delete_with(key, durability(wanted)))
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], wanted: Durability) -> StoreResult<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        named("write", self.engine.write_with(batch, durability(wanted)))
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        Ok(named("get", self.engine.get_ref(key, visit))?.is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        let mut iter = self.engine.range(from..);
        let mut shown = 0;
        while shown < count
            && let Some(pair) = iter.next_ref()
        {
            let (key, value) = named("scan", pair)?;
            visit(key, value);
            shown += 1;
        }
        Ok(shown)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let mut iter = self.engine.iter();
        let mut shown = 0;
        loop {
            let pair = match direction {
                Direction::Forward => iter.next_ref(),
                Direction::Backward => iter.next_back_ref(),
            };
            let Some(pair) = pair else { return Ok(shown) };
            let (key, value) = named("scan", pair)?;
            visit(key, value);
            shown += 1;
        }
    }

    fn flush(&self) -> StoreResult<()> {
        named("flush", self.engine.flush())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        named("wait", self.engine.wait_for_background())
    }

    fn compact(&self) -> StoreResult<()> {
        named("compact", self.engine.compact())
    }

    fn stats(&self) -> StoreStats {
        let stats = self.engine.stats();
        let written = stats.log_bytes + stats.flush_bytes + stats.compaction_written_bytes;
        StoreStats {
            user_bytes_written: Some(stats.user_bytes),
            file_bytes_written: Some(written),
            // Reads of blocks that the cache did not have are not counted in bytes.
            file_bytes_read: None,
            file_bytes_held: Some(stats.table_bytes + stats.live_log_bytes),
            tables: Some(stats.tables),
            table_bytes: Some(stats.table_bytes),
            write_amp: (stats.user_bytes > 0).then(|| written as f64 / stats.user_bytes as f64),
            read_amp: (stats.gets > 0).then(|| stats.read_amplification()),
            space_amp: (stats.tables > 0).then_some(stats.space_amplification),
            stall: Some(stats.stall_time),
        }
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        // A log that keeps nothing leaves it to a flush to keep what is in memory.
        named("sync", self.engine.sync())?;
        named("close", self.engine.close())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::selection::Selection;
    use crate::lifecycle::{self, LifeOptions};
    use crate::meter::Progress;
    use crate::realdata::RealData;
    use crate::workload::{BenchError, Config, Outcome, Session, Workload, load, run};
    use std::collections::BTreeSet;

    const SMALL: Settings = Settings { memtable_bytes: 64 << 10, cache_bytes: 1 << 20, ..Settings::STOCK };

    #[test]
    fn every_combination_is_there_once_and_the_stock_one_first() {
        let parts: Vec<Parts> = factories().iter().map(|factory| factory.parts()).collect();
        let distinct: BTreeSet<String> = parts.iter().map(|parts| format!("{parts:?}")).collect();
        let memtable = <<terrace::DefaultParts as terrace::Parts>::MemTable as MemTable>::NAME;
        assert_eq!((memtable, Options::default().log.name()), ("hash", "mapped"));
        // Three memtables with the stock cache, and one with the other.
        assert_eq!((parts.len(), distinct.len()), (4 * stock::all().len() * 3 * 3 * 2, parts.len()));
        let Parts { memtable, picker, log, filter, compression, .. } = parts[0];
        assert_eq!(
            [memtable, picker, log, filter, compression],
            ["hash", "leveled", "mapped", "blocked", "lz4"]
        );
    }

    #[test]
    fn each_two_parts_lead_a_life_together_on_real_data() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = RealData::collect(root, 40_000).expect("the sources are readable");
        let factories = factories();
        let parts: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
        let chosen = Selection::default().choose(&parts).expect("there are combinations");
        for factory in chosen.into_iter().map(|index| &factories[index]) {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let options = LifeOptions { durability: Durability::PageCache, load_seed: 1, read_seed: 2 };
            let life = lifecycle::check(&**factory, dir.path(), &SMALL, &data, options, &Progress::new(true));
            let life = life.unwrap_or_else(|error| panic!("{:?}: {error}", factory.parts()));
            assert_eq!(life.records, data.len() as u64);
        }
    }

    #[test]
    fn bytes_given_are_those_of_keys_and_values_also_in_batches() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = factories()[0].open(dir.path(), &SMALL).expect("an empty folder can be opened");
        let big = [7; 300];
        let batch: [BatchWrite<'_>; 3] = [(b"a", Some(b"12")), (b"bcd", Some(&big)), (b"e", None)];
        store.write_batch(&batch, Durability::PageCache).expect("a batch can be written");
        assert_eq!(store.stats().user_bytes_written, Some(1 + 2 + 3 + 300 + 1));
        store.put(b"f", b"34", Durability::PageCache).expect("a pair can be put");
        store.delete(b"ghi", Durability::PageCache).expect("a key can be deleted");
        assert_eq!(store.stats().user_bytes_written, Some(307 + 3 + 3));
    }

    #[test]
    fn every_workload_gets_right_answers_from_the_stock_parts() {
        right_answers_with(SMALL);
    }

    #[test]
    fn and_from_several_keyspaces_in_the_plain_order() {
        right_answers_with(Settings { keyspaces: 3, order: terrace::BackgroundOrder::Plain, ..SMALL });
    }

    fn right_answers_with(settings: Settings) {
        let factory = &factories()[0];
        for workload in Workload::ALL.iter().filter(|workload| !workload.kills()) {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let config = Config {
                records: 4_000,
                ops: 1_000,
                threads: 3,
                memtable_bytes: SMALL.memtable_bytes,
                warm: true,
                ..Config::default()
            };
            let progress = Progress::new(true);
            let store = factory
                .open(dir.path(), &workload.settings(settings))
                .expect("an empty folder can be opened");
            let mut session = Session::new(&config, *workload).expect("the sizes go together");
            if !workload.fills() {
                load(&mut session, &*store, &progress).expect("a load succeeds");
            }
            let outcome = run(&mut session, &*store, *workload, &progress);
            let outcome = outcome.unwrap_or_else(|error| panic!("{}: {error}", workload.name()));
            let tables = outcome.stats.tables;
            match workload {
                Workload::ReadMemtable => assert_eq!(tables, Some(0)),
                // Where every record is deleted, merges may have left nothing.
                Workload::Delete => assert!(tables.is_some()),
                _ => assert!(tables > Some(0), "{}: {tables:?}", workload.name()),
            }
            store.close().expect("a healthy store closes");
        }
    }

    /// What a workload meets on each memtable, with small values too, which take the most beside themselves.
    fn on_each_memtable(
        workload: Workload,
        config: &Config,
        memtable_bytes: usize,
        check: impl Fn(&str, Outcome),
    ) {
        let settings = workload.settings(Settings { memtable_bytes, ..SMALL });
        let factories = factories();
        let stock = factories[0].parts();
        let alike = |parts: &Parts| Parts { memtable: stock.memtable, ..*parts } == stock;
        for factory in factories.iter().filter(|factory| alike(&factory.parts())) {
            for value_bytes in [20, 400] {
                let dir = tempfile::tempdir().expect("a temporary folder");
                let config = Config { value_bytes, memtable_bytes, ..config.clone() };
                let store = factory.open(dir.path(), &settings).expect("an empty folder can be opened");
                let progress = Progress::new(true);
                let mut session = Session::new(&config, workload).expect("the sizes go together");
                let loaded = load(&mut session, &*store, &progress);
                let outcome = loaded.and_then(|()| run(&mut session, &*store, workload, &progress));
                let name = format!("{} with {value_bytes}", factory.parts().memtable);
                check(&name, outcome.unwrap_or_else(|error| panic!("{name}: {error}")));
            }
        }
    }

    #[test]
    fn what_is_to_be_read_from_a_memtable_is_in_one_whatever_memtable_it_is() {
        let config = Config { records: 1_000_000, ops: 100, ..Config::default() };
        on_each_memtable(Workload::ReadMemtable, &config, 1 << 20, |name, outcome| {
            assert_eq!(outcome.stats.tables, Some(0), "{name}");
        });
    }

    #[test]
    fn records_that_were_to_stay_in_the_memtable_and_did_not_are_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = factories()[0].open(dir.path(), &SMALL).expect("an empty folder can be opened");
        let config = Config { records: 20_000, ..Config::default() };
        let mut session = Session::new(&config, Workload::ReadMemtable).expect("the sizes go together");
        let loaded = load(&mut session, &*store, &Progress::new(true)).and_then(|()| {
            // A sealed memtable may wait for its flush.
            store.wait_idle()?;
            run(&mut session, &*store, Workload::ReadMemtable, &Progress::new(true)).map(drop)
        });
        assert!(matches!(loaded, Err(BenchError::Config(_))), "{loaded:?}");
    }

    #[test]
    fn a_compaction_reads_a_run_of_all_records_and_younger_ones_and_writes_one() {
        let config = Config { records: 10_000, threads: 2, ..Config::default() };
        on_each_memtable(Workload::Compact, &config, 4 << 20, |name, outcome| {
            assert_eq!((outcome.ops, outcome.records), (1, 13_000), "{name}");
            let (input, left) = (outcome.input_table_bytes, outcome.stats.table_bytes);
            assert!(
                input.zip(left).is_some_and(|(input, left)| input > left + left / 5),
                "{name}: {outcome:?}"
            );
        });
    }

    #[test]
    fn a_compaction_that_finds_nothing_to_do_is_no_figure() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = factories()[0].open(dir.path(), &SMALL).expect("an empty folder can be opened");
        let mut session = Session::new(&Config { records: 4_000, ..Config::default() }, Workload::Compact)
            .expect("the sizes go together");
        load(&mut session, &*store, &Progress::new(true)).expect("a load succeeds");
        store.compact().expect("a healthy store compacts");
        let again = run(&mut session, &*store, Workload::Compact, &Progress::new(true));
        assert!(matches!(again, Err(BenchError::Config(_))), "{again:?}");
    }
}
