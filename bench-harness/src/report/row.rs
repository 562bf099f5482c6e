//! One row of a report: what was run, with what, and what it measured.

use crate::lifecycle::Life;
use crate::meter::{Latency, Machine, Usage};
use crate::store::{Durability, Parts, Settings, StoreStats};
use crate::workload::{Config, Outcome, Workload};
use serde_json::Value;
use std::time::Duration;
use terrace_throttle::QuietHours;

/// A figure of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A count.
    Int(u64),
    /// A figure, and how many decimals of it people want to see.
    Float(f64, usize),
    /// Not known.
    Unknown,
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Int(n) => n.to_string(),
            Cell::Float(f, decimals) => format!("{f:.decimals$}"),
            Cell::Unknown => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Int(n) => Value::from(*n),
            Cell::Float(f, _) => Value::from(*f),
            Cell::Unknown => Value::Null,
        }
    }
}

/// One row: fields in order, each for the JSON line, some for the table too.
#[derive(Clone, Debug, Default)]
pub struct Row {
    fields: Vec<(&'static str, Value)>,
    shown: Vec<(&'static str, String, bool)>,
}

/// A cell of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub heading: &'static str,
    pub text: &'a str,
    pub label: bool,
}

impl Row {
    /// Adds a field for programs only.
    pub fn field(&mut self, name: &'static str, value: impl Into<Value>) {
        self.fields.push((name, value.into()));
    }

    /// Adds a field that says what the row is.
    pub fn label(&mut self, name: &'static str, heading: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.fields.push((name, Value::from(text.clone())));
        self.shown.push((heading, text, true));
    }

    /// Adds a count that says what the row is.
    pub fn label_count(&mut self, name: &'static str, heading: &'static str, count: u64) {
        self.label_value(name, count, heading, count.to_string());
    }

    /// Adds a field that says what the row is, as a value for programs and a text for people.
    pub fn label_value(
        &mut self,
        name: &'static str,
        value: impl Into<Value>,
        heading: &'static str,
        text: impl Into<String>,
    ) {
        self.fields.push((name, value.into()));
        self.shown.push((heading, text.into(), true));
    }

    /// Adds a field that was measured.
    pub fn figure(&mut self, name: &'static str, heading: &'static str, cell: Cell) {
        self.shown.push((heading, cell.text(), false));
        self.fields.push((name, cell.json()));
    }

    /// Adds what the files of the database take on the disk for the live data in them.
    pub fn space(&mut self, folder_bytes: u64, live_bytes: u64) {
        self.field("folder_bytes", folder_bytes);
        self.field("live_bytes", live_bytes);
        let cell = match live_bytes {
            0 => Cell::Unknown,
            live => Cell::Float(folder_bytes as f64 / live as f64, 2),
        };
        self.figure("disk_per_live_byte", "disk/live", cell);
    }

    /// Adds how `ops` synced operations in `elapsed` stand to what the disk does without a database.
    pub fn raw_sync(&mut self, raw: &Latency, ops: u64, elapsed: Duration) {
        self.field("raw_sync_p50_us", raw.quantile(0.5).as_secs_f64() * 1e6);
        let mean = raw.mean().as_secs_f64();
        self.field("raw_sync_mean_us", mean * 1e6);
        let share = ops as f64 * mean / elapsed.as_secs_f64().max(1e-9);
        self.figure("of_raw_sync", "of raw sync", Cell::Float(share, 2));
    }

    /// Adds how `ops` synced operations of `threads` in `elapsed` stand to rounds in which as many threads do nothing but share a sync.
    pub fn bare_rounds(&mut self, round: Duration, threads: u32, ops: u64, elapsed: Duration) {
        self.field("bare_round_us", round.as_secs_f64() * 1e6);
        let share = ops as f64 / f64::from(threads) * round.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        self.figure("of_bare_rounds", "of bare rounds", Cell::Float(share, 2));
    }

    /// The row as one line of JSON, fields in the order in which they were added.
    pub fn json_line(&self) -> String {
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
        format!("{{{}}}", fields.join(","))
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.shown.iter().map(|(heading, text, label)| Shown { heading, text, label: *label })
    }
}

/// What every row of a report tells about where it comes from.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The parts under test.
    pub parts: Parts,
    /// Their sizes.
    pub settings: Settings,
    /// Of the writes.
    pub durability: Durability,
    /// The machine.
    pub machine: Machine,
}

/// What the durability means, for a heading.
pub fn durability_note(durability: Durability) -> &'static str {
    match durability {
        Durability::None => "writes may be lost with the process",
        Durability::PageCache => "writes survive the process, not a loss of power",
        Durability::Synced => "writes survive a loss of power",
    }
}

impl Provenance {
    fn begin(&self, what: &str) -> Row {
        let mut row = Row::default();
        row.label("workload", "workload", what);
        row.label("engine", "engine", self.parts.engine);
        row.label("version", "version", self.parts.version);
        row.label("memtable", "memtable", self.parts.memtable);
        row.label("picker", "picker", self.parts.picker);
        row.label("log", "log", self.parts.log);
        row.label("filter", "filter", self.parts.filter);
        row.label("cache", "cache", self.parts.cache);
        row.label("compression", "compression", self.parts.compression);
        row.label("table", "table", self.parts.table);
        // What the log does not keep is not durable, whatever was asked for.
        let durability = if self.parts.log_keeps { self.durability } else { Durability::None };
        row.label("durability", "durability", durability.name());
        row
    }

    fn end(&self, row: &mut Row) {
        let Settings { memtable_bytes, cache_bytes, .. } = self.settings;
        row.label_value("memtable_bytes", memtable_bytes, "memtable size", mebibytes(memtable_bytes));
        row.label_value("cache_bytes", cache_bytes, "cache size", mebibytes(cache_bytes));
        row.label_count("filter_bits_per_key", "filter bits", u64::from(self.settings.filter_bits_per_key));
        let Settings { background_threads, uncompressed_levels, .. } = self.settings;
        row.field("background_threads", background_threads);
        row.field("uncompressed_levels", uncompressed_levels);
        row.label("throttle", "throttle", self.settings.throttle);
        if let Some((name, bytes_per_second)) = self.settings.limiter {
            row.label("limiter", "limiter", name);
            row.label_count("limiter_bytes_per_second", "limiter bytes/s", bytes_per_second);
        }
        if let Some(QuietHours { from, until }) = self.settings.quiet_hours {
            row.label("quiet_hours", "quiet hours", format!("{from}-{until}"));
        }
        row.label_count("niceness", "niceness", u64::from(self.settings.niceness));
        row.label("order", "order of work", self.settings.order.name());
        row.label_count("keyspaces", "keyspaces", self.settings.keyspaces as u64);
        row.field("processor", self.machine.processor.as_str());
        row.field("cores", self.machine.cores);
        row.field("os", self.machine.os);
    }

    /// The row of a workload.
    pub fn workload_row(&self, workload: Workload, config: &Config, outcome: &Outcome) -> Row {
        let mut row = self.begin(workload.name());
        row.label_count("threads", "threads", u64::from(config.threads));
        row.label_count("records", "records", config.records_for(workload));
        row.label_count("key_bytes", "key bytes", config.key_bytes as u64);
        row.label_count("value_bytes", "value bytes", config.value_bytes as u64);
        let compressible = config.compressible;
        row.label_value("compressible", compressible, "compressible", compressible.to_string());
        row.label_count("load_seed", "load seed", config.load_seed);
        row.label_count("run_seed", "run seed", config.run_seed);
        row.field("batch_records", config.batch_records);
        if let Some(rate) = config.write_rate.filter(|_| workload.has_background_writer()) {
            row.label_count("write_rate", "write rate", rate);
        }
        row.label_value("warm", outcome.warm, "warm", if outcome.warm { "yes" } else { "no" });
        self.end(&mut row);
        measured(&mut row, outcome);
        row
    }

    /// The row of a stage of work that is given and not drawn: `records` in it, done by one client.
    pub(crate) fn given_row(&self, stage: &str, records: u64, config: &Config, outcome: &Outcome) -> Row {
        let mut row = self.begin(stage);
        row.label_count("threads", "threads", 1);
        row.label_count("records", "records", records);
        row.field("key_bytes", "varying");
        row.field("value_bytes", "varying");
        row.label_count("run_seed", "run seed", config.run_seed);
        self.end(&mut row);
        measured(&mut row, outcome);
        row
    }

    /// The row of a database's life on real data.
    pub fn life_row(&self, life: &Life, load_seed: u64, read_seed: u64) -> Row {
        let mut row = self.begin("real-data");
        row.label_count("threads", "threads", 1);
        row.label_count("records", "records", life.records);
        row.label_count("bytes", "bytes", life.bytes);
        row.field("key_bytes", "varying");
        row.field("value_bytes", "varying");
        row.label_count("load_seed", "load seed", load_seed);
        row.label_count("run_seed", "run seed", read_seed);
        self.end(&mut row);
        let rate = |time: Duration| Cell::Float(life.records as f64 / time.as_secs_f64().max(1e-9) / 1e3, 0);
        row.figure("load_kops_per_second", "put k/s", rate(life.load));
        row.figure("load_p99_us", "put p99 us", micros(life.load_latency.quantile(0.99)));
        row.figure("load_max_us", "put max us", micros(life.load_latency.max()));
        row.figure("drain_ms", "drain ms", millis(Some(life.drain)));
        row.figure("read_kops_per_second", "get k/s", rate(life.read));
        row.figure("read_p50_us", "get p50 us", micros(life.read_latency.quantile(0.5)));
        row.figure("read_p99_us", "get p99 us", micros(life.read_latency.quantile(0.99)));
        row.figure("scan_krecords_per_second", "scan k/s", rate(life.scan));
        row.figure("reopen_ms", "reopen ms", millis(Some(life.reopen)));
        row.figure("reread_kops_per_second", "reget k/s", rate(life.reread));
        row.figure("stall_ms", "stall ms", millis(life.stats.stall));
        stats_and_usage(&mut row, &life.stats, &life.usage);
        row
    }
}

/// What a run measured.
fn measured(row: &mut Row, outcome: &Outcome) {
    let seconds = outcome.elapsed.as_secs_f64().max(1e-9);
    row.figure("ops", "ops", Cell::Int(outcome.ops));
    row.field("elapsed_seconds", seconds);
    row.figure("kops_per_second", "kop/s", Cell::Float(outcome.ops as f64 / seconds / 1e3, 1));
    row.figure("krecords_per_second", "krec/s", Cell::Float(outcome.records as f64 / seconds / 1e3, 1));
    row.figure("megabytes_per_second", "MB/s", Cell::Float(outcome.bytes as f64 / seconds / 1e6, 1));
    let latency = &outcome.latency;
    for (name, heading, share) in [
        ("p50_us", "p50 us", 0.5),
        ("p90_us", "p90", 0.9),
        ("p99_us", "p99", 0.99),
        ("p999_us", "p99.9", 0.999),
    ] {
        row.figure(name, heading, micros(latency.quantile(share)));
    }
    row.figure("max_us", "max us", micros(latency.max()));
    row.field("mean_us", latency.mean().as_secs_f64() * 1e6);
    row.figure("drain_ms", "drain ms", millis(Some(outcome.drain)));
    row.figure("stall_ms", "stall ms", millis(outcome.stall));
    stats_and_usage(row, &outcome.stats, &outcome.usage);
    if let Some(bytes) = outcome.input_table_bytes {
        row.field("input_table_bytes", bytes);
        row.figure(
            "input_table_megabytes_per_second",
            "table MB/s",
            Cell::Float(bytes as f64 / seconds / 1e6, 1),
        );
    }
    row.field("background_ops", outcome.background_ops);
    if outcome.background_ops > 0 {
        // Readers may be fast because the writer beside them is slow: both figures belong together.
        let rate = outcome.background_ops as f64 / seconds / 1e3;
        row.figure("background_kops_per_second", "writer kop/s", Cell::Float(rate, 1));
    }
}

fn stats_and_usage(row: &mut Row, stats: &StoreStats, usage: &Usage) {
    let amp = |amp: Option<f64>| amp.map_or(Cell::Unknown, |amp| Cell::Float(amp, 2));
    row.figure("write_amp", "w-amp", amp(stats.write_amp));
    row.figure("read_amp", "r-amp", amp(stats.read_amp));
    row.figure("space_amp", "s-amp", amp(stats.space_amp));
    row.field("user_bytes_written", stats.user_bytes_written);
    row.field("file_bytes_written", stats.file_bytes_written);
    row.field("file_bytes_read", stats.file_bytes_read);
    row.field("file_bytes_held", stats.file_bytes_held);
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    row.figure(
        "processor_seconds",
        "cpu s",
        seconds(usage.processor()).map_or(Cell::Unknown, |s| Cell::Float(s, 2)),
    );
    row.field("user_seconds", seconds(usage.user));
    row.field("system_seconds", seconds(usage.system));
    let peak =
        usage.peak_bytes.map_or(Cell::Unknown, |bytes| Cell::Float(bytes as f64 / f64::from(1 << 20), 0));
    row.field("written_by_calls_bytes", usage.written_bytes);
    row.figure("peak_mib", "peak MiB", peak);
}

fn micros(time: Duration) -> Cell {
    let micros = time.as_secs_f64() * 1e6;
    Cell::Float(micros, if micros < 10.0 { 2 } else { usize::from(micros < 1000.0) })
}

fn millis(time: Option<Duration>) -> Cell {
    time.map_or(Cell::Unknown, |time| Cell::Float(time.as_secs_f64() * 1e3, 0))
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_keeps_order_and_escapes() {
        let mut row = Row::default();
        row.label("b", "B", "say \"x\"");
        row.figure("a", "A", Cell::Float(1.5, 0));
        row.figure("c", "C", Cell::Unknown);
        assert_eq!(row.json_line(), r#"{"b":"say \"x\"","a":1.5,"c":null}"#);
    }

    #[test]
    fn latencies_keep_about_three_digits() {
        let text = |nanos| micros(Duration::from_nanos(nanos)).text();
        assert_eq!([text(1_234), text(56_789), text(1_234_567)], ["1.23", "56.8", "1235"]);
    }
}
