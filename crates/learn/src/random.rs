//! Numbers that look random and follow from a seed and a place alone, so that they are the same whatever the order of
//! work.

use clickcast_record::random::{INCREMENT, mix, unit};

/// Hashes a place under a seed.
#[inline]
pub(crate) fn hash(seed: u64, place: u64) -> u64 {
    mix(mix(seed ^ 0x5851_F42D_4C95_7F2D).wrapping_add(place.wrapping_mul(INCREMENT)))
}

/// Returns a number in `[0, 1)`.
#[inline]
pub(crate) fn uniform(seed: u64, place: u64) -> f64 {
    unit(hash(seed, place))
}
