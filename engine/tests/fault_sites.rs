//! Each file operation of a workload fails once, in each way that applies. The long form is `cargo xtask simulate --fault-sites`.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use terrace::testing::{FaultSites, combinations, journey, journey_options};
use terrace_wal::LogKind;

/// Every `stride`-th file operation of a workload.
fn pass(combination: usize, log: LogKind, seed: u64, stride: u64) {
    let mut options = journey_options(seed);
    options.log = log;
    let check = FaultSites { options, workload: journey(seed), stride, first: seed % stride, seed };
    let combinations = combinations();
    let combination = combinations[combination % combinations.len()];
    let counts = combination.fault_sites(&check);
    let counts = counts.unwrap_or_else(|failure| panic!("{combination}, {log:?}: {failure}"));
    println!("{combination}, {log:?} log: {counts}");
    assert!(counts.faults > 500 / stride, "too little was tried: {counts}");
}

#[test]
fn every_fault_site_with_a_buffered_log_is_reported_and_loses_nothing() {
    pass(0, LogKind::Buffered, 4, 1);
}

#[test]
fn every_fault_site_with_a_mapped_log_is_reported_and_loses_nothing() {
    pass(1, LogKind::Mapped, 5, 1);
}

#[test]
fn every_fault_site_without_a_log_is_reported_and_loses_nothing() {
    pass(2, LogKind::Null, 6, 1);
}

/// The policies that the passes above leave out.
#[test]
fn some_fault_sites_of_every_other_policy_are_reported_and_lose_nothing() {
    for number in 3..terrace_compaction::stock::all().len() {
        pass(number, [LogKind::Buffered, LogKind::Mapped][number % 2], 20 + number as u64, 12);
    }
}
