//! Batches: several writes that become visible and durable together or not at all.
//!
//! The encoded operations are also what stands in the log (docs/FORMAT.md, "Log payloads"): for each operation
//! `kind u8 | keyspace varint | key length varint | key | value length varint | value`, the value only for a put.

use terrace_entry::Kind;

use crate::options::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{Error, Result};

/// Names a keyspace inside a batch and in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyspaceId(pub(crate) u32);

impl KeyspaceId {
    pub(crate) const DEFAULT: KeyspaceId = KeyspaceId(0);
}

/// Writes to be made together, in order; across keyspaces too.
///
/// Too long a key or value is noted when it is added and reported by the write, so that building a batch needs no `?`.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: u32,
    refused: Option<Error>,
    /// Ascending, distinct.
    keyspaces: Vec<KeyspaceId>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        WriteBatch::default()
    }

    /// An empty batch with room for some bytes of keys and values.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        WriteBatch { bytes: Vec::with_capacity(bytes), ..WriteBatch::default() }
    }

    /// Sets a key in the default keyspace.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.push(KeyspaceId::DEFAULT, Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Removes a key from the default keyspace.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(KeyspaceId::DEFAULT, Kind::Delete, key.as_ref(), &[])
    }

    /// Sets a key in `keyspace`.
    pub fn put_in<P: crate::Parts>(
        &mut self,
        keyspace: &crate::Keyspace<P>,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.push(keyspace.id(), Kind::Put, key.as_ref(), value.as_ref())
    }

    /// Removes a key from `keyspace`.
    pub fn delete_in<P: crate::Parts>(
        &mut self,
        keyspace: &crate::Keyspace<P>,
        key: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.push(keyspace.id(), Kind::Delete, key.as_ref(), &[])
    }

    /// How many writes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes it takes in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.refused = None;
        self.keyspaces.clear();
    }

    pub(crate) fn push(&mut self, keyspace: KeyspaceId, kind: Kind, key: &[u8], value: &[u8]) -> &mut Self {
        if self.refused.is_some() {
            return self;
        }
        let grown = self.bytes.len() + key.len() + value.len() + OP_HEADER_BYTES_MAX;
        let fits = key.len() <= KEY_BYTES_MAX
            && value.len() <= VALUE_BYTES_MAX
            && grown <= BATCH_BYTES_MAX
            && self.count < u32::MAX;
        if !fits {
            self.refused = refusal(key, value, grown, self.count);
            return self;
        }
        // Once for all that follows.
        self.bytes.reserve(key.len() + value.len() + OP_HEADER_BYTES_MAX);
        if let (number @ ..0x80, len @ ..0x80) = (keyspace.0, key.len()) {
            self.bytes.extend_from_slice(&[kind as u8, number as u8, len as u8]);
        } else {
            self.bytes.push(kind as u8);
            put_varint(&mut self.bytes, u64::from(keyspace.0));
            put_varint(&mut self.bytes, key.len() as u64);
        }
        self.bytes.extend_from_slice(key);
        if kind == Kind::Put {
            put_varint(&mut self.bytes, value.len() as u64);
            self.bytes.extend_from_slice(value);
        }
        self.count += 1;
        if self.keyspaces.last() != Some(&keyspace)
            && let Err(at) = self.keyspaces.binary_search(&keyspace)
        {
            self.keyspaces.insert(at, keyspace);
        }
        self
    }

    pub(crate) fn checked(&self) -> Result<Ops<'_>> {
        match &self.refused {
            Some(error) => Err(error.clone()),
            None => Ok(Ops::Encoded { bytes: &self.bytes, count: self.count, keyspaces: &self.keyspaces }),
        }
    }
}

pub(crate) fn check_sizes(key: &[u8], value: &[u8]) -> Result<()> {
    check_limit("key", key.len(), KEY_BYTES_MAX)?;
    check_limit("value", value.len(), VALUE_BYTES_MAX)
}

/// Why a write does not fit into a batch.
#[cold]
fn refusal(key: &[u8], value: &[u8], batch_bytes: usize, count: u32) -> Option<Error> {
    check_sizes(key, value)
        .and_then(|()| check_limit("batch", batch_bytes, BATCH_BYTES_MAX))
        .and_then(|()| check_limit("batch", count as usize, u32::MAX as usize - 1))
        .err()
}

#[inline]
fn check_limit(what: &'static str, bytes: usize, limit_bytes: usize) -> Result<()> {
    if bytes > limit_bytes { Err(Error::TooLarge { what, bytes, limit_bytes }) } else { Ok(()) }
}

/// Kind, keyspace and key length at their longest, and a value length.
pub(crate) const OP_HEADER_BYTES_MAX: usize = 1 + 5 + 5 + 5;

/// The bytes before a key, on the stack.
#[derive(Clone, Copy, Default)]
pub(crate) struct OpHeader {
    bytes: [u8; OP_HEADER_BYTES_MAX],
    len: usize,
}

impl OpHeader {
    #[inline]
    pub(crate) fn encode(&mut self, keyspace: KeyspaceId, kind: Kind, key_len: usize) {
        self.bytes[0] = kind as u8;
        self.len = 1;
        self.varint(u64::from(keyspace.0));
        self.varint(key_len as u64);
    }

    #[inline]
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes[self.len] = value as u8 | 0x80;
            self.len += 1;
            value >>= 7;
        }
        self.bytes[self.len] = value as u8;
        self.len += 1;
    }

    /// With what follows it on the stack: how many bytes it has is then known to the compiler.
    #[inline]
    pub(crate) fn padded(&self) -> &[u8; OP_HEADER_BYTES_MAX] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What a write brings to the commit: a batch, or one operation still in the caller's hands.
#[derive(Clone, Copy)]
pub(crate) enum Ops<'a> {
    Encoded { bytes: &'a [u8], count: u32, keyspaces: &'a [KeyspaceId] },
    One { keyspace: [KeyspaceId; 1], kind: Kind, key: &'a [u8], value: &'a [u8] },
}

impl<'a> Ops<'a> {
    pub(crate) fn count(&self) -> u32 {
        match self {
            Ops::Encoded { count, .. } => *count,
            Ops::One { .. } => 1,
        }
    }

    pub(crate) fn keyspaces(&self) -> &[KeyspaceId] {
        match self {
            Ops::Encoded { keyspaces, .. } => keyspaces,
            Ops::One { keyspace, .. } => keyspace,
        }
    }

    /// Bytes of keys and values, in a batch with what frames them: for limits, which need not be exact.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Ops::Encoded { bytes, .. } => bytes.len(),
            Ops::One { key, value, .. } => key.len() + value.len(),
        }
    }
}

/// One decoded operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op<'a> {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) kind: Kind,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Walks encoded operations. Bytes from a disk may be anything: every length is checked before use.
pub(crate) struct OpReader<'a> {
    rest: &'a [u8],
}

impl<'a> OpReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        OpReader { rest: bytes }
    }

    /// The next operation; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Op<'a>>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let kind = Kind::try_from(self.rest[0]).map_err(|_| "unknown kind of operation")?;
        self.rest = &self.rest[1..];
        let keyspace = take_varint(&mut self.rest).ok_or("keyspace number cut short")?;
        let keyspace = KeyspaceId(u32::try_from(keyspace).map_err(|_| "keyspace number too large")?);
        let key = take_prefixed(&mut self.rest).ok_or("key cut short")?;
        let value = match kind {
            Kind::Put => take_prefixed(&mut self.rest).ok_or("value cut short")?,
            _ => &[],
        };
        Ok(Some(Op { keyspace, kind, key, value }))
    }
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    match rest {
        [byte @ ..0x80, tail @ ..] => {
            let value = u64::from(*byte);
            *rest = tail;
            Some(value)
        }
        _ => take_long_varint(rest),
    }
}

fn take_long_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[inline]
pub(crate) fn take_prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn batch_decodes_to_what_was_added() {
        let mut batch = WriteBatch::new();
        batch.put("k", "v").delete("gone").push(KeyspaceId(300), Kind::Put, b"", b"");
        let Ok(Ops::Encoded { bytes, count, keyspaces }) = batch.checked() else { panic!("refused") };
        assert_eq!((count, keyspaces), (3, [KeyspaceId(0), KeyspaceId(300)].as_slice()));
        let mut ops = OpReader::new(bytes);
        let op = |keyspace, kind, key, value| Op { keyspace: KeyspaceId(keyspace), kind, key, value };
        assert_eq!(ops.next(), Ok(Some(op(0, Kind::Put, b"k", b"v"))));
        assert_eq!(ops.next(), Ok(Some(op(0, Kind::Delete, b"gone", b""))));
        assert_eq!(ops.next(), Ok(Some(op(300, Kind::Put, b"", b""))));
        assert_eq!(ops.next(), Ok(None));
    }

    #[test]
    fn too_long_a_key_is_refused_at_the_write() {
        let mut batch = WriteBatch::new();
        batch.put(vec![0; KEY_BYTES_MAX + 1], "v").put("fits", "v");
        assert!(matches!(batch.checked().map(|_| ()), Err(Error::TooLarge { what: "key", .. })));
        batch.clear();
        batch.put(vec![0; KEY_BYTES_MAX], "v");
        assert!(batch.checked().is_ok());
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut ops = OpReader::new(&bytes);
            while let Ok(Some(_)) = ops.next() {}
        }

        #[test]
        fn varints_round_trip(value in any::<u64>()) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
