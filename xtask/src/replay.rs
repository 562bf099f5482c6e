//! Builds the harness's program for traces and hands it the options.

use crate::Verb;
use crate::process;

pub(crate) const VERB: Verb = Verb {
    name: "replay",
    what: "does what a trace says to any combination of parts, and measures",
    // `--help` is the program's own.
    help: "",
    run: |arguments| process::run_program(&["-p", "terrace-bench", "--bin", "terrace-replay"], arguments),
};
