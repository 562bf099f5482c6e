//! What a user does to a database: each call beside its model.

use std::collections::VecDeque;
use std::hash::Hash;

use super::model::Written;
use super::operation::KEYSPACES;
use super::random::Random;
use super::world::{Checked, Held, World};
use crate::{Durability, Error, KEY_BYTES_MAX, Parts, Result, WriteBatch};

type KeyValues = Vec<(Vec<u8>, Vec<u8>)>;

fn owned(entries: Vec<(bytes::Bytes, bytes::Bytes)>) -> KeyValues {
    entries.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Checked {
    if found == expected {
        return Ok(());
    }
    let (mut found, mut expected) = (format!("{found:?}"), format!("{expected:?}"));
    found.truncate(600);
    expected.truncate(600);
    Err(format!("{what}: found {found}, expected {expected}"))
}

impl<P: Parts> World<P> {
    pub(super) fn write(
        &mut self,
        written: Vec<(usize, Written)>,
        durability: Durability,
        single: bool,
    ) -> Checked {
        if single && written.is_empty() {
            return Ok(()); // its keyspace is not there
        }
        let keeps = P::log_keeps(&self.options);
        let refused = self.has_failed();
        if !refused {
            let changes = written.iter().map(|(_, change)| change.clone()).collect();
            self.history().begin(changes, keeps && durability != Durability::Off);
        }
        let result = self.do_write(&written, durability, single);
        if refused {
            return match result {
                Err(Error::ReadOnly { .. }) => Ok(()),
                Ok(()) if written.is_empty() => Ok(()),
                other => Err(format!("a read-only database answered a write with {other:?}")),
            };
        }
        if durability == Durability::Synced && !keeps {
            self.history().refused();
            return match result {
                Err(Error::InvalidArgument(_)) => Ok(()),
                other => Err(format!("a synced write without a log answered {other:?}")),
            };
        }
        self.counts.writes += 1;
        let acknowledged = self.settle(result)?.is_some();
        self.history().end(acknowledged, acknowledged && durability == Durability::Synced);
        if !acknowledged && !self.has_failed() {
            return Err("a write failed and the database goes on writing".to_owned());
        }
        Ok(())
    }

    fn do_write(&self, written: &[(usize, Written)], durability: Durability, single: bool) -> Result<()> {
        let db = self.db().map_err(Error::InvalidArgument)?;
        if let ([(slot, (_, key, value))], true) = (written, single) {
            let keyspace = &self.keyspaces[slot];
            return match value {
                Some(value) => keyspace.put_with(key, value, durability),
                None => keyspace.delete_with(key, durability),
            };
        }
        let mut batch = WriteBatch::new();
        for (slot, (_, key, value)) in written {
            match value {
                Some(value) => batch.put_in(&self.keyspaces[slot], key, value),
                None => batch.delete_in(&self.keyspaces[slot], key),
            };
        }
        db.write_with(batch, durability)
    }

    pub(super) fn refused(&mut self) -> Checked {
        let long = vec![b'k'; KEY_BYTES_MAX + 1];
        let db = self.db()?;
        if !matches!(db.put(&long, "v"), Err(Error::TooLarge { what: "key", .. })) {
            return Err("a key over the limit was not refused".to_owned());
        }
        let mut batch = WriteBatch::new();
        batch.put("0001", "half").put(&long, "v");
        if !matches!(db.write(batch), Err(Error::TooLarge { .. })) {
            return Err("a batch with a key over the limit was not refused".to_owned());
        }
        if let Some(removed) = &self.removed {
            let gone = |error: Option<Error>| matches!(error, Some(Error::KeyspaceRemoved(_)));
            let answers = [removed.put("k", "v").err(), removed.get("k").err(), removed.delete("k").err()];
            let scanned = removed.iter().next().and_then(Result::err);
            if !answers.into_iter().all(gone) || !gone(scanned) {
                return Err("a removed keyspace does not say so".to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn get(&mut self, slot: usize, key: &[u8]) -> Checked {
        let Some(keyspace) = self.keyspaces.get(&slot) else { return Ok(()) };
        let found = keyspace.get(key);
        let lent = keyspace.get_ref(key, <[u8]>::to_vec);
        let there = keyspace.contains_key(key);
        let answers = (self.settle(found)?, self.settle(lent)?, self.settle(there)?);
        if let (Some(found), Some(lent), Some(there)) = answers {
            let expected = self.expected(slot, |entries| entries.get(key).cloned());
            if self.is_certain() {
                equal("get", &found.as_deref().map(<[u8]>::to_vec), &expected)?;
                equal("get_ref", &lent, &expected)?;
                equal("contains_key", &there, &expected.is_some())?;
            }
            self.answer(found.as_deref());
        }
        Ok(())
    }

    /// Whether no write has failed: after one, a read may or may not see it.
    fn is_certain(&self) -> bool {
        !self.has_failed()
    }

    fn expected<T>(&self, slot: usize, read: impl FnOnce(&super::model::Entries) -> T) -> T {
        let history = self.history();
        let incarnation = history.incarnation(slot).unwrap_or(u32::MAX);
        read(history.entries(incarnation))
    }

    pub(super) fn scan(&mut self) -> Checked {
        let found = self.read_all()?;
        let Some(found) = self.settle(found)? else { return Ok(()) };
        self.history().readable(&found)?;
        self.answer(&found);
        Ok(())
    }

    pub(super) fn range(&mut self, slot: usize, from: Vec<u8>, to: Vec<u8>, seed: u64) -> Checked {
        let Some(keyspace) = self.keyspaces.get(&slot) else { return Ok(()) };
        let mut iter = keyspace.range(from.clone()..=to.clone());
        let inside = |key: &Vec<u8>| *key >= from && *key <= to;
        let pairs = |entries: &super::model::Entries| {
            entries.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let mut expected: VecDeque<(Vec<u8>, Vec<u8>)> = self.expected(slot, pairs);
        let certain = self.is_certain();
        let mut random = Random::new(seed);
        loop {
            let back = random.percent(50);
            let handed = |pair: (bytes::Bytes, bytes::Bytes)| (pair.0.to_vec(), pair.1.to_vec());
            let lent = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
            let found = match (back, random.percent(50)) {
                (false, false) => iter.next().map(|found| found.map(handed)),
                (false, true) => iter.next_ref().map(|found| found.map(lent)),
                (true, false) => iter.next_back().map(|found| found.map(handed)),
                (true, true) => iter.next_back_ref().map(|found| found.map(lent)),
            };
            if random.percent(30) {
                self.machine.executor.run_one();
            }
            let wanted = if back { expected.pop_back() } else { expected.pop_front() };
            let Some(found) = self.settle(found.transpose())? else {
                return self.stays_failed(iter.next());
            };
            if certain {
                equal("a range from both ends", &found, &wanted)?;
            }
            if found.is_none() {
                return Ok(());
            }
            self.answer(&found);
        }
    }

    fn stays_failed<T: Hash>(&self, next: Option<Result<T>>) -> Checked {
        match next {
            Some(Err(_)) => Ok(()),
            _ => Err("an iterator forgot its error".to_owned()),
        }
    }

    pub(super) fn prefix(&mut self, slot: usize, prefix: &[u8]) -> Checked {
        let Some(keyspace) = self.keyspaces.get(&slot) else { return Ok(()) };
        let found = keyspace.prefix(prefix).collect::<Result<Vec<_>>>();
        let Some(found) = self.settle(found)?.map(owned) else { return Ok(()) };
        let expected = self.expected(slot, |entries| {
            let inside = entries.iter().filter(|(key, _)| key.starts_with(prefix));
            inside.map(|(key, value)| (key.clone(), value.clone())).collect::<KeyValues>()
        });
        self.answer(&found);
        if self.is_certain() { equal("prefix", &found, &expected) } else { Ok(()) }
    }

    pub(super) fn open_iterator(&mut self, slot: usize, seek: Vec<u8>) -> Checked {
        let Some(keyspace) = self.keyspaces.get(&slot) else { return Ok(()) };
        if self.held.len() >= 3 || !self.is_certain() {
            return Ok(());
        }
        let mut iter = keyspace.iter();
        iter.seek(&seek);
        let expected = self.expected(slot, |entries| {
            entries.range(seek..).map(|(key, value)| (key.clone(), value.clone())).collect()
        });
        self.held.push_back(Held { iter, expected });
        Ok(())
    }

    pub(super) fn step_iterator(&mut self, steps: usize) -> Checked {
        let Some(mut held) = self.held.pop_front() else { return Ok(()) };
        for _ in 0..steps {
            match held.iter.next() {
                None => return equal("what an iterator left out", &held.expected, &VecDeque::new()),
                Some(Err(error)) => {
                    self.settle::<()>(Err(error))?;
                    return self.stays_failed(held.iter.next());
                }
                Some(Ok((key, value))) => {
                    let found = Some((key.to_vec(), value.to_vec()));
                    equal("an iterator held", &found, &held.expected.pop_front())?;
                    self.answer(&found);
                }
            }
        }
        self.held.push_front(held);
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Checked {
        if self.snapshots.len() >= 4 {
            self.snapshots.remove(self.counts.operations as usize % 4);
        } else if self.is_certain() {
            let snapshot = self.db()?.snapshot();
            let history = self.history();
            let slots = history.slots().filter_map(|slot| Some((slot, history.incarnation(slot)?))).collect();
            let state = history.now().clone();
            drop(history);
            self.snapshots.push((snapshot, slots, state));
        }
        Ok(())
    }

    pub(super) fn read_snapshot(&mut self, which: usize, slot: usize, key: &[u8]) -> Checked {
        if self.snapshots.is_empty() {
            return Ok(());
        }
        let (snapshot, slots, state) = &self.snapshots[which % self.snapshots.len()];
        let (Some(keyspace), Some(then)) = (self.keyspaces.get(&slot), slots.get(&slot)) else {
            return Ok(());
        };
        if self.history().incarnation(slot) != Some(*then) {
            return Ok(()); // made anew since
        }
        let entries = &state[then];
        let got = snapshot.get_in(keyspace, key);
        let lent = snapshot.get_ref_in(keyspace, key, <[u8]>::to_vec);
        let found = snapshot.range_in::<&[u8], _>(keyspace, ..).collect::<Result<Vec<_>>>();
        let expected: KeyValues = entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(found) = self.settle(found)?.map(owned) {
            equal("a scan of a snapshot", &found, &expected)?;
            if let (Some(got), Some(lent)) = (self.settle(got)?, self.settle(lent)?) {
                equal("get of a snapshot", &got.as_deref(), &entries.get(key).map(Vec::as_slice))?;
                equal("get_ref of a snapshot", &lent.as_ref(), &entries.get(key))?;
            }
            self.answer(&found);
        }
        Ok(())
    }

    pub(super) fn look(&mut self) -> Checked {
        let db = self.db()?;
        let (stats, shape) = (db.stats(), db.shape());
        let names = db.keyspaces().len();
        equal("keyspaces in the shape", &shape.keyspaces.len(), &names)?;
        equal("keyspaces", &names, &self.history().slots().count())?;
        equal("snapshots held", &stats.snapshots, &(self.snapshots.len() as u64))?;
        self.verify()?;
        if !shape.to_string().contains(KEYSPACES[0]) {
            return Err(format!("the shape does not name the default keyspace: {shape}"));
        }
        Ok(())
    }

    pub(super) fn create_keyspace(&mut self, slot: usize) -> Checked {
        if self.keyspaces.contains_key(&slot) || self.has_failed() {
            return Ok(());
        }
        self.history().begin_keyspace(slot, true);
        let made = self.db()?.keyspace(KEYSPACES[slot]);
        if let Some(keyspace) = self.settle(made)? {
            self.history().end_keyspace();
            self.keyspaces.insert(slot, keyspace);
        }
        Ok(())
    }

    pub(super) fn remove_keyspace(&mut self, slot: usize) -> Checked {
        if self.has_failed() {
            return Ok(());
        }
        let there = self.keyspaces.contains_key(&slot) && slot != 0;
        if there {
            self.history().begin_keyspace(slot, false);
        }
        let removed = self.db()?.remove_keyspace(KEYSPACES[slot]);
        if !there {
            return match removed {
                Err(Error::InvalidArgument(_) | Error::KeyspaceRemoved(_)) => Ok(()),
                other => Err(format!("removing what is not to be removed answered {other:?}")),
            };
        }
        if self.settle(removed)?.is_some() {
            self.history().end_keyspace();
            self.removed = self.keyspaces.remove(&slot);
        }
        Ok(())
    }
}
