//! Small tools on keys: common prefixes, heads, separators.

use core::cmp::Ordering;

/// How many leading bytes two slices have in common.
#[inline]
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
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
pub(crate) fn head(key: &[u8], skip: usize) -> u64 {
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
pub(crate) fn against_prefix(key: &[u8], prefix: &[u8]) -> Ordering {
    key.get(..prefix.len()).unwrap_or(key).cmp(prefix)
}

/// Cuts `separator`, which holds a key less than `next`, to the shortest key that is still at or after it and less than `next`.
pub(crate) fn shorten(separator: &mut Vec<u8>, next: &[u8]) {
    let common = common_prefix(separator, next);
    // After the common part: the separator ends (it is a prefix of `next`, nothing is shorter), or has a smaller byte.
    let (Some(&low), Some(&high)) = (separator.get(common), next.get(common)) else {
        return;
    };
    if low + 1 < high {
        separator.truncate(common + 1);
        separator[common] = low + 1;
        return;
    }
    // Bytes next to each other: raise the first later byte that can be raised, and cut after it.
    let Some(raise) = (common + 1..separator.len()).find(|&at| separator[at] != 0xff) else {
        return;
    };
    if raise + 1 < separator.len() {
        separator.truncate(raise + 1);
        separator[raise] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_entry::testing::next_random;

    fn random_key(state: &mut u64) -> Vec<u8> {
        let len = next_random(state) as usize % 20;
        (0..len).map(|_| [0, 1, 2, 0xfe, 0xff][next_random(state) as usize % 5]).collect()
    }

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

    #[test]
    fn shortened_separator_still_separates() {
        let mut state = 5;
        for _ in 0..50_000 {
            let (a, b) = (random_key(&mut state), random_key(&mut state));
            if a >= b {
                continue;
            }
            let mut separator = a.clone();
            shorten(&mut separator, &b);
            assert!(a <= separator && separator < b, "{a:x?} {separator:x?} {b:x?}");
            assert!(separator.len() <= a.len());
        }
        let mut separator = b"the quick brown fox".to_vec();
        shorten(&mut separator, b"the who");
        assert_eq!(separator, b"the r");
    }
}
