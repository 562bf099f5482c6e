//! Stores that lie, each in one way: the harness's checks are tested by letting them catch each.

use crate::store::MemoryFactory;
use crate::store::{
    BatchWrite, Direction, Durability, MemoryStore, Parts, Settings, Store, StoreFactory, StoreResult,
    StoreStats, Visitor,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a store lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Not at all.
    Nothing,
    /// Forgets the write of this number.
    LosesWrite(u64),
    /// Shows a put when the next one comes, and not before.
    ShowsPutsLate,
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
    /// Flips a bit in the last value of the first whole scan, and in no other.
    ChangesFirstScan,
    /// Deletes nothing.
    KeepsDeleted,
    /// Forgets everything when it is closed.
    ForgetsOnClose,
}

pub(crate) struct FaultyStore {
    inner: Box<dyn Store>,
    lie: Lie,
    writes: Arc<AtomicU64>,
    scans: AtomicU64,
    /// The newest put, where it is shown late.
    late: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
    /// Called before each whole scan with its number.
    pub(crate) before_scan: Option<Box<dyn Fn(u64) + Send + Sync>>,
}

impl FaultyStore {
    pub(crate) fn new(lie: Lie) -> Self {
        Self::over(Box::new(MemoryStore::default()), lie, Arc::default())
    }

    fn over(inner: Box<dyn Store>, lie: Lie, writes: Arc<AtomicU64>) -> Self {
        FaultyStore {
            inner,
            lie,
            writes,
            scans: AtomicU64::new(0),
            late: Mutex::default(),
            before_scan: None,
        }
    }

    /// Shows the put that is late, and lets this one be late in its place.
    fn show_late(&self, next: Option<(Vec<u8>, Vec<u8>)>) -> StoreResult<()> {
        let late = std::mem::replace(&mut *self.late.lock().expect("no thread panics with it"), next);
        late.map_or(Ok(()), |(key, value)| self.inner.put(&key, &value, Durability::None))
    }

    fn loses_this(&self) -> bool {
        self.lie == Lie::LosesWrite(self.writes.fetch_add(1, Ordering::Relaxed))
    }
}

impl Store for FaultyStore {
    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> StoreResult<()> {
        if self.lie == Lie::ShowsPutsLate {
            return self.show_late(Some((key.to_vec(), value.to_vec())));
        }
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
        let scan = self.scans.fetch_add(1, Ordering::Relaxed);
        self.before_scan.iter().for_each(|notice| notice(scan));
        let count = self.inner.scan_all(direction, &mut |_, _| {})?;
        let shortens = matches!(self.lie, Lie::EndsScansEarly | Lie::OvercountsScans);
        let last = if shortens { count.saturating_sub(1) } else { count };
        let times = if self.lie == Lie::RepeatsEntries { 2 } else { 1 };
        let changes = self.lie == Lie::ChangesFirstScan && scan == 0;
        let (mut met, mut seen) = (0, 0);
        self.inner.scan_all(direction, &mut |key, value| {
            let mut value = value.to_vec();
            if changes && met + 1 == last {
                value[0] ^= 1;
            }
            if met < last {
                (0..times).for_each(|_| visit(key, &value));
                seen += times;
            }
            met += 1;
        })?;
        Ok(if self.lie == Lie::OvercountsScans { count } else { seen })
    }

    fn flush(&self) -> StoreResult<()> {
        self.show_late(None)?;
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
        Ok(Box::new(FaultyStore::over(inner, self.lie, Arc::clone(&self.writes))))
    }
}
