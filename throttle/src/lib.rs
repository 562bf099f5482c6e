//! What writers pay when compaction is behind, and how fast compaction may go.
//!
//! Two decisions, both as pure functions of a description of the [`Load`]: [`Throttle`] says what a byte costs a writer and whether writers must
//! stop; [`Limiter`] says how many bytes a second compaction may write. This crate never waits, reads no clock, starts no
//! thread and draws no random number, so that the same throttle slows the writers of an engine and of a simulator.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "ramp")] {
//! use terrace_throttle::{Load, RampThrottle, Throttle};
//!
//! let throttle = RampThrottle;
//! let load = Load { pressure: 0.8, absorbed_per_second: Some(50e6), working: true, ..Load::default() };
//! let charge = throttle.charge(&load);
//! // Four times what it costs compaction to absorb a byte: 100 bytes pay 8 microseconds.
//! assert!((charge.seconds_per_byte * 100.0 - 8e-6).abs() < 1e-12);
//! # }
//! ```
//!
//! # How an engine charges
//!
//! It asks whenever the load changes (a memtable is sealed, a flush or a merge is done) and keeps the answer in two relaxed atomics. Each write adds
//! bytes times charge to one clock for all writers, *paid until*, and waits for it if that is later than now. So what writers are slowed to
//! does not depend on how many there are or how large their writes, and a writer slower than the charge waits for nothing.
//!
//! # Your own
//!
//! Implement [`Throttle`] or [`Limiter`]; `examples/own_throttle.rs` is one in a few lines. Then turn on the feature `testing` for your tests and call
//! `testing::check_throttle(&yours, seed, steps)` or `testing::check_limiter`: they try the laws on random loads, extreme ones among them, and say
//! which one is broken. `terrace-simulator` tells what it does to writers.
//!
//! # Features
//!
//! Throttles: `ramp` (default), `plain`, `priced`. Limiters: `rising` (default), `steady`, `adaptive`, `courteous`. `testing`: the conformance
//! suites. Without any, the crate is the traits and their words.
//!
//! # Sources
//!
//! Luo and Carey, "On performance stability in LSM-based storage systems", VLDB 2019: a stall is a matter of how work is spread over time. Balmau
//! et al., "SILK", USENIX ATC 2019: flushes before level 0 before deeper levels, and compaction in the troughs of the users' load. RocksDB's
//! write controller and its auto-tuned rate limiter.
#![forbid(unsafe_code)]

#[cfg(feature = "adaptive")]
mod adaptive;
#[cfg(feature = "courteous")]
mod courteous;
mod hours;
#[cfg(feature = "plain")]
mod plain;
#[cfg(any(feature = "ramp", feature = "priced"))]
mod price;
#[cfg(feature = "priced")]
mod priced;
#[cfg(feature = "ramp")]
mod ramp;
#[cfg(feature = "rising")]
mod rising;
#[cfg(feature = "steady")]
mod steady;
pub mod stock;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(all(doctest, feature = "ramp"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

use core::fmt::Debug;

#[cfg(feature = "adaptive")]
pub use adaptive::AdaptiveLimiter;
#[cfg(feature = "courteous")]
pub use courteous::CourteousLimiter;
pub use hours::{InQuietHours, QuietHours};
#[cfg(feature = "plain")]
pub use plain::PlainThrottle;
#[cfg(feature = "priced")]
pub use priced::PricedThrottle;
#[cfg(feature = "ramp")]
pub use ramp::RampThrottle;
#[cfg(feature = "rising")]
pub use rising::RisingLimiter;
#[cfg(feature = "steady")]
pub use steady::SteadyLimiter;

/// How busy a database is. Plain data; the default is a database at ease. All numbers are finite and none is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// How far compaction is behind, as the compaction policy says: 0 at ease, 1 and above where it wants writers to stop.
    pub pressure: f64,
    /// Bytes that must be merged before the policy is at ease.
    pub debt_bytes: u64,
    /// Sorted runs in level 0, where flushes arrive.
    pub level0_runs: usize,
    /// Sealed memtables that wait for their flush.
    pub sealed: usize,
    /// As many of them as there may be: with one more, writers have no memtable left to write to. 0 where that is not known.
    pub sealed_max: usize,
    /// Whether any flush or compaction is running or about to.
    pub working: bool,
    /// Bytes of users that compaction takes in within a second of work, all its threads together, as measured; `None` before that.
    pub absorbed_per_second: Option<f64>,
    /// Bytes of inputs that compaction reads and writes anew within a second of work, all its threads together, as measured.
    pub merged_per_second: Option<f64>,
    /// Reads and writes of users in a second, lately.
    pub user_operations_per_second: f64,
    /// Seconds since the Unix epoch.
    pub unix_seconds: u64,
}

impl Load {
    /// What compaction is taken to absorb before anything was measured.
    pub const ABSORBED_AT_FIRST: f64 = 64e6;
    /// What it is taken to merge before anything was measured.
    pub const MERGED_AT_FIRST: f64 = 128e6;

    /// What a byte of a user costs compaction, in seconds.
    #[must_use]
    pub fn absorb_seconds_per_byte(&self) -> f64 {
        1.0 / self.absorbed_per_second.unwrap_or(Self::ABSORBED_AT_FIRST).max(1.0)
    }

    /// How long compaction has to work for what is ahead of it, in seconds.
    #[must_use]
    pub fn debt_seconds(&self) -> f64 {
        self.debt_bytes as f64 / self.merged_per_second.unwrap_or(Self::MERGED_AT_FIRST).max(1.0)
    }
}

/// What a throttle answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// What a byte costs writers, all of them together, in seconds. 0: they go as fast as they can.
    pub seconds_per_byte: f64,
    /// Whether writers must wait until the load has changed.
    pub stop: bool,
}

/// What writers pay: from the load to a charge.
///
/// # Laws for implementers
///
/// 1. Pure: equal loads give equal charges.
/// 2. The charge is finite and not negative.
/// 3. At ease (the default load) nothing is charged and nobody stops.
/// 4. Neither falls, when one of pressure, debt, runs in level 0 and sealed memtables rises and nothing else changes: a charge becomes no smaller, and a stop no go.
/// 5. Progress: nobody is stopped while nothing works, for then the load would never change.
///
/// # Cost
///
/// Asked some times for each memtable, and never by a write. The limits that memory sets are not the throttle's business: an engine stops
/// writers by itself when there is no room.
pub trait Throttle: Debug + Send + Sync + 'static {
    /// The name used on command lines and in reports.
    fn name(&self) -> &'static str;

    /// What writers pay under this load.
    fn charge(&self, load: &Load) -> Charge;
}

/// What a limiter remembers, held by whoever asks: how it went since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Since {
    /// Its last answer; `None` also when it was never asked.
    pub rate: Option<f64>,
    /// Time since then, in seconds.
    pub seconds: f64,
    /// The share of it that compaction was held back, from 0 to 1.
    pub held_share: f64,
}

/// How fast compaction may go: from the load to bytes a second.
///
/// # Laws for implementers
///
/// 1. Pure: equal arguments give equal rates. What it must remember is in [`Since`].
/// 2. A rate is finite and at least one byte a second.
/// 3. The rate does not fall when the pressure rises and nothing else changes; no limit counts as the highest rate.
/// 4. At a pressure of 1 there is no limit: writers stand still and wait for compaction.
///
/// # Cost
///
/// Asked some times a second.
pub trait Limiter: Debug + Send + Sync + 'static {
    /// The name used on command lines and in reports.
    fn name(&self) -> &'static str;

    /// Bytes a second that all merges together may write from now on; `None` for no limit.
    fn rate(&self, load: &Load, since: &Since) -> Option<f64>;
}

impl<T: Throttle + ?Sized> Throttle for Box<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn charge(&self, load: &Load) -> Charge {
        (**self).charge(load)
    }
}

impl<T: Limiter + ?Sized> Limiter for Box<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn rate(&self, load: &Load, since: &Since) -> Option<f64> {
        (**self).rate(load, since)
    }
}
