//! Reads what is whole of a table that is not.
//!
//! Block by block, past each that can not be read. What is lost is said in keys: the index knows between which separators a block
//! stood. Filter and properties hold no version, so their damage loses nothing. A footer with one wrong byte is mended; a table whose footer
//! or index can not be read otherwise is lost whole, since nothing else says where its blocks are.
//!
//! Costs: one read and one decoding per block; memory for one block and its keys.

use terrace_entry::InternalKey;
use terrace_vfs::ReadFile;

use super::data::{self, DataBlock, Layout, Position};
use super::fault::Fault;
use super::footer::{FOOTER_BYTES, Footer, MARK_BYTES, Mark};
use super::index::Index;
use super::{describe, reader};
use crate::{LostKeys, LostStretch, Properties, Result};

type Keep<'k> = &'k mut dyn FnMut(InternalKey<'_>, &[u8]) -> Result<()>;
type Lost<'l> = &'l mut dyn FnMut(LostStretch);

pub(super) fn salvage(file: &dyn ReadFile, keep: Keep<'_>, lost: Lost<'_>) -> Result<Option<Properties>> {
    let (footer, index) = match read_footer(file, lost) {
        Some(footer) => (footer, read_index(file, &footer, lost)),
        None => return Ok(None),
    };
    let mut nothing_lost = |handle: super::index::Handle, what: String| {
        lost(LostStretch { offset: handle.offset, bytes: handle.len as u64, what, keys: LostKeys::None });
    };
    if let Some(filter) = footer.filter
        && let Err(error) = reader::read_block(file, filter)
    {
        nothing_lost(filter, error.to_string());
    }
    let properties = reader::read_block(file, footer.properties).and_then(|payload| {
        describe::decode(&payload).map_err(|fault| fault.of(file.path(), footer.properties.offset))
    });
    if let Err(error) = &properties {
        nothing_lost(footer.properties, error.to_string());
    }
    let properties = properties.ok();
    let Some(index) = index else { return Ok(properties) };
    let first = properties.as_ref().map(|properties| properties.smallest_key.clone()).unwrap_or_default();
    let mut last: Option<(Vec<u8>, u64)> = None;
    for number in 0..index.len() {
        let handle = index.handle(number);
        let read = reader::read_block(file, handle).and_then(|block| {
            let entries = entries_of(&block, last.as_ref());
            entries.map(|entries| (block, entries)).map_err(|fault| fault.of(file.path(), handle.offset))
        });
        match read {
            Ok((block, entries)) => {
                for entry in &entries {
                    let (seqno, kind) =
                        data::split_trailer(entry.trailer).map_err(|f| f.of(file.path(), handle.offset))?;
                    let value = &block[entry.value.0..entry.value.1];
                    keep(InternalKey::new(&entry.user_key, seqno, kind), value)?;
                }
                last = entries.into_iter().next_back().map(|entry| (entry.user_key, entry.trailer));
            }
            Err(error) => {
                let before = number.checked_sub(1).map(|before| index.separator(before).to_vec());
                let smallest = before.unwrap_or_else(|| first.clone());
                let keys = LostKeys::Range { smallest, largest: index.separator(number).to_vec() };
                let what = error.to_string();
                lost(LostStretch { offset: handle.offset, bytes: handle.len as u64, what, keys });
            }
        }
    }
    Ok(properties)
}

fn read_footer(file: &dyn ReadFile, lost: Lost<'_>) -> Option<Footer> {
    let file_bytes = file.len().unwrap_or(0);
    match reader::read_footer(file) {
        Ok(footer) => Some(footer),
        Err(error) => {
            let mended = mend_footer(file, file_bytes);
            let keys = if mended.is_some() { LostKeys::None } else { LostKeys::All };
            let offset = file_bytes.saturating_sub(FOOTER_BYTES as u64);
            lost(LostStretch { offset, bytes: file_bytes - offset, what: error.to_string(), keys });
            mended
        }
    }
}

fn read_index(file: &dyn ReadFile, footer: &Footer, lost: Lost<'_>) -> Option<Index> {
    let index = reader::read_block(file, footer.index).and_then(|payload| {
        Index::decode(payload, footer.index.offset)
            .map_err(|fault| fault.of(file.path(), footer.index.offset))
    });
    match index {
        Ok(index) => Some(index),
        Err(error) => {
            let (offset, bytes) = (footer.index.offset, footer.index.len as u64);
            lost(LostStretch { offset, bytes, what: error.to_string(), keys: LostKeys::All });
            None
        }
    }
}

/// The footer that one changed byte made unreadable: the only one whose checksum and regions hold. Twenty thousand tries.
fn mend_footer(file: &dyn ReadFile, file_bytes: u64) -> Option<Footer> {
    let at = file_bytes.checked_sub(FOOTER_BYTES as u64)?;
    let mut bytes = [0; FOOTER_BYTES];
    file.read_exact_at(&mut bytes, at).ok()?;
    for place in 0..FOOTER_BYTES {
        for change in 1..=u8::MAX {
            let mut mended = bytes;
            mended[place] ^= change;
            let mark = mended.last_chunk::<MARK_BYTES>().and_then(|mark| Mark::decode(mark, file_bytes).ok());
            let footer = mark
                .filter(|mark| mark.footer_bytes == FOOTER_BYTES)
                .and_then(|mark| Footer::decode(&mended, mark, file_bytes).ok());
            if footer.is_some() {
                return footer;
            }
        }
    }
    None
}

/// An entry with its whole user key.
struct Whole {
    user_key: Vec<u8>,
    trailer: u64,
    value: (usize, usize),
}

/// All entries of a block, which ascend strictly and stand after `last`.
fn entries_of(block: &[u8], last: Option<&(Vec<u8>, u64)>) -> Result<Vec<Whole>, Fault> {
    let layout = Layout::of(block)?;
    let data = DataBlock::with_layout(block, layout);
    let mut entries: Vec<Whole> = Vec::new();
    let mut at = Position::default();
    while at.entry < data.entries.len() {
        let entry = data.decode(at)?;
        let before = entries.last().map_or(&[][..], |before| &before.user_key);
        let shared = before.get(..entry.shared).ok_or(Fault::Damage("entry shares more than there is"))?;
        let user_key = [shared, data.bytes(entry.suffix)].concat();
        data::split_trailer(entry.trailer)?;
        let previous = entries.last().map(|last| (&last.user_key, last.trailer));
        let previous = previous.or(last.map(|last| (&last.0, last.1)));
        let ascends = previous.is_none_or(|(key, trailer)| match key.cmp(&user_key) {
            core::cmp::Ordering::Equal => trailer > entry.trailer,
            unequal => unequal.is_lt(),
        });
        if !ascends {
            return Err(Fault::Damage("versions are out of order"));
        }
        entries.push(Whole { user_key, trailer: entry.trailer, value: entry.value });
        at = entry.next();
    }
    if entries.len() == layout.count { Ok(entries) } else { Err(Fault::Damage("block counts other entries")) }
}
