//! A device with a limit: how running tasks share it, and how a limiter holds them back.

use core::fmt::Debug;
use terrace_throttle::{Limiter, Load, RampThrottle, Since, Throttle};

use crate::tree::Running;

/// What is done when compaction falls behind, as an engine does it; for a device with a limit.
#[derive(Clone, Copy, Debug)]
pub struct Controls<'a> {
    /// What writers pay.
    pub throttle: &'a dyn Throttle,
    /// How fast merges may write; `None` for as fast as the device lets them.
    pub limiter: Option<&'a dyn Limiter>,
}

impl Default for Controls<'static> {
    /// As the engine without options: the ramp, and no limiter.
    fn default() -> Self {
        Controls { throttle: &RampThrottle, limiter: None }
    }
}

/// While runs of level 0 go first, so much of the device is left to deeper tasks.
const DEEPER_SHARE_MIN: f64 = 0.05;

/// How running tasks share the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// The most tasks at once, among which a limiter's rate is divided.
    pub(crate) jobs: usize,
    /// Whether tasks that take from level 0 go first.
    pub(crate) level0_first: bool,
}

impl Sharing {
    /// For each task the bytes a second that it reads and writes of `device`, and what it would without a limit.
    pub(crate) fn speeds(
        self,
        device: f64,
        running: &[(Running, f64)],
        limit: Option<f64>,
    ) -> Vec<(f64, f64)> {
        let caps: Vec<f64> = running.iter().map(|(task, _)| self.cap(task, limit)).collect();
        let limited = self.divided(device, running, &caps);
        let free = match limit {
            None => limited.clone(),
            Some(_) => self.divided(device, running, &vec![f64::INFINITY; running.len()]),
        };
        limited.into_iter().zip(free).collect()
    }

    /// What a task may read and write when it may write its part of the limit.
    fn cap(self, task: &Running, limit: Option<f64>) -> f64 {
        let of_one = limit.map_or(f64::INFINITY, |limit| limit / self.jobs.max(1) as f64);
        let bytes = (task.read_bytes + task.written_bytes) as f64;
        if task.written_bytes == 0 { f64::INFINITY } else { of_one * bytes / task.written_bytes as f64 }
    }

    fn divided(self, device: f64, running: &[(Running, f64)], caps: &[f64]) -> Vec<f64> {
        let is_first = |index: &usize| self.level0_first && running[*index].0.from_level0;
        let (first, others): (Vec<usize>, Vec<usize>) = (0..running.len()).partition(is_first);
        let mut speeds = vec![0.0; running.len()];
        let kept = if first.is_empty() || others.is_empty() { 0.0 } else { device * DEEPER_SHARE_MIN };
        let taken = divide(device - kept, first, caps, &mut speeds);
        divide(device - taken, others, caps, &mut speeds);
        speeds
    }
}

/// Divides bytes a second evenly among these, what one may not take being left to the others; how much is taken.
fn divide(bytes: f64, mut which: Vec<usize>, caps: &[f64], speeds: &mut [f64]) -> f64 {
    which.sort_by(|&a, &b| caps[a].total_cmp(&caps[b]));
    let (mut left, mut waiting) = (bytes, which.len());
    for index in which {
        speeds[index] = caps[index].min(left / waiting as f64);
        left -= speeds[index];
        waiting -= 1;
    }
    bytes - left
}

/// A limiter on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limit {
    since: Since,
    held_seconds: f64,
}

impl Limit {
    /// What the limiter allows now.
    pub(crate) fn ask(&mut self, limiter: &dyn Limiter, load: &Load) -> Option<f64> {
        if self.since.seconds > 0.0 {
            self.since.held_share = (self.held_seconds / self.since.seconds).min(1.0);
        }
        let rate = limiter.rate(load, &self.since);
        *self = Limit { since: Since { rate, ..Since::default() }, held_seconds: 0.0 };
        rate
    }

    /// So much time has passed, in this share of which compaction was held back.
    pub(crate) fn pass(&mut self, seconds: f64, held_share: f64) {
        self.since.seconds += seconds;
        self.held_seconds += seconds * held_share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_may_not_take_is_left_to_the_others() {
        let mut speeds = [0.0; 3];
        let taken = divide(90.0, vec![0, 1, 2], &[f64::INFINITY, 10.0, f64::INFINITY], &mut speeds);
        assert_eq!((speeds, taken), ([40.0, 10.0, 40.0], 90.0));
        assert_eq!(divide(90.0, vec![1], &[1.0, 10.0, 1.0], &mut speeds), 10.0);
        assert_eq!(divide(90.0, Vec::new(), &[], &mut speeds), 0.0);
    }
}
