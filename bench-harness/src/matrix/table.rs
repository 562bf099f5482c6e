//! The matrix as text: a block for each stage, and how often each combination is on the front.

use super::{FIGURES, Standing};
use crate::cli::options::Options;
use crate::report::{self, Cell, Row};
use crate::runs::Stage;
use crate::runs::results::Results;
use std::fmt::Write;

/// All blocks, and the summary.
pub(super) fn render(results: &Results, standings: &[Vec<Standing>], options: &Options) -> String {
    let mut text = String::new();
    for (stage, standings) in results.stages.iter().zip(standings) {
        let _ = writeln!(text, "## {}: {}\n", stage.name, stage.what);
        let rows: Vec<Row> = standings
            .iter()
            .enumerate()
            .map(|(index, standing)| row(results, index, stage, *standing, options.repetitions()))
            .collect();
        text += &report::render(&rows, options.width);
        text.push('\n');
    }
    text + &summary(results, standings, options.width)
}

fn row(results: &Results, index: usize, stage: &Stage, standing: Standing, repetitions: u64) -> Row {
    let mut row = Row::default();
    let parts = &results.contenders[index].parts;
    row.label("front", "front", if standing == Standing::Front { "*" } else { "" });
    for (name, part) in [
        ("engine", parts.engine),
        ("memtable", parts.memtable),
        ("picker", parts.picker),
        ("log", parts.log),
        ("filter", parts.filter),
        ("cache", parts.cache),
        ("compression", parts.compression),
    ] {
        row.label(name, name, part);
    }
    let rate = results.interval(index, stage, FIGURES[0].name);
    row.figure("rate", FIGURES[0].heading, cell(rate.map(|rate| rate.median), 1));
    if repetitions > 1 {
        row.figure("low", "95 % from", cell(rate.map(|rate| rate.low), 1));
        row.figure("high", "to", cell(rate.map(|rate| rate.high), 1));
    }
    let figure = |name: &str| results.figure(index, stage, name).map(|spread| spread.median);
    for (name, heading) in
        [("p50_us", "p50 us"), ("p99_us", "p99"), ("p999_us", "p99.9"), ("max_us", "max us")]
    {
        let decimals =
            figure(name).map_or(0, |figure| if figure < 10.0 { 2 } else { usize::from(figure < 1000.0) });
        row.figure(name, heading, cell(figure(name), decimals));
    }
    for known in &FIGURES[2..] {
        row.figure(known.name, known.heading, cell(figure(known.name), known.decimals));
    }
    if stage.writes {
        row.figure("drain_ms", "drain ms", cell(figure("drain_ms"), 0));
        row.figure("stall_ms", "stall ms", cell(figure("stall_ms"), 0));
    }
    row.figure("processor_seconds", "cpu s", cell(figure("processor_seconds"), 2));
    row
}

fn cell(figure: Option<f64>, decimals: usize) -> Cell {
    figure.map_or(Cell::Unknown, |figure| Cell::Float(figure, decimals))
}

/// Who is on how many fronts, and behind whom else.
fn summary(results: &Results, standings: &[Vec<Standing>], width: usize) -> String {
    let fronts =
        |contender: usize| standings.iter().filter(|stage| stage[contender] == Standing::Front).count();
    let mut order: Vec<usize> = (0..results.contenders.len()).collect();
    order.sort_by_key(|contender| std::cmp::Reverse(fronts(*contender)));
    let rows = order.into_iter().map(|contender| {
        let mut row = Row::default();
        row.label("contender", "combination", results.contenders[contender].name.as_str());
        row.label("fronts", "on the front", format!("{} of {}", fronts(contender), standings.len()));
        let behind =
            standings.iter().zip(&results.stages).find_map(|(standings, stage)| match standings[contender] {
                Standing::Behind(other) => {
                    Some(format!("{}: {}", stage.name, results.contenders[other].name))
                }
                _ => None,
            });
        row.label("behind", "beaten in everything, in", behind.unwrap_or_else(|| "-".to_owned()));
        row
    });
    format!(
        "## The Pareto front over throughput, p99.9, write, read and space amplification and peak memory, by medians\n\n{}",
        report::render(&rows.collect::<Vec<_>>(), width)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::tests::parse;
    use crate::matrix::tests::sample;

    #[test]
    fn the_table_marks_the_front_and_says_who_is_beaten_by_whom() {
        let (results, standings) = sample();
        let text = render(&results, &standings, &parse(&["--repeat", "3"]).expect("valid"));
        let line = |start: &str| {
            let found = text.lines().find(|line| line.starts_with(start));
            found.unwrap_or_else(|| panic!("no line that begins with `{start}` in\n{text}")).to_owned()
        };
        assert!(line("*      btree     leveled").contains(" 201.0 "), "{text}");
        assert!(line("       skiplist  leveled").contains(" 101.0 "), "{text}");
        assert!(line("skiplist leveled").ends_with("0 of 2        fill-random: btree leveled"), "{text}");
        assert!(line("btree tiered").contains("1 of 2"), "{text}");
    }
}
