//! Builds the programs with the peers in them, a package outside of this workspace, and says beforehand what their build would fail for.
//!
//! There is one with all that are compared, and beside it one for each engine with nothing else in it, which does that engine's runs: in one with all, terrace's peak of
//! memory had 7 MiB of pages of RocksDB's code.

use crate::process;
use crate::workspace::Workspace;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const FOLDER: &str = "bench-harness/peers";

/// A peer: the feature of its name, and what compiling it needs.
struct Peer {
    name: &'static str,
    needs: &'static [Need],
}

const PEERS: &[Peer] = &[
    Peer { name: "rocksdb", needs: &[CXX, LIBCLANG] },
    Peer { name: "fjall", needs: &[] },
    Peer { name: "leveldb", needs: &[CXX, CMAKE] },
    Peer { name: "redb", needs: &[] },
    Peer { name: "lmdb", needs: &[CC] },
];

/// Something that is not a crate.
#[derive(Clone, Copy)]
struct Need {
    what: &'static str,
    /// A Debian package that has it.
    package: &'static str,
    is_there: fn() -> bool,
}

const CC: Need =
    Need { what: "a C compiler", package: "gcc", is_there: || program("CC", &["cc", "gcc", "clang"]) };
const CXX: Need =
    Need { what: "a C++ compiler", package: "g++", is_there: || program("CXX", &["c++", "g++", "clang++"]) };
const CMAKE: Need = Need { what: "cmake", package: "cmake", is_there: || program("CMAKE", &["cmake"]) };
const LIBCLANG: Need = Need { what: "libclang", package: "libclang-dev", is_there: libclang };

/// Whether the variable names a program, or one of these is in the path.
fn program(variable: &str, names: &[&str]) -> bool {
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
        || names.iter().any(|name| folders.iter().any(|folder| folder.join(name).is_file()))
}

/// Whether the library that reads C headers is where bindgen looks for it. The C++ side of it, `libclang-cpp`, is another one.
fn libclang() -> bool {
    let holds = |folder: &Path| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).any(|name| {
            let library =
                ["libclang.so", "libclang-", "libclang.dylib"].iter().any(|start| name.starts_with(start));
            library && !name.starts_with("libclang-cpp") && (name.contains(".so") || name.ends_with(".dylib"))
        })
    };
    if let Some(given) = std::env::var_os("LIBCLANG_PATH") {
        return Path::new(&given).is_file() || holds(Path::new(&given));
    }
    let mut folders: Vec<PathBuf> =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/opt/llvm/lib"]
            .iter()
            .map(PathBuf::from)
            .collect();
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        // /usr/lib/llvm-14/lib, /usr/lib/x86_64-linux-gnu
        folders.extend([entry.path(), entry.path().join("lib")]);
    }
    folders.iter().any(|folder| holds(folder))
}

/// The engines after `--against`; nothing when it is not there.
pub(super) fn asked_for(arguments: &[OsString]) -> Option<Vec<String>> {
    let mut names = None;
    let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        let value = match argument.strip_prefix("--against") {
            Some("") => rest.next().map(|value| value.into_owned()),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => continue,
        };
        names = value.or(names);
    }
    let split = |names: String| names.split(',').map(|name| name.trim().to_owned()).collect();
    names.map(split)
}

/// Whether one of these is a peer.
pub(super) fn any(names: &[String]) -> bool {
    names.iter().any(|name| PEERS.iter().any(|peer| peer.name == name))
}

/// Builds the program with these peers in it and those of each engine, all for this machine's processor, and returns where the first is.
///
/// # Errors
///
/// What is missing, with the packages that have it, before anything is built; else what cargo says.
pub(super) fn build(workspace: &Workspace, names: &[String]) -> Result<PathBuf, String> {
    let chosen: Vec<&Peer> = PEERS.iter().filter(|peer| names.iter().any(|name| name == peer.name)).collect();
    missing(&chosen)?;
    if chosen.iter().any(|peer| peer.name == "rocksdb") {
        eprintln!("RocksDB takes some 25 minutes to compile on two cores, the first time");
    }
    let folder = workspace.root.join(FOLDER);
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let metadata = process::output(process::cargo(&folder).args(metadata))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo names no target folder")?;
    let built = |engine: &str| {
        let name = format!("terrace-peers{engine}{}", std::env::consts::EXE_SUFFIX);
        Path::new(target).join("release").join(name)
    };
    let names = chosen.iter().map(|peer| peer.name);
    for (engine, features) in programs(&names.collect::<Vec<_>>()) {
        let mut command = process::cargo(&folder);
        // The flags stand in the folder's .cargo/config.toml, alike for all; a variable would take their place.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(variable);
        }
        process::run(command.args(["build", "--release", "--features", &features]))?;
        if let Some(engine) = engine {
            let (from, to) = (built(""), built(&format!("-{engine}")));
            std::fs::copy(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
        }
    }
    Ok(built(""))
}

/// What is to be built for a comparison with these peers: for whose runs, and the features. The last is the program with all.
fn programs(peers: &[&str]) -> Vec<(Option<String>, String)> {
    let alone = peers.iter().map(|peer| (Some((*peer).to_owned()), format!("{peer},peers-only")));
    let home = std::iter::once((Some("terrace".to_owned()), String::new()));
    home.chain(alone).chain(std::iter::once((None, peers.join(",")))).collect()
}

/// Says all that is missing at once.
fn missing(peers: &[&Peer]) -> Result<(), String> {
    let mut lines = Vec::new();
    let mut packages: Vec<&str> = Vec::new();
    for peer in peers {
        for need in peer.needs.iter().filter(|need| !(need.is_there)()) {
            lines.push(format!("{} needs {}", peer.name, need.what));
            if !packages.contains(&need.package) {
                packages.push(need.package);
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}, which this machine does not have (on Debian: apt-get install {})",
        lines.join("; "),
        packages.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn against(arguments: &[&str]) -> Option<Vec<String>> {
        asked_for(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_engines_are_found_among_the_options() {
        let names = vec!["rocksdb".to_owned(), "lmdb".to_owned()];
        let two = Some(names.clone());
        assert_eq!(against(&["--records", "7", "--against", "rocksdb,lmdb", "--quiet"]), two);
        assert_eq!(against(&["--against=rocksdb, lmdb"]), two);
        assert_eq!(against(&["--records", "7"]), None);
        assert!(any(&names) && !any(&["memory".to_owned()]));
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let absent = Need { what: "a thing", package: "thing-dev", is_there: || false };
        let present = Need { is_there: || true, ..absent };
        let needs: &'static [Need] = Box::leak(Box::new([absent, present]));
        let (one, two) = (Peer { name: "one", needs }, Peer { name: "two", needs });
        let error = missing(&[&one, &two]).expect_err("two things are missing");
        assert!(error.contains("one needs a thing; two needs a thing"), "{error}");
        assert_eq!(error.matches("thing-dev").count(), 1, "{error}");
        assert_eq!(missing(&[]), Ok(()));
    }

    #[test]
    fn each_engine_has_a_program_without_the_others() {
        let built = programs(&["rocksdb", "lmdb"]);
        let told = built.iter().map(|(engine, features)| (engine.as_deref(), features.as_str()));
        let expected = [
            (Some("terrace"), ""),
            (Some("rocksdb"), "rocksdb,peers-only"),
            (Some("lmdb"), "lmdb,peers-only"),
            (None, "rocksdb,lmdb"),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_peer_is_a_feature_of_the_package() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("the manifest is readable");
        for peer in PEERS {
            assert!(manifest.contains(&format!("\n{} = [", peer.name)), "{}", peer.name);
        }
    }
}
