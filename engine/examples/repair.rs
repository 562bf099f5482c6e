//! Repairs a database that is not open, and prints what was wrong, what was done and what is lost.
//!
//! `cargo run --release -p terrace --example repair -- FOLDER`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::process::ExitCode;
use terrace::Db;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: repair FOLDER");
        return ExitCode::from(2);
    };
    let repaired = Db::builder(folder).create_if_missing(false).repair(|progress| eprint!("\r{progress} "));
    eprintln!();
    match repaired {
        Ok(report) => {
            if !report.changed() {
                println!("the database is sound; nothing was changed");
            }
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
