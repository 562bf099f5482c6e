//! The stock policies by name, in the sizes that an experiment asks for.

pub use terrace_compaction::stock::{Make, Sizes, all, named};

use crate::{Experiment, Workload};

/// What the sizes of a policy follow from in an experiment, with tables as large as memtables.
#[must_use]
pub fn sizes_of(experiment: &Experiment) -> Sizes {
    let turnover = experiment.data_bytes as f64 / experiment.write_bytes_per_second.max(1.0);
    Sizes {
        memtable_bytes: experiment.memtable_bytes,
        table_bytes: experiment.memtable_bytes,
        turnover_seconds: turnover as u64,
        kept_bytes: (experiment.workload == Workload::Time).then_some(experiment.data_bytes),
        ..Sizes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stock_policies_are_here_whatever_else_is_compiled() {
        let names: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["leveled", "tiered", "universal", "fluid", "hybrid", "guards", "windowed", "fifo"]
        );
    }
}
