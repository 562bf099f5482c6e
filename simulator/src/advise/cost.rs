//! What things cost, in one place.
//!
//! The price of a history is time: that of the device for the bytes that go to and fro, and that of processors for the work on them. Both are added up over all
//! operations, as if nothing ran beside anything else; so it is a price for comparing, and no prediction of throughput.

/// What a history makes a database do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Operations of users.
    pub operations: f64,
    /// Of them, look-ups and scans.
    pub reads: f64,
    /// Bytes that flushes and merges wrote.
    pub written_bytes: f64,
    /// Bytes that merges read.
    pub merge_read_bytes: f64,
    /// Blocks that look-ups and scans had to read from the device.
    pub block_reads: f64,
    /// Tables whose filter look-ups asked.
    pub tables_asked: f64,
    /// Tables that look-ups searched, past their filter.
    pub tables_searched: f64,
    /// Runs that scans placed a cursor in.
    pub runs_sought: f64,
    /// Pairs that scans showed.
    pub pairs_shown: f64,
}

/// What each of them costs.
///
/// The defaults are those of the machine of docs/BENCHMARKS.md (two cores of a Xeon at 2.8 GHz), from its table: a look-up of a missing key asks some five filters
/// in 0.42 µs; a look-up in a cached table takes 1 µs more, one whose block is not cached 2.4 µs in all; placing a scan in five runs and going ten steps takes
/// 10.9 µs; a whole scan takes 0.21 µs a pair. A byte through a merge is taken for 3 ns, some 350 ns an entry of 116 bytes: an estimate, which nobody has measured here.
/// The device's figures are an assumption about an NVMe disk, to be replaced by one's own (`cargo xtask advise --device-mb-s`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// What the device reads or writes in sequence, in bytes a second.
    pub device_bytes_per_second: f64,
    /// How many times as long a block takes that is read alone.
    pub random_read_factor: f64,
    /// Bytes of a block.
    pub block_bytes: f64,
    /// Nanoseconds of a processor for each byte that a flush or a merge writes.
    pub written_byte_nanos: f64,
    /// For each block read from the device.
    pub block_read_nanos: f64,
    /// For each filter asked.
    pub table_asked_nanos: f64,
    /// For each table searched.
    pub table_searched_nanos: f64,
    /// For each run that a scan is placed in.
    pub run_sought_nanos: f64,
    /// For each pair shown.
    pub pair_shown_nanos: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Prices {
            device_bytes_per_second: 1e9,
            random_read_factor: 4.0,
            block_bytes: 4096.0,
            written_byte_nanos: 3.0,
            block_read_nanos: 1_400.0,
            table_asked_nanos: 80.0,
            table_searched_nanos: 900.0,
            run_sought_nanos: 1_700.0,
            pair_shown_nanos: 210.0,
        }
    }
}

impl Prices {
    /// Nanoseconds for all writes: flushes and merges.
    #[must_use]
    pub fn write_nanos(&self, counts: &Counts) -> f64 {
        let device = (counts.written_bytes + counts.merge_read_bytes) * self.device_byte_nanos();
        device + counts.written_bytes * self.written_byte_nanos
    }

    /// Nanoseconds for all reads.
    #[must_use]
    pub fn read_nanos(&self, counts: &Counts) -> f64 {
        let block =
            self.block_bytes * self.random_read_factor * self.device_byte_nanos() + self.block_read_nanos;
        counts.block_reads * block
            + counts.tables_asked * self.table_asked_nanos
            + counts.tables_searched * self.table_searched_nanos
            + counts.runs_sought * self.run_sought_nanos
            + counts.pairs_shown * self.pair_shown_nanos
    }

    /// Nanoseconds for each operation.
    #[must_use]
    pub fn operation_nanos(&self, counts: &Counts) -> f64 {
        (self.write_nanos(counts) + self.read_nanos(counts)) / counts.operations.max(1.0)
    }

    fn device_byte_nanos(&self) -> f64 {
        1e9 / self.device_bytes_per_second.max(1.0)
    }
}

/// What is to be small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// The time of an operation, all taken together.
    #[default]
    Throughput,
    /// Bytes on the device for each live byte; of equals, the one with the least time.
    Space,
    /// The time of a look-up or scan; that of writes counts a hundredth.
    Read,
}

/// How much a cost that only decides between equals counts.
const SLIGHTLY: f64 = 0.01;

impl Goal {
    /// All of them.
    pub const ALL: [Goal; 3] = [Goal::Throughput, Goal::Space, Goal::Read];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Goal::Throughput => "throughput",
            Goal::Space => "space",
            Goal::Read => "read",
        }
    }

    /// The goal of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Goal::ALL.into_iter().find(|goal| goal.name() == name)
    }

    /// What is to be small; a number that only means something beside others of the same goal and history.
    #[must_use]
    pub fn score(self, prices: &Prices, counts: &Counts, space_amplification: f64) -> f64 {
        let nanos = prices.operation_nanos(counts);
        match self {
            Goal::Throughput => nanos,
            // A microsecond an operation is as bad as a hundredth of the data.
            Goal::Space => space_amplification + SLIGHTLY * nanos / 1e3,
            Goal::Read => {
                let reads = prices.read_nanos(counts) / counts.reads.max(1.0);
                reads + SLIGHTLY * prices.write_nanos(counts) / counts.operations.max(1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_has_a_name_and_wants_less_of_its_own() {
        let prices = Prices::default();
        let base = Counts {
            operations: 1e3,
            reads: 500.0,
            written_bytes: 1e6,
            block_reads: 300.0,
            ..Counts::default()
        };
        let more_writes = Counts { written_bytes: 2e6, ..base };
        let more_reads = Counts { block_reads: 600.0, ..base };
        for goal in Goal::ALL {
            assert_eq!(Goal::named(goal.name()), Some(goal));
            let score = |counts, space| goal.score(&prices, &counts, space);
            assert!(score(base, 1.1) < score(more_reads, 1.1) && score(base, 1.1) < score(more_writes, 1.1));
        }
        assert!(Goal::Space.score(&prices, &more_writes, 1.1) < Goal::Space.score(&prices, &base, 1.5));
        assert!(Goal::Read.score(&prices, &more_writes, 1.0) < Goal::Read.score(&prices, &more_reads, 1.0));
        assert_eq!(Goal::named("none"), None);
    }

    #[test]
    fn a_slower_device_makes_bytes_dearer_and_nothing_else() {
        let slow = Prices { device_bytes_per_second: 1e8, ..Prices::default() };
        let bytes = Counts { operations: 1.0, written_bytes: 1e6, ..Counts::default() };
        let work = Counts { operations: 1.0, tables_asked: 1e3, ..Counts::default() };
        assert!(slow.operation_nanos(&bytes) > Prices::default().operation_nanos(&bytes) * 2.0);
        assert_eq!(slow.operation_nanos(&work), Prices::default().operation_nanos(&work));
    }
}
