//! Recording: what is asked of the database, sampled, into a file.
//!
//! While no trace is taken an operation pays one relaxed load. While one is, an operation hashes its key, and if the key is in the sample leaves what
//! there is to say in a buffer of its thread; it never waits. When a buffer is half full a job of the executor takes all of them away, puts them
//! in order of time, gives keys their places and appends to the file. Where buffers are full before it comes, operations are left out and
//! counted. A failure to write ends the trace and not the database; [`Engine::stop_trace`] tells it.
//!
//! What a trace holds, and what sampling loses: `terrace-trace`.

use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use terrace_entry::Kind;
use terrace_trace::{Facts, Header, Operation, Places, Record, Sampling, TraceWriter, key_hash};
use terrace_vfs::{CreateOptions, WriteFile};

use crate::batch::{KeyspaceId, OpReader, Ops};
use crate::seam::clock::Clock;
use crate::seam::executor::{Executor, Lane, Step};
use crate::shared::Shared;
use crate::stats::shard_of_thread;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwap, Mutex, MutexGuard, PoisonError, thread};
use crate::{Engine, Error, Parts, Result};

/// Threads share so many buffers.
const BUFFERS: usize = 8;

/// How a trace is taken. Plain data with documented defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceOptions {
    /// The share of all keys whose operations are recorded, from 0 to 1. Default 1.
    pub rate: f64,
    /// Seed of the hash of keys. Two traces with one seed can be compared key by key. Default 0.
    pub hash_seed: u64,
    /// Operations that one buffer holds (there are eight, of some 40 bytes and a key for each); what comes when it is full is left out.
    /// Default 8192.
    pub buffer_operations: usize,
}

impl Default for TraceOptions {
    fn default() -> Self {
        TraceOptions { rate: 1.0, hash_seed: 0, buffer_operations: 8192 }
    }
}

/// What a trace that has ended holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceSummary {
    /// Operations in the file.
    pub operations: u64,
    /// Operations that were in the sample and are not in the file: buffers were full.
    pub dropped: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// The trace that a database takes, if any.
pub(crate) struct Tracer {
    on: AtomicBool,
    recorder: ArcSwap<Option<Arc<Recorder>>>,
    /// Held by whoever starts or stops a trace.
    changing: Mutex<()>,
}

impl Default for Tracer {
    fn default() -> Self {
        Tracer { on: AtomicBool::new(false), recorder: ArcSwap::from_pointee(None), changing: Mutex::new(()) }
    }
}

impl Tracer {
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Arc<Recorder>> {
        self.on.store(false, Ordering::Relaxed);
        let recorder = (*self.recorder.load_full()).clone();
        self.recorder.store(Arc::new(None));
        recorder
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operation before its key has a place.
struct Raw {
    at: Duration,
    operation: Operation,
    key_hash: u64,
    keyspace: KeyspaceId,
    key_bytes: u32,
}

#[derive(Default)]
struct Buffer {
    operations: Vec<Raw>,
    /// Their keys, one after the other.
    keys: Vec<u8>,
}

/// A buffer whose lock nobody waits for: whoever finds it taken goes on.
#[derive(Default)]
struct Slot {
    taken: AtomicBool,
    buffer: Mutex<Buffer>,
}

impl Slot {
    fn try_with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> Option<T> {
        if self.taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let done = work(&mut locked(&self.buffer));
        self.taken.store(false, Ordering::Release);
        Some(done)
    }
}

/// Where records go, in order.
struct Sink {
    writer: Option<TraceWriter>,
    file: Box<dyn WriteFile>,
    places: Places,
    operations: u64,
    dropped: u64,
    failure: Option<Error>,
}

/// A trace under way.
pub(crate) struct Recorder {
    sampling: Sampling,
    hash_seed: u64,
    operations_max: usize,
    clock: Arc<dyn Clock>,
    executor: Arc<dyn Executor>,
    start: Duration,
    slots: [Slot; BUFFERS],
    dropped: AtomicU64,
    /// Whether a job that empties the buffers is on its way.
    draining: AtomicBool,
    sink: Mutex<Sink>,
}

impl Recorder {
    /// The hash of a key, if it is in the sample.
    #[inline]
    fn sampled(&self, keyspace: KeyspaceId, key: &[u8]) -> Option<u64> {
        let hash = key_hash(self.hash_seed.wrapping_add(u64::from(keyspace.0)), key);
        self.sampling.takes(hash).then_some(hash)
    }

    fn record(self: &Arc<Self>, keyspace: KeyspaceId, key: &[u8], key_hash: u64, operation: Operation) {
        let at = self.clock.now().saturating_sub(self.start);
        let key_bytes = key.len() as u32;
        let first = shard_of_thread();
        for slot in 0..BUFFERS {
            let pushed = self.slots[(first + slot) % BUFFERS].try_with(|buffer| {
                let full = buffer.operations.len() >= self.operations_max;
                if !full {
                    buffer.operations.push(Raw { at, operation, key_hash, keyspace, key_bytes });
                    buffer.keys.extend_from_slice(key);
                }
                (!full, 2 * buffer.operations.len() >= self.operations_max)
            });
            let Some((pushed, want_drain)) = pushed else { continue };
            if !pushed {
                break;
            }
            if want_drain && !self.draining.swap(true, Ordering::Relaxed) {
                let recorder = Arc::clone(self);
                self.executor.spawn(
                    Lane::Maintenance,
                    Box::new(move || {
                        recorder.draining.store(false, Ordering::Relaxed);
                        recorder.drain();
                        Step::Done
                    }),
                );
            }
            return;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes away what is in the buffers, and appends it to the file.
    fn drain(&self) {
        let mut sink = locked(&self.sink);
        let mut taken: Vec<(Raw, Vec<u8>)> = Vec::new();
        for slot in &self.slots {
            let buffer = loop {
                // An operation holds it for less than a microsecond.
                match slot.try_with(std::mem::take) {
                    Some(buffer) => break buffer,
                    None => thread::yield_now(),
                }
            };
            let mut keys = buffer.keys.as_slice();
            for raw in buffer.operations {
                let (key, rest) = keys.split_at(raw.key_bytes as usize);
                keys = rest;
                // In one order, keys of a keyspace lie side by side.
                let mut ordered = raw.keyspace.0.to_be_bytes().to_vec();
                ordered.extend_from_slice(key);
                taken.push((raw, ordered));
            }
        }
        taken.sort_by_key(|(raw, _)| raw.at);
        sink.append(taken, self.dropped.swap(0, Ordering::Relaxed));
    }

    /// Ends the trace in good order.
    fn finish(&self, facts: Facts) -> Result<TraceSummary> {
        self.drain();
        let mut sink = locked(&self.sink);
        if let Some(writer) = sink.writer.take() {
            let rest = writer.finish(facts);
            let stored = sink.file.append(&rest).and_then(|()| sink.file.sync());
            stored.unwrap_or_else(|error| sink.failure = Some(error.into()));
        }
        match &sink.failure {
            Some(error) => Err(error.clone()),
            None => Ok(TraceSummary {
                operations: sink.operations,
                dropped: sink.dropped,
                file_bytes: sink.file.offset(),
            }),
        }
    }
}

impl Sink {
    fn append(&mut self, taken: Vec<(Raw, Vec<u8>)>, dropped: u64) {
        let Some(writer) = &mut self.writer else { return };
        self.operations += taken.len() as u64;
        self.dropped += dropped;
        writer.add_dropped(dropped);
        for (raw, key) in taken {
            let Raw { operation, key_hash, key_bytes, .. } = raw;
            let (at_micros, place) = (raw.at.as_micros() as u64, self.places.of(&key));
            writer.add(&Record { at_micros, operation, key_hash, place, key_bytes });
        }
        writer.end_block();
        let ready = writer.take_ready();
        if let Err(error) = self.file.append(&ready) {
            tracing::warn!(%error, "the trace ends here: its file can not be written");
            self.failure = Some(error.into());
            self.writer = None;
        }
    }
}

/// A scan that is in the sample. It is recorded when it ends.
pub(crate) struct Scan {
    recorder: Arc<Recorder>,
    keyspace: KeyspaceId,
    key: Vec<u8>,
    key_hash: u64,
    steps: u32,
    begun: bool,
}

impl Scan {
    pub(crate) fn count(&mut self, moved: &Result<bool>) {
        self.begun = true;
        self.steps = self.steps.saturating_add(u32::from(matches!(moved, Ok(true))));
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        // An iterator that never moved has read nothing.
        if self.begun {
            let operation = Operation::Scan { steps: self.steps };
            self.recorder.record(self.keyspace, &self.key, self.key_hash, operation);
        }
    }
}

impl<P: Parts> Shared<P> {
    #[cold]
    /// `found`: the length of the value, or that there was none, or that the look-up failed.
    pub(crate) fn trace_get<E>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        found: core::result::Result<Option<usize>, E>,
    ) {
        let current = self.tracer.recorder.load();
        let Some(recorder) = &**current else { return };
        let operation = match found {
            Ok(Some(value_bytes)) => Operation::Get { value_bytes: value_bytes as u32 },
            Ok(None) => Operation::GetAbsent,
            Err(_) => return,
        };
        if let Some(hash) = recorder.sampled(keyspace, key) {
            recorder.record(keyspace, key, hash, operation);
        }
    }

    #[cold]
    pub(crate) fn trace_write(&self, ops: &Ops<'_>) {
        let current = self.tracer.recorder.load();
        let Some(recorder) = &**current else { return };
        let record = |keyspace, kind, key: &[u8], value: &[u8]| {
            let operation = match kind {
                Kind::Put => Operation::Put { value_bytes: value.len() as u32 },
                _ => Operation::Delete,
            };
            if let Some(hash) = recorder.sampled(keyspace, key) {
                recorder.record(keyspace, key, hash, operation);
            }
        };
        match *ops {
            Ops::One { keyspace: [keyspace], kind, key, value } => record(keyspace, kind, key, value),
            Ops::Encoded { bytes, .. } => {
                let mut reader = OpReader::new(bytes);
                while let Ok(Some(op)) = reader.next() {
                    record(op.keyspace, op.kind, op.key, op.value);
                }
            }
        }
    }

    #[cold]
    pub(crate) fn trace_scan(
        &self,
        keyspace: KeyspaceId,
        sought: Option<&[u8]>,
        lower: &Bound<Vec<u8>>,
    ) -> Option<Box<Scan>> {
        let current = self.tracer.recorder.load();
        let recorder = Option::clone(&current)?;
        let key = match (sought, lower) {
            (Some(key), _) => key.to_vec(),
            (None, Bound::Included(key) | Bound::Excluded(key)) => key.clone(),
            (None, Bound::Unbounded) => Vec::new(),
        };
        let key_hash = recorder.sampled(keyspace, &key)?;
        Some(Box::new(Scan { recorder, keyspace, key, key_hash, steps: 0, begun: false }))
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        for tree in self.trees.load().values() {
            for table in tree.view().version.tables() {
                facts.entries += table.meta.entries;
                facts.raw_bytes += table.meta.raw_bytes;
                facts.file_bytes += table.meta.file_bytes;
            }
        }
        facts
    }

    pub(crate) fn end_trace_on_closing(&self) {
        let _changing = locked(&self.tracer.changing);
        let Some(recorder) = self.tracer.take() else { return };
        // After a failed write or sync nothing more is written; the trace then has no end, and its reader says so.
        if self.failure().is_none()
            && let Err(error) = recorder.finish(self.facts())
        {
            tracing::warn!(%error, "the trace was not written to its end");
        }
    }
}

impl<P: Parts> Engine<P> {
    /// Begins to record what is asked of the database, in all keyspaces, into a new file (through the seam for files). It goes on until [`Engine::stop_trace`]
    /// or until the database is closed.
    ///
    /// An operation whose key is not in the sample pays for one hash of its key; one that is, for a copy of the key besides. None ever waits for
    /// the trace.
    ///
    /// ```
    /// # #[cfg(feature = "preset")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = terrace::Db::open(dir.path().join("db"))?;
    /// let path = dir.path().join("week.trace");
    /// db.start_trace(&path, terrace::TraceOptions::default())?;
    /// db.put("k", "v")?;
    /// db.get("k")?;
    /// assert_eq!(db.stop_trace()?.operations, 2);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "preset"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when a trace is being taken already, or the rate is none; [`Error::Closed`]; or [`Error::Io`], also when there is a file of that name.
    pub fn start_trace(&self, path: impl AsRef<Path>, options: TraceOptions) -> Result<()> {
        let shared = self.shared();
        shared.check_open()?;
        if !(options.rate > 0.0 && options.rate <= 1.0) || options.buffer_operations == 0 {
            let what = "a trace needs a rate above 0 and at most 1, and a buffer that holds something";
            return Err(Error::InvalidArgument(what.to_owned()));
        }
        let _changing = locked(&shared.tracer.changing);
        if shared.tracer.recorder.load().is_some() {
            return Err(Error::InvalidArgument("a trace is being taken already".to_owned()));
        }
        let header = Header {
            hash_seed: options.hash_seed,
            sampling: Sampling::of_rate(options.rate),
            start_unix_micros: shared.clock.unix_seconds().saturating_mul(1_000_000),
            facts: shared.facts(),
        };
        let mut writer = TraceWriter::new(&header);
        let mut file = shared.vfs.create(path.as_ref(), CreateOptions::default())?;
        file.append(&writer.take_ready())?;
        let recorder = Recorder {
            sampling: header.sampling,
            hash_seed: options.hash_seed,
            operations_max: options.buffer_operations,
            clock: Arc::clone(&shared.clock),
            executor: Arc::clone(&shared.executor),
            start: shared.clock.now(),
            slots: Default::default(),
            dropped: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            sink: Mutex::new(Sink {
                writer: Some(writer),
                file,
                places: Places::default(),
                operations: 0,
                dropped: 0,
                failure: None,
            }),
        };
        shared.tracer.recorder.store(Arc::new(Some(Arc::new(recorder))));
        shared.tracer.on.store(true, Ordering::Relaxed);
        // Closing may have passed by in between.
        if shared.is_closed() {
            shared.tracer.take();
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Ends the trace, makes it durable, and says what is in it. Operations that run at this moment may be missing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when none is being taken; [`Error::Io`] when it could not be written, which has done no harm to the database.
    pub fn stop_trace(&self) -> Result<TraceSummary> {
        let shared = self.shared();
        let _changing = locked(&shared.tracer.changing);
        let Some(recorder) = shared.tracer.take() else {
            return Err(Error::InvalidArgument("no trace is being taken".to_owned()));
        };
        recorder.finish(shared.facts())
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("steps", &self.steps).finish()
    }
}
