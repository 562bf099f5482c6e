//! The long forms of the checks that run whole databases on a simulated machine.

use crate::Verb;
use crate::process;

pub(crate) const VERB: Verb = Verb {
    name: "simulate",
    what: "whole databases on a simulated machine: seeds, crash points, fault sites",
    // `--help` is the program's own.
    help: "",
    run: |arguments| {
        process::run_program(&["-p", "terrace", "--all-features", "--example", "simulate"], arguments)
    },
};
