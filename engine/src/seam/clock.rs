//! Time: the one door through which it enters a database.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Tells the time and waits.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Seconds since the Unix epoch; may go back when somebody sets the clock.
    fn unix_seconds(&self) -> u64;

    /// Waits in the calling thread.
    fn sleep(&self, duration: Duration);
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam for time")]
    pub fn new() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam for time")]
    fn unix_seconds(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam for time")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that stands still until somebody sleeps or moves it: time for simulations.
#[derive(Debug, Default)]
pub struct SimClock {
    nanos: AtomicU64,
    set_back_seconds: AtomicU64,
}

impl SimClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        SimClock::default()
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Sets the wall clock back, as a person or a time server may: [`Clock::unix_seconds`] then says less than before, and [`Clock::now`] goes on.
    pub fn set_back(&self, by: Duration) {
        self.set_back_seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn unix_seconds(&self) -> u64 {
        (1_700_000_000 + self.now().as_secs()).saturating_sub(self.set_back_seconds.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
