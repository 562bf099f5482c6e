//! The command line: `terrace-bench` here, and `terrace-peers` with other people's stores in its list.
//!
//! One command has four jobs: the matrix of combinations in this process (`plan`); a comparison, each store in processes of its own
//! (`versus`); and, as the child of a comparison, one store's workloads, or one of the processes of a kill (`kill`).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

pub(crate) mod options;
mod plan;
pub(crate) mod selection;

use crate::kill;
use crate::store::StoreFactory;
use crate::versus;
use options::{Options, Work};
use std::process::ExitCode;

/// Does what the arguments of this process ask for, with the stores that `factories` open.
pub fn main(factories: &[Box<dyn StoreFactory>]) -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\nSee `cargo xtask bench --help`.");
            return ExitCode::from(2);
        }
    };
    let done = match &options.work {
        Work::Versus(_) => versus::execute(&options, factories),
        Work::WriteUntilKilled(dir) => kill::write_until_killed(&options, factories, dir),
        Work::CountAfterKill(dir) => kill::check::count_after_kill(&options, factories, dir),
        Work::RealData | Work::Workloads(_) => plan::execute(&options, factories),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
