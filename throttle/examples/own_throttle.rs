//! A throttle of one's own: it looks at the runs of level 0 alone and charges with their square, and the suite tells whether that is lawful.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use terrace_throttle::testing::check_throttle;
use terrace_throttle::{Charge, Load, RampThrottle, Throttle};

#[derive(Debug)]
struct Squared {
    /// Runs at which writers go as fast as compaction absorbs.
    runs_even: usize,
}

impl Throttle for Squared {
    fn name(&self) -> &'static str {
        "squared"
    }

    fn charge(&self, load: &Load) -> Charge {
        let times = (load.level0_runs as f64 / self.runs_even as f64).powi(2);
        // Few runs are how every policy works.
        let times = if times < 0.25 { 0.0 } else { times };
        let stop = load.working && load.pressure >= 1.0;
        Charge { seconds_per_byte: times * load.absorb_seconds_per_byte(), stop }
    }
}

fn main() {
    let squared = Squared { runs_even: 16 };
    check_throttle(&squared, 1, 10_000);
    println!("runs  {:>10}  {:>10}   MB/s at most", squared.name(), RampThrottle.name());
    for level0_runs in (0..=28).step_by(4) {
        // The stock leveled policy's pressure, roughly.
        let pressure = (level0_runs as f64 - 4.0).max(0.0) / 26.0;
        let load = Load { level0_runs, pressure, working: true, ..Load::default() };
        let pace = |charge: Charge| match charge.seconds_per_byte {
            0.0 => "any".to_owned(),
            seconds => format!("{:.0}", 1e-6 / seconds),
        };
        println!(
            "{level0_runs:>4}  {:>10}  {:>10}",
            pace(squared.charge(&load)),
            pace(RampThrottle.charge(&load))
        );
    }
}

#[test]
fn it_keeps_the_laws() {
    check_throttle(&Squared { runs_even: 16 }, 2, 10_000);
}
