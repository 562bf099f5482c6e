//! Experiments of any size: what is too large to be simulated table by table is scaled, and what the scaling leaves out is added again.
//!
//! A tree of a petabyte takes millions of memtables, and as many calls of the picker on a shape of millions of tables. So when the data holds more
//! than `flushes_max` memtables, memtables, tables and all sizes of the picker grow by powers of the size ratio until it does not. The data
//! keeps its size. What changes is the number of levels: a tree scaled by the third power of its ratio lacks three of them.
//!
//! Levels in the middle of a tree are alike, which is what makes the tree's shape a question of ratios. So the tree is simulated once more at one
//! step smaller; the difference is what one level costs; and as many times as levels were left out it is added to write amplification and to
//! the cost of reads. For a policy whose cost does not grow with the data the difference is nought, and nothing is added.
//!
//! How near that comes: leveled compaction of 4000 memtables is 19.6 simulated whole, and 19.0 scaled to 400. It is no good for a policy with a
//! bound on the tree as a whole, such as on the number of its runs; that is to be simulated whole. A third tree, one step smaller still, tells: when its last level
//! costs less than half or more than twice as much, the findings are called uneven.
//!
//! Space amplification, transient space, debt and stalls are those of the scaled tree. Its device is slowed to what the levels left out would
//! leave of it, and look-ups read less from it, so that they take the share that they would take of the whole device.

use terrace_compaction::CompactionPicker;

use crate::device::Controls;
use crate::experiment::{Experiment, Outcome};
use crate::reads::ReadCost;
use crate::tree::SimulateError;

/// An experiment of any size.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// What is tried, at its true size.
    pub experiment: Experiment,
    /// How much larger a level is than the one above, as near as can be said for the policy; at least 2.
    pub size_ratio: u64,
    /// The most memtables that the data may hold before the study is scaled.
    pub flushes_max: u64,
}

impl Default for Study {
    fn default() -> Self {
        Study { experiment: Experiment::default(), size_ratio: 10, flushes_max: 2000 }
    }
}

/// What came out of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// What the tree did that was simulated.
    pub simulated: Outcome,
    /// How many times larger its memtables and tables were.
    pub scale: u64,
    /// Levels that it lacks.
    pub levels_left_out: u32,
    /// What a level costs in write amplification: the last of the simulated tree, and the last of a tree one level smaller.
    pub level_costs: Option<[f64; 2]>,
    /// Write amplification of the whole tree.
    pub write_amplification: f64,
    /// Cost of reads in the whole tree.
    pub reads: ReadCost,
}

/// What grows with the number of levels.
#[derive(Clone, Copy)]
struct Growing {
    write_amplification: f64,
    /// Bytes read and written by merges for each that users wrote.
    work: f64,
    reads: ReadCost,
}

impl Growing {
    fn of(outcome: &Outcome) -> Self {
        let measured = &outcome.measured;
        Growing {
            write_amplification: measured.write_amplification(),
            work: (measured.merged_bytes + measured.read_bytes) / measured.user_bytes.max(1.0),
            reads: outcome.mean.reads,
        }
    }

    /// This, and `levels` times what lies between `smaller` and `larger`; never less than this.
    fn plus(self, levels: u32, smaller: Growing, larger: Growing) -> Self {
        let add = |own: f64, small: f64, large: f64| own + f64::from(levels) * (large - small).max(0.0);
        let reads = |figure: fn(&ReadCost) -> f64| {
            add(figure(&self.reads), figure(&smaller.reads), figure(&larger.reads))
        };
        Growing {
            write_amplification: add(
                self.write_amplification,
                smaller.write_amplification,
                larger.write_amplification,
            ),
            work: add(self.work, smaller.work, larger.work),
            reads: ReadCost {
                runs: reads(|cost| cost.runs),
                absent_reads: reads(|cost| cost.absent_reads),
                present_reads: reads(|cost| cost.present_reads),
            },
        }
    }
}

impl Findings {
    /// Whether levels cost so differently that what is said of the whole tree is no more than a guess.
    #[must_use]
    pub fn is_uneven(&self) -> bool {
        self.level_costs
            .is_some_and(|[last, before]| last.max(before) > 1.0 && last.min(before) < 0.5 * last.max(before))
    }
}

impl Study {
    /// How many times sizes must grow by the size ratio.
    #[must_use]
    pub fn levels_left_out(&self) -> u32 {
        let (experiment, ratio) = (&self.experiment, self.size_ratio.max(2));
        let (mut memtable, mut levels) = (u128::from(experiment.memtable_bytes.max(1)), 0);
        while u128::from(experiment.data_bytes) > memtable * u128::from(self.flushes_max.max(ratio)) {
            memtable *= u128::from(ratio);
            levels += 1;
        }
        levels
    }

    /// Runs it. `picker` makes the policy with all its sizes multiplied by the number it is given, which is 1 for what need not be scaled.
    ///
    /// # Errors
    ///
    /// When the picker breaks a law of its trait.
    pub fn run(&self, picker: impl Fn(u64) -> Box<dyn CompactionPicker>) -> Result<Findings, SimulateError> {
        self.run_with(picker, Controls::default())
    }

    /// The same with writers and merges slowed by these, which matters on a device with a limit. A limiter's rate is not scaled: it is to be tried on trees that
    /// are simulated whole ([`Study::levels_left_out`]).
    ///
    /// # Errors
    ///
    /// As [`Study::run`].
    pub fn run_with(
        &self,
        picker: impl Fn(u64) -> Box<dyn CompactionPicker>,
        controls: Controls<'_>,
    ) -> Result<Findings, SimulateError> {
        let levels = self.levels_left_out();
        let scale = self.size_ratio.max(2).saturating_pow(levels);
        let run_reading = |scale: u64, device: Option<f64>, read_block_bytes: u64| {
            let memtable_bytes = self.experiment.memtable_bytes.saturating_mul(scale);
            let experiment = Experiment {
                memtable_bytes,
                device_bytes_per_second: device,
                read_block_bytes,
                ..self.experiment.clone()
            };
            experiment.run_with(picker(scale).as_ref(), controls)
        };
        let run = |scale, device| run_reading(scale, device, self.experiment.read_block_bytes);
        let device = self.experiment.device_bytes_per_second;
        if levels == 0 {
            let simulated = run(1, device)?;
            let own = Growing::of(&simulated);
            return Ok(findings(simulated, own, 1, 0));
        }
        // Both without limits on the device: what is compared must differ in nothing but its size.
        let larger = run(scale, None)?;
        let ratio = self.size_ratio.max(2);
        let small_scale = scale.saturating_mul(ratio);
        let (large, small) = (Growing::of(&larger), Growing::of(&run(small_scale, None)?));
        let smaller = Growing::of(&run(small_scale.saturating_mul(ratio), None)?);
        let cost = |large: Growing, small: Growing| large.write_amplification - small.write_amplification;
        let level_costs = [cost(large, small), cost(small, smaller)];
        let simulated = match device {
            None => larger,
            Some(device) => {
                let complete = large.plus(levels, small, large);
                let share = large.work / complete.work.max(f64::MIN_POSITIVE);
                let share = if large.work > 0.0 { share } else { 1.0 };
                let more_tables = complete.reads.present_reads / large.reads.present_reads.max(1.0);
                let block_bytes = self.experiment.read_block_bytes as f64 * share * more_tables;
                run_reading(scale, Some(device * share), block_bytes as u64)?
            }
        };
        let whole = Growing::of(&simulated).plus(levels, small, large);
        Ok(Findings { level_costs: Some(level_costs), ..findings(simulated, whole, scale, levels) })
    }
}

fn findings(simulated: Outcome, whole: Growing, scale: u64, levels_left_out: u32) -> Findings {
    let Growing { write_amplification, reads, .. } = whole;
    Findings { simulated, scale, levels_left_out, level_costs: None, write_amplification, reads }
}
