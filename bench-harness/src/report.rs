//! Reports: one aligned table for people, one line of JSON for each row for programs.
//!
//! Every row carries all that is needed to repeat it: parts, sizes, seeds, threads, durability, versions, machine.

mod row;
mod table;

pub use row::{Cell, Provenance, Row, durability_note};
pub use table::render;

use crate::workload::BenchError;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Prints to standard output. When nobody reads it any more, as behind `| head`, the process ends, quietly and in good order.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // As a failed `print!` does; whoever reads half a table should know.
        Err(error) => panic!("standard output: {error}"),
    }
}

/// Appends rows to a file of JSON lines, making it when there is none.
///
/// # Errors
///
/// [`BenchError::File`] naming the file.
#[expect(clippy::disallowed_methods, reason = "a report is no file of a store under test")]
pub fn append_json_lines(path: &Path, rows: &[Row]) -> Result<(), BenchError> {
    let failed = |source| BenchError::File { path: path.to_path_buf(), source };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    let mut text = String::new();
    for row in rows {
        text += &row.json_line();
        text.push('\n');
    }
    file.write_all(text.as_bytes()).map_err(failed)
}
