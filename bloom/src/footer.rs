//! The sixteen bytes that close every stored filter of this crate, and the checks made on them.
//!
//! ```text
//! body | unit count: u64 little-endian | six zero bytes | k: u8 | version: u8
//! ```
//!
//! A footer and not a header, so that the body begins where the buffer does and keeps its alignment: a cache line of a
//! blocked filter is then one cache line of the machine whenever the caller's buffer is aligned. The count is redundant
//! with the length, and that is its use: a filter cut short or run together with its neighbour is refused.

use crate::FilterError;

/// Bytes of the footer.
pub(crate) const FOOTER_BYTES: usize = 16;

/// More probes than this no builder makes; past it a reader would only waste time on damaged bytes.
pub(crate) const K_MAX: u8 = 30;

const ZERO_BYTES: usize = 6;

/// The room for `units` units of a new filter and its footer, which is written.
///
/// # Panics
///
/// When the room has another length.
pub(crate) fn write<const UNIT_BYTES: usize>(
    stored: &mut [u8],
    units: usize,
    k: u8,
    version: u8,
) -> &mut [[u8; UNIT_BYTES]] {
    let (body, footer) = stored.split_last_chunk_mut::<FOOTER_BYTES>().expect("room for a footer");
    let (count, rest) = footer.split_at_mut(size_of::<u64>());
    count.copy_from_slice(&(units as u64).to_le_bytes());
    rest[ZERO_BYTES..].copy_from_slice(&[k, version]);
    let (body, rest) = body.as_chunks_mut::<UNIT_BYTES>();
    assert!(body.len() == units && rest.is_empty(), "room for as many units as were asked for");
    body
}

/// Splits stored bytes into the units of the body, at least one, and k, from 1 to [`K_MAX`].
pub(crate) fn split<'a, const UNIT_BYTES: usize>(
    bytes: &'a [u8],
    filter: &'static str,
    version: u8,
) -> Result<(&'a [[u8; UNIT_BYTES]], u8), FilterError> {
    let damaged = |what| FilterError::Damaged { filter, what };
    let Some((body, footer)) = bytes.split_last_chunk::<FOOTER_BYTES>() else {
        return Err(damaged("shorter than a footer"));
    };
    let [u0, u1, u2, u3, u4, u5, u6, u7, zeros @ .., k, found_version] = *footer;
    // The version first: under another one the other fields may mean something else.
    if found_version != version {
        return Err(damaged("unknown version"));
    }
    if zeros != [0; ZERO_BYTES] {
        return Err(damaged("reserved bytes are not zero"));
    }
    if k == 0 || k > K_MAX {
        return Err(damaged("impossible number of probes"));
    }
    let (units, rest) = body.as_chunks::<UNIT_BYTES>();
    if units.is_empty() || !rest.is_empty() {
        return Err(damaged("impossible length"));
    }
    if u64::from_le_bytes([u0, u1, u2, u3, u4, u5, u6, u7]) != units.len() as u64 {
        return Err(damaged("length differs from the one written"));
    }
    Ok((units, k))
}

/// How many units of `unit_bits` hold `keys` keys at `bits_per_key`; at least one, so that a body is never empty.
///
/// Exact enough: below 2^53 bits the product is off by less than one unit in a million. It can not overflow memory
/// arithmetic, since the hashes that are counted take 64 bits each and no kind takes more than that for a key.
pub(crate) fn units_for(keys: usize, bits_per_key: f64, unit_bits: usize) -> usize {
    ((keys as f64 * bits_per_key / unit_bits as f64).ceil() as usize).max(1)
}

/// Brings a request within `1.0..=most`; a request that is no number counts as the least.
pub(crate) fn clamp_bits_per_key(bits_per_key: f64, most: f64) -> f64 {
    if bits_per_key > 1.0 { bits_per_key.min(most) } else { 1.0 }
}
