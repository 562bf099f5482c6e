//! What the store must answer: for each record, the newest generation that was acknowledged.
//!
//! Every record has one writer in a run (see [`crate::workload`]), so its generations follow each other and a reader can bound what it
//! may see: nothing older than what was acknowledged before its read began, nothing newer than the write that may be under way when it
//! ended. One `u32` a record: the generation shifted left, and in the lowest bit whether it was a delete.
//!
//! Invariants: *one writer* per record; *acknowledged last*: the state changes only after the store's call returned.

use std::sync::atomic::{AtomicU32, Ordering};

/// A record's newest acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Counts the record's writes from one; zero when it was never written.
    pub generation: u32,
    /// Whether the newest write deleted it (or there was none).
    pub absent: bool,
}

/// The states of all records.
#[derive(Debug)]
pub struct Ledger {
    states: Vec<AtomicU32>,
}

impl Ledger {
    /// A ledger of `records` records that were never written.
    pub fn new(records: u64) -> Self {
        // Lowest bit set: absent.
        Ledger { states: (0..records).map(|_| AtomicU32::new(1)).collect() }
    }

    /// How many records it has room for.
    pub fn records(&self) -> u64 {
        self.states.len() as u64
    }

    /// The state now.
    pub fn state(&self, rank: u64) -> State {
        let word = self.states[rank as usize].load(Ordering::Acquire);
        State { generation: word >> 1, absent: word & 1 == 1 }
    }

    /// Notes an acknowledged write. Only the record's one writer may call it.
    pub fn acknowledge(&self, rank: u64, state: State) {
        self.states[rank as usize].store(state.generation << 1 | u32::from(state.absent), Ordering::Release);
    }

    /// How many records are there.
    pub fn present(&self) -> u64 {
        (0..self.records()).filter(|&rank| !self.state(rank).absent).count() as u64
    }

    /// Judges what a read saw (a generation, or that there is no record), given the states just before and just after it.
    pub fn judge(before: State, after: State, seen: Option<u32>) -> Result<(), &'static str> {
        let undisturbed = before == after;
        match seen {
            Some(generation) if generation < before.generation => Err("an older value than was acknowledged"),
            Some(generation) if generation > after.generation.saturating_add(1) => {
                Err("a value that was never written")
            }
            Some(generation) if generation == before.generation && before.absent => Err("a deleted value"),
            Some(_) => Ok(()),
            None if undisturbed && !before.absent => Err("nothing, though the record is there"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(generation: u32) -> State {
        State { generation, absent: false }
    }

    fn gone(generation: u32) -> State {
        State { generation, absent: true }
    }

    #[test]
    fn a_new_ledger_has_nothing() {
        let ledger = Ledger::new(3);
        assert_eq!(ledger.state(2), gone(0));
        assert_eq!(ledger.present(), 0);
        ledger.acknowledge(1, there(1));
        assert_eq!((ledger.state(1), ledger.present()), (there(1), 1));
    }

    #[test]
    fn stale_lost_resurrected_and_invented_values_are_refused() {
        assert!(Ledger::judge(there(3), there(3), Some(2)).is_err());
        assert!(Ledger::judge(there(3), there(3), None).is_err());
        assert!(Ledger::judge(gone(3), gone(3), Some(3)).is_err());
        assert!(Ledger::judge(there(3), there(3), Some(5)).is_err());
        assert!(Ledger::judge(gone(0), gone(0), Some(0)).is_err());
    }

    #[test]
    fn what_a_write_under_way_may_show_is_allowed() {
        assert!(Ledger::judge(there(3), there(3), Some(3)).is_ok());
        assert!(Ledger::judge(there(3), there(3), Some(4)).is_ok());
        assert!(Ledger::judge(there(3), there(7), Some(5)).is_ok());
        assert!(Ledger::judge(gone(3), gone(3), None).is_ok());
        assert!(Ledger::judge(there(3), gone(4), None).is_ok());
        assert!(Ledger::judge(gone(0), gone(0), Some(1)).is_ok());
    }
}
