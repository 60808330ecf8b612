//! Distances between counts, freed of what chance alone makes of them.

use std::collections::BTreeMap;

/// Rows by bin.
pub type Counts = BTreeMap<u16, f64>;

/// How far two distributions are apart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distance {
    /// The Jensen-Shannon divergence in bits, less what samples of this size have on average; not below 0.
    pub jensen_shannon: f64,
    /// The largest difference of one bin's share (L-infinity), less four deviations of it; not below 0.
    pub largest: f64,
    /// The bin of the largest difference.
    pub bin: u16,
    /// The first distribution's share of it.
    pub first: f64,
    /// The second's.
    pub second: f64,
}

/// Deviations that a difference must exceed: with 50 bins, 40 features and 30 days, 60,000 looks, chance reaches four of
/// them about four times and then by little; the limits lie beyond.
const DEVIATIONS: f64 = 4.0;

/// The distance of two distributions; none where one is empty.
#[must_use]
pub fn distance(first: &Counts, second: &Counts) -> Option<Distance> {
    let (rows_first, rows_second): (f64, f64) = (first.values().sum(), second.values().sum());
    if rows_first <= 0.0 || rows_second <= 0.0 {
        return None;
    }
    let mut distance = Distance::default();
    let mut bins = 0.0;
    for bin in first.keys().chain(second.keys().filter(|bin| !first.contains_key(bin))) {
        let share = |counts: &Counts, rows: f64| counts.get(bin).copied().unwrap_or(0.0) / rows;
        let (one, other) = (share(first, rows_first), share(second, rows_second));
        let mean = 0.5 * (one + other);
        let term = |share: f64| if share > 0.0 { 0.5 * share * (share / mean).log2() } else { 0.0 };
        distance.jensen_shannon += term(one) + term(other);
        bins += 1.0;
        let deviation = (mean * (1.0 - mean) * (1.0 / rows_first + 1.0 / rows_second)).sqrt();
        let beyond = (one - other).abs() - DEVIATIONS * deviation;
        if beyond > distance.largest {
            distance.largest = beyond;
            (distance.bin, distance.first, distance.second) = (*bin, one, other);
        }
    }
    distance.jensen_shannon = (distance.jensen_shannon - by_chance(bins, rows_first, rows_second)).max(0.0);
    Some(distance)
}

/// The mean divergence in bits of two samples of one distribution, with a deviation on top: an eighth of a chi-square of
/// `bins - 1` degrees, which two deviations of it exceed one time in 50.
fn by_chance(bins: f64, rows_first: f64, rows_second: f64) -> f64 {
    let degrees = bins - 1.0;
    (degrees + 2.0 * (2.0 * degrees).sqrt()) * (1.0 / rows_first + 1.0 / rows_second) / (8.0 * std::f64::consts::LN_2)
}

/// What is lost, in nats a row, when rows of rate `actual` are expected to be of rate `expected`: the divergence of two
/// coins.
#[must_use]
pub fn coin_divergence(actual: f64, expected: f64) -> f64 {
    let expected = expected.clamp(1e-9, 1.0 - 1e-9);
    let term = |share: f64, other: f64| if share > 0.0 { share * (share / other).ln() } else { 0.0 };
    term(actual, expected) + term(1.0 - actual, 1.0 - expected)
}

/// The entropy of a coin, in nats.
#[must_use]
pub fn entropy(rate: f64) -> f64 {
    let term = |share: f64| if share > 0.0 { -share * share.ln() } else { 0.0 };
    term(rate) + term(1.0 - rate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn counts(shares: &[f64], rows: f64) -> Counts {
        shares.iter().enumerate().map(|(bin, share)| (bin as u16, share * rows)).collect()
    }

    #[test]
    fn equal_shares_have_no_distance_and_disjoint_ones_a_bit() {
        let even = counts(&[0.25; 4], 20_000.0);
        let near = distance(&even, &counts(&[0.25; 4], 400.0)).unwrap();
        assert_eq!((near.jensen_shannon, near.largest), (0.0, 0.0));
        let apart = distance(&counts(&[1.0, 0.0], 1e6), &counts(&[0.0, 1.0], 1e6)).unwrap();
        assert!(apart.jensen_shannon > 0.999 && apart.largest > 0.99);
        assert_eq!(distance(&even, &Counts::new()), None);
    }

    #[test]
    fn what_a_few_rows_show_is_not_taken_for_a_change() {
        let reference = counts(&[0.5, 0.5], 20_000.0);
        for (rows, changed) in [(20.0, false), (2_000.0, true)] {
            let found = distance(&counts(&[0.6, 0.4], rows), &reference).unwrap();
            assert_eq!(found.largest > 0.0, changed, "{rows}");
        }
    }

    #[test]
    fn a_coin_expected_right_costs_nothing() {
        assert!(coin_divergence(0.025, 0.025).abs() < 1e-12);
        assert!((coin_divergence(0.025, 0.05) - 0.0080).abs() < 1e-4);
        assert!((entropy(0.5) - std::f64::consts::LN_2).abs() < 1e-12);
    }
}
