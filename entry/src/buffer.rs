//! A buffer for the key that a walk stands on, which changes at every step.
//!
//! Most keys, and most parts by which a key differs from the one before, are a few bytes long. A call to copy or to compare them costs more than the
//! bytes do. So a part is copied by two loads where the bytes behind it may be read and overwritten too, and keys are compared by their ends first:
//! keys that follow each other begin alike.
//!
//! Keys of up to 64 bytes lie in the buffer itself, so that a walk of few steps allocates nothing.

use core::fmt;

use crate::heads::is_same;

/// Bytes that are copied at once.
const CHUNK_BYTES: usize = 16;

/// Bytes of keys that need no allocation.
const INLINE_BYTES: usize = 64;

/// Holds one key. Its storage is kept from key to key and never shrinks.
#[derive(Clone)]
pub struct KeyBuffer {
    /// The key if it fits.
    short: [u8; INLINE_BYTES],
    /// The key if it does not. All of it is room.
    long: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// A buffer that holds the empty key.
    #[must_use]
    pub const fn new() -> Self {
        KeyBuffer { short: [0; INLINE_BYTES], long: Vec::new(), len: 0 }
    }

    /// The key.
    #[inline(always)]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // It is always there. An index would have to be looked into even where nobody looks at the key.
        let key =
            if self.len <= INLINE_BYTES { self.short.get(..self.len) } else { self.long.get(..self.len) };
        key.unwrap_or_default()
    }

    /// The key, to be changed in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.len <= INLINE_BYTES { &mut self.short[..self.len] } else { &mut self.long[..self.len] }
    }

    /// Bytes of the key.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the key is the empty one.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Holds the empty key.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether the key is `key`.
    #[inline]
    #[must_use]
    pub fn holds(&self, key: &[u8]) -> bool {
        self.len == key.len() && is_same(self.as_slice(), key)
    }

    /// Holds `key`.
    #[inline]
    pub fn set(&mut self, key: &[u8]) {
        match self.short.get_mut(..key.len()) {
            Some(room) => {
                copy(room, key);
                self.len = key.len();
            }
            None => self.splice_slowly(0, key),
        }
    }

    /// Keeps the first `kept` bytes of the key and appends the first `added` of `source`. Fastest when `source` goes on for some bytes more.
    ///
    /// # Panics
    ///
    /// When the key has fewer bytes than `kept`, or `source` fewer than `added`.
    #[inline(always)]
    pub fn splice(&mut self, kept: usize, source: &[u8], added: usize) {
        assert!(kept <= self.len, "what is kept is there");
        if self.len <= INLINE_BYTES
            && added <= CHUNK_BYTES
            && let Some(chunk) = source.first_chunk::<CHUNK_BYTES>()
            && let Some(room) = self.short.get_mut(kept..).and_then(<[u8]>::first_chunk_mut::<CHUNK_BYTES>)
        {
            *room = *chunk;
            self.len = kept + added;
        } else {
            self.splice_slowly(kept, &source[..added]);
        }
    }

    /// Makes the key `len` bytes long. What bytes are added is not said.
    pub fn resize(&mut self, len: usize) {
        self.make_room(len, self.len.min(len));
        self.len = len;
    }

    #[inline(never)]
    fn splice_slowly(&mut self, kept: usize, added: &[u8]) {
        let len = kept + added.len();
        self.make_room(len, kept);
        self.len = len;
        self.as_mut_slice()[kept..].copy_from_slice(added);
    }

    /// Makes room for a key of `len` bytes where it belongs, with the first `kept` of the present one.
    fn make_room(&mut self, len: usize, kept: usize) {
        if len > self.long.len() && len > INLINE_BYTES {
            self.long.resize(len.max(2 * self.long.len()), 0);
        }
        match (self.len <= INLINE_BYTES, len <= INLINE_BYTES) {
            (true, false) => self.long[..kept].copy_from_slice(&self.short[..kept]),
            (false, true) => self.short[..kept].copy_from_slice(&self.long[..kept]),
            (true, true) | (false, false) => {}
        }
    }
}

/// Copies slices of one length.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len(), "slices of one length");
    if from.len() > 2 * CHUNK_BYTES || !copy_ends::<CHUNK_BYTES>(to, from) && !copy_ends::<8>(to, from) {
        to.copy_from_slice(from);
    }
}

/// Copies the first and the last `N` bytes, if there are so many.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    let Some(room) = to.first_chunk_mut::<N>() else { return false };
    *room = *first;
    let Some(room) = to.last_chunk_mut::<N>() else { return false };
    *room = *last;
    true
}

impl Default for KeyBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_entry::testing::next_random;

    /// Lengths at and around every boundary of the code are frequent.
    fn length(state: &mut u64) -> usize {
        let near = [0, 1, 8, 16, 32, 48, 64, 80, 128][next_random(state) as usize % 9];
        (near + next_random(state) as usize % 3).saturating_sub(1)
    }

    #[test]
    fn buffer_holds_what_a_vector_would() {
        let mut state = 11;
        for _ in 0..300 {
            let (mut buffer, mut vector) = (KeyBuffer::new(), Vec::new());
            for _ in 0..30 {
                let bytes: Vec<u8> = (0..length(&mut state)).map(|_| next_random(&mut state) as u8).collect();
                match next_random(&mut state) % 4 {
                    0 => {
                        buffer.set(&bytes);
                        vector.clone_from(&bytes);
                    }
                    1 => {
                        let (len, stay) = (length(&mut state), vector.len());
                        buffer.resize(len);
                        vector.resize(len, 0);
                        // What was added is not said.
                        buffer.as_mut_slice()[stay.min(len)..].fill(0);
                    }
                    _ => {
                        let kept = length(&mut state).min(vector.len());
                        let added = length(&mut state).min(bytes.len());
                        buffer.splice(kept, &bytes, added);
                        vector.truncate(kept);
                        vector.extend_from_slice(&bytes[..added]);
                    }
                }
                assert_eq!(buffer.as_slice(), vector);
                assert_eq!((buffer.len(), buffer.is_empty()), (vector.len(), vector.is_empty()));
                assert!(buffer.holds(&vector));
                let mut other = vector.clone();
                if let Some(byte) = other.get_mut(next_random(&mut state) as usize % vector.len().max(1)) {
                    *byte ^= 1;
                    assert!(!buffer.holds(&other));
                }
                other.push(0);
                assert!(!buffer.holds(&other));
            }
        }
    }

    #[test]
    #[should_panic(expected = "what is kept is there")]
    fn more_than_there_is_can_not_be_kept() {
        KeyBuffer::new().splice(1, b"sixteen or more bytes", 3);
    }
}
