//! The conformance suite for [`Vfs`]: what a stranger's implementation must get right.
//!
//! It checks what can be seen without cutting the power: bytes, lengths, names, locks, errors, and the sight from many
//! threads. That a sync makes things durable it can not see; [`Vfs`] says what is asked.

mod files;
mod locks;
mod mapped;
mod names;

use crate::{CreateOptions, Error, Existing, Operation, Vfs};
use std::io;
use std::path::{Path, PathBuf};

/// Checks that `vfs` keeps the contract of [`Vfs`], in folders that it makes below `dir`.
///
/// `dir` need not be there; if it is, it must be empty. What the suite made is left behind. Some 300 operations, none of
/// more than about a megabyte.
///
/// # Panics
///
/// When the contract is broken, with a message that names the claim.
pub fn check_vfs(vfs: &dyn Vfs, dir: &Path) {
    let checks: &[(&str, Check)] = &[
        ("appended_bytes_read_back", files::appended_bytes_read_back),
        ("readers_see_later_appends", files::readers_see_later_appends),
        ("reads_beyond_the_end_fail", files::reads_beyond_the_end_fail),
        ("large_files_read_back_anywhere", files::large_files_read_back_anywhere),
        ("existing_files_are_refused", files::existing_files_are_refused),
        ("existing_files_are_emptied", files::existing_files_are_emptied),
        ("existing_files_are_reused", files::existing_files_are_reused),
        ("preallocated_space_is_zeros", files::preallocated_space_is_zeros),
        ("cut_files_stay_cut", files::cut_files_stay_cut),
        ("stored_bytes_read_back", mapped::stored_bytes_read_back),
        ("stores_outside_are_refused", mapped::stores_outside_are_refused),
        ("mapped_files_finish", mapped::mapped_files_finish),
        ("mapped_files_meet_existing_ones", mapped::mapped_files_meet_existing_ones),
        ("missing_files_are_not_found", names::missing_files_are_not_found),
        ("folders_are_not_files", names::folders_are_not_files),
        ("files_are_not_folders", names::files_are_not_folders),
        ("lists_are_sorted_and_shallow", names::lists_are_sorted_and_shallow),
        ("renames_replace", names::renames_replace),
        ("renames_cross_folders", names::renames_cross_folders),
        ("handles_outlive_names", names::handles_outlive_names),
        ("removed_names_are_free", names::removed_names_are_free),
        ("folders_are_made_with_parents", names::folders_are_made_with_parents),
        ("locks_exclude", locks::locks_exclude),
        ("locks_keep_the_bytes", locks::locks_keep_the_bytes),
        ("one_thread_wins_a_lock", locks::one_thread_wins_a_lock),
        ("threads_work_side_by_side", files::threads_work_side_by_side),
    ];
    for (name, check) in checks {
        let room = Room { vfs, dir: dir.join(name), name };
        room.ok(vfs.create_dir_all(&room.dir));
        check(&room);
    }
}

type Check = fn(&Room<'_>);

/// A folder of its own for each check, and shorthands that name the check when they panic.
struct Room<'a> {
    vfs: &'a dyn Vfs,
    dir: PathBuf,
    name: &'a str,
}

impl Room<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The operation succeeds.
    #[track_caller]
    fn ok<T>(&self, result: crate::Result<T>) -> T {
        result.unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    #[track_caller]
    fn eq<T: PartialEq + std::fmt::Debug>(&self, found: T, expected: T, claim: &str) {
        assert!(
            found == expected,
            "{}: {claim}: found {}, expected {}",
            self.name,
            brief(&found),
            brief(&expected)
        );
    }

    /// The result is an error of this operation that names the path.
    #[track_caller]
    fn refused<T>(&self, result: crate::Result<T>, operation: Operation, path: &Path, claim: &str) -> Error {
        let Err(error) = result else { panic!("{}: {claim}: was not refused", self.name) };
        self.eq(error.operation, operation, claim);
        self.eq(error.path.as_path(), path, claim);
        let interrupted = error.kind() == io::ErrorKind::Interrupted;
        self.eq(interrupted, false, "an interrupted call is repeated and not reported");
        error
    }

    /// As [`Room::refused`], with an error of this kind.
    #[track_caller]
    fn refused_as<T>(
        &self,
        result: crate::Result<T>,
        operation: Operation,
        path: &Path,
        kind: io::ErrorKind,
        claim: &str,
    ) {
        let error = self.refused(result, operation, path, claim);
        self.eq(error.kind(), kind, claim);
    }

    /// Makes a file of these bytes.
    #[track_caller]
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        let mut file = self.ok(self.vfs.create(&path, with(0, Existing::Refuse)));
        self.ok(file.append(bytes));
        self.ok(file.sync());
        path
    }

    /// The whole file.
    #[track_caller]
    fn read(&self, path: &Path) -> Vec<u8> {
        let file = self.ok(self.vfs.open(path));
        let len = self.ok(file.len());
        assert!(len < 1 << 24, "{}: {} has {len} bytes", self.name, path.display());
        let mut bytes = vec![0xEE; len as usize];
        self.ok(file.read_exact_at(&mut bytes, 0));
        bytes
    }
}

fn with(preallocate_bytes: u64, existing: Existing) -> CreateOptions {
    CreateOptions { preallocate_bytes, existing }
}

/// Bytes that differ from place to place: the period is a prime, so that no two pages are alike.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|i: u8| i.wrapping_mul(31) ^ seed).collect();
    let mut bytes = period.repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

/// A long value is not printed whole.
fn brief(value: &impl std::fmt::Debug) -> String {
    let whole = format!("{value:?}");
    if whole.len() <= 400 { whole } else { whole.chars().take(400).chain("...".chars()).collect() }
}
