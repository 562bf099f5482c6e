//! What must hold of the decoders of this crate whatever bytes they are given: the bodies of fuzz targets, which ordinary tests
//! call too. Not an interface to build on.
//!
//! Each function reads its input as one thing that a database finds on a disk. It panics, naming the property, when one does not hold;
//! refusing the bytes is always right.

mod folder;
mod seeds;

use std::path::Path;
use std::sync::Arc;
use terrace_entry::{Kind, SeqNo};
use terrace_vfs::{CreateOptions, MemVfs, Vfs};
use terrace_wal::testing::reseal_log;

use crate::batch::{Op, OpReader, WriteBatch};
use crate::logs::payload::{self, Payload};
use crate::manifest::edit::Edit;
use crate::manifest::state::State;
use crate::manifest::{read_current, read_state};

pub use folder::check_folder_bytes;
pub use seeds::seeds;

/// Set in the first byte of an input: checksums are put right first, so that what lies behind them is reached.
const RESEAL: u8 = 1;
const MANIFEST: u64 = 1;

fn in_memory(name: &str, bytes: &[u8]) -> Arc<dyn Vfs> {
    let mem = MemVfs::new();
    let file = mem.create(Path::new(name), CreateOptions::default());
    file.and_then(|mut file| file.append(bytes)).expect("memory takes it");
    Arc::new(mem)
}

/// A file `CURRENT`. What is accepted names the number that it was written for.
///
/// # Panics
///
/// With the property.
pub fn check_current_bytes(input: &[u8]) {
    let vfs = in_memory("CURRENT", input);
    if let Ok(found) = read_current(&vfs, Path::new("")) {
        let number = found.expect("the file is there");
        assert_eq!(crate::manifest::pointer_text(number).as_bytes(), input);
    }
}

/// A manifest file; the lowest bit of the first byte says whether its checksums are put right first. A state that comes of it is
/// made again by its own snapshot.
///
/// # Panics
///
/// With the property.
pub fn check_manifest_bytes(input: &[u8]) {
    let Some((&how, file)) = input.split_first() else { return };
    let mut file = file.to_vec();
    if how & RESEAL != 0 {
        reseal_log(&mut file, MANIFEST);
    }
    let vfs = in_memory("MANIFEST-000001", &file);
    if let Ok((state, report)) = read_state(&vfs, Path::new(""), MANIFEST, "block") {
        assert!(report.records > 0);
        check_snapshot(&state);
    }
}

/// The edits of one manifest record. What is decoded is encoded to something that decodes to the same.
///
/// # Panics
///
/// With the property.
pub fn check_edits_bytes(input: &[u8]) {
    let Ok(edits) = Edit::decode_all(input) else { return };
    let mut encoded = Vec::new();
    for edit in &edits {
        edit.encode(&mut encoded);
    }
    assert!(encoded.len() <= input.len(), "our form is the shortest");
    assert_eq!(Edit::decode_all(&encoded).as_ref(), Ok(&edits));
    let mut state = State::new("block");
    if edits.iter().all(|edit| state.apply(edit).is_ok()) {
        check_snapshot(&state);
    }
}

fn check_snapshot(state: &State) {
    let (mut rebuilt, mut bytes) = (State::default(), Vec::new());
    for edit in state.snapshot() {
        edit.encode(&mut bytes);
    }
    for edit in Edit::decode_all(&bytes).expect("our own edits are decoded") {
        rebuilt.apply(&edit).expect("a snapshot of a state applies");
    }
    assert_eq!(rebuilt, *state, "a snapshot makes another state");
}

/// The payload of one log record: a group of batches. What is decoded is encoded to something that decodes to the same.
///
/// # Panics
///
/// With the property.
pub fn check_batch_bytes(input: &[u8]) {
    let Some((head, batches)) = decode_payload(input) else { return };
    let mut encoded = payload::head(head.0, head.1, head.2).to_vec();
    for (first, ops) in &batches {
        let mut batch = WriteBatch::new();
        for op in ops {
            batch.push(op.keyspace, op.kind, op.key, op.value);
        }
        let bytes = match batch.checked() {
            Ok(crate::batch::Ops::Encoded { bytes, .. }) => bytes,
            // Too long a key: no writer of ours wrote it.
            _ => return,
        };
        encoded.extend(payload::batch_head(*first, ops.len() as u32, bytes.len()));
        encoded.extend_from_slice(bytes);
    }
    assert_eq!(decode_payload(&encoded), Some((head, batches)));
}

type Decoded<'a> = ((u8, SeqNo, SeqNo), Vec<(SeqNo, Vec<Op<'a>>)>);

/// `None` for what is refused, at whatever depth.
fn decode_payload(input: &[u8]) -> Option<Decoded<'_>> {
    let mut payload = Payload::decode(input).ok()?;
    let head = (payload.kind, payload.previous, payload.durable);
    let mut batches = Vec::new();
    while let Some(batch) = payload.next_batch().ok()? {
        let mut reader = OpReader::new(batch.ops);
        let mut ops = Vec::new();
        while let Some(op) = reader.next().ok()? {
            assert!(op.kind == Kind::Put || op.value.is_empty(), "a tombstone with a value");
            ops.push(op);
        }
        if ops.len() as u64 != u64::from(batch.count) {
            return None;
        }
        batches.push((batch.first, ops));
    }
    Some((head, batches))
}
