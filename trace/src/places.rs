//! The order of keys without the keys.
//!
//! Each key gets a number of 64 bits, its *place*: above all it goes a step up from the greatest, below all a step down from the least, and between two it
//! goes into the middle. So places sort as keys do, and say nothing else of them: not their bytes, nor how far apart they are.
//!
//! Keys are remembered, some tens of thousands of them. When there are too many, every second one is forgotten (but the least and
//! the greatest); a key that comes again then gets a place between its neighbours, which may be another than its first. So whoever needs one place for each
//! key takes the one that came first with its hash.
//!
//! Costs: O(log keys) and a copy of a key that is new. Where 36 keys in a row went between the last two, there is no room: they get equal places.

use std::collections::BTreeMap;
use std::ops::Bound;

/// How far above all others a new key goes: room for 36 bisections between two, and for 2^27 keys in ascending order before places run out.
const STEP: u64 = 1 << 36;
const KEYS_MAX: usize = 1 << 16;
/// Keys are compared by at most so many bytes.
const KEY_BYTES_MAX: usize = 256;

/// Gives keys their places.
#[derive(Clone, Debug)]
pub struct Places {
    known: BTreeMap<Box<[u8]>, u64>,
    keys_max: usize,
}

impl Default for Places {
    fn default() -> Self {
        Places { known: BTreeMap::new(), keys_max: KEYS_MAX }
    }
}

impl Places {
    /// The place of a key.
    pub fn of(&mut self, key: &[u8]) -> u64 {
        let key = &key[..key.len().min(KEY_BYTES_MAX)];
        let below = self.known.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        let above = self.known.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next();
        let place = match (below, above) {
            (Some((known, place)), _) if **known == *key => return *place,
            (Some((_, below)), Some((_, above))) => {
                let middle = below + (above - below) / 2;
                if middle == *below {
                    return middle;
                }
                middle
            }
            (Some((_, greatest)), None) => greatest.saturating_add(STEP),
            (None, Some((_, least))) => least.saturating_sub(STEP),
            (None, None) => 1 << 63,
        };
        if self.known.len() >= self.keys_max {
            self.forget_half();
        }
        self.known.insert(key.into(), place);
        place
    }

    fn forget_half(&mut self) {
        let last = self.known.len() - 1;
        let mut index = 0;
        self.known.retain(|_, _| {
            index += 1;
            index % 2 == 1 || index > last
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_keep_the_order_of_keys_whatever_the_order_of_arrival() {
        let orders: [fn(u64) -> u64; 3] =
            [|n| n, |n| u64::MAX - n, |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)];
        for order in orders {
            let mut places = Places::default();
            let mut given: Vec<_> =
                (0..20_000).map(order).map(|n| (n, places.of(&n.to_be_bytes()))).collect();
            given.sort_unstable();
            assert!(given.is_sorted_by(|one, next| one.1 < next.1));
        }
    }

    #[test]
    fn ascending_keys_keep_their_order_also_when_old_ones_are_forgotten() {
        let mut places = Places { keys_max: 64, ..Places::default() };
        let given: Vec<_> = (0..10_000_u64).map(|n| places.of(&n.to_be_bytes())).collect();
        assert!(given.is_sorted_by(|one, next| one < next));
        assert!(places.known.len() <= 64);
        // One that was forgotten is still between those that are known.
        let again = places.of(&5_001_u64.to_be_bytes());
        assert!(given[4_000] < again && again < given[6_000]);
    }

    proptest! {
        #[test]
        fn a_greater_key_never_has_a_lesser_place(keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 1..300)) {
            let mut places = Places::default();
            let mut given: Vec<_> = keys.iter().map(|key| (key.clone(), places.of(key))).collect();
            given.sort();
            prop_assert!(given.is_sorted_by(|one, next| one.1 <= next.1));
        }
    }
}
