//! Plots as inline SVG: bars with the spread of the runs, and latency curves over a logarithmic scale.

use super::escape;
use crate::runs::results::Spread;
use std::fmt::Write;

const WIDTH: f64 = 460.0;
const LABEL: f64 = 92.0;
const VALUE: f64 = 84.0;
const BAR: f64 = 20.0;
const STEP: f64 = 30.0;

/// A named, coloured figure.
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: &'a str,
    pub(crate) spread: Spread,
}

/// Horizontal bars from zero; a thin line from the lowest to the highest run.
pub(crate) fn bars(title: &str, bars: &[Bar<'_>], decimals: usize) -> String {
    let height = 34.0 + STEP * bars.len() as f64;
    let mut svg = open(title, height);
    let most = bars.iter().map(|bar| bar.spread.high).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let x = |figure: f64| LABEL + (WIDTH - LABEL - VALUE) * figure / most;
    for (row, bar) in bars.iter().enumerate() {
        let top = 30.0 + STEP * row as f64;
        let middle = top + BAR / 2.0;
        let Spread { median, low, high } = bar.spread;
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><rect x="{LABEL}" y="{top:.1}" width="{:.1}" height="{BAR}" rx="2" fill="{}"/><line x1="{:.1}" x2="{:.1}" y1="{middle:.1}" y2="{middle:.1}" class="spread"/><text x="{:.1}" y="{:.1}">{median:.decimals$}</text>"#,
            LABEL - 8.0,
            middle + 4.0,
            escape(bar.name),
            x(median) - LABEL,
            bar.colour,
            x(low),
            x(high),
            x(high.max(median)) + 6.0,
            middle + 4.0,
        );
    }
    svg + "</svg>"
}

/// A curve: its points in the order of the columns; a column without a figure is left out.
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: &'a str,
    pub(crate) points: Vec<Option<f64>>,
}

/// Curves over columns, on a logarithmic scale of whole decades, named at their right ends.
pub(crate) fn curves(title: &str, columns: &[&str], curves: &[Curve<'_>]) -> String {
    let height = 230.0;
    let mut svg = open(title, height);
    let positive =
        || curves.iter().flat_map(|curve| curve.points.iter().flatten()).filter(|point| **point > 0.0);
    let low = positive().copied().fold(f64::INFINITY, f64::min).log10().floor();
    let high = positive().copied().fold(0.0, f64::max).log10().ceil();
    if !low.is_finite() || !high.is_finite() {
        return svg + "</svg>";
    }
    let high = high.max(low + 1.0);
    let (left, right, top, bottom) = (62.0, WIDTH - 84.0, 32.0, height - 26.0);
    let x = |column: usize| left + (right - left) * column as f64 / (columns.len().max(2) - 1) as f64;
    let y = |figure: f64| bottom - (bottom - top) * (figure.log10() - low) / (high - low);
    let mut decade = low;
    while decade <= high {
        let line = y(10f64.powf(decade));
        let _ = write!(
            svg,
            r#"<line x1="{left}" x2="{right}" y1="{line:.1}" y2="{line:.1}" class="grid"/><text x="{:.1}" y="{:.1}" text-anchor="end" class="axis">{}</text>"#,
            left - 6.0,
            line + 4.0,
            duration(10f64.powf(decade)),
        );
        decade += 1.0;
    }
    for (column, name) in columns.iter().enumerate() {
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="axis">{}</text>"#,
            x(column),
            height - 8.0,
            escape(name)
        );
    }
    for (curve, label) in curves.iter().zip(label_heights(curves, y)) {
        let points = curve.points.iter().enumerate().filter_map(|(column, figure)| {
            figure.filter(|figure| *figure > 0.0).map(|figure| format!("{:.1},{:.1}", x(column), y(figure)))
        });
        let points: Vec<_> = points.collect();
        let _ = write!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/><text x="{:.1}" y="{label:.1}" fill="{}">{}</text>"#,
            points.join(" "),
            curve.colour,
            right + 6.0,
            curve.colour,
            escape(curve.name)
        );
    }
    svg + "</svg>"
}

/// Where the curves' names stand: at their ends, moved apart where they would overlap.
fn label_heights(curves: &[Curve<'_>], y: impl Fn(f64) -> f64) -> Vec<f64> {
    const APART: f64 = 13.0;
    let end = |curve: &Curve<'_>| {
        curve.points.iter().rev().find_map(|point| *point).map_or(0.0, |figure| y(figure) + 4.0)
    };
    let mut order: Vec<(usize, f64)> = curves.iter().map(end).enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut heights = vec![0.0; curves.len()];
    let mut last = f64::NEG_INFINITY;
    for (index, height) in order {
        last = height.max(last + APART);
        heights[index] = last;
    }
    heights
}

/// Microseconds, in the unit that people would use.
pub(super) fn duration(micros: f64) -> String {
    match micros {
        m if m >= 1e6 => format!("{:.0} s", m / 1e6),
        m if m >= 1e3 => format!("{:.0} ms", m / 1e3),
        m if m >= 1.0 => format!("{m:.0} us"),
        m => format!("{:.0} ns", m * 1e3),
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}"><text x="0" y="16" class="title">{title}</text>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let spread = |median| Spread { median, low: median, high: median };
        let bar = |name, median| Bar { name, colour: "#123456", spread: spread(median) };
        let svg = bars("a < b", &[bar("x", 10.0), bar("y", 5.0)], 1);
        let full = WIDTH - LABEL - VALUE;
        assert!(
            svg.contains(&format!("width=\"{full:.1}\""))
                && svg.contains(&format!("width=\"{:.1}\"", full / 2.0))
        );
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
    }

    #[test]
    fn a_curve_passes_decades_and_gaps() {
        let curve = Curve { name: "x", colour: "#123456", points: vec![Some(0.5), None, Some(2_000.0)] };
        let svg = curves("t", &["a", "b", "c"], &[curve]);
        for text in ["100 ns", "1 us", "10 us", "100 us", "1 ms", "10 ms"] {
            assert!(svg.contains(&format!(">{text}<")), "{text}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn nothing_to_plot_is_an_empty_plot() {
        let nothing = Curve { name: "x", colour: "#123456", points: vec![None] };
        assert!(curves("t", &["a"], &[nothing]).ends_with("</svg>"));
        assert!(bars("t", &[], 1).ends_with("</svg>"));
    }

    #[test]
    fn names_at_one_height_are_moved_apart() {
        let curve = || Curve { name: "x", colour: "#123456", points: vec![Some(10.0)] };
        let heights = label_heights(&[curve(), curve()], |figure| figure);
        assert!((heights[0] - heights[1]).abs() >= 13.0, "{heights:?}");
    }
}
