//! Flushes of one unit each, and what a policy makes of them, as RocksDB's wiki writes its universal examples: sizes of runs from the newest
//! to the oldest.

use terrace_compaction::testing::merge_metadata;
use terrace_compaction::{CompactionPicker, Output, PickContext, RunId, Shape, ShapeEdit, TableMeta};

/// A line for each task while so many units are flushed, the sizes before and after.
pub(crate) fn trace(picker: &dyn CompactionPicker, flushes: u64) -> Vec<String> {
    let (mut shape, mut name, mut lines) = (Shape::default(), 0, Vec::new());
    for _ in 0..flushes {
        name += 2;
        let table = TableMeta::sized(name - 1, "a", "z", UNIT_BYTES);
        let output = Output::NewRun { level: 0, run: Some(RunId(name)) };
        shape
            .apply(&ShapeEdit { removed: Vec::new(), added: Some((output, vec![table.into()])) })
            .expect("a flush fits");
        loop {
            let plan = picker.pick(&shape, &PickContext { tasks_max: 1, ..PickContext::default() });
            let Some(task) = plan.tasks.first() else { break };
            shape.check(task, &Default::default()).expect("the guard lets it pass");
            let before = sizes(&shape);
            let edit = merge_metadata(&shape, task, &mut name);
            shape.apply(&edit).expect("a checked task fits");
            lines.push(format!("{before} => {}", sizes(&shape)));
        }
    }
    lines
}

const UNIT_BYTES: u64 = 1 << 20;

fn sizes(shape: &Shape) -> String {
    shape.runs().map(|(_, run)| (run.file_bytes() / UNIT_BYTES).to_string()).collect::<Vec<_>>().join(" ")
}
