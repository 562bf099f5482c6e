//! A comparison as text: a block for each workload, and at the end the ratios of all.

use crate::report::{self, Cell, Row};
use crate::runs::Stage;
use crate::runs::results::Results;
use std::fmt::Write;

/// All blocks, and the summary.
pub(super) fn render(results: &Results, width: usize) -> String {
    let mut text = String::new();
    for stage in &results.stages {
        let _ = writeln!(text, "## {}: {}\n", stage.name, stage.what);
        let rows: Vec<Row> = (0..results.contenders.len()).map(|index| row(results, index, stage)).collect();
        text += &report::render(&rows, width);
        text.push('\n');
    }
    text + &summary(results, width)
}

fn row(results: &Results, index: usize, stage: &Stage) -> Row {
    let mut row = Row::default();
    row.label("engine", "engine", results.contenders[index].name.as_str());
    let rate = results.rate(index, stage);
    row.figure("krecords_per_second", "krec/s", cell(rate.map(|rate| rate.median), 1));
    row.figure("low", "low", cell(rate.map(|rate| rate.low), 1));
    row.figure("high", "high", cell(rate.map(|rate| rate.high), 1));
    row.figure("ratio", "terrace x", cell(results.ratio(results.home(), index, stage), 2));
    let figure = |name: &str| results.figure(index, stage, name).map(|spread| spread.median);
    row.figure("mb", "MB/s", cell(figure("megabytes_per_second"), 1));
    for (name, heading) in
        [("p50_us", "p50 us"), ("p99_us", "p99"), ("p999_us", "p99.9"), ("max_us", "max us")]
    {
        let decimals =
            figure(name).map_or(0, |figure| if figure < 10.0 { 2 } else { usize::from(figure < 1000.0) });
        row.figure(name, heading, cell(figure(name), decimals));
    }
    if stage.writes {
        row.figure("drain_ms", "drain ms", cell(figure("drain_ms"), 0));
        row.figure("write_amp", "w-amp", cell(figure("write_amp"), 2));
        row.figure("disk_per_live_byte", "disk/live", cell(figure("disk_per_live_byte"), 2));
    }
    row.figure("processor_seconds", "cpu s", cell(figure("processor_seconds"), 2));
    row.figure("peak_mib", "peak MiB", cell(figure("peak_mib"), 0));
    if let Some(rate) = figure("background_kops_per_second") {
        row.figure("background_kops_per_second", "writer kop/s", cell(Some(rate), 1));
    }
    if let Some(share) = figure("of_raw_sync") {
        row.figure("of_raw_sync", "of raw sync", cell(Some(share), 2));
    }
    if let Some(share) = figure("of_bare_rounds") {
        row.figure("of_bare_rounds", "of bare rounds", cell(Some(share), 2));
    }
    row
}

fn cell(figure: Option<f64>, decimals: usize) -> Cell {
    figure.map_or(Cell::Unknown, |figure| Cell::Float(figure, decimals))
}

/// For each workload how many times as fast terrace is.
fn summary(results: &Results, width: usize) -> String {
    let home = results.home();
    let mut text = format!(
        "## {} against the others: how many times as fast, by medians\n\n",
        results.contenders[home].name
    );
    let rows: Vec<Row> = results
        .stages
        .iter()
        .map(|stage| {
            let mut row = Row::default();
            row.label("workload", "workload", stage.name);
            let fastest = results.fastest_lsm(stage);
            row.label(
                "fastest",
                "fastest LSM",
                fastest.map_or("-", |index| results.contenders[index].parts.engine),
            );
            let best = fastest.and_then(|index| results.ratio(home, index, stage));
            row.figure("best", "x fastest", cell(best, 2));
            for index in (0..results.contenders.len()).filter(|index| *index != home) {
                let heading = results.contenders[index].heading();
                row.figure(heading, heading, cell(results.ratio(home, index, stage), 2));
            }
            row
        })
        .collect();
    text += &report::render(&rows, width);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::ratios::tests::sample;

    #[test]
    fn the_table_shows_medians_and_ratios() {
        let text = render(&sample(), 120);
        let line = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("no line of {name} in {text}"))
        };
        let cells: Vec<&str> = line("quick").split_whitespace().take(5).collect();
        assert_eq!(cells, ["quick", "100.0", "90.0", "110.0", "3.00"]);
        let cells: Vec<&str> = line("read-random").split_whitespace().collect();
        assert_eq!(cells[cells.len() - 4..], ["3.00", "5.00", "3.00", "0.33"]);
    }
}
