//! What each throttle does to writers on a device with a limit: those who write steadily a little below what the device bears, those who come in
//! bursts, and those who want more than it bears.

use terrace_compaction::stock::named;
use terrace_simulator::stock::sizes_of;
use terrace_simulator::{Controls, Experiment, Outcome, Schedule};
use terrace_throttle::stock::throttle;

/// Leveled compaction of 200 memtables on a device of 400 MB/s, which bears some 20 MB/s of uniform writes.
fn course(name: &str, rate: f64, schedule: Option<Schedule>) -> Outcome {
    let experiment = Experiment {
        data_bytes: 200 * (64 << 20),
        write_bytes_per_second: rate,
        device_bytes_per_second: Some(400e6),
        schedule,
        jobs: 2,
        samples: 8,
        ..Experiment::default()
    };
    let picker = named("leveled").expect("a stock policy")(&sizes_of(&experiment));
    let throttle = throttle(name).expect("a stock throttle");
    experiment
        .run_with(picker.as_ref(), Controls { throttle: throttle.as_ref(), limiter: None })
        .expect("stock policies keep the laws")
}

/// Writers who want more than the device bears: by price the tree stays in shape, and that is paid for in writes; by thresholds and by pressure level 0 fills first.
#[test]
fn the_price_of_debt_holds_debt_where_it_was_set_and_costs_writers() {
    let [plain, ramp, priced] = ["plain", "ramp", "priced"].map(|name| course(name, 100e6, None));
    for outcome in [&plain, &ramp, &priced] {
        let last = outcome.samples.last().expect("samples");
        println!(
            "{} {:.1} MB/s, lost {:.0} s, runs {:.1}, debt {:.1} GB, write {:.1}, stop {:.1} s",
            outcome.throttle,
            last.user_bytes / last.seconds / 1e6,
            last.stalled_seconds,
            outcome.mean.reads.runs,
            outcome.mean.debt_bytes as f64 / 1e9,
            outcome.mean.write_amplification,
            outcome.longest_stop_seconds
        );
    }
    let rate = |outcome: &Outcome| outcome.samples.last().map_or(0.0, |last| last.user_bytes / last.seconds);
    assert!(
        priced.mean.debt_bytes < plain.mean.debt_bytes / 2
            && priced.mean.debt_bytes < ramp.mean.debt_bytes / 2
    );
    assert!(2.0 * priced.mean.reads.runs < plain.mean.reads.runs.min(ramp.mean.reads.runs));
    assert!(rate(&priced) < 0.7 * rate(&plain) && rate(&priced) < 0.7 * rate(&ramp));
    // Twenty seconds of what compaction merges are 8 GB here.
    assert!(priced.mean.debt_bytes < 9_000_000_000, "{}", priced.mean.debt_bytes);
}

/// Bursts that the device bears on average: thresholds and pressure let them through, the price spreads them out.
#[test]
fn bursts_are_let_through_by_thresholds_and_pressure_and_spread_out_by_the_price() {
    let bursts = Some(Schedule::bursts(300.0));
    let [plain, ramp, priced] = ["plain", "ramp", "priced"].map(|name| course(name, 15e6, bursts));
    assert!(plain.delays.p999_seconds < ramp.delays.p999_seconds, "{:?} {:?}", plain.delays, ramp.delays);
    assert!(ramp.delays.p999_seconds < priced.delays.p999_seconds, "{:?} {:?}", ramp.delays, priced.delays);
    assert!(priced.mean.reads.runs < plain.mean.reads.runs, "{:?} {:?}", priced.mean, plain.mean);
    // What is let through is written once and merged in larger pieces.
    assert!(plain.mean.write_amplification < priced.mean.write_amplification);
}

#[test]
fn nobody_is_slowed_below_what_the_device_bears() {
    for name in ["plain", "ramp", "priced"] {
        let outcome = course(name, 12e6, Some(Schedule::STEADY));
        assert_eq!((outcome.delays.max_seconds, outcome.longest_stop_seconds), (0.0, 0.0), "{name}");
        assert_eq!(outcome.throttle, name);
    }
}
