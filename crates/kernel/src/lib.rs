//! The hot loops: free functions over slices, dispatched by what the processor can do, each tested against a scalar
//! oracle. This is the only crate with `unsafe`.

#[macro_use]
mod dispatch;

pub mod bins;
pub mod cross;
pub mod descent;
pub mod factors;
pub mod trees;

#[cfg(test)]
mod tests {
    /// Returns random numbers in -1..1, by SplitMix64: this crate depends on no other, so the generator is written out.
    pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
        (0..count as u64)
            .map(|index| {
                let mut bits = (seed << 32).wrapping_add(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                ((bits >> 40) as f32 / 8_388_608.0) - 1.0
            })
            .collect()
    }
}
