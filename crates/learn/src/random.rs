//! Numbers that look random and follow from a seed and a place alone, so that they are the same
//! whatever the order of work.

/// Returns a hash of a place under a seed.
///
/// # Source
/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[inline]
pub(crate) fn hash(seed: u64, place: u64) -> u64 {
    finish(finish(seed ^ 0x5851_F42D_4C95_7F2D).wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// Returns a number in 0..1.
#[inline]
pub(crate) fn uniform(seed: u64, place: u64) -> f64 {
    (hash(seed, place) >> 11) as f64 / (1u64 << 53) as f64
}

#[inline]
fn finish(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
