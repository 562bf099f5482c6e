//! The workload `open-after-kill`: how long it takes until what a killed process left in its log can be read again.
//!
//! One operation is one opening, in this process, up to the answer of a first get; it asks for the record that was acknowledged last. Each
//! opening has a folder of its own, which a child has just written and been killed over: opening changes what is there. All engines get
//! the same records and are killed when they have acknowledged the last one.

use super::{Records, holds, kill_after};
use crate::cli::options::Options;
use crate::meter::{self, Latency, Usage};
use crate::store::{Durability, StoreFactory, StoreStats};
use crate::workload::{BenchError, Outcome};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Openings of a run.
pub(crate) const OPENS: u64 = 5;

/// The options of a run: as many records as make up the log, written by one client and process-safe.
///
/// # Errors
///
/// [`BenchError::Config`] when the sizes do not go together.
pub(crate) fn options(given: &Options) -> Result<Options, BenchError> {
    let mut options = given.clone();
    let config = &mut options.config;
    let record_bytes = (config.key_bytes + config.value_bytes).max(1) as u64;
    config.records = config.log_bytes.div_ceil(record_bytes).max(1);
    config.ops = OPENS;
    config.threads = 1;
    config.durability = Durability::PageCache;
    config.go_together(config.records)?;
    Ok(options)
}

/// What one opening took.
pub(crate) struct Opened {
    latency: Duration,
    drain: Duration,
    usage: Usage,
    stats: StoreStats,
}

/// Lets `writer`, a child that was given these options, write to the store in `dir`, kills it, opens the store and checks that it has all
/// records.
///
/// # Errors
///
/// The child's, the store's, or [`BenchError::Wrong`] at the first record that is lost.
pub(crate) fn once(
    writer: Command,
    options: &Options,
    factory: &dyn StoreFactory,
    dir: &Path,
) -> Result<Opened, BenchError> {
    let records = Records::new(&options.config);
    kill_after(writer, dir, records.len())?;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    records.make(records.len() - 1, &mut key, &mut value);
    let usage = Usage::begin();
    let start = meter::now();
    let store = factory.open(dir, &options.settings)?;
    // Whether it is the right answer is asked again below, when no clock runs.
    holds(&*store, &key, &value)?;
    let latency = start.elapsed();
    let usage = usage.end();
    let start = meter::now();
    store.wait_idle()?;
    let opened = Opened { latency, drain: start.elapsed(), usage, stats: store.stats() };
    records.visit(records.len(), |_, key, value| match holds(&*store, key, value)? {
        true => Ok(()),
        false => Err(BenchError::wrong(key, "lost in a kill, though its write was acknowledged")),
    })?;
    store.close()?;
    Ok(opened)
}

/// The outcome of a run that consists of these openings; counters are those of the last one.
pub(crate) fn outcome(options: &Options, opened: &[Opened]) -> Outcome {
    let config = &options.config;
    let live_bytes = config.records * (config.key_bytes + config.value_bytes) as u64;
    let opens = opened.len() as u64;
    let mut latency = Latency::default();
    opened.iter().for_each(|opened| latency.record(opened.latency));
    Outcome {
        ops: opens,
        records: opens * config.records,
        bytes: opens * live_bytes,
        elapsed: opened.iter().map(|opened| opened.latency).sum(),
        drain: opened.iter().map(|opened| opened.drain).sum(),
        latency,
        usage: opened.iter().map(|opened| opened.usage).reduce(Usage::and).unwrap_or_default(),
        stats: opened.last().map(|opened| opened.stats).unwrap_or_default(),
        stall: None,
        background_ops: 0,
        live_bytes,
        warm: false,
        input_table_bytes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    fn run_options() -> Options {
        let arguments =
            ["--workload", "open-after-kill", "--log-mb", "1", "--threads", "3", "--durability", "synced"];
        options(&Options::parse(lexopt::Parser::from_args(arguments)).expect("valid").expect("no help"))
            .expect("the sizes go together")
    }

    /// A child that acknowledges so many writes and does none of them.
    fn liar(acknowledged: u64, then: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("head -c {} /dev/zero; {then}", acknowledged * 8));
        command
    }

    fn once_after(writer: Command, options: &Options) -> Result<Opened, BenchError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        once(writer, options, &*store::factories()[0], dir.path())
    }

    #[test]
    fn a_run_writes_as_many_records_as_make_up_the_log_process_safe() {
        let config = run_options().config;
        assert_eq!((config.records, config.ops, config.threads), (8_621, OPENS, 1));
        assert_eq!(config.durability, Durability::PageCache);
    }

    #[test]
    fn lost_writes_are_found() {
        let options = run_options();
        let result = once_after(liar(options.config.records, "read forever"), &options);
        assert!(matches!(result, Err(BenchError::Wrong { .. })), "{:?}", result.err());
    }

    #[test]
    fn a_child_that_ends_by_itself_is_no_killed_one() {
        let result = once_after(liar(20, "exit 0"), &run_options());
        assert!(matches!(result, Err(BenchError::Child(_))), "{:?}", result.err());
    }
}
