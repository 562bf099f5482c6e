//! Tries everything on a history, puts a price on it, and sorts.

use super::cost::{Counts, Goal, Prices};
use super::filters::{FilterLevel, let_through, monkey_bits};
use super::history::History;
use super::play::{
    CACHE_BYTES_PER_BLOCK, INDEX_BYTES_PER_BLOCK, INDEX_BYTES_PER_TABLE, Played, TreeOptions, play,
};
use crate::stock::{self, Sizes};
use crate::tree::SimulateError;

/// What is tried: every picker with every ratio, memtable and filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// Policies by name. Those that drop data by themselves (`fifo`, `windowed`) are no choice for a database that does not say so.
    pub pickers: Vec<&'static str>,
    /// Size ratios, merge widths or triggers.
    pub size_ratios: Vec<u64>,
    /// Shares of the memory for the two memtables together, one being written to and one being flushed.
    pub memtable_shares: Vec<f64>,
    /// Bits for each key in the mean over all levels.
    pub filter_bits: Vec<f64>,
    /// Whether bits are also divided among levels by what they spare there, beside as many at each level.
    pub bits_by_level: bool,
    /// Tables are as large as memtables, up to this.
    pub table_bytes_max: u64,
}

impl Default for Space {
    fn default() -> Self {
        Space {
            pickers: vec!["leveled", "tiered", "universal", "fluid"],
            size_ratios: vec![4, 7, 10],
            memtable_shares: vec![1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0],
            filter_bits: vec![0.0, 4.0, 7.0, 10.0, 14.0],
            bits_by_level: true,
            table_bytes_max: 64 << 20,
        }
    }
}

/// A way to set a database up. Sizes are those of production, not of the sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The policy.
    pub picker: &'static str,
    /// Its size ratio, merge width or trigger.
    pub size_ratio: u64,
    /// `Options::memtable_bytes`.
    pub memtable_bytes: u64,
    /// `Options::table_bytes`.
    pub table_bytes: u64,
    /// `Options::cache_bytes`.
    pub cache_bytes: u64,
    /// Bits for each key by level, the last for all deeper ones: `Options::filter_bits_by_level`.
    pub filter_bits: Vec<f64>,
}

/// What a choice would cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The choice.
    pub choice: Choice,
    /// What is to be small for the goal.
    pub score: f64,
    /// What the history makes it do; counts are those of the sample.
    pub counts: Counts,
    /// Bytes that flushes and merges write for each byte of users'; the log is not counted.
    pub write_amplification: f64,
    /// Tables searched for each look-up.
    pub searches_per_get: f64,
    /// Bytes of tables for each live byte.
    pub space_amplification: f64,
    /// The share of block reads that the cache answers; 1 when there are none.
    pub cache_hit_ratio: f64,
    /// Blocks read from the device for each look-up or scan.
    pub blocks_per_read: f64,
    /// Time for each operation.
    pub operation_nanos: f64,
    /// Memory of filters and of indexes.
    pub filter_bytes: f64,
    /// Memory of the indexes of tables.
    pub index_bytes: f64,
}

/// All that was tried, the best first.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// Predictions, the best first.
    pub predictions: Vec<Prediction>,
}

impl Advice {
    /// The best.
    #[must_use]
    pub fn best(&self) -> Option<&Prediction> {
        self.predictions.first()
    }

    /// The best, and then the best of those that differ from all named before in policy, ratio or memtable.
    pub fn distinct(&self) -> impl Iterator<Item = &Prediction> {
        let same = |a: &Choice, b: &Choice| {
            (a.picker, a.size_ratio, a.memtable_bytes) == (b.picker, b.size_ratio, b.memtable_bytes)
        };
        let mut named: Vec<&Choice> = Vec::new();
        self.predictions.iter().filter(move |prediction| {
            let new = !named.iter().any(|choice| same(choice, &prediction.choice));
            if new {
                named.push(&prediction.choice);
            }
            new
        })
    }
}

/// Looks for the best way to serve a history.
///
/// ```
/// use terrace_simulator::advise::{Advisor, History, Space};
/// use terrace_trace::{Facts, Header, Operation, Record, TraceWriter};
///
/// // Keys are written once, anywhere, and one in four is looked up.
/// let mut writer = TraceWriter::new(&Header::default());
/// for number in 0..40_000_u64 {
///     let key_hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
///     let put = Operation::Put { value_bytes: 100 };
///     writer.add(&Record { operation: put, key_hash, place: key_hash, key_bytes: 16, ..Record::default() });
///     if number % 4 == 0 {
///         let get = Operation::Get { value_bytes: 100 };
///         writer.add(&Record { operation: get, key_hash, place: key_hash, key_bytes: 16, ..Record::default() });
///     }
/// }
/// let trace = writer.finish(Facts::default());
///
/// let history = History::read(trace.as_slice(), 1_000_000)?;
/// let space = Space { size_ratios: vec![4, 10], memtable_shares: vec![0.25], ..Space::default() };
/// let advice = Advisor { space, ..Advisor::new(&history, 1 << 20) }.advise()?;
/// let best = advice.best().expect("the memory is enough for something");
/// // Few look-ups, and of what is in the memtable still: whatever writes least.
/// assert!(best.write_amplification < 5.0, "{best:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Advisor<'a> {
    /// What is asked.
    pub history: &'a History,
    /// What memtables, filters, indexes and the block cache may take together, in production.
    pub memory_bytes: u64,
    /// What things cost.
    pub prices: Prices,
    /// What is to be small.
    pub goal: Goal,
    /// What is tried.
    pub space: Space,
}

/// The engine takes no smaller memtable.
const MEMTABLE_BYTES_MIN: u64 = 4 << 10;

impl<'a> Advisor<'a> {
    /// One with the defaults of everything else.
    #[must_use]
    pub fn new(history: &'a History, memory_bytes: u64) -> Self {
        Advisor {
            history,
            memory_bytes,
            prices: Prices::default(),
            goal: Goal::default(),
            space: Space::default(),
        }
    }

    /// Tries everything.
    ///
    /// # Errors
    ///
    /// When a picker breaks a law of its trait.
    pub fn advise(&self) -> Result<Advice, SimulateError> {
        self.advise_and_tell(|_, _| {})
    }

    /// As [`Advisor::advise`], and `tell` hears how many trees of how many have been played.
    ///
    /// # Errors
    ///
    /// As [`Advisor::advise`].
    pub fn advise_and_tell(&self, mut tell: impl FnMut(usize, usize)) -> Result<Advice, SimulateError> {
        let mut trees = Vec::new();
        for &picker in &self.space.pickers {
            for &size_ratio in &self.space.size_ratios {
                for &share in &self.space.memtable_shares {
                    let memtable = (self.memory_bytes as f64 * share / 2.0) as u64;
                    if memtable >= MEMTABLE_BYTES_MIN {
                        trees.push((picker, size_ratio, memtable));
                    }
                }
            }
        }
        let mut predictions = Vec::new();
        for (number, &(picker, size_ratio, memtable)) in trees.iter().enumerate() {
            self.predict(picker, size_ratio, memtable, &mut predictions)?;
            tell(number + 1, trees.len());
        }
        predictions.sort_by(|a: &Prediction, b| a.score.total_cmp(&b.score));
        Ok(Advice { predictions })
    }

    /// What a choice would cost whose filters and cache are given, too.
    ///
    /// # Errors
    ///
    /// When the picker breaks a law of its trait.
    pub fn predict_choice(&self, choice: &Choice) -> Result<Prediction, SimulateError> {
        let Choice { picker, size_ratio, memtable_bytes, table_bytes, .. } = *choice;
        let plays = self.plays(picker, size_ratio, memtable_bytes, table_bytes)?;
        Ok(self.price(&plays, choice.clone()))
    }

    fn scaled(&self, bytes: u64) -> u64 {
        (bytes as f64 * self.history.rate) as u64
    }

    /// There are as many tables as in production, of fewer blocks.
    fn index_bytes(&self, played: &Played) -> f64 {
        played.blocks * INDEX_BYTES_PER_BLOCK / self.history.rate + played.tables * INDEX_BYTES_PER_TABLE
    }

    fn play(
        &self,
        picker: &str,
        size_ratio: u64,
        memtable_bytes: u64,
        table_bytes: u64,
    ) -> Result<Played, SimulateError> {
        let block_bytes = self.prices.block_bytes as u32;
        let options = TreeOptions {
            memtable_bytes: self.scaled(memtable_bytes).max(MEMTABLE_BYTES_MIN),
            table_bytes: self.scaled(table_bytes).max(MEMTABLE_BYTES_MIN),
            block_bytes,
        };
        let sizes = Sizes {
            memtable_bytes: options.memtable_bytes,
            table_bytes: options.table_bytes,
            size_ratio: Some(size_ratio),
            ..Sizes::default()
        };
        let make = stock::named(picker).expect("the space names stock policies");
        play(self.history, make(&sizes).as_ref(), options)
    }

    fn predict(
        &self,
        picker: &'static str,
        size_ratio: u64,
        memtable_bytes: u64,
        predictions: &mut Vec<Prediction>,
    ) -> Result<(), SimulateError> {
        let table_bytes = memtable_bytes.min(self.space.table_bytes_max);
        let plays = self.plays(picker, size_ratio, memtable_bytes, table_bytes)?;
        let played = &plays[0];
        let levels = filter_levels(played);
        let meant = met_by_some(&levels, played.gets as f64);
        let mut tried: Vec<Vec<f64>> = Vec::new();
        for &bits in &self.space.filter_bits {
            let mut divisions = vec![vec![bits]];
            if self.space.bits_by_level && bits > 0.0 && levels.len() > 1 {
                divisions.push(monkey_bits(&meant, bits).into_iter().map(rounded).collect());
            }
            for filter_bits in divisions {
                let choice =
                    Choice { picker, size_ratio, memtable_bytes, table_bytes, cache_bytes: 0, filter_bits };
                if tried.contains(&choice.filter_bits) {
                    continue;
                }
                tried.push(choice.filter_bits.clone());
                let taken = 2.0 * memtable_bytes as f64
                    + filter_bytes(&levels, &choice.filter_bits) / self.history.rate
                    + self.index_bytes(played);
                if taken < self.memory_bytes as f64 {
                    let cache_bytes = self.memory_bytes - taken as u64;
                    predictions.push(self.price(&plays, Choice { cache_bytes, ..choice }));
                }
            }
        }
        Ok(())
    }

    /// Several plays with memtables of slightly different size. Where a trace ends is chance: just before a large merge or just after; and so is whether
    /// two runs of nearly the same size are merged. The mean says more than any of them.
    fn plays(
        &self,
        picker: &str,
        size_ratio: u64,
        memtable_bytes: u64,
        table_bytes: u64,
    ) -> Result<Vec<Played>, SimulateError> {
        const FACTORS: [f64; 3] = [1.0, 0.94, 1.06];
        let sized = |factor: f64| (memtable_bytes as f64 * factor) as u64;
        FACTORS.iter().map(|factor| self.play(picker, size_ratio, sized(*factor), table_bytes)).collect()
    }

    fn price(&self, plays: &[Played], choice: Choice) -> Prediction {
        let mut each = plays.iter().map(|played| self.price_one(played, choice.clone()));
        let first = each.next().expect("a choice is played at least once");
        let sum = each.fold(first, |sum, next| sum.map(&next, |sum, next| sum + next));
        let count = plays.len() as f64;
        let mean = sum.clone().map(&sum, |sum, _| sum / count);
        Prediction { score: self.goal.score(&self.prices, &mean.counts, mean.space_amplification), ..mean }
    }

    fn price_one(&self, played: &Played, choice: Choice) -> Prediction {
        let levels = filter_levels(played);
        let bits = bits_of_levels(&choice.filter_bits, levels.len());
        let in_vain: f64 = levels.iter().map(|level| level.in_vain).sum();
        let passed = let_through(&levels, &bits);
        let block = self.prices.block_bytes as u64 + CACHE_BYTES_PER_BLOCK;
        let held = self.scaled(choice.cache_bytes) / block;
        // What filters let through in vain is read as if it were like the rest.
        let miss_ratio = played.misses.miss_ratio(held);
        let block_reads = played.misses.misses(held) as f64 + passed * miss_ratio;
        let found = played.found_in_tables as f64;
        let operations = self.history.events.len() as f64;
        let reads = (played.gets + played.scans) as f64;
        let counts = Counts {
            operations,
            reads,
            written_bytes: (played.flushed_bytes + played.merged_bytes) as f64,
            merge_read_bytes: played.merge_read_bytes as f64,
            block_reads,
            tables_asked: in_vain + found,
            tables_searched: passed + found,
            runs_sought: played.scan_runs as f64,
            pairs_shown: played.scan_steps as f64,
        };
        let rate = self.history.rate;
        Prediction {
            score: self.goal.score(&self.prices, &counts, played.space_amplification),
            write_amplification: played.write_amplification(),
            searches_per_get: counts.tables_searched / (played.gets.max(1)) as f64,
            space_amplification: played.space_amplification,
            cache_hit_ratio: 1.0 - miss_ratio,
            blocks_per_read: block_reads / reads.max(1.0),
            operation_nanos: self.prices.operation_nanos(&counts),
            filter_bytes: filter_bytes(&levels, &choice.filter_bits) / rate,
            index_bytes: self.index_bytes(played),
            counts,
            choice,
        }
    }
}

impl Prediction {
    /// Each figure of both put together.
    fn map(self, other: &Prediction, with: impl Fn(f64, f64) -> f64) -> Prediction {
        let (own, others) = (&self.counts, &other.counts);
        Prediction {
            score: with(self.score, other.score),
            counts: Counts {
                operations: with(own.operations, others.operations),
                reads: with(own.reads, others.reads),
                written_bytes: with(own.written_bytes, others.written_bytes),
                merge_read_bytes: with(own.merge_read_bytes, others.merge_read_bytes),
                block_reads: with(own.block_reads, others.block_reads),
                tables_asked: with(own.tables_asked, others.tables_asked),
                tables_searched: with(own.tables_searched, others.tables_searched),
                runs_sought: with(own.runs_sought, others.runs_sought),
                pairs_shown: with(own.pairs_shown, others.pairs_shown),
            },
            write_amplification: with(self.write_amplification, other.write_amplification),
            searches_per_get: with(self.searches_per_get, other.searches_per_get),
            space_amplification: with(self.space_amplification, other.space_amplification),
            cache_hit_ratio: with(self.cache_hit_ratio, other.cache_hit_ratio),
            blocks_per_read: with(self.blocks_per_read, other.blocks_per_read),
            operation_nanos: with(self.operation_nanos, other.operation_nanos),
            filter_bytes: with(self.filter_bytes, other.filter_bytes),
            index_bytes: with(self.index_bytes, other.index_bytes),
            choice: self.choice,
        }
    }
}

/// To half a bit.
fn rounded(bits: f64) -> f64 {
    (bits * 2.0).round() / 2.0
}

fn filter_levels(played: &Played) -> Vec<FilterLevel> {
    let level =
        |level: &super::play::LevelPlayed| FilterLevel { keys: level.entries, in_vain: level.in_vain as f64 };
    played.levels.iter().map(level).collect()
}

/// A level that look-ups did not come to in the history may be there when they come in earnest: each level is taken to be met by some more of them.
fn met_by_some(levels: &[FilterLevel], gets: f64) -> Vec<FilterLevel> {
    const SHARE: f64 = 0.1;
    let met = |level: &FilterLevel| FilterLevel {
        keys: level.keys.max(1.0),
        in_vain: level.in_vain + SHARE * gets.max(1.0),
    };
    levels.iter().map(met).collect()
}

/// Bits for each of so many levels, the last that is given for all that are deeper.
fn bits_of_levels(bits: &[f64], levels: usize) -> Vec<f64> {
    let last = bits.last().copied().unwrap_or(0.0);
    (0..levels).map(|level| bits.get(level).copied().unwrap_or(last)).collect()
}

fn filter_bytes(levels: &[FilterLevel], bits: &[f64]) -> f64 {
    let bits = bits_of_levels(bits, levels.len());
    levels.iter().zip(bits).map(|(level, bits)| level.keys * bits / 8.0).sum()
}
