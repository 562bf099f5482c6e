//! Advice on a trace that is too long to be played whole.

use terrace_simulator::advise::{Advisor, History, Space};
use terrace_trace::{Facts, Header, Operation, Record, Sampling, TraceWriter, key_hash};

const KEYS: u64 = 24_000;

/// Half puts and half look-ups; a quarter of the keys has half of them.
fn trace(operations: u64) -> Vec<u8> {
    let header = Header { hash_seed: 1, sampling: Sampling::default(), ..Header::default() };
    let mut writer = TraceWriter::new(&header);
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..operations {
        let share = random() as f64 / (1_u64 << 31) as f64;
        let key = ((share * share * KEYS as f64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let operation = match random() % 2 {
            0 => Operation::Put { value_bytes: 100 },
            _ => Operation::Get { value_bytes: 100 },
        };
        let (key_hash, place) = (key_hash(1, &key), u64::from_be_bytes(key));
        writer.add(&Record { at_micros: 0, operation, key_hash, place, key_bytes: 16 });
    }
    writer.finish(Facts::default())
}

#[test]
fn a_sample_of_a_long_trace_is_given_the_advice_of_the_whole() {
    let trace = trace(160_000);
    let [whole, sample] = [1_000_000, 44_000]
        .map(|operations_max| History::read(trace.as_slice(), operations_max).expect("it is whole"));
    assert_eq!((whole.rate, sample.rate), (1.0, 0.25));
    let advisor = |history| {
        let space = Space {
            pickers: vec!["leveled", "fluid"],
            size_ratios: vec![4, 10],
            memtable_shares: vec![0.0625, 0.25],
            ..Space::default()
        };
        Advisor { space, ..Advisor::new(history, 1 << 20) }
    };
    let mut told = Vec::new();
    let advised = advisor(&sample).advise_and_tell(|done, all| told.push((done, all))).expect("it is played");
    assert_eq!(told, (1..=8).map(|done| (done, 8)).collect::<Vec<_>>());
    let best = advisor(&whole).advise().expect("it is played");
    let (best, advised) = (best.best().expect("a choice"), advised.best().expect("a choice"));
    let taken = advisor(&whole).predict_choice(&advised.choice).expect("it is played");
    assert!(taken.score < 1.05 * best.score, "{:?} costs {} and {best:?}", advised.choice, taken.score);
    let apart = advised.write_amplification / taken.write_amplification;
    assert!((0.8..1.25).contains(&apart), "{advised:?} {taken:?}");
    let apart = advised.cache_hit_ratio - taken.cache_hit_ratio;
    assert!(apart.abs() < 0.05, "{advised:?} {taken:?}");
}
