//! Appending and reading.

use super::{Room, pattern, with};
use crate::{CreateOptions, Existing, Operation};
use std::io;

pub(super) fn appended_bytes_read_back(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create(&path, CreateOptions::default()));
    room.eq(file.offset(), 0, "a new file's cursor");
    room.eq(room.read(&path), vec![], "a new file's bytes");
    let mut all = Vec::new();
    for (i, len) in [0, 1, 7, 4096, 0, 10_000, 1].into_iter().enumerate() {
        let bytes = pattern(len, i as u8);
        room.ok(file.append(&bytes));
        all.extend_from_slice(&bytes);
        room.eq(file.offset(), all.len() as u64, "the cursor after an append");
        file.will_sync();
        if i % 2 == 0 {
            room.ok(file.sync());
        }
        room.eq(room.read(&path), all.clone(), "the bytes after an append");
    }
    drop(file);
    room.eq(room.read(&path), all, "the bytes after the file is closed");
}

pub(super) fn readers_see_later_appends(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create(&path, CreateOptions::default()));
    let reader = room.ok(room.vfs.open(&path));
    room.eq(reader.path(), path.as_path(), "a reader's path");
    room.eq(room.ok(reader.len()), 0, "the length before");
    room.ok(file.append(b"later"));
    room.eq(room.ok(reader.len()), 5, "the length after, not synced");
    let mut bytes = [0; 5];
    room.ok(reader.read_exact_at(&mut bytes, 0));
    room.eq(&bytes, b"later", "the bytes after, not synced");
}

pub(super) fn reads_beyond_the_end_fail(room: &Room<'_>) {
    let path = room.write("file", b"0123456789");
    let reader = room.ok(room.vfs.open(&path));
    let mut bytes = [0; 4];
    room.ok(reader.read_exact_at(&mut bytes, 6));
    room.eq(&bytes, b"6789", "the last bytes");
    for offset in [7, 9, 10, 11, 1 << 40] {
        let read = reader.read_exact_at(&mut bytes, offset);
        room.refused_as(read, Operation::Read, &path, io::ErrorKind::UnexpectedEof, "a read beyond the end");
    }
    room.ok(reader.read_exact_at(&mut [], 10));
    let error = room.refused(reader.read_exact_at(&mut bytes, 8), Operation::Read, &path, "again");
    room.eq(error.offset, Some(8), "the offset in the error");
    reader.will_read(0, 4);
    reader.will_read(u64::MAX, u64::MAX); // a hint can not do harm
    room.ok(reader.read_exact_at(&mut bytes, 0));
    room.eq(&bytes, b"0123", "the first bytes, after failed reads");
}

pub(super) fn large_files_read_back_anywhere(room: &Room<'_>) {
    let all = pattern((1 << 20) + 3, 1);
    let path = room.write("file", &all);
    let reader = room.ok(room.vfs.open(&path));
    room.eq(room.ok(reader.len()), all.len() as u64, "the length");
    for (offset, len) in [(0, all.len()), (4095, 2), (4096, 4096), (65_535, 70_000), (all.len() - 1, 1)] {
        let mut bytes = vec![0; len];
        room.ok(reader.read_exact_at(&mut bytes, offset as u64));
        room.eq(bytes.as_slice(), &all[offset..offset + len], "a part of the file");
    }
}

pub(super) fn existing_files_are_refused(room: &Room<'_>) {
    let path = room.write("file", b"old");
    for reserve in [0, 8192] {
        let made = room.vfs.create(&path, with(reserve, Existing::Refuse));
        room.refused_as(made, Operation::Create, &path, io::ErrorKind::AlreadyExists, "the file is there");
        room.eq(room.read(&path), b"old".to_vec(), "the bytes of the file that is there");
    }
}

pub(super) fn existing_files_are_emptied(room: &Room<'_>) {
    let path = room.write("file", &pattern(5000, 1));
    let mut file = room.ok(room.vfs.create(&path, with(0, Existing::Truncate)));
    room.eq(room.read(&path), vec![], "the bytes after emptying");
    room.ok(file.append(b"new"));
    drop(file);
    room.eq(room.read(&path), b"new".to_vec(), "the bytes appended to it");
    drop(room.ok(room.vfs.create(&path, with(10, Existing::Truncate))));
    room.eq(room.read(&path), vec![0; 10], "emptied and preallocated");
    let other = room.path("other");
    drop(room.ok(room.vfs.create(&other, with(0, Existing::Truncate))));
    room.eq(room.read(&other), vec![], "a file that was not there is made");
}

pub(super) fn existing_files_are_reused(room: &Room<'_>) {
    let path = room.write("file", b"0123456789");
    let mut file = room.ok(room.vfs.create(&path, with(4, Existing::Reuse)));
    room.eq(file.offset(), 0, "the cursor of a reused file");
    room.eq(room.read(&path), b"0123456789".to_vec(), "a reused file keeps bytes and length");
    room.ok(file.append(b"abc"));
    room.eq(file.offset(), 3, "the cursor after an append");
    room.eq(room.read(&path), b"abc3456789".to_vec(), "an append writes over old bytes");
    room.ok(file.append(b"defghijklmn"));
    room.eq(room.read(&path), b"abcdefghijklmn".to_vec(), "an append beyond the old end");
    drop(file);
    drop(room.ok(room.vfs.create(&path, with(16, Existing::Reuse))));
    room.eq(room.read(&path), b"abcdefghijklmn\0\0".to_vec(), "a reused file is lengthened with zeros");
    let other = room.path("other");
    drop(room.ok(room.vfs.create(&other, with(3, Existing::Reuse))));
    room.eq(room.read(&other), vec![0; 3], "a file that was not there is made");
}

pub(super) fn preallocated_space_is_zeros(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create(&path, with(10_000, Existing::Refuse)));
    room.eq(file.offset(), 0, "the cursor of a preallocated file");
    room.eq(room.read(&path), vec![0; 10_000], "a preallocated file");
    let bytes = pattern(6000, 1);
    room.ok(file.append(&bytes));
    let mut all = vec![0; 10_000];
    all[..6000].copy_from_slice(&bytes);
    room.eq(room.read(&path), all, "an append into preallocated space");
    room.ok(file.append(&bytes));
    room.eq(room.read(&path), [bytes.as_slice(), &bytes].concat(), "an append across its end");
    room.ok(file.sync());
}

pub(super) fn cut_files_stay_cut(room: &Room<'_>) {
    let path = room.path("file");
    let mut file = room.ok(room.vfs.create(&path, with(20_000, Existing::Refuse)));
    let bytes = pattern(9000, 1);
    room.ok(file.append(&bytes));
    room.ok(file.truncate(9000));
    room.eq(file.offset(), 9000, "the cursor after giving back what is unused");
    room.eq(room.read(&path), bytes.clone(), "the bytes after giving back what is unused");
    room.ok(file.truncate(5000));
    room.eq(file.offset(), 5000, "the cursor moves to the end of a file cut before it");
    room.eq(room.read(&path), bytes[..5000].to_vec(), "the bytes after a cut");
    room.ok(file.append(b"tail"));
    room.ok(file.sync());
    room.eq(room.read(&path), [&bytes[..5000], b"tail"].concat(), "an append after a cut");
    let beyond = file.truncate(5005);
    room.refused(beyond, Operation::Truncate, &path, "a cut beyond the end");
    room.eq(room.read(&path).len(), 5004, "the length after it");
    drop(file);
    // What was cut must not shine through when the file grows again.
    drop(room.ok(room.vfs.create(&path, with(9000, Existing::Reuse))));
    let grown = [&bytes[..5000], b"tail", &vec![0; 3996]].concat();
    room.eq(room.read(&path), grown, "a file that was cut and grows again");
}

pub(super) fn threads_work_side_by_side(room: &Room<'_>) {
    let shared = room.write("shared", &pattern(50_000, 0));
    let reader = room.ok(room.vfs.open(&shared));
    std::thread::scope(|scope| {
        for i in 0..4_u8 {
            let reader = &reader;
            scope.spawn(move || {
                let mine = pattern(3000, i);
                let path = room.write(&format!("file-{i}"), &mine);
                let all = pattern(50_000, 0);
                for round in 0..20 {
                    let from = (round * 2221 + usize::from(i) * 977) % 45_000;
                    let mut bytes = vec![0; 5000];
                    room.ok(reader.read_exact_at(&mut bytes, from as u64));
                    room.eq(bytes.as_slice(), &all[from..from + 5000], "a read among other threads' reads");
                }
                room.eq(room.read(&path), mine, "a file written among other threads' writes");
            });
        }
    });
    room.eq(room.ok(room.vfs.list(&room.dir)).len(), 5, "the files of all threads");
}
