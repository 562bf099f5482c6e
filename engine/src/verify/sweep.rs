//! Walks many tables at once, key by key, and shows each user key that is in more than one of them.
//!
//! It opens a cursor only while its table's key range is passed, so that memory is some blocks for each table that overlaps at one place.
//! Cost: n versions in all, at most k tables overlapping: O(n log k).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use terrace_entry::{Cursor, SeqNo};
use terrace_sstable::{CursorOptions, TableReader};

use crate::parts::{TableCursorOf, TableReaderOf};
use crate::{Parts, Result};

/// The versions of one user key in one table: the table's place in the slice given to [`sweep`], greatest and least sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) table: usize,
    pub(crate) newest: SeqNo,
    pub(crate) oldest: SeqNo,
}

const OPTIONS: CursorOptions = CursorOptions { fill_cache: false, readahead_bytes: 256 << 10 };

/// Calls `visit` with each user key that is in several of `tables`, ascending, and who holds it.
pub(crate) fn sweep<P: Parts>(
    tables: &[Arc<TableReaderOf<P>>],
    mut visit: impl FnMut(&[u8], &[Held]),
) -> Result<()> {
    let mut waiting = overlapping::<P>(tables);
    let mut cursors: Vec<Option<TableCursorOf<P>>> = tables.iter().map(|_| None).collect();
    let mut heap: BinaryHeap<Reverse<(Vec<u8>, usize)>> = BinaryHeap::new();
    let mut holders = Vec::new();
    loop {
        while let Some(&table) = waiting.last() {
            let smallest = &tables[table].properties().smallest_key;
            if heap.peek().is_some_and(|Reverse((key, _))| key < smallest) {
                break;
            }
            waiting.pop();
            let mut cursor = Arc::clone(&tables[table]).cursor(OPTIONS);
            cursor.seek_to_first()?;
            if let Some(entry) = cursor.current() {
                heap.push(Reverse((entry.key.user_key.to_vec(), table)));
                cursors[table] = Some(cursor);
            }
        }
        let Some(Reverse((key, first))) = heap.pop() else { return Ok(()) };
        holders.clear();
        let mut next = Some(first);
        while let Some(table) = next {
            holders.extend(pass::<P>(&key, table, &mut cursors[table], &mut heap)?);
            next = match heap.peek() {
                Some(Reverse((same, _))) if *same == key => heap.pop().map(|Reverse((_, table))| table),
                _ => None,
            };
        }
        if holders.len() > 1 {
            visit(&key, &holders);
        }
    }
}

/// Moves a cursor past all versions of `key`, and queues it again for its next key.
fn pass<P: Parts>(
    key: &[u8],
    table: usize,
    slot: &mut Option<TableCursorOf<P>>,
    heap: &mut BinaryHeap<Reverse<(Vec<u8>, usize)>>,
) -> Result<Option<Held>> {
    let Some(cursor) = slot else { return Ok(None) };
    let mut held: Option<Held> = None;
    while let Some(entry) = cursor.current() {
        if entry.key.user_key != key {
            heap.push(Reverse((entry.key.user_key.to_vec(), table)));
            return Ok(held);
        }
        let seqno = entry.key.seqno;
        let newest = held.map_or(seqno, |held| held.newest);
        held = Some(Held { table, newest, oldest: seqno });
        cursor.next()?;
    }
    *slot = None;
    Ok(held)
}

/// The tables whose key range meets another's, the one with the least key last.
fn overlapping<P: Parts>(tables: &[Arc<TableReaderOf<P>>]) -> Vec<usize> {
    let range = |table: usize| {
        let properties = tables[table].properties();
        (&properties.smallest_key, &properties.largest_key)
    };
    let mut order: Vec<usize> =
        (0..tables.len()).filter(|&table| tables[table].properties().entries > 0).collect();
    order.sort_by_key(|&table| range(table).0);
    let mut meets = vec![false; tables.len()];
    let mut reach: Option<usize> = None;
    for &table in &order {
        if let Some(before) = reach
            && range(before).1 >= range(table).0
        {
            meets[before] = true;
            meets[table] = true;
        }
        if reach.is_none_or(|before| range(before).1 < range(table).1) {
            reach = Some(table);
        }
    }
    order.retain(|&table| meets[table]);
    order.reverse();
    order
}
