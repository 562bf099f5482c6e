//! Every log over the same work: appends of 134 bytes, and groups of them.
//!
//! `cargo bench -p terrace-wal -- --quick`; the folder is `TERRACE_BENCH_DIR` or the system's for temporary files.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::cell::Cell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::{RealVfs, Vfs};
use terrace_wal::{BufferedLog, CreateLog, LogReader, LogWriter, MappedLog, NullLog, ReadLogOptions};

const RECORD_BYTES: usize = 134;
/// A log is replaced by a new one at this length, as an engine does.
const LOG_BYTES: u64 = 32 << 20;

fn folder() -> tempfile::TempDir {
    let base = std::env::var_os("TERRACE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).expect("a folder")
}

fn create<L: LogWriter>(vfs: &Arc<dyn Vfs>, dir: &Path) -> L {
    let path = dir.join(L::NAME);
    if vfs.exists(&path).expect("exists") {
        vfs.remove(&path).expect("remove");
    }
    let options = CreateLog { number: 1, preallocate_bytes: LOG_BYTES, recycle: None };
    L::create(vfs, &path, options).expect("create")
}

fn writes<L: LogWriter>(c: &mut Criterion) {
    let dir = folder();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    let (key, value) = ([b'k'; 18], [b'v'; RECORD_BYTES - 18]);
    let mut group = c.benchmark_group("log_writer");
    group.throughput(Throughput::Elements(1));
    for (name, per_group) in [("append, hand over each", 1), ("append, hand over every 100", 100)] {
        group.bench_function(format!("{}/{name}", L::NAME), |b| {
            let mut log: L = create(&vfs, dir.path());
            let mut since = 0;
            b.iter(|| {
                log.append(black_box(&[&key, &value])).expect("append");
                since += 1;
                if since == per_group {
                    log.hand_over().expect("hand over");
                    since = 0;
                }
                if log.len_bytes() > LOG_BYTES - 4096 {
                    log = create(&vfs, dir.path());
                }
            });
        });
    }
    group.bench_function(format!("{}/append, sync each", L::NAME), |b| {
        let mut log: L = create(&vfs, dir.path());
        b.iter(|| {
            log.append(black_box(&[&key, &value])).expect("append");
            log.sync().expect("sync");
        });
    });
    group.finish();
}

fn reads(c: &mut Criterion) {
    let dir = folder();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    let path = dir.path().join(BufferedLog::NAME);
    let mut log: BufferedLog = create(&vfs, dir.path());
    let mut records = 0;
    while log.len_bytes() < 4 << 20 {
        log.append(&[&[b'v'; RECORD_BYTES]]).expect("append");
        records += 1;
    }
    log.hand_over().expect("hand over");
    drop(log);
    let mut group = c.benchmark_group("log_reader");
    group.throughput(Throughput::Elements(records));
    group.bench_function("4 MiB of records, then 28 MiB unwritten", |b| {
        let found = Cell::new(0);
        b.iter_batched(
            || LogReader::open(&vfs, &path, 1, ReadLogOptions::default()).expect("open"),
            |mut reader| {
                while let Some(record) = reader.next().expect("next") {
                    black_box(record.payload);
                }
                found.set(reader.report().records);
            },
            BatchSize::PerIteration,
        );
        assert_eq!(found.get(), records);
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    writes::<BufferedLog>(c);
    writes::<MappedLog>(c);
    writes::<NullLog>(c);
    reads(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
