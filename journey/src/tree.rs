//! The tree that the first steps lead to, as small as it can be: a log and a memtable, tables in runs and levels, and a picker that says what to merge.
//!
//! What an engine does at the same time, this does in turn, on one thread: the writer waits for each flush and each merge. So its writes a
//! second include all work that a write causes in the end. Departures that would be faults in an engine: no manifest (the shape is in
//! memory only), and every input of a merge is open at once.
//!
//! Files: `N.log` for the memtable that is being filled, `N.sst` for each table.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use terrace_bloom::{FilterId, KeyHash};
use terrace_compaction::{
    CompactionPicker, CutOptions, LeveledOptions, LeveledPicker, Output, OutputCutter, PickContext, RunId,
    Shape, ShapeEdit, Survivors, TableId, TableMeta, Task, TaskKind, TieredOptions, TieredPicker,
};
use terrace_entry::{Cursor, InternalKey, Kind, MergeCursor, SeqNo};
use terrace_memtable::{BTreeMemTable, MemTable};
use terrace_sstable::{
    BlockCache, BlockTableReader, BlockTableWriter, CursorOptions, FilterOptions, OpenTable, QuickCache,
    TableOptions, TableReader, TableWriter,
};
use terrace_vfs::CreateOptions;
use terrace_wal::BufferedLog;

use crate::{Disk, Outcome, Row, Store, Workload, append_pair, create_log, log_path};

/// An open table.
pub type Reader = BlockTableReader<QuickCache>;

/// How a tree is set up.
#[derive(Clone, Debug)]
pub struct TreeOptions {
    /// A memtable is flushed when it holds this much.
    pub memtable_bytes: usize,
    /// Filter bits for each key, by level; deeper levels use the last entry. Zero, or no entry: no filter.
    pub filter_bits: Vec<f64>,
    /// The most the cache of blocks may hold; zero keeps nothing.
    pub cache_bytes: u64,
}

impl Default for TreeOptions {
    /// Memtables of 128 KiB, no filters, no cache.
    fn default() -> Self {
        TreeOptions { memtable_bytes: 128 << 10, filter_bits: Vec::new(), cache_bytes: 0 }
    }
}

/// A table that is being written.
pub struct NewTable {
    id: TableId,
    path: PathBuf,
    writer: BlockTableWriter,
}

impl NewTable {
    /// Adds a version, in order.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn add(&mut self, key: InternalKey<'_>, value: &[u8]) -> Outcome {
        Ok(self.writer.add(key, value)?)
    }
}

/// The tree.
pub struct Tree {
    disk: Disk,
    options: TreeOptions,
    log: BufferedLog,
    log_number: u64,
    memtable: Arc<BTreeMemTable>,
    shape: Shape,
    tables: HashMap<TableId, Arc<Reader>>,
    cache: Arc<QuickCache>,
    picker: Option<Arc<dyn CompactionPicker>>,
    last_seqno: u64,
    last_number: u64,
}

impl Tree {
    /// An empty tree.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn create(disk: &Disk, options: TreeOptions) -> Outcome<Self> {
        Ok(Tree {
            log: create_log(disk, 1)?,
            log_number: 1,
            memtable: Arc::new(BTreeMemTable::new(options.memtable_bytes)),
            shape: Shape::default(),
            tables: HashMap::new(),
            cache: Arc::new(QuickCache::new(options.cache_bytes)),
            picker: None,
            disk: disk.clone(),
            options,
            last_seqno: 0,
            last_number: 1,
        })
    }

    /// Has this picker asked what to merge after each flush. Without one nothing is merged.
    #[must_use]
    pub fn with_picker(mut self, picker: impl CompactionPicker) -> Self {
        self.picker = Some(Arc::new(picker));
        self
    }

    /// Writes the memtable as the newest run of level 0, and begins a new log.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn flush(&mut self) -> Outcome {
        let mut table = self.new_table(0)?;
        let mut cursor = Arc::clone(&self.memtable).cursor();
        cursor.seek_to_first()?;
        while let Some(version) = cursor.current() {
            table.add(version.key, version.value)?;
            cursor.next()?;
        }
        let table = self.finish_table(table)?;
        self.replace(Vec::new(), Output::NewRun { level: 0, run: None }, vec![table])?;
        self.memtable = Arc::new(BTreeMemTable::new(self.options.memtable_bytes));
        // Only now, when the table is durable, can the log go.
        let old_log = log_path(&self.disk, self.log_number);
        self.log_number = self.new_number();
        self.log = create_log(&self.disk, self.log_number)?;
        Ok(self.disk.vfs().remove(&old_log)?)
    }

    /// Has done what the picker asks for, until it asks for nothing more.
    fn compact(&mut self) -> Outcome {
        let Some(picker) = self.picker.clone() else { return Ok(()) };
        let context = PickContext { tasks_max: 1, ..PickContext::default() };
        while let Some(task) = picker.pick(&self.shape, &context).tasks.into_iter().next() {
            // A picker may be anybody's: this refuses what would put an old version before a new one.
            self.shape.check(&task, &context.busy)?;
            match task.kind {
                TaskKind::Merge => self.merge(task)?,
                TaskKind::Move => {
                    let mut moved: Vec<_> =
                        task.inputs.iter().filter_map(|&id| self.shape.table(id)).cloned().collect();
                    moved.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
                    self.replace(task.inputs, task.output, moved)?;
                }
                _ => return Err(format!("{:?} is not done here", task.kind).into()),
            }
        }
        Ok(())
    }

    fn merge(&mut self, task: Task) -> Outcome {
        let mut older = self.shape.older_tables(&task.inputs, &task.output)?;
        let grandparents = self.shape.grandparents(&task.inputs, &task.output);
        let mut cutter = OutputCutter::new(CutOptions::for_target(task.target_table_bytes), grandparents)
            .with_cuts(task.cuts.clone());
        let mut merged = MergeCursor::new(self.cursors(&task.inputs));
        merged.seek_to_first()?;
        let mut survivors = Survivors::new(merged, &[self.last_seqno()], |key| !older.may_hold(key));
        let (mut open, mut written) = (None::<NewTable>, Vec::new());
        while let Some(version) = survivors.next()? {
            let bytes = open.as_ref().map_or(0, |table| table.writer.file_bytes_estimate());
            if cutter.cut_before(version.key.user_key, bytes)
                && let Some(full) = open.take()
            {
                written.push(self.finish_table(full)?);
            }
            let table = match &mut open {
                Some(table) => table,
                None => open.insert(self.new_table(task.output.level())?),
            };
            table.add(version.key, version.value)?;
        }
        if let Some(last) = open {
            written.push(self.finish_table(last)?);
        }
        self.replace(task.inputs, task.output, written)
    }

    /// A cursor over each of these tables. What they read does not go into the cache.
    #[must_use]
    pub fn cursors(&self, tables: &[TableId]) -> Vec<<Reader as TableReader<QuickCache>>::Cursor> {
        let options = CursorOptions { fill_cache: false, readahead_bytes: 64 << 10 };
        tables.iter().map(|id| Arc::clone(&self.tables[id]).cursor(options)).collect()
    }

    /// Begins a table that is meant for a level.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new_table(&mut self, level: usize) -> Outcome<NewTable> {
        let id = TableId(self.new_number());
        let path = self.table_path(id);
        let bits = self.options.filter_bits.get(level).or(self.options.filter_bits.last());
        let filter = bits.filter(|&&bits| bits > 0.0);
        let filter = filter.map(|&bits_per_key| FilterOptions { id: FilterId::BLOCKED, bits_per_key });
        let options = TableOptions { filter, ..TableOptions::default() };
        let file = self.disk.vfs().create(&path, CreateOptions::default())?;
        Ok(NewTable { id, path, writer: BlockTableWriter::create(file, &options)? })
    }

    /// Ends a table, makes it durable, and opens it for reading. [`Tree::replace`] makes it part of the tree.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn finish_table(&mut self, table: NewTable) -> Outcome<Arc<TableMeta>> {
        let NewTable { id, path, writer } = table;
        let properties = writer.finish()?;
        let vfs = self.disk.vfs();
        vfs.sync_dir(self.disk.folder())?;
        let source = OpenTable { file: vfs.open(&path)?, file_number: id.0, cache: Arc::clone(&self.cache) };
        self.tables.insert(id, Arc::new(Reader::open(source)?));
        Ok(Arc::new(TableMeta {
            id,
            file_bytes: properties.file_bytes,
            raw_bytes: properties.key_bytes + properties.value_bytes,
            entries: properties.entries,
            tombstones: properties.tombstones,
            seqno_min: properties.seqno_min,
            seqno_max: properties.seqno_max,
            created_at_unix_seconds: properties.created_at_unix_seconds,
            oldest_tombstone_unix_seconds: None,
            smallest_key: properties.smallest_key,
            largest_key: properties.largest_key,
        }))
    }

    /// Takes tables out of the tree and puts others in, and removes the files that are no longer in it. An engine writes this into its manifest
    /// first, so that a crash in between leaves the one state or the other.
    ///
    /// # Errors
    ///
    /// When the change does not fit, and the system's.
    pub fn replace(&mut self, removed: Vec<TableId>, output: Output, added: Vec<Arc<TableMeta>>) -> Outcome {
        let output = match output {
            Output::NewRun { level, .. } => Output::NewRun { level, run: Some(RunId(self.new_number())) },
            into_run => into_run,
        };
        let stays = |id: TableId| added.iter().any(|table| table.id == id);
        let gone: Vec<TableId> = removed.iter().copied().filter(|&id| !stays(id)).collect();
        let added = (!added.is_empty()).then_some((output, added));
        self.shape.apply(&ShapeEdit { removed, added })?;
        for id in gone {
            self.tables.remove(&id);
            self.disk.vfs().remove(&self.table_path(id))?;
        }
        Ok(())
    }

    /// The shape: which tables are in which runs and levels.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The sequence number of the newest write.
    #[must_use]
    pub fn last_seqno(&self) -> SeqNo {
        SeqNo::new(self.last_seqno)
    }

    /// The cache of blocks.
    #[must_use]
    pub fn cache(&self) -> &QuickCache {
        &self.cache
    }

    fn table_path(&self, id: TableId) -> PathBuf {
        self.disk.path(&format!("{:06}.sst", id.0))
    }

    fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Store for Tree {
    /// Into the log, into the memtable, and when that is full into a table; then the picker is asked.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        self.last_seqno += 1;
        append_pair(&mut self.log, key, value)?;
        self.memtable.insert(InternalKey::new(key, self.last_seqno(), Kind::Put), value);
        if self.memtable.memory_bytes() >= self.options.memtable_bytes {
            self.flush()?;
            self.compact()?;
        }
        Ok(())
    }

    /// From the memtable, else from the first run that holds the key, the newest run first.
    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        if let Some(found) = self.memtable.get(key, SeqNo::MAX) {
            return Ok((found.kind == Kind::Put).then(|| found.value.to_vec()));
        }
        let hash = KeyHash::of(key);
        for (_, run) in self.shape.runs() {
            // Tables of one run are disjoint: at most one of them may hold the key.
            for table in run.overlapping(key, key) {
                if let Some(found) = self.tables[&table.id].get(key, hash, SeqNo::MAX)? {
                    return Ok((found.kind == Kind::Put).then(|| found.value.to_vec()));
                }
            }
        }
        Ok(None)
    }

    /// A full memtable, the indexes and filters of all tables, and the cache.
    fn memory_bytes(&self) -> usize {
        let tables: usize = self.tables.values().map(|table| table.memory_bytes()).sum();
        self.options.memtable_bytes + tables + self.cache.stats().used_bytes as usize
    }
}

/// Makes a tree under this policy go through the workload, and prints its row.
///
/// # Errors
///
/// What fails; a wrong answer among it.
pub fn measure_policy(
    label: &str,
    work: Workload,
    reads: u64,
    picker: impl CompactionPicker,
) -> Outcome<Row> {
    let disk = Disk::new()?;
    let mut tree = Tree::create(&disk, TreeOptions::default())?.with_picker(picker);
    let row = Row::measure(label, &disk, work, reads, &mut tree)?;
    row.print();
    Ok(row)
}

/// The workspace's leveled policy, for trees as small as these.
#[must_use]
pub fn leveled(size_ratio: u64) -> LeveledPicker {
    LeveledPicker::new(LeveledOptions { size_ratio, ..LeveledOptions::for_table_bytes(256 << 10) })
}

/// The workspace's size-tiered policy, for trees as small as these.
#[must_use]
pub fn tiered(width: usize) -> TieredPicker {
    TieredPicker::new(TieredOptions {
        merge_width_min: width,
        small_run_bytes: 128 << 10,
        target_table_bytes: 4 << 20,
        ..TieredOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workload;
    use std::collections::BTreeMap;

    /// Writes, compacting as the picker wants, and compares every key with a model, and the whole order of keys with it too.
    fn check(picker: impl CompactionPicker, options: TreeOptions) -> Outcome<Tree> {
        let (disk, work) = (Disk::new()?, Workload::of(6_000));
        let mut tree = Tree::create(&disk, options)?.with_picker(picker);
        let mut model = BTreeMap::new();
        for (key, value) in work.writes() {
            tree.put(&key, &value)?;
            model.insert(key, value);
        }
        for (key, value) in &model {
            assert_eq!(tree.get(key)?.as_deref(), Some(value.as_slice()));
        }
        for (key, _) in work.absent(0..1_000) {
            assert_eq!(tree.get(&key)?, None);
        }
        tree.flush()?;
        tree.shape().check_invariants()?;
        let ids: Vec<TableId> = tree.shape().tables().map(|(_, table)| table.id).collect();
        let files = disk.vfs().list(disk.folder())?.len();
        assert_eq!(files, ids.len() + 1, "the tables of the tree and its log, and no other file");
        let mut merged = MergeCursor::new(tree.cursors(&ids));
        merged.seek_to_first()?;
        let mut survivors = Survivors::new(merged, &[tree.last_seqno()], |_| true);
        let mut expected = model.iter();
        while let Some(found) = survivors.next()? {
            let wanted = expected.next().map(|(key, value)| (key.as_slice(), value.as_slice()));
            assert_eq!(Some((found.key.user_key, found.value)), wanted);
        }
        assert!(expected.next().is_none());
        Ok(tree)
    }

    #[test]
    fn a_leveled_tree_holds_what_was_written() -> Outcome {
        let tree = check(leveled(4), TreeOptions { memtable_bytes: 32 << 10, ..TreeOptions::default() })?;
        assert!(tree.shape().levels.len() > 2, "{}", tree.shape());
        Ok(())
    }

    #[test]
    fn a_tiered_tree_with_filters_and_a_cache_holds_what_was_written() -> Outcome {
        let options =
            TreeOptions { memtable_bytes: 32 << 10, filter_bits: vec![12.0, 5.0], cache_bytes: 256 << 10 };
        let tree = check(tiered(3), options)?;
        assert!(tree.cache().stats().hits > 0);
        assert!(tree.shape().runs().count() > 1, "{}", tree.shape());
        Ok(())
    }
}
