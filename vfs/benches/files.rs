//! What each call costs, on each file system: `cargo bench -p terrace-vfs -- --quick`.
//!
//! Real files are made in the system's folder for temporary ones; set `TMPDIR` to measure another disk.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use terrace_vfs::{CreateOptions, Existing, FaultVfs, MappedFile, MemVfs, RealVfs, Vfs, WriteFile};

const FILE_BYTES: u64 = 4 << 20;

fn options() -> CreateOptions {
    CreateOptions { preallocate_bytes: FILE_BYTES, existing: Existing::Truncate }
}

fn each(c: &mut Criterion, group: &str, mut bench: impl FnMut(&mut Criterion, BenchmarkId, &dyn Vfs, &Path)) {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let systems: [(&str, Arc<dyn Vfs>); 3] = [
        ("real", Arc::new(RealVfs::new())),
        ("mem", Arc::new(MemVfs::new())),
        ("fault", Arc::new(FaultVfs::new(Arc::new(RealVfs::new())))),
    ];
    for (name, vfs) in systems {
        vfs.create_dir_all(dir.path()).expect("the folder can be made");
        bench(c, BenchmarkId::new(group, name), &*vfs, &dir.path().join(name));
    }
}

/// Appends to a preallocated file, which is cut back when it is full.
struct Appender<'a> {
    vfs: &'a dyn Vfs,
    path: &'a Path,
    file: Box<dyn WriteFile>,
}

impl<'a> Appender<'a> {
    fn new(vfs: &'a dyn Vfs, path: &'a Path) -> Self {
        Appender { vfs, path, file: vfs.create(path, options()).expect("the file can be made") }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.file.offset() >= FILE_BYTES {
            *self = Appender::new(self.vfs, self.path);
        }
        self.file.append(bytes).expect("the append succeeds");
    }
}

fn append(c: &mut Criterion) {
    for len in [128, 4096] {
        each(c, &format!("append_{len}"), |c, id, vfs, path| {
            let mut file = Appender::new(vfs, path);
            let bytes = vec![7; len];
            c.benchmark_group("files").throughput(Throughput::Bytes(len as u64)).bench_function(id, |b| {
                b.iter(|| file.append(black_box(&bytes)));
            });
        });
    }
}

fn append_and_sync(c: &mut Criterion) {
    each(c, "append_128_sync", |c, id, vfs, path| {
        let mut file = Appender::new(vfs, path);
        c.benchmark_group("files").bench_function(id, |b| {
            b.iter(|| {
                file.append(black_box(&[7; 128]));
                file.file.sync().expect("the sync succeeds");
            });
        });
    });
}

/// Fills a fresh mapped file, first touch of each page included.
fn fill_map(file: &mut dyn MappedFile, bytes: &[u8]) {
    let mut offset = 0;
    while offset + bytes.len() as u64 <= file.len() {
        file.store(offset, bytes).expect("the store succeeds");
        offset += bytes.len() as u64;
    }
}

fn store(c: &mut Criterion) {
    each(c, "store_128_touched", |c, id, vfs, path| {
        let mut file = vfs.create_mapped(path, options()).expect("the file can be made");
        fill_map(&mut *file, &[7; 128]);
        file.sync().expect("the sync succeeds");
        let mut offset = 0;
        c.benchmark_group("files").throughput(Throughput::Bytes(128)).bench_function(id, |b| {
            b.iter(|| {
                file.store(offset, black_box(&[7; 128])).expect("the store succeeds");
                offset = (offset + 128) % FILE_BYTES;
            });
        });
    });
    each(c, "store_4mib_fresh_by_128", |c, id, vfs, path| {
        c.benchmark_group("files").throughput(Throughput::Elements(FILE_BYTES / 128)).bench_function(
            id,
            |b| {
                b.iter_batched(
                    || vfs.create_mapped(path, options()).expect("the file can be made"),
                    |mut file| {
                        fill_map(&mut *file, &[7; 128]);
                        file
                    },
                    BatchSize::PerIteration,
                );
            },
        );
    });
}

fn read(c: &mut Criterion) {
    each(c, "read_4096", |c, id, vfs, path| {
        let mut file = vfs.create(path, options()).expect("the file can be made");
        file.append(&vec![7; FILE_BYTES as usize]).expect("the append succeeds");
        let file = vfs.open(path).expect("the file is there");
        let mut buf = [0; 4096];
        let mut at = 0_u64;
        c.benchmark_group("files").throughput(Throughput::Bytes(4096)).bench_function(id, |b| {
            b.iter(|| {
                at = (at * 5 + 4099) % (FILE_BYTES - 4096);
                file.read_exact_at(black_box(&mut buf), at).expect("the read succeeds");
            });
        });
    });
}

fn crash(c: &mut Criterion) {
    let mem = MemVfs::new();
    for i in 0..100 {
        let path = format!("file-{i}");
        let mut file = mem.create(Path::new(&path), CreateOptions::default()).expect("the file can be made");
        for _ in 0..10 {
            file.append(&[7; 1000]).expect("the append succeeds");
        }
    }
    c.bench_function("crash/100_files_of_10000", |b| b.iter(|| mem.crash_losing_everything_unsynced()));
}

criterion_group!(benches, append, append_and_sync, store, read, crash);
criterion_main!(benches);
