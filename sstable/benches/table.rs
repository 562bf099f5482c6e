//! Write, look up and scan, for every table format; generic over [`TableFormat`] and [`BlockCache`].
//!
//! `TERRACE_BENCH_ENTRIES=1000000 cargo bench -p terrace-sstable` for a table that does not fit into the processor's cache; the default is small so that
//! a trial run ends in seconds. Keys have 16 bytes, values 100.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use terrace_bloom::{FilterId, KeyHash};
use terrace_entry::testing::next_random;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_sstable::{
    BlockCache, BlockTable, Compression, CursorOptions, FilterOptions, NullCache, OpenTable, QuickCache,
    SlotCache, TableFormat, TableOptions, TableReader, TableWriter,
};
use terrace_vfs::{CreateOptions, Existing, RealVfs, Vfs};

const CACHE_BYTES: u64 = 1 << 30;
const READAHEAD_BYTES: usize = 256 << 10;

fn entries() -> u64 {
    std::env::var("TERRACE_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"user000000000000";
    let mut rest = number * 3;
    for byte in key[4..].iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

struct Bench {
    vfs: RealVfs,
    dir: tempfile::TempDir,
    value: [u8; 100],
}

impl Bench {
    fn new() -> Self {
        let mut value = [0; 100];
        let mut state = 1;
        // Half of it noise, so that compression has something to do and something to fail at.
        value[..50].fill_with(|| next_random(&mut state) as u8);
        Bench { vfs: RealVfs::new(), dir: tempfile::tempdir().unwrap(), value }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("table")
    }

    fn write<T: TableFormat<C>, C: BlockCache>(&self, options: &TableOptions, count: u64) {
        let create = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
        let mut writer = T::Writer::create(self.vfs.create(&self.path(), create).unwrap(), options).unwrap();
        for number in 0..count {
            let key = key(number);
            let seqno = SeqNo::new(1_000_000 + number.wrapping_mul(0x9e37_79b9) % 1_000_000);
            writer.add(InternalKey::new(&key, seqno, Kind::Put), &self.value).unwrap();
        }
        writer.finish().unwrap();
    }

    fn open<T: TableFormat<C>, C: BlockCache>(&self) -> Arc<T::Reader> {
        let source = OpenTable {
            file: self.vfs.open(&self.path()).unwrap(),
            file_number: 1,
            cache: Arc::new(C::new(CACHE_BYTES)),
        };
        Arc::new(T::Reader::open(source).unwrap())
    }
}

fn scan<C: BlockCache, R: TableReader<C>>(table: &Arc<R>, options: CursorOptions) -> u64 {
    let mut cursor = Arc::clone(table).cursor(options);
    let mut seen = 0;
    cursor.seek_to_first().unwrap();
    while let Some(entry) = cursor.current() {
        black_box((entry.key.user_key.len(), entry.value.len()));
        seen += 1;
        cursor.next().unwrap();
    }
    seen
}

fn scan_back<C: BlockCache, R: TableReader<C>>(table: &Arc<R>) -> u64 {
    let mut cursor = Arc::clone(table).cursor(CursorOptions::default());
    let mut seen = 0;
    cursor.seek_to_last().unwrap();
    while let Some(entry) = cursor.current() {
        black_box((entry.key.user_key.len(), entry.value.len()));
        seen += 1;
        cursor.prev().unwrap();
    }
    seen
}

fn bench_format<T: TableFormat<C>, C: BlockCache>(
    criterion: &mut Criterion,
    label: &str,
    options: TableOptions,
) {
    let bench = Bench::new();
    let count = entries();
    let mut group = criterion.benchmark_group(format!("{}/{label}/{count}", T::NAME));

    group.throughput(Throughput::Elements(count));
    group.bench_function("write", |b| b.iter(|| bench.write::<T, C>(&options, count)));

    bench.write::<T, C>(&options, count);
    let table = bench.open::<T, C>();
    group.throughput(Throughput::Elements(count));
    let no_fill = CursorOptions { fill_cache: false, readahead_bytes: 0 };
    group.bench_function("scan/file/block by block", |b| b.iter(|| assert_eq!(scan(&table, no_fill), count)));
    let ahead = CursorOptions { fill_cache: false, readahead_bytes: READAHEAD_BYTES };
    group.bench_function("scan/file/readahead", |b| b.iter(|| assert_eq!(scan(&table, ahead), count)));
    assert_eq!(scan(&table, CursorOptions::default()), count);
    group.bench_function("scan/cache", |b| {
        b.iter(|| assert_eq!(scan(&table, CursorOptions::default()), count))
    });
    group.bench_function("scan back/cache", |b| b.iter(|| assert_eq!(scan_back(&table), count)));

    group.throughput(Throughput::Elements(1));
    let mut state = 7;
    group.bench_function("get/present", |b| {
        b.iter_batched(
            || key(next_random(&mut state) % count),
            |key| table.get(&key, KeyHash::of(&key), SeqNo::MAX).unwrap().unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("get/absent", |b| {
        b.iter_batched(
            || {
                let mut key = key(next_random(&mut state) % count);
                key[15] = b'x';
                key
            },
            |key| table.get(&key, KeyHash::of(&key), SeqNo::MAX).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let mut cursor = Arc::clone(&table).cursor(CursorOptions::default());
    group.bench_function("seek/cache", |b| {
        b.iter_batched(
            || key(next_random(&mut state) % count),
            |key| cursor.seek(InternalKey::seek_to(&key, SeqNo::MAX)).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let plain = TableOptions {
        filter: Some(FilterOptions { id: FilterId::BLOCKED, bits_per_key: 10.0 }),
        ..TableOptions::default()
    };
    bench_format::<BlockTable, QuickCache>(criterion, "quick/plain", plain);
    bench_format::<BlockTable, SlotCache>(criterion, "slots/plain", plain);
    bench_format::<BlockTable, SlotCache>(
        criterion,
        "slots/16k",
        TableOptions { block_bytes: 16 << 10, ..plain },
    );
    bench_format::<BlockTable, SlotCache>(
        criterion,
        "slots/lz4",
        TableOptions { compression: Compression::Lz4, ..plain },
    );
    bench_format::<BlockTable, NullCache>(criterion, "none/plain", plain);
}

criterion_group!(benches, all);
criterion_main!(benches);
