//! What look-ups cost on a device with a limit.

use terrace_compaction::stock::named;
use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape};
use terrace_simulator::stock::sizes_of;
use terrace_simulator::{Experiment, Outcome, Sample, Schedule, Study, Workload};

#[derive(Debug)]
struct Idle;

impl CompactionPicker for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn pick(&self, _shape: &Shape, _context: &PickContext) -> Plan {
        Plan::default()
    }
}

fn check_near(what: &str, figure: f64, expected: f64, share: f64) {
    assert!((figure - expected).abs() <= share * expected.abs(), "{what}: {figure}, expected {expected}");
}

fn last(outcome: &Outcome) -> Sample {
    *outcome.samples.last().expect("samples")
}

/// Keys in order, so that each look-up reads one table; no filter errs where no other run covers the key.
#[test]
fn where_nothing_is_merged_users_go_as_fast_as_the_device_reads_for_them() {
    let experiment = Experiment {
        workload: Workload::Sequential,
        data_bytes: 50_000_000,
        memtable_bytes: 1_000_000,
        write_bytes_per_second: 50e6,
        device_bytes_per_second: Some(100e6),
        reads_per_write: 2.0,
        read_block_bytes: 4096,
        cached_share: 0.75,

        ..Experiment::default()
    };
    // Two look-ups of a quarter of a block each for a write of 116 bytes; a twentieth of the device is compaction's.
    let lookups = 2.0 * 4096.0 * 0.25 / 116.0;
    let borne = 95e6 / (1.0 + lookups);
    let outcome = experiment.run(&Idle).expect("it wants no tasks");
    // While the first memtable fills there is no table yet.
    let (first, rest) = (1e6, 49e6);
    let seconds = first / 50e6 + rest / borne;
    check_near("seconds", last(&outcome).seconds, seconds, 1e-6);
    check_near("stalled", last(&outcome).stalled_seconds, seconds - 50e6 / 50e6, 1e-6);
    check_near("looked up", outcome.measured.lookup_bytes, outcome.measured.user_bytes * lookups, 1e-6);
    // Who wants no more than that loses nothing, with a schedule and without.
    for schedule in [None, Some(Schedule::STEADY)] {
        let slow = Experiment { write_bytes_per_second: 0.9 * borne, schedule, ..experiment.clone() };
        let outcome = slow.run(&Idle).expect("it wants no tasks");
        check_near("seconds", last(&outcome).seconds, 50e6 / (0.9 * borne), 1e-6);
        assert!(last(&outcome).stalled_seconds < 1e-6 && outcome.delays.max_seconds < 1e-6);
    }
    // On a schedule that is too fast, the last write is late by what the writes take longer than they are due.
    let late = Experiment { schedule: Some(Schedule::STEADY), ..experiment };
    let outcome = late.run(&Idle).expect("it wants no tasks");
    check_near("late", outcome.delays.max_seconds, seconds - 1.0, 0.02);
}

/// Leveled compaction of 200 memtables on a device of 400 MB/s.
fn leveled(rate: f64, reads_per_write: f64) -> Experiment {
    Experiment {
        data_bytes: 200 * (64 << 20),
        write_bytes_per_second: rate,
        device_bytes_per_second: Some(400e6),
        reads_per_write,
        read_block_bytes: 4096,
        cached_share: 0.8,
        jobs: 2,
        samples: 8,
        ..Experiment::default()
    }
}

fn run(experiment: &Experiment) -> Outcome {
    let picker = named("leveled").expect("a stock policy")(&sizes_of(experiment));
    experiment.run(picker.as_ref()).expect("stock policies keep the laws")
}

/// Writers who want more than the device bears: what users and merges read and write together is what the device can.
#[test]
fn a_busy_device_is_shared_without_anything_lost_or_gained() {
    let mut before = f64::INFINITY;
    for reads_per_write in [0.0, 1.0, 3.0] {
        let outcome = run(&leveled(200e6, reads_per_write));
        let half =
            outcome.samples.iter().rposition(|s| s.user_bytes <= last(&outcome).user_bytes * 0.5 + 1.0);
        let begun = outcome.samples[half.expect("a sample at half")];
        let seconds = last(&outcome).seconds - begun.seconds;
        let measured = &outcome.measured;
        let bytes = measured.user_bytes + measured.lookup_bytes + measured.merged_bytes + measured.read_bytes;
        check_near("bytes a second", bytes / seconds, 400e6, 0.05);
        // At least one table for each look-up, of which a fifth of a block comes from the device.
        let least = reads_per_write * 4096.0 * 0.2 / 116.0;
        let looked_up = measured.lookup_bytes / measured.user_bytes;
        assert!(looked_up >= least && looked_up <= 1.5 * least, "{looked_up} {least}");
        let rate = measured.user_bytes / seconds;
        assert!(rate < 0.8 * before, "{rate} {before}");
        before = rate;
    }
}

#[test]
fn writers_whom_the_device_bears_are_stalled_once_they_read() {
    let alone = run(&leveled(15e6, 0.0));
    let reading = run(&leveled(15e6, 3.0));
    assert!(last(&alone).stalled_seconds < 0.05 * last(&alone).seconds, "{:?}", alone.mean);
    assert!(last(&reading).stalled_seconds > 0.2 * last(&reading).seconds, "{:?}", reading.mean);
    assert!(reading.mean.debt_bytes > alone.mean.debt_bytes, "{:?} {:?}", reading.mean, alone.mean);
}

/// A cache that holds everything, and blocks of nothing, are as good as no reads.
#[test]
fn what_is_not_read_from_the_device_costs_nothing() {
    let unread = run(&leveled(30e6, 0.0));
    assert_eq!(run(&Experiment { cached_share: 1.0, ..leveled(30e6, 3.0) }), unread);
    assert_eq!(run(&Experiment { read_block_bytes: 0, ..leveled(30e6, 3.0) }), unread);
    assert_ne!(run(&leveled(30e6, 3.0)), unread);
}

/// The scaled tree lacks levels; users must fare on its device as they would on the whole.
#[test]
fn a_scaled_study_slows_readers_as_the_whole_one_does() {
    let experiment = Experiment { data_bytes: 400 * (64 << 20), ..leveled(200e6, 2.0) };
    let rate = |flushes_max: u64| {
        let study = Study { experiment: experiment.clone(), flushes_max, ..Study::default() };
        let make = named("leveled").expect("a stock policy");
        let findings = study.run(|scale| make(&sizes_of(&experiment).times(scale)));
        let findings = findings.expect("stock policies keep the laws");
        let measured = last(&findings.simulated);
        (findings.scale, measured.user_bytes / measured.seconds)
    };
    let ((whole, exact), (scale, scaled)) = (rate(400), rate(40));
    assert_eq!((whole, scale), (1, 10));
    check_near("users' bytes a second", scaled, exact, 0.2);
}
