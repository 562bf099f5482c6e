//! A program that is not a database, tested with the crash kit: replacing a settings file so that a reader always finds
//! either the old or the new text, whatever moment the power goes.
//!
//! Three ways to do it, two of them found in the wild. Each runs once; before every operation a copy of the file system
//! is taken, and each copy then loses its power in every way that its un-synced changes allow. What a way promises is
//! checked on every state found:
//!
//! * the file holds the old text or the new one, never anything else;
//! * after `replace` has returned, it holds the new one.
//!
//! Run with `cargo run -p terrace-vfs --example atomic_replace`.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use terrace_vfs::{CreateOptions, Existing, Fault, FaultRule, FaultVfs, MemVfs, Result, Vfs};

const OLD: &str = "colour = green";
const NEW: &str = "colour = blue, and a little longer";

fn settings() -> &'static Path {
    Path::new("etc/settings")
}

fn folder() -> &'static Path {
    Path::new("etc")
}

/// Writes over the file in place.
fn in_place(vfs: &dyn Vfs, text: &str) -> Result<()> {
    let options = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
    let mut file = vfs.create(settings(), options)?;
    file.append(text.as_bytes())?;
    file.sync()
}

/// The classic bug: the new name may reach the disk before the bytes it names, and neither need have when this returns.
fn renamed_without_syncs(vfs: &dyn Vfs, text: &str) -> Result<()> {
    let temporary = folder().join("settings.new");
    let options = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
    vfs.create(&temporary, options)?.append(text.as_bytes())?;
    vfs.rename(&temporary, settings())
}

/// Bytes first, then the name that makes them visible, then the folder that holds the name.
fn renamed_with_syncs(vfs: &dyn Vfs, text: &str) -> Result<()> {
    let temporary = folder().join("settings.new");
    let options = CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() };
    let mut file = vfs.create(&temporary, options)?;
    file.append(text.as_bytes())?;
    file.sync()?;
    vfs.rename(&temporary, settings())?;
    vfs.sync_dir(folder())
}

type Replace = fn(&dyn Vfs, &str) -> Result<()>;

/// What is in the settings file after a power cut, in words.
fn found(vfs: &MemVfs) -> String {
    match vfs.files().get(settings()) {
        None => "no file".to_owned(),
        Some(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Everything that a power cut may leave: during the replacement, and after it.
fn cut_everywhere(replace: Replace) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mem = MemVfs::new();
    mem.create_dir_all(folder())?;
    renamed_with_syncs(&mem, OLD)?;

    let moments = Arc::new(Mutex::new(Vec::new()));
    let vfs = FaultVfs::new(Arc::new(mem.clone()));
    let (record, world) = (Arc::clone(&moments), mem.clone());
    vfs.add(FaultRule::new(Fault::Call(Arc::new(move |_| {
        // A copy as after `kill -9` still knows what is not synced, so that its power can be cut later.
        record.lock().expect("no panic").push(world.crash_keeping_everything());
    }))));
    replace(&vfs, NEW)?;

    let moments = moments.lock().expect("no panic");
    let during = moments.iter().flat_map(MemVfs::crashes).map(|after| found(&after)).collect();
    let after = mem.crashes().map(|after| found(&after)).collect();
    Ok((during, after))
}

/// The states that break the promise.
fn broken(replace: Replace) -> Result<Vec<String>> {
    let (old, new) = (format!("{OLD:?}"), format!("{NEW:?}"));
    let (during, after) = cut_everywhere(replace)?;
    let during = during.into_iter().filter(|text| *text != old && *text != new);
    let after = after.into_iter().filter(|text| *text != new);
    Ok(during
        .map(|text| format!("during: {text}"))
        .chain(after.map(|text| format!("after: {text}")))
        .collect())
}

fn main() -> Result<()> {
    let ways: [(&str, Replace); 3] = [
        ("in_place", in_place),
        ("renamed_without_syncs", renamed_without_syncs),
        ("renamed_with_syncs", renamed_with_syncs),
    ];
    for (name, replace) in ways {
        let broken = broken(replace)?;
        println!("{name}: {}", if broken.is_empty() { "holds".to_owned() } else { broken.join("; ") });
        assert_eq!(broken.is_empty(), name == "renamed_with_syncs", "the kit tells the ways apart");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_tells_the_ways_apart() {
        main().unwrap();
        let states = broken(renamed_without_syncs).unwrap();
        assert!(states.contains(&"during: \"\"".to_owned()) || states.contains(&"after: \"\"".to_owned()));
        assert!(states.contains(&format!("after: {OLD:?}")));
    }
}
