//! Step 7: tiers.
//!
//! What the last step could not do: merge without writing everything again each time.
//!
//! Idea: merge only what is of one size. Flushes gather in tier 0; when there are four they are merged into one run of tier 1; when there are four
//! there, into one of tier 2, and so on. A version is then written once for each tier it passes, and the number of tiers is the logarithm of
//! the data.
//!
//! Which tables to merge is a decision that needs no table: a function from the shape of the tree to a task. That is the trait
//! `CompactionPicker`, and `Tiers` below is one; the tree asks it after each write. The last row is the workspace's own.
//!
//! What it gives: bytes written for each byte given grow with the logarithm of the data.
//! What it costs: up to three runs wait in each tier, and a look-up asks them all; several versions of a key wait in them too. A wider tier
//! writes less still, and has more runs to ask.
//!
//! `cargo run --release -p terrace-journey --example 07_tiers [KEYS]`

use terrace_compaction::{CompactionPicker, Output, PickContext, Plan, Reason, Shape, Task, TaskKind};
use terrace_journey::{Outcome, Row, Workload, measure_policy, tiered};

const READS: u64 = 1_000;

#[derive(Debug)]
struct Tiers {
    width: usize,
}

impl CompactionPicker for Tiers {
    fn name(&self) -> &'static str {
        "tiers"
    }

    fn pick(&self, shape: &Shape, _context: &PickContext) -> Plan {
        let full = shape.levels.iter().enumerate().find(|(_, level)| level.runs.len() >= self.width);
        let task = full.map(|(number, level)| Task {
            kind: TaskKind::Merge,
            inputs: level.tables().map(|table| table.id).collect(),
            // In front of the runs of the next tier: what comes from above is newer than they.
            output: Output::NewRun { level: number + 1, run: None },
            target_table_bytes: u64::MAX,
            cuts: Vec::new(),
            reason: Reason::Other(format!("tier {number} is full")),
        });
        Plan { tasks: task.into_iter().collect(), ..Plan::default() }
    }
}

fn main() -> Outcome {
    let work = Workload::from_arguments()?;
    let quarter = Workload::of(work.keys() / 4);
    Row::print_header();
    let quarter = measure_policy("tiers of 4, a quarter of the keys", quarter, READS, Tiers { width: 4 })?;
    let whole = measure_policy("tiers of 4", work, READS, Tiers { width: 4 })?;
    let wide = measure_policy("tiers of 10", work, READS, Tiers { width: 10 })?;
    measure_policy("TieredPicker, 4 at once", work, READS, tiered(4))?;

    // With four times the data there is one tier more, and each byte is written once more.
    assert!(whole.written > quarter.written && whole.written < quarter.written + 1.5);
    // The next step answers to this.
    assert!(wide.written < whole.written && wide.files_absent > whole.files_absent);
    Ok(())
}
