//! The conformance suites over this crate's own throttles and limiters, with usual and with odd settings; and over some that break a law each.

use std::panic::catch_unwind;
use std::time::Duration;
use terrace_throttle::stock::{LIMITERS, THROTTLES};
use terrace_throttle::testing::{check_limiter, check_throttle};
use terrace_throttle::{
    AdaptiveLimiter, Charge, CourteousLimiter, InQuietHours, Limiter, Load, PlainThrottle, PricedThrottle,
    QuietHours, RisingLimiter, Since, SteadyLimiter, Throttle,
};

#[test]
fn every_stock_throttle_keeps_the_laws() {
    for (seed, (name, make)) in THROTTLES.iter().enumerate() {
        assert_eq!(make().name(), *name);
        check_throttle(&make(), seed as u64, 5000);
    }
    assert_eq!(THROTTLES.len(), 3);
}

#[test]
fn throttles_with_odd_settings_keep_the_laws() {
    let (ease, horizon) = (Duration::from_secs(9), Duration::ZERO);
    check_throttle(&PricedThrottle { ease, horizon }, 11, 5000);
    // Slowed later than stopped.
    let plain = PlainThrottle {
        level0_runs_slow: 9,
        level0_runs_stop: 3,
        debt_bytes_slow: u64::MAX,
        debt_bytes_stop: 100,
        slowed_bytes_per_second: 0.0,
    };
    check_throttle(&plain, 12, 5000);
}

#[test]
fn every_stock_limiter_keeps_the_laws() {
    for (seed, (name, make)) in LIMITERS.iter().enumerate() {
        for rate in [0.0, 1e7, 1e12] {
            assert_eq!(make(rate).name(), *name);
            check_limiter(&make(rate), seed as u64, 5000);
        }
    }
    assert_eq!(LIMITERS.len(), 4);
}

#[test]
fn limiters_with_odd_settings_keep_the_laws() {
    check_limiter(&AdaptiveLimiter { bytes_per_second_min: 1e9, bytes_per_second_max: 1e3 }, 21, 5000);
    check_limiter(&CourteousLimiter { share: 7.0, user_operations_per_second: -1.0 }, 22, 5000);
    let hours = QuietHours { from: 20, until: 6 };
    check_limiter(&InQuietHours { otherwise: RisingLimiter { bytes_per_second: 1e6 }, hours }, 23, 5000);
    check_limiter(&InQuietHours { otherwise: SteadyLimiter { bytes_per_second: 1e6 }, hours }, 24, 5000);
}

/// A throttle that is whatever its function says.
#[derive(Debug)]
struct Any(fn(&Load) -> (f64, bool));

impl Throttle for Any {
    fn name(&self) -> &'static str {
        "any"
    }

    fn charge(&self, load: &Load) -> Charge {
        let (seconds_per_byte, stop) = (self.0)(load);
        Charge { seconds_per_byte, stop }
    }
}

#[derive(Debug)]
struct AnyLimiter(fn(&Load, &Since) -> Option<f64>);

impl Limiter for AnyLimiter {
    fn name(&self) -> &'static str {
        "any"
    }

    fn rate(&self, load: &Load, since: &Since) -> Option<f64> {
        (self.0)(load, since)
    }
}

/// The message with which `check` panics.
fn complaint(check: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(check).expect_err("a law is broken and the suite is content");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn the_suite_finds_each_broken_law_of_throttles() {
    let broken: [(&str, Any); 6] = [
        ("law 2", Any(|load| (load.pressure * f64::INFINITY.min(1.0 / (1.0 - load.pressure)), false))),
        ("law 3", Any(|_| (1e-9, false))),
        ("law 4", Any(|load| (if load.level0_runs == 20 { 1e-9 } else { 0.0 }, false))),
        ("law 4", Any(|load| (0.0, load.working && load.pressure >= 1.0 && load.sealed < 5))),
        ("law 4", Any(|load| (load.pressure * 1e-9 / (1.0 + load.debt_bytes as f64), false))),
        ("law 5", Any(|load| (0.0, load.pressure >= 1.0))),
    ];
    for (law, throttle) in broken {
        let complaint = complaint(|| check_throttle(&throttle, 1, 5000));
        assert!(complaint.starts_with(law), "{law}: {complaint}");
    }
}

#[test]
fn the_suite_finds_each_broken_law_of_limiters() {
    let broken: [(&str, AnyLimiter); 3] = [
        ("law 2", AnyLimiter(|load, _| (load.pressure < 1.0).then_some(0.0))),
        ("law 3", AnyLimiter(|load, _| (load.pressure < 1.0).then_some(2.0 - load.pressure))),
        ("law 4", AnyLimiter(|_, _| Some(100.0))),
    ];
    for (law, limiter) in broken {
        let complaint = complaint(|| check_limiter(&limiter, 1, 5000));
        assert!(complaint.starts_with(law), "{law}: {complaint}");
    }
}
