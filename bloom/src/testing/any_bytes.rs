//! Any bytes as a stored filter: what must hold of the readers whatever they are given. The body of the fuzz target `filter`.

use crate::{FilterId, FilterSet, KeyHash, StockFilters};

/// Opens `input` as a stored filter of the kind that its first byte names, and asks it for many hashes, some drawn from the bytes.
///
/// What is checked: nothing panics; a filter answers the same over borrowed and owned bytes, and wherever in memory the bytes begin.
///
/// # Panics
///
/// With the property, when it does not hold.
pub fn check_filter_bytes(input: &[u8]) {
    let Some((&id, stored)) = input.split_first() else { return };
    let id = FilterId(id);
    let Ok(borrowed) = StockFilters::open(id, stored) else {
        assert!(
            StockFilters::open(id, stored.to_vec()).is_err(),
            "refused when borrowed, accepted when owned"
        );
        return;
    };
    let owned = StockFilters::open(id, stored.to_vec()).expect("accepted when borrowed");
    // The input begins one byte before, so that this copy has another alignment.
    let mut shifted = vec![0; 3];
    shifted.extend_from_slice(stored);
    let shifted = StockFilters::open(id, &shifted[3..]).expect("accepted elsewhere");
    let drawn = stored.windows(8).take(64).filter_map(|window| window.first_chunk::<8>());
    let drawn = drawn.map(|bytes| KeyHash(u64::from_le_bytes(*bytes)));
    let edges = [0, 1, u64::MAX, 1 << 63, u64::from(u32::MAX)].map(KeyHash);
    let keys = (0..32_u32).map(|key| KeyHash::of(&key.to_be_bytes()));
    for hash in drawn.chain(edges).chain(keys) {
        let answer = StockFilters::may_contain(&borrowed, hash);
        assert_eq!(
            StockFilters::may_contain(&owned, hash),
            answer,
            "owned bytes answer otherwise for {hash:?}"
        );
        assert_eq!(
            StockFilters::may_contain(&shifted, hash),
            answer,
            "alignment changes the answer for {hash:?}"
        );
    }
}

/// Inputs of [`check_filter_bytes`] to begin mutations from: small filters of every kind compiled in.
#[must_use]
pub fn filter_seeds() -> Vec<Vec<u8>> {
    let hashes: Vec<KeyHash> = (0..40_u32).map(|key| KeyHash::of(&key.to_be_bytes())).collect();
    let mut seeds = Vec::new();
    for id in [FilterId::STANDARD, FilterId::BLOCKED] {
        for keys in [0, 1, 40] {
            for bits_per_key in [1.0, 10.0] {
                if let Ok(stored) = StockFilters::build(id, &hashes[..keys], bits_per_key) {
                    seeds.push([&[id.0], stored.as_slice()].concat());
                }
            }
        }
    }
    seeds
}
