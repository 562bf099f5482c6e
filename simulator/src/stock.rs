//! The stock policies by name.

use terrace_compaction::{CompactionPicker, LeveledOptions, LeveledPicker, TieredOptions, TieredPicker};

/// What the sizes of a policy follow from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Bytes of a memtable.
    pub memtable_bytes: u64,
    /// Bytes of a table.
    pub table_bytes: u64,
    /// The size ratio or merge width, if it is not to be the policy's own.
    pub size_ratio: Option<u64>,
}

impl Sizes {
    /// All bytes this many times as large.
    #[must_use]
    pub fn times(self, scale: u64) -> Self {
        Sizes {
            memtable_bytes: self.memtable_bytes.saturating_mul(scale),
            table_bytes: self.table_bytes.saturating_mul(scale),
            ..self
        }
    }
}

/// Makes a policy.
pub type Make = fn(&Sizes) -> Box<dyn CompactionPicker>;

/// Each policy by its name.
pub const PICKERS: &[(&str, Make)] = &[("leveled", leveled), ("tiered", tiered)];

/// The policy of that name.
#[must_use]
pub fn named(name: &str) -> Option<Make> {
    PICKERS.iter().find(|(known, _)| *known == name).map(|(_, make)| *make)
}

/// The memtable that the policies' own sizes are meant for.
const USUAL_MEMTABLE_BYTES: u64 = 64 << 20;

/// A size that is meant for the usual memtable, for one of this size.
fn in_proportion(bytes: u64, sizes: &Sizes) -> u64 {
    let scaled = u128::from(bytes) * u128::from(sizes.memtable_bytes) / u128::from(USUAL_MEMTABLE_BYTES);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn leveled(sizes: &Sizes) -> Box<dyn CompactionPicker> {
    let usual = LeveledOptions::for_table_bytes(sizes.table_bytes);
    Box::new(LeveledPicker::new(LeveledOptions {
        base_level_bytes: sizes.memtable_bytes.saturating_mul(4),
        size_ratio: sizes.size_ratio.unwrap_or(usual.size_ratio),
        debt_bytes_start: in_proportion(usual.debt_bytes_start, sizes),
        debt_bytes_slow: in_proportion(usual.debt_bytes_slow, sizes),
        debt_bytes_stop: in_proportion(usual.debt_bytes_stop, sizes),
        ..usual
    }))
}

fn tiered(sizes: &Sizes) -> Box<dyn CompactionPicker> {
    let usual = TieredOptions::default();
    let width = sizes.size_ratio.map_or(usual.merge_width_min, |ratio| ratio as usize);
    Box::new(TieredPicker::new(TieredOptions {
        merge_width_min: width,
        small_run_bytes: in_proportion(usual.small_run_bytes, sizes),
        target_table_bytes: sizes.table_bytes,
        ..usual
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found_by_the_name_it_gives_itself() {
        let sizes = Sizes { memtable_bytes: 1 << 20, table_bytes: 1 << 20, size_ratio: None };
        for (name, make) in PICKERS {
            assert_eq!(make(&sizes).name(), *name);
            assert!(named(name).is_some());
        }
        assert!(named("none").is_none());
    }
}
