//! Comparisons as one HTML page that needs nothing else: plots inline, no script.

use crate::page::plot::{self, Bar, Curve};
use crate::page::{document, escape};
use crate::runs::Stage;
use crate::runs::results::{Results, Spread};
use std::fmt::Write;

/// Each engine has its colour on all pages; whoever has none gets a spare one, or that of an engine that is not there.
const COLOURS: &[(&str, &str)] = &[
    ("terrace", "var(--c2)"),
    ("rocksdb", "var(--c1)"),
    ("fjall", "var(--c0)"),
    ("leveldb", "var(--c5)"),
    ("redb", "var(--c4)"),
    ("lmdb", "var(--c6)"),
];
const SPARE: &[&str] = &["var(--c3)", "var(--c7)"];

const STYLE: &str = ".plots{align-items:flex-start}.best{font-weight:600}nav a{margin-right:1rem}.part{font-size:1.4rem;border-top:2px solid var(--line);padding-top:1rem}\
.scroll{overflow-x:auto}.legend span{margin-right:1.1rem;white-space:nowrap}.legend b{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px}";

/// So few operations have no distribution: whole scans, compactions, openings.
const OPERATIONS_FEW: f64 = 20.0;

/// A comparison of its own on the page.
pub(super) struct Part<'a> {
    pub(super) title: &'a str,
    /// What all its runs had in common, in lines.
    pub(super) heading: &'a str,
    pub(super) results: &'a Results,
}

/// The page.
pub(super) fn render(parts: &[Part<'_>]) -> String {
    let title = "Terrace and other stores under the same work";
    let mut html = format!("<h1>{title}</h1>\n");
    legend(&mut html, parts);
    if parts.len() > 1 {
        html.push_str("<nav>");
        for (number, part) in parts.iter().enumerate() {
            let _ = write!(html, "<a href=\"#p{number}\">{}</a>", escape(part.title));
        }
        html.push_str("</nav>\n");
    }
    for (number, part) in parts.iter().enumerate() {
        let _ = write!(
            html,
            "<h2 class=\"part\" id=\"p{number}\">{}</h2>\n<pre>{}</pre>\n",
            escape(part.title),
            escape(part.heading)
        );
        versions(&mut html, part.results);
        summary(&mut html, number, part.results);
        for stage in &part.results.stages {
            section(&mut html, number, part.results, stage);
        }
    }
    document(title, &html, STYLE)
}

fn colour(results: &Results, index: usize) -> &'static str {
    // Several combinations of one engine: the first has its colour.
    let own = |index: usize| {
        let engine = results.contenders[index].parts.engine;
        let first = results.contenders.iter().position(|other| other.parts.engine == engine) == Some(index);
        COLOURS.iter().find(|(name, _)| first && *name == engine).map(|(_, colour)| *colour)
    };
    let taken: Vec<_> = (0..results.contenders.len()).filter_map(own).collect();
    let named = COLOURS.iter().map(|(_, colour)| *colour).filter(|colour| !taken.contains(colour));
    let free: Vec<_> = SPARE.iter().copied().chain(named).collect();
    let before = (0..index).filter(|index| own(*index).is_none()).count();
    own(index).unwrap_or(free[before % free.len()])
}

/// Whose colour is whose, over all parts.
fn legend(html: &mut String, parts: &[Part<'_>]) {
    let mut seen: Vec<&str> = Vec::new();
    html.push_str("<p class=\"legend\">");
    for part in parts {
        for (index, contender) in part.results.contenders.iter().enumerate() {
            if !seen.contains(&contender.name.as_str()) {
                seen.push(&contender.name);
                let colour = colour(part.results, index);
                let _ = write!(
                    html,
                    "<span><b style=\"background:{colour}\"></b>{}</span>",
                    escape(&contender.name)
                );
            }
        }
    }
    html.push_str(
        "</p>\n<p>Bars are medians over the runs, with a line from the lowest run to the highest.</p>\n",
    );
}

fn versions(html: &mut String, results: &Results) {
    html.push_str("<table><tr><th>engine</th><th>version</th><th>memtable</th><th>log</th><th>filter</th><th>compression</th></tr>\n");
    for contender in &results.contenders {
        let parts = &contender.parts;
        let cells = [parts.version, parts.memtable, parts.log, parts.filter, parts.compression];
        let _ = write!(html, "<tr><td>{}</td>", escape(&contender.name));
        cells.iter().for_each(|cell| *html += &format!("<td>{}</td>", escape(cell)));
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

/// Throughput of all in one table, with how many times as fast terrace is.
fn summary(html: &mut String, part: usize, results: &Results) {
    let home = results.home();
    html.push_str("<p>Thousand records a second, and how many times that terrace has:</p>\n<div class=\"scroll\"><table><tr><th>workload</th>");
    results.contenders.iter().for_each(|contender| *html += &format!("<th>{}</th>", escape(&contender.name)));
    html.push_str("<th>to the fastest LSM</th></tr>\n");
    for stage in &results.stages {
        let _ = write!(html, "<tr><td><a href=\"#p{part}-{0}\">{0}</a></td>", escape(stage.name));
        for index in 0..results.contenders.len() {
            let rate =
                results.rate(index, stage).map_or("-".to_owned(), |rate| format!("{:.0}", rate.median));
            let ratio = results.ratio(home, index, stage).filter(|_| index != home);
            let ratio = ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
            let _ = write!(html, "<td>{rate}{ratio}</td>");
        }
        let fastest = results.fastest_lsm(stage).and_then(|fastest| results.ratio(home, fastest, stage));
        let fastest = fastest.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(html, "<td class=\"best\">{fastest}</td></tr>");
    }
    html.push_str("</table></div>\n");
}

fn section(html: &mut String, part: usize, results: &Results, stage: &Stage) {
    let name = escape(stage.name);
    let what = escape(stage.what);
    let _ = write!(html, "<h2 id=\"p{part}-{name}\">{name}</h2><p>{what}</p>\n<div class=\"plots\">");
    let all = 0..results.contenders.len();
    let few = all
        .clone()
        .all(|index| results.figure(index, stage, "ops").is_some_and(|ops| ops.median < OPERATIONS_FEW));
    let add = |html: &mut String, title: &str, decimals: usize, figure: &dyn Fn(usize) -> Option<Spread>| {
        let bars: Vec<Bar<'_>> = all
            .clone()
            .filter_map(|index| {
                let name = results.contenders[index].name.as_str();
                Some(Bar { name, colour: colour(results, index), spread: figure(index)? })
            })
            .collect();
        if !bars.is_empty() {
            html.push_str(&plot::bars(title, &bars, decimals));
        }
    };
    add(html, "Throughput, thousand records a second", 0, &|index| results.rate(index, stage));
    let figure = |name: &'static str| move |index| results.figure(index, stage, name);
    match few {
        true => add(html, "Keys and values, MB a second", 0, &figure("megabytes_per_second")),
        false => latencies(html, results, stage),
    }
    if stage.writes {
        add(html, "Write amplification, log and drain included", 2, &figure("write_amp"));
        add(html, "Drain of what was left to do, ms", 0, &figure("drain_ms"));
    } else {
        add(html, "Read amplification, runs a look-up may ask", 1, &figure("read_amp"));
    }
    add(html, "Space on disk per live byte, at rest", 2, &figure("disk_per_live_byte"));
    add(html, "The writer beside it, thousand records a second", 0, &figure("background_kops_per_second"));
    add(html, "Part of what the disk syncs by itself", 2, &figure("of_raw_sync"));
    add(html, "Part of the rounds of threads that only share syncs", 2, &figure("of_bare_rounds"));
    add(html, "Processor time, s", 2, &figure("processor_seconds"));
    add(html, "Peak memory, MiB", 0, &figure("peak_mib"));
    html.push_str("</div>\n");
}

fn latencies(html: &mut String, results: &Results, stage: &Stage) {
    let columns =
        [("p50", "p50_us"), ("p90", "p90_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("max", "max_us")];
    let curves: Vec<Curve<'_>> = (0..results.contenders.len())
        .map(|index| Curve {
            name: results.contenders[index].name.as_str(),
            colour: colour(results, index),
            points: columns
                .iter()
                .map(|(_, name)| results.figure(index, stage, name).map(|spread| spread.median))
                .collect(),
        })
        .filter(|curve| curve.points.iter().any(Option::is_some))
        .collect();
    html.push_str(&plot::curves("Latency of an operation", &columns.map(|(name, _)| name), &curves));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::ratios::tests::{contender, sample};
    use crate::workload::Workload;
    use serde_json::json;

    #[test]
    fn the_page_stands_alone_and_closes_what_it_opens() {
        let results = sample();
        let part = |title| Part { title, heading: "2 cores <& more>", results: &results };
        for parts in [vec![part("one")], vec![part("a < b"), part("another")]] {
            let page = render(&parts);
            assert!(page.contains("2 cores &lt;&amp; more&gt;"));
            assert!(!page.contains("http") && !page.contains("<script") && !page.contains("NaN"));
            crate::page::tests::check(&page);
            for (link, _) in page
                .match_indices("href=\"#")
                .map(|(at, found)| page[at + found.len()..].split_once('"').expect("it is closed"))
            {
                assert!(page.contains(&format!("id=\"{link}\"")), "{link} leads nowhere");
            }
        }
    }

    #[test]
    fn engines_have_colours_of_their_own() {
        let results = sample();
        let colours: std::collections::BTreeSet<_> =
            (0..results.contenders.len()).map(|index| colour(&results, index)).collect();
        assert_eq!(colours.len(), results.contenders.len());
    }

    #[test]
    fn five_engines_in_all_workloads_fit_into_a_page_that_can_be_checked_in() {
        let engines = ["terrace", "rocksdb", "fjall", "leveldb", "lmdb"];
        let contenders = engines.map(|engine| contender(engine, "t")).to_vec();
        let mut results =
            Results::new(contenders, Workload::ALL.iter().map(|workload| (*workload).into()).collect());
        for index in 0..engines.len() {
            for workload in Workload::ALL {
                let row = json!({"workload": workload.name(), "krecords_per_second": 1234.5, "p50_us": 1.5, "p90_us": 2.0, "p99_us": 3.0,
                    "p999_us": 9.0, "max_us": 100.0, "write_amp": 3.25, "disk_per_live_byte": 0.7, "peak_mib": 300, "drain_ms": 5.0,
                    "processor_seconds": 5.0, "read_amp": 1.5, "ops": 1000});
                results.add(index, vec![row.clone(), row]);
            }
        }
        let page = render(&[Part { title: "all", heading: "", results: &results }]);
        let each = page.len() / Workload::ALL.len();
        assert!(12 * each < 300_000, "{each} bytes for a workload");
    }
}
