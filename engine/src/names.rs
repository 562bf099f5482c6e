//! The names of a database's files. Numbers come from one counter and are never reused.

use std::path::{Path, PathBuf};

pub(crate) const CURRENT: &str = "CURRENT";
pub(crate) const CURRENT_TEMP: &str = "CURRENT.tmp";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const REPAIR: &str = "REPAIR";

/// No file number is above this, so that counting on never overflows.
pub(crate) const FILE_NUMBER_MAX: u64 = 1 << 56;

/// What a file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Current,
    CurrentTemp,
    Lock,
    /// A repair was begun and has not finished.
    Repair,
    Manifest(u64),
    Log(u64),
    Table(u64),
}

impl FileName {
    /// `None` for a name that is none of ours.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        match name {
            CURRENT => return Some(FileName::Current),
            CURRENT_TEMP => return Some(FileName::CurrentTemp),
            LOCK => return Some(FileName::Lock),
            REPAIR => return Some(FileName::Repair),
            _ => {}
        }
        if let Some(number) = name.strip_prefix("MANIFEST-") {
            return parse_number(number).map(FileName::Manifest);
        }
        let (stem, extension) = name.split_once('.')?;
        let number = parse_number(stem)?;
        match extension {
            "log" => Some(FileName::Log(number)),
            "sst" => Some(FileName::Table(number)),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> Option<u64> {
        match self {
            FileName::Manifest(number) | FileName::Log(number) | FileName::Table(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn in_dir(self, dir: &Path) -> PathBuf {
        match self {
            FileName::Current => dir.join(CURRENT),
            FileName::CurrentTemp => dir.join(CURRENT_TEMP),
            FileName::Lock => dir.join(LOCK),
            FileName::Repair => dir.join(REPAIR),
            FileName::Manifest(number) => dir.join(format!("MANIFEST-{number:06}")),
            FileName::Log(number) => dir.join(format!("{number:06}.log")),
            FileName::Table(number) => dir.join(format!("{number:06}.sst")),
        }
    }
}

/// Only the form that we write: at least six digits, so that `1.log` of another program is not taken for ours.
fn parse_number(digits: &str) -> Option<u64> {
    let plain = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok().filter(|&number| number <= FILE_NUMBER_MAX) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_not_ours() {
        let dir = Path::new("d");
        for name in [
            FileName::Current,
            FileName::CurrentTemp,
            FileName::Lock,
            FileName::Repair,
            FileName::Manifest(7),
            FileName::Log(12_345_678),
            FileName::Table(0),
        ] {
            let path = name.in_dir(dir);
            let text = path.file_name().and_then(|text| text.to_str()).unwrap_or_default();
            assert_eq!(FileName::parse(text), Some(name));
        }
        for stranger in [
            "",
            ".DS_Store",
            "1.log",
            "000001.ldb",
            "MANIFEST-",
            "MANIFEST-0x0001",
            "+00001.sst",
            "18446744073709551615.log",
        ] {
            assert_eq!(FileName::parse(stranger), None, "{stranger}");
        }
    }
}
