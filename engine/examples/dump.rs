//! Prints any file that a database leaves, annotated.
//!
//! `cargo run -p terrace --example dump -- FILE...`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use terrace_vfs::{RealVfs, Vfs};

fn main() -> ExitCode {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new());
    let mut code = ExitCode::SUCCESS;
    let mut files = std::env::args_os().skip(1).peekable();
    if files.peek().is_none() {
        eprintln!("usage: dump FILE...   (CURRENT, MANIFEST-*, *.log, *.sst)");
        return ExitCode::from(2);
    }
    for file in files {
        match terrace::dump(&vfs, Path::new(&file)) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("{}: {error}", Path::new(&file).display());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
