//! What a repair tells.

use std::fmt;
use std::path::PathBuf;

use crate::Problem;

/// Something that could not be brought back.
///
/// Of the keys that it names, the newest version may be missing: a read may find none, an older one, or one that had been deleted. All
/// other keys are as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The file that held it.
    pub file: PathBuf,
    /// The keyspace; `None` when it is not known or may be any.
    pub keyspace: Option<String>,
    /// The least and the greatest key that may be lost, both included; `None` when it may be any.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
    /// What happened to it.
    pub what: String,
}

impl Loss {
    /// Whether the newest version of this key may be lost.
    #[must_use]
    pub fn may_hold(&self, keyspace: &str, key: &[u8]) -> bool {
        let same = self.keyspace.as_ref().is_none_or(|name| name == keyspace);
        same && self
            .keys
            .as_ref()
            .is_none_or(|(least, greatest)| (least.as_slice()..=greatest.as_slice()).contains(&key))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; ", self.file.display(), self.what)?;
        match &self.keys {
            Some((least, greatest)) => {
                write!(f, "keys \"{}\" to \"{}\"", least.escape_ascii(), greatest.escape_ascii())?;
            }
            None => write!(f, "which keys is not known")?,
        }
        match &self.keyspace {
            Some(name) => write!(f, " of keyspace `{name}`"),
            None => write!(f, " of any keyspace"),
        }
    }
}

/// What a repair found and did. `Display` is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was wrong. Empty: nothing was, and nothing was changed.
    pub problems: Vec<Problem>,
    /// What could not be brought back. Empty: everything is there.
    pub lost: Vec<Loss>,
    /// What is worth knowing and no loss.
    pub remarks: Vec<String>,
    /// Whether the manifest was made anew from tables and logs.
    pub manifest_rebuilt: bool,
    /// Tables taken over as they were.
    pub tables_kept: u64,
    /// Tables written: what was whole of damaged ones, and what was in logs.
    pub tables_written: u64,
    /// Writes taken from logs into tables.
    pub writes_replayed: u64,
    /// Where the files were moved that the database needs no more, among them all damaged ones.
    pub set_aside: Vec<PathBuf>,
}

impl RepairReport {
    /// Whether there was anything to repair.
    #[must_use]
    pub fn changed(&self) -> bool {
        !self.problems.is_empty() || !self.set_aside.is_empty()
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "remark: {remark}")?;
        }
        for path in &self.set_aside {
            writeln!(f, "set aside: {}", path.display())?;
        }
        for loss in &self.lost {
            writeln!(f, "lost: {loss}")?;
        }
        let manifest = if self.manifest_rebuilt { "made anew" } else { "kept" };
        writeln!(
            f,
            "{} problems, {} losses; manifest {manifest}; {} tables kept, {} written; {} writes replayed; {} files set aside",
            self.problems.len(),
            self.lost.len(),
            self.tables_kept,
            self.tables_written,
            self.writes_replayed,
            self.set_aside.len()
        )
    }
}
