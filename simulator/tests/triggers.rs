//! What the triggers beside size cost and bring, by the figures that the simulator reports: each in every policy that takes it, against the same policy
//! without.

use terrace_compaction::TriggerOptions;
use terrace_simulator::stock::{Sizes, named, sizes_of};
use terrace_simulator::{Experiment, Sample, Workload};

const TAKE_TRIGGERS: [&str; 6] = ["leveled", "hybrid", "tiered", "universal", "fluid", "guards"];
const BOUND_SPACE: [&str; 4] = ["leveled", "hybrid", "tiered", "universal"];

/// Data of a hundred memtables.
fn experiment(workload: Workload) -> Experiment {
    Experiment { workload, data_bytes: 100 * (64 << 20), samples: 20, ..Experiment::default() }
}

fn mean(name: &str, experiment: &Experiment, sizes: Sizes) -> Sample {
    let picker = named(name).expect("a stock policy")(&sizes);
    experiment.run(picker.as_ref()).expect("stock policies keep the laws").mean
}

/// The figures without the triggers and with them.
fn both(name: &str, experiment: &Experiment, triggers: TriggerOptions) -> [Sample; 2] {
    let sizes = sizes_of(experiment);
    [mean(name, experiment, sizes), mean(name, experiment, Sizes { triggers, ..sizes })]
}

#[test]
fn a_bound_on_the_age_of_tombstones_holds_it_and_costs_writes() {
    let experiment = Experiment { load: false, ..experiment(Workload::Deletes) };
    // A fifth of the time in which the data is written once.
    let age_seconds_max = sizes_of(&experiment).turnover_seconds / 5;
    let triggers =
        TriggerOptions { tombstone_age_seconds_max: Some(age_seconds_max), ..TriggerOptions::default() };
    for name in TAKE_TRIGGERS {
        let [without, with] = both(name, &experiment, triggers);
        assert!(without.tombstone_seconds > 1.5 * age_seconds_max as f64, "{name}: {without:?}");
        assert!(with.tombstone_seconds <= age_seconds_max as f64, "{name}: {with:?}");
        // Universal compaction merges everything for its bound on space now and then; when that is decides what it writes.
        let least = if name == "universal" { 0.9 } else { 1.02 };
        assert!(
            with.write_amplification > least * without.write_amplification,
            "{name}: {with:?} {without:?}"
        );
    }
}

#[test]
fn a_bound_on_the_density_of_tombstones_saves_space_and_costs_writes() {
    let experiment = Experiment { load: false, ..experiment(Workload::Deletes) };
    // Half of what is flushed are tombstones.
    let triggers = TriggerOptions { tombstone_percent_max: Some(40), ..TriggerOptions::default() };
    for name in TAKE_TRIGGERS {
        let [without, with] = both(name, &experiment, triggers);
        assert!(with.space_amplification < without.space_amplification, "{name}: {with:?} {without:?}");
        assert!(with.write_amplification > without.write_amplification, "{name}: {with:?} {without:?}");
    }
}

#[test]
fn a_bound_on_reads_in_vain_saves_reads_and_costs_writes() {
    // Weak filters, so that there is something to save.
    let experiment =
        Experiment { reads_per_write: 10.0, filter_bits_per_key: 2.0, ..experiment(Workload::Uniform) };
    let triggers = TriggerOptions { vain_read_bytes: Some(16 << 10), ..TriggerOptions::default() };
    for name in TAKE_TRIGGERS {
        let [without, with] = both(name, &experiment, triggers);
        let present = |sample: &Sample| sample.reads.present_reads;
        assert!(present(&with) < present(&without), "{name}: {with:?} {without:?}");
        assert!(with.write_amplification > without.write_amplification, "{name}: {with:?} {without:?}");
        // Nobody reads: nothing is read in vain.
        let unread = Experiment { reads_per_write: 0.0, ..experiment.clone() };
        assert_eq!(both(name, &unread, triggers)[1], without, "{name}");
    }
}

#[test]
fn a_bound_on_space_saves_it_and_costs_writes() {
    let experiment = experiment(Workload::Uniform);
    let sizes = sizes_of(&experiment);
    for name in BOUND_SPACE {
        let without = mean(name, &experiment, sizes);
        let with = mean(name, &experiment, Sizes { space_percent_max: Some(5), ..sizes });
        assert!(with.space_amplification < without.space_amplification, "{name}: {with:?} {without:?}");
        assert!(with.space_amplification < 1.1, "{name}: {with:?}");
        assert!(with.write_amplification > without.write_amplification, "{name}: {with:?} {without:?}");
    }
}
