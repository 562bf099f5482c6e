//! What a database should hold: the commits in order, and every state that a crash may leave of them.
//!
//! The promise that is checked. Let the batches be in commit order. After a crash there is a position `p` in that order such that
//!
//! * every batch before `p` that went through the log is there, and none at or after it;
//! * `p` is behind the last batch that was acknowledged as synced (after the death of the process alone: as handed to the system);
//! * of the batches that bypassed the log ([`crate::Durability::Off`]), each keyspace has those before some position of its own, at or before `p`: a
//!   flush makes a keyspace durable up to a point, and everything older in the log with it.
//!
//! Keyspaces come and go durably, at once, whatever becomes of writes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a keyspace holds.
pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A keyspace made twice under one name is two: each has a number of its own.
pub(super) type Incarnation = u32;

/// One change: keyspace, key, value or removal.
pub(super) type Written = (Incarnation, Vec<u8>, Option<Vec<u8>>);

/// The contents of all keyspaces.
pub(super) type State = BTreeMap<Incarnation, Entries>;

#[derive(Clone, Debug)]
struct Batch {
    changes: Vec<Written>,
    logged: bool,
}

/// The model of a database that may crash.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// What no crash takes away, before everything in `since`.
    durable: State,
    since: Vec<Batch>,
    /// The state after every batch that was acknowledged, and the one being written.
    now: State,
    /// Logged batches before this position survive the death of the process.
    acknowledged: usize,
    /// Logged batches before this position survive the loss of power.
    synced: usize,
    /// The batch whose write failed or goes on: it may be there or not.
    open: Option<Vec<Written>>,
    /// The names that are there, by slot.
    live: BTreeMap<usize, Incarnation>,
    /// A keyspace being made or removed: `Some` incarnation when it is there afterwards.
    changing: Option<(usize, Option<Incarnation>)>,
    incarnations: Incarnation,
}

fn apply(state: &mut State, changes: &[Written]) {
    for (keyspace, key, value) in changes {
        let entries = state.entry(*keyspace).or_default();
        match value {
            Some(value) => entries.insert(key.clone(), value.clone()),
            None => entries.remove(key),
        };
    }
}

fn hash_of(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

/// Entries with a hash that follows each change.
struct Hashed {
    entries: Entries,
    hash: u64,
}

impl Hashed {
    fn new(entries: Entries) -> Self {
        let hash = entries.iter().fold(0, |hash, (key, value)| hash ^ hash_of(key, value));
        Hashed { entries, hash }
    }

    fn apply(&mut self, key: &[u8], value: Option<&Vec<u8>>) {
        let old = match value {
            Some(value) => {
                self.hash ^= hash_of(key, value);
                self.entries.insert(key.to_vec(), value.clone())
            }
            None => self.entries.remove(key),
        };
        if let Some(old) = old {
            self.hash ^= hash_of(key, &old);
        }
    }
}

impl History {
    /// A database with the default keyspace alone.
    pub(super) fn new() -> Self {
        let mut history = History::default();
        history.live.insert(0, 0);
        history.now.insert(0, Entries::new());
        history
    }

    /// The incarnation that is there under the name of a slot.
    pub(super) fn incarnation(&self, slot: usize) -> Option<Incarnation> {
        self.live.get(&slot).copied()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.live.keys().copied()
    }

    /// What a keyspace holds now.
    pub(super) fn entries(&self, incarnation: Incarnation) -> &Entries {
        static EMPTY: Entries = Entries::new();
        self.now.get(&incarnation).unwrap_or(&EMPTY)
    }

    pub(super) fn now(&self) -> &State {
        &self.now
    }

    /// A batch is about to be written.
    pub(super) fn begin(&mut self, changes: Vec<Written>, logged: bool) {
        self.since.push(Batch { changes: changes.clone(), logged });
        self.open = Some(changes);
    }

    /// Its write returned: with success, or not. Nothing can be acknowledged after a failure until the next crash.
    pub(super) fn end(&mut self, acknowledged: bool, synced: bool) {
        if !acknowledged {
            return;
        }
        if let Some(changes) = self.open.take() {
            apply(&mut self.now, &changes);
        }
        self.acknowledged = self.since.len();
        if synced {
            self.synced();
        }
    }

    /// A write was refused and left nothing.
    pub(super) fn refused(&mut self) {
        self.open = None;
        self.since.pop();
    }

    /// Every logged batch so far is durable.
    pub(super) fn synced(&mut self) {
        self.synced = self.since.len();
        // A batch that may be lost stands before others: these wait behind it.
        while self.synced > 0 && self.since[0].logged {
            let batch = self.since.remove(0);
            apply(&mut self.durable, &batch.changes);
            self.synced -= 1;
            self.acknowledged = self.acknowledged.saturating_sub(1);
        }
    }

    /// Everything so far is durable, also what bypassed the log.
    pub(super) fn flushed(&mut self) {
        for batch in self.since.drain(..) {
            apply(&mut self.durable, &batch.changes);
        }
        (self.synced, self.acknowledged) = (0, 0);
    }

    /// A keyspace is about to be made (`there`) or removed.
    pub(super) fn begin_keyspace(&mut self, slot: usize, there: bool) {
        self.incarnations += u32::from(there);
        self.changing = Some((slot, there.then_some(self.incarnations)));
    }

    /// The call returned with success.
    pub(super) fn end_keyspace(&mut self) {
        let Some((slot, there)) = self.changing.take() else { return };
        self.set_live(slot, there);
    }

    fn set_live(&mut self, slot: usize, there: Option<Incarnation>) {
        match there {
            Some(incarnation) => {
                self.live.insert(slot, incarnation);
                self.now.insert(incarnation, Entries::new());
            }
            None => {
                if let Some(incarnation) = self.live.remove(&slot) {
                    self.now.remove(&incarnation);
                    self.durable.remove(&incarnation);
                }
            }
        }
    }

    /// Whether the contents of all keyspaces, as read now, are right: what was acknowledged, with or without a write that failed.
    pub(super) fn readable(&self, found: &BTreeMap<usize, Entries>) -> Result<(), String> {
        let expected = |state: &State| {
            found.iter().all(|(slot, entries)| {
                let incarnation = self.incarnation(*slot);
                incarnation.and_then(|incarnation| state.get(&incarnation)).is_some_and(|e| e == entries)
            })
        };
        if expected(&self.now) {
            return Ok(());
        }
        if let Some(open) = &self.open {
            let mut with = self.now.clone();
            apply(&mut with, open);
            if expected(&with) {
                return Ok(());
            }
        }
        Err(format!("what is read is not what was acknowledged: {}", self.differences(found, &self.now)))
    }

    /// After a crash: `found`, by slot, must be a state that the promise allows. The history then goes on from there.
    pub(super) fn crashed(
        &mut self,
        found: BTreeMap<usize, Entries>,
        process_only: bool,
    ) -> Result<(), String> {
        self.settle_keyspaces(&found)?;
        let at_least = if process_only { self.acknowledged.max(self.synced) } else { self.synced };
        let mut possible = vec![true; self.since.len() + 1];
        for (slot, entries) in &found {
            let matches = self.prefixes_of(self.live[slot], entries);
            possible.iter_mut().zip(matches).for_each(|(possible, matches)| *possible &= matches);
        }
        if !possible[at_least..].contains(&true) {
            return Err(self.explain(&found, at_least));
        }
        let state: State = found.into_iter().map(|(slot, entries)| (self.live[&slot], entries)).collect();
        *self = History {
            durable: state.clone(),
            now: state,
            live: std::mem::take(&mut self.live),
            incarnations: self.incarnations,
            ..History::default()
        };
        Ok(())
    }

    /// The names must be those that were there, but for the one that was being made or removed.
    fn settle_keyspaces(&mut self, found: &BTreeMap<usize, Entries>) -> Result<(), String> {
        if let Some((slot, there)) = self.changing.take()
            && found.contains_key(&slot) == there.is_some()
        {
            self.set_live(slot, there);
        }
        let names: Vec<_> = found.keys().copied().collect();
        let expected: Vec<_> = self.live.keys().copied().collect();
        if names == expected {
            return Ok(());
        }
        Err(format!("keyspaces {names:?} are there instead of {expected:?}"))
    }

    /// For each position in the order: whether a keyspace that holds `entries` may have lost everything from there on.
    fn prefixes_of(&self, keyspace: Incarnation, entries: &Entries) -> Vec<bool> {
        let target = Hashed::new(entries.clone());
        let mut matches = vec![false; self.since.len() + 1];
        let touches = |batch: &Batch| batch.changes.iter().any(|change| change.0 == keyspace);
        let unlogged = self.since.iter().enumerate().filter(|(_, batch)| !batch.logged && touches(batch));
        let mut flushed_to = vec![0];
        flushed_to.extend(unlogged.map(|(position, _)| position + 1));
        for flushed in flushed_to {
            let mut state = Hashed::new(self.durable.get(&keyspace).cloned().unwrap_or_default());
            for (position, matches) in matches.iter_mut().enumerate() {
                if position >= flushed && state.hash == target.hash && state.entries == target.entries {
                    *matches = true;
                }
                let Some(batch) = self.since.get(position) else { break };
                if batch.logged || position < flushed {
                    let own = batch.changes.iter().filter(|change| change.0 == keyspace);
                    own.for_each(|(_, key, value)| state.apply(key, value.as_ref()));
                }
            }
        }
        matches
    }

    fn explain(&self, found: &BTreeMap<usize, Entries>, at_least: usize) -> String {
        let mut least = self.durable.clone();
        let logged = self.since[..at_least].iter().filter(|batch| batch.logged);
        logged.for_each(|batch| apply(&mut least, &batch.changes));
        format!(
            "the state found is that of no prefix of {} batches (at least {at_least}); against the least: {}",
            self.since.len(),
            self.differences(found, &least)
        )
    }

    fn differences(&self, found: &BTreeMap<usize, Entries>, expected: &State) -> String {
        let mut text = String::new();
        for (slot, entries) in found {
            let empty = Entries::new();
            let incarnation = self.incarnation(*slot).unwrap_or(Incarnation::MAX);
            let expected = expected.get(&incarnation).unwrap_or(&empty);
            let keys = expected.keys().chain(entries.keys().filter(|key| !expected.contains_key(*key)));
            let differing = keys.filter(|key| expected.get(*key) != entries.get(*key));
            for key in differing.take(5) {
                let show = |value: Option<&Vec<u8>>| {
                    value.map_or("nothing".to_owned(), |v| {
                        format!("{} bytes {}", v.len(), v[..v.len().min(8)].escape_ascii())
                    })
                };
                text += &format!(
                    "[{slot}/{}: {} instead of {}] ",
                    key.escape_ascii(),
                    show(entries.get(key)),
                    show(expected.get(key))
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Vec<Written> {
        vec![(0, key.into(), Some(value.into()))]
    }

    fn found(entries: &[(&str, &str)]) -> BTreeMap<usize, Entries> {
        let entries = entries.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()));
        BTreeMap::from([(0, entries.collect())])
    }

    fn history(batches: &[(&str, bool)], synced: usize) -> History {
        let mut history = History::new();
        for (number, (key, logged)) in batches.iter().enumerate() {
            history.begin(put(key, key), *logged);
            history.end(true, number + 1 == synced);
        }
        history
    }

    #[track_caller]
    fn check(history: &History, entries: &[(&str, &str)], process_only: bool, allowed: bool) {
        let checked = history.clone().crashed(found(entries), process_only);
        assert_eq!(checked.is_ok(), allowed, "{entries:?}: {checked:?}");
    }

    #[test]
    fn a_power_cut_takes_a_suffix_of_what_was_not_synced() {
        let history = history(&[("a", true), ("b", true), ("c", true)], 1);
        check(&history, &[("a", "a")], false, true);
        check(&history, &[("a", "a"), ("b", "b")], false, true);
        check(&history, &[("a", "a"), ("c", "c")], false, false);
        check(&history, &[], false, false);
        check(&history, &[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")], false, false);
    }

    #[test]
    fn a_kill_takes_nothing_that_was_acknowledged() {
        let history = history(&[("a", true), ("b", true)], 0);
        check(&history, &[("a", "a")], true, false);
        check(&history, &[("a", "a"), ("b", "b")], true, true);
    }

    #[test]
    fn what_bypassed_the_log_may_go_but_not_before_what_it_did_not_bypass() {
        let history = history(&[("a", true), ("b", false), ("c", true), ("d", false)], 3);
        check(&history, &[("a", "a"), ("c", "c")], true, true);
        check(&history, &[("a", "a"), ("b", "b"), ("c", "c")], true, true);
        check(&history, &[("a", "a"), ("c", "c"), ("d", "d")], true, false);
        check(&history, &[("a", "a"), ("b", "b")], false, false);
    }

    #[test]
    fn a_flushed_write_that_bypassed_the_log_proves_the_logged_ones_before_it() {
        let history = history(&[("a", true), ("b", false)], 0);
        check(&history, &[("b", "b")], false, false);
        check(&history, &[], false, true);
        check(&history, &[("a", "a"), ("b", "b")], false, true);
    }

    #[test]
    fn a_keyspace_being_removed_is_there_or_not_and_none_comes_back() {
        let mut history = history(&[("a", true)], 1);
        history.begin_keyspace(1, true);
        history.end_keyspace();
        let mut both = found(&[("a", "a")]);
        check(&history, &[("a", "a")], false, false);
        both.insert(1, Entries::new());
        assert!(history.clone().crashed(both.clone(), false).is_ok());
        history.begin_keyspace(1, false);
        assert!(history.clone().crashed(both.clone(), false).is_ok());
        history.end_keyspace();
        assert!(history.clone().crashed(both, false).is_err());
        check(&history, &[("a", "a")], false, true);
    }
}
