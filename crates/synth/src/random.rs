//! Counter-based random numbers: every draw is a hash of (seed, field, id), so no draw depends on the order of work.

use clickcast_record::random::{INCREMENT, SplitMix64, mix};

/// The numbers of one latent vector.
pub(super) const RANK: usize = 4;

/// The subject of a hash. Two fields never share random numbers. New fields go last, so that the others keep theirs.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Row,
    Fit,
    User,
    UserOrder,
    Ad,
    AdOrder,
    AdPhase,
    Campaign,
    Advertiser,
    DeviceOs,
    CountryEffect,
    DeviceEffect,
    OsEffect,
    CarrierEffect,
    InterestEffect,
    UserEffect,
    CategoryEffect,
    AdvertiserEffect,
    CampaignEffect,
    AdEffect,
    FormatEffect,
    PublisherEffect,
    PlacementEffect,
    ConnectionEffect,
    CountryFactor,
    DeviceFactor,
    AgeFactor,
    InterestFactor,
    UserFactor,
    CategoryFactor,
    CampaignFactor,
    AdFactor,
    PublisherFactor,
    FormatFactor,
    OsFormatEffect,
    DaypartCategoryEffect,
}

/// Hashes (seed, field, id) to 64 bits.
pub(super) fn hash(seed: u64, field: Field, id: u64) -> u64 {
    let key = mix(seed.wrapping_add((field as u64 + 1).wrapping_mul(INCREMENT)));
    mix(key.wrapping_add(id.wrapping_mul(INCREMENT)))
}

/// Returns an approximately standard normal number: the sum of four uniform ones taken from `bits` (Irwin-Hall).
pub(super) fn normal(bits: u64) -> f64 {
    vector(bits).iter().sum::<f64>() * 0.5
}

/// Four independent uniform numbers of mean 0 and variance 1, taken from `bits`.
pub(super) fn vector(bits: u64) -> [f64; RANK] {
    let width = 12f64.sqrt() / 65_536.0;
    std::array::from_fn(|index| {
        let chunk = (bits >> (16 * index)) as u16;
        (f64::from(chunk) - 32_767.5) * width
    })
}

/// The sequence of random numbers of one thing (a row, a user, an ad): SplitMix64.
pub(super) struct Stream(SplitMix64);

impl Stream {
    /// The stream of thing `id` of `field`.
    pub(super) fn new(seed: u64, field: Field, id: u64) -> Self {
        Self(SplitMix64::new(hash(seed, field, id)))
    }

    /// 64 uniform bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A uniform number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// A uniform integer in `0..count` (`count` at least 1), by multiplication; its bias is below 2^-32 of each share.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// `Some(value)`, or a missing value with the given probability.
    pub(super) fn present<T>(&mut self, probability_missing: f64, value: T) -> Option<T> {
        (!self.chance(probability_missing)).then_some(value)
    }
}

/// Ranks `0..count` where rank `k` has a probability proportional to `(k + 1)^-exponent`, each drawn in O(1).
///
/// # Source
/// Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", ACM TOMACS
/// 6(3), 1996.
pub(super) struct Zipf {
    count: f64,
    exponent: f64,
    lowest: f64,
    highest: f64,
    shortcut: f64,
}

impl Zipf {
    /// `count` ranks (at least 1); `exponent` positive and not 1, for which the integral has another form.
    pub(super) fn new(count: u64, exponent: f64) -> Self {
        debug_assert!(count >= 1 && exponent > 0.0 && exponent != 1.0);
        let mut zipf = Self { count: count as f64, exponent, lowest: 0.0, highest: 0.0, shortcut: 0.0 };
        zipf.lowest = zipf.integral(1.5) - 1.0;
        zipf.highest = zipf.integral(zipf.count + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - 2f64.powf(-exponent));
        zipf
    }

    /// Draws a rank.
    pub(super) fn draw(&self, stream: &mut Stream) -> u64 {
        loop {
            let area = self.highest + stream.unit() * (self.lowest - self.highest);
            let point = self.inverse(area);
            let rank = (point + 0.5).floor().clamp(1.0, self.count);
            if rank - point <= self.shortcut || area >= self.integral(rank + 0.5) - rank.powf(-self.exponent) {
                return rank as u64 - 1;
            }
        }
    }

    fn integral(&self, point: f64) -> f64 {
        point.powf(1.0 - self.exponent) / (1.0 - self.exponent)
    }

    fn inverse(&self, area: f64) -> f64 {
        (area * (1.0 - self.exponent)).powf(1.0 / (1.0 - self.exponent))
    }
}

/// A fixed shuffle of `0..count`, so that public ids do not reveal popularity: `index * factor + shift mod count`.
pub(super) struct Shuffle {
    count: u64,
    factor: u64,
    shift: u64,
}

impl Shuffle {
    /// `count` from 1 to 2^32 - 1, so that products fit 64 bits.
    pub(super) fn new(count: u64, bits: u64) -> Self {
        debug_assert!((1..=u64::from(u32::MAX)).contains(&count));
        let mut factor = bits % count;
        while greatest_common_divisor(factor, count) != 1 {
            factor += 1;
        }
        Self { count, factor, shift: mix(bits) % count }
    }

    /// Returns the new position of `index` (below `count`).
    pub(super) fn apply(&self, index: u64) -> u64 {
        (index * self.factor + self.shift) % self.count
    }
}

fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_follows_zipfs_law() {
        for (count, exponent) in [(1, 0.6), (2, 0.9), (50, 0.6), (1_000, 0.9), (60, 1.1)] {
            let zipf = Zipf::new(count, exponent);
            let mut stream = Stream::new(7, Field::Row, 0);
            let draws = 200_000;
            let mut seen = vec![0.0; count as usize];
            (0..draws).for_each(|_| seen[zipf.draw(&mut stream) as usize] += 1.0);
            let weight = |rank: usize| ((rank + 1) as f64).powf(-exponent);
            let total: f64 = (0..seen.len()).map(weight).sum();
            for (rank, &seen) in seen.iter().enumerate() {
                let share = weight(rank) / total;
                let sigma = (f64::from(draws) * share * (1.0 - share)).sqrt();
                let due = f64::from(draws) * share;
                assert!((seen - due).abs() <= 5.0 * sigma, "rank {rank} of {count}^-{exponent}: {seen} for {due}");
            }
        }
    }

    #[test]
    fn a_shuffle_sends_every_index_to_a_place_of_its_own() {
        for count in [1, 2, 3, 100, 4_096, 30_030] {
            for seed in 0..20 {
                let shuffle = Shuffle::new(count, hash(seed, Field::UserOrder, 0));
                let mut places: Vec<u64> = (0..count).map(|index| shuffle.apply(index)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..count), "{count} indices, seed {seed}");
            }
        }
    }

    #[test]
    fn the_random_numbers_stay_the_same_for_ever() {
        // A seed keeps its market.
        assert_eq!(hash(1, Field::User, 2), 7_876_820_519_921_869_660);
    }
}
