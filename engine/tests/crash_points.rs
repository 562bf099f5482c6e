//! A crash at every file operation of a workload. The long form is `cargo xtask simulate --crash-points`.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use terrace::testing::{CrashPoints, combinations, journey, journey_options};
use terrace_wal::LogKind;

/// One pass over every `stride`-th crash point of a workload.
fn pass(combination: usize, log: LogKind, seed: u64, stride: u64) {
    let mut options = journey_options(seed);
    options.log = log;
    let check = CrashPoints {
        options,
        workload: journey(seed),
        mixed_per_point: 2,
        every_combination_up_to: 2,
        recoveries_per_point: 1,
        stride,
        seed,
    };
    let combinations = combinations();
    let combination = combinations[combination % combinations.len()];
    let counts = combination.crash_points(&check);
    let counts = counts.unwrap_or_else(|failure| panic!("{combination}, {log:?}: {failure}"));
    println!("{combination}, {log:?} log: {counts}");
    let enough = counts.crashes > 1000 / stride && counts.crashes_in_recovery > 300 / stride;
    assert!(enough, "too little was tried: {counts}");
}

#[test]
fn every_crash_point_with_a_buffered_log_recovers() {
    pass(0, LogKind::Buffered, 1, 1);
}

#[test]
fn every_crash_point_with_a_mapped_log_recovers() {
    pass(1, LogKind::Mapped, 2, 1);
}

#[test]
fn every_crash_point_without_a_log_recovers() {
    pass(2, LogKind::Null, 3, 1);
}

/// The policies that the passes above leave out.
#[test]
fn every_other_policy_recovers_from_some_crash_points() {
    for number in 3..terrace_compaction::stock::all().len() {
        pass(number, [LogKind::Buffered, LogKind::Mapped][number % 2], 10 + number as u64, 12);
    }
}
