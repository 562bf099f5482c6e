//! The format itself: what damage looks like, that stored bytes do not change, what is read how often.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use terrace_bloom::{FilterId, KeyHash};
use terrace_entry::testing::sample_versions;
use terrace_entry::{Cursor, InternalKey, Kind, OwnedVersion, SeqNo};
use terrace_sstable::testing::TableFixture;
use terrace_sstable::{
    BlockCache, BlockTable, BlockTableReader, CacheStats, Compression, CursorOptions, Error, FilterOptions,
    LostKeys, LostStretch, NullCache, OpenTable, SlotCache, TableBlocks, TableFormat, TableOptions,
    TableReader, TableWriter, dump,
};
use terrace_vfs::ReadFile;

type Fixture = TableFixture<NullCache>;

fn options() -> TableOptions {
    TableOptions {
        block_bytes: 200,
        restart_interval: 4,
        created_at_unix_seconds: 1_700_000_000,
        ..TableOptions::default()
    }
}

fn with_filter(id: FilterId) -> TableOptions {
    TableOptions { filter: Some(FilterOptions { id, bits_per_key: 10.0 }), ..options() }
}

fn lz4() -> TableOptions {
    TableOptions { compression: Compression::Lz4, ..with_filter(FilterId::BLOCKED) }
}

fn sorted(mut versions: Vec<OwnedVersion>) -> Vec<OwnedVersion> {
    versions.sort_by(|a, b| InternalKey::new(&a.0, a.1, a.2).cmp(&InternalKey::new(&b.0, b.1, b.2)));
    versions
}

/// What the golden files and the snapshot hold.
fn golden_versions() -> Vec<OwnedVersion> {
    let mut versions = sample_versions(24, 1);
    versions.push((b"a long value".to_vec(), SeqNo::new(500), Kind::Put, vec![b'v'; 300]));
    versions.push((b"gone".to_vec(), SeqNo::new(501), Kind::Delete, Vec::new()));
    versions.push((vec![0xff; 20], SeqNo::ZERO, Kind::Put, b"the last".to_vec()));
    sorted(versions)
}

// ---- what stands on disk ----

#[test]
fn annotated_dump_is_as_it_was() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &with_filter(FilterId::BLOCKED)).unwrap();
    insta::assert_snapshot!(dump(&*fixture.file()).unwrap());
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn goldens() -> [(&'static str, TableOptions); 4] {
    [
        ("v1-plain.sst", options()),
        ("v1-standard.sst", with_filter(FilterId::STANDARD)),
        ("v1-blocked.sst", with_filter(FilterId::BLOCKED)),
        ("v1-lz4-blocked.sst", lz4()),
    ]
}

/// A change here is a change of the format: raise its version, keep the old files, and add new ones (`TERRACE_BLESS=1` writes what is missing).
#[test]
#[expect(clippy::disallowed_methods, reason = "golden files lie in the source tree, outside every database")]
fn golden_files_of_version_1_read() {
    for (name, options) in goldens() {
        let fixture = Fixture::new();
        if std::env::var_os("TERRACE_BLESS").is_some() && !golden(name).exists() {
            fixture.write::<BlockTable>(&golden_versions(), &options).unwrap();
            std::fs::write(golden(name), fixture.bytes()).unwrap();
        }
        let stored = std::fs::read(golden(name)).unwrap();
        fixture.put_bytes(&stored);
        let table = fixture.open::<BlockTable>(1).unwrap();
        Arc::clone(&table).verify().unwrap();
        let mut cursor = Arc::clone(&table).cursor(CursorOptions::default());
        cursor.seek_to_first().unwrap();
        for (key, seqno, kind, value) in golden_versions() {
            assert!(table.may_contain(KeyHash::of(&key)), "{name}");
            let entry = cursor.current().unwrap();
            assert_eq!(entry.key, InternalKey::new(&key, seqno, kind), "{name}");
            assert_eq!(entry.value, value, "{name}");
            cursor.next().unwrap();
        }
        assert!(cursor.current().is_none());
    }
}

/// LZ4 is left out: a newer lz4_flex may find shorter matches.
#[test]
#[expect(clippy::disallowed_methods, reason = "golden files lie in the source tree, outside every database")]
fn writer_still_writes_the_golden_bytes() {
    for (name, options) in &goldens()[..3] {
        let fixture = Fixture::new();
        fixture.write::<BlockTable>(&golden_versions(), options).unwrap();
        assert_eq!(fixture.bytes(), std::fs::read(golden(name)).unwrap(), "{name}");
    }
}

// ---- damage ----

/// Every bit of every byte is covered: whoever reads all of the file hears of it, and hears where.
#[test]
fn every_flipped_byte_is_corruption_that_names_file_and_offset() {
    for options in [options(), with_filter(FilterId::STANDARD), with_filter(FilterId::BLOCKED), lz4()] {
        let fixture = Fixture::new();
        fixture.write::<BlockTable>(&golden_versions(), &options).unwrap();
        let sound = fixture.bytes();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            fixture.put_bytes(&damaged);
            let answer = fixture.open::<BlockTable>(1).and_then(TableReader::verify);
            let Err(Error::Corruption { file, offset, .. }) = answer else {
                panic!("byte {at}: {answer:?}");
            };
            assert_eq!(file, fixture.file().path());
            assert!(offset <= at as u64, "byte {at} was flipped, and offset {offset} is named");
        }
    }
}

/// What no checksum guards against: a writer that means harm. Any answer is right but a panic or an endless loop.
#[test]
fn damage_under_a_right_checksum_never_panics() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &options()).unwrap();
    let sound = fixture.bytes();
    for (start, end) in regions(&sound) {
        for at in start..end - 4 {
            for change in [0x01, 0x80, 0xff] {
                let mut forged = sound.clone();
                forged[at] ^= change;
                reseal(&mut forged, start, end);
                fixture.put_bytes(&forged);
                read_all(&fixture);
            }
        }
    }
}

/// Where the stored blocks begin and end: data, index and properties.
fn regions(table: &[u8]) -> Vec<(usize, usize)> {
    let field = |at: usize| u64::from_le_bytes(table[at..at + 8].try_into().unwrap()) as usize;
    let footer = table.len() - 80;
    let (index, properties) = (field(footer), field(footer + 32));
    let mut regions = vec![(index, index + field(footer + 8)), (properties, properties + field(footer + 40))];
    // Data blocks: the first three, by trying where a checksum holds.
    let mut start = 0;
    for _ in 0..3 {
        let end =
            (start + 9..=index).find(|&end| crc_of(table, start, end) == stored_crc(table, end)).unwrap();
        regions.push((start, end));
        start = end;
    }
    regions
}

fn crc_of(table: &[u8], start: usize, end: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&table[start..end - 4]), &(start as u64).to_le_bytes())
}

fn stored_crc(table: &[u8], end: usize) -> u32 {
    u32::from_le_bytes(table[end - 4..end].try_into().unwrap())
}

fn reseal(table: &mut [u8], start: usize, end: usize) {
    let crc = crc_of(table, start, end);
    table[end - 4..end].copy_from_slice(&crc.to_le_bytes());
}

fn read_all(fixture: &Fixture) {
    let Ok(table) = fixture.open::<BlockTable>(1) else {
        return;
    };
    let mut cursor = Arc::clone(&table).cursor(CursorOptions::default());
    for (key, seqno, _, _) in golden_versions() {
        let _ = table.get(&key, KeyHash::of(&key), seqno);
        let _ = cursor.seek(InternalKey::seek_to(&key, seqno));
        let _ = cursor.prev();
        let _ = cursor.seek_before(InternalKey::seek_to(&key, seqno));
        let _ = cursor.next();
    }
    let mut steps = 0;
    let mut moved = cursor.seek_to_first();
    while moved.is_ok() && cursor.current().is_some() {
        moved = cursor.next();
        steps += 1;
        assert!(steps < 10_000, "a walk that does not end");
    }
    let mut moved = cursor.seek_to_last();
    while moved.is_ok() && cursor.current().is_some() {
        moved = cursor.prev();
        steps += 1;
        assert!(steps < 20_000, "a walk that does not end");
    }
    let _ = table.verify();
    let _ = dump(&*fixture.file());
}

/// The checksums hold, and the content lies: only `verify` can know.
#[test]
fn verify_finds_a_wrong_count_under_a_right_checksum() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &options()).unwrap();
    let mut forged = fixture.bytes();
    let (start, end) = regions(&forged)[1];
    // The first count in the properties: entries.
    forged[start + 1] += 1;
    reseal(&mut forged, start, end);
    fixture.put_bytes(&forged);
    let table = fixture.open::<BlockTable>(1).unwrap();
    assert!(matches!(table.verify(), Err(Error::Corruption { offset, .. }) if offset == start as u64));
}

#[test]
fn verify_finds_a_filter_that_denies_a_key() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &with_filter(FilterId::BLOCKED)).unwrap();
    let mut forged = fixture.bytes();
    let footer = forged.len() - 80;
    let field = |at: usize| u64::from_le_bytes(forged[at..at + 8].try_into().unwrap()) as usize;
    let (start, len) = (field(footer + 16), field(footer + 24));
    forged[start..start + 64].fill(0);
    reseal(&mut forged, start, start + len);
    fixture.put_bytes(&forged);
    let table = fixture.open::<BlockTable>(1).unwrap();
    assert!(table.verify().unwrap_err().to_string().contains("filter denies a key"));
}

#[test]
fn filter_of_an_unknown_kind_is_named_and_not_ignored() {
    let fixture = Fixture::new();
    let refused = fixture.write::<BlockTable>(&golden_versions(), &with_filter(FilterId(200)));
    assert!(refused.unwrap_err().to_string().contains("filter kind 200"));

    fixture.write::<BlockTable>(&golden_versions(), &with_filter(FilterId::BLOCKED)).unwrap();
    let mut forged = fixture.bytes();
    let footer = forged.len() - 80;
    let field = |at: usize| u64::from_le_bytes(forged[at..at + 8].try_into().unwrap()) as usize;
    let (start, len) = (field(footer + 16), field(footer + 24));
    forged[start + len - 10] = 200;
    reseal(&mut forged, start, start + len);
    fixture.put_bytes(&forged);
    let refused = fixture.open::<BlockTable>(1).unwrap_err();
    assert!(matches!(&refused, Error::Filter { file: Some(_), .. }), "{refused}");
    assert!(refused.to_string().contains("filter kind 200"));
}

#[test]
fn later_format_version_names_both_versions() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &options()).unwrap();
    let mut later = fixture.bytes();
    let footer = later.len() - 80;
    later[footer + 64] = 7;
    let crc = crc32c::crc32c(&later[footer..footer + 68]);
    later[footer + 68..footer + 72].copy_from_slice(&crc.to_le_bytes());
    fixture.put_bytes(&later);
    let refused = fixture.open::<BlockTable>(1).unwrap_err();
    assert!(matches!(refused, Error::UnsupportedVersion { found: 7, supported: 2, .. }), "{refused}");
}

// ---- what is read ----

/// Counts reads and can be made to fail.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn ReadFile>,
    reads: AtomicUsize,
    bytes: AtomicUsize,
    /// Reads at or after this offset fail.
    fails_from: AtomicUsize,
}

impl Watched {
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl ReadFile for Watched {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> terrace_vfs::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(buf.len(), Ordering::Relaxed);
        if offset as usize >= self.fails_from.load(Ordering::Relaxed) {
            let source = std::io::Error::other("told to");
            return Err(terrace_vfs::Error::new(terrace_vfs::Operation::Read, self.path(), source).at(offset));
        }
        self.inner.read_exact_at(buf, offset)
    }

    fn len(&self) -> terrace_vfs::Result<u64> {
        self.inner.len()
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}

fn watched<C: BlockCache>(versions: &[OwnedVersion]) -> (Arc<Watched>, Arc<BlockTableReader<C>>, Arc<C>) {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(versions, &options()).unwrap();
    let file = Arc::new(Watched {
        inner: fixture.file(),
        reads: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        fails_from: AtomicUsize::new(usize::MAX),
    });
    let cache = Arc::new(C::new(1 << 20));
    let source =
        OpenTable { file: Arc::clone(&file) as Arc<dyn ReadFile>, file_number: 3, cache: Arc::clone(&cache) };
    let table = BlockTableReader::open(source).unwrap();
    file.reads();
    file.bytes();
    (file, Arc::new(table), cache)
}

fn many_versions() -> Vec<OwnedVersion> {
    let mut versions = sample_versions(300, 5);
    versions.extend((1000..1100).map(|seqno| (b"00050".to_vec(), SeqNo::new(seqno), Kind::Put, vec![1; 50])));
    sorted(versions)
}

#[test]
fn a_look_up_reads_at_most_one_block_even_where_versions_span_blocks() {
    let versions = many_versions();
    let (file, table, _) = watched::<NullCache>(&versions);
    for (key, seqno, ..) in &versions {
        for seqno in [seqno.get() - 1, seqno.get(), SeqNo::MAX.get()] {
            table.get(key, KeyHash::of(key), SeqNo::new(seqno)).unwrap();
            assert!(file.reads() <= 1, "{} at {seqno}", key.escape_ascii());
        }
    }
}

#[test]
fn readahead_reads_seldom_and_nothing_twice() {
    let versions = many_versions();
    let (file, table, _) = watched::<NullCache>(&versions);
    let blocks = table.properties().data_blocks as usize;
    let doublings = blocks.ilog2() as usize;
    let limits = [(0, blocks), (1000, blocks / 3 + 2), (1 << 20, doublings + 2)];
    for (readahead_bytes, reads_max) in limits {
        let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache: false, readahead_bytes });
        let mut seen = 0;
        cursor.seek_to_first().unwrap();
        while cursor.current().is_some() {
            seen += 1;
            cursor.next().unwrap();
        }
        assert_eq!(seen, versions.len());
        let (reads, bytes) = (file.reads(), file.bytes());
        assert!(reads <= reads_max, "{reads} reads with a readahead of {readahead_bytes}");
        assert!(bytes as u64 <= table.properties().file_bytes, "{bytes} bytes with {readahead_bytes}");
    }
}

#[test]
fn readahead_reads_at_most_thrice_what_a_short_scan_needs() {
    let versions = many_versions();
    let (file, table, _) = watched::<NullCache>(&versions);
    for steps in 0..versions.len() {
        let read_by = |readahead_bytes| {
            let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache: false, readahead_bytes });
            cursor.seek_to_first().unwrap();
            (0..steps).for_each(|_| cursor.next().unwrap());
            file.bytes()
        };
        let (needed, read) = (read_by(0), read_by(1 << 20));
        assert!(read <= 3 * needed, "{read} bytes for {needed} after {steps} steps");
    }
}

#[test]
fn cursor_fills_the_cache_when_asked_and_only_then() {
    let versions = many_versions();
    for readahead_bytes in [0, 1000] {
        let (file, table, cache) = watched::<SlotCache>(&versions);
        let walk = |fill_cache| {
            let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache, readahead_bytes });
            cursor.seek_to_first().unwrap();
            while cursor.current().is_some() {
                cursor.next().unwrap();
            }
            file.reads()
        };
        assert!(walk(false) > 0);
        assert_eq!(cache.stats().used_bytes, 0);
        assert!(walk(true) > 0);
        let used = cache.stats().used_bytes;
        let raw = table.properties().data_bytes_raw;
        assert!(used > raw && used < raw + 300 * table.properties().data_blocks, "{used} for {raw}");
        assert_eq!(walk(true), 0);
        assert_eq!(walk(false), 0);
    }
}

/// Keeps nothing and counts what it is offered.
#[derive(Debug)]
struct Offered {
    blocks: AtomicUsize,
    capacity_bytes: AtomicUsize,
}

impl BlockCache for Offered {
    const NAME: &'static str = "offered";

    type Table = OfferedBlocks;

    fn new(capacity_bytes: u64) -> Self {
        Offered { blocks: AtomicUsize::new(0), capacity_bytes: AtomicUsize::new(capacity_bytes as usize) }
    }

    fn table(self: &Arc<Self>, _file_number: u64, _blocks: usize) -> OfferedBlocks {
        OfferedBlocks(Arc::clone(self))
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.capacity_bytes.store(capacity_bytes as usize, Ordering::Relaxed);
    }

    fn stats(&self) -> CacheStats {
        let capacity_bytes = self.capacity_bytes.load(Ordering::Relaxed) as u64;
        CacheStats { capacity_bytes, ..CacheStats::default() }
    }
}

#[derive(Debug)]
struct OfferedBlocks(Arc<Offered>);

impl TableBlocks for OfferedBlocks {
    fn get(&self, _number: usize) -> Option<Bytes> {
        None
    }

    fn insert(&self, _number: usize, _block: Bytes) {
        self.0.blocks.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_long_scan_offers_its_blocks_only_while_the_cache_has_room() {
    let (_, table, cache) = watched::<Offered>(&many_versions());
    let blocks = table.properties().data_blocks as usize;
    let offered = |readahead_bytes| {
        let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache: true, readahead_bytes });
        cursor.seek_to_first().unwrap();
        while cursor.current().is_some() {
            cursor.next().unwrap();
        }
        cache.blocks.swap(0, Ordering::Relaxed)
    };
    assert_eq!(offered(1000), blocks);
    cache.set_capacity(0);
    assert_eq!(offered(1 << 20), blocks, "a scan that ends before its reads have grown is not long");
    assert!((1..blocks / 4).contains(&offered(1000)), "what a long scan reads at first is offered as ever");
}

#[cfg(feature = "lz4")]
#[test]
fn values_kept_stay_as_they_were_while_a_scan_uses_its_buffers_again() {
    let versions: Vec<OwnedVersion> = (0..3000_u32)
        .map(|n| (n.to_be_bytes().to_vec(), SeqNo::new(1), Kind::Put, vec![n as u8; 40 + n as usize % 50]))
        .collect();
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&versions, &lz4()).unwrap();
    let table = fixture.open::<BlockTable>(1).unwrap();
    for keep_each in [1, 7, 100] {
        let options = CursorOptions { fill_cache: false, readahead_bytes: 4000 };
        let (mut cursor, mut kept) = (Arc::clone(&table).cursor(options), Vec::new());
        cursor.seek_to_first().unwrap();
        for (number, (key, .., value)) in versions.iter().enumerate() {
            let entry = cursor.current().unwrap();
            assert_eq!((entry.key.user_key, entry.value), (key.as_slice(), value.as_slice()));
            if number % keep_each == 0 {
                kept.push((number, cursor.value_bytes()));
            }
            cursor.next().unwrap();
        }
        assert!(cursor.current().is_none());
        assert!(kept.iter().all(|(number, value)| *value == versions[*number].3));
    }
}

#[test]
fn cursor_stands_nowhere_after_an_error_and_recovers_by_a_seek() {
    let versions = many_versions();
    for readahead_bytes in [0, 1000] {
        let (file, table, _) = watched::<NullCache>(&versions);
        let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache: false, readahead_bytes });
        cursor.seek_to_first().unwrap();
        file.fails_from.store(2000, Ordering::Relaxed);
        let (mut seen, mut last_key) = (0, Vec::new());
        let error = loop {
            seen += 1;
            last_key.clear();
            last_key.extend_from_slice(cursor.current().unwrap().key.user_key);
            if let Err(error) = cursor.next() {
                break error;
            }
        };
        assert!(matches!(error, Error::File(_)) && !error.is_corruption(), "{error}");
        assert!(seen > 5 && seen < versions.len());
        assert!(cursor.current().is_none());
        cursor.next().unwrap();
        assert!(cursor.current().is_none(), "a move from nowhere stays nowhere");
        assert!(cursor.seek_to_last().is_err());
        cursor.seek(InternalKey::seek_to(&last_key, SeqNo::MAX)).unwrap();
        assert_eq!(
            cursor.current().unwrap().key.user_key,
            last_key,
            "what was read before the error reads again"
        );
        file.fails_from.store(usize::MAX, Ordering::Relaxed);
        cursor.seek_to_last().unwrap();
        assert_eq!(cursor.current().unwrap().key.user_key, versions.last().unwrap().0);
    }
}

// ---- writing ----

#[test]
fn value_of_megabytes_has_a_block_of_its_own() {
    for options in
        [TableOptions::default(), TableOptions { compression: Compression::Lz4, ..TableOptions::default() }]
    {
        let fixture = Fixture::new();
        let large: Vec<u8> = (0..5_000_000u32).map(|number| (number / 7) as u8).collect();
        let versions: Vec<OwnedVersion> = [(b"a", vec![1]), (b"b", large.clone()), (b"c", vec![3])]
            .into_iter()
            .map(|(key, value)| (key.to_vec(), SeqNo::new(1), Kind::Put, value))
            .collect();
        let properties = fixture.write::<BlockTable>(&versions, &options).unwrap();
        assert!(properties.data_blocks <= 2);
        let table = fixture.open::<BlockTable>(1).unwrap();
        assert!(table.get(b"b", KeyHash::of(b"b"), SeqNo::MAX).unwrap().unwrap().value == large);
        Arc::clone(&table).verify().unwrap();
    }
}

#[test]
fn estimate_is_near_the_file_that_comes_of_it() {
    for options in [options(), with_filter(FilterId::STANDARD), lz4()] {
        let fixture = Fixture::new();
        let mut writer = fixture.writer::<BlockTable>(&options).unwrap();
        let mut last = writer.file_bytes_estimate();
        for (key, seqno, kind, value) in many_versions() {
            writer.add(InternalKey::new(&key, seqno, kind), &value).unwrap();
            let now = writer.file_bytes_estimate();
            // Compression may take back what an open block had added.
            assert!(now + 400 >= last, "{last} and then {now}");
            last = now;
        }
        let properties = writer.finish().unwrap();
        assert!(last.abs_diff(properties.file_bytes) < 600, "{last} for {}", properties.file_bytes);
    }
}

#[test]
fn keys_over_the_limit_are_refused_and_the_table_goes_on() {
    let fixture = Fixture::new();
    let mut writer = fixture.writer::<BlockTable>(&options()).unwrap();
    let long = vec![b'k'; terrace_sstable::KEY_BYTES_MAX + 1];
    let refused = writer.add(InternalKey::new(&long, SeqNo::new(1), Kind::Put), b"");
    assert!(matches!(refused, Err(Error::TooLarge { what: "a key", .. })));
    writer.add(InternalKey::new(b"k", SeqNo::new(1), Kind::Put), b"v").unwrap();
    assert_eq!(writer.finish().unwrap().entries, 1);
}

/// A file whose appends fail from some offset on.
#[derive(Debug)]
struct Full {
    offset: u64,
}

impl terrace_vfs::WriteFile for Full {
    fn append(&mut self, bytes: &[u8]) -> terrace_vfs::Result<()> {
        self.offset += bytes.len() as u64;
        if self.offset > 300_000 {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(terrace_vfs::Error::new(terrace_vfs::Operation::Append, Path::new("/full"), source));
        }
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn sync(&mut self) -> terrace_vfs::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> terrace_vfs::Result<()> {
        self.offset = len;
        Ok(())
    }
}

#[test]
fn writer_that_failed_to_write_refuses_everything_after() {
    let file = Box::new(Full { offset: 0 });
    let mut writer =
        terrace_sstable::BlockTableWriter::<terrace_bloom::StockFilters>::create(file, &options()).unwrap();
    let mut errors = Vec::new();
    for number in 0..1000u64 {
        let key = number.to_be_bytes();
        if let Err(error) = writer.add(InternalKey::new(&key, SeqNo::new(1), Kind::Put), &[0; 1000]) {
            errors.push(error);
        }
    }
    assert!(matches!(errors[0], Error::File(_)), "{:?}", errors[0]);
    assert!(errors.len() > 100 && errors[1..].iter().all(|error| matches!(error, Error::WriterFailed)));
    assert!(matches!(writer.finish(), Err(Error::WriterFailed)));
}

// ---- salvage ----

type Salvaged = (Vec<OwnedVersion>, Vec<LostStretch>);

fn salvage(fixture: &Fixture) -> Salvaged {
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    type Reader = <BlockTable as TableFormat<SlotCache>>::Reader;
    let file = fixture.file();
    let keep = &mut |key: InternalKey<'_>, value: &[u8]| {
        kept.push((key.user_key.to_vec(), key.seqno, key.kind, value.to_vec()));
        Ok(())
    };
    Reader::salvage(&*file, keep, &mut |stretch| lost.push(stretch)).unwrap();
    (kept, lost)
}

#[test]
fn a_sound_table_is_salvaged_whole() {
    let fixture = Fixture::new();
    fixture.write::<BlockTable>(&golden_versions(), &with_filter(FilterId::BLOCKED)).unwrap();
    assert_eq!(salvage(&fixture), (golden_versions(), Vec::new()));
}

/// Whatever byte is flipped: what is kept was written, and what was written is kept or said to be lost.
#[test]
fn salvage_keeps_or_names_every_version_behind_any_flipped_byte() {
    let versions = golden_versions();
    let mut whole = 0;
    for options in [with_filter(FilterId::STANDARD), lz4()] {
        let fixture = Fixture::new();
        fixture.write::<BlockTable>(&versions, &options).unwrap();
        let sound = fixture.bytes();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            fixture.put_bytes(&damaged);
            let (kept, lost) = salvage(&fixture);
            assert_eq!(lost.len(), 1, "byte {at} is in one region");
            assert!((lost[0].offset..lost[0].offset + lost[0].bytes).contains(&(at as u64)), "byte {at}");
            assert!(kept.iter().all(|version| versions.contains(version)), "byte {at}");
            let missing: Vec<_> = versions.iter().filter(|version| !kept.contains(version)).collect();
            whole += usize::from(missing.is_empty());
            for (key, ..) in missing {
                let named = match &lost[0].keys {
                    LostKeys::None => false,
                    LostKeys::Range { smallest, largest } => (smallest..=largest).contains(&key),
                    LostKeys::All => true,
                };
                assert!(named, "byte {at}: {} is lost and not said to be", key.escape_ascii());
            }
        }
    }
    assert!(whole > 300, "damage to filter, properties and footer loses nothing: {whole}");
}
