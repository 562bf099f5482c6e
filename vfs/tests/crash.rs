//! What a power cut may leave, rule by rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use terrace_vfs::{ChangeKind, CrashFate, CreateOptions, Existing, MemVfs, Vfs, WriteFile};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn create(vfs: &MemVfs, path: &str) -> Box<dyn WriteFile> {
    vfs.create(p(path), CreateOptions::default()).unwrap()
}

/// A file whose bytes and name are durable.
fn durable(vfs: &MemVfs, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = create(vfs, path);
    file.append(bytes).unwrap();
    file.sync().unwrap();
    vfs.sync_dir(p(path).parent().unwrap()).unwrap();
    file
}

/// The files as text: `name=bytes`, sorted.
fn show(vfs: &MemVfs) -> String {
    let files = vfs.files().into_iter();
    let text = |(path, bytes): (PathBuf, Vec<u8>)| {
        format!("{}={}", path.display(), String::from_utf8_lossy(&bytes).replace('\0', "."))
    };
    files.map(text).collect::<Vec<_>>().join(" ")
}

fn lost(vfs: &MemVfs) -> String {
    show(&vfs.crash_losing_everything_unsynced())
}

/// The crash in which the change of this index, and no other, has this fate; the others are kept.
fn fate_of(vfs: &MemVfs, index: usize, fate: CrashFate) -> String {
    show(&vfs.crash(|change| if change.index == index { fate } else { CrashFate::Keep }))
}

/// Everything that a crash may leave when each change is kept or lost.
fn possible(vfs: &MemVfs) -> BTreeSet<String> {
    let n = vfs.pending_changes();
    let keep = |yes| if yes { CrashFate::Keep } else { CrashFate::Lose };
    (0..1_u32 << n).map(|set| show(&vfs.crash(|change| keep(set >> change.index & 1 == 1)))).collect()
}

fn set(states: &[&str]) -> BTreeSet<String> {
    states.iter().map(|state| (*state).to_owned()).collect()
}

#[test]
fn synced_bytes_survive() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"one");
    file.append(b"two").unwrap();
    assert_eq!(lost(&vfs), "f=one");
    file.sync().unwrap();
    assert_eq!(lost(&vfs), "f=onetwo");
    assert_eq!(vfs.pending_changes(), 0);
}

#[test]
fn a_synced_file_without_a_synced_name_may_vanish() {
    let vfs = MemVfs::new();
    let mut file = create(&vfs, "f");
    file.append(b"bytes").unwrap();
    file.sync().unwrap();
    assert_eq!(possible(&vfs), set(&["", "f=bytes"]));
}

#[test]
fn a_synced_name_without_synced_bytes_may_be_empty() {
    let vfs = MemVfs::new();
    let mut file = create(&vfs, "f");
    file.append(b"bytes").unwrap();
    vfs.sync_dir(p("")).unwrap();
    assert_eq!(possible(&vfs), set(&["f=", "f=bytes"]));
}

#[test]
fn syncing_one_folder_or_file_says_nothing_of_another() {
    let vfs = MemVfs::new();
    vfs.create_dir_all(p("a")).unwrap();
    vfs.create_dir_all(p("b")).unwrap();
    let mut one = create(&vfs, "a/f");
    let mut two = create(&vfs, "b/f");
    one.append(b"1").unwrap();
    two.append(b"2").unwrap();
    one.sync().unwrap();
    vfs.sync_dir(p("a")).unwrap();
    vfs.sync_dir(p("")).unwrap();
    assert_eq!(lost(&vfs), "a/f=1");
    vfs.sync_dir(p("b")).unwrap();
    assert_eq!(lost(&vfs), "a/f=1 b/f=");
}

#[test]
fn made_folders_are_durable() {
    let vfs = MemVfs::new();
    vfs.create_dir_all(p("a/b")).unwrap();
    let after = vfs.crash_losing_everything_unsynced();
    assert!(after.exists(p("a/b")).unwrap());
    assert!(!after.exists(p("a/c")).unwrap());
}

#[test]
fn a_rename_that_is_not_synced_may_be_undone() {
    let vfs = MemVfs::new();
    durable(&vfs, "old", b"old");
    durable(&vfs, "new", b"new");
    vfs.rename(p("new"), p("old")).unwrap();
    // Both sides or neither: never both names, never none.
    assert_eq!(possible(&vfs), set(&["new=new old=old", "old=new"]));
    vfs.sync_dir(p("")).unwrap();
    assert_eq!(possible(&vfs), set(&["old=new"]));
}

#[test]
fn a_rename_across_folders_is_atomic_whichever_folder_is_synced() {
    for synced in ["a", "b"] {
        let vfs = MemVfs::new();
        vfs.create_dir_all(p("a")).unwrap();
        vfs.create_dir_all(p("b")).unwrap();
        durable(&vfs, "a/x", b"x");
        vfs.rename(p("a/x"), p("b/y")).unwrap();
        assert_eq!(possible(&vfs), set(&["a/x=x", "b/y=x"]));
        vfs.sync_dir(p(synced)).unwrap();
        assert_eq!(possible(&vfs), set(&["b/y=x"]), "{synced}");
    }
}

#[test]
fn a_synced_rename_is_not_undone_by_an_older_change_of_the_other_folder() {
    let vfs = MemVfs::new();
    vfs.create_dir_all(p("a")).unwrap();
    vfs.create_dir_all(p("b")).unwrap();
    let mut file = create(&vfs, "a/x");
    file.append(b"x").unwrap();
    file.sync().unwrap();
    vfs.rename(p("a/x"), p("b/y")).unwrap();
    vfs.sync_dir(p("b")).unwrap();
    assert_eq!(possible(&vfs), set(&["b/y=x"]), "keeping the making of a/x must not bring it back");
}

#[test]
fn a_file_never_gets_two_names() {
    let vfs = MemVfs::new();
    durable(&vfs, "x", b"x");
    vfs.rename(p("x"), p("y")).unwrap();
    vfs.rename(p("y"), p("z")).unwrap();
    assert_eq!(possible(&vfs), set(&["x=x", "y=x", "z=x"]));
}

#[test]
fn a_removal_that_is_not_synced_may_be_undone_with_durable_bytes() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"durable");
    file.append(b" and not").unwrap();
    vfs.remove(p("f")).unwrap();
    assert_eq!(possible(&vfs), set(&["", "f=durable", "f=durable and not"]));
    assert_eq!(lost(&vfs), "f=durable");
    vfs.sync_dir(p("")).unwrap();
    assert_eq!(possible(&vfs), set(&[""]));
}

#[test]
fn a_name_used_again_brings_back_the_right_file() {
    let vfs = MemVfs::new();
    durable(&vfs, "f", b"first");
    vfs.remove(p("f")).unwrap();
    let mut second = create(&vfs, "f");
    second.append(b"second").unwrap();
    second.sync().unwrap();
    // Losing the removal but not the making: the name is assigned to, so that the second file has it.
    assert_eq!(possible(&vfs), set(&["", "f=first", "f=second"]));
}

#[test]
fn torn_writes_keep_a_part_and_leave_the_rest() {
    let vfs = MemVfs::new();
    durable(&vfs, "f", b"0123456789");
    let mut file =
        vfs.create(p("f"), CreateOptions { existing: Existing::Reuse, ..CreateOptions::default() }).unwrap();
    file.append(b"abcdef").unwrap();
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(0)), "f=0123456789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(4)), "f=abcd456789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(6)), "f=abcdef6789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(usize::MAX)), "f=abcdef6789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::TornRange { start: 2, end: 4 }), "f=01cd456789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::TornRange { start: 4, end: 2 }), "f=0123456789");
    assert_eq!(fate_of(&vfs, 0, CrashFate::LengthOnly), "f=0123456789");
}

#[test]
fn torn_appends_end_or_leave_zeros() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"01");
    file.append(b"abcd").unwrap();
    file.append(b"EF").unwrap();
    assert_eq!(fate_of(&vfs, 1, CrashFate::Lose), "f=01abcd");
    assert_eq!(fate_of(&vfs, 1, CrashFate::Torn(1)), "f=01abcdE");
    assert_eq!(fate_of(&vfs, 1, CrashFate::LengthOnly), "f=01abcd..");
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(1)), "f=01a...EF");
    assert_eq!(fate_of(&vfs, 0, CrashFate::TornRange { start: 1, end: 3 }), "f=01.bc.EF");
    assert_eq!(fate_of(&vfs, 0, CrashFate::Lose), "f=01....EF", "writes reach the disk in any order");
}

#[test]
fn what_is_not_a_write_is_never_torn() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"0123");
    file.truncate(1).unwrap();
    vfs.rename(p("f"), p("g")).unwrap();
    for fate in [CrashFate::Torn(1), CrashFate::TornRange { start: 0, end: 9 }, CrashFate::LengthOnly] {
        assert_eq!(show(&vfs.crash(|_| fate)), "f=0123", "{fate:?}");
    }
}

#[test]
fn cuts_and_preallocations_are_pending_until_synced() {
    let vfs = MemVfs::new();
    let mut file =
        vfs.create(p("f"), CreateOptions { preallocate_bytes: 6, existing: Existing::Refuse }).unwrap();
    vfs.sync_dir(p("")).unwrap();
    assert_eq!(possible(&vfs), set(&["f=", "f=......"]));
    file.append(b"abc").unwrap();
    file.sync().unwrap();
    assert_eq!(lost(&vfs), "f=abc...");
    file.truncate(3).unwrap();
    assert_eq!(possible(&vfs), set(&["f=abc...", "f=abc"]));
    drop(vfs.create(p("f"), CreateOptions { existing: Existing::Truncate, ..CreateOptions::default() }));
    assert_eq!(possible(&vfs), set(&["f=abc...", "f=abc", "f="]), "emptying by opening, too");
}

#[test]
fn stores_into_a_map_are_writes() {
    let vfs = MemVfs::new();
    let options = CreateOptions { preallocate_bytes: 4, existing: Existing::Refuse };
    let mut file = vfs.create_mapped(p("f"), options).unwrap();
    vfs.sync_dir(p("")).unwrap();
    file.store(0, b"ab").unwrap();
    file.sync().unwrap();
    file.store(1, b"XY").unwrap();
    assert_eq!(possible(&vfs), set(&["f=ab..", "f=aXY."]));
    assert_eq!(fate_of(&vfs, 0, CrashFate::Torn(1)), "f=aX..");
    file.finish(3).unwrap();
    assert_eq!(possible(&vfs), set(&["f=ab..", "f=aXY.", "f=ab.", "f=aXY"]));
}

#[test]
fn changes_are_shown_in_the_order_in_which_they_were_made() {
    let vfs = MemVfs::new();
    durable(&vfs, "z", b"old");
    let mut a = create(&vfs, "a");
    a.append(b"12345").unwrap();
    let options = CreateOptions { preallocate_bytes: 0, existing: Existing::Reuse };
    let mut z = vfs.create(p("z"), options).unwrap();
    z.append(b"x").unwrap();
    a.append(b"67").unwrap();
    a.truncate(4).unwrap();
    vfs.rename(p("a"), p("b")).unwrap();
    vfs.remove(p("z")).unwrap();
    let mut seen = Vec::new();
    let _ = vfs.crash(|change| {
        assert_eq!(change.index, seen.len());
        let what = match change.kind {
            ChangeKind::Write { offset, len } => format!("write {len} at {offset}"),
            ChangeKind::SetLen { from, to } => format!("length {from} to {to}"),
            ChangeKind::Create => "create".to_owned(),
            ChangeKind::Rename { to } => format!("rename to {}", to.display()),
            ChangeKind::Remove => "remove".to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            change.kind.is_name(),
            ["create", "rename to b", "remove"].contains(&what.as_str()),
            "{what}"
        );
        seen.push(format!("{}: {what}", change.path.display()));
        CrashFate::Lose
    });
    // A file is named as it is called now, so that a test can say "every write to b".
    let expected = [
        "a: create",
        "b: write 5 at 0",
        "z: write 1 at 0",
        "b: write 2 at 5",
        "b: length 7 to 4",
        "a: rename to b",
        "z: remove",
    ];
    assert_eq!(seen, expected);
    assert_eq!(vfs.pending_changes(), expected.len());
}

#[test]
fn a_crash_leaves_the_old_world_alone_and_the_new_one_too() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"one");
    file.append(b"two").unwrap();
    let reader = vfs.open(p("f")).unwrap();
    let after = vfs.crash_losing_everything_unsynced();
    file.append(b"three").unwrap();
    file.sync().unwrap();
    vfs.remove(p("f")).unwrap();
    assert_eq!((show(&vfs), show(&after)), (String::new(), "f=one".to_owned()));
    let mut bytes = [0; 11];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"onetwothree");
    let mut new = create(&after, "g");
    new.append(b"new").unwrap();
    assert_eq!((show(&vfs), show(&after)), (String::new(), "f=one g=new".to_owned()));
}

#[test]
fn after_a_power_cut_everything_found_is_durable() {
    let vfs = MemVfs::new();
    create(&vfs, "f").append(b"kept").unwrap();
    let after = vfs.crash(|_| CrashFate::Keep);
    assert_eq!(after.pending_changes(), 0);
    assert_eq!(lost(&after), "f=kept");
}

#[test]
fn after_a_kill_what_was_not_synced_may_still_be_lost() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"synced");
    file.append(b" written").unwrap();
    create(&vfs, "g");
    let killed = vfs.crash_keeping_everything();
    assert_eq!(show(&killed), "f=synced written g=");
    assert_eq!(lost(&killed), "f=synced");
    assert_eq!(possible(&killed), possible(&vfs));
}

#[test]
fn locks_are_released() {
    let vfs = MemVfs::new();
    let held = vfs.lock(p("lock")).unwrap();
    for after in [vfs.crash(|_| CrashFate::Keep), vfs.crash_keeping_everything()] {
        let again = after.lock(p("lock")).unwrap();
        assert!(after.lock(p("lock")).unwrap_err().is_locked());
        drop(again);
    }
    assert!(vfs.lock(p("lock")).unwrap_err().is_locked());
    drop(held);
    vfs.lock(p("lock")).unwrap();
}

#[test]
fn crashes_cover_every_combination_and_torn_writes() {
    let vfs = MemVfs::new();
    durable(&vfs, "f", b"x");
    vfs.rename(p("f"), p("g")).unwrap();
    create(&vfs, "h").append(b"abcd").unwrap();
    let seen: BTreeSet<String> = vfs.crashes().map(|after| show(&after)).collect();
    let mut expected = possible(&vfs);
    expected.extend(set(&["g=x h=ab", "g=x h=...."]));
    assert_eq!(seen, expected);
    assert_eq!(seen.len(), 8);
}

#[test]
fn crashes_of_many_changes_are_few_and_cover_prefixes_and_single_losses() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"");
    for _ in 0..30 {
        file.append(b"ab").unwrap();
    }
    let states: Vec<String> = vfs.crashes().map(|after| show(&after)).collect();
    assert_eq!(states.len(), 5 * 30 + 1);
    let all = "ab".repeat(30);
    for i in 0..30 {
        assert!(states.contains(&format!("f={}", &all[..2 * i])), "the first {i}");
        assert!(states.contains(&format!("f={}a", &all[..2 * i])), "torn in number {i}");
        assert!(states.contains(&format!("f={}..{}", &all[..2 * i], &all[2 * i + 2..])), "without {i}");
    }
    assert!(states.contains(&format!("f={}", &all)));
    assert!(states.contains(&format!("f={}ab", "..".repeat(7))), "only the eighth");
}

#[test]
fn a_crash_is_the_same_each_time() {
    let build = || {
        let vfs = MemVfs::new();
        for i in 0..20 {
            create(&vfs, &format!("f{i}")).append(&[i; 9]).unwrap();
        }
        let mut seen = Vec::new();
        let after = vfs.crash(|change| {
            seen.push(format!("{change:?}"));
            if change.index % 3 == 0 { CrashFate::Lose } else { CrashFate::Torn(change.index) }
        });
        (seen, after.files())
    };
    assert_eq!(build(), build());
}

#[test]
fn a_random_walk_agrees_with_replaying_the_changes_on_a_plain_map() {
    // The oracle keeps, for one file, the whole list of changes since the last sync and replays it.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    for _ in 0..50 {
        let vfs = MemVfs::new();
        let options = CreateOptions { preallocate_bytes: 9000, existing: Existing::Refuse };
        let mut file = vfs.create_mapped(p("f"), options).unwrap();
        file.sync().unwrap();
        vfs.sync_dir(p("")).unwrap();
        let mut synced = vec![0_u8; 9000];
        let mut changes: Vec<(usize, Vec<u8>)> = Vec::new();
        for step in 0..40 {
            let len = next(5000) as usize;
            let offset = next(9000 - len as u64) as usize;
            let bytes = vec![step as u8 + 1; len];
            file.store(offset as u64, &bytes).unwrap();
            if len > 0 {
                changes.push((offset, bytes)); // an empty write is not a change
            }
            if next(8) == 0 {
                file.sync().unwrap();
                for (offset, bytes) in changes.drain(..) {
                    synced[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
        let fates: Vec<usize> =
            changes.iter().map(|(_, bytes)| next(bytes.len() as u64 + 1) as usize).collect();
        let after = vfs.crash(|change| CrashFate::Torn(fates[change.index]));
        for ((offset, bytes), kept) in changes.iter().zip(&fates) {
            synced[*offset..*offset + kept].copy_from_slice(&bytes[..*kept]);
        }
        assert!(after.files() == BTreeMap::from([(PathBuf::from("f"), synced)]));
    }
}

#[test]
fn damage_at_rest_is_durable_and_seen_by_open_readers() {
    let vfs = MemVfs::new();
    let mut file = durable(&vfs, "f", b"good");
    file.append(b"!").unwrap();
    let reader = vfs.open(p("f")).unwrap();
    vfs.corrupt(p("./f"), |bytes| bytes[0] = b'w').unwrap();
    let mut bytes = [0; 5];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"wood!");
    assert_eq!(lost(&vfs), "f=wood!");
    assert!(vfs.corrupt(p("g"), |_| unreachable!()).unwrap_err().is_not_found());
}

#[test]
fn operations_are_counted() {
    let vfs = MemVfs::new();
    let mut file = create(&vfs, "f"); // 1
    file.append(b"x").unwrap(); // 2
    file.sync().unwrap(); // 3
    let _ = vfs.open(p("missing")); // 4: failed ones, too
    assert!(vfs.clone().exists(p("f")).unwrap()); // 5
    let reader = vfs.open(p("f")).unwrap(); // 6
    reader.len().unwrap(); // 7
    reader.read_exact_at(&mut [0], 0).unwrap(); // 8
    assert_eq!(vfs.operations(), 8);
    assert_eq!(vfs.crash_keeping_everything().operations(), 0);
}

#[test]
fn a_copy_is_a_cut_through_time() {
    // One thread writes to `first` and then to `second`; a copy must never hold more of the second.
    let vfs = MemVfs::new();
    let mut first = create(&vfs, "first");
    let mut second = create(&vfs, "second");
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for _ in 0..2000 {
                first.append(b"x").unwrap();
                second.append(b"x").unwrap();
            }
        });
        while !writer.is_finished() {
            let files = vfs.crash_keeping_everything().files();
            let len = |name: &str| files[p(name)].len();
            assert!(len("first") >= len("second"), "{} {}", len("first"), len("second"));
        }
    });
}
