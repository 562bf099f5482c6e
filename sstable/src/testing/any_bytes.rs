//! Any bytes as a table file: what must hold of a reader whatever it is given. The body of the fuzz target `table`.

use std::path::Path;
use std::sync::Arc;
use terrace_bloom::{FilterId, KeyHash};
use terrace_entry::{Cursor, InternalKey, Kind, OwnedVersion, SeqNo};
use terrace_vfs::{CreateOptions, MemVfs, ReadFile, Vfs};

use crate::block::any_bytes::reseal_table;
use crate::{
    BlockTable, BlockTableReader, Compression, CursorOptions, FilterOptions, NullCache, OpenTable, Result,
    TableFormat, TableOptions, TableReader, TableWriter, dump,
};

type Writer = <BlockTable as TableFormat<NullCache>>::Writer;
type Reader = BlockTableReader<NullCache>;

/// Set in the first byte of the input: checksums are put right first, so that what lies behind them is reached.
const RESEAL: u8 = 1;
/// How many keys of a table are looked up one by one.
const LOOKED_UP_MAX: usize = 100;

/// Opens `input` as a table of the block format and does with it all that can be done. The lowest bit of the first byte says
/// whether checksums are put right first; the rest is the file.
///
/// What is checked: nothing panics; a walk ends; where `verify` finds the table in order, both walks meet the same
/// ascending versions, look-ups find them, the properties count them, and a table written from them reads the same.
///
/// # Panics
///
/// With the property, when it does not hold.
pub fn check_table_bytes(input: &[u8]) {
    let Some((&how, file)) = input.split_first() else { return };
    let mut file = file.to_vec();
    if how & RESEAL != 0 {
        reseal_table(&mut file);
    }
    let file_bytes = file.len();
    let file = in_memory(&file);
    let _ = dump(&*file);
    let Ok(table) = open(file) else { return };
    let forward = walk(&table, true, file_bytes);
    let backward = walk(&table, false, file_bytes);
    for (user_key, seqno, ..) in forward.iter().flatten().take(LOOKED_UP_MAX) {
        let _ = table.get(user_key, KeyHash::of(user_key), *seqno);
    }
    for user_key in [b"".as_slice(), b"key", &[0xff; 20]] {
        let _ = table.get(user_key, KeyHash::of(user_key), SeqNo::MAX);
    }
    if Arc::clone(&table).verify().is_err() {
        return;
    }
    let versions = forward.expect("a table that is in order can be walked");
    let mut reversed = backward.expect("backward too");
    reversed.reverse();
    assert_eq!(versions, reversed, "the two walks differ");
    check_sound(&table, &versions);
    let again = open(in_memory(&write(&versions))).expect("what we write opens");
    assert_eq!(walk(&again, true, usize::MAX).expect("and reads"), versions);
}

fn in_memory(bytes: &[u8]) -> Arc<dyn ReadFile> {
    let (mem, path) = (MemVfs::new(), Path::new("000001.sst"));
    let made = mem.create(path, CreateOptions::default()).and_then(|mut file| file.append(bytes));
    made.and_then(|()| mem.open(path)).expect("memory takes it")
}

fn open(file: Arc<dyn ReadFile>) -> Result<Arc<Reader>> {
    let cache = Arc::new(<NullCache as crate::BlockCache>::new(0));
    Reader::open(OpenTable { file, file_number: 1, cache }).map(Arc::new)
}

fn walk(table: &Arc<Reader>, forward: bool, file_bytes: usize) -> Result<Vec<OwnedVersion>> {
    // LZ4 makes at most 255 bytes of one, and an entry has at least four.
    let versions_max = file_bytes.saturating_mul(64);
    let mut cursor = Arc::clone(table).cursor(CursorOptions::default());
    if forward {
        cursor.seek_to_first()?
    } else {
        cursor.seek_to_last()?
    }
    let mut versions = Vec::new();
    while let Some(entry) = cursor.current() {
        let key = entry.key;
        versions.push((key.user_key.to_vec(), key.seqno, key.kind, entry.value.to_vec()));
        assert!(versions.len() <= versions_max, "a walk that does not end");
        if forward { cursor.next()? } else { cursor.prev()? }
    }
    Ok(versions)
}

fn check_sound(table: &Reader, versions: &[OwnedVersion]) {
    let keys: Vec<InternalKey<'_>> =
        versions.iter().map(|version| InternalKey::new(&version.0, version.1, version.2)).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "versions out of order in a verified table");
    assert_eq!(table.properties().entries, versions.len() as u64);
    for (user_key, seqno, kind, value) in versions.iter().take(LOOKED_UP_MAX) {
        let found = table.get(user_key, KeyHash::of(user_key), *seqno).expect("a verified table is read");
        let found = found.expect("a version of a verified table is found");
        assert_eq!((found.seqno, found.kind, &found.value[..]), (*seqno, *kind, value.as_slice()));
    }
}

fn write(versions: &[OwnedVersion]) -> Vec<u8> {
    written(versions, &TableOptions { block_bytes: 200, restart_interval: 4, ..TableOptions::default() })
}

fn written(versions: &[OwnedVersion], options: &TableOptions) -> Vec<u8> {
    let (mem, path) = (MemVfs::new(), Path::new("000001.sst"));
    let file = mem.create(path, CreateOptions::default()).expect("memory takes it");
    let mut writer = Writer::create(file, options).expect("options are right");
    for (user_key, seqno, kind, value) in versions {
        writer.add(InternalKey::new(user_key, *seqno, *kind), value).expect("in order");
    }
    writer.finish().expect("memory takes it");
    mem.files().remove(path).expect("it is there")
}

/// Whole tables, small ones of every kind: what mutations begin from. Not yet inputs of [`check_table_bytes`], which want
/// a byte in front.
#[must_use]
pub fn table_seeds() -> Vec<Vec<u8>> {
    let version = |number: u64| -> OwnedVersion {
        let kind = if number.is_multiple_of(5) { Kind::Delete } else { Kind::Put };
        let value = if kind == Kind::Put { vec![b'v'; number as usize % 9] } else { Vec::new() };
        (format!("key{:02}", number / 2).into_bytes(), SeqNo::new(1000 - number), kind, value)
    };
    let versions: Vec<OwnedVersion> = (0..40).map(version).collect();
    let small = TableOptions { block_bytes: 128, restart_interval: 3, ..TableOptions::default() };
    let filter = |id| Some(FilterOptions { id, bits_per_key: 10.0 });
    let mut options = vec![small, TableOptions { restart_interval: 16, block_bytes: 4096, ..small }];
    if cfg!(feature = "bloom-blocked") {
        options.push(TableOptions { filter: filter(FilterId::BLOCKED), ..small });
    }
    if cfg!(feature = "bloom-standard") {
        options.push(TableOptions { filter: filter(FilterId::STANDARD), ..small });
    }
    if cfg!(feature = "lz4") {
        options.push(TableOptions { compression: Compression::Lz4, block_bytes: 400, ..small });
    }
    let mut seeds: Vec<Vec<u8>> = options.iter().map(|options| written(&versions, options)).collect();
    seeds.push(written(&[], &small));
    seeds
}
