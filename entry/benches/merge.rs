//! `MergeCursor` over k sources: walking all versions forward, backward, and seeking.
//!
//! Two splits of the same versions. *Skewed*: nine in ten versions lie in the last source, as in a tree with one large bottom
//! level, so that the same source mostly wins again. *Uniform*: each version lies in a random source, the worst case for a merge.
//! The sources are packed arrays, so that what is measured is the merge and not a miss of the cache for each key.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::convert::Infallible;
use std::hint::black_box;
use terrace_entry::testing::next_random;
use terrace_entry::{Cursor, Entry, InternalKey, Kind, MergeCursor, SeqNo};

const VERSIONS_DEFAULT: usize = 50_000;
const SEEKS: usize = 1000;
const KEY_BYTES: usize = 16;
const SOURCES: [usize; 3] = [2, 5, 10];

/// How many there are; `TERRACE_BENCH_ENTRIES` asks for another number.
fn versions() -> usize {
    let asked = std::env::var("TERRACE_BENCH_ENTRIES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(VERSIONS_DEFAULT)
}

/// Versions one after the other in memory, as in a block.
struct Packed {
    versions: Vec<([u8; KEY_BYTES], SeqNo)>,
    /// Past the end when standing nowhere.
    at: usize,
}

impl Packed {
    fn stand(&mut self, at: Option<usize>) -> Result<(), Infallible> {
        self.at = at.unwrap_or(usize::MAX);
        Ok(())
    }

    fn first_at_or_after(&self, target: InternalKey<'_>) -> usize {
        self.versions.partition_point(|(key, seqno)| InternalKey::new(key, *seqno, Kind::Put) < target)
    }
}

impl Cursor for Packed {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.stand(Some(0))
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.stand(self.versions.len().checked_sub(1))
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand(Some(self.first_at_or_after(target)))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand(self.first_at_or_after(target).checked_sub(1))
    }

    #[inline]
    fn next(&mut self) -> Result<(), Infallible> {
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Infallible> {
        self.stand(self.at.checked_sub(1))
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        let (key, seqno) = self.versions.get(self.at)?;
        Some(Entry { key: InternalKey::new(key, *seqno, Kind::Put), value: &key[..8] })
    }
}

/// Keys share half of their bytes, as keys of one table do.
fn key(number: usize) -> [u8; KEY_BYTES] {
    let mut key = *b"user0000________";
    key[8..].copy_from_slice(&(number as u64 * 7).to_be_bytes());
    key
}

fn split(sources: usize, skewed: bool) -> MergeCursor<Packed> {
    let mut parts = vec![Vec::new(); sources];
    let mut state = 1;
    for number in 0..versions() {
        let random = next_random(&mut state) as usize;
        let source = if skewed && !random.is_multiple_of(10) { sources - 1 } else { (random >> 8) % sources };
        parts[source].push((key(number), SeqNo::new(number as u64 + 1)));
    }
    MergeCursor::new(parts.into_iter().map(|versions| Packed { versions, at: usize::MAX }).collect())
}

fn sum<C: Cursor<Error = Infallible>>(
    cursor: &mut C,
    step: impl Fn(&mut C) -> Result<(), Infallible>,
) -> usize {
    let mut bytes = 0;
    while let Some(entry) = cursor.current() {
        bytes += entry.key.user_key.len() + usize::from(entry.value[0]);
        let Ok(()) = step(cursor);
    }
    bytes
}

fn merge(c: &mut Criterion) {
    let versions = versions();
    for (split_name, skewed) in [("skewed", true), ("uniform", false)] {
        let mut group = c.benchmark_group(format!("merge/{split_name}/{versions}"));
        for sources in SOURCES {
            let mut merged = split(sources, skewed);
            group.throughput(Throughput::Elements(versions as u64));
            group.bench_function(BenchmarkId::new("forward", sources), |b| {
                b.iter(|| {
                    let Ok(()) = merged.seek_to_first();
                    black_box(sum(&mut merged, Cursor::next))
                });
            });
            group.bench_function(BenchmarkId::new("backward", sources), |b| {
                b.iter(|| {
                    let Ok(()) = merged.seek_to_last();
                    black_box(sum(&mut merged, Cursor::prev))
                });
            });
            group.throughput(Throughput::Elements(SEEKS as u64));
            group.bench_function(BenchmarkId::new("seek", sources), |b| {
                let mut state = 7;
                b.iter(|| {
                    for _ in 0..SEEKS {
                        let target = key(next_random(&mut state) as usize % versions);
                        let Ok(()) = merged.seek(InternalKey::seek_to(&target, SeqNo::MAX));
                        black_box(merged.current());
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, merge);
criterion_main!(benches);
