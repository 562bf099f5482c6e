//! What a manifest record says: edits, and their encoding (docs/FORMAT.md, "Manifest payloads").

use std::sync::Arc;
use terrace_compaction::{Output, RunId, ShapeEdit, TableId, TableMeta};
use terrace_entry::SeqNo;

use crate::batch::{KeyspaceId, put_varint, take_prefixed, take_varint};

/// The version of log payloads, manifest payloads and the folder's layout.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// One change of the database's durable state. A manifest record holds several, applied together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edit {
    /// What wrote this database. First in every manifest.
    Identity {
        format_version: u32,
        table_format: String,
    },
    /// No file number at or above `next_file` and no sequence number above `last_seqno` is in use.
    Counters {
        next_file: u64,
        last_seqno: SeqNo,
    },
    /// Logs below `number` are not needed. `previous` is the last logged sequence number before that log.
    LogFloor {
        number: u64,
        previous: SeqNo,
    },
    /// The log's final length; all of it is durable. Zero for a log that is not to be replayed.
    LogClosed {
        number: u64,
        bytes: u64,
    },
    CreateKeyspace {
        id: KeyspaceId,
        name: String,
    },
    RemoveKeyspace {
        id: KeyspaceId,
    },
    /// A flush or a compaction. Everything of the keyspace up to `flushed` is in tables.
    Tree {
        keyspace: KeyspaceId,
        flushed: SeqNo,
        shape: ShapeEdit,
    },
}

const IDENTITY: u8 = 1;
const COUNTERS: u8 = 2;
const LOG_FLOOR: u8 = 3;
const LOG_CLOSED: u8 = 4;
const CREATE_KEYSPACE: u8 = 5;
const REMOVE_KEYSPACE: u8 = 6;
const TREE: u8 = 7;
const TREE_WITH_AGES: u8 = 8;

const NO_OUTPUT: u8 = 0;
const INTO_RUN: u8 = 1;
const NEW_RUN: u8 = 2;

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

impl Edit {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Edit::Identity { format_version, table_format } => {
                out.push(IDENTITY);
                put_varint(out, u64::from(*format_version));
                put_bytes(out, table_format.as_bytes());
            }
            Edit::Counters { next_file, last_seqno } => {
                put_tagged(out, COUNTERS, [*next_file, last_seqno.get()]);
            }
            Edit::LogFloor { number, previous } => put_tagged(out, LOG_FLOOR, [*number, previous.get()]),
            Edit::LogClosed { number, bytes } => put_tagged(out, LOG_CLOSED, [*number, *bytes]),
            Edit::CreateKeyspace { id, name } => {
                put_tagged(out, CREATE_KEYSPACE, [u64::from(id.0)]);
                put_bytes(out, name.as_bytes());
            }
            Edit::RemoveKeyspace { id } => put_tagged(out, REMOVE_KEYSPACE, [u64::from(id.0)]),
            Edit::Tree { keyspace, flushed, shape } => {
                let tag = if has_ages(shape) { TREE_WITH_AGES } else { TREE };
                put_tagged(out, tag, [u64::from(keyspace.0), flushed.get()]);
                encode_shape(shape, out);
            }
        }
    }

    /// Decodes all edits of a record. The bytes passed a checksum, but may come from a later version or a broken writer.
    pub(crate) fn decode_all(mut rest: &[u8]) -> Result<Vec<Edit>, &'static str> {
        let mut edits = Vec::new();
        while !rest.is_empty() {
            edits.push(decode(&mut rest)?);
        }
        Ok(edits)
    }
}

fn put_tagged<const N: usize>(out: &mut Vec<u8>, tag: u8, numbers: [u64; N]) {
    out.push(tag);
    for number in numbers {
        put_varint(out, number);
    }
}

/// Whether some table holds tombstones older than itself. Most hold none, and their edits are what they always were.
fn has_ages(edit: &ShapeEdit) -> bool {
    let mut tables = edit.added.iter().flat_map(|(_, tables)| tables);
    tables.any(|table| table.oldest_tombstone_unix_seconds.is_some())
}

fn encode_shape(edit: &ShapeEdit, out: &mut Vec<u8>) {
    put_varint(out, edit.removed.len() as u64);
    for id in &edit.removed {
        put_varint(out, id.0);
    }
    let Some((output, tables)) = &edit.added else {
        out.push(NO_OUTPUT);
        return;
    };
    match *output {
        Output::IntoRun { level, run } => put_tagged(out, INTO_RUN, [level as u64, run.0]),
        Output::NewRun { level, run } => {
            put_tagged(out, NEW_RUN, [level as u64, run.unwrap_or_default().0]);
        }
    }
    put_varint(out, tables.len() as u64);
    let has_ages = has_ages(edit);
    for table in tables {
        encode_table(table, out);
        if has_ages {
            put_varint(out, table.oldest_tombstone_unix_seconds.map_or(0, |at| at.saturating_add(1)));
        }
    }
}

fn encode_table(table: &TableMeta, out: &mut Vec<u8>) {
    put_varint(out, table.id.0);
    put_bytes(out, &table.smallest_key);
    put_bytes(out, &table.largest_key);
    let numbers = [
        table.file_bytes,
        table.raw_bytes,
        table.entries,
        table.tombstones,
        table.seqno_min.get(),
        table.seqno_max.get(),
        table.created_at_unix_seconds,
    ];
    for number in numbers {
        put_varint(out, number);
    }
}

const SHORT: &str = "edit cut short";

fn number(rest: &mut &[u8]) -> Result<u64, &'static str> {
    take_varint(rest).ok_or(SHORT)
}

fn seqno(rest: &mut &[u8]) -> Result<SeqNo, &'static str> {
    SeqNo::checked(number(rest)?).ok_or("sequence number above 56 bits")
}

fn keyspace(rest: &mut &[u8]) -> Result<KeyspaceId, &'static str> {
    u32::try_from(number(rest)?).map(KeyspaceId).map_err(|_| "keyspace number too large")
}

fn text(rest: &mut &[u8]) -> Result<String, &'static str> {
    let bytes = take_prefixed(rest).ok_or(SHORT)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "name is not UTF-8")
}

fn tag(rest: &mut &[u8]) -> Result<u8, &'static str> {
    let (&tag, tail) = rest.split_first().ok_or(SHORT)?;
    *rest = tail;
    Ok(tag)
}

fn decode(rest: &mut &[u8]) -> Result<Edit, &'static str> {
    Ok(match tag(rest)? {
        IDENTITY => {
            let version = u32::try_from(number(rest)?).map_err(|_| "format version too large")?;
            Edit::Identity { format_version: version, table_format: text(rest)? }
        }
        COUNTERS => Edit::Counters { next_file: number(rest)?, last_seqno: seqno(rest)? },
        LOG_FLOOR => Edit::LogFloor { number: number(rest)?, previous: seqno(rest)? },
        LOG_CLOSED => Edit::LogClosed { number: number(rest)?, bytes: number(rest)? },
        CREATE_KEYSPACE => Edit::CreateKeyspace { id: keyspace(rest)?, name: text(rest)? },
        REMOVE_KEYSPACE => Edit::RemoveKeyspace { id: keyspace(rest)? },
        tag @ (TREE | TREE_WITH_AGES) => Edit::Tree {
            keyspace: keyspace(rest)?,
            flushed: seqno(rest)?,
            shape: decode_shape(rest, tag == TREE_WITH_AGES)?,
        },
        _ => return Err("unknown kind of edit"),
    })
}

fn decode_shape(rest: &mut &[u8], has_ages: bool) -> Result<ShapeEdit, &'static str> {
    // A count is only a bound for a loop; nothing is allocated by it.
    let removed_count = number(rest)?;
    let mut removed = Vec::new();
    for _ in 0..removed_count {
        removed.push(TableId(number(rest)?));
    }
    let output = match tag(rest)? {
        NO_OUTPUT => return Ok(ShapeEdit { removed, added: None }),
        INTO_RUN => Output::IntoRun { level: level(rest)?, run: RunId(number(rest)?) },
        NEW_RUN => Output::NewRun { level: level(rest)?, run: Some(RunId(number(rest)?)) },
        _ => return Err("unknown kind of output"),
    };
    let table_count = number(rest)?;
    let mut tables = Vec::new();
    for _ in 0..table_count {
        let mut table = decode_table(rest)?;
        if has_ages {
            table.oldest_tombstone_unix_seconds = number(rest)?.checked_sub(1);
        }
        tables.push(Arc::new(table));
    }
    Ok(ShapeEdit { removed, added: Some((output, tables)) })
}

fn level(rest: &mut &[u8]) -> Result<usize, &'static str> {
    const LEVELS_MAX: u64 = 1024;
    let level = number(rest)?;
    if level < LEVELS_MAX { Ok(level as usize) } else { Err("level number too large") }
}

fn decode_table(rest: &mut &[u8]) -> Result<TableMeta, &'static str> {
    Ok(TableMeta {
        id: TableId(number(rest)?),
        smallest_key: take_prefixed(rest).ok_or(SHORT)?.to_vec(),
        largest_key: take_prefixed(rest).ok_or(SHORT)?.to_vec(),
        file_bytes: number(rest)?,
        raw_bytes: number(rest)?,
        entries: number(rest)?,
        tombstones: number(rest)?,
        seqno_min: seqno(rest)?,
        seqno_max: seqno(rest)?,
        created_at_unix_seconds: number(rest)?,
        oldest_tombstone_unix_seconds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<Edit> {
        let table = TableMeta {
            id: TableId(9),
            smallest_key: b"a".to_vec(),
            largest_key: vec![0xff; 300],
            file_bytes: 1 << 40,
            raw_bytes: 7,
            entries: 3,
            tombstones: 1,
            seqno_min: SeqNo::new(4),
            seqno_max: SeqNo::MAX,
            created_at_unix_seconds: 1,
            oldest_tombstone_unix_seconds: None,
        };
        let aged = TableMeta { id: TableId(10), oldest_tombstone_unix_seconds: Some(0), ..table.clone() };
        let shape = |output| ShapeEdit {
            removed: vec![TableId(1), TableId(300)],
            added: Some((output, vec![Arc::new(table.clone())])),
        };
        let tree = |shape| Edit::Tree { keyspace: KeyspaceId(2), flushed: SeqNo::new(77), shape };
        vec![
            Edit::Identity { format_version: 1, table_format: "block".into() },
            Edit::Counters { next_file: 12, last_seqno: SeqNo::new(99) },
            Edit::LogFloor { number: 3, previous: SeqNo::new(5) },
            Edit::LogClosed { number: 3, bytes: 4096 },
            Edit::CreateKeyspace { id: KeyspaceId(2), name: "users".into() },
            tree(shape(Output::IntoRun { level: 3, run: RunId(5) })),
            tree(shape(Output::NewRun { level: 0, run: Some(RunId(6)) })),
            tree(ShapeEdit { removed: vec![TableId(9)], added: None }),
            tree(ShapeEdit {
                removed: vec![],
                added: Some((
                    Output::NewRun { level: 2, run: Some(RunId(7)) },
                    vec![Arc::new(table.clone()), Arc::new(aged)],
                )),
            }),
            Edit::RemoveKeyspace { id: KeyspaceId(2) },
        ]
    }

    #[test]
    fn edits_round_trip() {
        let mut bytes = Vec::new();
        for edit in sample() {
            edit.encode(&mut bytes);
        }
        assert_eq!(Edit::decode_all(&bytes), Ok(sample()));
    }

    #[test]
    fn an_edit_cut_short_anywhere_is_an_error() {
        for edit in sample() {
            let mut bytes = Vec::new();
            edit.encode(&mut bytes);
            for len in 1..bytes.len() {
                assert!(Edit::decode_all(&bytes[..len]).is_err(), "{edit:?} cut to {len} bytes");
            }
        }
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Edit::decode_all(&bytes);
        }
    }
}
