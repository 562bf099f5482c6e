//! Whether the simulator tells the truth: a real load and its simulation, side by side.
//!
//! A policy keeps a real engine's tree while every key is written once, in order, and then keys drawn evenly are written again, `overwrites` times the data's
//! size. The simulator does the same with the same policy, as much data and memtables that hold as many writes.
//!
//! *What is counted.* Bytes of tables, for each byte that the writes take in a table when each is written once: so the engine's framing, filters and indexes are in
//! both. What an entry takes, and how many writes a memtable holds, is measured on the engine first, from some memtables of drawn keys. There is no log and no
//! compression.
//!
//! *What is measured* is all that comes after the load, and not its later half alone: a policy that merges much at once does so few times, and one such merge on this or
//! that side of an edge would outweigh what is to be found out. Tables are not too small, since what each takes beside its entries is not modelled: some hundreds of
//! bytes, so that memtables of 32 KiB make a leveled tree cost a fifth more than simulated.
//!
//! *At rest.* By default the writer waits, sixteen times for each memtable, until the policy has no task left: the simulator on a device without limits does so after
//! each flush. Without waiting, merges and flushes overlap as they happen to, which the simulation does not know.
//!
//! *Sizes.* Memtables are full by what their writes take in memory, so they differ by a hundredth or so in a table; the simulator's differ as much. What
//! `universal` writes depends on such differences, since it compares sizes to a hundredth: several seeds tell what it writes, one seed does not.
//!
//! *Time* is that of the workload: the clock moves with the writes, so that windows of time are the same in both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use terrace::{AnyPolicy, Clock, Durability, Engine, Executor, Options, SimClock, SimExecutor, ThreadPool};
use terrace_compaction::stock::{Make, Sizes};
use terrace_memtable::BTreeMemTable;
use terrace_simulator::{Experiment, Sample, Workload};
use terrace_sstable::Compression;
use terrace_vfs::{MemVfs, RealVfs, Vfs};
use terrace_wal::LogKind;

use crate::random::Rng;

/// A load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Keys.
    pub keys: u64,
    /// How many times each key is overwritten, on average.
    pub overwrites: f64,
    /// Memory of a memtable; everything else grows with it.
    pub memtable_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Whether the writer waits until the policy is at ease.
    pub at_rest: bool,
    /// Of the keys drawn.
    pub seed: u64,
}

impl Load {
    /// A load of so many bytes of keys and values in all, of which each pair takes 116, in memtables of this size.
    #[must_use]
    pub fn of_bytes(bytes: u64, memtable_bytes: usize) -> Self {
        let (overwrites, value_bytes) = (2.0, 100);
        let pairs = bytes / (KEY_BYTES + value_bytes) as u64;
        let keys = (pairs as f64 / (1.0 + overwrites)) as u64;
        Load { keys: keys.max(1), overwrites, memtable_bytes, value_bytes, at_rest: true, seed: 1 }
    }
}

/// What was measured, or simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Bytes written to tables for each byte that the writes take.
    pub write_amplification: f64,
    /// Bytes of tables for each byte that the newest versions of the live keys take: the mean over all flushes measured.
    pub space_amplification: f64,
}

/// Both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// The engine's.
    pub real: Figures,
    /// The simulator's.
    pub simulated: Figures,
}

impl Agreement {
    /// How far the simulation is from the truth: the larger of two deviations, as a share.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let [write, space] = self.ratios();
        (write - 1.0).abs().max((space - 1.0).abs())
    }

    /// Simulated over real: write amplification and space amplification.
    #[must_use]
    pub fn ratios(&self) -> [f64; 2] {
        [
            self.simulated.write_amplification / self.real.write_amplification,
            self.simulated.space_amplification / self.real.space_amplification,
        ]
    }
}

const KEY_BYTES: usize = 16;
/// In how many parts a memtable is written, with a wait after each.
const PARTS_OF_MEMTABLE: f64 = 16.0;
/// Seconds of the workload in which as much is written as there are live data.
const TURNOVER_SECONDS: f64 = 2000.0;
/// Flushes from which the sizes are measured.
const FLUSHES_MEASURED: u64 = 32;
/// Points in time of the simulation; it says the mean over those measured.
const SAMPLES: usize = 400;

type Db = Engine<AnyPolicy<BTreeMemTable>>;

/// What the engine makes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Measured {
    /// Bytes of a table that a pair takes.
    entry_bytes: f64,
    /// Writes until a memtable is full.
    memtable_writes: f64,
    /// By how much that differs, as a share: the standard deviation.
    memtable_spread: f64,
}

impl Measured {
    /// Bytes of a table that holds a memtable without two writes of one key.
    fn memtable_bytes(&self) -> u64 {
        (self.entry_bytes * self.memtable_writes) as u64
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            memtable_bytes: self.memtable_bytes(),
            table_bytes: self.memtable_bytes(),
            turnover_seconds: TURNOVER_SECONDS as u64,
            ..Sizes::default()
        }
    }
}

/// Loads an engine in `folder` (in memory without one) and simulates the same.
///
/// # Errors
///
/// The engine's, or that the policy breaks a law of its trait, in words.
pub fn agree(load: &Load, make: Make, folder: Option<&Path>) -> Result<Agreement, String> {
    let measured = measure(load).map_err(|error| error.to_string())?;
    let real = Real::run(load, &measured, make, folder).map_err(|error| error.to_string())?;
    Ok(Agreement { real, simulated: simulate(load, &measured, make)? })
}

fn options(load: &Load, measured: Option<&Measured>) -> Options {
    let table_bytes = measured.map_or(load.memtable_bytes as u64, Measured::memtable_bytes);
    let defaults = Options::default();
    Options {
        memtable_bytes: load.memtable_bytes,
        memory_bytes: defaults.memory_bytes.max(16 * load.memtable_bytes as u64),
        table_bytes,
        compression: vec![Compression::None],
        durability: Durability::Off,
        log: LogKind::Null,
        background_threads: 1,
        ..defaults
    }
}

/// Keys lie evenly over all numbers of 64 bits, as the simulator has them.
fn key(number: u64, keys: u64) -> [u8; KEY_BYTES] {
    let place = (u128::from(number) << 64) / u128::from(keys);
    let mut key = [b'k'; KEY_BYTES];
    key[..8].copy_from_slice(&(place as u64).to_be_bytes());
    key
}

fn measure(load: &Load) -> terrace::Result<Measured> {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    let executor = Arc::new(SimExecutor::new(1, Arc::clone(&clock)));
    let options = Options { compaction: false, ..options(load, None) };
    let db = Db::builder("/measured")
        .options(options)
        .vfs(Arc::new(MemVfs::new()))
        .clock(clock)
        .executor(executor)
        .open()?;
    let mut rng = Rng::new(load.seed, 1);
    let (mut value, mut begun, mut writes) = (vec![0; load.value_bytes], None, 0_u64);
    // Writes at which each memtable was full.
    let mut full_at: Vec<f64> = Vec::new();
    loop {
        // Each key once, so that none replaces another: drawn from far more keys than are written.
        fill(&mut value, &mut rng);
        db.put(key(rng.next_u64() >> 8, 1 << 56), &value)?;
        writes += 1;
        db.wait_for_background()?;
        let stats = db.stats();
        if stats.flushes > full_at.len() as u64 {
            full_at.push(writes as f64);
        }
        match begun {
            None if stats.flushes == 1 => begun = Some((writes, stats.flush_bytes)),
            Some((from, bytes)) if stats.flushes == 1 + FLUSHES_MEASURED => {
                let (writes, bytes) = ((writes - from) as f64, (stats.flush_bytes - bytes) as f64);
                let memtable_writes = writes / FLUSHES_MEASURED as f64;
                let off = |pair: &[f64]| ((pair[1] - pair[0]) / memtable_writes - 1.0).powi(2);
                let variance = full_at.windows(2).map(off).sum::<f64>() / FLUSHES_MEASURED as f64;
                let (entry_bytes, memtable_spread) = (bytes / writes, variance.sqrt());
                return Ok(Measured { entry_bytes, memtable_writes, memtable_spread });
            }
            _ => {}
        }
    }
}

fn fill(value: &mut [u8], rng: &mut Rng) {
    for chunk in value.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next_u64().to_le_bytes()[..chunk.len()]);
    }
}

/// A real load on its way.
struct Real<'a> {
    load: &'a Load,
    measured: &'a Measured,
    db: Db,
    clock: Arc<SimClock>,
    rng: Rng,
    value: Vec<u8>,
    /// Writes so far, and at the last pause.
    writes: f64,
    paused_at: f64,
    sampled_at: f64,
}

impl<'a> Real<'a> {
    fn run(
        load: &'a Load,
        measured: &'a Measured,
        make: Make,
        folder: Option<&Path>,
    ) -> terrace::Result<Figures> {
        let clock = Arc::new(SimClock::new());
        let seen: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let (vfs, executor): (Arc<dyn Vfs>, Arc<dyn Executor>) = match folder {
            Some(_) => (Arc::new(RealVfs::new()), Arc::new(ThreadPool::new(1, Arc::clone(&seen)))),
            None => (Arc::new(MemVfs::new()), Arc::new(SimExecutor::new(load.seed, Arc::clone(&seen)))),
        };
        let db = Db::builder(folder.unwrap_or(Path::new("/load")))
            .options(options(load, Some(measured)))
            .picker(make(&measured.sizes()))
            .vfs(vfs)
            .clock(seen)
            .executor(executor)
            .open()?;
        let (rng, value) = (Rng::new(load.seed, 2), vec![0; load.value_bytes]);
        let (writes, paused_at, sampled_at) = (0.0, 0.0, 0.0);
        Real { load, measured, db, clock, rng, value, writes, paused_at, sampled_at }.figures()
    }

    fn figures(mut self) -> terrace::Result<Figures> {
        let keys = self.load.keys;
        for number in 0..keys {
            self.put(number)?;
        }
        let overwrites = (keys as f64 * self.load.overwrites) as u64;
        self.rest()?;
        let written = |db: &Db| {
            let stats = db.stats();
            stats.flush_bytes + stats.compaction_written_bytes
        };
        let before = written(&self.db);
        let mut spaces = Vec::new();
        for _ in 0..overwrites {
            let number = self.rng.below(keys);
            self.put(number)?;
            if self.writes - self.sampled_at >= self.measured.memtable_writes {
                self.sampled_at = self.writes;
                spaces.push(self.db.stats().table_bytes as f64);
            }
        }
        self.rest()?;
        let taken = overwrites as f64 * self.measured.entry_bytes;
        let live = keys as f64 * self.measured.entry_bytes;
        Ok(Figures {
            write_amplification: (written(&self.db) - before) as f64 / taken,
            space_amplification: spaces.iter().sum::<f64>() / spaces.len().max(1) as f64 / live,
        })
    }

    fn put(&mut self, number: u64) -> terrace::Result<()> {
        fill(&mut self.value, &mut self.rng);
        self.db.put(key(number, self.load.keys), &self.value)?;
        self.writes += 1.0;
        let part = self.measured.memtable_writes / PARTS_OF_MEMTABLE;
        if self.writes - self.paused_at >= part {
            let passed = TURNOVER_SECONDS * (self.writes - self.paused_at) / self.load.keys as f64;
            self.clock.advance(Duration::from_secs_f64(passed));
            self.paused_at = self.writes;
            if self.load.at_rest {
                self.rest()?;
            }
        }
        Ok(())
    }

    fn rest(&self) -> terrace::Result<()> {
        self.db.wait_for_background()
    }
}

fn simulate(load: &Load, measured: &Measured, make: Make) -> Result<Figures, String> {
    let data_bytes = load.keys as f64 * measured.entry_bytes;
    let experiment = Experiment {
        workload: Workload::Uniform,
        data_bytes: data_bytes as u64,
        key_bytes: 0,
        value_bytes: measured.entry_bytes.round() as u64,
        memtable_bytes: measured.memtable_bytes(),
        memtable_spread: measured.memtable_spread,
        seed: load.seed,
        overwrites: load.overwrites,
        write_bytes_per_second: data_bytes / TURNOVER_SECONDS,
        jobs: 1,
        samples: SAMPLES,
        ..Experiment::default()
    };
    let outcome = experiment.run(make(&measured.sizes()).as_ref()).map_err(|error| error.to_string())?;
    // Samples are evenly spaced in bytes written, so their mean is that of the course.
    let mean = |figure: fn(&Sample) -> f64| {
        outcome.samples.iter().map(figure).sum::<f64>() / outcome.samples.len().max(1) as f64
    };
    Ok(Figures {
        write_amplification: mean(|sample| sample.write_amplification),
        space_amplification: mean(|sample| sample.space_amplification),
    })
}
