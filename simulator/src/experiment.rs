//! An experiment: a workload, a tree, a picker, and what is measured while the one is written into the other.
//!
//! *Phases.* Workloads that write keys again first load every key once, in order, then write `overwrites` times the data's size; the second half
//! of that is what is measured. Without a load, and for workloads in order, all is measured that comes after the first half.
//!
//! *Time.* Writers come at a steady rate and fill a memtable, which becomes a run of level 0 at once. Without a device all tasks are done between two
//! flushes, as on a machine without limits. With one, its bytes a second are shared: what writers fill their memtables with comes off
//! first, the rest is divided evenly among at most `jobs` running tasks, each of which reads its inputs and writes its outputs, unless a limiter holds them
//! back or those of level 0 go first. Writers are
//! slowed by a throttle of `terrace-throttle` as the engine slows them: it sees the picker's pressure and debt, and what was measured so far. The time that this
//! costs them is the stall time. The load is no part of it. Writers either come later when they were slowed, or keep to a [`Schedule`]: then what is due waits, is
//! caught up with as fast as device and throttle allow, and how late each write was is measured.
//!
//! *Reads* come with the writes, so many for each, and wait with them. On a device with a limit each look-up may read blocks from it, as many as the filter model
//! ([`ReadCost`]) says of the tree after the last flush, less what a cache holds. They come off before compaction gets the rest, as the flushes do; and where they are more than the device
//! bears, they and the writes come as fast as it bears them. What that costs the writers counts as stall time.
//!
//! *Time alone.* A picker that says when something will be due though nobody writes is asked again then, as the engine asks it, at most once a second.

use std::collections::BTreeMap;
use terrace_compaction::{CompactionPicker, PickContext, Shape, TableId};
use terrace_throttle::Load;

use crate::device::{Controls, Limit, Sharing};
use crate::reads::{ReadCost, count_vain_reads, read_cost};
use crate::schedule::{Delays, Recorder, Schedule};
use crate::tree::{Running, SimulateError, Tree};
use crate::workload::{Flush, Stream, Workload};

/// What is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What is written.
    pub workload: Workload,
    /// Bytes of the live data, once all keys are written.
    pub data_bytes: u64,
    /// Bytes of a key.
    pub key_bytes: u64,
    /// Bytes of a value.
    pub value_bytes: u64,
    /// Bytes of writes that become one flush.
    pub memtable_bytes: u64,
    /// By how much memtables differ after the load, as a share of `memtable_bytes`: the standard deviation, drawn evenly from `seed`. An engine's differ by about
    /// a hundredth, since what a write takes in memory is not what it takes in a table; that matters to policies that compare sizes closely.
    pub memtable_spread: f64,
    /// Of the sizes of memtables.
    pub seed: u64,
    /// Whether workloads that write keys again find them all there.
    pub load: bool,
    /// How many times the data's size is written after the load, or after the data's size for [`Workload::Time`].
    pub overwrites: f64,
    /// How fast writers come, in bytes a second.
    pub write_bytes_per_second: f64,
    /// What the device can read and write together, in bytes a second; `None` for a device without limits.
    pub device_bytes_per_second: Option<f64>,
    /// When writes are due, on a device with a limit; `None` for writers who come later when they were slowed.
    pub schedule: Option<Schedule>,
    /// Whether tasks that take from level 0 get of a device with a limit what they want, and deeper ones what is left.
    pub level0_first: bool,
    /// The most tasks at once; one on a device without limits.
    pub jobs: usize,
    /// Bits for each key in the filters.
    pub filter_bits_per_key: f64,
    /// Look-ups for each write, of keys drawn as often as they are written. Tables that they read in vain are told to the picker.
    pub reads_per_write: f64,
    /// Bytes that a look-up reads from a device with a limit for each table that its filters let it read; 0 for look-ups that cost no time.
    pub read_block_bytes: u64,
    /// The share of these blocks that a cache holds, from 0 to 1.
    pub cached_share: f64,
    /// Whether outputs may be cut where tables of the next level end, as the engine does.
    pub align_outputs: bool,
    /// How long nobody writes after the last write, in seconds.
    pub rest_seconds: f64,
    /// How many points in time are reported.
    pub samples: usize,
}

impl Default for Experiment {
    fn default() -> Self {
        Experiment {
            workload: Workload::Uniform,
            data_bytes: 100_000_000_000,
            key_bytes: 16,
            value_bytes: 100,
            memtable_bytes: 64 << 20,
            memtable_spread: 0.0,
            seed: 0,
            load: true,
            overwrites: 2.0,
            write_bytes_per_second: 50e6,
            device_bytes_per_second: None,
            schedule: None,
            level0_first: false,
            jobs: 4,
            filter_bits_per_key: 10.0,
            reads_per_write: 0.0,
            read_block_bytes: 0,
            cached_share: 0.0,
            align_outputs: true,
            rest_seconds: 0.0,
            samples: 40,
        }
    }
}

/// Bytes that went to and fro.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Bytes that users wrote.
    pub user_bytes: f64,
    /// Bytes written by flushes.
    pub flushed_bytes: f64,
    /// Bytes written by merges.
    pub merged_bytes: f64,
    /// Bytes read by merges.
    pub read_bytes: f64,
    /// Bytes read by look-ups, on a device with a limit.
    pub lookup_bytes: f64,
    /// Bytes of tables that were given another place without being written.
    pub moved_bytes: f64,
    /// Bytes of tables that were removed without being read.
    pub dropped_bytes: f64,
    /// Tasks begun.
    pub tasks: u64,
}

impl Traffic {
    /// Bytes written by flushes and merges for each byte that users wrote; the log is not counted.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        (self.flushed_bytes + self.merged_bytes) / self.user_bytes.max(1.0)
    }

    fn since(&self, before: &Traffic) -> Traffic {
        Traffic {
            user_bytes: self.user_bytes - before.user_bytes,
            flushed_bytes: self.flushed_bytes - before.flushed_bytes,
            merged_bytes: self.merged_bytes - before.merged_bytes,
            read_bytes: self.read_bytes - before.read_bytes,
            lookup_bytes: self.lookup_bytes - before.lookup_bytes,
            moved_bytes: self.moved_bytes - before.moved_bytes,
            dropped_bytes: self.dropped_bytes - before.dropped_bytes,
            tasks: self.tasks - before.tasks,
        }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Bytes that users have written, the load not counted.
    pub user_bytes: f64,
    /// The time since the load, in seconds.
    pub seconds: f64,
    /// Write amplification since the sample before.
    pub write_amplification: f64,
    /// Bytes of all tables over bytes of the live keys in their newest versions.
    pub space_amplification: f64,
    /// The same at its greatest since the sample before, outputs of running tasks counted.
    pub space_amplification_max: f64,
    /// What reads cost.
    pub reads: ReadCost,
    /// The age of the oldest tombstone, in seconds; 0 without any.
    pub tombstone_seconds: f64,
    /// Bytes that wait to be merged, as the picker says; the greatest since the sample before.
    pub debt_bytes: u64,
    /// The time that writers lost so far to pressure, and to look-ups that the device does not bear, in seconds.
    pub stalled_seconds: f64,
    /// Of it, the time that they stood still.
    pub stopped_seconds: f64,
    /// Levels in use, level 0 included.
    pub levels: usize,
    /// Tables.
    pub tables: usize,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The picker's name.
    pub picker: String,
    /// The throttle's name.
    pub throttle: String,
    /// The limiter's name, if there was one.
    pub limiter: Option<String>,
    /// Points in time, evenly spaced in bytes written.
    pub samples: Vec<Sample>,
    /// Bytes that went to and fro while it was measured.
    pub measured: Traffic,
    /// The mean of the samples while it was measured; of stalls, debt and `space_amplification_max` the greatest of all, of
    /// `tombstone_seconds` that of those.
    pub mean: Sample,
    /// The point in time after [`Experiment::rest_seconds`], if there are any, with the write amplification of all since the load.
    pub rested: Option<Sample>,
    /// How late writes were that had a schedule.
    pub delays: Delays,
    /// The longest time that writers stood still at a stretch, in seconds.
    pub longest_stop_seconds: f64,
    /// The tree at the end.
    pub shape: Shape,
}

/// Tasks after one flush, for a device without limits; a picker that needs more finds no end.
const TASKS_MAX: u64 = 100_000;
/// However fast writers are, this share of the device is left to compaction.
const DEVICE_SHARE_MIN: f64 = 0.05;
/// Writers who lag no further than this behind their schedule, in bytes, do not lag.
const LAG_MIN: f64 = 1.0;
/// A limiter is asked again after so many seconds at the latest.
const ASK_SECONDS: f64 = 1.0;
/// Never so short a step that time stands still.
const STEP_SECONDS_MIN: f64 = 1e-6;

impl Experiment {
    /// Bytes of a version that is a value.
    #[must_use]
    pub fn entry_bytes(&self) -> u64 {
        (self.key_bytes + self.value_bytes).max(1)
    }

    /// Bytes that are written once the tree is loaded, or in all for workloads in order.
    fn stream_bytes(&self) -> f64 {
        let data = self.data_bytes.max(1) as f64;
        match self.workload {
            Workload::Sequential => data,
            Workload::Time => data * (1.0 + self.overwrites.max(0.0)),
            _ => data * self.overwrites.max(0.0),
        }
    }

    /// Lets the picker keep the tree while the workload is written.
    ///
    /// # Errors
    ///
    /// When the picker breaks a law of its trait.
    pub fn run(&self, picker: &dyn CompactionPicker) -> Result<Outcome, SimulateError> {
        self.run_with(picker, Controls::default())
    }

    /// The same with writers and merges slowed by these, which matters on a device with a limit.
    ///
    /// # Errors
    ///
    /// As [`Experiment::run`].
    pub fn run_with(
        &self,
        picker: &dyn CompactionPicker,
        controls: Controls<'_>,
    ) -> Result<Outcome, SimulateError> {
        let total = self.stream_bytes();
        let entry_bytes = (self.entry_bytes() as f64, self.key_bytes.max(1) as f64);
        let memtable = (self.memtable_bytes.max(1) as f64).min(self.data_bytes.max(1) as f64);
        let data = self.data_bytes.max(1) as f64;
        let mut stream = Stream::new(self.workload, entry_bytes, data, total, memtable)
            .with_spread(self.memtable_spread, self.seed);
        let tree = Tree::new(stream.keys.clone(), self.align_outputs);
        let mut course = Course::new(self, (picker, controls), tree, stream.popularity.clone());
        if self.load && self.workload.overwrites() {
            course.device = None;
            while let Some(flush) = stream.load() {
                course.write(flush)?;
            }
            course.device = self.device_bytes_per_second;
            course.forget();
        }
        course.finish_stream(&mut stream, total)
    }
}

/// How fast writers go.
struct Pace {
    bytes_per_second: f64,
    /// How long that stays so, should no task be done first.
    stays: f64,
    stopped: bool,
    /// The share of the time that counts as lost.
    lags: f64,
}

/// An experiment on its way.
struct Course<'a> {
    experiment: &'a Experiment,
    picker: &'a dyn CompactionPicker,
    controls: Controls<'a>,
    limit: Limit,
    tree: Tree,
    /// For each class of keys its share of the reads.
    popularity: Vec<f64>,
    /// For each table how often it was read in vain so far.
    vain_reads: BTreeMap<TableId, f64>,
    device: Option<f64>,
    /// Bytes that look-ups read from the device for each byte written.
    lookup_bytes_per_byte: f64,
    /// When the picker asked to be asked again.
    look_again_unix_seconds: Option<u64>,
    running: Vec<(Running, f64)>,
    /// Bytes of the outputs of running tasks.
    running_bytes: u64,
    pressure: f64,
    debt_bytes: u64,
    /// Until the load was done, and since.
    load_seconds: f64,
    seconds: f64,
    stalled_seconds: f64,
    stopped_seconds: f64,
    /// The time that writers stand still so far, and the longest of such times.
    stop_seconds: f64,
    longest_stop_seconds: f64,
    /// What writers with a schedule have written, and how late.
    scheduled_bytes: f64,
    delays: Recorder,
    /// Seconds in which a task ran, and what was flushed and merged in them.
    working_seconds: f64,
    merged_inputs_bytes: f64,
    traffic: Traffic,
    debt_bytes_max: u64,
    space_bytes_max: u64,
}

impl<'a> Course<'a> {
    fn new(
        experiment: &'a Experiment,
        (picker, controls): (&'a dyn CompactionPicker, Controls<'a>),
        tree: Tree,
        popularity: Vec<f64>,
    ) -> Self {
        Course {
            experiment,
            picker,
            controls,
            limit: Limit::default(),
            tree,
            popularity,
            vain_reads: BTreeMap::new(),
            device: experiment.device_bytes_per_second.filter(|bytes| *bytes > 0.0),
            lookup_bytes_per_byte: 0.0,
            look_again_unix_seconds: None,
            running: Vec::new(),
            running_bytes: 0,
            pressure: 0.0,
            debt_bytes: 0,
            load_seconds: 0.0,
            seconds: 0.0,
            stalled_seconds: 0.0,
            stopped_seconds: 0.0,
            stop_seconds: 0.0,
            longest_stop_seconds: 0.0,
            scheduled_bytes: 0.0,
            delays: Recorder::default(),
            working_seconds: 0.0,
            merged_inputs_bytes: 0.0,
            traffic: Traffic::default(),
            debt_bytes_max: 0,
            space_bytes_max: 0,
        }
    }

    /// Counts from zero again.
    fn forget(&mut self) {
        self.traffic = Traffic::default();
        self.load_seconds += self.seconds;
        (self.seconds, self.stalled_seconds, self.stopped_seconds) = (0.0, 0.0, 0.0);
        (self.working_seconds, self.merged_inputs_bytes) = (0.0, 0.0);
        (self.stop_seconds, self.longest_stop_seconds) = (0.0, 0.0);
        (self.debt_bytes_max, self.space_bytes_max) = (0, 0);
    }

    /// Writes the stream to its end or for `total` bytes, and measures.
    fn finish_stream(mut self, stream: &mut Stream, total: f64) -> Result<Outcome, SimulateError> {
        let samples_wanted = self.experiment.samples.max(2);
        let mut outcome = Outcome {
            picker: self.picker.name().to_owned(),
            throttle: self.controls.throttle.name().to_owned(),
            limiter: self.controls.limiter.map(|limiter| limiter.name().to_owned()),
            ..Outcome::default()
        };
        let (mut before, mut at_half) = (Traffic::default(), Traffic::default());
        let mut half_samples = 0;
        self.price_lookups(stream);
        while self.traffic.user_bytes < total * (1.0 - 1e-9) {
            let Some(flush) = stream.next() else { break };
            self.write(flush)?;
            self.price_lookups(stream);
            let due = total * (outcome.samples.len() + 1) as f64 / samples_wanted as f64;
            if self.traffic.user_bytes < due * (1.0 - 1e-9) {
                continue;
            }
            outcome.samples.push(self.sample(stream, &before));
            before = self.traffic;
            if self.traffic.user_bytes <= total * 0.5 {
                (at_half, half_samples) = (self.traffic, outcome.samples.len());
            }
        }
        outcome.measured = self.traffic.since(&at_half);
        outcome.mean = mean(&outcome.samples, half_samples);
        outcome.mean.write_amplification = outcome.measured.write_amplification();
        outcome.longest_stop_seconds = self.longest_stop_seconds;
        if self.experiment.rest_seconds > 0.0 {
            self.rest(self.experiment.rest_seconds)?;
            outcome.rested = Some(self.sample(stream, &Traffic::default()));
        }
        outcome.delays = self.delays.delays();
        outcome.shape = self.tree.shape;
        Ok(outcome)
    }

    fn sample(&mut self, stream: &Stream, before: &Traffic) -> Sample {
        let live = stream.live_bytes().max(1.0);
        let bytes = self.tree.file_bytes();
        let shape = &self.tree.shape;
        let sample = Sample {
            user_bytes: self.traffic.user_bytes,
            seconds: self.seconds,
            write_amplification: self.traffic.since(before).write_amplification(),
            space_amplification: bytes as f64 / live,
            space_amplification_max: self.space_bytes_max.max(bytes) as f64 / live,
            reads: read_cost(&self.tree, stream, self.experiment.filter_bits_per_key),
            tombstone_seconds: self.tombstone_seconds(),
            debt_bytes: self.debt_bytes_max,
            stalled_seconds: self.stalled_seconds,
            stopped_seconds: self.stopped_seconds,
            levels: shape.levels.iter().filter(|level| !level.runs.is_empty()).count(),
            tables: shape.tables().count(),
        };
        (self.debt_bytes_max, self.space_bytes_max) = (0, 0);
        sample
    }

    /// Fills a memtable, flushes it, and compacts: all there is to do on a device without limits, else what starts now.
    fn write(&mut self, flush: Flush) -> Result<(), SimulateError> {
        self.fill(flush.user_bytes)?;
        self.traffic.user_bytes += flush.user_bytes;
        let now = self.now_unix_seconds();
        self.traffic.flushed_bytes += self.tree.flush(flush.pieces, now) as f64;
        self.read(flush.user_bytes);
        self.start_tasks(self.jobs()).map(drop)
    }

    /// Looks keys up in the tree as it is after a flush, as many as there were writes for it.
    fn read(&mut self, user_bytes: f64) {
        let lookups = user_bytes / self.experiment.entry_bytes() as f64 * self.experiment.reads_per_write;
        if lookups > 0.0 {
            let bits = self.experiment.filter_bits_per_key;
            count_vain_reads(&self.tree, &self.popularity, bits, lookups, &mut self.vain_reads);
        }
    }

    fn tombstone_seconds(&self) -> f64 {
        let oldest = self.tree.shape.tables().filter_map(|(_, table)| table.oldest_tombstone()).min();
        oldest.map_or(0.0, |oldest| self.now_unix_seconds().saturating_sub(oldest) as f64)
    }

    /// The tree's clock, by which tables have ages; a policy has none of its own.
    fn now_unix_seconds(&self) -> u64 {
        (self.load_seconds + self.seconds) as u64
    }

    /// What look-ups read of the tree as it is.
    fn price_lookups(&mut self, stream: &Stream) {
        let Experiment { reads_per_write, read_block_bytes, cached_share, filter_bits_per_key, .. } =
            *self.experiment;
        let block_bytes = read_block_bytes as f64 * (1.0 - cached_share.clamp(0.0, 1.0));
        if block_bytes > 0.0 && reads_per_write > 0.0 && self.tree.shape.runs().next().is_some() {
            let tables = read_cost(&self.tree, stream, filter_bits_per_key).present_reads;
            let lookups_per_byte = reads_per_write / self.experiment.entry_bytes() as f64;
            self.lookup_bytes_per_byte = lookups_per_byte * tables * block_bytes;
        }
    }

    /// Lets time pass until writers have brought so many bytes.
    fn fill(&mut self, user_bytes: f64) -> Result<(), SimulateError> {
        let rate = self.experiment.write_bytes_per_second.max(1.0);
        let Some(device) = self.device else { return self.rest(user_bytes / rate) };
        let mut left = user_bytes;
        while left > 0.0 {
            let Pace { bytes_per_second: pace, stays, stopped, lags } = self.pace(device, rate);
            let speeds = self.speeds(device, pace);
            let until_full = if pace > 0.0 { left / pace } else { f64::INFINITY };
            let passed = until_full.min(self.until_next(&speeds)).min(stays);
            if let Some(schedule) = self.experiment.schedule {
                // Who keeps up is not late; at the end of a burst, when the last byte was due says nothing of the next.
                let late = |course: &Self| match course.lag(schedule, rate) > LAG_MIN {
                    true => course.seconds - schedule.due_seconds(rate, course.scheduled_bytes),
                    false => 0.0,
                };
                let before = late(self);
                self.seconds += passed;
                self.scheduled_bytes += passed * pace;
                let after = late(self);
                self.delays.record(before, after, passed * pace);
            } else {
                self.seconds += passed;
            }
            self.traffic.lookup_bytes += passed * pace * self.lookup_bytes_per_byte;
            self.stop_seconds = if stopped { self.stop_seconds + passed } else { 0.0 };
            self.longest_stop_seconds = self.longest_stop_seconds.max(self.stop_seconds);
            self.stopped_seconds += if stopped { passed } else { 0.0 };
            self.stalled_seconds += passed * lags;
            left = if until_full <= passed { 0.0 } else { left - passed * pace };
            self.work(passed, &speeds)?;
        }
        Ok(())
    }

    /// Lets time pass without writes, or with writes that nothing hinders.
    fn rest(&mut self, seconds: f64) -> Result<(), SimulateError> {
        let until = self.seconds + seconds;
        while self.seconds < until {
            let speeds = self.device.map_or_else(Vec::new, |device| self.speeds(device, 0.0));
            let passed = self.until_next(&speeds);
            if self.seconds + passed >= until {
                let passed = until - self.seconds;
                self.seconds = until;
                return self.work(passed, &speeds);
            }
            self.seconds += passed;
            self.work(passed, &speeds)?;
        }
        Ok(())
    }

    /// The time until a task is done, the limiter is asked or the picker wants to be, if tasks go this fast.
    fn until_next(&self, speeds: &[(f64, f64)]) -> f64 {
        let limited = self.controls.limiter.is_some() && !speeds.is_empty();
        let now = self.load_seconds + self.seconds;
        let until_asked =
            self.look_again_unix_seconds.map_or(f64::INFINITY, |at| (at as f64 - now).max(STEP_SECONDS_MIN));
        until_done(&self.running, speeds).min(until_asked).min(if limited {
            ASK_SECONDS
        } else {
            f64::INFINITY
        })
    }

    /// So much time has passed: tasks went on, and what is due now is done.
    fn work(&mut self, passed: f64, speeds: &[(f64, f64)]) -> Result<(), SimulateError> {
        let (running, held) = (speeds.len() as f64, held_tasks(speeds));
        self.working_seconds += if speeds.is_empty() { 0.0 } else { passed * (1.0 - held / running) };
        self.limit.pass(passed, held / self.experiment.jobs.max(1) as f64);
        let is_done = until_done(&self.running, speeds) <= passed;
        for ((_, work), (speed, _)) in self.running.iter_mut().zip(speeds) {
            *work = if *work / speed <= passed { 0.0 } else { *work - passed * speed };
        }
        if is_done {
            self.finish_done()?;
        }
        match self.look_again_unix_seconds {
            Some(at) if at <= self.now_unix_seconds() => self.start_tasks(self.jobs()).map(drop),
            _ => Ok(()),
        }
    }

    /// How fast each task goes, and how fast it would without a limiter, when writers write `pace` bytes a second and look up what comes with them.
    fn speeds(&mut self, device: f64, pace: f64) -> Vec<(f64, f64)> {
        let users = pace * (1.0 + self.lookup_bytes_per_byte);
        let left = (device - users).max(device * DEVICE_SHARE_MIN);
        let limit = self.controls.limiter.and_then(|limiter| {
            let operations = 1.0 + self.experiment.reads_per_write.max(0.0);
            let user_operations_per_second = pace / self.experiment.entry_bytes() as f64 * operations;
            let load = Load { user_operations_per_second, ..self.load() };
            self.limit.ask(limiter, &load)
        });
        let Experiment { jobs, level0_first, .. } = *self.experiment;
        Sharing { jobs, level0_first }.speeds(left, &self.running, limit)
    }

    /// How fast writers go under the load of the moment, those that write `rate` bytes a second when nothing hinders them.
    fn pace(&self, device: f64, rate: f64) -> Pace {
        let charge = self.controls.throttle.charge(&self.load());
        // Work that no running task can end holds nobody.
        let stopped = charge.stop && !self.running.is_empty();
        let affordable =
            if charge.seconds_per_byte > 0.0 { 1.0 / charge.seconds_per_byte } else { f64::INFINITY };
        let Some(schedule) = self.experiment.schedule else {
            // Each pays on top of the time that it takes anyhow.
            let paid = 1.0 / (1.0 / rate + 1.0 / affordable);
            let borne = if self.lookup_bytes_per_byte > 0.0 { self.borne(device) } else { f64::INFINITY };
            let pace = if stopped { 0.0 } else { paid.min(borne) };
            return Pace { bytes_per_second: pace, stays: f64::INFINITY, stopped, lags: 1.0 - pace / rate };
        };
        let (arriving, changes) = schedule.rate(rate, self.seconds);
        let lag = self.lag(schedule, rate);
        let lags = if lag > LAG_MIN || stopped { 1.0 } else { 0.0 };
        let most = affordable.min(self.borne(device));
        let (pace, stays) = match lag > LAG_MIN {
            _ if stopped => (0.0, f64::INFINITY),
            true if most > arriving => (most, changes.min(lag / (most - arriving))),
            true => (most, changes),
            false => (arriving.min(most), changes),
        };
        Pace { bytes_per_second: pace, stays: stays.max(STEP_SECONDS_MIN), stopped, lags }
    }

    /// The most bytes a second that writers can write, with the look-ups that come with them.
    fn borne(&self, device: f64) -> f64 {
        device * (1.0 - DEVICE_SHARE_MIN) / (1.0 + self.lookup_bytes_per_byte)
    }

    /// The most tasks at once.
    fn jobs(&self) -> usize {
        if self.device.is_some() { self.experiment.jobs.max(1) } else { 1 }
    }

    /// Bytes that are due and not yet written.
    fn lag(&self, schedule: Schedule, rate: f64) -> f64 {
        schedule.due_bytes(rate, self.seconds) - self.scheduled_bytes
    }

    fn load(&self) -> Load {
        let measured =
            |bytes: f64| (self.working_seconds > 1.0 && bytes > 0.0).then(|| bytes / self.working_seconds);
        Load {
            pressure: self.pressure,
            debt_bytes: self.debt_bytes,
            level0_runs: self.tree.shape.runs_of(0).len(),
            working: !self.running.is_empty(),
            absorbed_per_second: measured(self.traffic.flushed_bytes),
            merged_per_second: measured(self.merged_inputs_bytes),
            // Hours of the day begin with the schedule of the writers.
            unix_seconds: self.seconds as u64,
            ..Load::default()
        }
    }

    /// Finishes the tasks with nothing left to do, and starts others.
    fn finish_done(&mut self) -> Result<(), SimulateError> {
        let mut index = 0;
        while index < self.running.len() {
            if self.running[index].1 <= 0.5 {
                let (running, _) = self.running.remove(index);
                self.finish(running)?;
            } else {
                index += 1;
            }
        }
        self.start_tasks(self.jobs()).map(drop)
    }

    fn finish(&mut self, running: Running) -> Result<(), SimulateError> {
        self.running_bytes -= running.written_bytes;
        self.merged_inputs_bytes += running.read_bytes as f64;
        self.tree.finish(running)?;
        // A table that was given another place keeps its count, as in the engine.
        self.vain_reads.retain(|id, _| self.tree.contents.contains_key(id));
        Ok(())
    }

    /// Starts tasks up to `jobs` in all; how many. Those that only give tables another place are done at once, and on a device without limits all are.
    fn start_tasks(&mut self, jobs: usize) -> Result<u64, SimulateError> {
        let mut started = 0;
        loop {
            let wanted = jobs.saturating_sub(self.running.len());
            let now_unix_seconds = self.now_unix_seconds();
            let context = PickContext {
                busy: self.tree.busy.clone(),
                now_unix_seconds,
                tasks_max: wanted,
                vain_reads: self.vain_reads.iter().map(|(id, reads)| (*id, *reads as u64)).collect(),
                ..PickContext::default()
            };
            let plan = self.picker.pick(&self.tree.shape, &context);
            (self.pressure, self.debt_bytes) = (plan.pressure, plan.debt_bytes);
            self.look_again_unix_seconds =
                plan.look_again_unix_seconds.map(|at| at.max(now_unix_seconds + 1));
            self.debt_bytes_max = self.debt_bytes_max.max(plan.debt_bytes);
            for task in plan.tasks.iter().take(wanted) {
                let running = self.tree.start(task, now_unix_seconds)?;
                self.count(&running);
                started += 1;
                let work = (running.read_bytes + running.written_bytes) as f64;
                self.running.push((running, if self.device.is_some() { work } else { 0.0 }));
            }
            let running = core::mem::take(&mut self.running);
            let (done, running): (Vec<_>, _) = running.into_iter().partition(|(_, work)| *work == 0.0);
            self.running = running;
            if done.is_empty() {
                return Ok(started);
            }
            for (running, _) in done {
                self.finish(running)?;
            }
            if started > TASKS_MAX {
                return Err(SimulateError::NoEnd { tasks: started });
            }
        }
    }

    fn count(&mut self, running: &Running) {
        self.traffic.tasks += 1;
        self.traffic.read_bytes += running.read_bytes as f64;
        self.traffic.merged_bytes += running.written_bytes as f64;
        self.traffic.moved_bytes += running.moved_bytes as f64;
        self.traffic.dropped_bytes += running.dropped_bytes as f64;
        self.running_bytes += running.written_bytes;
        let space = self.tree.file_bytes() + self.running_bytes;
        self.space_bytes_max = self.space_bytes_max.max(space);
    }
}

/// The time until the first task is done, if tasks go this fast.
fn until_done(running: &[(Running, f64)], speeds: &[(f64, f64)]) -> f64 {
    core::iter::zip(running, speeds).map(|((_, work), (speed, _))| work / speed).fold(f64::INFINITY, f64::min)
}

/// How many tasks a limiter keeps from working, by the time that they would have needed without it.
fn held_tasks(speeds: &[(f64, f64)]) -> f64 {
    speeds.iter().map(|(speed, free)| (1.0 - speed / free).max(0.0)).sum()
}

/// The mean of the samples from `from` on, or the greatest of all where a mean says nothing.
fn mean(samples: &[Sample], from: usize) -> Sample {
    let measured = &samples[from.min(samples.len())..];
    let count = measured.len().max(1) as f64;
    let of = |figure: fn(&Sample) -> f64| measured.iter().map(figure).sum::<f64>() / count;
    let most = |figure: fn(&Sample) -> f64| samples.iter().map(figure).fold(0.0, f64::max);
    let last = samples.last().copied().unwrap_or_default();
    Sample {
        write_amplification: of(|sample| sample.write_amplification),
        space_amplification: of(|sample| sample.space_amplification),
        space_amplification_max: most(|sample| sample.space_amplification_max),
        reads: ReadCost {
            runs: of(|sample| sample.reads.runs),
            absent_reads: of(|sample| sample.reads.absent_reads),
            present_reads: of(|sample| sample.reads.present_reads),
        },
        tombstone_seconds: measured.iter().map(|sample| sample.tombstone_seconds).fold(0.0, f64::max),
        debt_bytes: samples.iter().map(|sample| sample.debt_bytes).max().unwrap_or(0),
        ..last
    }
}
