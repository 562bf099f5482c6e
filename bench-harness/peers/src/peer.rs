//! What is the same for all peers: a peer's file implements [`Peer`], and [`Counted`] makes a store of it that counts.

use crate::tally::Tally;
use terrace_bench::store::{
    BatchWrite, Direction, Durability, Store, StoreError, StoreResult, StoreStats, Visitor,
};

/// A [`Store`] but for its counters, with the same laws. What has a body here is for peers that have no such operation.
pub(crate) trait Peer: Send + Sync {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        self.write_batch(&[(key, Some(value))], durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        self.write_batch(&[(key, None)], durability)
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()>;

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool>;

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<u64>;

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64>;

    fn flush(&self) -> StoreResult<()> {
        Ok(())
    }

    fn wait_idle(&self) -> StoreResult<()> {
        Ok(())
    }

    fn compact(&self) -> StoreResult<()> {
        Ok(())
    }

    /// How many tables there are, and their bytes; nothing where there are none or none can be told.
    fn tables(&self) -> Option<(u64, u64)> {
        None
    }

    fn close(self) -> StoreResult<()>
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// A peer whose writes are counted.
pub(crate) struct Counted<P> {
    peer: P,
    tally: Tally,
}

impl<P: Peer + 'static> Counted<P> {
    /// Counts from now on.
    pub(crate) fn store(peer: P) -> Box<dyn Store> {
        Box::new(Counted { peer, tally: Tally::begin() })
    }
}

impl<P: Peer> Store for Counted<P> {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        self.tally.add(key, Some(value));
        self.peer.put(key, value, durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        self.tally.add(key, None);
        self.peer.delete(key, durability)
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        self.tally.add_all(writes);
        self.peer.write_batch(writes, durability)
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        self.peer.get(key, visit)
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        self.peer.scan_from(from, count, visit).map(|shown| shown as usize)
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        self.peer.scan_all(direction, visit)
    }

    fn flush(&self) -> StoreResult<()> {
        self.peer.flush()
    }

    fn wait_idle(&self) -> StoreResult<()> {
        self.peer.wait_idle()
    }

    fn compact(&self) -> StoreResult<()> {
        self.peer.compact()
    }

    fn stats(&self) -> StoreStats {
        let (tables, table_bytes) = self.peer.tables().unzip();
        StoreStats { tables, table_bytes, ..self.tally.stats() }
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        self.peer.close()
    }
}

/// A peer's own error with the operation that it came from.
pub(crate) fn named<T, E>(operation: &'static str, result: Result<T, E>) -> StoreResult<T>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    result.map_err(|error| StoreError::new(operation, error))
}

/// The time between two looks at a peer that does not say when its background work is done.
#[cfg(any(feature = "fjall", feature = "leveldb"))]
#[expect(clippy::disallowed_methods, reason = "a peer that can only be polled")]
pub(crate) fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(2));
}
