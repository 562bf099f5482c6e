//! Studies as one HTML page that needs nothing else: curves over the bytes written, inline SVG, no script.

use core::fmt::Write;

use crate::experiment::Sample;
use crate::report::{LEGEND, Report, bytes_text, heading, seconds_text, summary};
use crate::workload::Workload;

const COLOURS: &[&str] =
    &["#0b7a75", "#d9822b", "#5c6bc0", "#b5473c", "#8d6e63", "#7b8a99", "#3f8f3f", "#a0479f", "#c2a000"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1d2429;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .2rem}pre{white-space:pre-wrap;background:#f3f5f6;padding:.7rem;font-size:13px}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{font:12px system-ui,sans-serif;fill:#1d2429}\
svg .title{font-weight:600}svg .grid{stroke:#e3e7ea}svg .axis{fill:#66727b}";

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 84.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = HEIGHT - 26.0;

/// A figure that is plotted.
struct Plot {
    title: &'static str,
    figure: fn(&Sample) -> f64,
    /// A value of the axis, for people.
    unit: fn(f64) -> String,
}

fn plain(value: f64) -> String {
    let decimals = if value >= 10.0 || value == 0.0 { 0 } else { 2 };
    format!("{value:.decimals$}")
}

const PLOTS: &[Plot] = &[
    Plot { title: "Write amplification", figure: |s| s.write_amplification, unit: plain },
    Plot { title: "Space amplification, at most", figure: |s| s.space_amplification_max, unit: plain },
    Plot { title: "Runs that a range read opens", figure: |s| s.reads.runs, unit: plain },
    Plot { title: "Table reads for a key that is not there", figure: |s| s.reads.absent_reads, unit: plain },
    Plot { title: "Compaction debt, at most", figure: |s| s.debt_bytes as f64, unit: bytes_text },
    Plot { title: "Time that writers lost", figure: |s| s.stalled_seconds, unit: seconds_text },
];

/// The page.
#[must_use]
pub fn page(reports: &[Report]) -> String {
    let title = "Compaction policies, simulated";
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n<pre>{}\n{}</pre>\n",
        escape(&summary(reports)),
        escape(LEGEND)
    );
    for workload in Workload::ALL {
        let of_workload: Vec<&Report> =
            reports.iter().filter(|report| report.study.experiment.workload == workload).collect();
        if of_workload.is_empty() {
            continue;
        }
        let _ = write!(html, "<h2>{}</h2>\n<pre>", escape(workload.name()));
        for report in &of_workload {
            let _ = writeln!(html, "{}", escape(&heading(report)));
        }
        html.push_str("</pre>\n<div class=\"plots\">\n");
        for one in PLOTS {
            html += &plot(one, &of_workload);
            html.push('\n');
        }
        html.push_str("</div>\n");
    }
    html + "</html>\n"
}

/// Curves from zero on, over the bytes that users have written, named at their right ends.
fn plot(plot: &Plot, reports: &[&Report]) -> String {
    let title = escape(plot.title);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}"><text x="0" y="16" class="title">{title}</text>"#
    );
    let samples = || reports.iter().flat_map(|report| &report.findings.simulated.samples);
    let most_bytes = samples().map(|sample| sample.user_bytes).fold(f64::MIN_POSITIVE, f64::max);
    let finite = samples().map(plot.figure).filter(|figure| figure.is_finite());
    let most = round_up(finite.fold(0.0, f64::max));
    let x = |bytes: f64| LEFT + (RIGHT - LEFT) * bytes / most_bytes;
    let y = |figure: f64| BOTTOM - (BOTTOM - TOP) * (figure / most).clamp(0.0, 1.0);
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let line = y(value);
        let _ = write!(
            svg,
            r#"<line x1="{LEFT}" x2="{RIGHT}" y1="{line:.1}" y2="{line:.1}" class="grid"/><text x="{:.1}" y="{:.1}" text-anchor="end" class="axis">{}</text>"#,
            LEFT - 6.0,
            line + 4.0,
            (plot.unit)(value)
        );
    }
    for half in 0..=2 {
        let bytes = most_bytes * f64::from(half) / 2.0;
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="axis">{}</text>"#,
            x(bytes),
            HEIGHT - 8.0,
            bytes_text(bytes)
        );
    }
    let ends: Vec<f64> = reports
        .iter()
        .map(|report| {
            report.findings.simulated.samples.last().map_or(BOTTOM, |sample| y((plot.figure)(sample)) + 4.0)
        })
        .collect();
    for (index, (report, label)) in reports.iter().zip(moved_apart(&ends)).enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points =
            report.findings.simulated.samples.iter().filter(|sample| (plot.figure)(sample).is_finite());
        let points: Vec<String> = points
            .map(|sample| format!("{:.1},{:.1}", x(sample.user_bytes), y((plot.figure)(sample))))
            .collect();
        let _ = write!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{:.1}" y="{label:.1}" fill="{colour}">{}</text>"#,
            points.join(" "),
            RIGHT + 6.0,
            escape(&report.findings.simulated.picker)
        );
    }
    svg + "</svg>"
}

/// The least of 1, 2, 4 or 8 times a power of ten that is not below; 1 for nothing.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let step = [1.0, 2.0, 4.0, 8.0].into_iter().find(|step| step * power >= most * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// Heights of names, moved down where they would overlap.
fn moved_apart(heights: &[f64]) -> Vec<f64> {
    const APART: f64 = 13.0;
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let (mut moved, mut last) = (heights.to_vec(), f64::NEG_INFINITY);
    for index in order {
        last = heights[index].max(last + APART);
        moved[index] = last;
    }
    moved
}

/// Text that may stand in HTML and in its attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [0.0, 0.9, 1.0, 1.1, 17.0, 41.0, 81.0].map(round_up),
            [1.0, 1.0, 1.0, 2.0, 20.0, 80.0, 100.0]
        );
    }

    #[test]
    fn names_at_one_height_are_moved_apart() {
        assert_eq!(moved_apart(&[50.0, 10.0, 50.0]), [50.0, 10.0, 63.0]);
    }
}
