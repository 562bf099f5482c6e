//! A store whose records are spread evenly over several keyspaces, so that more merges are due at once than there are threads.

use super::{TerraceStore, durability, named};
use crate::store::{BatchWrite, Direction, Durability, Store, StoreResult, StoreStats, Visitor};
use terrace::{Engine, Iter, Keyspace, Parts, Snapshot, WriteBatch};

pub(super) struct SpreadStore<P: Parts> {
    whole: TerraceStore<P>,
    keyspaces: Vec<Keyspace<P>>,
}

impl<P: Parts> SpreadStore<P> {
    pub(super) fn new(engine: Engine<P>, count: usize) -> StoreResult<Self> {
        let keyspaces = (0..count).map(|number| engine.keyspace(&format!("k{number}")));
        let keyspaces = named("open", keyspaces.collect())?;
        Ok(SpreadStore { whole: TerraceStore { engine }, keyspaces })
    }

    /// The keyspace of a key, by its FNV-1a hash.
    fn of(&self, key: &[u8]) -> &Keyspace<P> {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        &self.keyspaces[(hash >> 32) as usize % self.keyspaces.len()]
    }

    /// Shows up to `count` pairs in order, of all keyspaces as of one moment.
    fn scan(
        &self,
        open: impl Fn(&Snapshot<P>, &Keyspace<P>) -> Iter<P>,
        direction: Direction,
        count: u64,
        visit: &mut Visitor<'_>,
    ) -> StoreResult<u64> {
        let snapshot = self.whole.engine.snapshot();
        let mut sources = Vec::new();
        for keyspace in &self.keyspaces {
            let mut iter = open(&snapshot, keyspace);
            if let Some(head) = next(&mut iter, direction)? {
                sources.push((head, iter));
            }
        }
        let mut shown = 0;
        while shown < count && !sources.is_empty() {
            let by_key = (0..sources.len()).min_by(|&a, &b| {
                let order = sources[a].0.0.cmp(&sources[b].0.0);
                if direction == Direction::Forward { order } else { order.reverse() }
            });
            let index = by_key.unwrap_or_default();
            let ((key, value), iter) = &mut sources[index];
            visit(key, value);
            shown += 1;
            match next(iter, direction)? {
                Some(head) => sources[index].0 = head,
                None => drop(sources.swap_remove(index)),
            }
        }
        Ok(shown)
    }
}

fn next<P: Parts>(iter: &mut Iter<P>, direction: Direction) -> StoreResult<Option<(Vec<u8>, Vec<u8>)>> {
    let pair = match direction {
        Direction::Forward => iter.next_ref(),
        Direction::Backward => iter.next_back_ref(),
    };
    pair.map(|pair| named("scan", pair.map(|(key, value)| (key.to_vec(), value.to_vec())))).transpose()
}

impl<P: Parts> Store for SpreadStore<P> {
    fn put(&self, key: &[u8], value: &[u8], wanted: Durability) -> StoreResult<()> {
        named("put", self.of(key).put_with(key, value, durability(wanted)))
    }

    fn delete(&self, key: &[u8], wanted: Durability) -> StoreResult<()> {
        named("delete", self.of(key).delete_with(key, durability(wanted)))
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], wanted: Durability) -> StoreResult<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put_in(self.of(key), key, value),
                None => batch.delete_in(self.of(key), key),
            };
        }
        named("write", self.whole.engine.write_with(batch, durability(wanted)))
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        Ok(named("get", self.of(key).get_ref(key, visit))?.is_some())
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        let open = |snapshot: &Snapshot<P>, keyspace: &Keyspace<P>| snapshot.range_in(keyspace, from..);
        Ok(self.scan(open, Direction::Forward, count as u64, visit)? as usize)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let open =
            |snapshot: &Snapshot<P>, keyspace: &Keyspace<P>| snapshot.range_in::<&[u8], _>(keyspace, ..);
        self.scan(open, direction, u64::MAX, visit)
    }

    fn flush(&self) -> StoreResult<()> {
        self.whole.flush()
    }

    fn wait_idle(&self) -> StoreResult<()> {
        self.whole.wait_idle()
    }

    fn compact(&self) -> StoreResult<()> {
        self.whole.compact()
    }

    fn stats(&self) -> StoreStats {
        self.whole.stats()
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        let SpreadStore { whole, keyspaces } = *self;
        drop(keyspaces);
        Box::new(whole).close()
    }
}
