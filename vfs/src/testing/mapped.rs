//! Files that are stored into.

use super::{Room, pattern, with};
use crate::{Existing, Operation};
use std::io;

pub(super) fn stored_bytes_read_back(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create_mapped(&path, with(10_000, Existing::Refuse)));
    room.eq((file.len(), file.is_empty()), (10_000, false), "the length of a mapped file");
    let mut all = vec![0; 10_000];
    room.eq(room.read(&path), all.clone(), "a new mapped file is zeros");
    for (i, (offset, len)) in [(0, 1), (9999, 1), (4000, 5000), (4090, 12), (50, 0)].into_iter().enumerate() {
        let bytes = pattern(len, i as u8 + 1);
        room.ok(file.store(offset as u64, &bytes));
        all[offset..offset + len].copy_from_slice(&bytes);
        room.eq(room.read(&path), all.clone(), "a store is seen by readers, not synced");
    }
    room.ok(file.sync());
    room.eq(room.read(&path), all.clone(), "the bytes after a sync");
    drop(file);
    room.eq(room.read(&path), all, "the bytes after the file is closed");
}

pub(super) fn stores_outside_are_refused(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create_mapped(&path, with(100, Existing::Refuse)));
    room.ok(file.store(96, b"abcd"));
    for offset in [97, 100, 101, 4096, u64::MAX - 2, u64::MAX] {
        let error = room.refused(file.store(offset, b"wxyz"), Operation::Store, &path, "a store outside");
        room.eq(error.offset, Some(offset), "the offset in the error");
    }
    room.ok(file.store(100, b""));
    room.refused(file.store(101, b""), Operation::Store, &path, "an empty store outside");
    room.ok(file.store(0, b"on"));
    let mut all = vec![0; 100];
    all[96..].copy_from_slice(b"abcd");
    all[..2].copy_from_slice(b"on");
    room.eq(room.read(&path), all, "refused stores leave nothing, and later ones work");
    room.ok(file.sync());
}

pub(super) fn mapped_files_finish(room: &Room<'_>) {
    let bytes = pattern(8000, 1);
    for len in [0, 1, 4096, 7999, 8000] {
        let path = room.path(&format!("cut-{len}"));
        let mut file = room.ok(room.vfs.create_mapped(&path, with(8000, Existing::Refuse)));
        room.ok(file.store(0, &bytes));
        room.ok(file.finish(len as u64));
        room.eq(room.read(&path), bytes[..len].to_vec(), "the bytes of a finished file");
    }
    let path = room.path("beyond");
    let file = room.ok(room.vfs.create_mapped(&path, with(10, Existing::Refuse)));
    room.refused(file.finish(11), Operation::Truncate, &path, "finishing beyond the end");
    room.eq(room.read(&path), vec![0; 10], "the file after it");

    let path = room.path("empty");
    let mut file = room.ok(room.vfs.create_mapped(&path, with(0, Existing::Refuse)));
    room.eq(file.is_empty(), true, "a mapped file of no bytes");
    room.refused(file.store(0, b"x"), Operation::Store, &path, "a store into nothing");
    room.ok(file.sync());
    room.ok(file.finish(0));
}

pub(super) fn mapped_files_meet_existing_ones(room: &Room<'_>) {
    let path = room.write("file", b"0123456789");
    let refused = room.vfs.create_mapped(&path, with(20, Existing::Refuse));
    room.refused_as(refused, Operation::CreateMapped, &path, io::ErrorKind::AlreadyExists, "it is there");
    room.eq(room.read(&path), b"0123456789".to_vec(), "the bytes of a file that is there");

    let mut file = room.ok(room.vfs.create_mapped(&path, with(12, Existing::Reuse)));
    room.ok(file.store(3, b"abc"));
    room.eq(room.read(&path), b"012abc6789\0\0".to_vec(), "reused and lengthened");
    drop(file);
    drop(room.ok(room.vfs.create_mapped(&path, with(4, Existing::Reuse))));
    room.eq(room.read(&path), b"012a".to_vec(), "reused and cut: the length is exact");
    drop(room.ok(room.vfs.create_mapped(&path, with(6, Existing::Truncate))));
    room.eq(room.read(&path), vec![0; 6], "emptied");
}
