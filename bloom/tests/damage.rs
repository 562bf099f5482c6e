//! Damaged and invented bytes: refused or answered, and never a panic.

use proptest::prelude::*;
use terrace_bloom::testing::{check_bytes, hashes};
use terrace_bloom::{
    BlockedBloom, Filter, FilterError, FilterId, FilterSet, KeyHash, StandardBloom, StockFilters,
};

fn stored<F: Filter>(keys: usize) -> Vec<u8> {
    F::build(&hashes(1).take(keys).collect::<Vec<KeyHash>>(), 10.0)
}

/// Applies each edit to a copy of sound bytes and returns the reason of the refusal.
fn refusal<F: Filter>(edit: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let mut bytes = stored::<F>(100);
    edit(&mut bytes);
    match F::open(bytes).err() {
        Some(FilterError::Damaged { filter, what }) if filter == F::NAME => what,
        other => panic!("not refused as damaged: {other:?}"),
    }
}

fn check_refusals<F: Filter>(unit_bytes: usize) {
    let from_end = |bytes: &mut Vec<u8>, back: usize, value: u8| {
        let at = bytes.len() - back;
        bytes[at] = value;
    };
    assert_eq!(refusal::<F>(Vec::clear), "shorter than a footer");
    assert_eq!(refusal::<F>(|bytes| bytes.truncate(15)), "shorter than a footer");
    assert_eq!(refusal::<F>(|bytes| from_end(bytes, 1, 0)), "unknown version");
    assert_eq!(refusal::<F>(|bytes| from_end(bytes, 1, 2)), "unknown version");
    assert_eq!(refusal::<F>(|bytes| from_end(bytes, 2, 0)), "impossible number of probes");
    assert_eq!(refusal::<F>(|bytes| from_end(bytes, 2, 31)), "impossible number of probes");
    for back in 3..=8 {
        assert_eq!(refusal::<F>(|bytes| from_end(bytes, back, 1)), "reserved bytes are not zero");
    }
    for back in 9..=16 {
        assert_eq!(refusal::<F>(|bytes| from_end(bytes, back, 0x77)), "length differs from the one written");
    }
    // What is lost or doubled at the front leaves the footer whole.
    assert_eq!(refusal::<F>(|bytes| drop(bytes.drain(..1))), "impossible length");
    assert_eq!(refusal::<F>(|bytes| drop(bytes.drain(..unit_bytes))), "length differs from the one written");
    assert_eq!(
        refusal::<F>(|bytes| drop(bytes.splice(..0, vec![0; unit_bytes]))),
        "length differs from the one written"
    );
    assert_eq!(refusal::<F>(|bytes| drop(bytes.drain(..bytes.len() - 16))), "impossible length");
}

#[test]
fn standard_names_every_fault_of_a_footer() {
    check_refusals::<StandardBloom>(8);
}

#[test]
fn blocked_names_every_fault_of_a_footer() {
    check_refusals::<BlockedBloom>(64);
}

fn check_cuts<F: Filter>() {
    let bytes = stored::<F>(500);
    for cut in 1..bytes.len() {
        assert!(F::open(&bytes[..bytes.len() - cut]).is_err(), "{} less {cut} bytes at the end", F::NAME);
        assert!(F::open(&bytes[cut..]).is_err(), "{} less {cut} bytes at the start", F::NAME);
    }
    let twice = [bytes.as_slice(), bytes.as_slice()].concat();
    assert!(F::open(twice).is_err(), "{} run together with itself", F::NAME);
}

#[test]
fn a_filter_cut_at_either_end_is_refused() {
    check_cuts::<StandardBloom>();
    check_cuts::<BlockedBloom>();
}

#[test]
fn k_of_thirty_is_read() {
    for back_to in [1_u8, 30] {
        let mut bytes = stored::<BlockedBloom>(100);
        let at = bytes.len() - 2;
        bytes[at] = back_to;
        assert!(check_bytes::<BlockedBloom>(&bytes), "k of {back_to} refused");
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let error = StockFilters::build(FilterId(200), &[], 10.0).unwrap_err();
    assert_eq!(error, FilterError::Unknown { id: FilterId(200), feature: None });
    assert_eq!(error.to_string(), "filter kind 200 is not known here");
    assert_eq!(
        StockFilters::open(FilterId(0), &[][..]).err().map(|e| e.to_string()).as_deref(),
        Some("filter kind 0 is not known here")
    );
}

#[test]
fn the_stock_set_dispatches_by_the_id_in_the_file() {
    let present: Vec<KeyHash> = hashes(1).take(100).collect();
    for (id, form) in [
        (FilterId::STANDARD, StandardBloom::build(&present, 10.0)),
        (FilterId::BLOCKED, BlockedBloom::build(&present, 10.0)),
    ] {
        let stored = StockFilters::build(id, &present, 10.0).unwrap();
        assert_eq!(stored, form);
        let reader = StockFilters::open(id, stored.as_slice()).unwrap();
        assert!(present.iter().all(|&hash| StockFilters::may_contain(&reader, hash)));
        assert!(hashes(2).take(100).filter(|&hash| StockFilters::may_contain(&reader, hash)).count() < 20);
    }
}

fn damaged<F: Filter>() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let cut = prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)];
    (0..300_usize, edits, cut).prop_map(|(keys, edits, cut)| {
        let mut bytes = stored::<F>(keys);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

/// Any bytes with a footer that may well be sound, which invented bytes alone would hardly ever have.
fn invented() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..400);
    (body, 0..8_u64, 0..40_u8, 0..3_u8).prop_map(|(mut bytes, units, k, version)| {
        bytes.truncate(bytes.len() / 8 * 8);
        bytes.extend_from_slice(&units.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&[k, version]);
        bytes
    })
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(standard in damaged::<StandardBloom>(), blocked in damaged::<BlockedBloom>()) {
        check_bytes::<StandardBloom>(&standard);
        check_bytes::<BlockedBloom>(&blocked);
    }

    #[test]
    fn invented_bytes_never_panic(bytes in invented()) {
        check_bytes::<StandardBloom>(&bytes);
        check_bytes::<BlockedBloom>(&bytes);
    }

    #[test]
    fn any_set_of_hashes_is_found(set in prop::collection::vec(any::<u64>(), 0..200), bits in 0.0..50.0_f64) {
        let set: Vec<KeyHash> = set.into_iter().map(KeyHash).collect();
        for id in [FilterId::STANDARD, FilterId::BLOCKED] {
            let reader = StockFilters::open(id, StockFilters::build(id, &set, bits).unwrap()).unwrap();
            for &hash in &set {
                prop_assert!(StockFilters::may_contain(&reader, hash));
            }
        }
    }
}
