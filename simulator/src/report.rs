//! Findings as a table for people and as JSON lines for programs.

use core::fmt::Write;

use crate::experiment::{Experiment, Sample};
use crate::study::{Findings, Study};

/// A study with what came out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was asked.
    pub study: Study,
    /// What came out.
    pub findings: Findings,
}

/// Bytes for people: `3.50 TB`.
#[must_use]
pub fn bytes_text(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.995 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.2} {}", units[unit]) }
}

/// A number of bytes: `100`, `64MiB`, `1.5TB`.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn bytes_from_text(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let prefix = unit.strip_suffix("ib").map(|prefix| (prefix, 1024.0_f64));
    let (prefix, base) = prefix.unwrap_or_else(|| (unit.strip_suffix('b').unwrap_or(&unit), 1000.0));
    let power = ["", "k", "m", "g", "t", "p", "e"].iter().position(|known| *known == prefix);
    let bytes = power
        .and_then(|power| Some(number.parse::<f64>().ok()? * base.powi(power as i32)))
        .filter(|bytes| bytes.is_finite() && *bytes < u64::MAX as f64);
    bytes.map(|bytes| bytes.round() as u64).ok_or_else(|| format!("`{text}` is no number of bytes"))
}

/// Seconds for people: `2.5 h`.
#[must_use]
pub fn seconds_text(seconds: f64) -> String {
    match seconds {
        s if s >= 2.0 * 86_400.0 => format!("{:.1} d", s / 86_400.0),
        s if s >= 2.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.1} s"),
    }
}

/// What was simulated, and what about it was scaled.
#[must_use]
pub fn heading(report: &Report) -> String {
    let Experiment { workload, data_bytes, memtable_bytes, .. } = report.study.experiment;
    let experiment = &report.study.experiment;
    let mut text = format!(
        "{} under {}: {} of live data, entries of {} bytes, memtables of {}",
        report.findings.simulated.picker,
        workload.name(),
        bytes_text(data_bytes as f64),
        experiment.entry_bytes(),
        bytes_text(memtable_bytes as f64),
    );
    let _ = match experiment.device_bytes_per_second {
        None => write!(text, ", a device without limits"),
        Some(device) => write!(
            text,
            ", writers at {}/s, a device of {}/s, {} jobs",
            bytes_text(experiment.write_bytes_per_second),
            bytes_text(device),
            experiment.jobs
        ),
    };
    if experiment.device_bytes_per_second.is_some() && experiment.read_block_bytes > 0 {
        let _ = write!(
            text,
            ", {} look-ups a write of {} a table, {:.0} % of them cached",
            experiment.reads_per_write,
            bytes_text(experiment.read_block_bytes as f64),
            experiment.cached_share * 100.0
        );
    }
    if report.findings.levels_left_out > 0 {
        let _ = write!(
            text,
            "\nscaled: memtables, tables and the policy's sizes are {} times as large, so the simulated tree lacks {}; \
             what that costs in writes and reads is added to the summary, not to the course; space, debt and stalls are those of \
             the scaled tree",
            report.findings.scale,
            match report.findings.levels_left_out {
                1 => "1 level".to_owned(),
                levels => format!("{levels} levels"),
            }
        );
    }
    if let Some([last, before]) = report.findings.level_costs.filter(|_| report.findings.is_uneven()) {
        let _ = write!(
            text,
            "\nuneven: the last level costs {last:.2} in writes, that of a tree one level smaller {before:.2}; the summary is a guess, and \
             `--flushes-max` simulates more of the tree"
        );
    }
    text
}

/// Rows of a course that people read.
const ROWS_MAX: usize = 12;

/// The course of one study, at a dozen points in time and after the rest.
#[must_use]
pub fn course(report: &Report) -> String {
    let mut text = format!("{}\n\n", heading(report));
    let head = [
        "written", "time", "write", "space", "peak", "runs", "absent", "present", "oldest", "debt", "stalled",
    ];
    let samples = &report.findings.simulated.samples;
    let rows = samples.iter().skip((samples.len() - 1) % step(samples)).step_by(step(samples));
    text += &row(&head.map(str::to_owned));
    for sample in rows.chain(&report.findings.simulated.rested) {
        text += &row(&cells(sample));
    }
    text
}

fn step(samples: &[Sample]) -> usize {
    samples.len().div_ceil(ROWS_MAX).max(1)
}

fn cells(sample: &Sample) -> [String; 11] {
    [
        bytes_text(sample.user_bytes),
        seconds_text(sample.seconds),
        format!("{:.2}", sample.write_amplification),
        format!("{:.3}", sample.space_amplification),
        format!("{:.3}", sample.space_amplification_max),
        format!("{:.1}", sample.reads.runs),
        format!("{:.4}", sample.reads.absent_reads),
        format!("{:.4}", sample.reads.present_reads),
        seconds_text(sample.tombstone_seconds),
        bytes_text(sample.debt_bytes as f64),
        seconds_text(sample.stalled_seconds),
    ]
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>10}")).collect();
    format!("{}\n", cells.join(" ").trim_end())
}

/// One line for each study.
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let width = |name: fn(&Report) -> &str, head: &str| {
        reports.iter().map(|report| name(report).len()).max().unwrap_or(0).max(head.len())
    };
    let picker = |report: &Report| -> String { report.findings.simulated.picker.clone() };
    let pickers = width(|report| &report.findings.simulated.picker, "picker");
    let workloads = width(|report| report.study.experiment.workload.name(), "workload");
    let mut text = format!("{:<pickers$} {:<workloads$} ", "picker", "workload");
    let head = ["write", "space", "peak", "runs", "absent", "present", "oldest", "debt", "stalled"];
    text += &row(&head.map(str::to_owned));
    for report in reports {
        let Findings { simulated, write_amplification, reads, .. } = &report.findings;
        let mean = &simulated.mean;
        let whole = Sample { write_amplification: *write_amplification, reads: *reads, ..*mean };
        let name = report.study.experiment.workload.name();
        let _ = write!(text, "{:<pickers$} {name:<workloads$} ", picker(report));
        text += &row(&cells(&whole)[2..]);
    }
    text
}

/// How writers fared on a device with a limit, a line for each study; nothing where no study has one.
#[must_use]
pub fn stalls(reports: &[Report]) -> String {
    let limited = |report: &&Report| report.study.experiment.device_bytes_per_second.is_some();
    let mut text = String::new();
    for report in reports.iter().filter(limited) {
        let simulated = &report.findings.simulated;
        let Some(last) = simulated.samples.last() else { continue };
        if text.is_empty() {
            text += &format!("{:<10} {:<10} {:<10} {:<10} ", "throttle", "limiter", "picker", "workload");
            let head = [
                "written/s",
                "stalled",
                "stopped",
                "longest",
                "p50",
                "p99",
                "p99.9",
                "latest",
                "runs",
                "debt",
                "write",
            ];
            text += &row(&head.map(str::to_owned));
        }
        let delays = simulated.delays;
        let name = report.study.experiment.workload.name();
        let limiter = simulated.limiter.as_deref().unwrap_or("none");
        let _ = write!(text, "{:<10} {limiter:<10} {:<10} {name:<10} ", simulated.throttle, simulated.picker);
        let seconds = [
            last.stalled_seconds,
            last.stopped_seconds,
            simulated.longest_stop_seconds,
            delays.p50_seconds,
            delays.p99_seconds,
            delays.p999_seconds,
            delays.max_seconds,
        ];
        let rate = bytes_text(last.user_bytes / last.seconds.max(f64::MIN_POSITIVE));
        let mut cells: Vec<String> = core::iter::once(rate).chain(seconds.map(seconds_text)).collect();
        let mean = &simulated.mean;
        cells.extend([
            format!("{:.1}", mean.reads.runs),
            bytes_text(mean.debt_bytes as f64),
            format!("{:.2}", mean.write_amplification),
        ]);
        text += &row(&cells);
    }
    if text.is_empty() {
        return text;
    }
    text + "\nlongest  time at a stretch that writers stood still; p50 to latest: how late writes were that had a schedule\n"
}

/// What the columns mean.
pub const LEGEND: &str = "\
write    bytes written to tables for each byte that users wrote, the log not counted
space    bytes of tables for each byte of live data; peak: at most, with the outputs of running merges
runs     sorted runs that a range read opens
absent   tables that a look-up reads for a key that is not there, with filters; present: for one that is
oldest   age of the oldest tombstone, at most
debt     bytes that wait to be merged, at most; stalled: time that writers lost to pressure, and to look-ups that the device does not bear
";

/// A line of JSON for each point in time and one for the summary.
#[must_use]
pub fn json_lines(report: &Report) -> String {
    let experiment = &report.study.experiment;
    let Findings { simulated, scale, levels_left_out, write_amplification, reads, .. } = &report.findings;
    let (picker, workload) = (quoted(&simulated.picker), quoted(experiment.workload.name()));
    let throttle = quoted(&simulated.throttle);
    let limiter = simulated.limiter.as_deref().map_or_else(|| "null".to_owned(), quoted);
    let mut text = String::new();
    let mut line = |kind: &str, sample: &Sample, more: &str| {
        let _ = writeln!(
            text,
            "{{\"kind\":\"{kind}\",\"picker\":{picker},\"workload\":{workload},\"throttle\":{throttle},\"limiter\":{limiter},{}{more}}}",
            fields(sample)
        );
    };
    for sample in &simulated.samples {
        line("sample", sample, "");
    }
    if let Some(rested) = &simulated.rested {
        line("rested", rested, "");
    }
    let whole = Sample { write_amplification: *write_amplification, reads: *reads, ..simulated.mean };
    let more = format!(
        ",\"data_bytes\":{},\"entry_bytes\":{},\"memtable_bytes\":{},\"scale\":{scale},\"levels_left_out\":{levels_left_out},\
         \"uneven\":{},\
         \"simulated_write_amplification\":{}",
        experiment.data_bytes,
        experiment.entry_bytes(),
        experiment.memtable_bytes,
        report.findings.is_uneven(),
        number(simulated.mean.write_amplification),
    );
    line("summary", &whole, &more);
    text
}

fn fields(sample: &Sample) -> String {
    let fields = [
        ("user_bytes", sample.user_bytes),
        ("seconds", sample.seconds),
        ("write_amplification", sample.write_amplification),
        ("space_amplification", sample.space_amplification),
        ("space_amplification_max", sample.space_amplification_max),
        ("runs", sample.reads.runs),
        ("absent_reads", sample.reads.absent_reads),
        ("present_reads", sample.reads.present_reads),
        ("tombstone_seconds", sample.tombstone_seconds),
        ("debt_bytes", sample.debt_bytes as f64),
        ("stalled_seconds", sample.stalled_seconds),
        ("stopped_seconds", sample.stopped_seconds),
        ("levels", sample.levels as f64),
        ("tables", sample.tables as f64),
    ];
    let fields = fields.map(|(name, value)| format!("\"{name}\":{}", number(value)));
    fields.join(",")
}

/// JSON knows no infinity.
fn number(value: f64) -> String {
    if value.is_finite() { format!("{}", (value * 1e6).round() / 1e6) } else { "null".to_owned() }
}

/// A picker may have any name.
fn quoted(text: &str) -> String {
    let mut result = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => result.extend(['\\', character]),
            c if (c as u32) < 0x20 => {
                let _ = write!(result, "\\u{:04x}", c as u32);
            }
            c => result.push(c),
        }
    }
    result + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes_from_text("100TB"), Ok(100_000_000_000_000));
        assert_eq!(bytes_from_text("1.5 kib"), Ok(1536));
        assert_eq!(
            (bytes_from_text("7"), bytes_from_text("64M"), bytes_from_text("2b")),
            (Ok(7), Ok(64_000_000), Ok(2))
        );
        for wrong in ["", "x", "1Q", "TB", "1.2.3", "99999999EB"] {
            assert!(bytes_from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_and_seconds_are_in_units_that_people_use() {
        let texts = [0.0, 999.0, 1000.0, 64e6, 999.999e9, 1e15].map(bytes_text);
        assert_eq!(texts, ["0 B", "999 B", "1.00 kB", "64.00 MB", "1.00 TB", "1.00 PB"]);
        let texts = [0.04, 119.0, 120.0, 7200.0, 864_000.0].map(seconds_text);
        assert_eq!(texts, ["0.0 s", "119.0 s", "2.0 min", "2.0 h", "10.0 d"]);
    }

    #[test]
    fn json_keeps_odd_names_and_no_infinity() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        assert_eq!(
            (number(f64::INFINITY), number(2.5), number(1e15)),
            ("null".into(), "2.5".into(), "1000000000000000".into())
        );
    }
}
