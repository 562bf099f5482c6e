//! Whole databases under a model checker: shuttle runs all threads on one and decides at every lock, atomic and view who
//! goes on, so that each schedule is one interleaving and a failing one can be run again. Built only with `--cfg shuttle`:
//! `cargo xtask concurrency`.
//!
//! Half of the schedules are drawn step by step; half are of the sort that holds one thread back at a few chosen steps while
//! all others run on ("probabilistic concurrency testing", Burckhardt and others, ASPLOS 2010), which finds what needs
//! a long pause between two neighbouring instructions. Shuttle's memory is sequentially consistent: what a weaker
//! one adds is for the loom models and the thread sanitizer.
//!
//! `TERRACE_SCHEDULES` multiplies the schedules of each scenario; `SHUTTLE_RANDOM_SEED` draws others. Nothing in here ever waits for time: shuttle's
//! condition variables have no time limit, so a notice that is forgotten is a deadlock, which shuttle reports.
#![cfg(shuttle)]
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]

mod close;
mod commit;
mod executor;
mod panic;
mod view;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence};
use std::path::Path;
use std::sync::Arc;
use terrace::{Builder, Clock, Db, DefaultParts, Engine, Parts, SimClock};
use terrace_vfs::{MemVfs, Vfs};

const SEED: u64 = 1;
const STACK_BYTES: usize = 256 << 10;
/// Threads held back in one schedule.
const DEPTH: usize = 3;

/// Runs `scenario` under `schedules` schedules, times what the environment asks for.
fn explore(schedules: usize, scenario: fn()) {
    let more: Option<usize> = std::env::var("TERRACE_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let each = schedules.div_ceil(2) * more.unwrap_or(1);
    let tried = run(RandomScheduler::new_from_seed(SEED, each), scenario)
        + run(PctScheduler::new_from_seed(SEED, DEPTH, each), scenario);
    println!("schedules tried: {tried}");
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    // A schedule is thousands of steps long; the same seed finds it again.
    config.failure_persistence = FailurePersistence::None;
    shuttle::Runner::new(scheduler, config).run(scenario)
}

/// A small database in memory, with a pool of two threads that shuttle schedules as all others.
fn small<P: Parts>(vfs: Arc<dyn Vfs>) -> Builder<P> {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
    Engine::<P>::builder(Path::new("/db"))
        .vfs(vfs)
        .clock(clock)
        .background_threads(1)
        .memtable_bytes(4096)
        .log_preallocate_bytes(4096)
        .cache_bytes(4096)
        .block_bytes(128)
}

fn open() -> Db {
    small::<DefaultParts>(Arc::new(MemVfs::new())).open().unwrap()
}

fn text(value: Option<bytes::Bytes>) -> Option<String> {
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}
