//! Small tools on keys: common prefixes, heads, separators.

pub(crate) use terrace_entry::heads::{against_prefix, common_prefix, head};

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
    use terrace_entry::testing::random_key;

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
