//! Two figures of each contender against each other.

use super::escape;
use crate::runs::results::Spread;
use std::fmt::Write;

const WIDTH: f64 = 580.0;
const HEIGHT: f64 = 380.0;
/// Room about the plot for its headings and figures.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
const CHARACTER: f64 = 6.2;

/// One contender.
pub(crate) struct Dot<'a> {
    pub(crate) key: usize,
    pub(crate) name: &'a str,
    pub(crate) colour: usize,
    /// Which of the shapes: circle, square, diamond, triangle.
    pub(crate) shape: usize,
    /// Whether it is filled, and not hollow.
    pub(crate) filled: bool,
    /// Whether its name stands beside it and the line of the best passes it.
    pub(crate) best: bool,
    pub(crate) x: Spread,
    pub(crate) y: Spread,
}

/// One direction of the plot.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Over these figures: logarithmic where they differ by a factor of five and more.
    fn over(figures: impl Iterator<Item = f64> + Clone) -> Self {
        let low = figures.clone().fold(f64::INFINITY, f64::min);
        let high = figures.fold(f64::NEG_INFINITY, f64::max);
        if !(low.is_finite() && high.is_finite()) {
            return Axis { low: 0.0, high: 1.0, logarithmic: false, ticks: Vec::new() };
        }
        if low > 0.0 && high / low >= 5.0 {
            let steps: &[f64] = if high / low > 1000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
            let (low, high) = (low / 1.15, high * 1.15);
            let ticks = ticks.filter(|tick| (low..=high).contains(tick)).collect();
            return Axis { low, high, logarithmic: true, ticks };
        }
        let width = (high - low).max(high.abs() * 0.05).max(1e-9);
        let (low, high) = (low - width * 0.08, high + width * 0.08);
        let rough = (high - low) / 5.0;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (low / step).ceil() as i64;
        let ticks = (first..).map(|tick| tick as f64 * step).take_while(|tick| *tick <= high).collect();
        Axis { low, high, logarithmic: false, ticks }
    }

    /// Whether an interval lies within.
    fn holds(&self, spread: Spread) -> bool {
        self.low <= spread.low && spread.high <= self.high
    }

    /// Where a figure lies between the ends, from 0 to 1.
    fn share(&self, figure: f64) -> f64 {
        let share = match self.logarithmic {
            true => (figure.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
            false => (figure - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }
}

fn x_of(axis: &Axis, figure: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * axis.share(figure)
}

fn y_of(axis: &Axis, figure: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(figure)
}

/// The plot; the headings of its axes say which way is better.
pub(crate) fn scatter(title: &str, x_title: &str, y_title: &str, dots: &[Dot<'_>]) -> String {
    let title = escape(title);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}"><text x="0" y="14" class="title">{title}</text>"#
    );
    let x = Axis::over(dots.iter().map(|dot| dot.x.median));
    let y = Axis::over(dots.iter().map(|dot| dot.y.median));
    grid(&mut svg, &x, &y, x_title, y_title);
    let mut best: Vec<&Dot<'_>> = dots.iter().filter(|dot| dot.best).collect();
    best.sort_by(|a, b| a.x.median.total_cmp(&b.x.median));
    let line: Vec<String> = best
        .iter()
        .map(|dot| format!("{:.1},{:.1}", x_of(&x, dot.x.median), y_of(&y, dot.y.median)))
        .collect();
    let _ = write!(svg, r#"<polyline points="{}" class="best"/>"#, line.join(" "));
    for dot in dots {
        draw(&mut svg, &x, &y, dot);
    }
    names(&mut svg, &x, &y, dots, &best);
    svg + "</svg>"
}

fn grid(svg: &mut String, x: &Axis, y: &Axis, x_title: &str, y_title: &str) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in &x.ticks {
        let at = x_of(x, *tick);
        let _ = write!(
            svg,
            r#"<line x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom}" class="grid"/><text x="{at:.1}" y="{:.1}" text-anchor="middle" class="axis">{}</text>"#,
            bottom + 16.0,
            label(*tick)
        );
    }
    for tick in &y.ticks {
        let at = y_of(y, *tick);
        let _ = write!(
            svg,
            r#"<line x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}" class="grid"/><text x="{:.1}" y="{:.1}" text-anchor="end" class="axis">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            label(*tick)
        );
    }
    let _ = write!(
        svg,
        r#"<text x="{right}" y="{:.1}" text-anchor="end" class="axis">{}</text><text x="{:.1}" y="{:.1}" class="axis">{}</text>"#,
        HEIGHT - 10.0,
        escape(x_title),
        LEFT + 4.0,
        TOP - 4.0,
        escape(y_title),
    );
}

fn label(figure: f64) -> String {
    // Three digits at most: ticks are round.
    let text = format!("{figure:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if figure.abs() >= 1e5 { format!("{figure:.0e}") } else { short.to_owned() }
}

fn draw(svg: &mut String, x: &Axis, y: &Axis, dot: &Dot<'_>) {
    let (cx, cy) = (x_of(x, dot.x.median), y_of(y, dot.y.median));
    let class = format!("k{}{}", dot.colour, if dot.filled { "" } else { " hollow" });
    let _ = write!(
        svg,
        r#"<g class="dot" data-c="{}"><title>{}: {} and {}</title>"#,
        dot.key,
        escape(dot.name),
        label(dot.x.median),
        label(dot.y.median)
    );
    // An interval of two or three runs may reach over all of the plot: it tells nothing then and hides the rest.
    if dot.x.low < dot.x.high && x.holds(dot.x) {
        let (low, high) = (x_of(x, dot.x.low), x_of(x, dot.x.high));
        let _ =
            write!(svg, r#"<line x1="{low:.1}" x2="{high:.1}" y1="{cy:.1}" y2="{cy:.1}" class="reach"/>"#);
    }
    if dot.y.low < dot.y.high && y.holds(dot.y) {
        let (low, high) = (y_of(y, dot.y.low), y_of(y, dot.y.high));
        let _ =
            write!(svg, r#"<line x1="{cx:.1}" x2="{cx:.1}" y1="{low:.1}" y2="{high:.1}" class="reach"/>"#);
    }
    svg.push_str(&shape(dot.shape, cx, cy, &class));
    svg.push_str("</g>");
}

/// How many shapes there are.
pub(crate) const SHAPES: usize = 4;

/// The shape of this number about a place.
pub(crate) fn shape(number: usize, x: f64, y: f64, class: &str) -> String {
    match number {
        0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="5" class="{class}"/>"#),
        1 => format!(r#"<path d="M{:.1} {:.1}h9v9h-9z" class="{class}"/>"#, x - 4.5, y - 4.5),
        2 => format!(r#"<path d="M{x:.1} {:.1}l6 6l-6 6l-6 -6z" class="{class}"/>"#, y - 6.0),
        _ => format!(r#"<path d="M{x:.1} {:.1}l6 10h-12z" class="{class}"/>"#, y - 6.0),
    }
}

/// Names beside the best, each where it covers no other and no point; one for which there is no such place has its name in its title only.
fn names(svg: &mut String, x: &Axis, y: &Axis, dots: &[Dot<'_>], best: &[&Dot<'_>]) {
    let of_dot = |dot: &Dot<'_>| {
        let (cx, cy) = (x_of(x, dot.x.median), y_of(y, dot.y.median));
        [cx - 6.0, cy - 6.0, cx + 6.0, cy + 6.0]
    };
    let mut taken: Vec<[f64; 4]> = dots.iter().map(of_dot).collect();
    for dot in best {
        let (cx, cy) = (x_of(x, dot.x.median), y_of(y, dot.y.median));
        let width = dot.name.chars().count() as f64 * CHARACTER;
        let places = [(9.0, -6.0), (9.0, 14.0), (-9.0 - width, -6.0), (-9.0 - width, 14.0)];
        let free = places.into_iter().find_map(|(dx, dy)| {
            let place = [cx + dx, cy + dy - 10.0, cx + dx + width, cy + dy + 3.0];
            let inside = place[0] > LEFT && place[2] < WIDTH && place[1] > TOP && place[3] < HEIGHT - BOTTOM;
            let meets = |other: &[f64; 4]| {
                place[0] < other[2] && other[0] < place[2] && place[1] < other[3] && other[1] < place[3]
            };
            (inside && !taken.iter().any(meets)).then_some(place)
        });
        if let Some(place) = free {
            taken.push(place);
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" class="name k{}">{}</text>"#,
                place[0],
                place[3] - 3.0,
                dot.colour,
                escape(dot.name)
            );
        }
    }
}

/// Style of these plots, beside that of [`panels`](super::panels).
pub(crate) const STYLE: &str = ".best{fill:none;stroke:var(--front);stroke-width:1.5;stroke-dasharray:5 4}.dot .hollow{fill:var(--ground);stroke-width:1.4}\
.reach{stroke:var(--ink);opacity:.25}.dot.lit circle,.dot.lit path{stroke:var(--ink);stroke-width:3}svg .name{font-size:11px;paint-order:stroke}.plots text.name{stroke:var(--ground);stroke-width:3px}";

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(key: usize, x: f64, y: f64) -> Dot<'static> {
        let spread = |median: f64| Spread { median, low: median * 0.9, high: median * 1.1 };
        Dot {
            key,
            name: "a <name>",
            colour: 0,
            shape: key,
            filled: true,
            best: true,
            x: spread(x),
            y: spread(y),
        }
    }

    #[test]
    fn points_lie_in_the_order_of_their_figures_and_inside() {
        for figures in [[1.0, 2.0, 3.0], [0.01, 5.0, 70_000.0], [0.70, 0.71, 0.712], [7.0, 7.0, 7.0]] {
            let axis = Axis::over(figures.into_iter());
            let places = figures.map(|figure| axis.share(figure));
            assert!(places.is_sorted() && places[0] > 0.0 && places[2] < 1.0, "{figures:?}: {places:?}");
            assert!(
                (2..16).contains(&axis.ticks.len()) || axis.ticks.len() == 1,
                "{figures:?}: {:?}",
                axis.ticks
            );
            assert!(axis.ticks.iter().all(|tick| (axis.low..=axis.high).contains(tick)), "{:?}", axis.ticks);
        }
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let dots: Vec<_> = (0..9).map(|key| dot(key, 100.0, 3.0)).collect();
        let svg = scatter("t", "x", "y", &dots);
        crate::page::tests::check(&format!("<!doctype html>{svg}"));
        // Four places about one point.
        assert_eq!(svg.matches(">a &lt;name&gt;</text>").count(), 4);
        assert_eq!(svg.matches("data-c=").count(), 9);
    }

    #[test]
    fn nothing_and_zeros_can_be_drawn() {
        for dots in [vec![], vec![dot(0, 0.0, 0.0), dot(1, 1.0, 0.0)]] {
            crate::page::tests::check(&format!("<!doctype html>{}", scatter("t", "x", "y", &dots)));
        }
    }
}
