//! What the harness itself costs: making and checking a value, drawing a key.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use terrace_bench::random::{Rng, Shuffle, Zipf};
use terrace_bench::record::RecordShape;

fn generators(c: &mut Criterion) {
    let shape =
        RecordShape { key_bytes: 16, value_bytes: 100, mixed_lengths: false, compressible: 0.5, seed: 1 };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    c.bench_function("key", |b| b.iter(|| shape.key(black_box(123_456), false, &mut key)));
    c.bench_function("value", |b| b.iter(|| shape.value(black_box(123_456), 7, &mut value)));
    c.bench_function("check", |b| b.iter(|| shape.generation(black_box(123_456), &value)));
    let shuffle = Shuffle::new(1_000_000, 1);
    let mut index = 0;
    c.bench_function("shuffle", |b| {
        b.iter(|| {
            index = (index + 1) % shuffle.len();
            shuffle.apply(index)
        });
    });
    let zipf = Zipf::new(1_000_000, Zipf::THETA);
    let mut rng = Rng::new(1, 0);
    c.bench_function("zipf", |b| b.iter(|| zipf.draw(&mut rng)));
}

criterion_group!(benches, generators);
criterion_main!(benches);
