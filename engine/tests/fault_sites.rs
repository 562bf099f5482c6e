//! Each file operation of a workload fails once, in each way that applies. The long form is `cargo xtask simulate --fault-sites`.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

use terrace::testing::{FaultSites, combinations, journey, journey_options};
use terrace_wal::LogKind;

fn pass(combination: usize, log: LogKind, seed: u64) {
    let mut options = journey_options(seed);
    options.log = log;
    let check = FaultSites { options, workload: journey(seed), stride: 1, first: 0, seed };
    let combinations = combinations();
    let combination = combinations[combination % combinations.len()];
    let counts = (combination.fault_sites)(&check);
    let counts = counts.unwrap_or_else(|failure| panic!("{}, {log:?}: {failure}", combination.name));
    println!("{}, {log:?} log: {counts}", combination.name);
    assert!(counts.faults > 500, "too little was tried: {counts}");
}

#[test]
fn every_fault_site_with_a_buffered_log_is_reported_and_loses_nothing() {
    pass(0, LogKind::Buffered, 4);
}

#[test]
fn every_fault_site_with_a_mapped_log_is_reported_and_loses_nothing() {
    pass(1, LogKind::Mapped, 5);
}

#[test]
fn every_fault_site_without_a_log_is_reported_and_loses_nothing() {
    pass(2, LogKind::Null, 6);
}
