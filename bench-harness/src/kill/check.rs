//! The kill check: whether a store keeps what it acknowledged when its process is killed, found out rather than believed.
//!
//! The kill comes in the midst of the writes; a second child opens what is left and looks up every record that was acknowledged. This
//! tells process-safe from not; that a synced store survives the loss of power it can not tell (but see the column "of raw sync": whoever is
//! faster than the disk does not sync).

use super::{Records, holds, kill_after, open};
use crate::cli::options::Options;
use crate::report;
use crate::runs::child;
use crate::store::{Durability, Parts, StoreError, StoreFactory};
use std::path::Path;
use std::process::Stdio;

/// Acknowledged writes before the kill.
const WRITES: u64 = 20_000;
const WRITES_SYNCED: u64 = 300;

/// Records that the child would write; the kill comes long before.
const RECORDS: u64 = 400_000;

/// What a store went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survived {
    acknowledged: u64,
}

impl std::fmt::Display for Survived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "killed after {} acknowledged writes, all of them there afterwards", self.acknowledged)
    }
}

/// Kills a store once.
///
/// # Errors
///
/// That it lost writes, or what a child said.
pub(crate) fn check(options: &Options, parts: &Parts) -> Result<Survived, String> {
    let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = parent.join(format!("terrace-bench-kill-{}-{}", std::process::id(), parts.engine));
    make_folder(&dir)?;
    let mut options = options.clone();
    options.config.records = RECORDS;
    let enough = if options.config.durability == Durability::Synced { WRITES_SYNCED } else { WRITES };
    let acknowledged = kill_after(child(&options, parts, 0)?, &dir, enough)
        .map_err(|error| format!("{}: {error}\nThe database is left in {}", parts.engine, dir.display()))?;
    let mut counter = child(&options, parts, 0)?;
    counter.arg("--count-after-kill").arg(&dir).args(["--acknowledged", &acknowledged.to_string()]);
    let output = counter.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let there: u64 = match text.trim().parse() {
        Ok(there) if output.status.success() => there,
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "{}: after a kill: {}\nThe database is left in {}",
                parts.engine,
                error.trim_end(),
                dir.display()
            ));
        }
    };
    std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    if there < acknowledged {
        let lost = acknowledged - there;
        return Err(format!(
            "{}: lost {lost} of {acknowledged} acknowledged writes in a kill; it does not belong in a comparison with `{}` writes \
             (--no-kill-check runs it all the same)",
            parts.engine,
            options.config.durability.name()
        ));
    }
    Ok(Survived { acknowledged })
}

#[expect(clippy::disallowed_methods, reason = "makes the folder in which a database under test lives")]
fn make_folder(dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// The second child: prints how many of the acknowledged records are there.
///
/// # Errors
///
/// The store's, as text.
pub(crate) fn count_after_kill(
    options: &Options,
    factories: &[Box<dyn StoreFactory>],
    dir: &Path,
) -> Result<(), String> {
    let store = open(options, factories, dir)?;
    let mut there = 0;
    let counted = Records::new(&options.config).visit(options.acknowledged, |_, key, value| {
        there += u64::from(holds(&*store, key, value)?);
        Ok(())
    });
    let closed = counted.and_then(|()| store.close());
    report::print(&format!("{there}\n"));
    closed.map_err(|error: StoreError| error.to_string())
}
