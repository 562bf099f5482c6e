//! Drives a compaction policy over the metadata of a large tree, to see what it would cost.
//!
//! The policy is the very [`CompactionPicker`](terrace_compaction::CompactionPicker) that an engine runs. There are no data: a table is its
//! description and the share of the keys in its range that it holds, and a merge is arithmetic on these shares. So a petabyte takes seconds,
//! and two runs agree to the last digit. This crate never does I/O, reads no clock and draws no random numbers but the
//! sizes of memtables, from a seed, if they are to differ.
//!
//! # Example: your own policy in the laboratory
//!
//! ```
//! use terrace_compaction::{CompactionPicker, PickContext, Plan, Shape};
//! use terrace_simulator::{Study, Experiment};
//!
//! /// Merges everything whenever there are as many runs as it bears.
//! #[derive(Debug)]
//! struct Heap { runs_max: usize }
//!
//! impl CompactionPicker for Heap {
//!     fn name(&self) -> &'static str { "heap" }
//!     fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
//!         let due = shape.runs().count() > self.runs_max && context.busy.is_empty() && context.tasks_max > 0;
//!         let tasks = due.then(|| shape.full_merge(64 << 20)).flatten().into_iter().collect();
//!         Plan { tasks, ..Plan::default() }
//!     }
//! }
//!
//! let experiment = Experiment { data_bytes: 3_000_000_000, ..Experiment::default() };
//! let findings = Study { experiment, ..Study::default() }.run(|_scale| Box::new(Heap { runs_max: 8 })).unwrap();
//! // Each eight memtables of 64 MiB everything is written anew.
//! assert!((6.0..8.0).contains(&findings.write_amplification), "{}", findings.write_amplification);
//! assert!(findings.reads.runs < 9.0);
//! ```
//!
//! # What is modelled, and what is not
//!
//! *Keys* lie evenly over all numbers, in classes of equal popularity; a table holds a random share of each class. So hot keys
//! may be anywhere, and no range is hotter than another. *Time* is that of the device's bytes and of the pressure on writers ([`Experiment`] tells
//! how); processors and seeks are not in it, and of a cache only the share of blocks that it is said to hold. *Filters* err as their formula says ([`ReadCost`]). There are no snapshots and no compression.
//! *Large trees* are scaled ([`Study`] tells how, and reports say so).
//!
//! # Features
//!
//! * `stock` (default): the stock policies by name ([`stock`]), and the program `terrace-sim`.
//! * `advise` (default): what a trace asks for, played against every policy ([`advise`]), and the program `terrace-advise`.
//!
//! # Papers
//!
//! Dayan, Athanassoulis and Idreos, "Monkey", SIGMOD 2017, for the cost of reads. Dayan and Idreos, "Dostoevsky", SIGMOD 2018, for that of writes. Huynh et
//! al., "Endure", VLDB 2022, for both.
#![forbid(unsafe_code)]

#[cfg(feature = "advise")]
pub mod advise;
mod content;
mod device;
mod experiment;
mod page;
mod reads;
mod report;
mod schedule;
#[cfg(feature = "stock")]
pub mod stock;
mod study;
mod tree;
mod workload;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

pub use device::Controls;
pub use experiment::{Experiment, Outcome, Sample, Traffic};
pub use page::page;
pub use reads::{ReadCost, filter_false_positives};
pub use report::{
    LEGEND, Report, bytes_from_text, bytes_text, course, heading, json_lines, seconds_text, stalls, summary,
};
pub use schedule::{Delays, Schedule};
pub use study::{Findings, Study};
pub use tree::SimulateError;
pub use workload::Workload;
