//! Names, folders, and what is refused.

use super::{Room, with};
use crate::{CreateOptions, DirEntry, Existing, Operation};
use std::io::ErrorKind;

pub(super) fn missing_files_are_not_found(room: &Room<'_>) {
    let (vfs, missing, claim) = (room.vfs, room.path("missing"), "it is not there");
    room.eq(room.ok(vfs.exists(&missing)), false, claim);
    let not_found = ErrorKind::NotFound;
    room.refused_as(vfs.open(&missing), Operation::Open, &missing, not_found, claim);
    room.refused_as(vfs.remove(&missing), Operation::Remove, &missing, not_found, claim);
    let to = room.write("there", b"there");
    room.refused_as(vfs.rename(&missing, &to), Operation::Rename, &missing, not_found, claim);
    room.eq(room.read(&to), b"there".to_vec(), "a failed rename leaves its target");
    room.refused_as(vfs.list(&missing), Operation::List, &missing, not_found, claim);
    room.refused_as(vfs.sync_dir(&missing), Operation::SyncDir, &missing, not_found, claim);
    let below = missing.join("file");
    let options = with(10, Existing::Truncate);
    room.refused_as(vfs.create(&below, options), Operation::Create, &below, not_found, claim);
    room.refused_as(vfs.create_mapped(&below, options), Operation::CreateMapped, &below, not_found, claim);
    room.refused_as(vfs.lock(&below), Operation::Lock, &below, not_found, claim);
    let moved = vfs.rename(&to, &below);
    room.refused_as(moved, Operation::Rename, &to, not_found, "no folder to rename into");
    room.eq(room.read(&to), b"there".to_vec(), "a failed rename leaves its source");
    room.eq(room.ok(vfs.exists(&missing)), false, "none of that made the folder");
}

pub(super) fn folders_are_not_files(room: &Room<'_>) {
    let (vfs, dir, claim) = (room.vfs, room.path("folder"), "it is a folder");
    room.ok(vfs.create_dir_all(&dir));
    let inside = room.write("folder/inside", b"inside");
    room.refused_as(vfs.open(&dir), Operation::Open, &dir, ErrorKind::IsADirectory, claim);
    for existing in [Existing::Refuse, Existing::Truncate, Existing::Reuse] {
        room.refused(vfs.create(&dir, with(0, existing)), Operation::Create, &dir, claim);
        room.refused(vfs.create_mapped(&dir, with(8, existing)), Operation::CreateMapped, &dir, claim);
    }
    room.refused(vfs.lock(&dir), Operation::Lock, &dir, claim);
    room.refused(vfs.remove(&dir), Operation::Remove, &dir, claim);
    let other = room.path("other");
    room.refused_as(vfs.rename(&dir, &other), Operation::Rename, &dir, ErrorKind::IsADirectory, claim);
    let file = room.write("file", b"file");
    room.refused(vfs.rename(&file, &dir), Operation::Rename, &file, "a file renamed over a folder");
    room.eq(room.read(&inside), b"inside".to_vec(), "the folder is as it was");
    room.eq(room.read(&file), b"file".to_vec(), "the file is as it was");
    room.eq(room.ok(vfs.exists(&other)), false, "nothing was renamed");
}

pub(super) fn files_are_not_folders(room: &Room<'_>) {
    let (vfs, file, claim) = (room.vfs, room.write("file", b"bytes"), "it is a file");
    room.refused(vfs.list(&file), Operation::List, &file, claim);
    room.refused(vfs.sync_dir(&file), Operation::SyncDir, &file, claim);
    room.refused(vfs.create_dir_all(&file), Operation::CreateDir, &file, claim);
    let below = file.join("below");
    room.refused(vfs.create_dir_all(&below), Operation::CreateDir, &below, claim);
    room.refused(vfs.create(&below, CreateOptions::default()), Operation::Create, &below, claim);
    room.eq(room.read(&file), b"bytes".to_vec(), "the file is as it was");
}

pub(super) fn lists_are_sorted_and_shallow(room: &Room<'_>) {
    let vfs = room.vfs;
    room.eq(room.ok(vfs.list(&room.dir)), vec![], "an empty folder");
    room.ok(vfs.create_dir_all(&room.path("b/deep")));
    for name in ["c", "a", "b/hidden", "b/deep/hidden", "B"] {
        room.write(name, b"");
    }
    let entry = |name: &str, is_dir| DirEntry { name: name.to_owned(), is_dir };
    let expected = vec![entry("B", false), entry("a", false), entry("b", true), entry("c", false)];
    room.eq(room.ok(vfs.list(&room.dir)), expected, "the names in the folder");
    let expected = vec![entry("deep", true), entry("hidden", false)];
    room.eq(room.ok(vfs.list(&room.path("b"))), expected, "the names in a folder within");
}

pub(super) fn renames_replace(room: &Room<'_>) {
    let vfs = room.vfs;
    let (from, to) = (room.write("from", b"from"), room.write("to", b"a longer one"));
    room.ok(vfs.rename(&from, &to));
    room.eq(room.read(&to), b"from".to_vec(), "the bytes under the new name");
    room.eq(room.ok(vfs.exists(&from)), false, "the old name");
    room.eq(room.ok(vfs.list(&room.dir)).len(), 1, "how many names there are");
    room.ok(vfs.rename(&to, &to));
    room.eq(room.read(&to), b"from".to_vec(), "the bytes after renaming to the same name");
    let fresh = room.path("fresh");
    room.ok(vfs.rename(&to, &fresh));
    room.eq(room.read(&fresh), b"from".to_vec(), "the bytes under a name that was free");
    room.ok(vfs.sync_dir(&room.dir));
}

pub(super) fn renames_cross_folders(room: &Room<'_>) {
    let vfs = room.vfs;
    room.ok(vfs.create_dir_all(&room.path("a")));
    room.ok(vfs.create_dir_all(&room.path("b")));
    let (from, to) = (room.write("a/from", b"moved"), room.path("b/to"));
    room.ok(vfs.rename(&from, &to));
    room.eq(room.read(&to), b"moved".to_vec(), "the bytes in the new folder");
    room.eq(room.ok(vfs.list(&room.path("a"))), vec![], "the old folder");
    room.ok(vfs.sync_dir(&room.path("a")));
    room.ok(vfs.sync_dir(&room.path("b")));
    room.eq(room.read(&to), b"moved".to_vec(), "the bytes after syncing both folders");
}

pub(super) fn handles_outlive_names(room: &Room<'_>) {
    let vfs = room.vfs;
    let path = room.path("written");
    let mut file = room.ok(vfs.create(&path, CreateOptions::default()));
    room.ok(file.append(b"before"));
    let renamed = room.path("renamed");
    room.ok(vfs.rename(&path, &renamed));
    room.ok(file.append(b" and after"));
    room.ok(file.sync());
    room.eq(room.read(&renamed), b"before and after".to_vec(), "appends follow a renamed file");

    let reader = room.ok(vfs.open(&renamed));
    let new = room.write("new", b"new");
    room.ok(vfs.rename(&new, &renamed));
    let mut bytes = [0; 6];
    room.ok(reader.read_exact_at(&mut bytes, 0));
    room.eq(&bytes, b"before", "a reader of a replaced file");
    room.eq(room.ok(reader.len()), 16, "its length");

    let reader = room.ok(vfs.open(&renamed));
    room.ok(vfs.remove(&renamed));
    let mut bytes = [0; 3];
    room.ok(reader.read_exact_at(&mut bytes, 0));
    room.eq(&bytes, b"new", "a reader of a removed file");
    room.ok(file.append(b"into the void"));
    room.eq(room.ok(vfs.exists(&renamed)), false, "appending to a nameless file makes no name");
}

pub(super) fn removed_names_are_free(room: &Room<'_>) {
    let (vfs, path) = (room.vfs, room.write("file", b"first"));
    room.eq(room.ok(vfs.exists(&path)), true, "before removing");
    room.ok(vfs.remove(&path));
    room.eq(room.ok(vfs.exists(&path)), false, "after removing");
    room.eq(room.ok(vfs.list(&room.dir)), vec![], "the folder after removing");
    room.refused_as(vfs.remove(&path), Operation::Remove, &path, ErrorKind::NotFound, "removing twice");
    room.write("file", b"2nd");
    room.eq(room.read(&path), b"2nd".to_vec(), "a new file of the old name");
}

pub(super) fn folders_are_made_with_parents(room: &Room<'_>) {
    let vfs = room.vfs;
    let deep = room.path("a/b/c");
    room.eq(room.ok(vfs.exists(&deep)), false, "before");
    room.ok(vfs.create_dir_all(&deep));
    room.eq(room.ok(vfs.exists(&deep)), true, "after");
    room.eq(room.ok(vfs.exists(&room.path("a/b"))), true, "the parent");
    let file = room.write("a/b/c/file", b"kept");
    room.ok(vfs.create_dir_all(&deep));
    room.eq(room.read(&file), b"kept".to_vec(), "making it again changes nothing");
    room.ok(vfs.sync_dir(&deep));
}
