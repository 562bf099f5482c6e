//! Advice for people and for programs.

use core::fmt::Write;

use super::advisor::{Advice, Prediction};
use crate::report::bytes_text;

/// How many choices are told.
const CHOICES: usize = 8;

/// The best choice, what it would cost, and the next best that differ from it.
#[must_use]
pub fn advice_text(advice: &Advice) -> String {
    let Some(best) = advice.best() else {
        return "the memory is not enough for anything that was tried\n".to_owned();
    };
    let mut text = format!("Recommended\n\n{}\n", settings(best));
    let _ = writeln!(
        text,
        "Predicted: writes {:.2} bytes a byte, searches {:.2} tables a look-up, takes {:.2} bytes a live byte;\nthe cache answers \
         {:.1} % of block reads, {:.2} blocks a read come from the device; {:.2} µs an operation.\n",
        best.write_amplification,
        best.searches_per_get,
        best.space_amplification,
        best.cache_hit_ratio * 100.0,
        best.blocks_per_read,
        best.operation_nanos / 1e3
    );
    let head = [
        "worse by",
        "picker",
        "ratio",
        "memtable",
        "cache",
        "filter bits",
        "write",
        "search",
        "space",
        "hits",
        "µs/op",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(advice.distinct().take(CHOICES).map(|prediction| cells(prediction, best)));
    let mut widths = [0; 11];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  "));
    }
    text
}

fn settings(best: &Prediction) -> String {
    let choice = &best.choice;
    let mut text = String::new();
    for (name, value) in [
        ("policy", format!("{} with a size ratio of {}", choice.picker, choice.size_ratio)),
        (
            "memtable_bytes",
            format!("{} ({})", choice.memtable_bytes, bytes_text(choice.memtable_bytes as f64)),
        ),
        ("table_bytes", format!("{} ({})", choice.table_bytes, bytes_text(choice.table_bytes as f64))),
        ("cache_bytes", format!("{} ({})", choice.cache_bytes, bytes_text(choice.cache_bytes as f64))),
        (
            "filter_bits_by_level",
            format!("{:?} ({} of filters)", choice.filter_bits, bytes_text(best.filter_bytes)),
        ),
    ] {
        let _ = writeln!(text, "  {name:<22} {value}");
    }
    text
}

fn cells(prediction: &Prediction, best: &Prediction) -> [String; 11] {
    let choice = &prediction.choice;
    let bits: Vec<_> = choice.filter_bits.iter().map(|bits| format!("{bits}")).collect();
    [
        format!("{:.1} %", (prediction.score / best.score.max(f64::MIN_POSITIVE) - 1.0) * 100.0),
        choice.picker.to_owned(),
        choice.size_ratio.to_string(),
        bytes_text(choice.memtable_bytes as f64),
        bytes_text(choice.cache_bytes as f64),
        bits.join("/"),
        format!("{:.2}", prediction.write_amplification),
        format!("{:.2}", prediction.searches_per_get),
        format!("{:.2}", prediction.space_amplification),
        format!("{:.1} %", prediction.cache_hit_ratio * 100.0),
        format!("{:.2}", prediction.operation_nanos / 1e3),
    ]
}

/// One line of JSON for each prediction, the best first.
#[must_use]
pub fn advice_json(advice: &Advice) -> String {
    let mut text = String::new();
    for prediction in &advice.predictions {
        let choice = &prediction.choice;
        let bits: Vec<_> = choice.filter_bits.iter().map(f64::to_string).collect();
        let _ = writeln!(
            text,
            "{{\"picker\":\"{}\",\"size_ratio\":{},\"memtable_bytes\":{},\"table_bytes\":{},\"cache_bytes\":{},\"filter_bits_by_level\":[{}],\
             \"score\":{},\"write_amplification\":{},\"searches_per_get\":{},\"space_amplification\":{},\"cache_hit_ratio\":{},\
             \"blocks_per_read\":{},\"operation_nanos\":{},\"filter_bytes\":{},\"index_bytes\":{}}}",
            choice.picker,
            choice.size_ratio,
            choice.memtable_bytes,
            choice.table_bytes,
            choice.cache_bytes,
            bits.join(","),
            prediction.score,
            prediction.write_amplification,
            prediction.searches_per_get,
            prediction.space_amplification,
            prediction.cache_hit_ratio,
            prediction.blocks_per_read,
            prediction.operation_nanos,
            prediction.filter_bytes,
            prediction.index_bytes
        );
    }
    text
}
