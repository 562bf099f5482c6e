//! What ships with this crate, by name; of it what the features bring.

use crate::{Limiter, Throttle};

/// Makes a throttle with its usual settings.
pub type MakeThrottle = fn() -> Box<dyn Throttle>;

/// Makes a limiter around a rate in bytes a second: what is set, or the upper bound of what adapts itself.
pub type MakeLimiter = fn(f64) -> Box<dyn Limiter>;

/// Each throttle by its name.
pub const THROTTLES: &[(&str, MakeThrottle)] = &[
    #[cfg(feature = "ramp")]
    ("ramp", || Box::new(crate::RampThrottle)),
    #[cfg(feature = "plain")]
    ("plain", || Box::new(crate::PlainThrottle::default())),
    #[cfg(feature = "priced")]
    ("priced", || Box::new(crate::PricedThrottle::default())),
];

/// Each limiter by its name.
pub const LIMITERS: &[(&str, MakeLimiter)] = &[
    #[cfg(feature = "rising")]
    ("rising", |bytes_per_second| Box::new(crate::RisingLimiter { bytes_per_second })),
    #[cfg(feature = "steady")]
    ("steady", |bytes_per_second| Box::new(crate::SteadyLimiter { bytes_per_second })),
    #[cfg(feature = "adaptive")]
    ("adaptive", |bytes_per_second| Box::new(crate::AdaptiveLimiter::up_to(bytes_per_second))),
    #[cfg(feature = "courteous")]
    ("courteous", |_| Box::new(crate::CourteousLimiter::default())),
];

/// The throttle of that name.
#[must_use]
pub fn throttle(name: &str) -> Option<Box<dyn Throttle>> {
    THROTTLES.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// The limiter of that name, around a rate in bytes a second.
#[must_use]
pub fn limiter(name: &str, bytes_per_second: f64) -> Option<Box<dyn Limiter>> {
    LIMITERS.iter().find(|(known, _)| *known == name).map(|(_, make)| make(bytes_per_second))
}
