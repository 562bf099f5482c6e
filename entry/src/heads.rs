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
#[inline(always)]
#[must_use]
pub fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match (rest.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(chunk), _) => u64::from_be_bytes(*chunk),
        // What is before `skip` is shifted out. The shift is too far when nothing else is there.
        (None, Some(end)) => u64::from_be_bytes(*end).checked_shl(64 - 8 * rest.len() as u32).unwrap_or(0),
        (None, None) => head_of_short(rest),
    }
}

#[cold]
fn head_of_short(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

/// Whether two slices of one length hold the same bytes. The ends are looked at first, since keys that follow each other begin alike, and slices of
/// up to sixteen bytes are compared without a call.
#[inline(always)]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    debug_assert_eq!(a.len(), b.len(), "slices of one length");
    match ends_agree::<8>(a, b).or_else(|| ends_agree::<4>(a, b)) {
        Some(ends) => ends && (a.len() <= 16 || a == b),
        None => a.iter().eq(b),
    }
}

/// Whether the last and the first `N` bytes agree; `None` when there are fewer.
#[inline(always)]
fn ends_agree<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
    Some(a.last_chunk::<N>()? == b.last_chunk::<N>()? && a.first_chunk::<N>()? == b.first_chunk::<N>()?)
}

/// As `key.starts_with(prefix)`, without a call where the prefix is short.
#[inline(always)]
pub(crate) fn begins_with(key: &[u8], prefix: &[u8]) -> bool {
    key.get(..prefix.len()).is_some_and(|start| is_same(start, prefix))
}

/// Where `key` stands to all keys that begin with `prefix`: before them, after them, or among them.
#[inline]
#[must_use]
pub fn against_prefix(key: &[u8], prefix: &[u8]) -> Ordering {
    if begins_with(key, prefix) { Ordering::Equal } else { key.cmp(prefix) }
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
    fn head_is_the_bytes_after_what_is_skipped_and_zeros() {
        let mut state = 6;
        for _ in 0..20_000 {
            let key = random_key(&mut state);
            let skip = next_random(&mut state) as usize % 24;
            let slow =
                (skip..skip + 8).fold(0, |head, at| head << 8 | u64::from(key.get(at).copied().unwrap_or(0)));
            assert_eq!(head(&key, skip), slow, "{key:x?} after {skip}");
        }
    }

    #[test]
    fn keys_begin_with_what_they_start_with() {
        let mut state = 5;
        let mut seen = [0; 2];
        for _ in 0..20_000 {
            let (mut key, prefix) = (random_key(&mut state), random_key(&mut state));
            if next_random(&mut state).is_multiple_of(2) {
                key.splice(0..0, prefix.iter().copied());
                let at = next_random(&mut state) as usize;
                if !key.is_empty() && next_random(&mut state).is_multiple_of(2) {
                    let at = at % key.len();
                    key[at] ^= 1;
                }
            }
            seen[usize::from(key.starts_with(&prefix))] += 1;
            assert_eq!(begins_with(&key, &prefix), key.starts_with(&prefix), "{key:x?} {prefix:x?}");
        }
        assert!(seen.iter().all(|&count| count > 2000), "{seen:?}");
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
