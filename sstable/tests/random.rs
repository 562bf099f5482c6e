//! Random tables with random options, against a vector.

use proptest::prelude::*;
use terrace_bloom::FilterId;
use terrace_entry::{Kind, OwnedVersion, SeqNo};
use terrace_sstable::testing::check_table;
use terrace_sstable::{BlockTable, Compression, FilterOptions, NullCache, SlotCache, TableOptions};

/// Keys of few letters, so that prefixes are shared and user keys come again.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', 0xff]), 0..5);
    let stems =
        prop::sample::select(vec!["", "x", "a common stem of some length/", "a common stem of some lengti/"]);
    (stems, letters).prop_map(|(stem, mut letters)| {
        letters.splice(0..0, stem.bytes());
        letters
    })
}

fn any_version() -> impl Strategy<Value = OwnedVersion> {
    let seqno = prop_oneof![0..20u64, any::<u64>().prop_map(|number| number >> 8)];
    let kind = prop::sample::select(vec![Kind::Put, Kind::Delete]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        (any::<u8>(), 0..600usize).prop_map(|(byte, len)| vec![byte; len])
    ];
    (any_key(), seqno, kind, value)
        .prop_map(|(key, seqno, kind, value)| (key, SeqNo::new(seqno), kind, value))
}

fn any_versions() -> impl Strategy<Value = Vec<OwnedVersion>> {
    prop::collection::vec(any_version(), 0..60).prop_map(|versions| {
        let mut seen = std::collections::BTreeSet::new();
        versions
            .into_iter()
            .filter(|version| seen.insert((version.0.clone(), version.1, version.2)))
            .collect()
    })
}

fn any_options() -> impl Strategy<Value = TableOptions> {
    let filter =
        prop::option::of((prop::sample::select(vec![FilterId::STANDARD, FilterId::BLOCKED]), 0.0..30.0f64));
    let compression = prop::sample::select(vec![Compression::None, Compression::Lz4]);
    (0..2000usize, 0..20usize, compression, filter, any::<u64>()).prop_map(
        |(block_bytes, restart_interval, compression, filter, created_at_unix_seconds)| TableOptions {
            block_bytes,
            restart_interval,
            compression,
            filter: filter.map(|(id, bits_per_key)| FilterOptions { id, bits_per_key }),
            created_at_unix_seconds,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_what_is_read(versions in any_versions(), options in any_options()) {
        check_table::<BlockTable, NullCache>(versions.clone(), &options);
        check_table::<BlockTable, SlotCache>(versions, &options);
    }
}
