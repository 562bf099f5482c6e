//! Progress on standard error while something runs: at most once a second, with the time that is left.
//!
//! Clients add what they have done in steps of some dozens; whoever finds a second gone prints. No thread of its own: it would take
//! processor time from a store on a small machine.

use crate::meter;
use crate::meter::Instant;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);

/// Shows how far a run is; or nothing at all, when quiet.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    terminal: bool,
    begun: Instant,
    done: AtomicU64,
    total: AtomicU64,
    /// Milliseconds after `begun` before which nothing is printed.
    next_print_millis: AtomicU64,
    label: Mutex<Label>,
}

#[derive(Debug, Default)]
struct Label {
    heading: String,
    stage: String,
    /// When the stage began.
    since: Option<Instant>,
    printed: bool,
}

impl Progress {
    /// Shows progress unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Progress {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            begun: meter::now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            next_print_millis: AtomicU64::new(PERIOD.as_millis() as u64),
            label: Mutex::default(),
        }
    }

    /// What the coming stages belong to: a combination of parts, and which of how many.
    pub fn heading(&self, heading: impl Into<String>) {
        self.label.lock().unwrap_or_else(PoisonError::into_inner).heading = heading.into();
    }

    /// A stage of `total` steps begins.
    pub fn begin(&self, stage: &str, total: u64) {
        let mut label = self.label.lock().unwrap_or_else(PoisonError::into_inner);
        stage.clone_into(&mut label.stage);
        label.since = Some(meter::now());
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many more steps are done. From any thread; a few nanoseconds, and once a second a line.
    pub fn add(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if self.quiet {
            return;
        }
        let now_millis = self.begun.elapsed().as_millis() as u64;
        let due = self.next_print_millis.load(Ordering::Relaxed);
        let next = now_millis + PERIOD.as_millis() as u64;
        let mine = now_millis >= due
            && self
                .next_print_millis
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            self.print(done);
        }
    }

    /// The stage is over; its line is cleared from a terminal.
    pub fn end(&self) {
        let mut label = self.label.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut label.printed) && self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn print(&self, done: u64) {
        let mut label = self.label.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = label.since.map_or(Duration::ZERO, |since| since.elapsed());
        let line = line(&label.heading, &label.stage, done, self.total.load(Ordering::Relaxed), elapsed);
        label.printed = true;
        // A closed standard error is no reason to stop measuring.
        let _ = match self.terminal {
            true => write!(std::io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
    }
}

fn line(heading: &str, stage: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = if done == 0 { 0.0 } else { total.saturating_sub(done) as f64 / rate };
    let gap = if heading.is_empty() { "" } else { "  " };
    format!(
        "{heading}{gap}{stage}: {:.0} % ({done} of {total}), {rate:.0}/s, {left:.0} s left",
        share * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_rate_and_time_left() {
        assert_eq!(
            line("[1/2] skiplist", "load", 250, 1000, Duration::from_secs(5)),
            "[1/2] skiplist  load: 25 % (250 of 1000), 50/s, 15 s left"
        );
        assert_eq!(line("", "x", 0, 0, Duration::ZERO), "x: 100 % (0 of 0), 0/s, 0 s left");
    }

    #[test]
    fn quiet_progress_still_counts() {
        let progress = Progress::new(true);
        progress.begin("x", 10);
        progress.add(3);
        progress.add(4);
        assert_eq!(progress.done.load(Ordering::Relaxed), 7);
    }
}
