//! Put, get, miss, scan, and seeks over what was just written, of each implementation: `cargo bench -p terrace-memtable`.
//!
//! Keys are 16 bytes, values 100. `random` keys differ in their first bytes; `decimal` keys are numbers in decimal
//! with leading zeros, as many benchmarks have them, so that all share their first eight bytes.

#![expect(clippy::print_stdout, reason = "says what a version costs in memory")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use terrace_entry::testing::next_random;
use terrace_entry::{Cursor, InternalKey, Kind, SeqNo};
use terrace_memtable::{BTreeMemTable, HashMemTable, MemTable, SkipListMemTable};

/// Enough to leave the first caches; `TERRACE_BENCH_ENTRIES` asks for more, as `cargo xtask parts` does.
const ENTRIES_DEFAULT: usize = 20_000;
/// Puts, each followed by a seek and ten steps, of one sample.
const FRESH_ROUNDS: usize = 1000;
const VALUE: [u8; 100] = [7; 100];

type Key = [u8; 16];

fn entries() -> usize {
    let asked = std::env::var("TERRACE_BENCH_ENTRIES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(ENTRIES_DEFAULT)
}

fn random_keys(count: usize) -> Vec<Key> {
    let mut state = 1;
    (0..count)
        .map(|_| (u128::from(next_random(&mut state)) << 64 | u128::from(state)).to_be_bytes())
        .collect()
}

fn decimal_keys(count: usize) -> Vec<Key> {
    let mut state = 2;
    let number = |_| format!("{:016}", next_random(&mut state) % 100_000_000);
    (0..count).map(number).map(|text| text.into_bytes().try_into().expect("16 digits")).collect()
}

fn filled<M: MemTable>(keys: &[Key]) -> Arc<M> {
    let table = M::new(keys.len() * 150);
    for (number, key) in keys.iter().enumerate() {
        table.insert(InternalKey::new(key, SeqNo::new(number as u64), Kind::Put), &VALUE);
    }
    Arc::new(table)
}

fn bench_keys<M: MemTable>(criterion: &mut Criterion, shape: &str, keys: &[Key]) {
    let mut group = criterion.benchmark_group(format!("{}/{shape}/{}", M::NAME, keys.len()));
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.sample_size(10);
    group.bench_function("put", |bencher| {
        bencher.iter_batched(|| (), |()| filled::<M>(keys), BatchSize::PerIteration);
    });
    // What a flush does: a full table, of which nobody has asked the order yet, is read once from end to end.
    group.bench_function("first_scan", |bencher| {
        bencher.iter_batched(
            || filled::<M>(keys),
            |table| {
                scan(&mut Arc::clone(&table).cursor());
                table
            },
            BatchSize::PerIteration,
        );
    });
    let table = filled::<M>(keys);
    let bytes = |table: &Arc<M>| table.memory_bytes() as f64 / keys.len() as f64 - 116.0;
    println!("{}: {:.1} bytes besides key and value", M::NAME, bytes(&table));
    // In another order than that of insertion, which is the order of the records in memory.
    let mut order = keys.to_vec();
    order.sort_unstable_by_key(|key| {
        next_random(&mut u64::from_le_bytes(key[8..].try_into().expect("8 bytes")))
    });
    group.bench_function("get", |bencher| {
        bencher.iter(|| order.iter().filter_map(|key| table.get(key, SeqNo::MAX)).map(|f| f.value[50]).max());
    });
    let absent = random_keys(2 * keys.len()).split_off(keys.len());
    group.bench_function("miss", |bencher| {
        bencher.iter(|| absent.iter().filter(|key| table.get(&key[..], SeqNo::MAX).is_some()).count());
    });
    let mut cursor = Arc::clone(&table).cursor();
    group.bench_function("scan", |bencher| bencher.iter(|| scan(&mut cursor)));
    println!("{}: {:.1} bytes besides key and value, once in order", M::NAME, bytes(&table));
    group.bench_function("scan_backwards", |bencher| {
        bencher.iter(|| {
            let Ok(()) = cursor.seek_to_last();
            while let Some(entry) = cursor.current() {
                black_box((entry.key.user_key[15], entry.value[99]));
                let Ok(()) = cursor.prev();
            }
        });
    });
    group.finish();
}

fn scan<C: Cursor<Error = core::convert::Infallible>>(cursor: &mut C) {
    let Ok(()) = cursor.seek_to_first();
    while let Some(entry) = cursor.current() {
        black_box((entry.key.user_key[15], entry.value[99]));
        let Ok(()) = cursor.next();
    }
}

/// Seeks and ten steps, after `puts` puts each, on a table that is refilled when it has grown by a quarter.
fn bench_fresh<M: MemTable>(criterion: &mut Criterion, keys: &[Key], puts: usize) {
    let mut group = criterion.benchmark_group(format!("{}/random/{}", M::NAME, keys.len()));
    group.throughput(Throughput::Elements(FRESH_ROUNDS as u64));
    group.sample_size(10);
    let ordered = || {
        let table = filled::<M>(keys);
        let Ok(()) = Arc::clone(&table).cursor().seek_to_first();
        table
    };
    let mut table = ordered();
    let mut state = 77;
    group.bench_function(format!("seek_and_10_after_{puts}_puts"), |bencher| {
        let refill = || {
            if table.len() > keys.len() + keys.len() / 4 {
                table = ordered();
            }
            Arc::clone(&table)
        };
        let rounds = |table: Arc<M>| {
            let mut random = || u128::from(next_random(&mut state)) << 64 | 7;
            for _ in 0..FRESH_ROUNDS {
                for _ in 0..puts {
                    let seqno = SeqNo::new(table.len() as u64);
                    table.insert(InternalKey::new(&random().to_be_bytes(), seqno, Kind::Put), &VALUE);
                }
                let mut cursor = Arc::clone(&table).cursor();
                let Ok(()) = cursor.seek(InternalKey::seek_to(&random().to_be_bytes(), SeqNo::MAX));
                for _ in 0..10 {
                    black_box(cursor.current().map(|entry| entry.value[99]));
                    let Ok(()) = cursor.next();
                }
            }
        };
        bencher.iter_batched(refill, rounds, BatchSize::PerIteration);
    });
    group.finish();
}

fn bench_threads<M: MemTable>(criterion: &mut Criterion, keys: &[Key]) {
    let mut group = criterion.benchmark_group(format!("{}/random/{}", M::NAME, keys.len()));
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.sample_size(10);
    let put_from_four_threads = || {
        let table = M::new(keys.len() * 150);
        std::thread::scope(|scope| {
            for (part, keys) in keys.chunks(keys.len().div_ceil(4)).enumerate() {
                let table = &table;
                scope.spawn(move || {
                    for (number, key) in keys.iter().enumerate() {
                        let seqno = SeqNo::new((4 * number + part) as u64);
                        table.insert(InternalKey::new(key, seqno, Kind::Put), &VALUE);
                    }
                });
            }
        });
        table
    };
    group.bench_function("put_4_threads", |bencher| {
        bencher.iter_batched(|| (), |()| put_from_four_threads(), BatchSize::PerIteration);
    });
    let table = put_from_four_threads();
    group.bench_function("get_4_threads", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for part in 0..4 {
                    let (table, quarter) = (&table, keys.iter().skip(part).step_by(4));
                    scope.spawn(move || quarter.filter_map(|key| table.get(key, SeqNo::MAX)).count());
                }
            });
        });
    });
    group.finish();
}

fn bench_table<M: MemTable>(criterion: &mut Criterion) {
    bench_keys::<M>(criterion, "random", &random_keys(entries()));
    bench_keys::<M>(criterion, "decimal", &decimal_keys(entries()));
    bench_threads::<M>(criterion, &random_keys(entries()));
    bench_fresh::<M>(criterion, &random_keys(entries()), 0);
    bench_fresh::<M>(criterion, &random_keys(entries()), 1);
    bench_fresh::<M>(criterion, &random_keys(entries()), 10);
}

criterion_group!(
    benches,
    bench_table::<SkipListMemTable>,
    bench_table::<BTreeMemTable>,
    bench_table::<HashMemTable>
);
criterion_main!(benches);
