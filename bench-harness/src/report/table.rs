//! Lays rows out as an aligned table no wider than asked.
//!
//! Cells that describe a row (its parts, its workload) are its labels; cells that were measured are its figures. A label that is the
//! same in all rows is said once above the table, not in each. Figures that do not fit beside the labels go into a further block below, with
//! the labels again, so that no line is longer than the width unless a label alone is.

use crate::report::Row;
use std::fmt::Write;

const GAP: &str = "  ";

/// The table, with a final newline; nothing for no rows.
pub fn render(rows: &[Row], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let (labels, figures): (Vec<Column>, Vec<Column>) = columns(rows).into_iter().partition(|c| c.label);
    let (same, varying): (Vec<Column>, Vec<Column>) = labels.into_iter().partition(Column::is_constant);
    let mut text = String::new();
    write_same(&mut text, &same, width);
    let mut left = figures.as_slice();
    loop {
        let labels_width: usize = varying.iter().map(|c| c.width() + GAP.len()).sum();
        let fitting = fitting(left, width.saturating_sub(labels_width));
        let (now, later) = left.split_at(fitting);
        write_block(&mut text, varying.iter().chain(now), rows.len());
        left = later;
        if left.is_empty() {
            return text;
        }
        text.push('\n');
    }
}

/// How many of the columns fit side by side; at least one of any.
fn fitting(columns: &[Column], width: usize) -> usize {
    let mut used = 0;
    let fit = columns.iter().take_while(|column| {
        used += column.width() + GAP.len();
        used <= width + GAP.len()
    });
    fit.count().max(1).min(columns.len())
}

struct Column {
    heading: &'static str,
    label: bool,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(self.heading.chars().count())
    }

    fn is_constant(&self) -> bool {
        self.cells.windows(2).all(|pair| pair[0] == pair[1])
    }
}

/// The columns of all rows in the order in which they first appear; a row without a column has `-` in it.
fn columns(rows: &[Row]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for row in rows {
        for shown in row.shown() {
            if !columns.iter().any(|column| column.heading == shown.heading) {
                columns.push(Column { heading: shown.heading, label: shown.label, cells: Vec::new() });
            }
        }
    }
    for row in rows {
        for column in &mut columns {
            let shown = row.shown().find(|shown| shown.heading == column.heading);
            column.cells.push(shown.map_or_else(|| "-".to_owned(), |shown| shown.text.to_owned()));
        }
    }
    columns
}

fn write_same(text: &mut String, same: &[Column], width: usize) {
    let mut used = 0;
    for (index, column) in same.iter().enumerate() {
        let piece = format!("{} {}", column.heading, column.cells[0]);
        let piece_width = piece.chars().count();
        if index > 0 {
            let wraps = used + 2 + piece_width > width;
            text.push_str(if wraps { ",\n" } else { ", " });
            used = if wraps { 0 } else { used + 2 };
        }
        text.push_str(&piece);
        used += piece_width;
    }
    if !same.is_empty() {
        text.push_str("\n\n");
    }
}

fn write_block<'a>(text: &mut String, columns: impl Iterator<Item = &'a Column> + Clone, rows: usize) {
    let mut line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for column in columns.clone() {
            let width = column.width();
            let cell = cell(column);
            // Words to the left, figures to the right, so that digits of one weight stand in one column.
            let _ = match column.label {
                true => write!(line, "{cell:<width$}{GAP}"),
                false => write!(line, "{cell:>width$}{GAP}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&|column| column.heading.to_owned());
    line(&|column| "-".repeat(column.width()));
    for row in 0..rows {
        line(&|column| column.cells[row].clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Cell;

    fn row(picker: &str, figures: &[(&'static str, f64)]) -> Row {
        let mut row = Row::default();
        row.label("engine", "engine", "terrace");
        row.label("picker", "picker", picker);
        for (heading, figure) in figures {
            row.figure(heading, heading, Cell::Float(*figure, 1));
        }
        row
    }

    #[test]
    fn what_is_the_same_in_all_rows_is_said_once() {
        let rows = [
            row("leveled", &[("kop/s", 12.5), ("p50", 3.0)]),
            row("tiered", &[("kop/s", 1234.0), ("p50", 2.0)]),
        ];
        let expected = "\
engine terrace

picker    kop/s  p50
-------  ------  ---
leveled    12.5  3.0
tiered   1234.0  2.0
";
        assert_eq!(render(&rows, 120), expected);
    }

    #[test]
    fn columns_that_do_not_fit_go_into_another_block_with_their_labels() {
        let rows =
            [row("leveled", &[("aaaaaaaa", 1.0), ("bbbbbbbb", 2.0)]), row("tiered", &[("aaaaaaaa", 3.0)])];
        let expected = "\
engine terrace

picker   aaaaaaaa
-------  --------
leveled       1.0
tiered        3.0

picker   bbbbbbbb
-------  --------
leveled       2.0
tiered          -
";
        assert_eq!(render(&rows, 20), expected);
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let names =
            ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh", "iiiiiiiii", "jjjjjjjjjj"];
        let figures: Vec<_> = names.map(|name| (name, 123_456.0)).into_iter().collect();
        for width in 30..130 {
            let text = render(&[row("leveled", &figures), row("tiered", &figures)], width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn no_rows_are_no_table() {
        assert_eq!(render(&[], 120), "");
    }
}
