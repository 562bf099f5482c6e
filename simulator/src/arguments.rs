//! The options of the program.

use lexopt::prelude::*;
use terrace_compaction::{Movement, TriggerOptions};
use terrace_simulator::stock::{self, Make, Sizes};
use terrace_simulator::{Experiment, Schedule, Study, Workload, bytes_from_text};
use terrace_throttle::stock::{LIMITERS, MakeLimiter, MakeThrottle, THROTTLES};
use terrace_throttle::{InQuietHours, Limiter, QuietHours};

pub(crate) const HELP: &str = "\
Drives a compaction policy over the metadata of a large tree, and says what it costs.

Usage: cargo xtask sim [OPTIONS]

  --picker NAME     leveled, tiered, universal, fluid, hybrid, guards, windowed, fifo, several with commas, or `all` (default: leveled)
  --workload NAME   uniform, zipf, sequential, time, deletes, several with commas, or `all` (default: uniform)
  --size BYTES      live data, as 100TB or 1PiB (default: 100GB)
  --ratio N         size ratio, merge width or trigger (default: the policy's own)
  --movement NAME   which table of `leveled` or `hybrid` goes down first: least-overlap, oldest, round-robin or most-tombstones
                    (default: least-overlap)
  --tombstone-age SECONDS   deletes are gone within so long after their flush
  --tombstone-percent N     the most tombstones in a table, in percent of its versions
  --vain-read BYTES         of a table for each look-up that may read it in vain; `--reads` makes look-ups (these three not in windowed and fifo)
  --space-percent N         the most bytes above the oldest run, in percent of its bytes, in leveled, hybrid, tiered and universal
  --inner-runs N    runs in a level of `fluid` that is not the last (default: as many as fit)
  --last-runs N     runs in its last level (default: 1)
  --value BYTES     of a value (default: 100)
  --key BYTES       of a key (default: 16)
  --memtable BYTES  writes that become one flush (default: 64MiB)
  --table BYTES     of a table (default: as a memtable)
  --overwrites N    how many times the data's size is written after the load (default: 2)
  --no-load         begin with an empty tree
  --rate BYTES      that users write in a second (default: 50MB)
  --throttle NAME   how writers are slowed on a device with a limit: ramp, plain, priced, several with commas, or `all` (default: ramp)
  --limiter NAME[:MB]       how fast compaction may write on such a device, in megabytes a second (100): rising, steady, adaptive, courteous, none,
                    several with commas, or `all` (default: none)
  --quiet-hours FROM-UNTIL  hours of the day in which limiters are lifted, as 22-6; the writers' schedule begins at midnight
  --order NAME      of merges on such a device: flushes-first, in which all share it (default), or urgent-first, in which those out of level 0 get
                    what they want and deeper ones what is left; flushes come before merges in both
  --schedule        writes are due at an even rate, and how late they are is measured
  --bursts SECONDS  the same, due in the first quarter of each so many seconds
  --device BYTES    that the device reads and writes in a second (default: no limit)
  --jobs N          compactions at once, on a device with a limit (default: 4)
  --bits N          bits for each key in the filters (default: 10)
  --reads N         look-ups for each write (default: 0)
  --read-block BYTES  that a look-up reads of each table that its filters let it read, on a device with a limit (default: 0, look-ups cost no time)
  --cached PERCENT  of these blocks that are in a cache (default: 0)
  --rest SECONDS    how long nobody writes after the last write (default: 0)
  --samples N       points in time (default: 40)
  --flushes-max N   memtables in the data before it is scaled (default: 2000)
  --json FILE       writes a line of JSON for each point in time; `-` prints them
  --html FILE       writes a page with plots
";

/// A limiter by name, with the bytes a second that it is to be made around.
#[derive(Clone, Copy)]
pub(crate) struct ChosenLimiter {
    make: MakeLimiter,
    bytes_per_second: f64,
}

impl ChosenLimiter {
    pub(crate) fn make(&self, quiet_hours: Option<QuietHours>) -> Box<dyn Limiter> {
        let otherwise = (self.make)(self.bytes_per_second);
        match quiet_hours {
            Some(hours) => Box::new(InQuietHours { otherwise, hours }),
            None => otherwise,
        }
    }
}

/// What was asked for.
pub(crate) struct Arguments {
    pub(crate) pickers: Vec<(&'static str, Make)>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) throttles: Vec<(&'static str, MakeThrottle)>,
    pub(crate) limiters: Vec<Option<ChosenLimiter>>,
    pub(crate) quiet_hours: Option<QuietHours>,
    pub(crate) study: Study,
    table_bytes: Option<u64>,
    ratio: Option<u64>,
    movement: Movement,
    triggers: TriggerOptions,
    space_percent_max: Option<u64>,
    fluid_runs_max: (Option<usize>, Option<usize>),
    pub(crate) json: Option<String>,
    pub(crate) html: Option<String>,
}

impl Arguments {
    /// What the sizes of a policy follow from.
    pub(crate) fn sizes(&self, experiment: &Experiment) -> Sizes {
        let usual = stock::sizes_of(experiment);
        Sizes {
            table_bytes: self.table_bytes.unwrap_or(usual.table_bytes),
            size_ratio: self.ratio,
            movement: self.movement,
            triggers: self.triggers,
            space_percent_max: self.space_percent_max,
            fluid_runs_max: self.fluid_runs_max,
            ..usual
        }
    }
}

/// The arguments, or `None` when help was asked for.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut pickers, mut workloads) = (Vec::new(), Vec::new());
    let (mut throttles, mut limiters, mut quiet_hours) = (Vec::new(), Vec::new(), None);
    let (mut experiment, mut study) = (Experiment::default(), Study::default());
    let (mut table_bytes, mut ratio, mut fluid_runs_max) = (None, None, (None, None));
    let mut movement = Movement::default();
    let (mut triggers, mut space_percent_max) = (TriggerOptions::default(), None);
    let (mut json, mut html) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("picker") => pickers.extend(picker_names(&parser.value()?.string()?)?),
            Long("workload") => workloads.extend(workload_names(&parser.value()?.string()?)?),
            Long("size") => experiment.data_bytes = parser.value()?.parse_with(bytes_from_text)?,
            Long("ratio") => ratio = Some(parser.value()?.parse_with(at_least_two)?),
            Long("movement") => movement = parser.value()?.parse_with(movement_name)?,
            Long("tombstone-age") => triggers.tombstone_age_seconds_max = Some(parser.value()?.parse()?),
            Long("tombstone-percent") => triggers.tombstone_percent_max = Some(parser.value()?.parse()?),
            Long("vain-read") => {
                triggers.vain_read_bytes = Some(parser.value()?.parse_with(bytes_from_text)?.max(1));
            }
            Long("space-percent") => space_percent_max = Some(parser.value()?.parse()?),
            Long("inner-runs") => fluid_runs_max.0 = Some(parser.value()?.parse()?),
            Long("last-runs") => fluid_runs_max.1 = Some(parser.value()?.parse()?),
            Long("value") => experiment.value_bytes = parser.value()?.parse_with(bytes_from_text)?,
            Long("key") => experiment.key_bytes = parser.value()?.parse_with(bytes_from_text)?,
            Long("memtable") => {
                experiment.memtable_bytes = parser.value()?.parse_with(bytes_from_text)?.max(1)
            }
            Long("table") => table_bytes = Some(parser.value()?.parse_with(bytes_from_text)?.max(1)),
            Long("overwrites") => experiment.overwrites = parser.value()?.parse_with(amount)?,
            Long("no-load") => experiment.load = false,
            Long("rate") => {
                experiment.write_bytes_per_second = parser.value()?.parse_with(bytes_from_text)? as f64
            }
            Long("device") => {
                experiment.device_bytes_per_second =
                    Some(parser.value()?.parse_with(bytes_from_text)? as f64);
            }
            Long("throttle") => throttles.extend(throttle_names(&parser.value()?.string()?)?),
            Long("limiter") => limiters.extend(limiter_names(&parser.value()?.string()?)?),
            Long("quiet-hours") => quiet_hours = Some(parser.value()?.parse_with(hours)?),
            Long("order") => experiment.level0_first = parser.value()?.parse_with(level0_first)?,
            Long("schedule") => experiment.schedule = Some(Schedule::STEADY),
            Long("bursts") => {
                experiment.schedule = Some(Schedule::bursts(parser.value()?.parse_with(amount)?))
            }
            Long("jobs") => experiment.jobs = parser.value()?.parse()?,
            Long("bits") => experiment.filter_bits_per_key = parser.value()?.parse_with(amount)?,
            Long("reads") => experiment.reads_per_write = parser.value()?.parse_with(amount)?,
            Long("read-block") => {
                experiment.read_block_bytes = parser.value()?.parse_with(bytes_from_text)?
            }
            Long("cached") => experiment.cached_share = parser.value()?.parse_with(percent)? / 100.0,
            Long("rest") => experiment.rest_seconds = parser.value()?.parse_with(amount)?,
            Long("samples") => experiment.samples = parser.value()?.parse()?,
            Long("flushes-max") => study.flushes_max = parser.value()?.parse()?,
            Long("json") => json = Some(parser.value()?.string()?),
            Long("html") => html = Some(parser.value()?.string()?),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    if pickers.is_empty() {
        pickers.extend(picker_names("leveled")?);
    }
    if throttles.is_empty() {
        throttles.extend(throttle_names("ramp")?);
    }
    if limiters.is_empty() {
        limiters.push(None);
    }
    if workloads.is_empty() {
        workloads.push(Workload::Uniform);
    }
    study.size_ratio = ratio.unwrap_or(study.size_ratio);
    study.experiment = experiment;
    Ok(Some(Arguments {
        pickers,
        workloads,
        throttles,
        limiters,
        quiet_hours,
        study,
        table_bytes,
        ratio,
        movement,
        triggers,
        space_percent_max,
        fluid_runs_max,
        json,
        html,
    }))
}

/// Whether the order of this name, as the engine calls it, has level 0 first.
fn level0_first(order: &str) -> Result<bool, String> {
    match order {
        "urgent-first" => Ok(true),
        "flushes-first" => Ok(false),
        _ => Err(format!("the order of merges is `urgent-first` or `flushes-first`, not `{order}`")),
    }
}

fn picker_names(names: &str) -> Result<Vec<(&'static str, Make)>, String> {
    if names == "all" {
        return Ok(stock::all().to_vec());
    }
    let known = |name: &str| stock::all().iter().find(|(known, _)| *known == name).copied();
    names.split(',').map(|name| known(name).ok_or_else(|| format!("there is no picker `{name}`"))).collect()
}

fn throttle_names(names: &str) -> Result<Vec<(&'static str, MakeThrottle)>, String> {
    if names == "all" {
        return Ok(THROTTLES.to_vec());
    }
    let known = |name: &str| THROTTLES.iter().find(|(known, _)| *known == name).copied();
    names.split(',').map(|name| known(name).ok_or_else(|| format!("there is no throttle `{name}`"))).collect()
}

fn limiter_names(names: &str) -> Result<Vec<Option<ChosenLimiter>>, String> {
    let mut found = Vec::new();
    for text in names.split(',') {
        let (name, megabytes) = text.split_once(':').unwrap_or((text, "100"));
        let bytes_per_second = amount(megabytes)? * 1e6;
        if name == "none" {
            found.push(None);
            continue;
        }
        let known: Vec<_> = LIMITERS
            .iter()
            .filter(|(known, _)| *known == name || name == "all")
            .map(|(_, make)| *make)
            .collect();
        if known.is_empty() {
            return Err(format!("there is no limiter `{name}`"));
        }
        found.extend(known.into_iter().map(|make| Some(ChosenLimiter { make, bytes_per_second })));
    }
    Ok(found)
}

fn hours(text: &str) -> Result<QuietHours, String> {
    let hour = |text: &str| text.parse().ok().filter(|hour: &u8| *hour < 24);
    let parsed = text.split_once('-').and_then(|(from, until)| Some((hour(from)?, hour(until)?)));
    let (from, until) = parsed.ok_or_else(|| format!("`{text}` are no hours of the day, as 22-6"))?;
    Ok(QuietHours { from, until })
}

fn workload_names(names: &str) -> Result<Vec<Workload>, String> {
    if names == "all" {
        return Ok(Workload::ALL.to_vec());
    }
    let named = |name| Workload::named(name).ok_or_else(|| format!("there is no workload `{name}`"));
    names.split(',').map(named).collect()
}

fn movement_name(name: &str) -> Result<Movement, String> {
    Movement::named(name).ok_or_else(|| format!("there is no movement `{name}`"))
}

fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("`{text}` is no amount"))
}

fn percent(text: &str) -> Result<f64, String> {
    amount(text).ok().filter(|percent| *percent <= 100.0).ok_or_else(|| format!("`{text}` is no percentage"))
}

fn at_least_two(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|ratio| *ratio >= 2).ok_or_else(|| format!("`{text}` is no ratio of 2 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_refused_and_lists_are_split() {
        let parsed = |arguments: &[&str]| parse(lexopt::Parser::from_args(arguments));
        let arguments = parsed(&["--picker", "tiered,leveled", "--workload", "all", "--ratio", "4"]);
        let arguments = arguments.expect("valid").expect("no help");
        assert_eq!(
            arguments.pickers.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["tiered", "leveled"]
        );
        assert_eq!((arguments.workloads.len(), arguments.study.size_ratio), (5, 4));
        for (order, first) in [("urgent-first", true), ("flushes-first", false)] {
            let arguments = parsed(&["--order", order]).expect("valid").expect("no help");
            assert_eq!(arguments.study.experiment.level0_first, first);
        }
        for wrong in [
            ["--picker", "none"],
            ["--throttle", "none"],
            ["--limiter", "plain"],
            ["--limiter", "steady:fast"],
            ["--quiet-hours", "22-24"],
            ["--order", "plain"],
            ["--workload", "none"],
            ["--ratio", "1"],
            ["--bits", "-1"],
            ["--movement", "up"],
            ["--tombstone-age", "old"],
            ["--reads", "-1"],
            ["--cached", "101"],
            ["--rest", "long"],
            ["--size", "x"],
        ] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
        assert!(parsed(&["--help"]).expect("valid").is_none());
    }

    #[test]
    fn the_help_names_every_picker_and_workload() {
        for (name, _) in stock::all() {
            assert!(HELP.contains(name), "{name}");
        }
        for (name, _) in THROTTLES {
            assert!(HELP.contains(name), "{name}");
        }
        for (name, _) in LIMITERS {
            assert!(HELP.contains(name), "{name}");
        }
        for movement in Movement::ALL {
            assert!(HELP.contains(movement.name()));
        }
        for workload in Workload::ALL {
            assert!(HELP.contains(workload.name()));
        }
    }
}
