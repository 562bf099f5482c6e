//! The advisor on the command line: `cargo xtask advise --help`.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a tool beside the database: it reads traces")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use lexopt::prelude::*;
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use terrace_simulator::advise::{Advisor, Goal, History, Prices, advice_json, advice_text, mix};
use terrace_simulator::{bytes_from_text, stock};

const HELP: &str = "\
Recommends policy, size ratio, filter bits by level, and how to divide memory among memtables, cache and filters.

Usage: cargo xtask advise --trace FILE --memory BYTES [OPTIONS]

  --trace FILE       a trace, as `Engine::start_trace` takes it
  --memory BYTES     for memtables, filters, indexes and the block cache together, as 1GiB
  --goal GOAL        throughput, space or read: what is to be small (default: throughput)
  --device-mb-s N    megabytes that the device reads or writes in a second (default: 1000)
  --random-read N    how many times as long a block takes that is read alone (default: 4)
  --picker NAME      only these, with commas (default: leveled, tiered, universal, fluid)
  --ratio N          only these size ratios, with commas (default: 4, 7, 10)
  --operations N     at most so many operations are played, fewer keys of a longer trace (default: 500000)
  --json             a line of JSON for each choice, the best first, and nothing else, no progress either
";

struct Arguments {
    trace: String,
    memory_bytes: u64,
    operations_max: usize,
    goal: Goal,
    prices: Prices,
    pickers: Option<Vec<&'static str>>,
    size_ratios: Option<Vec<u64>>,
    json: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut trace, mut memory, mut goal, mut prices) = (None, None, Goal::default(), Prices::default());
    let (mut operations_max, mut pickers, mut size_ratios, mut json) = (500_000, None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("trace") => trace = Some(parser.value()?.string()?),
            Long("memory") => memory = Some(parser.value()?.parse_with(bytes_from_text)?),
            Long("goal") => goal = parser.value()?.parse_with(named_goal)?,
            Long("device-mb-s") => {
                prices.device_bytes_per_second = 1e6 * parser.value()?.parse_with(positive)?;
            }
            Long("random-read") => prices.random_read_factor = parser.value()?.parse_with(positive)?,
            Long("picker") => pickers = Some(parser.value()?.parse_with(picker_names)?),
            Long("ratio") => size_ratios = Some(parser.value()?.parse_with(ratios)?),
            Long("operations") => operations_max = parser.value()?.parse()?,
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    let trace = trace.ok_or("`--trace FILE` says what to advise on")?;
    let memory_bytes = memory.ok_or("`--memory BYTES` says how much may be used")?;
    Ok(Some(Arguments { trace, memory_bytes, operations_max, goal, prices, pickers, size_ratios, json }))
}

fn named_goal(name: &str) -> Result<Goal, String> {
    Goal::named(name).ok_or_else(|| format!("a goal is `throughput`, `space` or `read`, not `{name}`"))
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("`{text}` is no amount"))
}

fn ratios(text: &str) -> Result<Vec<u64>, String> {
    let ratio = |text: &str| text.trim().parse().ok().filter(|ratio| *ratio >= 2);
    text.split(',')
        .map(|text| ratio(text).ok_or_else(|| format!("`{text}` is no ratio of 2 or more")))
        .collect()
}

fn picker_names(names: &str) -> Result<Vec<&'static str>, String> {
    let known = |name: &str| stock::all().iter().map(|(known, _)| *known).find(|known| *known == name);
    names.split(',').map(|name| known(name).ok_or_else(|| format!("there is no picker `{name}`"))).collect()
}

fn main() -> ExitCode {
    let arguments = match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\nSee `cargo xtask advise --help`.");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", arguments.trace);
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error how far it is, so that nobody waits for minutes without a word.
struct Says {
    quiet: bool,
    begun: Instant,
    last: Option<Instant>,
}

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

impl Says {
    fn line(&mut self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
        self.last = Some(Instant::now());
    }

    fn progress(&mut self, done: usize, all: usize) {
        if done < all && self.last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
            self.line(&progress_line(done, all, self.begun.elapsed()));
        }
    }
}

fn progress_line(done: usize, all: usize, took: Duration) -> String {
    let left = took.as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
    format!("{done} of {all} trees played, some {left:.0} s to go")
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let file = BufReader::new(File::open(&arguments.trace)?);
    let mut says = Says { quiet: arguments.json, begun: Instant::now(), last: None };
    says.line("reading the trace");
    let history = History::read(file, arguments.operations_max)?;
    says.line(&format!(
        "playing {} operations, of one key in {:.0}",
        history.events.len(),
        1.0 / history.rate
    ));
    says.begun = Instant::now();
    let mut advisor = Advisor::new(&history, arguments.memory_bytes);
    (advisor.goal, advisor.prices) = (arguments.goal, arguments.prices);
    if let Some(pickers) = &arguments.pickers {
        advisor.space.pickers.clone_from(pickers);
    }
    if let Some(ratios) = &arguments.size_ratios {
        advisor.space.size_ratios.clone_from(ratios);
    }
    let advice = advisor.advise_and_tell(|done, all| says.progress(done, all))?;
    if arguments.json {
        print!("{}", advice_json(&advice));
        return Ok(());
    }
    println!("{}", mix(&history));
    println!(
        "sampled at {:.4}; {} operations were left out of the trace when it was taken",
        history.rate, history.dropped
    );
    if !history.whole {
        println!("the trace was not ended in good order: its last operations may be missing");
    }
    print!("\n{}", advice_text(&advice));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_the_time_that_is_left() {
        let line = progress_line(15, 60, Duration::from_secs(10));
        assert_eq!(line, "15 of 60 trees played, some 30 s to go");
    }
}
