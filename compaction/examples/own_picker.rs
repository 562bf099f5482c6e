//! A picker from outside: first in, first out. The tree is a queue of runs; what exceeds a size falls off the old end.
//!
//! `cargo run -p terrace-compaction --features testing --example own_picker`

use terrace_compaction::testing::check_picker;
use terrace_compaction::{
    Bound, CompactionPicker, Measure, Output, PickContext, Plan, Reason, Scope, Shape, Task, TaskKind,
    Verdict, Weighed,
};

#[derive(Debug)]
struct FifoPicker {
    bytes_max: u64,
}

impl CompactionPicker for FifoPicker {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let bytes = shape.totals().file_bytes;
        let mut excess = bytes.saturating_sub(self.bytes_max);
        // What was measured: a person who asks why nothing is done reads it.
        let weighed = Weighed::new(Scope::Tree, Measure::Bytes, bytes, Bound::Above(self.bytes_max));
        let mut plan = Plan { debt_bytes: excess, ..Plan::default() };
        // Oldest first. A run can fall off only after all older ones, else their versions would come back.
        for (level, run) in shape.runs().rev() {
            let busy = run.tables.iter().any(|table| context.busy.contains(&table.id));
            if excess == 0 || busy {
                break;
            }
            let reason = Reason::Other(format!("{excess} bytes above {}", self.bytes_max));
            plan.tasks.push(Task {
                kind: TaskKind::Drop,
                inputs: run.tables.iter().map(|table| table.id).collect(),
                output: Output::NewRun { level, run: None },
                target_table_bytes: 0,
                cuts: Vec::new(),
                reason,
            });
            // A task is checked as if it were alone, so the next must wait until this one is done.
            excess = 0;
        }
        let verdict = match plan.tasks.len() {
            0 => Verdict::Held("the oldest run is busy".into()),
            tasks => Verdict::Picked { tasks },
        };
        plan.weighed.push(weighed.if_due(verdict));
        plan
    }
}

fn main() {
    let picker = FifoPicker { bytes_max: 1 << 30 };
    check_picker(&picker, 42, 100);
    let shape = terrace_compaction::testing::shape("L0: a-z#3=512M a-z#2=512M a-z#1=512M");
    let task = &picker.pick(&shape, &PickContext { tasks_max: 1, ..PickContext::default() }).tasks[0];
    assert_eq!(task.inputs, [terrace_compaction::TableId(1)]);
}

#[test]
fn fifo_keeps_the_laws() {
    main();
}
