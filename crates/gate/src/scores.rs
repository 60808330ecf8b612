//! How scores are distributed: a histogram that can be merged, stored and compared.

use clickcast_model::calibration::logistic;
use clickcast_model::metrics::{LogOddsBins, log_odds};
use serde::{Deserialize, Serialize};

/// Bins of 0.25 log-odds: a quarter more odds. Two models that agree within that agree.
const BINS: LogOddsBins = LogOddsBins::new(128);
/// Neighbouring bins are compared together until they hold this share: an empty bin has no logarithm, and a nearly empty one
/// says more about chance than about the scores. So at most 50 groups, whose PSI by chance alone is 50 (1/n + 1/m).
const GROUP_SHARE_MIN: f64 = 0.02;

/// The distribution of many scores, in fixed bins of their log-odds; 1 KiB whatever their number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Scores from 0 to 1, by their log-odds from -16 to 16.
    counts: Vec<u64>,
    /// Scores that are NaN.
    pub not_a_number: u64,
    /// Scores that are infinite, below 0 or above 1.
    pub out_of_range: u64,
    /// Scores of exactly 0 or 1, which no model can know; they are counted in the outermost bins too.
    pub certain: u64,
    sum: f64,
    sum_squares: f64,
    lowest: f64,
    highest: f64,
}

impl Default for Scores {
    fn default() -> Self {
        Self {
            counts: vec![0; BINS.count()],
            not_a_number: 0,
            out_of_range: 0,
            certain: 0,
            sum: 0.0,
            sum_squares: 0.0,
            lowest: 1.0,
            highest: 0.0,
        }
    }
}

impl Scores {
    /// Takes one score.
    pub fn add(&mut self, score: f64) {
        if score.is_nan() {
            self.not_a_number += 1;
            return;
        }
        if !(0.0..=1.0).contains(&score) {
            self.out_of_range += 1;
            return;
        }
        self.certain += u64::from(score == 0.0 || score == 1.0);
        self.counts[bin(score)] += 1;
        self.sum += score;
        self.sum_squares += score * score;
        self.lowest = self.lowest.min(score);
        self.highest = self.highest.max(score);
    }

    /// Takes what another one holds.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.not_a_number += other.not_a_number;
        self.out_of_range += other.out_of_range;
        self.certain += other.certain;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// Number of scores from 0 to 1.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of scores that are no probability.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.not_a_number + self.out_of_range
    }

    /// Mean score; none without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let rows = self.rows();
        (rows > 0).then(|| self.sum / rows as f64)
    }

    /// Standard deviation of the scores; none without any.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.sum_squares / self.rows() as f64 - mean * mean).max(0.0).sqrt())
    }

    /// Whether there are scores, and all are the same.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.rows() > 1 && self.lowest == self.highest
    }

    /// The score below which this share of the scores lies, to a bin; none without any.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rows = self.rows();
        let wanted = share.clamp(0.0, 1.0) * rows as f64;
        let mut below = 0.0;
        for (index, &count) in self.counts.iter().enumerate() {
            let next = below + count as f64;
            if count > 0 && next >= wanted {
                let within = ((wanted - below) / count as f64).clamp(0.0, 1.0);
                let score = logistic(BINS.edge(index) + within * (BINS.edge(index + 1) - BINS.edge(index)));
                return Some(score.clamp(self.lowest, self.highest));
            }
            below = next;
        }
        None
    }

    /// Each bin that holds scores: the probabilities it spans, and how many.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(index, &count)| (logistic(BINS.edge(index)), logistic(BINS.edge(index + 1)), count))
    }
}

/// How much of two distributions lies in the tails of the second: in its lowest bins that hold this share of it at least, and in
/// its highest. None where either is empty.
#[must_use]
pub fn tails(first: &Scores, second: &Scores, share: f64) -> Option<[Shares; 2]> {
    let (rows_first, rows_second) = (first.rows() as f64, second.rows() as f64);
    let tail = |bins: &mut dyn Iterator<Item = usize>| {
        let (mut in_first, mut in_second, mut last) = (0.0, 0.0, 0);
        for index in bins {
            in_first += first.counts[index] as f64;
            in_second += second.counts[index] as f64;
            last = index;
            if in_second >= share * rows_second {
                break;
            }
        }
        // Half a score more: an empty tail has no logarithm.
        Shares {
            from: logistic(BINS.edge(last)),
            first: (in_first + 0.5) / (rows_first + 0.5),
            second: (in_second + 0.5) / (rows_second + 0.5),
        }
    };
    (rows_first > 0.0 && rows_second > 0.0).then(|| [tail(&mut (0..BINS.count())), tail(&mut (0..BINS.count()).rev())])
}

/// A part of two distributions: how much of each lies there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Where the part begins, as a probability.
    pub from: f64,
    /// Share of the first distribution, above 0.
    pub first: f64,
    /// Share of the second, above 0.
    pub second: f64,
}

impl Shares {
    /// What this part adds to the population stability index.
    #[must_use]
    pub fn psi(self) -> f64 {
        (self.first - self.second) * (self.first / self.second).ln()
    }
}

/// Two distributions side by side, in groups of bins; none where one of them is empty.
#[must_use]
pub fn side_by_side(first: &Scores, second: &Scores) -> Option<Vec<Shares>> {
    let (first_rows, second_rows) = (first.rows() as f64, second.rows() as f64);
    if first_rows == 0.0 || second_rows == 0.0 {
        return None;
    }
    let mut groups: Vec<(usize, f64, f64)> = Vec::new();
    let mut open = true;
    for (index, (&one, &other)) in first.counts.iter().zip(&second.counts).enumerate() {
        if open {
            groups.push((index, 0.0, 0.0));
        }
        let last = groups.len() - 1;
        groups[last].1 += one as f64;
        groups[last].2 += other as f64;
        open = groups[last].1 / first_rows + groups[last].2 / second_rows >= 2.0 * GROUP_SHARE_MIN;
    }
    // What is left over at the upper end is too little to stand alone.
    if !open && groups.len() > 1 {
        let (_, one, other) = groups.remove(groups.len() - 1);
        let last = groups.len() - 1;
        groups[last].1 += one;
        groups[last].2 += other;
    }
    // Half a score more in each group: a share of nothing has no logarithm.
    let half = 0.5;
    let total = |rows: f64| rows + half * groups.len() as f64;
    let (first_total, second_total) = (total(first_rows), total(second_rows));
    let shares = groups.iter().map(|&(index, one, other)| Shares {
        from: logistic(BINS.edge(index)),
        first: (one + half) / first_total,
        second: (other + half) / second_total,
    });
    Some(shares.collect())
}

/// The population stability index of two distributions; none where one is empty.
///
/// # Source
/// Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 is stable, above 0.25 has changed.
#[must_use]
pub fn psi(first: &Scores, second: &Scores) -> Option<f64> {
    Some(side_by_side(first, second)?.into_iter().map(Shares::psi).sum())
}

/// The Jensen-Shannon divergence of two distributions, in bits: 0 for equal ones, 1 for ones without a common score; none
/// where one is empty.
///
/// # Source
/// Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37, 1991.
#[must_use]
pub fn jensen_shannon(first: &Scores, second: &Scores) -> Option<f64> {
    let term = |share: f64, mean: f64| share * (share / mean).log2();
    let part = |shares: Shares| {
        let mean = 0.5 * (shares.first + shares.second);
        0.5 * (term(shares.first, mean) + term(shares.second, mean))
    };
    Some(side_by_side(first, second)?.into_iter().map(part).sum())
}

fn bin(score: f64) -> usize {
    BINS.bin(log_odds(score))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scores(all: impl IntoIterator<Item = f64>) -> Scores {
        let mut scores = Scores::default();
        all.into_iter().for_each(|score| scores.add(score));
        scores
    }

    /// Scores spread evenly over log-odds, shifted.
    fn spread(rows: usize, shift: f64) -> Scores {
        scores((0..rows).map(|row| logistic(row as f64 / rows as f64 * 4.0 - 5.0 + shift)))
    }

    #[test]
    fn what_is_no_probability_is_counted_apart() {
        let odd = scores([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.5, 0.0, 1.0, 0.5]);
        assert_eq!((odd.not_a_number, odd.out_of_range, odd.certain), (1, 4, 2));
        assert_eq!((odd.rows(), odd.invalid(), odd.mean()), (3, 5, Some(0.5)));
        assert_eq!(Scores::default().mean(), None);
        assert_eq!(Scores::default().quantile(0.5), None);
    }

    #[test]
    fn moments_and_quantiles_are_those_of_the_scores() {
        let even = scores((1..1000).map(|index| f64::from(index) / 1000.0));
        assert!((even.mean().unwrap() - 0.5).abs() < 1e-9);
        assert!((even.deviation().unwrap() - 0.288).abs() < 1e-3);
        for share in [0.01, 0.1, 0.5, 0.9, 0.99] {
            assert!((even.quantile(share).unwrap() - share).abs() < 0.005, "{share}");
        }
        assert!(!even.is_constant());
        assert!(scores([0.2, 0.2]).is_constant());
        assert!(!scores([0.2]).is_constant());
    }

    #[test]
    fn merging_is_adding_all() {
        let mut left = spread(1000, 0.0);
        let right = spread(500, 2.0);
        let whole = scores(
            (0..1000)
                .map(|row| logistic(f64::from(row) / 1000.0 * 4.0 - 5.0))
                .chain((0..500).map(|row| logistic(f64::from(row) / 500.0 * 4.0 - 3.0))),
        );
        left.merge(&right);
        assert_eq!(left.counts, whole.counts);
        assert!((left.mean().unwrap() - whole.mean().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn divergences_are_nothing_for_equals_and_grow_with_the_distance() {
        let base = spread(20_000, 0.0);
        assert!(psi(&base, &spread(30_000, 0.0)).unwrap() < 1e-3);
        let mut before = (0.0, 0.0);
        for shift in [0.1, 0.5, 1.0, 2.0, 8.0] {
            let moved = spread(20_000, shift);
            let now = (psi(&base, &moved).unwrap(), jensen_shannon(&base, &moved).unwrap());
            assert!(now.0 > before.0 && now.1 > before.1, "{shift}: {now:?} after {before:?}");
            assert!((psi(&moved, &base).unwrap() - now.0).abs() < 1e-9);
            before = now;
        }
        // Nothing in common: one bit, but for the half score in each group.
        assert!(before.1 > 0.99 && before.1 <= 1.0, "{}", before.1);
        assert_eq!(psi(&base, &Scores::default()), None);
    }

    #[test]
    fn chance_alone_stays_below_the_bound_of_its_groups() {
        // A linear congruence (Knuth) is chance enough here.
        let mut state = 1u64;
        let mut draw = |rows: usize| {
            scores((0..rows).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                logistic((state >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 5.0)
            }))
        };
        for rows in [500, 5_000, 50_000] {
            let (one, other) = (draw(rows), draw(rows));
            assert!(psi(&one, &other).unwrap() < 50.0 * 2.0 / rows as f64, "{rows}");
        }
    }

    #[test]
    fn a_histogram_reads_back_as_it_was_written() {
        let written = spread(100, 0.0);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), written);
    }
}
