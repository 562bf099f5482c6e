//! Builds the advisor and hands it the options.

use crate::Verb;
use crate::process;

pub(crate) const VERB: Verb = Verb {
    name: "advise",
    what: "what a trace says about policy, filters and the division of memory",
    // `--help` is the program's own.
    help: "",
    run: |arguments| process::run_program(&["-p", "terrace-simulator", "--bin", "terrace-advise"], arguments),
};
