//! Chance that follows from a seed.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        let bits = clickcast_record::hash::integer(self.0.cast_signed());
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        bits
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
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
