//! The conformance suites for [`Throttle`] and [`Limiter`], this crate's and yours. They panic with the law that is broken, as tests do.

use crate::{Limiter, Load, Since, Throttle};

/// Checks the laws of [`Throttle`] on `steps` random loads drawn from `seed`, extreme ones among them.
///
/// # Panics
///
/// Naming the law and the load.
pub fn check_throttle(throttle: &dyn Throttle, seed: u64, steps: usize) {
    assert!(!throttle.name().is_empty(), "a throttle has a name");
    let at_ease = throttle.charge(&Load::default());
    assert!(at_ease.seconds_per_byte == 0.0 && !at_ease.stop, "law 3: at ease it answers {at_ease:?}");
    let mut random = Random(seed);
    for _ in 0..steps {
        let load = random.load();
        let charge = throttle.charge(&load);
        assert_eq!(charge, throttle.charge(&load), "law 1: equal loads, other charges: {load:?}");
        let seconds = charge.seconds_per_byte;
        assert!(seconds.is_finite() && seconds >= 0.0, "law 2: it charges {seconds} under {load:?}");
        assert!(load.working || !charge.stop, "law 5: it stops writers while nothing works: {load:?}");
        for heavier in random.heavier(&load) {
            let more = throttle.charge(&heavier);
            let falls = more.seconds_per_byte < seconds || (charge.stop && !more.stop);
            assert!(!falls, "law 4: from {charge:?} to {more:?}, as {load:?} became {heavier:?}");
        }
    }
}

/// Checks the laws of [`Limiter`] on `steps` random loads drawn from `seed`, extreme ones among them.
///
/// # Panics
///
/// Naming the law and the load.
pub fn check_limiter(limiter: &dyn Limiter, seed: u64, steps: usize) {
    assert!(!limiter.name().is_empty(), "a limiter has a name");
    let mut random = Random(seed);
    let mut rate = None;
    for _ in 0..steps {
        let load = random.load();
        let seconds = random.amount(100.0);
        let since = Since { rate, seconds, held_share: random.share() };
        rate = limiter.rate(&load, &since);
        assert_eq!(
            rate,
            limiter.rate(&load, &since),
            "law 1: equal arguments, other rates: {load:?} {since:?}"
        );
        let sound = rate.is_none_or(|rate| rate.is_finite() && rate >= 1.0);
        assert!(sound, "law 2: it sets {rate:?} under {load:?} {since:?}");
        assert!(load.pressure < 1.0 || rate.is_none(), "law 4: it sets {rate:?} under {load:?}");
        let heavier = Load { pressure: load.pressure + random.amount(1.0), ..load };
        let more = limiter.rate(&heavier, &since);
        let highest = |rate: Option<f64>| rate.unwrap_or(f64::INFINITY);
        assert!(
            highest(more) >= highest(rate),
            "law 3: from {rate:?} to {more:?}, as the pressure rose from {} to {}",
            load.pressure,
            heavier.pressure
        );
    }
}

/// A stream of pseudo-random numbers that is the same on every machine (splitmix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, the ends among what is drawn.
    fn share(&mut self) -> f64 {
        match self.next() % 8 {
            0 => 0.0,
            1 => 1.0,
            _ => (self.next() >> 11) as f64 / (1_u64 << 53) as f64,
        }
    }

    /// Nothing, something up to `usual`, or far more.
    fn amount(&mut self, usual: f64) -> f64 {
        match self.next() % 16 {
            0 => 0.0,
            1 => usual * 1e12,
            _ => usual * self.share(),
        }
    }

    /// Of any order of magnitude.
    fn number(&mut self) -> u64 {
        let shift = self.next() % 64;
        self.next() >> shift
    }

    fn few(&mut self) -> usize {
        if self.next().is_multiple_of(16) { self.number() as usize } else { (self.next() % 50) as usize }
    }

    fn measured(&mut self) -> Option<f64> {
        (!self.next().is_multiple_of(4)).then(|| self.number() as f64)
    }

    fn load(&mut self) -> Load {
        Load {
            pressure: self.amount(1.2),
            debt_bytes: self.number(),
            level0_runs: self.few(),
            sealed: self.few() % 12,
            sealed_max: self.few() % 8,
            working: self.next().is_multiple_of(2),
            absorbed_per_second: self.measured(),
            merged_per_second: self.measured(),
            user_operations_per_second: self.amount(1e5),
            unix_seconds: self.number() >> 20,
        }
    }

    /// The load with one of what law 4 names made heavier.
    fn heavier(&mut self, load: &Load) -> [Load; 4] {
        [
            Load { pressure: load.pressure + self.amount(0.5), ..*load },
            Load { debt_bytes: load.debt_bytes.saturating_add(self.number()), ..*load },
            Load { level0_runs: load.level0_runs.saturating_add(self.few()), ..*load },
            Load { sealed: load.sealed.saturating_add(self.few()), ..*load },
        ]
    }
}
