//! Chance that follows from a seed.

use clickcast_record::random::SplitMix64;

/// Draws of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Chance(SplitMix64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1)))
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.unit() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// Of this many places each with this chance, in order.
    pub(crate) fn some(&mut self, count: usize, share: f64) -> Vec<usize> {
        (0..count).filter(|_| self.unit() < share).collect()
    }

    pub(crate) fn shuffled(&mut self, places: &[usize]) -> Vec<usize> {
        let mut shuffled = places.to_vec();
        for place in (1..shuffled.len()).rev() {
            let other = self.below(place + 1);
            shuffled.swap(place, other);
        }
        shuffled
    }
}
