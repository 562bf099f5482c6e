//! One file: what is written, what of it is durable, and the changes between the two.
//!
//! Invariant *replay*: unless un-synced changes were forgotten (a failed sync), `durable` with all of `pending` applied
//! in order equals `written`.

use super::content::Content;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A file, whatever its names.
#[derive(Debug)]
pub(super) struct Node {
    state: RwLock<State>,
    pub(super) locked: AtomicBool,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    /// Its last name, for reports.
    pub(super) path: PathBuf,
    pub(super) written: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<Pending>,
    /// The bytes of all pending writes, one after the other: one growing buffer, not one allocation per write.
    pending_bytes: Vec<u8>,
}

/// A change that is not durable.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Its place in the order of all changes of the file system.
    pub(super) sequence: u64,
    pub(super) kind: PendingKind,
}

#[derive(Clone, Debug)]
pub(super) enum PendingKind {
    /// `bytes` is a range of the state's `pending_bytes`.
    Write {
        offset: u64,
        bytes: Range<usize>,
    },
    SetLen {
        from: u64,
        to: u64,
    },
}

/// How much of a change reaches the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    Nothing,
    /// Of a write, these of its bytes.
    Bytes(Range<usize>),
    /// Of a write, the file's growth but none of its bytes.
    Length,
}

impl Node {
    pub(super) fn new(path: PathBuf) -> Self {
        Node::from_state(State {
            path,
            written: Content::default(),
            durable: Content::default(),
            pending: Vec::new(),
            pending_bytes: Vec::new(),
        })
    }

    pub(super) fn from_state(state: State) -> Self {
        Node { state: RwLock::new(state), locked: AtomicBool::new(false) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        // No method panics half way through a change, so that a poisoned state is whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn put(&mut self, sequence: u64, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let start = self.pending_bytes.len();
        self.pending_bytes.extend_from_slice(bytes);
        let kind = PendingKind::Write { offset, bytes: start..self.pending_bytes.len() };
        self.pending.push(Pending { sequence, kind });
        self.written.write(bytes, offset);
    }

    pub(super) fn set_len(&mut self, sequence: u64, to: u64) {
        let from = self.written.len();
        if from == to {
            return;
        }
        self.pending.push(Pending { sequence, kind: PendingKind::SetLen { from, to } });
        self.written.set_len(to);
    }

    /// Makes every pending change durable.
    pub(super) fn sync(&mut self) {
        let reach = vec![Reach::All; self.pending.len()];
        self.settle(&reach);
    }

    /// The power cut: of each pending change, as much becomes durable as `reach` says; nothing is pending after.
    pub(super) fn settle(&mut self, reach: &[Reach]) {
        let State { durable, pending, pending_bytes, .. } = self;
        assert_eq!(reach.len(), pending.len(), "every pending change has a fate");
        for (change, reach) in pending.iter().zip(reach) {
            match (&change.kind, reach) {
                (_, Reach::Nothing) => {}
                (PendingKind::Write { offset, bytes }, Reach::All) => {
                    durable.write(&pending_bytes[bytes.clone()], *offset);
                }
                (PendingKind::Write { offset, bytes }, Reach::Bytes(part)) => {
                    let part = part.start.min(bytes.len())..part.end.min(bytes.len());
                    if part.start < part.end {
                        let from = bytes.start + part.start..bytes.start + part.end;
                        durable.write(&pending_bytes[from], offset + part.start as u64);
                    }
                }
                (PendingKind::Write { offset, bytes }, Reach::Length) => {
                    durable.set_len(durable.len().max(offset + bytes.len() as u64));
                }
                (PendingKind::SetLen { to, .. }, Reach::All) => durable.set_len(*to),
                // A length is one number: it is changed or it is not.
                (PendingKind::SetLen { .. }, Reach::Bytes(_) | Reach::Length) => {}
            }
        }
        self.forget_unsynced();
    }

    /// What a failed sync does: the changes stay readable, and no later sync makes them durable.
    pub(super) fn forget_unsynced(&mut self) {
        self.pending.clear();
        self.pending_bytes.clear();
    }

    /// The content that a restarted machine reads is the durable one.
    pub(super) fn reboot(&mut self) {
        self.written = self.durable.clone();
    }

    /// Replaces the bytes at rest.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.written = Content::from(bytes);
        self.durable = self.written.clone();
        self.forget_unsynced();
    }
}
