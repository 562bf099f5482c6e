//! Builds the comparison of the simulator with real loads and hands it the options.

use crate::Verb;
use crate::process;

pub(crate) const VERB: Verb = Verb {
    name: "agree",
    what: "whether the simulator tells the truth: a real load of each policy beside its simulation",
    // `--help` is the program's own.
    help: "",
    run: |arguments| process::run_program(&["-p", "terrace-bench", "--bin", "agree"], arguments),
};
