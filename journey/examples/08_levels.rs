//! Step 8: levels.
//!
//! What the last step could not do: read few runs, and keep few old versions.
//!
//! Idea: one run in each level, each level some times as large as the one above. What comes into a level is merged with the run that is there at once, and
//! what becomes too large goes on into the next. There is nothing to wait beside it, so there is no second run to ask.
//!
//! `Levels` below merges whole levels, where the LSM-tree of 1996 went through them bit by bit. The workspace's picker, in the last two rows, cuts
//! a level into many tables and merges a few of them with those they overlap (LevelDB), lets four flushes gather before it moves them, and makes
//! the levels' sizes fit the largest one (RocksDB).
//!
//! What it gives: a look-up asks one run for each level, and nearly all of the disk holds live data.
//! What it costs: the run that is there is written again for each arrival: at a ratio of four, a version is written two or three times in each
//! level before it moves on, against once in a tier. Fewer bytes written, or fewer runs to ask and fewer bytes on disk: width and ratio choose.
//!
//! `cargo run --release -p terrace-journey --example 08_levels [KEYS]`

use terrace_compaction::{
    CompactionPicker, Output, PickContext, Plan, Reason, Shape, TableId, Task, TaskKind,
};
use terrace_journey::{Outcome, Row, Workload, leveled, measure_policy, tiered};

const READS: u64 = 1_000;

#[derive(Debug)]
struct Levels {
    /// What level 1 may hold; level 0 is to be empty.
    first_bytes: u64,
    ratio: u64,
}

impl CompactionPicker for Levels {
    fn name(&self) -> &'static str {
        "levels"
    }

    fn pick(&self, shape: &Shape, _context: &PickContext) -> Plan {
        let most = |number: usize| match number {
            0 => 0,
            _ => self.first_bytes * self.ratio.pow(number as u32 - 1),
        };
        let over = (0..shape.levels.len()).find(|&number| shape.levels[number].file_bytes() > most(number));
        let task = over.map(|number| Task {
            kind: TaskKind::Merge,
            inputs: [number, number + 1].iter().flat_map(|&level| tables_of(shape, level)).collect(),
            output: Output::NewRun { level: number + 1, run: None },
            target_table_bytes: u64::MAX,
            cuts: Vec::new(),
            reason: Reason::Other(format!("level {number} is too large")),
        });
        Plan { tasks: task.into_iter().collect(), ..Plan::default() }
    }
}

fn tables_of(shape: &Shape, level: usize) -> impl Iterator<Item = TableId> {
    shape.runs_of(level).iter().flat_map(|run| run.tables.iter().map(|table| table.id))
}

fn main() -> Outcome {
    let work = Workload::from_arguments()?;
    Row::print_header();
    let tiers = measure_policy("TieredPicker, 4 at once", work, READS, tiered(4))?;
    let levels = measure_policy("levels, ratio 4", work, READS, Levels { first_bytes: 512 << 10, ratio: 4 })?;
    measure_policy("levels, ratio 10", work, READS, Levels { first_bytes: 1 << 20, ratio: 10 })?;
    measure_policy("LeveledPicker, ratio 4", work, READS, leveled(4))?;
    let leveled = measure_policy("LeveledPicker, ratio 10", work, READS, leveled(10))?;

    assert!(levels.written > tiers.written && levels.files_absent < tiers.files_absent);
    assert!(leveled.written > tiers.written && leveled.space < tiers.space);
    // The next step answers to this: even so, a key that is nowhere is looked for in every level.
    assert!(levels.files_absent > 1.0);
    Ok(())
}
