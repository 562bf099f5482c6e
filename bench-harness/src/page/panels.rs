//! Contenders in rows, their figures side by side: one plot that can be read across, where one plot for each figure can not.

use super::escape;
use crate::runs::results::Spread;
use std::fmt::Write;

pub(crate) const STYLE: &str = ".row .hit{fill:transparent}.row.lit .hit{fill:var(--box)}.row text{font-size:11px}.row.front .name{font-weight:600}\
.row .mark{fill:var(--front)}.k0{fill:var(--c0);stroke:var(--c0)}.k1{fill:var(--c1);stroke:var(--c1)}\
.k2{fill:var(--c2);stroke:var(--c2)}.k3{fill:var(--c3);stroke:var(--c3)}.k4{fill:var(--c4);stroke:var(--c4)}.k5{fill:var(--c5);stroke:var(--c5)}\
.k6{fill:var(--c6);stroke:var(--c6)}.k7{fill:var(--c7);stroke:var(--c7)}.bar{stroke:none;opacity:.8}.hollow{fill:none}text.k0,text.k1,text.k2,\
text.k3,text.k4,text.k5,text.k6,text.k7{stroke:none}circle.ring{fill:var(--ground);stroke-width:1.5}";

/// How many colours there are.
pub(crate) const COLOURS: usize = 8;

const WIDTH: f64 = 1200.0;
const GAP: f64 = 18.0;
const STEP: f64 = 20.0;
const HEAD: f64 = 42.0;
/// Room behind a bar for its figure.
const FIGURE: f64 = 42.0;
const CHARACTER: f64 = 6.4;
/// Room for the name of a decade.
const DECADE: f64 = 50.0;

/// A column of the plot.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// Its width against that of the others.
    pub(crate) share: f64,
    pub(crate) decimals: usize,
}

/// What a row shows in a column.
pub(crate) enum Mark {
    /// A figure from zero, with its interval.
    Bar(Spread),
    /// Latencies in microseconds by rising percentile, on a logarithmic scale: p50, p99, p99.9 and the longest.
    Latencies([f64; 4]),
}

/// A row.
pub(crate) struct Line<'a> {
    /// Rows, points and lines of a table of one contender have one key.
    pub(crate) key: usize,
    pub(crate) name: &'a str,
    pub(crate) colour: usize,
    pub(crate) front: bool,
    pub(crate) marks: Vec<Option<Mark>>,
}

/// Where a column lies and what it scales.
struct Place {
    left: f64,
    width: f64,
    scale: Scale,
}

enum Scale {
    /// From zero to this.
    Bars(f64),
    /// From one power of ten to another.
    Decades(f64, f64),
}

impl Place {
    fn x(&self, figure: f64) -> f64 {
        match self.scale {
            Scale::Bars(most) => self.left + (self.width - FIGURE) * (figure / most).clamp(0.0, 1.0),
            Scale::Decades(low, high) => {
                let share = (figure.max(1e-3).log10() - low) / (high - low);
                self.left + (self.width - 8.0) * share.clamp(0.0, 1.0)
            }
        }
    }
}

/// The plot.
pub(crate) fn panels(title: &str, panels: &[Panel], lines: &[Line<'_>]) -> String {
    let height = HEAD + STEP * lines.len() as f64 + 6.0;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{}">"#,
        escape(title)
    );
    let places = places(panels, lines);
    for (panel, place) in panels.iter().zip(&places) {
        let _ =
            write!(svg, r#"<text x="{:.1}" y="13" class="title">{}</text>"#, place.left, escape(panel.title));
        if let Scale::Decades(low, high) = place.scale {
            decades(&mut svg, place, low as i32, high as i32, height);
        }
    }
    for (row, line) in lines.iter().enumerate() {
        draw(&mut svg, panels, &places, line, HEAD + STEP * row as f64);
    }
    svg + "</svg>"
}

fn places(panels: &[Panel], lines: &[Line<'_>]) -> Vec<Place> {
    let longest = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let mut left = (longest as f64 * CHARACTER + 26.0).min(WIDTH / 3.0);
    let shares: f64 = panels.iter().map(|panel| panel.share).sum();
    let unit = (WIDTH - left - GAP * panels.len() as f64) / shares.max(1.0);
    let mut places = Vec::new();
    for (column, panel) in panels.iter().enumerate() {
        let marks = || lines.iter().filter_map(move |line| line.marks[column].as_ref());
        let width = unit * panel.share;
        places.push(Place { left, width, scale: scale(marks()) });
        left += width + GAP;
    }
    places
}

fn scale<'a>(marks: impl Iterator<Item = &'a Mark>) -> Scale {
    let (mut most, mut reach) = (0f64, 0f64);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for mark in marks {
        match mark {
            Mark::Bar(spread) => (most, reach) = (most.max(spread.median), reach.max(spread.high)),
            Mark::Latencies(figures) => {
                for figure in figures.iter().filter(|figure| **figure > 0.0) {
                    (low, high) = (low.min(figure.log10()), high.max(figure.log10()));
                }
            }
        }
    }
    if low <= high {
        let low = low.floor();
        return Scale::Decades(low, high.ceil().max(low + 1.0));
    }
    // An interval of two or three runs may reach far; it is cut off rather than making all bars short.
    Scale::Bars(reach.min(1.4 * most).max(f64::MIN_POSITIVE))
}

fn decades(svg: &mut String, place: &Place, low: i32, high: i32, height: f64) {
    let apart = place.width / f64::from((high - low).max(1));
    for decade in low..=high {
        let figure = 10f64.powi(decade);
        let x = place.x(figure);
        let _ =
            write!(svg, r#"<line x1="{x:.1}" x2="{x:.1}" y1="36" y2="{:.1}" class="grid"/>"#, height - 4.0);
        // Where decades stand close, every other has its name.
        if apart >= DECADE || (decade - low) % 2 == 0 {
            let _ = write!(
                svg,
                r#"<text x="{x:.1}" y="30" text-anchor="middle" class="axis">{}</text>"#,
                super::plot::duration(figure)
            );
        }
    }
}

fn draw(svg: &mut String, panels: &[Panel], places: &[Place], line: &Line<'_>, top: f64) {
    let (name, middle, text) = (escape(line.name), top + STEP / 2.0, top + STEP / 2.0 + 4.0);
    let _ = write!(
        svg,
        r#"<g class="row{}" data-c="{}"><rect x="0" y="{top:.1}" width="{WIDTH}" height="{STEP}" class="hit"/>"#,
        if line.front { " front" } else { "" },
        line.key,
    );
    if line.front {
        let _ = write!(svg, r#"<text x="0" y="{text:.1}" class="mark">●</text>"#);
    }
    let _ = write!(svg, r#"<text x="14" y="{text:.1}" class="name k{}">{name}</text>"#, line.colour);
    for ((mark, panel), place) in line.marks.iter().zip(panels).zip(places) {
        match mark {
            None => {
                let _ = write!(svg, r#"<text x="{:.1}" y="{text:.1}" class="axis">-</text>"#, place.left);
            }
            Some(Mark::Bar(spread)) => bar(svg, panel, place, line.colour, spread, middle),
            Some(Mark::Latencies(figures)) => latencies(svg, place, line.colour, figures, middle),
        }
    }
    svg.push_str("</g>");
}

fn bar(svg: &mut String, panel: &Panel, place: &Place, colour: usize, spread: &Spread, middle: f64) {
    let (end, decimals) = (place.x(spread.median), panel.decimals);
    let _ = write!(
        svg,
        r#"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="12" class="bar k{colour}"/>"#,
        place.left,
        middle - 6.0,
        end - place.left
    );
    let (low, high) = (place.x(spread.low), place.x(spread.high));
    if spread.low < spread.high {
        let _ = write!(
            svg,
            r#"<line x1="{low:.1}" x2="{high:.1}" y1="{middle:.1}" y2="{middle:.1}" class="spread"/>"#
        );
    }
    let _ = write!(
        svg,
        r#"<text x="{:.1}" y="{:.1}">{:.decimals$}</text>"#,
        end.max(high) + 5.0,
        middle + 4.0,
        spread.median
    );
}

fn latencies(svg: &mut String, place: &Place, colour: usize, figures: &[f64; 4], middle: f64) {
    let [p50, p99, p999, max] = figures.map(|figure| place.x(figure));
    let _ = write!(
        svg,
        r#"<line x1="{p50:.1}" x2="{max:.1}" y1="{middle:.1}" y2="{middle:.1}" class="k{colour}"/><line x1="{p50:.1}" x2="{p50:.1}" y1="{:.1}" y2="{:.1}" class="k{colour}" stroke-width="2"/><circle cx="{p99:.1}" cy="{middle:.1}" r="3.5" class="k{colour} ring"/><circle cx="{p999:.1}" cy="{middle:.1}" r="4" class="k{colour}"/><line x1="{max:.1}" x2="{max:.1}" y1="{:.1}" y2="{:.1}" class="k{colour}"/>"#,
        middle - 5.0,
        middle + 5.0,
        middle - 3.0,
        middle + 3.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, low: f64, high: f64) -> Mark {
        Mark::Bar(Spread { median, low, high })
    }

    fn line(name: &str, marks: Vec<Option<Mark>>) -> Line<'_> {
        Line { key: 0, name, colour: 1, front: true, marks }
    }

    const TWO: [Panel; 2] =
        [Panel { title: "a", share: 1.0, decimals: 1 }, Panel { title: "b", share: 1.0, decimals: 0 }];

    #[test]
    fn bars_scale_together_and_a_far_interval_is_cut_off() {
        let lines = [
            line("x", vec![Some(spread(10.0, 1.0, 500.0)), None]),
            line("y < z", vec![Some(spread(5.0, 5.0, 5.0)), None]),
        ];
        let svg = panels("t", &TWO, &lines);
        crate::page::tests::check(&format!("<!doctype html>{svg}"));
        let widths: Vec<f64> = svg
            .split("width=\"")
            .skip(1)
            .filter_map(|rest| rest.split_once("\" height=\"12\"").filter(|(width, _)| width.len() < 9))
            .map(|(width, _)| width.parse().expect("a number"))
            .collect();
        assert!(widths.len() == 2 && (widths[0] / widths[1] - 2.0).abs() < 0.01, "{widths:?}");
        assert!(svg.contains("y &lt; z") && svg.contains(">10.0<"), "{svg}");
    }

    #[test]
    fn latencies_rise_from_left_to_right() {
        let svg = panels("t", &TWO, &[line("x", vec![None, Some(Mark::Latencies([0.5, 20.0, 300.0, 9e6]))])]);
        crate::page::tests::check(&format!("<!doctype html>{svg}"));
        let xs: Vec<f64> = svg
            .split("cx=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().and_then(|x| x.parse().ok()).expect("a number"))
            .collect();
        assert!(xs.len() == 2 && xs[0] < xs[1] && xs[1] < WIDTH, "{xs:?}");
        for text in ["100 ns", "10 s"] {
            assert!(svg.contains(&format!(">{text}<")), "{svg}");
        }
    }

    #[test]
    fn zeros_and_nothing_can_be_drawn() {
        let zeros = vec![Some(spread(0.0, 0.0, 0.0)), Some(Mark::Latencies([0.0; 4]))];
        crate::page::tests::check(&format!("<!doctype html>{}", panels("t", &TWO, &[line("x", zeros)])));
        crate::page::tests::check(&format!("<!doctype html>{}", panels("t", &TWO, &[])));
    }
}
