//! Heads: keys compared by eight bytes at a time.
//!
//! Keys that lie side by side in an index mostly begin alike and differ soon after. So an index keeps what all of its keys have in common once, and
//! of each the eight bytes that follow as one integer, its *head*. A search then compares integers that share cache lines, and touches a key only where heads
//! are equal. Source: "key normalization" and "poor man's normalized keys" in G. Graefe, "Modern B-Tree Techniques", 2011.

use core::cmp::Ordering;

/// How many leading bytes two slices have in common.
#[inline]
#[must_use]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (number, (x, y)) in words_a.iter().zip(words_b).enumerate() {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return number * 8 + differ.trailing_zeros() as usize / 8;
        }
    }
    let done = words_a.len() * 8;
    let tail = a[done..].iter().zip(&b[done..]).take_while(|(x, y)| x == y).count();
    done + tail
}

/// The first eight bytes after `skip` as a big-endian number, zeros for what is missing.
///
/// For keys that agree in their first `skip` bytes, a smaller head means a smaller key; equal heads say nothing, since `"a"` and
/// `"a\0"` have the same.
#[inline]
#[must_use]
pub fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(chunk) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*chunk);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

/// Where `key` stands to all keys that begin with `prefix`: before them, after them, or among them.
#[inline]
#[must_use]
pub fn against_prefix(key: &[u8], prefix: &[u8]) -> Ordering {
    key.get(..prefix.len()).unwrap_or(key).cmp(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_entry::testing::{next_random, random_key};

    #[test]
    fn common_prefix_is_what_a_byte_loop_finds() {
        let mut state = 3;
        for _ in 0..20_000 {
            let (a, mut b) = (random_key(&mut state), random_key(&mut state));
            if next_random(&mut state).is_multiple_of(2) {
                b.splice(0..0, a.iter().copied());
            }
            let slow = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
            assert_eq!(common_prefix(&a, &b), slow);
        }
    }

    #[test]
    fn smaller_head_means_smaller_key() {
        let mut state = 4;
        for _ in 0..20_000 {
            let (a, b) = (random_key(&mut state), random_key(&mut state));
            let skip = common_prefix(&a, &b).min(next_random(&mut state) as usize % 4);
            match head(&a, skip).cmp(&head(&b, skip)) {
                Ordering::Equal => {}
                unequal => assert_eq!(unequal, a.cmp(&b)),
            }
        }
    }
}
