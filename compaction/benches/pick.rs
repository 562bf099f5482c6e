//! What one `pick` costs on trees of a thousand and a hundred thousand tables, for each picker: `cargo bench -p terrace-compaction -- --quick`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use terrace_compaction::testing::Random;
use terrace_compaction::{
    CompactionPicker, FifoPicker, FluidPicker, GuardsPicker, HybridPicker, LeveledPicker, PickContext, Shape,
    TableMeta, TieredPicker, UniversalPicker, WindowedPicker,
};

/// A leveled tree of about `tables` tables of 64 MiB, every level a little too large, and six runs in level 0.
fn tree(tables: u64) -> Shape {
    let mut random = Random::new(1);
    let mut id = 0;
    let mut run = |count: u64, random: &mut Random| {
        let width = u64::MAX / count;
        let table = |index: u64| {
            id += 1;
            let (from, to) =
                (index * width + random.below(width / 4), (index + 1) * width - 1 - random.below(width / 4));
            TableMeta::sized(id, from.to_be_bytes(), to.to_be_bytes(), (48 << 20) + random.below(32 << 20))
        };
        (0..count).map(table).collect::<Vec<_>>()
    };
    let mut levels = vec![(0..6).map(|_| run(1, &mut random)).collect::<Vec<_>>()];
    let mut sizes: Vec<u64> = std::iter::successors(Some(tables * 85 / 100), |size| Some(size / 8))
        .take_while(|&size| size > 3)
        .collect();
    sizes.reverse();
    levels.extend((sizes.len()..6).map(|_| Vec::new()));
    levels.extend(sizes.into_iter().map(|size| vec![run(size, &mut random)]));
    Shape::from_levels(levels)
}

fn bench_picker(criterion: &mut Criterion, picker: &dyn CompactionPicker) {
    let mut group = criterion.benchmark_group("pick");
    for tables in [1_000, 100_000] {
        let shape = tree(tables);
        let context = PickContext { tasks_max: 4, ..PickContext::default() };
        group.bench_function(BenchmarkId::new(picker.name(), tables), |bencher| {
            bencher.iter(|| black_box(picker.pick(black_box(&shape), &context)));
        });
    }
    group.finish();
}

/// The guard, and applying, on the first task that a picker gives.
fn bench_guard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    for tables in [1_000, 100_000] {
        let shape = tree(tables);
        let context = PickContext { tasks_max: 1, ..PickContext::default() };
        let task = LeveledPicker::default().pick(&shape, &context).tasks.remove(0);
        group.bench_function(BenchmarkId::new("check", tables), |bencher| {
            bencher.iter(|| black_box(shape.check(black_box(&task), &context.busy)));
        });
        let edit = terrace_compaction::testing::merge_metadata(&shape, &task, &mut 10_000_000);
        group.bench_function(BenchmarkId::new("clone_and_apply", tables), |bencher| {
            bencher.iter(|| {
                let mut shape = shape.clone();
                shape.apply(&edit).expect("the edit fits");
                shape
            });
        });
    }
    group.finish();
}

fn bench_all(criterion: &mut Criterion) {
    bench_picker(criterion, &LeveledPicker::default());
    bench_picker(criterion, &TieredPicker::default());
    bench_picker(criterion, &UniversalPicker::default());
    bench_picker(criterion, &FluidPicker::default());
    bench_picker(criterion, &HybridPicker::default());
    bench_picker(criterion, &GuardsPicker::default());
    bench_picker(criterion, &WindowedPicker::default());
    bench_picker(criterion, &FifoPicker::default());
    bench_guard(criterion);
}

criterion_group!(benches, bench_all);
criterion_main!(benches);
