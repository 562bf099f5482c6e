//! Locks.

use super::Room;
use crate::Operation;

pub(super) fn locks_exclude(room: &Room<'_>) {
    let (vfs, path, other) = (room.vfs, room.path("lock"), room.path("other"));
    let lock = room.ok(vfs.lock(&path));
    room.eq(room.ok(vfs.exists(&path)), true, "locking makes the file");
    for _ in 0..2 {
        let error = room.refused(vfs.lock(&path), Operation::Lock, &path, "it is held");
        room.eq(error.is_locked(), true, "the error says that it is held");
    }
    let second = room.ok(vfs.lock(&other));
    drop(lock);
    let again = room.ok(vfs.lock(&path));
    let error = room.refused(vfs.lock(&other), Operation::Lock, &other, "the other is still held");
    room.eq(error.is_locked(), true, "the error says that it is held");
    drop((again, second));
    drop(room.ok(vfs.lock(&path)));
}

pub(super) fn locks_keep_the_bytes(room: &Room<'_>) {
    let path = room.write("lock", b"bytes");
    // Only after: some systems keep others from reading a locked file.
    drop(room.ok(room.vfs.lock(&path)));
    room.eq(room.read(&path), b"bytes".to_vec(), "a file's bytes after locking");
}

pub(super) fn one_thread_wins_a_lock(room: &Room<'_>) {
    let path = room.path("lock");
    let locks: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| room.vfs.lock(&path))).collect();
        threads.into_iter().map(|thread| thread.join().expect("locking does not panic")).collect()
    });
    room.eq(locks.iter().filter(|lock| lock.is_ok()).count(), 1, "how many threads hold the lock");
    let others = locks.iter().filter_map(|lock| lock.as_ref().err());
    room.eq(others.filter(|error| error.is_locked()).count(), 3, "how many were told that it is held");
}
