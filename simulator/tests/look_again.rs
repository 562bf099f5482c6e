//! What time alone makes due is done while nobody writes, when the picker said that it would be.

use core::sync::atomic::{AtomicU64, Ordering};
use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape, TriggerOptions};
use terrace_simulator::stock::{Sizes, named, sizes_of};
use terrace_simulator::{Experiment, Outcome, Workload};

/// Deletes of a fifth of a turnover are to be gone; then nobody writes for `rest` times as long.
fn after_deletes(name: &str, device_bytes_per_second: Option<f64>, rest: f64) -> Outcome {
    let experiment = Experiment {
        workload: Workload::Deletes,
        data_bytes: 50 * (64 << 20),
        write_bytes_per_second: 5e6,
        device_bytes_per_second,
        samples: 4,
        ..Experiment::default()
    };
    let sizes = sizes_of(&experiment);
    let bound = sizes.turnover_seconds / 5;
    let triggers = TriggerOptions { tombstone_age_seconds_max: Some(bound), ..TriggerOptions::default() };
    let picker = named(name).expect("a stock policy")(&Sizes { triggers, ..sizes });
    let experiment = Experiment { rest_seconds: rest * bound as f64, ..experiment };
    experiment.run(picker.as_ref()).expect("stock policies keep the laws")
}

#[test]
fn deletes_are_gone_within_their_bound_though_no_write_follows() {
    for name in ["leveled", "hybrid", "tiered", "universal", "fluid", "guards"] {
        for device in [None, Some(400e6)] {
            let before = after_deletes(name, device, 0.01);
            assert!(before.shape.totals().tombstones > 0, "{name}: not before they are due");
            let outcome = after_deletes(name, device, 1.0);
            assert_eq!(outcome.shape.totals().tombstones, 0, "{name} {device:?}:\n{}", outcome.shape);
            let rested = outcome.rested.expect("it rested");
            assert_eq!(rested.tombstone_seconds, 0.0, "{name}");
            let last = outcome.samples.last().expect("samples");
            assert!(rested.user_bytes == last.user_bytes && rested.seconds > last.seconds, "{name}");
            assert!((1.0..50.0).contains(&rested.write_amplification), "{name}: {rested:?}");
            assert!(rested.space_amplification < last.space_amplification, "{name}: {rested:?} {last:?}");
        }
    }
}

/// Wants nothing, and to be asked again at a moment that may lie in the past.
#[derive(Debug, Default)]
struct Restless {
    ahead_seconds: u64,
    asked: AtomicU64,
}

impl CompactionPicker for Restless {
    fn name(&self) -> &'static str {
        "restless"
    }

    fn pick(&self, _shape: &Shape, context: &PickContext) -> Plan {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let at = if self.ahead_seconds == 0 { 0 } else { context.now_unix_seconds + self.ahead_seconds };
        Plan { look_again_unix_seconds: Some(at), ..Plan::default() }
    }
}

#[test]
fn a_picker_is_asked_when_it_wants_to_be_and_at_most_once_a_second() {
    for device_bytes_per_second in [None, Some(1e9)] {
        // Forty flushes of a second each, then a rest of sixty.
        let experiment = Experiment {
            workload: Workload::Sequential,
            data_bytes: 40_000_000,
            memtable_bytes: 1_000_000,
            write_bytes_per_second: 1e6,
            device_bytes_per_second,
            rest_seconds: 60.0,
            ..Experiment::default()
        };
        let asked = |ahead_seconds| {
            let picker = Restless { ahead_seconds, ..Restless::default() };
            experiment.run(&picker).expect("it wants no tasks");
            picker.asked.load(Ordering::Relaxed)
        };
        // By a flush and for the time, which may fall together.
        assert!((100..=140).contains(&asked(0)), "{}", asked(0));
        assert!((46..=47).contains(&asked(10)), "{}", asked(10));
        assert_eq!(asked(1000), 40);
    }
}
