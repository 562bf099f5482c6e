//! The log record of a group.

use terrace_entry::{Kind, SeqNo};
use terrace_wal::LogWriter;

use super::Member;
use crate::batch::{KeyspaceId, OP_HEADER_BYTES_MAX, OpHeader, Ops};
use crate::logs::payload;
use crate::{Parts, Result};

const BOTH_HEADS_BYTES: usize = payload::HEAD_BYTES + payload::BATCH_HEAD_BYTES;
const HEADS_BYTES_MAX: usize = BOTH_HEADS_BYTES + OP_HEADER_BYTES_MAX;

#[inline]
pub(super) fn one_heads(keyspace: KeyspaceId, kind: Kind, key: &[u8], value: &[u8]) -> (OpHeader, OpHeader) {
    let (mut head, mut value_head) = (OpHeader::default(), OpHeader::default());
    head.encode(keyspace, kind, key.len());
    if kind == Kind::Put {
        value_head.varint(value.len() as u64);
    }
    (head, value_head)
}

/// The operations as one run of bytes, in `buffer` if they are not yet.
pub(super) fn encoded<'a>(ops: Ops<'a>, keyspaces: &'a [KeyspaceId], buffer: &'a mut Vec<u8>) -> Ops<'a> {
    let Ops::One { keyspace, kind, key, value } = ops else { return ops };
    let (head, value_head) = one_heads(keyspace[0], kind, key, value);
    buffer.reserve_exact(key.len() + value.len() + 16);
    buffer.extend_from_slice(head.as_slice());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value_head.as_slice());
    buffer.extend_from_slice(value);
    Ops::Encoded { bytes: buffer, count: 1, keyspaces }
}

/// A record for one write. A lone operation goes from the caller's memory into the log without a copy between.
pub(super) fn append_alone<P: Parts>(
    log: &mut P::Log,
    (previous, durable): (SeqNo, SeqNo),
    first: SeqNo,
    ops: Ops<'_>,
) -> Result<()> {
    let head = payload::head(payload::GROUP, previous, durable);
    match ops {
        Ops::One { keyspace, kind, key, value } => {
            let (op_head, value_head) = one_heads(keyspace[0], kind, key, value);
            let (op_head_bytes, value_head) = (op_head.as_slice().len(), value_head.as_slice());
            let bytes = op_head_bytes + key.len() + value_head.len() + value.len();
            // A log takes few parts more quickly than many.
            let mut heads = [0; HEADS_BYTES_MAX];
            heads[..payload::HEAD_BYTES].copy_from_slice(&head);
            heads[payload::HEAD_BYTES..BOTH_HEADS_BYTES]
                .copy_from_slice(&payload::batch_head(first, 1, bytes));
            heads[BOTH_HEADS_BYTES..].copy_from_slice(op_head.padded());
            log.append(&[&heads[..BOTH_HEADS_BYTES + op_head_bytes], key, value_head, value])?;
        }
        Ops::Encoded { bytes, count, .. } => {
            log.append(&[&head, &payload::batch_head(first, count, bytes.len()), bytes])?;
        }
    }
    Ok(())
}

/// One record for the whole group, whose writes are encoded.
pub(super) fn append_group<'a, P: Parts + 'a>(
    log: &mut P::Log,
    (previous, durable): (SeqNo, SeqNo),
    members: impl Iterator<Item = &'a Member<'a, P>> + Clone,
) -> Result<()> {
    let head = payload::head(payload::GROUP, previous, durable);
    let heads: Vec<_> = members
        .clone()
        .filter_map(|member| {
            let place = member.place.as_ref()?;
            let Ops::Encoded { bytes, count, .. } = member.ops else { return None };
            Some(payload::batch_head(place.first, count, bytes.len()))
        })
        .collect();
    append_encoded(log, &head, &heads, members)
}

pub(super) fn append_encoded<'a, P: Parts + 'a>(
    log: &mut P::Log,
    head: &[u8],
    heads: &[[u8; payload::BATCH_HEAD_BYTES]],
    members: impl Iterator<Item = &'a Member<'a, P>>,
) -> Result<()> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(1 + 2 * heads.len());
    parts.push(head);
    let encoded = members.filter_map(|member| match member.ops {
        Ops::Encoded { bytes, .. } => Some(bytes),
        Ops::One { .. } => None,
    });
    for (head, bytes) in heads.iter().zip(encoded) {
        parts.push(head);
        parts.push(bytes);
    }
    log.append(&parts)?;
    Ok(())
}
