//! Meters: time, latency, processor time, memory, progress.
//!
//! The harness is where real time is wanted; it never passes it into an engine.

mod latency;
mod os;
mod pauses;
mod progress;
mod raw_sync;

pub use latency::Latency;
pub use os::{Machine, Usage, folder_bytes, written_bytes};
pub use pauses::pauses_per_second;
pub use progress::Progress;
pub use quanta::Instant;
pub use raw_sync::{bare_rounds, raw_sync};

/// The time of the steady clock, from the processor's counter where that is steady: a reading stands in every latency, and by way of the system's
/// call it takes a seventh of a look-up of an absent key.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}
