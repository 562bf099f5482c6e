//! Repairs a damaged database and says what was lost.

use crate::Verb;

pub(crate) const VERB: Verb = Verb {
    name: "repair",
    what: "makes a damaged database one that opens, and says what is lost",
    help: "usage: cargo xtask repair PATH\n\nPATH: the folder of a database that is not open. A sound one is not touched. Damaged files are moved into its folder `lost`, and never\ndeleted. Prints progress, what was wrong, what was done, and what is lost. After a crash, repair again.\n",
    run,
};

fn run(parser: lexopt::Parser) -> Result<(), String> {
    crate::verify::run_example("repair", parser)
}
