//! A policy from outside in the laboratory: everything is merged whenever there are more runs than it bears.
//!
//! `cargo run --release -p terrace-simulator --example own_picker`
#![expect(clippy::print_stdout, reason = "an example")]

use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape};
use terrace_simulator::{Experiment, LEGEND, Report, Study, Workload, course, summary};

#[derive(Debug)]
struct Heap {
    runs_max: usize,
}

impl CompactionPicker for Heap {
    fn name(&self) -> &'static str {
        "heap"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let due = shape.runs().count() > self.runs_max && context.busy.is_empty() && context.tasks_max > 0;
        Plan {
            tasks: due.then(|| shape.full_merge(64 << 20)).flatten().into_iter().collect(),
            ..Plan::default()
        }
    }
}

fn main() -> Result<(), terrace_simulator::SimulateError> {
    let experiment =
        Experiment { workload: Workload::Zipf, data_bytes: 6_000_000_000, ..Experiment::default() };
    let study = Study { experiment, ..Study::default() };
    // Nothing here is large enough to be scaled; a policy with sizes of its own would multiply them by `_scale`.
    let findings = study.run(|_scale| Box::new(Heap { runs_max: 8 }))?;
    assert!(findings.reads.runs <= 9.0);
    let report = Report { study, findings };
    println!("{}\n{}\n{LEGEND}", course(&report), summary(&[report]));
    Ok(())
}
