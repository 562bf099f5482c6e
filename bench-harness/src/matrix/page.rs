//! The matrix as one HTML page that needs nothing else: plots and tables, and a few lines of script that sort a table and light up a combination
//! wherever it is drawn. Without the script everything is there to be read.

use super::{FIGURES, Figure, Heading, Standing, pareto};
use crate::page::panels::{self, COLOURS, Line, Mark, Panel};
use crate::page::scatter::{self, Dot, scatter};
use crate::page::{document, escape};
use crate::runs::Stage;
use crate::runs::results::{Results, Spread};
use std::fmt::Write;

/// A plot of rows shows no more than this; the table has all.
const ROWS_MAX: usize = 40;

const STYLE: &str = "th[data-s]{cursor:pointer;user-select:none}th[aria-sort]{color:var(--front)}tr.lit td{background:var(--box)}\
td.front{color:var(--front)}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;background:var(--box);padding:.8rem;font-size:13px}\
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}.note{color:var(--faint);font-size:13px}summary{cursor:pointer}.scroll{overflow-x:auto}\
nav a{margin-right:1rem}.legend span{margin-right:1.1rem;white-space:nowrap}.legend svg{vertical-align:-2px;margin-right:.3rem}";

const SCRIPT: &str = r#"
document.addEventListener('pointerover', event => {
  const over = event.target.closest && event.target.closest('[data-c]');
  for (const lit of document.querySelectorAll('.lit')) lit.classList.remove('lit');
  if (over) for (const same of document.querySelectorAll('[data-c="' + over.dataset.c + '"]')) same.classList.add('lit');
});
function sort(heading) {
  const row = heading.parentNode, body = row.closest('table').tBodies[0];
  const column = Array.prototype.indexOf.call(row.children, heading);
  const rising = heading.getAttribute('aria-sort') !== 'ascending';
  for (const other of row.children) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
  const value = line => line.children[column].dataset.v || line.children[column].textContent;
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)], [n, m] = [parseFloat(x), parseFloat(y)];
    if (isNaN(n) || isNaN(m)) return isNaN(n) && isNaN(m) ? x.localeCompare(y) * (rising ? 1 : -1) : isNaN(n) ? 1 : -1;
    return (n - m) * (rising ? 1 : -1);
  };
  Array.from(body.rows).sort(order).forEach(line => body.appendChild(line));
}
document.addEventListener('click', event => {
  const heading = event.target.closest && event.target.closest('th[data-s]');
  if (heading) sort(heading);
});
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && event.target.matches && event.target.matches('th[data-s]')) sort(event.target);
});
"#;

/// The page.
pub(super) fn render(
    results: &Results,
    standings: &[Vec<Standing>],
    heading: &Heading,
    repetitions: u64,
) -> String {
    let title = "Terrace: combinations of parts under the same work";
    let mut html = format!("<h1>{title}</h1>\n<nav>");
    for stage in &results.stages {
        let _ = write!(html, "<a href=\"#{0}\">{0}</a>", stage.name);
    }
    html.push_str("</nav>\n<dl>");
    for (name, value) in &heading.0 {
        let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    }
    html.push_str("</dl>\n");
    how_to_read(&mut html, repetitions);
    fronts(&mut html, results, standings);
    let look = Look::new(results);
    for (stage, standings) in results.stages.iter().zip(standings) {
        section(&mut html, results, stage, standings, &look);
    }
    let _ = writeln!(html, "<script>{SCRIPT}</script>");
    document(title, &html, &format!("{STYLE}{}{}", panels::STYLE, scatter::STYLE))
}

fn how_to_read(html: &mut String, repetitions: u64) {
    let spread = match repetitions {
        1 => "One run of each: no interval can be given, and a small difference means nothing.".to_owned(),
        _ => format!(
            "Figures are medians of {repetitions} runs; thin lines are 95 % confidence intervals, by Student's t over the logarithms of the runs."
        ),
    };
    let _ = writeln!(
        html,
        "<p>A combination marked ● is on the Pareto front of its workload: no other is at least as good in all of throughput, p99.9 latency, write, \
         read and space amplification and peak memory, and better in one. A figure that a workload does not have (read amplification where nothing \
         is looked up) does not count. {spread}</p>"
    );
}

/// How combinations are drawn: the colour tells the policy, or where there is only one, whatever comes next of which there are several.
struct Look {
    colours: Vec<usize>,
    shapes: Vec<usize>,
    legend: String,
}

impl Look {
    fn new(results: &Results) -> Self {
        let slots: [(&str, Vec<&'static str>); 5] = [
            ("policy", results.contenders.iter().map(|c| c.parts.picker).collect()),
            ("memtable", results.contenders.iter().map(|c| c.parts.memtable).collect()),
            ("log", results.contenders.iter().map(|c| c.parts.log).collect()),
            ("filter", results.contenders.iter().map(|c| c.parts.filter).collect()),
            ("compression", results.contenders.iter().map(|c| c.parts.compression).collect()),
        ];
        let mut varying = slots.iter().filter(|(_, parts)| parts.iter().any(|part| *part != parts[0]));
        let mut legend = String::new();
        let mut take = |modulus: usize, sign: &dyn Fn(usize) -> String| -> Vec<usize> {
            let Some((slot, parts)) = varying.next() else { return vec![0; results.contenders.len()] };
            let mut names: Vec<&str> = Vec::new();
            for part in parts {
                if !names.contains(part) {
                    names.push(part);
                }
            }
            let _ = write!(legend, "<p class=\"legend\">{slot}: ");
            for (number, name) in names.iter().enumerate() {
                let _ = write!(legend, "<span>{}{}</span>", sign(number % modulus), escape(name));
            }
            legend.push_str("</p>\n");
            let number = |part: &&str| names.iter().position(|name| name == part).unwrap_or(0) % modulus;
            parts.iter().map(number).collect()
        };
        let colours = take(COLOURS, &|colour| sign(colour, 0));
        let shapes = take(scatter::SHAPES, &|shape| sign(6, shape));
        Look { colours, shapes, legend }
    }
}

fn sign(colour: usize, shape: usize) -> String {
    format!(
        "<svg viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\">{}</svg>",
        scatter::shape(shape, 7.0, 7.0, &format!("k{colour}"))
    )
}

/// Who is on how many fronts.
fn fronts(html: &mut String, results: &Results, standings: &[Vec<Standing>]) {
    html.push_str("<h2 id=\"fronts\">Who is on the front</h2>\n<div class=\"scroll\"><table><thead><tr><th data-s=\"\" tabindex=\"0\">combination</th><th data-s=\"\" tabindex=\"0\">fronts</th>");
    results.stages.iter().for_each(|stage| *html += &format!("<th>{}</th>", stage.name));
    html.push_str("</tr></thead><tbody>\n");
    let count =
        |contender: usize| standings.iter().filter(|stage| stage[contender] == Standing::Front).count();
    let mut order: Vec<usize> = (0..results.contenders.len()).collect();
    order.sort_by_key(|contender| std::cmp::Reverse(count(*contender)));
    for contender in order {
        let name = escape(&results.contenders[contender].name);
        let _ = write!(html, "<tr data-c=\"{contender}\"><td>{name}</td><td>{}</td>", count(contender));
        for stage in standings {
            let cell = match stage[contender] {
                Standing::Front => "<td class=\"front\">●</td>".to_owned(),
                Standing::Behind(other) => {
                    format!("<td>behind {}</td>", escape(&results.contenders[other].name))
                }
                Standing::Unknown => "<td>-</td>".to_owned(),
            };
            html.push_str(&cell);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

fn section(html: &mut String, results: &Results, stage: &Stage, standings: &[Standing], look: &Look) {
    let _ =
        write!(html, "<h2 id=\"{0}\">{0}</h2><p>{1}</p>\n{2}", stage.name, escape(stage.what), look.legend);
    let shown = shown(results, stage, standings);
    let left_out = results.contenders.len() - shown.len();
    html.push_str(&rows(results, stage, standings, look, &shown));
    html.push_str(
        "<p class=\"note\">Latency: the tick is p50, the ring p99, the dot p99.9, the end the longest.",
    );
    if left_out > 0 {
        let _ =
            write!(html, " {left_out} further combinations, slower and not on the front, are in the table.");
    }
    html.push_str("</p>\n<div class=\"plots\">");
    for (x, y) in [(0, 1), (0, 2), (2, 3), (0, 5)] {
        html.push_str(&plot(results, stage, standings, look, x, y));
    }
    html.push_str("</div>\n<p class=\"note\">Filled: on the front over all six figures. Dashed: the front over the two of the plot.</p>\n");
    table(html, results, stage, standings);
}

/// The fastest first; where there are too many, all of the front and the fastest of the others.
fn shown(results: &Results, stage: &Stage, standings: &[Standing]) -> Vec<usize> {
    let rate = |index: &usize| results.rate(*index, stage).map_or(0.0, |rate| rate.median);
    let by_rate = |a: &usize, b: &usize| rate(b).total_cmp(&rate(a));
    let mut order: Vec<usize> = (0..standings.len()).collect();
    order.sort_by(by_rate);
    order.sort_by_key(|index| standings[*index] != Standing::Front);
    order.truncate(ROWS_MAX);
    order.sort_by(by_rate);
    order
}

fn rows(results: &Results, stage: &Stage, standings: &[Standing], look: &Look, shown: &[usize]) -> String {
    let mut columns = vec![
        Panel { title: FIGURES[0].title, share: 2.4, decimals: 0 },
        Panel { title: "Latency of an operation", share: 2.6, decimals: 0 },
    ];
    let known =
        |figure: &&Figure| shown.iter().any(|index| results.figure(*index, stage, figure.name).is_some());
    let rest: Vec<&Figure> = FIGURES[2..].iter().filter(known).collect();
    columns.extend(rest.iter().map(|figure| Panel {
        title: figure.title,
        share: 1.0,
        decimals: figure.decimals,
    }));
    let lines: Vec<Line<'_>> = shown
        .iter()
        .map(|index| {
            let figure = |name: &str| results.figure(*index, stage, name).map(|spread| spread.median);
            let bar = |name: &str| results.interval(*index, stage, name).map(Mark::Bar);
            let latencies = ["p50_us", "p99_us", "p999_us", "max_us"].map(figure);
            let latencies = match latencies {
                [Some(p50), Some(p99), Some(p999), Some(max)] => Some(Mark::Latencies([p50, p99, p999, max])),
                _ => None,
            };
            let mut marks = vec![bar(FIGURES[0].name), latencies];
            marks.extend(rest.iter().map(|figure| bar(figure.name)));
            Line {
                key: *index,
                name: &results.contenders[*index].name,
                colour: look.colours[*index],
                front: standings[*index] == Standing::Front,
                marks,
            }
        })
        .collect();
    panels::panels(&format!("{}: all figures", stage.name), &columns, &lines)
}

/// Two figures against each other, or nothing where one of them is not known.
fn plot(results: &Results, stage: &Stage, standings: &[Standing], look: &Look, x: usize, y: usize) -> String {
    let points: Vec<(usize, Spread, Spread)> = (0..results.contenders.len())
        .filter_map(|index| {
            let figure = |figure: usize| results.interval(index, stage, FIGURES[figure].name);
            Some((index, figure(x)?, figure(y)?))
        })
        .collect();
    if points.len() < 2 {
        return String::new();
    }
    let medians: Vec<Vec<Option<f64>>> =
        points.iter().map(|(_, x, y)| vec![Some(x.median), Some(y.median)]).collect();
    let of_two = pareto::standings(&medians, &[FIGURES[x].better, FIGURES[y].better]);
    let dots: Vec<Dot<'_>> = points
        .iter()
        .zip(of_two)
        .map(|((index, x, y), standing)| Dot {
            key: *index,
            name: &results.contenders[*index].name,
            colour: look.colours[*index],
            shape: look.shapes[*index],
            filled: standings[*index] == Standing::Front,
            best: standing == Standing::Front,
            x: *x,
            y: *y,
        })
        .collect();
    let better = |figure: usize| match FIGURES[figure].better {
        pareto::Better::Higher => "more is better",
        pareto::Better::Lower => "less is better",
    };
    let (x_title, y_title) = (FIGURES[x].title, FIGURES[y].title);
    scatter(
        &format!("{}: {} against {}", stage.name, y_title, x_title.to_lowercase()),
        &format!("{x_title} ({})", better(x)),
        &format!("{y_title} ({})", better(y)),
        &dots,
    )
}

fn table(html: &mut String, results: &Results, stage: &Stage, standings: &[Standing]) {
    const MORE: [(&str, &str, usize); 6] = [
        ("p50_us", "p50 us", 2),
        ("p99_us", "p99 us", 1),
        ("max_us", "max us", 0),
        ("drain_ms", "drain ms", 0),
        ("stall_ms", "stall ms", 0),
        ("processor_seconds", "cpu s", 2),
    ];
    html.push_str("<details><summary>All figures of all combinations (a click on a heading sorts)</summary>\n<div class=\"scroll\"><table><thead><tr>");
    let mut heading = |text: &str| {
        let _ = write!(html, "<th data-s=\"\" tabindex=\"0\">{}</th>", escape(text));
    };
    for text in ["combination", "front", FIGURES[0].heading, "95 % from", "to"] {
        heading(text);
    }
    FIGURES[1..].iter().for_each(|figure| heading(figure.heading));
    MORE.iter().for_each(|(_, text, _)| heading(text));
    html.push_str("</tr></thead><tbody>\n");
    for (index, standing) in standings.iter().enumerate() {
        let name = escape(&results.contenders[index].name);
        let front = if *standing == Standing::Front { "●" } else { "" };
        let _ = write!(html, "<tr data-c=\"{index}\"><td>{name}</td><td class=\"front\">{front}</td>");
        let mut cell = |figure: Option<f64>, decimals: usize| {
            let _ = match figure {
                Some(figure) => write!(html, "<td data-v=\"{figure}\">{figure:.decimals$}</td>"),
                None => write!(html, "<td>-</td>"),
            };
        };
        let rate = results.interval(index, stage, FIGURES[0].name);
        for figure in [rate.map(|rate| rate.median), rate.map(|rate| rate.low), rate.map(|rate| rate.high)] {
            cell(figure, 1);
        }
        let median = |name: &str| results.figure(index, stage, name).map(|spread| spread.median);
        FIGURES[1..].iter().for_each(|figure| cell(median(figure.name), figure.decimals));
        MORE.iter().for_each(|(name, _, decimals)| cell(median(name), *decimals));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div></details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::tests::sample;

    fn page() -> String {
        let (results, standings) = sample();
        let heading = Heading(vec![("machine", "2 cores <& more>".to_owned())]);
        render(&results, &standings, &heading, 3)
    }

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_from_outside() {
        let page = page();
        crate::page::tests::check(&page);
        assert!(page.contains("2 cores &lt;&amp; more&gt;"));
    }

    #[test]
    fn a_combination_has_one_key_wherever_it_is_drawn_and_its_figures_stand_in_the_table() {
        let page = page();
        for (key, name) in ["skiplist leveled", "btree leveled", "btree tiered"].iter().enumerate() {
            // In the list of fronts, a row of the plots, the table, of both workloads; in two plots of the one that has figures.
            assert_eq!(page.matches(&format!("data-c=\"{key}\"")).count(), 1 + 2 + 2 + 3, "{name}");
        }
        assert!(page.contains("<td data-v=\"201\">201.0</td>"), "{page}");
        assert!(page.contains(
            "<tr data-c=\"0\"><td>skiplist leveled</td><td>0</td><td>behind btree leveled</td><td>-</td></tr>"
        ));
    }

    #[test]
    fn of_many_combinations_the_front_is_drawn_however_slow() {
        let (results, _) = sample();
        let mut many = Results::new(vec![results.contenders[0].clone(); 100], results.stages.clone());
        let mut standings = vec![Standing::Behind(0); 100];
        for index in 0..100 {
            let row = serde_json::json!({"workload": "fill-random", "krecords_per_second": index});
            many.add(index, vec![row]);
        }
        standings[3] = Standing::Front;
        let shown = shown(&many, &many.stages[0], &standings);
        assert_eq!((shown.len(), shown[0], shown[38], shown[39]), (ROWS_MAX, 99, 61, 3));
    }
}
