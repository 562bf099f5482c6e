//! The suite for table formats: everything is compared with a sorted vector.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_bloom::{FilterId, KeyHash};
use terrace_entry::testing::{check_cursor, next_random, sample_versions};
use terrace_entry::{Cursor, InternalKey, Kind, OwnedVersion, SeqNo, VecCursor};
use terrace_vfs::{CreateOptions, Existing, MemVfs, ReadFile, Vfs};

use crate::{
    BlockCache, Compression, CursorOptions, Error, FilterOptions, Found, OpenTable, Properties, Result,
    TableFormat, TableOptions, TableReader, TableWriter,
};

/// Writes and opens tables in memory. Also for tests of your own.
#[derive(Debug)]
pub struct TableFixture<C> {
    vfs: MemVfs,
    path: PathBuf,
    /// The cache that tables are opened with.
    pub cache: Arc<C>,
}

impl<C: BlockCache> TableFixture<C> {
    /// An empty file system and a cache of 1 MiB.
    ///
    /// # Panics
    ///
    /// When the file system in memory fails, which it does not.
    #[must_use]
    pub fn new() -> Self {
        let vfs = MemVfs::new();
        vfs.create_dir_all(Path::new("/tables")).expect("a folder in memory");
        TableFixture { vfs, path: PathBuf::from("/tables/1.sst"), cache: Arc::new(C::new(1 << 20)) }
    }

    /// Writes `versions`, which are sorted, as a table; in place of the one written before.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn write<T: TableFormat<C>>(
        &self,
        versions: &[OwnedVersion],
        options: &TableOptions,
    ) -> Result<Properties> {
        let mut writer = self.writer::<T>(options)?;
        for version in versions {
            writer.add(key_of(version), &version.3)?;
        }
        writer.finish()
    }

    /// A writer of a new table in place of the one written before.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn writer<T: TableFormat<C>>(&self, options: &TableOptions) -> Result<T::Writer> {
        let create = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
        T::Writer::create(self.vfs.create(&self.path, create)?, options)
    }

    /// The bytes of the file written last.
    ///
    /// # Panics
    ///
    /// When nothing was written.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let file = self.file();
        let mut bytes = vec![0; file.len().expect("its length") as usize];
        file.read_exact_at(&mut bytes, 0).expect("its bytes");
        bytes
    }

    /// Puts `bytes` in place of the file.
    ///
    /// # Panics
    ///
    /// When the file system in memory fails, which it does not.
    pub fn put_bytes(&self, bytes: &[u8]) {
        let create = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
        let mut file = self.vfs.create(&self.path, create).expect("a file in memory");
        file.append(bytes).expect("to append in memory");
    }

    /// The file.
    ///
    /// # Panics
    ///
    /// When nothing was written.
    #[must_use]
    pub fn file(&self) -> Arc<dyn ReadFile> {
        self.vfs.open(&self.path).expect("the file that was written")
    }

    /// Opens the table written last, as file `file_number` to the cache.
    ///
    /// # Errors
    ///
    /// The reader's.
    pub fn open<T: TableFormat<C>>(&self, file_number: u64) -> Result<Arc<T::Reader>> {
        let source = OpenTable { file: self.file(), file_number, cache: Arc::clone(&self.cache) };
        T::Reader::open(source).map(Arc::new)
    }
}

impl<C: BlockCache> Default for TableFixture<C> {
    fn default() -> Self {
        Self::new()
    }
}

fn key_of(version: &OwnedVersion) -> InternalKey<'_> {
    InternalKey::new(&version.0, version.1, version.2)
}

/// Checks every law of [`TableWriter`] and [`TableReader`] against a vector, with the format's default filterless options and, where the format
/// takes them, with small blocks, LZ4 and the filters of terrace-bloom that are compiled in.
///
/// # Panics
///
/// With what was done and both answers, at the first difference.
pub fn check_table_format<T: TableFormat<C>, C: BlockCache>() {
    for options in all_options() {
        let suite = Suite::<T, C> {
            options,
            fixture: TableFixture::new(),
            file_number: 0,
            format: core::marker::PhantomData,
        };
        suite.run();
    }
}

/// Writes `versions` as a table with `options` and checks every way to read them against a vector.
///
/// Cost: some 20 n seeks.
///
/// # Panics
///
/// With what was done and both answers, at the first difference.
pub fn check_table<T: TableFormat<C>, C: BlockCache>(versions: Vec<OwnedVersion>, options: &TableOptions) {
    let versions = sorted(versions);
    let fixture = TableFixture::<C>::new();
    let written = fixture.write::<T>(&versions, options).expect("to write the table");
    check_properties(&written, &versions, fixture.bytes().len() as u64);
    let table = fixture.open::<T>(1).expect("to open the table");
    assert_eq!(*table.properties(), written, "the reader has the writer's properties");
    assert!(table.memory_bytes() > 0, "a table takes memory");
    check_gets::<C, T::Reader>(&table, &versions);
    Arc::clone(&table).verify().expect("a sound table verifies");
    for (readahead_bytes, fill_cache) in [(0, false), (300, false), (1 << 20, true)] {
        let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache, readahead_bytes });
        check_cursor(&mut cursor, versions.clone(), 300, 11);
        values_outlive_moves(&mut cursor, &versions);
    }
    let again = fixture.open::<T>(1).expect("to open the table again");
    check_gets::<C, T::Reader>(&again, &versions);
}

fn all_options() -> Vec<TableOptions> {
    let small = TableOptions { block_bytes: 128, restart_interval: 3, ..TableOptions::default() };
    let mut all = vec![
        TableOptions::default(),
        small,
        TableOptions { block_bytes: 1, restart_interval: 1, ..small },
        TableOptions { restart_interval: usize::MAX, ..small },
    ];
    if cfg!(feature = "lz4") {
        all.push(TableOptions { compression: Compression::Lz4, ..TableOptions::default() });
        all.push(TableOptions { compression: Compression::Lz4, ..small });
    }
    for (id, is_there) in [
        (FilterId::STANDARD, cfg!(feature = "bloom-standard")),
        (FilterId::BLOCKED, cfg!(feature = "bloom-blocked")),
    ] {
        if is_there {
            all.push(TableOptions { filter: Some(FilterOptions { id, bits_per_key: 10.0 }), ..small });
        }
    }
    all
}

struct Suite<T, C> {
    options: TableOptions,
    fixture: TableFixture<C>,
    file_number: u64,
    format: core::marker::PhantomData<fn() -> T>,
}

impl<T: TableFormat<C>, C: BlockCache> Suite<T, C> {
    fn run(mut self) {
        self.check(Vec::new());
        self.check(vec![(b"one".to_vec(), SeqNo::new(7), Kind::Put, b"value".to_vec())]);
        self.check(vec![(Vec::new(), SeqNo::ZERO, Kind::Delete, Vec::new())]);
        for (count, seed) in [(5, 1), (60, 2), (400, 3)] {
            self.check(sample_versions(count, seed));
        }
        self.check(many_versions_of_one_key());
        self.check(prefixes_of_each_other());
        self.check(long_keys_and_values());
        self.check(bytes_at_the_edges());
        self.out_of_order_is_refused_and_the_table_goes_on();
        self.a_note_reads_back();
        self.damage_is_never_a_wrong_answer();
        self.memory_of_other_tables_leaves_nothing_behind();
    }

    fn check(&self, versions: Vec<OwnedVersion>) {
        check_table::<T, C>(versions, &self.options);
    }

    fn out_of_order_is_refused_and_the_table_goes_on(&self) {
        let mut writer = self.fixture.writer::<T>(&self.options).expect("a writer");
        let at = |key, seqno| InternalKey::new(key, SeqNo::new(seqno), Kind::Put);
        writer.add(at(b"b", 5), b"1").expect("the first");
        for refused in [at(b"b", 5), at(b"b", 6), at(b"a", 1), at(b"", 1)] {
            let answer = writer.add(refused, b"x");
            assert!(matches!(answer, Err(Error::OutOfOrder { .. })), "{refused:?} after b#5: {answer:?}");
        }
        writer
            .add(InternalKey::new(b"b", SeqNo::new(5), Kind::Delete), b"")
            .expect("the lesser kind after the greater");
        writer.add(at(b"b", 4), b"2").expect("an older version");
        writer.add(at(b"ba", 9), b"3").expect("a longer key");
        let properties = writer.finish().expect("to finish");
        assert_eq!((properties.entries, properties.user_keys), (4, 2));
        let table = self.fixture.open::<T>(u64::MAX).expect("to open");
        let found = table.get(b"b", KeyHash::of(b"b"), SeqNo::MAX).expect("to get").expect("b is there");
        assert_eq!(found.value, "1");
    }

    fn a_note_reads_back(&self) {
        for (note, last) in [(&b"a note"[..], &b"the last one set"[..]), (b"a note", b""), (b"", b"\0\xff")] {
            let mut writer = self.fixture.writer::<T>(&self.options).expect("a writer");
            writer.set_note(note.to_vec());
            writer.add(InternalKey::new(b"k", SeqNo::new(1), Kind::Put), b"v").expect("to add");
            writer.set_note(last.to_vec());
            let written = writer.finish().expect("to finish");
            assert_eq!(written.note, last);
            let table = self.fixture.open::<T>(u64::MAX).expect("to open");
            assert_eq!(*table.properties(), written);
            Arc::clone(&table).verify().expect("a table with a note verifies");
        }
    }

    /// Each byte of a small table, flipped: whatever is answered is right.
    fn damage_is_never_a_wrong_answer(&mut self) {
        let versions = sorted(sample_versions(12, 9));
        self.fixture.write::<T>(&versions, &self.options).expect("to write");
        let sound = self.fixture.bytes();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            self.fixture.put_bytes(&damaged);
            self.file_number += 1;
            let seen = self.read_damaged(&versions);
            assert!(seen > 0, "byte {at} was flipped and nothing noticed");
        }
        for len in 0..sound.len() {
            self.fixture.put_bytes(&sound[..len]);
            assert!(self.fixture.open::<T>(u64::MAX).is_err(), "a table cut to {len} bytes opens");
        }
        let mut longer = sound;
        longer.push(0);
        self.fixture.put_bytes(&longer);
        assert!(self.fixture.open::<T>(u64::MAX).is_err(), "a table with a byte too many opens");
    }

    /// Tables one after the other in one cache, whose blocks have other lengths and may be read into the memory of those before.
    fn memory_of_other_tables_leaves_nothing_behind(&mut self) {
        let cache = Arc::clone(&self.fixture.cache);
        cache.keep_memory(true);
        for seed in 20..26 {
            let versions = sorted(sample_versions(300, seed));
            self.fixture.write::<T>(&versions, &self.options).expect("to write");
            self.file_number += 1;
            let table = self.fixture.open::<T>(self.file_number).expect("to open");
            let mut cursor =
                Arc::clone(&table).cursor(CursorOptions { fill_cache: seed % 2 == 0, readahead_bytes: 1000 });
            assert_eq!(walk_damaged(&mut cursor, &versions), 0, "the table is sound");
            check_gets::<C, T::Reader>(&table, &versions);
        }
        cache.keep_memory(false);
        assert_eq!(cache.stats().kept_bytes, 0);
    }

    /// Reads a table that may be damaged in every way, checks what it answers, and counts the errors.
    fn read_damaged(&self, versions: &[OwnedVersion]) -> usize {
        let Ok(table) = self.fixture.open::<T>(self.file_number) else {
            return 1;
        };
        let mut errors = 0;
        for (key, seqno, kind, value) in versions {
            match table.get(key, KeyHash::of(key), *seqno) {
                Ok(Some(found)) => {
                    assert_eq!((found.seqno, found.kind, &*found.value), (*seqno, *kind, value.as_slice()));
                }
                Ok(None) => panic!("damage hides {}", key.escape_ascii()),
                Err(_) => errors += 1,
            }
        }
        let mut cursor = Arc::clone(&table).cursor(CursorOptions { fill_cache: false, readahead_bytes: 0 });
        errors += walk_damaged(&mut cursor, versions);
        errors + usize::from(table.verify().is_err())
    }
}

/// Walks forward up to the first error.
fn walk_damaged<R: Cursor<Error = Error>>(cursor: &mut R, versions: &[OwnedVersion]) -> usize {
    let mut moved = cursor.seek_to_first();
    for (key, seqno, kind, value) in versions {
        if moved.is_err() {
            assert!(cursor.current().is_none(), "after an error a cursor stands nowhere");
            return 1;
        }
        let entry = cursor.current().expect("a version that damage hides");
        assert_eq!(entry.key, InternalKey::new(key, *seqno, *kind));
        assert_eq!(entry.value, value);
        moved = cursor.next();
    }
    assert!(moved.is_err() || cursor.current().is_none(), "damage shows versions that were not written");
    usize::from(moved.is_err())
}

fn sorted(mut versions: Vec<OwnedVersion>) -> Vec<OwnedVersion> {
    versions.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
    versions
}

/// Spans many blocks of 128 bytes.
fn many_versions_of_one_key() -> Vec<OwnedVersion> {
    let mut versions = vec![(b"before".to_vec(), SeqNo::new(3), Kind::Put, b"x".to_vec())];
    for seqno in (1..200).rev() {
        let kind = if seqno % 7 == 0 { Kind::Delete } else { Kind::Put };
        versions.push((b"key".to_vec(), SeqNo::new(seqno * 3), kind, seqno.to_string().into_bytes()));
    }
    versions.push((b"key\0".to_vec(), SeqNo::new(1000), Kind::Put, b"y".to_vec()));
    versions
}

fn prefixes_of_each_other() -> Vec<OwnedVersion> {
    let long = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    (0..=long.len())
        .map(|len| (long[..len].to_vec(), SeqNo::new(len as u64), Kind::Put, vec![b'v'; len % 5]))
        .collect()
}

/// Keys and values whose lengths need varints of one, two and three bytes.
fn long_keys_and_values() -> Vec<OwnedVersion> {
    let mut state = 77;
    let mut versions = Vec::new();
    for (number, len) in [1, 127, 128, 129, 1000, 16_383, 16_384].into_iter().enumerate() {
        let mut key = vec![b'k'; len];
        key.push(number as u8);
        let value = (0..len.div_ceil(8)).flat_map(|_| next_random(&mut state).to_le_bytes()).collect();
        versions.push((key, SeqNo::MAX, Kind::Put, value));
        let mut other = vec![b'k'; len - 1];
        other.push(b'l');
        versions.push((other, SeqNo::new(5), Kind::Put, vec![0; len]));
    }
    versions
}

fn bytes_at_the_edges() -> Vec<OwnedVersion> {
    let bytes = [0u8, 1, 0x7f, 0xfe, 0xff];
    let mut versions = vec![(Vec::new(), SeqNo::new(1), Kind::Put, Vec::new())];
    for a in bytes {
        versions.push((vec![a], SeqNo::new(2), Kind::Put, vec![a]));
        for b in bytes {
            versions.push((vec![a, b], SeqNo::ZERO, Kind::Put, vec![a, b]));
            versions.push((vec![a, b, 0, 0, 0, 0, 0, 0, 0, 0], SeqNo::new(4), Kind::Delete, Vec::new()));
        }
    }
    versions
}

fn check_properties(found: &Properties, versions: &[OwnedVersion], file_bytes: u64) {
    let mut user_keys: Vec<&[u8]> = versions.iter().map(|version| version.0.as_slice()).collect();
    let key_bytes = user_keys.iter().map(|key| key.len() as u64).sum();
    user_keys.dedup();
    let expected = Properties {
        entries: versions.len() as u64,
        tombstones: versions.iter().filter(|version| version.2 == Kind::Delete).count() as u64,
        user_keys: user_keys.len() as u64,
        smallest_key: user_keys.first().map(|key| key.to_vec()).unwrap_or_default(),
        largest_key: user_keys.last().map(|key| key.to_vec()).unwrap_or_default(),
        seqno_min: versions.iter().map(|version| version.1).min().unwrap_or_default(),
        seqno_max: versions.iter().map(|version| version.1).max().unwrap_or_default(),
        key_bytes,
        value_bytes: versions.iter().map(|version| version.3.len() as u64).sum(),
        file_bytes,
        // How a format divides a table is its own business.
        data_blocks: found.data_blocks,
        data_bytes_raw: found.data_bytes_raw,
        data_bytes_stored: found.data_bytes_stored,
        created_at_unix_seconds: found.created_at_unix_seconds,
        note: found.note.clone(),
    };
    assert_eq!(*found, expected);
}

/// What the oracle answers to a look-up.
fn expected_get(oracle: &mut VecCursor, key: &[u8], seqno: SeqNo) -> Option<(SeqNo, Kind, Vec<u8>)> {
    let Ok(()) = oracle.seek(InternalKey::seek_to(key, seqno));
    let entry = oracle.current().filter(|entry| entry.key.user_key == key)?;
    Some((entry.key.seqno, entry.key.kind, entry.value.to_vec()))
}

fn check_gets<C: BlockCache, R: TableReader<C>>(table: &R, versions: &[OwnedVersion]) {
    let mut oracle = VecCursor::new(versions.to_vec());
    let mut wanted: Vec<(Vec<u8>, u64)> = vec![(Vec::new(), 9), (vec![0xff; 30], 9), (b"k".to_vec(), 1)];
    for (key, seqno, _, _) in versions {
        let longer = [key.as_slice(), &[0]].concat();
        let shorter = key[..key.len().saturating_sub(1)].to_vec();
        let seqno = seqno.get();
        let at = [seqno, seqno.saturating_sub(1), (seqno + 1).min(SeqNo::MAX.get()), 0, SeqNo::MAX.get()];
        wanted.extend(at.map(|seqno| (key.clone(), seqno)));
        wanted.extend([(longer, seqno), (shorter, seqno)]);
        assert!(table.may_contain(KeyHash::of(key)), "the filter denies {}", key.escape_ascii());
    }
    for (key, seqno) in wanted {
        let found = table.get(&key, KeyHash::of(&key), SeqNo::new(seqno)).expect("to get");
        let found = found.map(|Found { seqno, kind, value }| (seqno, kind, value.to_vec()));
        let expected = expected_get(&mut oracle, &key, SeqNo::new(seqno));
        assert_eq!(found, expected, "get {} at {seqno}", key.escape_ascii());
    }
}

/// Values taken as owned bytes stay as they were while the cursor goes on.
fn values_outlive_moves<R: Cursor<Error = Error>>(cursor: &mut R, versions: &[OwnedVersion]) {
    let mut kept = Vec::new();
    cursor.seek_to_first().expect("to seek");
    while cursor.current().is_some() {
        kept.push(cursor.value_bytes());
        cursor.next().expect("to move");
    }
    assert_eq!(kept.len(), versions.len());
    for (kept, version) in kept.iter().zip(versions) {
        assert_eq!(*kept, version.3, "a value changed after the cursor went on");
    }
}
