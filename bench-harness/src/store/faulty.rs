//! Stores that lie, each in one way: the harness's checks are tested by letting them catch each.

use crate::store::MemoryFactory;
use crate::store::{
    BatchWrite, Direction, Durability, MemoryStore, Parts, Settings, Store, StoreFactory, StoreResult,
    StoreStats, Visitor,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a store lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Forgets the write of this number.
    LosesWrite(u64),
    /// Flips a bit in each value read.
    FlipsBit,
    /// Answers any look-up of a missing key.
    InventsValue,
    /// Leaves out the last entry of each scan, and says so.
    EndsScansEarly,
    /// Leaves out the last entry of each scan, and counts it.
    OvercountsScans,
    /// Shows each entry of a scan twice.
    RepeatsEntries,
    /// Deletes nothing.
    KeepsDeleted,
    /// Forgets everything when it is closed.
    ForgetsOnClose,
}

#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Box<dyn Store>,
    lie: Lie,
    writes: Arc<AtomicU64>,
}

impl std::fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl FaultyStore {
    pub(crate) fn new(lie: Lie) -> Self {
        FaultyStore { inner: Box::new(MemoryStore::default()), lie, writes: Arc::default() }
    }

    fn loses_this(&self) -> bool {
        self.lie == Lie::LosesWrite(self.writes.fetch_add(1, Ordering::Relaxed))
    }
}

impl Store for FaultyStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        if self.loses_this() { Ok(()) } else { self.inner.put(key, value, durability) }
    }

    fn delete(&self, key: &[u8], durability: Durability) -> StoreResult<()> {
        if self.lie == Lie::KeepsDeleted { Ok(()) } else { self.inner.delete(key, durability) }
    }

    fn write_batch(&self, writes: &[BatchWrite<'_>], durability: Durability) -> StoreResult<()> {
        let kept: Vec<_> = writes.iter().copied().filter(|_| !self.loses_this()).collect();
        self.inner.write_batch(&kept, durability)
    }

    fn get(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> StoreResult<bool> {
        let lie = self.lie;
        let found = self.inner.get(key, &mut |value| {
            let mut value = value.to_vec();
            if let (Lie::FlipsBit, Some(last)) = (lie, value.last_mut()) {
                *last ^= 1;
            }
            visit(&value);
        })?;
        if !found && lie == Lie::InventsValue {
            visit(b"invented");
            return Ok(true);
        }
        Ok(found)
    }

    fn scan_from(&self, from: &[u8], count: usize, visit: &mut Visitor<'_>) -> StoreResult<usize> {
        match self.lie {
            Lie::EndsScansEarly => self.inner.scan_from(from, count.saturating_sub(1), visit),
            Lie::OvercountsScans => Ok(self.inner.scan_from(from, count.saturating_sub(1), visit)? + 1),
            Lie::RepeatsEntries => {
                let mut seen = 0;
                self.inner.scan_from(from, count, &mut |key, value| {
                    for _ in 0..2 {
                        visit(key, value);
                        seen += 1;
                    }
                })?;
                Ok(seen)
            }
            _ => self.inner.scan_from(from, count, visit),
        }
    }

    fn scan_all(&self, direction: Direction, visit: &mut Visitor<'_>) -> StoreResult<u64> {
        let count = self.inner.scan_all(direction, &mut |_, _| {})?;
        let shortens = matches!(self.lie, Lie::EndsScansEarly | Lie::OvercountsScans);
        let last = if shortens { count.saturating_sub(1) } else { count };
        let times = if self.lie == Lie::RepeatsEntries { 2 } else { 1 };
        let (mut met, mut seen) = (0, 0);
        self.inner.scan_all(direction, &mut |key, value| {
            if met < last {
                (0..times).for_each(|_| visit(key, value));
                seen += times;
            }
            met += 1;
        })?;
        Ok(if self.lie == Lie::OvercountsScans { count } else { seen })
    }

    fn flush(&self) -> StoreResult<()> {
        self.inner.flush()
    }

    fn wait_idle(&self) -> StoreResult<()> {
        self.inner.wait_idle()
    }

    fn compact(&self) -> StoreResult<()> {
        self.inner.compact()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> StoreResult<()> {
        self.inner.close()
    }
}

/// Opens [`FaultyStore`]s over one [`MemoryFactory`].
pub(crate) struct FaultyFactory {
    pub(crate) lie: Lie,
    inner: MemoryFactory,
    writes: Arc<AtomicU64>,
}

impl FaultyFactory {
    pub(crate) fn new(lie: Lie) -> Self {
        FaultyFactory { lie, inner: MemoryFactory::default(), writes: Arc::default() }
    }
}

impl StoreFactory for FaultyFactory {
    fn parts(&self) -> Parts {
        self.inner.parts()
    }

    fn open(&self, dir: &Path, settings: &Settings) -> StoreResult<Box<dyn Store>> {
        let dir = match self.lie {
            Lie::ForgetsOnClose => dir.join(self.writes.load(Ordering::Relaxed).to_string()),
            _ => dir.to_path_buf(),
        };
        let inner = self.inner.open(&dir, settings)?;
        Ok(Box::new(FaultyStore { inner, lie: self.lie, writes: Arc::clone(&self.writes) }))
    }
}
