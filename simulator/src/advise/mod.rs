//! From a trace to advice: which policy, size ratio, filters and split of memory serve it best, and what they would cost.
//!
//! The trace is taken for a whole, smaller database ([`History`]): at a sampling rate of r all that counts keys (data, memtables, tables, caches) is r times
//! as large as in production. For each policy, size ratio and memtable the very picker keeps a tree of that history's keys, without values
//! ([`play()`]): so flushes, merges, tombstones and ascending keys cost what they would cost, and each look-up and scan names the tables and blocks that it
//! reads. From these follow a curve of cache misses for all sizes of a cache ([`MissCurve`]), and what filters would spare at each level, so that bits and cache are
//! tried without playing again. [`Advisor`] puts a price on everything ([`Prices`]) and sorts.
//!
//! # What it does not know
//!
//! The block cache is taken for LRU; the engine's (quick_cache) lets new blocks prove themselves first, and does better where scans or rarely used keys would
//! push out others. Values are not compressed, unless the trace says what tables took for their content. All background work is done between two writes, as on
//! a machine with time to spare: what stalls would cost is not in the price, but the merges that cause them are. There is one tree and no snapshots. A database that was there before
//! the trace is taken to hold its keys in one run, evenly among those of the trace.

mod advisor;
mod cache;
mod cost;
mod filters;
mod history;
mod mix;
mod play;
mod text;

pub use advisor::{Advice, Advisor, Choice, Prediction, Space};
pub use cache::MissCurve;
pub use cost::{Counts, Goal, Prices};
pub use filters::{FilterLevel, monkey_bits};
pub use history::{Ask, Event, History};
pub use mix::{Mix, PopularityClass, mix};
pub use play::{Played, TreeOptions, play};
pub use text::{advice_json, advice_text};
