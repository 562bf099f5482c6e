//! The command line: `terrace-bench` here, and `terrace-peers` with other people's stores in its list.
//!
//! One command has five jobs: combinations of parts on real data in this process (`plan`); the matrix of combinations (`matrix`) and a
//! comparison with others (`versus`), each store in processes of its own; and, as the child of these, one store's workloads (`plan`), or one
//! of the processes of a kill (`kill`).
#![expect(clippy::print_stderr, reason = "a command line program")]

pub(crate) mod options;
mod plan;
pub(crate) mod selection;
pub(crate) mod work;

use crate::kill;
use crate::matrix;
use crate::report;
use crate::store::StoreFactory;
use crate::versus;
use options::Options;
use std::process::ExitCode;
use work::Work;

/// Does what the arguments of this process ask for, with the stores that `factories` open.
pub fn main(factories: &[Box<dyn StoreFactory>]) -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            report::print(&options::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\nSee `cargo xtask bench --help`.");
            return ExitCode::from(2);
        }
    };
    let done = match &options.work {
        Work::Versus(_) => versus::execute(&options, factories),
        Work::Recorded(files) => versus::recorded::execute(&options, files),
        Work::WriteUntilKilled(dir) => kill::write_until_killed(&options, factories, dir),
        Work::CountAfterKill(dir) => kill::check::count_after_kill(&options, factories, dir),
        Work::RealData => plan::execute(&options, factories),
        _ if options.in_process => plan::execute(&options, factories),
        Work::Workloads(_) | Work::Data(_) | Work::Trace(_) => matrix::execute(&options, factories),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
