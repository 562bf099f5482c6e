//! Build and query of every filter, by number of keys. Figures are for each key or each query: a build takes all keys as one
//! batch of that many elements, and a query loop goes over as many hashes as there are keys.
//!
//! Another `Filter` is measured by one more line in `all`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use terrace_bloom::testing::hashes;
use terrace_bloom::{BlockedBloom, Filter, KeyHash, StandardBloom};

const QUERIES_MAX: usize = 100_000;
const BITS_PER_KEY: [f64; 2] = [10.0, 16.0];

/// Numbers of keys; `TERRACE_BENCH_ENTRIES` asks for another.
fn sizes() -> Vec<usize> {
    let asked = std::env::var("TERRACE_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok());
    asked.map_or(vec![100_000, 1_000_000], |keys: usize| vec![keys])
}

fn filter<F: Filter>(c: &mut Criterion) {
    for bits_per_key in BITS_PER_KEY {
        for keys in sizes() {
            let queries = keys.min(QUERIES_MAX);
            let present: Vec<KeyHash> = hashes(1).take(keys).collect();
            let absent: Vec<KeyHash> = hashes(2).take(queries).collect();
            let label = format!("{}/{bits_per_key}bits/{keys}", F::NAME);
            let mut group = c.benchmark_group(label);
            group.throughput(Throughput::Elements(keys as u64));
            group.bench_function("build", |b| {
                b.iter_batched(
                    || (),
                    |()| F::build(black_box(&present), bits_per_key),
                    BatchSize::PerIteration,
                );
            });
            let stored = F::build(&present, bits_per_key);
            let reader = F::open(stored).expect("what build made");
            group.throughput(Throughput::Elements(queries as u64));
            group.bench_function("absent", |b| b.iter(|| found::<F>(&reader, &absent)));
            group.bench_function("present", |b| b.iter(|| found::<F>(&reader, &present[..queries])));
            group.finish();
        }
    }
}

/// Branches on each answer, as a look-up in a table does.
fn found<F: Filter>(reader: &F::Reader<Vec<u8>>, asked: &[KeyHash]) -> usize {
    let mut found = 0;
    for &hash in asked {
        if F::may_contain(black_box(reader), hash) {
            found = black_box(found + 1);
        }
    }
    found
}

fn all(c: &mut Criterion) {
    filter::<StandardBloom>(c);
    filter::<BlockedBloom>(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
