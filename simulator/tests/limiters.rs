//! What limiters, quiet hours and the precedence of level 0 do to writers who come in bursts, and to compaction.

use terrace_compaction::stock::named;
use terrace_simulator::stock::sizes_of;
use terrace_simulator::{Controls, Experiment, Outcome, Schedule};
use terrace_throttle::stock::limiter;
use terrace_throttle::{InQuietHours, Limiter, QuietHours, RampThrottle};

/// Leveled compaction of 200 memtables on a device of 400 MB/s, and bursts that it bears on average.
fn bursts() -> Experiment {
    Experiment {
        data_bytes: 200 * (64 << 20),
        write_bytes_per_second: 15e6,
        device_bytes_per_second: Some(400e6),
        schedule: Some(Schedule::bursts(300.0)),
        jobs: 2,
        samples: 8,
        ..Experiment::default()
    }
}

fn course(experiment: &Experiment, limiter: Option<&dyn Limiter>) -> Outcome {
    let picker = named("leveled").expect("a stock policy")(&sizes_of(experiment));
    let controls = Controls { throttle: &RampThrottle, limiter };
    experiment.run_with(picker.as_ref(), controls).expect("stock policies keep the laws")
}

fn of(name: &str, bytes_per_second: f64) -> Box<dyn Limiter> {
    limiter(name, bytes_per_second).expect("a stock limiter")
}

#[test]
fn compaction_keeps_to_a_set_rate() {
    // Compaction would write some 20 MB a second.
    let experiment = Experiment { write_bytes_per_second: 2e6, schedule: None, overwrites: 0.2, ..bursts() };
    let rate = |limiter: Option<&dyn Limiter>| {
        let outcome = course(&experiment, limiter);
        let seconds: Vec<f64> = outcome.samples.iter().map(|sample| sample.seconds).collect();
        assert!(outcome.samples.iter().all(|sample| sample.stopped_seconds == 0.0), "or the limit is lifted");
        outcome.measured.merged_bytes / (seconds[seconds.len() - 1] - seconds[seconds.len() / 2 - 1])
    };
    assert!(rate(None) > 9e6, "{}", rate(None));
    // What was begun before counts in full where it began.
    let held = rate(Some(of("steady", 5e6).as_ref()));
    assert!(held < 1.1 * 5e6, "{held}");
}

#[test]
fn a_set_rate_makes_bursts_wait_and_one_that_gives_way_does_not() {
    let free = course(&bursts(), None);
    let [rising, steady, adaptive, courteous] = ["rising", "steady", "adaptive", "courteous"].map(|name| {
        let outcome = course(&bursts(), Some(of(name, 60e6).as_ref()));
        assert_eq!((free.limiter.as_deref(), outcome.limiter.as_deref()), (None, Some(name)));
        outcome
    });
    let late = |outcome: &Outcome| outcome.delays.p999_seconds;
    for outcome in [&steady, &adaptive] {
        assert!(late(outcome) > 5.0 * late(&free), "{:?} {:?}", outcome.delays, free.delays);
        assert!(outcome.mean.debt_bytes > free.mean.debt_bytes, "{:?} {:?}", outcome.mean, free.mean);
        assert!(outcome.mean.reads.runs > 1.2 * free.mean.reads.runs, "{:?} {:?}", outcome.mean, free.mean);
    }
    for outcome in [&rising, &courteous] {
        assert!(late(outcome) < 1.1 * late(&free), "{:?} {:?}", outcome.delays, free.delays);
    }
}

/// A day's writes come in its first six hours, more than the device bears meanwhile.
#[test]
fn quiet_hours_let_compaction_catch_up_before_the_next_day() {
    let days = Experiment {
        write_bytes_per_second: 300e3,
        device_bytes_per_second: Some(8e6),
        schedule: Some(Schedule::bursts(86_400.0)),
        overwrites: 4.0,
        ..bursts()
    };
    let under = |hours| course(&days, Some(&InQuietHours { otherwise: of("steady", 1e6), hours }));
    let none = under(QuietHours { from: 6, until: 6 });
    let rest_of_day = under(QuietHours { from: 6, until: 0 });
    assert_eq!(none, course(&days, Some(of("steady", 1e6).as_ref())));
    assert!(
        rest_of_day.delays.p99_seconds < 0.6 * none.delays.p99_seconds,
        "{:?} {:?}",
        rest_of_day.delays,
        none.delays
    );
    let stopped = |outcome: &Outcome| outcome.samples.last().map_or(0.0, |last| last.stopped_seconds);
    assert!(stopped(&rest_of_day) < 0.5 * stopped(&none), "{rest_of_day:?} {none:?}");
}

#[test]
fn level_0_first_costs_writers_less_time() {
    let lost = |level0_first| {
        let outcome = course(&Experiment { level0_first, ..bursts() }, None);
        outcome.samples.last().map_or(0.0, |last| last.stalled_seconds)
    };
    assert!(lost(true) < 0.8 * lost(false), "{} {}", lost(true), lost(false));
}
