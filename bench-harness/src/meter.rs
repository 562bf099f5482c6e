//! Meters: time, latency, processor time, memory, progress.
//!
//! The harness is where real time is wanted; it never passes it into an engine.

mod latency;
mod os;
mod progress;
mod raw_sync;

use std::time::Instant;

pub use latency::Latency;
pub use os::{Machine, Usage, folder_bytes, written_bytes};
pub use progress::Progress;
pub use raw_sync::{bare_rounds, raw_sync};

/// The time of the system's steady clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch measures real time; nothing that it reads reaches an engine"
)]
pub fn now() -> Instant {
    Instant::now()
}
