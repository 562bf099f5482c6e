//! redb: a copy-on-write B-tree in Rust.
//!
//! It has no process-safe class of its own: a commit is either synced or stays in the process. Here process-safe is an ordinary commit over
//! a file whose `sync_data` does nothing: the bytes are with the system when the commit returns. It has no memtable, filters or compression;
//! its cache is as large as cache and memtable of the others together. It compacts only a database that nobody else holds, which a store that is
//! shared by reference can not give: not at all here.

use crate::NO_PARTS;
use crate::peer::{Counted, Peer, named};
use crate::scan::each;
use ::redb::backends::FileBackend;
use ::redb::{
    AccessGuard, Builder, Database, Durability as RedbDurability, ReadableDatabase, ReadableTable,
    StorageBackend, StorageError, TableDefinition,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Parts, Settings, Store, StoreFactory, StoreResult, Visitor,
};

const DATA: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data");

/// The one kind that there is.
pub(crate) fn factories() -> Vec<Box<dyn StoreFactory>> {
    vec![Box::new(RedbFactory)]
}

struct RedbFactory;

impl StoreFactory for RedbFactory {
    fn parts(&self) -> Parts {
        Parts { engine: "redb", version: "4.6.0", cache: "own", ..NO_PARTS }
    }

    #[expect(clippy::disallowed_methods, reason = "opens the file of a database under test")]
    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = named("open", options.open(dir.join("data.redb")))?;
        let syncs = Arc::new(AtomicBool::new(true));
        let file = named("open", FileBackend::new(file))?;
        let backend = SwitchedBackend { file, syncs: Arc::clone(&syncs) };
        let mut builder = Builder::new();
        builder.set_cache_size(settings.cache_bytes + settings.memtable_bytes);
        let db = named("open", builder.create_with_backend(backend))?;
        // A table exists from its first opening on; a read of one that does not is an error.
        let begin = named("open", db.begin_write())?;
        named("open", begin.open_table(DATA)).map(drop)?;
        named("open", begin.commit())?;
        Ok(Counted::store(RedbStore { db, syncs }))
    }
}

/// A file whose syncs can be switched off.
#[derive(Debug)]
struct SwitchedBackend {
    file: FileBackend,
    syncs: Arc<AtomicBool>,
}

impl StorageBackend for SwitchedBackend {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        if self.syncs.load(Ordering::Acquire) { self.file.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}

struct RedbStore {
    db: Database,
    syncs: Arc<AtomicBool>,
}

/// What a scan comes to next.
type Pair<'a> = Result<(AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>), StorageError>;

fn show(pair: Pair<'_>, visit: &mut Visitor<'_>) -> StoreResult<()> {
    let (key, value) = named("scan", pair)?;
    visit(key.value(), value.value());
    Ok(())
}

impl Peer for RedbStore {
    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let mut write = named("begin", self.db.begin_write())?;
        // There is one writer at a time, and this is it: nobody else's commit sees the switch.
        self.syncs.store(durability == Durability::Synced, Ordering::Release);
        let class =
            if durability == Durability::None { RedbDurability::None } else { RedbDurability::Immediate };
        named("durability", write.set_durability(class))?;
        {
            let mut table = named("table", write.open_table(DATA))?;
            for (key, value) in writes {
                match value {
                    Some(value) => named("put", table.insert(*key, *value)).map(drop)?,
                    None => named("delete", table.remove(*key)).map(drop)?,
                }
            }
        }
        named("commit", write.commit())
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let read = named("begin", self.db.begin_read())?;
        let table = named("table", read.open_table(DATA))?;
        let found = named("get", table.get(key))?;
        Ok(found.map(|value| visit(value.value())).is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let read = named("begin", self.db.begin_read())?;
        let table = named("table", read.open_table(DATA))?;
        each(named("scan", table.range(from..))?.take(count), |pair| show(pair, visit))
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let read = named("begin", self.db.begin_read())?;
        let table = named("table", read.open_table(DATA))?;
        let all = named("scan", table.iter())?;
        match direction {
            Direction::Forward => each(all, |pair| show(pair, visit)),
            Direction::Backward => each(all.rev(), |pair| show(pair, visit)),
        }
    }

    fn close(self) -> StoreResult<()> {
        self.syncs.store(true, Ordering::Release);
        named("close", self.db.close())
    }
}
