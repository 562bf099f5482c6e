//! Workloads, meters and reports for storage engines: one harness for every combination of parts, and for peers.
//!
//! This crate never trusts a store: every value that a run reads is checked against what was written, and a wrong answer ends the run. It
//! never compares stores under different settings: one [`Settings`](store::Settings) goes to all.
//!
//! # Example
//!
//! ```
//! use terrace_bench::meter::Progress;
//! use terrace_bench::store::{MemoryFactory, Settings, StoreFactory};
//! use terrace_bench::workload::{Config, Session, Workload, load, run};
//!
//! let config = Config { records: 1000, ops: 500, ..Config::default() };
//! let store = MemoryFactory::default().open("unused".as_ref(), &Settings::default())?;
//! let progress = Progress::new(true);
//! let mut session = Session::new(&config, Workload::YcsbA)?;
//! load(&mut session, &*store, &progress)?;
//! let outcome = run(&mut session, &*store, Workload::YcsbA, &progress)?;
//! assert_eq!(outcome.ops, 500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Your own store
//!
//! Implement [`store::Store`] and [`store::StoreFactory`] and give the factory to [`lifecycle::check`] (every pair of a data set written,
//! read, scanned, and found again after reopening) and to [`workload::run`].
//!
//! # What a figure means
//!
//! A measured run begins at rest (see [`workload::load`]); latency is the store's alone, throughput holds the checking of each answer (some
//! 20 ns a record, alike for every store), except in whole scans, which are checked by a further pass that no figure holds; amplifications
//! are read at rest after the run; clients are closed-loop, so a stall shows in p99.9, the maximum and the stall time rather than in a growing
//! queue.
#![forbid(unsafe_code)]

pub mod agree;
pub mod cli;
pub mod datafile;
mod given;
mod kill;
pub mod ledger;
pub mod lifecycle;
mod matrix;
pub mod meter;
pub mod mixgraph;
mod page;
pub mod random;
pub mod realdata;
pub mod record;
pub mod replay;
pub mod report;
mod runs;
pub mod store;
mod versus;
pub mod workload;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

/// The examples of the repository's README; they use the engine, which this crate sees and the workspace root is not.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct RootReadmeDoctests;
