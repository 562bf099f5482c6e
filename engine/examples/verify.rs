//! Checks a database that is not open, and prints all that is wrong with it.
//!
//! `cargo run --release -p terrace --example verify -- FOLDER`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::process::ExitCode;
use terrace::Db;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: verify FOLDER");
        return ExitCode::from(2);
    };
    let verified = Db::builder(folder).create_if_missing(false).verify(|progress| eprint!("\r{progress} "));
    eprintln!();
    match verified {
        Ok(report) => {
            print!("{report}");
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
