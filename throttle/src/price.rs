//! The two prices that throttles are made of.

use crate::Load;

/// Slowing goes up to this pressure; what lies above is a stop.
const PRESSURE_MAX: f64 = 0.97;
/// What the first memtable too many adds to the pressure, and each further one.
const PRESSURE_OF_MEMTABLE: f64 = 0.3;

/// How many times what it costs compaction to absorb a byte is to be paid at this pressure.
pub(crate) fn times(pressure: f64) -> f64 {
    let pressure = pressure.clamp(0.0, PRESSURE_MAX);
    pressure / (1.0 - pressure)
}

/// The pressure that memtables put on writers: when the last free one is being filled, to the pace of the flush.
pub(crate) fn pressure_of_memtables(load: &Load) -> f64 {
    let Load { sealed, sealed_max, .. } = *load;
    if sealed_max <= 1 {
        // The last free one is always being filled: that says nothing.
        return 0.0;
    }
    PRESSURE_OF_MEMTABLE * sealed.saturating_add(2).saturating_sub(sealed_max) as f64
}
