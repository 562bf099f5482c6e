//! Where a table came from: the note that every table carries, so that a tree can be put together again when the manifest is lost.
//!
//! The manifest is the truth; a note is a second witness, written once. It says which keyspace the table belongs to, which tables its *group* (the
//! outputs of one flush or one merge) takes the place of, which obsolete tables may still lie in the folder, and the books: the keyspaces there
//! were, and up to where each was in tables.
//!
//! The law that repair rests on, *no ghost*: while the file of an obsolete table may be in the folder, or come back after a power cut
//! because its removal was not synced, some table that is live (or a *marker*, an empty table that nothing names) says so in its note. It is kept so:
//!
//! * a group that replaces tables names them as `inputs`; they are obsolete once the whole group is there, since the group is recorded then, or
//!   says the same as they do;
//! * a table written later names, as `gone`, all tables that were obsolete then and not known to be durably removed. Whatever replaces
//!   the table that named a ghost was written later than the ghost became one, and so names it too, or the ghost is gone for good;
//! * a merge without output, a drop and the removal of a keyspace leave a marker. It goes when a later marker, which names more, is
//!   there, or when what it names is durably removed.

use terrace_entry::SeqNo;

use crate::batch::{KeyspaceId, put_varint, take_prefixed, take_varint};
use crate::manifest::state::State;

const VERSION: u8 = 1;
/// A database with more keyspaces than this writes no list of them into each table.
const KEYSPACES_LISTED_MAX: usize = 64;

/// What a note says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origin {
    pub(crate) keyspace: KeyspaceId,
    /// The level that it was written for; it may have been moved since.
    pub(crate) level: u64,
    /// The number of the group's first table.
    pub(crate) group: u64,
    /// Its place in the group.
    pub(crate) index: u64,
    /// Whether it is the group's last.
    pub(crate) last: bool,
    /// Tables that the whole group takes the place of.
    pub(crate) inputs: Vec<u64>,
    /// Tables that were obsolete already, and whose files may be there.
    pub(crate) gone: Vec<u64>,
    pub(crate) books: Books,
}

/// The state of a database when a table was written, as far as it is not in tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Books {
    /// The greater, the later: the next file number then.
    pub(crate) stamp: u64,
    pub(crate) last_seqno: SeqNo,
    pub(crate) next_keyspace: u64,
    /// Whether `keyspaces` lists all that there were.
    pub(crate) lists_all: bool,
    pub(crate) keyspaces: Vec<(KeyspaceId, String, SeqNo)>,
}

impl Books {
    /// The books of `state`, in which `own` is in tables up to `flushed`.
    pub(crate) fn of(state: &State, stamp: u64, own: KeyspaceId, flushed: SeqNo) -> Self {
        let lists_all = state.keyspaces.len() <= KEYSPACES_LISTED_MAX;
        let listed = state.keyspaces.iter().filter(|&(&id, _)| lists_all || id == own);
        let keyspaces = listed.map(|(&id, keyspace)| {
            let at = if id == own { keyspace.flushed.max(flushed) } else { keyspace.flushed };
            (id, keyspace.name.clone(), at)
        });
        Books {
            stamp,
            last_seqno: state.last_seqno.max(flushed),
            next_keyspace: u64::from(state.next_keyspace),
            lists_all,
            keyspaces: keyspaces.collect(),
        }
    }
}

impl Origin {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let numbers = [u64::from(self.keyspace.0), self.level, self.group, self.index, u64::from(self.last)];
        numbers.into_iter().for_each(|number| put_varint(&mut out, number));
        for list in [&self.inputs, &self.gone] {
            put_varint(&mut out, list.len() as u64);
            list.iter().for_each(|&number| put_varint(&mut out, number));
        }
        let books = &self.books;
        let numbers = [books.stamp, books.last_seqno.get(), books.next_keyspace, u64::from(books.lists_all)];
        numbers.into_iter().for_each(|number| put_varint(&mut out, number));
        put_varint(&mut out, books.keyspaces.len() as u64);
        for (id, name, flushed) in &books.keyspaces {
            put_varint(&mut out, u64::from(id.0));
            put_varint(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            put_varint(&mut out, flushed.get());
        }
        out
    }

    /// `None` for a note that is not ours, or of a later version.
    pub(crate) fn decode(note: &[u8]) -> Option<Origin> {
        let mut rest = note.strip_prefix(&[VERSION])?;
        let rest = &mut rest;
        let origin = Origin {
            keyspace: keyspace(rest)?,
            level: take_varint(rest)?,
            group: take_varint(rest)?,
            index: take_varint(rest)?,
            last: take_varint(rest)? != 0,
            inputs: numbers(rest)?,
            gone: numbers(rest)?,
            books: books(rest)?,
        };
        rest.is_empty().then_some(origin)
    }
}

fn keyspace(rest: &mut &[u8]) -> Option<KeyspaceId> {
    u32::try_from(take_varint(rest)?).ok().map(KeyspaceId)
}

/// The count is only a bound of a loop; nothing is allocated by it.
fn numbers(rest: &mut &[u8]) -> Option<Vec<u64>> {
    let mut list = Vec::new();
    for _ in 0..take_varint(rest)? {
        list.push(take_varint(rest)?);
    }
    Some(list)
}

fn books(rest: &mut &[u8]) -> Option<Books> {
    let mut books = Books {
        stamp: take_varint(rest)?,
        last_seqno: SeqNo::checked(take_varint(rest)?)?,
        next_keyspace: take_varint(rest)?,
        lists_all: take_varint(rest)? != 0,
        keyspaces: Vec::new(),
    };
    for _ in 0..take_varint(rest)? {
        let id = keyspace(rest)?;
        let name = String::from_utf8(take_prefixed(rest)?.to_vec()).ok()?;
        books.keyspaces.push((id, name, SeqNo::checked(take_varint(rest)?)?));
    }
    Some(books)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_cut_anywhere_does_not() {
        let origin = Origin {
            keyspace: KeyspaceId(300),
            level: 3,
            group: 70_000,
            index: 2,
            last: true,
            inputs: vec![5, 600],
            gone: vec![4],
            books: Books {
                stamp: 9,
                last_seqno: SeqNo::MAX,
                next_keyspace: 301,
                lists_all: true,
                keyspaces: vec![
                    (KeyspaceId(0), "default".into(), SeqNo::new(7)),
                    (KeyspaceId(300), "u".into(), SeqNo::ZERO),
                ],
            },
        };
        let note = origin.encode();
        assert_eq!(Origin::decode(&note), Some(origin));
        for len in 0..note.len() {
            assert_eq!(Origin::decode(&note[..len]), None, "cut to {len}");
        }
    }
}
