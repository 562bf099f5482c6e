//! The command behind `cargo xtask bench`: see `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    terrace_bench::cli::main(&terrace_bench::store::factories())
}
