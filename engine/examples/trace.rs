//! Takes traces of a database at work, and measures what that costs: `cargo run --release -p terrace --example trace -- 1000000`.
//!
//! The same puts and look-ups go to three databases in turn, a thousand at a time: one without a trace, one with a trace of a hundredth of its keys, and one with a
//! trace of all. So whatever else the machine does slows all three alike. The medians over all turns are compared.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures, and reads its trace"
)]

use std::time::{Duration, Instant};
use terrace::{Db, TraceOptions};
use terrace_trace::{Operation, TraceReader};

const TURN: u64 = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let operations: u64 = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let rates = [None, Some(0.01), Some(1.0)];
    let mut databases = Vec::new();
    for (number, rate) in rates.into_iter().enumerate() {
        let db = Db::open(dir.path().join(number.to_string()))?;
        let path = dir.path().join(format!("{number}.trace"));
        if let Some(rate) = rate {
            db.start_trace(&path, TraceOptions { rate, ..TraceOptions::default() })?;
        }
        databases.push((db, path, [Vec::new(), Vec::new()]));
    }
    for turn in 0..operations / TURN {
        // Each database is first, second and third equally often.
        for place in 0..databases.len() {
            let at = (place + turn as usize) % rates.len();
            let (db, _, times) = &mut databases[at];
            let keys = || {
                (turn * TURN..(turn + 1) * TURN).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
            };
            times[0].push(timed(|| keys().try_for_each(|key| db.put(key, [7; 100])))?);
            times[1].push(timed(|| keys().try_for_each(|key| db.get(key).map(drop)))?);
        }
    }
    println!(
        "{:>10}  {:>12}  {:>12}  {:>10}  {:>8}  {:>8}",
        "sampled", "put", "get", "recorded", "dropped", "bytes"
    );
    let mut first = None;
    for ((db, path, times), rate) in databases.iter_mut().zip(rates) {
        let medians = times.each_mut().map(|times| median(times));
        let base = *first.get_or_insert(medians);
        let cell = |n: usize| {
            let ratio = medians[n].as_secs_f64() / base[n].as_secs_f64();
            format!("{:.0} ns {ratio:.3}", medians[n].as_nanos() as f64 / TURN as f64)
        };
        let Some(rate) = rate else {
            println!("{:>10}  {:>12}  {:>12}", "off", cell(0), cell(1));
            continue;
        };
        let summary = db.stop_trace()?;
        println!(
            "{:>8} %  {:>12}  {:>12}  {:>10}  {:>8}  {:>8}",
            rate * 100.0,
            cell(0),
            cell(1),
            summary.operations,
            summary.dropped,
            summary.file_bytes
        );
        let file = std::io::BufReader::new(std::fs::File::open(path)?);
        let records = TraceReader::new(file)?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(records.len() as u64, summary.operations);
        let puts =
            records.iter().filter(|record| record.operation == Operation::Put { value_bytes: 100 }).count();
        assert!(puts > 0 && puts < records.len());
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> terrace::Result<()>) -> terrace::Result<Duration> {
    let start = Instant::now();
    work().map(|()| start.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
