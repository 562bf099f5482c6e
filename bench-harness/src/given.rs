//! Work that is given and not drawn from a model: a user's own pairs, a recorded trace.

pub(crate) mod trace;

use crate::meter::Progress;
use crate::runs::Stage;
use crate::store::Store;
use crate::workload::{BenchError, Config, Outcome};

/// Work that is given.
///
/// What stands in a file is read again for each combination and never changed, so all of them do the same.
pub(crate) trait Given {
    /// What of it is measured, in the order in which it is done.
    fn stages(&self) -> &'static [Stage];

    /// Where it comes from and how much it is, for a heading.
    fn in_words(&self) -> String;

    /// How many records there are.
    fn records(&self) -> u64;

    /// Does all of it to an empty store and checks every answer that can be known. Returns one outcome for each stage.
    fn run(
        &self,
        store: &dyn Store,
        config: &Config,
        progress: &Progress,
    ) -> Result<Vec<Outcome>, BenchError>;
}
