//! Reads a whole table from its file and checks everything that a writer promises.
//!
//! Checked, beyond the checksum of every byte: versions ascend strictly within and across blocks; every restart is where it is said to
//! be and has the right head; every separator separates; the properties count what is there; the filter lets every
//! key through. The cache is neither asked nor filled: what it holds says nothing about the file.
//!
//! Costs: one read per block, one decoding and one hash per version; memory for one block.

use terrace_bloom::{FilterSet, KeyHash};
use terrace_entry::{InternalKey, Kind, SeqNo};

use super::data::{self, DataBlock, Layout, Position};
use super::fault::Fault;
use super::reader::{self, BlockTableReader};
use super::{describe, key};
use crate::{Error, Properties, Result};

pub(super) fn verify<C: crate::BlockCache, F: FilterSet>(table: &BlockTableReader<C, F>) -> Result<()> {
    verify_regions(table)?;
    let data_end = table.footer.index.offset;
    table.file.will_read(0, data_end);
    let mut check = Check { table, last: None, counted: Properties::default() };
    for number in 0..table.index.len() {
        let handle = table.index.handle(number);
        let block = reader::read_block(&*table.file, handle)?;
        check.block(number, &block).map_err(|fault| table.fault_in(number, fault))?;
        check.counted.data_blocks += 1;
        check.counted.data_bytes_raw += block.len() as u64;
        check.counted.data_bytes_stored += handle.len as u64;
    }
    check.compare_counts()
}

/// Index, filter, properties and footer are in memory; this reads them again as they are in the file now.
fn verify_regions<C: crate::BlockCache, F: FilterSet>(table: &BlockTableReader<C, F>) -> Result<()> {
    let file = &*table.file;
    let footer = reader::read_footer(file)?;
    if footer != table.footer {
        let what = Fault::Damage("footer is another than when the table was opened");
        return Err(what.of(file.path(), footer.file_bytes));
    }
    reader::read_block(file, footer.index)?;
    if let Some(filter) = footer.filter {
        reader::read_block(file, filter)?;
    }
    let payload = reader::read_block(file, footer.properties)?;
    let fault = |fault: Fault| fault.of(file.path(), footer.properties.offset);
    let properties = describe::decode(&payload).map_err(fault)?;
    if properties != *table.counted() {
        return Err(fault(Fault::Damage("properties are others than when the table was opened")));
    }
    Ok(())
}

/// A version of which only the order matters any more.
struct Last {
    user_key: Vec<u8>,
    trailer: u64,
}

struct Check<'t, C: crate::BlockCache, F: FilterSet> {
    table: &'t BlockTableReader<C, F>,
    last: Option<Last>,
    counted: Properties,
}

impl<C: crate::BlockCache, F: FilterSet> Check<'_, C, F> {
    fn block(&mut self, number: usize, block: &[u8]) -> Result<(), Fault> {
        let layout = Layout::of(block)?;
        let data = DataBlock::with_layout(block, layout);
        let mut restarts = (0..data.restarts()).peekable();
        let (mut at, mut count, mut key) = (Position::default(), 0, Vec::new());
        let mut first_key: Option<Vec<u8>> = None;
        while at.entry < data.entries.len() {
            let entry = data.decode(at)?;
            if entry.shared > key.len() {
                return Err(Fault::Damage("entry shares more than the key before it has"));
            }
            key.truncate(entry.shared);
            key.extend_from_slice(data.bytes(entry.suffix));
            if restarts.next_if(|&restart| data.position(restart) == at).is_some_and(|restart| {
                entry.shared != 0 || data.head(restart) != key::head(&key, data.prefix_bytes)
            }) {
                return Err(Fault::Damage("restart has a shared prefix or a wrong head"));
            }
            let is_first = first_key.is_none();
            if is_first {
                first_key = Some(key.clone());
                self.separator_before(number, &key, entry.trailer)?;
            }
            self.version(&key, entry.trailer, (entry.value.1 - entry.value.0) as u64)?;
            at = entry.next();
            count += 1;
        }
        let common = first_key.map(|first| key::common_prefix(&first, &key));
        if common != Some(data.prefix_bytes) || restarts.next().is_some() {
            return Err(Fault::Damage("restarts or common prefix are not those of the block's keys"));
        }
        if count != layout.count || at.value != layout.values_end {
            return Err(Fault::Damage("block counts other entries or value bytes than it has"));
        }
        self.separator_after(number)
    }

    /// One version, after the last one.
    fn version(&mut self, user_key: &[u8], trailer: u64, value_bytes: u64) -> Result<(), Fault> {
        let (seqno, kind) = data::split_trailer(trailer)?;
        let is_new_key = match &self.last {
            None => true,
            Some(last) => match last.user_key.as_slice().cmp(user_key) {
                core::cmp::Ordering::Less => true,
                core::cmp::Ordering::Equal if last.trailer > trailer => false,
                _ => return Err(Fault::Damage("versions are out of order")),
            },
        };
        if is_new_key && !self.table.filter_contains(KeyHash::of(user_key)) {
            return Err(Fault::Damage("filter denies a key of the table"));
        }
        self.count(InternalKey::new(user_key, seqno, kind), value_bytes, is_new_key);
        let last = self.last.get_or_insert_with(|| Last { user_key: Vec::new(), trailer: 0 });
        last.user_key.clear();
        last.user_key.extend_from_slice(user_key);
        last.trailer = trailer;
        Ok(())
    }

    fn count(&mut self, key: InternalKey<'_>, value_bytes: u64, is_new_key: bool) {
        let counted = &mut self.counted;
        if counted.entries == 0 {
            counted.smallest_key = key.user_key.to_vec();
            counted.seqno_min = SeqNo::MAX;
        }
        counted.entries += 1;
        counted.tombstones += u64::from(key.kind == Kind::Delete);
        counted.user_keys += u64::from(is_new_key);
        counted.seqno_min = counted.seqno_min.min(key.seqno);
        counted.seqno_max = counted.seqno_max.max(key.seqno);
        counted.key_bytes += key.user_key.len() as u64;
        counted.value_bytes += value_bytes;
    }

    /// The separator of the block before `number` stands before its first version, and names another user key unless versions of
    /// one key span the two.
    fn separator_before(&self, number: usize, first_key: &[u8], trailer: u64) -> Result<(), Fault> {
        let (Some(before), Some(last)) = (number.checked_sub(1), &self.last) else {
            return Ok(());
        };
        let index = &self.table.index;
        let separator = index.separator(before);
        let is_before = if last.user_key == first_key {
            separator == first_key && index.separator_trailer(before) > trailer
        } else {
            separator < first_key
        };
        if is_before { Ok(()) } else { Err(Fault::Damage("separator is not before the next block")) }
    }

    /// The separator of block `number`, which was just read, is at or after its last version.
    fn separator_after(&self, number: usize) -> Result<(), Fault> {
        let index = &self.table.index;
        let is_after =
            self.last.as_ref().is_some_and(|last| match index.separator(number).cmp(&last.user_key) {
                core::cmp::Ordering::Equal => index.separator_trailer(number) <= last.trailer,
                unequal => unequal.is_gt(),
            });
        if is_after { Ok(()) } else { Err(Fault::Damage("separator is before the end of its block")) }
    }

    fn compare_counts(mut self) -> Result<(), Error> {
        let stated = self.table.counted();
        self.counted.largest_key = self.last.map(|last| last.user_key).unwrap_or_default();
        self.counted.file_bytes = self.table.footer.file_bytes;
        self.counted.created_at_unix_seconds = stated.created_at_unix_seconds;
        self.counted.note.clone_from(&stated.note);
        if self.counted == *stated {
            return Ok(());
        }
        let what = Fault::Damage("properties do not count what is in the table");
        Err(what.of(self.table.file.path(), self.table.footer.properties.offset))
    }
}
