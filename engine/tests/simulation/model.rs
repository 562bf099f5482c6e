//! What the database should hold: every committed batch in order, and the state after any prefix of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

pub(crate) type Key = (usize, Vec<u8>);
pub(crate) type State = BTreeMap<Key, Vec<u8>>;

/// Operations of one batch: keyspace, key, value or removal.
pub(crate) type Batch = Vec<(usize, Vec<u8>, Option<Vec<u8>>)>;

/// The state, with a hash that is cheap to keep up to date.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) state: State,
    hash: u64,
}

fn hash_of(key: &Key, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

impl Model {
    pub(crate) fn of(state: State) -> Self {
        let hash = state.iter().fold(0, |hash, (key, value)| hash ^ hash_of(key, value));
        Model { state, hash }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        for (keyspace, key, value) in batch {
            let key = (*keyspace, key.clone());
            let old = match value {
                Some(value) => {
                    self.hash ^= hash_of(&key, value);
                    self.state.insert(key.clone(), value.clone())
                }
                None => self.state.remove(&key),
            };
            if let Some(old) = old {
                self.hash ^= hash_of(&key, &old);
            }
        }
    }
}

/// The model of a database that may crash: what is certain to survive, and what came after, in order.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// The state that no crash takes away.
    durable: Model,
    /// Batches after it.
    since: Vec<Batch>,
    /// The state after all of them.
    pub(crate) now: Model,
    /// How many of `since` were acknowledged: after a kill they must be there.
    acknowledged: usize,
}

impl History {
    pub(crate) fn commit(&mut self, batch: Batch, acknowledged: bool) {
        self.now.apply(&batch);
        self.since.push(batch);
        if acknowledged {
            self.acknowledged = self.since.len();
        }
    }

    /// Everything acknowledged so far is durable.
    pub(crate) fn synced(&mut self) {
        for batch in self.since.drain(..self.acknowledged) {
            self.durable.apply(&batch);
        }
        self.acknowledged = 0;
    }

    /// After a crash: `found` must be the state after a prefix. The history then ends there, all of it durable, since opening makes durable what
    /// it found.
    pub(crate) fn crashed(&mut self, found: State, keeps_acknowledged: bool) -> Result<(), String> {
        let found = Model::of(found);
        let at_least = if keeps_acknowledged { self.acknowledged } else { 0 };
        let mut candidate = self.durable.clone();
        for taken in 0..=self.since.len() {
            if taken >= at_least && candidate.hash() == found.hash() && candidate.state == found.state {
                *self = History { durable: found.clone(), now: found, ..History::default() };
                return Ok(());
            }
            if let Some(batch) = self.since.get(taken) {
                candidate.apply(batch);
            }
        }
        Err(self.explain(&found.state, at_least))
    }

    fn explain(&self, found: &State, at_least: usize) -> String {
        let mut expected = self.durable.clone();
        self.since[..at_least].iter().for_each(|batch| expected.apply(batch));
        let missing = expected.state.iter().filter(|(key, value)| found.get(*key) != Some(*value));
        let extra = found.iter().filter(|(key, value)| expected.state.get(*key) != Some(*value));
        format!(
            "the state found is that after no prefix of {} batches (at least {at_least}); against the least one, missing or other: {:?}; new: {:?}",
            self.since.len(),
            missing
                .take(5)
                .map(|(key, value)| (key.0, key.1.escape_ascii().to_string(), value.len()))
                .collect::<Vec<_>>(),
            extra
                .take(5)
                .map(|(key, value)| (key.0, key.1.escape_ascii().to_string(), value.len()))
                .collect::<Vec<_>>(),
        )
    }
}
