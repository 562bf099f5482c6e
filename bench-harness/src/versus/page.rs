//! A comparison as one HTML page that needs nothing else: plots inline, no script.

use crate::page::plot::{self, Bar, Curve};
use crate::page::{document, escape};
use crate::runs::Stage;
use crate::runs::results::{Results, Spread};
use std::fmt::Write;

/// Each engine has its colour on all pages; whoever has none gets the next of the spare ones.
const COLOURS: &[(&str, &str)] = &[
    ("terrace", "#0b7a75"),
    ("rocksdb", "#d9822b"),
    ("fjall", "#5c6bc0"),
    ("leveldb", "#b5473c"),
    ("redb", "#8d6e63"),
    ("lmdb", "#7b8a99"),
];
const SPARE: &[&str] = &["#3f8f3f", "#a0479f", "#c2a000", "#3b7dd8"];

/// The page.
pub(super) fn render(results: &Results, heading: &str) -> String {
    let title = "Terrace and other stores under the same work";
    let mut html = format!("<h1>{title}</h1>\n<pre>{}</pre>\n", escape(heading));
    versions(&mut html, results);
    summary(&mut html, results);
    for stage in &results.stages {
        section(&mut html, results, stage);
    }
    document(title, &html, "")
}

fn colour(results: &Results, index: usize) -> &'static str {
    let engine = results.contenders[index].parts.engine;
    // Several combinations of one engine: the first has its colour.
    let first =
        results.contenders.iter().position(|contender| contender.parts.engine == engine) == Some(index);
    let own = COLOURS.iter().find(|(name, _)| first && *name == engine);
    own.map_or(SPARE[index % SPARE.len()], |(_, colour)| colour)
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
fn summary(html: &mut String, results: &Results) {
    let home = results.home();
    html.push_str("<h2>Thousand records a second, and how many times that terrace has</h2>\n<table><tr><th>workload</th>");
    results.contenders.iter().for_each(|contender| *html += &format!("<th>{}</th>", escape(&contender.name)));
    html.push_str("</tr>\n");
    for stage in &results.stages {
        let _ = write!(html, "<tr><td>{}</td>", stage.name);
        for index in 0..results.contenders.len() {
            let rate =
                results.rate(index, stage).map_or("-".to_owned(), |rate| format!("{:.0}", rate.median));
            let ratio = results.ratio(home, index, stage).filter(|_| index != home);
            let ratio = ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
            let _ = write!(html, "<td>{rate}{ratio}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

fn section(html: &mut String, results: &Results, stage: &Stage) {
    let _ = write!(html, "<h2>{}</h2><p>{}</p>\n<div class=\"plots\">", stage.name, escape(stage.what));
    let all = 0..results.contenders.len();
    let mut add = |title: &str, decimals: usize, figure: &dyn Fn(usize) -> Option<Spread>| {
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
    add("Throughput, thousand records a second", 0, &|index| results.rate(index, stage));
    let figure = |name: &'static str| move |index| results.figure(index, stage, name);
    if stage.writes {
        add("Write amplification, log and drain included", 2, &figure("write_amp"));
        add("Space on disk per live byte, after the drain", 2, &figure("disk_per_live_byte"));
        add("Drain of what was left to do, ms", 0, &figure("drain_ms"));
    } else {
        add("Read amplification, runs a look-up may ask", 1, &figure("read_amp"));
    }
    add("The writer beside it, thousand records a second", 0, &figure("background_kops_per_second"));
    add("Part of what the disk syncs by itself", 2, &figure("of_raw_sync"));
    add("Processor time, s", 2, &figure("processor_seconds"));
    add("Peak memory, MiB", 0, &figure("peak_mib"));
    let columns =
        [("p50", "p50_us"), ("p90", "p90_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("max", "max_us")];
    let curves: Vec<Curve<'_>> = all
        .map(|index| Curve {
            name: results.contenders[index].name.as_str(),
            colour: colour(results, index),
            points: columns
                .iter()
                .map(|(_, name)| results.figure(index, stage, name).map(|spread| spread.median))
                .collect(),
        })
        .collect();
    html.push_str(&plot::curves("Latency of an operation", &columns.map(|(name, _)| name), &curves));
    html.push_str("</div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::ratios::tests::sample;

    #[test]
    fn the_page_stands_alone_and_closes_what_it_opens() {
        let page = render(&sample(), "2 cores <& more>");
        assert!(page.contains("2 cores &lt;&amp; more&gt;"));
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("NaN"));
        crate::page::tests::check(&page);
    }

    #[test]
    fn engines_have_colours_of_their_own() {
        let results = sample();
        let colours: std::collections::BTreeSet<_> =
            (0..results.contenders.len()).map(|index| colour(&results, index)).collect();
        assert_eq!(colours.len(), results.contenders.len());
    }
}
