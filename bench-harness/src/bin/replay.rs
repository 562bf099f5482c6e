//! The command behind `cargo xtask replay`: see `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    terrace_bench::replay::main(&terrace_bench::store::factories())
}
