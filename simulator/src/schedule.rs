//! Writers who keep to a schedule: a write is due at its time, whatever became of those before it. So what a stall delays is all that was due
//! meanwhile, and not only the writes that were under way when it began.

/// When writes are due: all of a period's in its first part, evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The length of a period, in seconds.
    pub every_seconds: f64,
    /// The share of it in which writes come, up to 1: then they come steadily.
    pub share: f64,
}

impl Schedule {
    /// Writes at an even rate.
    pub const STEADY: Schedule = Schedule { every_seconds: 3600.0, share: 1.0 };

    /// A quarter of each period at four times the mean rate, then nothing.
    #[must_use]
    pub fn bursts(every_seconds: f64) -> Self {
        Schedule { every_seconds, share: 0.25 }
    }

    fn sound(self) -> (f64, f64) {
        (self.every_seconds.max(1e-3), self.share.clamp(1e-3, 1.0))
    }

    /// Bytes a second that come at this moment, and how long that stays so; `mean` is the rate over a whole period.
    pub(crate) fn rate(self, mean: f64, seconds: f64) -> (f64, f64) {
        let (every, share) = self.sound();
        let into = seconds - (seconds / every).floor() * every;
        if into < share * every { (mean / share, share * every - into) } else { (0.0, every - into) }
    }

    /// Bytes that are due by this moment.
    pub(crate) fn due_bytes(self, mean: f64, seconds: f64) -> f64 {
        let (every, share) = self.sound();
        let periods = (seconds / every).floor();
        let into = (seconds - periods * every).min(share * every);
        mean * (periods * every + into / share)
    }

    /// When so many bytes are due.
    pub(crate) fn due_seconds(self, mean: f64, bytes: f64) -> f64 {
        let (every, share) = self.sound();
        let seconds = bytes / mean;
        let periods = (seconds / every).floor();
        periods * every + (seconds - periods * every) * share
    }
}

/// How late writes were: the time from when they were due until they were made, over all bytes written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delays {
    /// One half was no later than this, in seconds.
    pub p50_seconds: f64,
    /// All but one in a hundred.
    pub p99_seconds: f64,
    /// All but one in a thousand.
    pub p999_seconds: f64,
    /// The latest.
    pub max_seconds: f64,
}

/// Delays as they come: of how many bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Vec<(f64, f64)>);

/// A stretch of time is recorded in so many parts.
const PARTS: u32 = 8;

impl Recorder {
    /// `bytes` were written evenly while their delay went from one value to the other.
    pub(crate) fn record(&mut self, from: f64, to: f64, bytes: f64) {
        for part in 0..PARTS {
            let at = (f64::from(part) + 0.5) / f64::from(PARTS);
            self.0.push(((from + (to - from) * at).max(0.0), bytes / f64::from(PARTS)));
        }
    }

    pub(crate) fn delays(mut self) -> Delays {
        self.0.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = self.0.iter().map(|(_, bytes)| bytes).sum();
        let at = |share: f64| {
            let mut passed = 0.0;
            let found = self.0.iter().find(|(_, bytes)| {
                passed += bytes;
                passed >= total * share
            });
            found.or(self.0.last()).map_or(0.0, |(delay, _)| *delay)
        };
        Delays { p50_seconds: at(0.5), p99_seconds: at(0.99), p999_seconds: at(0.999), max_seconds: at(2.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_and_when_are_inverse_to_each_other() {
        for schedule in [Schedule::STEADY, Schedule::bursts(40.0)] {
            for bytes in [1.0, 399.0, 400.5, 7777.0] {
                let seconds = schedule.due_seconds(10.0, bytes);
                assert!((schedule.due_bytes(10.0, seconds) - bytes).abs() < 1e-6, "{schedule:?} {bytes}");
            }
        }
        let bursts = Schedule::bursts(40.0);
        assert_eq!((bursts.rate(10.0, 3.0), bursts.rate(10.0, 50.0)), ((40.0, 7.0), (0.0, 30.0)));
        assert_eq!(bursts.due_bytes(10.0, 30.0), 400.0);
    }

    #[test]
    fn percentiles_are_those_of_bytes() {
        let mut recorder = Recorder::default();
        recorder.record(0.0, 0.0, 995.0);
        recorder.record(2.0, 2.0, 4.5);
        recorder.record(9.0, 9.0, 0.5);
        let delays = recorder.delays();
        assert_eq!((delays.p50_seconds, delays.p99_seconds), (0.0, 0.0));
        assert_eq!((delays.p999_seconds, delays.max_seconds), (2.0, 9.0));
    }
}
