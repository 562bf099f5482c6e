//! The stock policies by name, as boxes: for whoever takes a policy from a command line or goes over all of them.
//!
//! What is compiled in is listed: each policy behind the feature of its name. A new one adds a row to [`all`] and implements [`StockPicker`], which is
//! also how an engine's stock parts make it.

use crate::{CompactionPicker, Movement, TriggerOptions};
#[cfg(feature = "fifo")]
use crate::{FifoOptions, FifoPicker};
#[cfg(feature = "fluid")]
use crate::{FluidOptions, FluidPicker};
#[cfg(feature = "guards")]
use crate::{GuardsOptions, GuardsPicker};
#[cfg(feature = "hybrid")]
use crate::{HybridOptions, HybridPicker};
#[cfg(feature = "leveled")]
use crate::{LeveledOptions, LeveledPicker};
#[cfg(feature = "tiered")]
use crate::{TieredOptions, TieredPicker};
#[cfg(feature = "universal")]
use crate::{UniversalOptions, UniversalPicker};
#[cfg(feature = "windowed")]
use crate::{WindowedOptions, WindowedPicker};

/// What the sizes of a policy follow from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Bytes of a memtable.
    pub memtable_bytes: u64,
    /// The memtable that bounds in bytes are meant for which follow from no other size: the debt of `leveled` and `hybrid`, the small runs of `tiered`. Other
    /// memtables have them in proportion, as suits a tree that is scaled as a whole.
    pub usual_memtable_bytes: u64,
    /// Bytes of a table.
    pub table_bytes: u64,
    /// The size ratio, merge width or trigger, if it is not to be the policy's own.
    pub size_ratio: Option<u64>,
    /// Which table of a level that is too large goes down first, in policies that choose one.
    pub movement: Movement,
    /// Triggers beside size, in policies that merge by size: all but `windowed` and `fifo`.
    pub triggers: TriggerOptions,
    /// The most bytes above the oldest run, in percent of its bytes, if it is not to be the policy's own; in those that bound them: `leveled`, `hybrid`,
    /// `tiered`, `universal`.
    pub space_percent_max: Option<u64>,
    /// The most runs in a level of `fluid` that is not the last, and in the last; as lazy leveling has them if not given.
    pub fluid_runs_max: (Option<usize>, Option<usize>),
    /// Seconds in which as much is written as there are live data; `windowed` makes twenty windows of it.
    pub turnover_seconds: u64,
    /// How many bytes `fifo` keeps, where what is old is of no use; `windowed` then keeps what came within `turnover_seconds`. Else they keep all.
    pub kept_bytes: Option<u64>,
}

impl Default for Sizes {
    /// Memtables and tables as large as the policies' own sizes are meant for; windows of an hour; everything is kept.
    fn default() -> Self {
        Sizes {
            memtable_bytes: 64 << 20,
            usual_memtable_bytes: 64 << 20,
            table_bytes: 64 << 20,
            size_ratio: None,
            movement: Movement::default(),
            triggers: TriggerOptions::default(),
            space_percent_max: None,
            fluid_runs_max: (None, None),
            turnover_seconds: 20 * 3600,
            kept_bytes: None,
        }
    }
}

impl Sizes {
    /// Memtables and tables this many times as large. The data are what they were.
    #[must_use]
    pub fn times(self, scale: u64) -> Self {
        Sizes {
            memtable_bytes: self.memtable_bytes.saturating_mul(scale),
            table_bytes: self.table_bytes.saturating_mul(scale),
            ..self
        }
    }
}

/// A policy that is among the stock ones.
pub trait StockPicker: CompactionPicker + Sized {
    /// The policy with sizes that follow from these.
    fn with_sizes(sizes: &Sizes) -> Self;
}

/// Makes a policy.
pub type Make = fn(&Sizes) -> Box<dyn CompactionPicker>;

/// Each policy that is compiled in, by its name.
#[must_use]
pub fn all() -> &'static [(&'static str, Make)] {
    &[
        #[cfg(feature = "leveled")]
        ("leveled", boxed::<LeveledPicker>),
        #[cfg(feature = "tiered")]
        ("tiered", boxed::<TieredPicker>),
        #[cfg(feature = "universal")]
        ("universal", boxed::<UniversalPicker>),
        #[cfg(feature = "fluid")]
        ("fluid", boxed::<FluidPicker>),
        #[cfg(feature = "hybrid")]
        ("hybrid", boxed::<HybridPicker>),
        #[cfg(feature = "guards")]
        ("guards", boxed::<GuardsPicker>),
        #[cfg(feature = "windowed")]
        ("windowed", boxed::<WindowedPicker>),
        #[cfg(feature = "fifo")]
        ("fifo", boxed::<FifoPicker>),
    ]
}

fn boxed<P: StockPicker>(sizes: &Sizes) -> Box<dyn CompactionPicker> {
    Box::new(P::with_sizes(sizes))
}

/// The policy of that name, if it is compiled in.
///
/// ```
/// # #[cfg(feature = "leveled")] {
/// use terrace_compaction::CompactionPicker;
/// use terrace_compaction::stock::{Sizes, named};
///
/// let make = named("leveled").unwrap();
/// let picker: Box<dyn CompactionPicker> = make(&Sizes { table_bytes: 4 << 20, ..Sizes::default() });
/// assert_eq!(picker.name(), "leveled");
/// # }
/// ```
#[must_use]
pub fn named(name: &str) -> Option<Make> {
    all().iter().find(|(known, _)| *known == name).map(|(_, make)| *make)
}

/// A size that is meant for the usual memtable, for one of this size.
fn in_proportion(bytes: u64, sizes: &Sizes) -> u64 {
    let scaled =
        u128::from(bytes) * u128::from(sizes.memtable_bytes) / u128::from(sizes.usual_memtable_bytes.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(feature = "leveled")]
impl StockPicker for LeveledPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        LeveledPicker::new(leveled_options(sizes))
    }
}

#[cfg(feature = "leveled")]
fn leveled_options(sizes: &Sizes) -> LeveledOptions {
    let usual = LeveledOptions::for_table_bytes(sizes.table_bytes);
    LeveledOptions {
        // Four runs of two thirds of a memtable: so large is the table of one of 100-byte values that was full.
        l0_full_bytes: sizes.memtable_bytes.saturating_mul(8) / 3,
        base_level_bytes: sizes.memtable_bytes.saturating_mul(4),
        size_ratio: sizes.size_ratio.unwrap_or(usual.size_ratio),
        movement: sizes.movement,
        space_amplification_percent_max: sizes.space_percent_max,
        triggers: sizes.triggers,
        debt_bytes_start: in_proportion(usual.debt_bytes_start, sizes),
        debt_bytes_slow: in_proportion(usual.debt_bytes_slow, sizes),
        debt_bytes_stop: in_proportion(usual.debt_bytes_stop, sizes),
        ..usual
    }
}

/// The base level has room for one arrival from the deepest tier.
#[cfg(feature = "hybrid")]
impl StockPicker for HybridPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let (usual, leveled) = (HybridOptions::default(), leveled_options(sizes));
        let memtables = (leveled.l0_runs_trigger as u64).saturating_pow(usual.tiered_levels as u32);
        let base_level_bytes = sizes.memtable_bytes.saturating_mul(memtables);
        HybridPicker::new(HybridOptions {
            leveled: LeveledOptions {
                base_level_bytes,
                base_ratio_min: leveled.size_ratio,
                l0_full_bytes: 0,
                ..leveled
            },
            ..usual
        })
    }
}

#[cfg(feature = "guards")]
impl StockPicker for GuardsPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let usual = GuardsOptions::default();
        let ratio = sizes.size_ratio.unwrap_or(usual.guard_ratio);
        GuardsPicker::new(GuardsOptions {
            fragments_max: ratio as usize,
            guard_ratio: ratio,
            triggers: sizes.triggers,
            target_table_bytes: sizes.table_bytes,
            ..usual
        })
    }
}

#[cfg(feature = "tiered")]
impl StockPicker for TieredPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let usual = TieredOptions::default();
        let width = sizes.size_ratio.map_or(usual.merge_width_min, |ratio| ratio as usize);
        let space = sizes.space_percent_max.unwrap_or(usual.space_amplification_percent_max);
        TieredPicker::new(TieredOptions {
            merge_width_min: width,
            small_run_bytes: in_proportion(usual.small_run_bytes, sizes),
            space_amplification_percent_max: space,
            triggers: sizes.triggers,
            target_table_bytes: sizes.table_bytes,
            ..usual
        })
    }
}

#[cfg(feature = "universal")]
impl StockPicker for UniversalPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let usual = UniversalOptions::default();
        let trigger = sizes.size_ratio.map_or(usual.runs_trigger, |ratio| ratio as usize);
        let space = sizes.space_percent_max.unwrap_or(usual.space_amplification_percent_max);
        UniversalPicker::new(UniversalOptions {
            runs_trigger: trigger,
            space_amplification_percent_max: space,
            triggers: sizes.triggers,
            target_table_bytes: sizes.table_bytes,
            ..usual
        })
    }
}

/// Level 1 has room for as many arrivals as the ratio says, each of four memtables.
#[cfg(feature = "fluid")]
impl StockPicker for FluidPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let ratio = sizes.size_ratio.unwrap_or(10);
        let usual = FluidOptions::lazy_leveling(ratio);
        let (inner, last) = sizes.fluid_runs_max;
        FluidPicker::new(FluidOptions {
            inner_runs_max: inner.unwrap_or(usual.inner_runs_max),
            last_runs_max: last.unwrap_or(usual.last_runs_max),
            triggers: sizes.triggers,
            base_level_bytes: sizes.memtable_bytes.saturating_mul(4).saturating_mul(ratio),
            target_table_bytes: sizes.table_bytes,
            ..usual
        })
    }
}

#[cfg(feature = "windowed")]
impl StockPicker for WindowedPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        let usual = WindowedOptions::default();
        WindowedPicker::new(WindowedOptions {
            window_seconds: sizes.turnover_seconds / 20,
            keep_seconds: sizes.kept_bytes.map(|_| sizes.turnover_seconds),
            runs_trigger: sizes.size_ratio.map_or(usual.runs_trigger, |ratio| ratio as usize),
            target_table_bytes: sizes.table_bytes,
            ..usual
        })
    }
}

#[cfg(feature = "fifo")]
impl StockPicker for FifoPicker {
    fn with_sizes(sizes: &Sizes) -> Self {
        FifoPicker::new(FifoOptions { bytes_max: sizes.kept_bytes, age_seconds_max: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found_by_the_name_it_gives_itself() {
        for (name, make) in all() {
            assert_eq!(make(&Sizes::default()).name(), *name);
            assert!(named(name).is_some());
        }
        assert!(named("none").is_none());
    }

    #[cfg(feature = "leveled")]
    #[test]
    fn what_follows_from_no_size_is_in_proportion_to_the_memtable_unless_that_is_the_usual_one() {
        let small = Sizes { memtable_bytes: 1 << 20, ..Sizes::default() };
        let usual = LeveledOptions::default().debt_bytes_slow;
        assert_eq!(leveled_options(&Sizes::default()).debt_bytes_slow, usual);
        assert_eq!(leveled_options(&small).debt_bytes_slow, usual / 64);
        let alone = leveled_options(&Sizes { usual_memtable_bytes: 1 << 20, ..small });
        assert_eq!((alone.debt_bytes_slow, alone.base_level_bytes), (usual, 4 << 20));
    }
}
