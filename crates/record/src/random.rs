//! SplitMix64: random numbers that follow from a seed alone.
//!
//! # Source
//! Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants by D. Stafford, variant 13.

/// The increment of the state: 2^64 divided by the golden ratio, and odd.
pub const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function: a bijection whose output looks random.
#[inline]
#[must_use]
pub const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// A sequence of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// Begins the sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    #[inline]
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// Returns the next number in `[0, 1)`, a multiple of 2^-53.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }
}

/// Turns 64 random bits into a number in `[0, 1)`, a multiple of 2^-53.
#[inline]
#[must_use]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_that_the_authors_publish() {
        let mut numbers = SplitMix64::new(0);
        assert_eq!([numbers.bits(), numbers.bits()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&numbers.unit())));
        assert!(unit(u64::MAX) < 1.0);
    }
}
