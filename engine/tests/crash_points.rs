//! A crash at every file operation of a workload. The long form is `cargo xtask simulate --crash-points`.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use terrace::testing::{CrashPoints, combinations, journey, journey_options};
use terrace_wal::LogKind;

/// One pass over every crash point of a workload.
fn pass(combination: usize, log: LogKind, seed: u64) -> CrashPoints {
    let mut options = journey_options(seed);
    options.log = log;
    let check = CrashPoints {
        options,
        workload: journey(seed),
        mixed_per_point: 2,
        every_combination_up_to: 2,
        recoveries_per_point: 1,
        stride: 1,
        seed,
    };
    let combinations = combinations();
    let combination = combinations[combination % combinations.len()];
    let counts = (combination.crash_points)(&check);
    let counts = counts.unwrap_or_else(|failure| panic!("{}, {log:?}: {failure}", combination.name));
    println!("{}, {log:?} log: {counts}", combination.name);
    assert!(counts.crashes > 1000 && counts.crashes_in_recovery > 300, "too little was tried: {counts}");
    check
}

#[test]
fn every_crash_point_with_a_buffered_log_recovers() {
    pass(0, LogKind::Buffered, 1);
}

#[test]
fn every_crash_point_with_a_mapped_log_recovers() {
    pass(1, LogKind::Mapped, 2);
}

#[test]
fn every_crash_point_without_a_log_recovers() {
    pass(2, LogKind::Null, 3);
}
