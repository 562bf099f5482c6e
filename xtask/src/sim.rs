//! Builds the simulator of compaction policies and hands it the options.

use crate::Verb;
use crate::process;

pub(crate) const VERB: Verb = Verb {
    name: "sim",
    what: "what a compaction policy costs at any scale, on metadata alone",
    // `--help` is the program's own.
    help: "",
    run: |arguments| process::run_program(&["-p", "terrace-simulator"], arguments),
};
